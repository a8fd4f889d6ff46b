/*
 * Who is fetched from when, and at which addresses: the turns, the questions to our resolver, what may be
 * connected to, and the deadline. What goes over the wire is https_transfer.c.
 */
#include "relay/lookup/https.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "relay/base/buffer.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/lookup/https_transfer.h"
#include "relay/lookup/scope.h"

/* All that there can be: of both families, a comma behind each. */
enum { ADDRESSES_TEXT_MAX = 2 * ANSWER_ADDRESSES_MAX * (INET6_ADDRSTRLEN + 1) };

struct https_request {
	TAILQ_ENTRY(https_request) link; /* among those that wait, or those that run */
	struct https *https;
	bool is_running, is_slow;
	struct https_order order; /* its host, path and type are owned */
	https_done *done;
	void *arg;
	struct timer *deadline, *slow;

	struct query *ipv4, *ipv6;
	struct buffer addresses; /* numeric, a comma between */
	size_t n_forbidden;      /* that may not be connected to */
	bool is_private;         /* one of those is of a private network */
	char dns_why[ANSWER_WHY_MAX];
	bool is_bogus;

	struct https_transfer *transfer;
};

TAILQ_HEAD(request_list, https_request);

struct https {
	struct loop *loop;
	struct resolver *resolver;
	int64_t timeout_ms;
	size_t at_once, n_running, n_slow; /* slow ones run too */
	bool ipv4, ipv6, allow_loopback, allow_private;
	struct request_list waiting, running;
	struct tls_context *trust; /* its authorities */
	bool has_library;
};

static void run_waiting(struct https *https);
static bool has_place(const struct https *https);
static void on_slow(void *arg);
static void on_ipv6(const struct answer *answer, void *arg);
static void on_ipv4(const struct answer *answer, void *arg);
static void use_addresses(struct https_request *request, const struct answer *answer);
static bool may_connect(const struct https *https, const struct answer_address *address);
static void addresses_known(struct https_request *request);
static void on_deadline(void *arg);
static void fail(struct https_request *request, enum https_problem problem, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void on_transferred(const struct https_answer *answer, void *arg);
static void destroy_request(struct https_request *request);

struct https *https_create(struct loop *loop, const struct config *config,
    struct resolver *resolver, size_t at_once, char *error, size_t room)
{
	struct https *https = mem_create(sizeof *https);

	https->loop = loop;
	https->resolver = resolver;
	https->timeout_ms = HTTPS_TIMEOUT_MS;
	https->at_once = at_once;
	https->ipv4 = config->delivery.ipv4;
	https->ipv6 = config->delivery.ipv6;
	https->allow_loopback = config->delivery.allow_loopback;
	https->allow_private = config->delivery.allow_private;
	TAILQ_INIT(&https->waiting);
	TAILQ_INIT(&https->running);
	https->trust = tls_context_create_client(config->delivery.ca_file);
	https->has_library = https_library_start();
	if (!https->has_library)
		snprintf(error, room, "libcurl can't start");
	else if (tls_context_load_ca(https->trust, error, room) == 0)
		return https;
	https_destroy(&https);
	return NULL;
}

void https_set_resolver(struct https *https, struct resolver *resolver)
{
	https->resolver = resolver;
}

void https_set_timeout(struct https *https, int64_t timeout_ms)
{
	https->timeout_ms = timeout_ms;
}

struct https_request *https_start(
    struct https *https, const struct https_order *order, https_done *done, void *arg)
{
	struct https_request *request = mem_create(sizeof *request);

	request->https = https;
	request->order = *order;
	request->order.host = mem_copy_text(order->host);
	request->order.path = mem_copy_text(order->path);
	request->order.type = mem_copy_text(order->type);
	request->done = done;
	request->arg = arg;
	buffer_init(&request->addresses, ADDRESSES_TEXT_MAX);
	request->deadline = timer_create_in(https->loop, on_deadline, request);
	request->slow = timer_create_in(https->loop, on_slow, request);
	timer_set(request->deadline, https->timeout_ms);
	TAILQ_INSERT_TAIL(&https->waiting, request, link);
	run_waiting(https);
	return request;
}

static void run_waiting(struct https *https)
{
	struct https_request *request;

	while (has_place(https) && (request = TAILQ_FIRST(&https->waiting)) != NULL) {
		TAILQ_REMOVE(&https->waiting, request, link);
		TAILQ_INSERT_TAIL(&https->running, request, link);
		request->is_running = true;
		https->n_running++;
		timer_set(request->slow, https->timeout_ms / HTTPS_SLOW_PARTS);
		request->ipv6 = resolver_start(
		    https->resolver, request->order.host, RECORD_AAAA, on_ipv6, request);
		request->ipv4 = resolver_start(
		    https->resolver, request->order.host, RECORD_A, on_ipv4, request);
	}
}

static bool has_place(const struct https *https)
{
	size_t slow_max = https->at_once * HTTPS_SLOW_TIMES;

	return https->n_running - (https->n_slow < slow_max ? https->n_slow : slow_max) <
	       https->at_once;
}

static void on_slow(void *arg)
{
	struct https_request *request = arg;

	request->is_slow = true;
	request->https->n_slow++;
	run_waiting(request->https);
}

static void on_ipv6(const struct answer *answer, void *arg)
{
	struct https_request *request = arg;

	request->ipv6 = NULL;
	use_addresses(request, answer);
}

static void on_ipv4(const struct answer *answer, void *arg)
{
	struct https_request *request = arg;

	request->ipv4 = NULL;
	use_addresses(request, answer);
}

static void use_addresses(struct https_request *request, const struct answer *answer)
{
	for (size_t i = 0; i < answer->n_addresses; i++) {
		const struct answer_address *address = &answer->addresses[i];
		char text[INET6_ADDRSTRLEN];

		if (!may_connect(request->https, address)) {
			request->n_forbidden++;
			request->is_private |= address_scope(address) == SCOPE_PRIVATE;
			continue;
		}
		inet_ntop(
		    address->family == 6 ? AF_INET6 : AF_INET, address->bytes, text, sizeof text);
		buffer_print(
		    &request->addresses, "%s%s", request->addresses.n > 0 ? "," : "", text);
	}
	if (finding_is_failure(&answer->finding))
		snprintf(request->dns_why, sizeof request->dns_why, "%s", answer->finding.why);
	request->is_bogus |= answer->finding.status == ANSWER_BOGUS;
	if (request->ipv4 == NULL && request->ipv6 == NULL)
		addresses_known(request);
}

/*
 * What a stranger's DNS says must not lead us to this machine, nor to what only answers on its link,
 * nor to many at once; nor into the operator's own network, where a request from here may be believed.
 */
static bool may_connect(const struct https *https, const struct answer_address *address)
{
	if (!(address->family == 6 ? https->ipv6 : https->ipv4))
		return false;
	switch (address_scope(address)) {
	case SCOPE_GLOBAL: return true;
	case SCOPE_PRIVATE: return https->allow_private;
	case SCOPE_LOOPBACK: return https->allow_loopback;
	case SCOPE_NOBODY: break;
	}
	return false;
}

static void addresses_known(struct https_request *request)
{
	struct https *https = request->https;

	if (request->addresses.n == 0) {
		if (request->is_private)
			fail(request, HTTPS_ADDRESS,
			    "%s is at a private address: if it is a host of yours, write delivery { "
			    "allow-private = on }",
			    request->order.host);
		else if (request->n_forbidden > 0)
			fail(request, HTTPS_ADDRESS, "%s has no address that may be connected to",
			    request->order.host);
		else if (request->dns_why[0] != '\0')
			fail(request, request->is_bogus ? HTTPS_BOGUS : HTTPS_ADDRESS,
			    "the address of %s: %s", request->order.host, request->dns_why);
		else
			fail(request, HTTPS_ADDRESS, "%s has no address", request->order.host);
		return;
	}
	request->transfer = https_transfer_start(https->loop, https->trust, &request->order,
	    buffer_text(&request->addresses), on_transferred, request);
	if (request->transfer == NULL)
		fail(request, HTTPS_FAILURE, "libcurl knows not all that we ask of it");
}

static void on_deadline(void *arg)
{
	struct https_request *request = arg;

	if (request->is_running)
		fail(request, HTTPS_TIME, "no answer within %lld seconds",
		    (long long)request->https->timeout_ms / 1000);
	else
		fail(request, HTTPS_BUSY, "%zu other requests were under way all the time",
		    request->https->at_once);
}

static void fail(struct https_request *request, enum https_problem problem, const char *format, ...)
{
	struct https_answer answer = { .problem = problem };
	char why[2 * HTTPS_WHY_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof why, format, args);
	va_end(args);
	log_escape(why, strlen(why), answer.why, sizeof answer.why);
	https_transfer_cancel(&request->transfer);
	on_transferred(&answer, request);
}

static void on_transferred(const struct https_answer *answer, void *arg)
{
	struct https_request *request = arg;
	struct https *https = request->https;

	request->transfer = NULL;
	request->done(answer, request->arg);
	destroy_request(request);
	run_waiting(https);
}

void https_cancel(struct https_request **request)
{
	struct https *https;

	if (*request == NULL)
		return;
	https = (*request)->https;
	destroy_request(*request);
	*request = NULL;
	run_waiting(https);
}

static void destroy_request(struct https_request *request)
{
	struct https *https = request->https;

	TAILQ_REMOVE(request->is_running ? &https->running : &https->waiting, request, link);
	https->n_running -= request->is_running ? 1 : 0;
	https->n_slow -= request->is_slow ? 1 : 0;
	query_cancel(&request->ipv4);
	query_cancel(&request->ipv6);
	https_transfer_cancel(&request->transfer);
	timer_destroy(&request->deadline);
	timer_destroy(&request->slow);
	buffer_finish(&request->addresses);
	free((char *)request->order.host);
	free((char *)request->order.path);
	free((char *)request->order.type);
	free(request);
}

void https_destroy(struct https **https)
{
	struct https *old = *https;

	if (old == NULL)
		return;
	while (!TAILQ_EMPTY(&old->waiting))
		destroy_request(TAILQ_FIRST(&old->waiting));
	while (!TAILQ_EMPTY(&old->running))
		destroy_request(TAILQ_FIRST(&old->running));
	tls_context_destroy(&old->trust);
	if (old->has_library)
		https_library_stop();
	free(old);
	*https = NULL;
}
