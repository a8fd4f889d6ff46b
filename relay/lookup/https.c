/*
 * libcurl in our event loop; the one file that meets it. Each request has a curl "multi" of its own,
 * so that no name cache, connection or session is shared, and what CURLOPT_RESOLVE told it about the
 * host lasts as long as the request: curl's own resolver never has a question to ask.
 */
#include "relay/lookup/https.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "relay/base/buffer.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "tls/webpki.h"

/* All that there can be: of both families, a comma behind each. */
enum { ADDRESSES_TEXT_MAX = 2 * ANSWER_ADDRESSES_MAX * (INET6_ADDRSTRLEN + 1) };

/* What curl watches. */
struct https_socket {
	LIST_ENTRY(https_socket) link;
	struct https_request *request;
	struct watch *readable, *writable;
};

struct https_request {
	TAILQ_ENTRY(https_request) link; /* among those that wait, or those that run */
	struct https *https;
	bool is_running;
	char *host, *path, *type;
	uint16_t port;
	size_t n_most;
	const void *to_post;
	size_t n_to_post;
	https_done *done;
	void *arg;
	struct timer *deadline;

	struct query *ipv4, *ipv6;
	struct buffer addresses; /* numeric, a comma between */
	size_t n_forbidden;      /* that may not be connected to */
	char dns_why[ANSWER_WHY_MAX];
	bool is_bogus;

	CURLM *multi;
	CURL *easy;
	struct curl_slist *resolve, *header;
	struct timer *turn; /* when curl wants to be called */
	LIST_HEAD(, https_socket) sockets;
	char curl_why[CURL_ERROR_SIZE];
	size_t n_header;
	bool is_chunked, has_ended;
	struct buffer content;
	struct https_answer answer;
};

TAILQ_HEAD(request_list, https_request);

struct https {
	struct loop *loop;
	struct resolver *resolver;
	int64_t timeout_ms;
	size_t at_once, n_running;
	bool ipv4, ipv6, allow_loopback;
	struct request_list waiting, running;
	struct tls_context *trust; /* its authorities */
	bool has_curl;
};

static void run_waiting(struct https *https);
static void on_ipv6(const struct answer *answer, void *arg);
static void on_ipv4(const struct answer *answer, void *arg);
static void use_addresses(struct https_request *request, const struct answer *answer);
static bool may_connect(const struct https *https, const struct answer_address *address);
static void addresses_known(struct https_request *request);
static bool set_up(struct https_request *request);
static bool set_up_trust(struct https_request *request);
static bool set_up_content(struct https_request *request);
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg);
static void stop_watching(struct https_socket *s);
static void on_readable(int fd, void *arg);
static void on_writable(int fd, void *arg);
static int on_timer_wish(CURLM *multi, long wait_ms, void *arg);
static void on_turn(void *arg);
static void act(struct https_request *request, curl_socket_t fd, int what);
static CURLcode on_ssl_context(CURL *easy, void *ssl_ctx, void *arg);
static size_t on_header(char *bytes, size_t size, size_t n, void *arg);
static bool says_chunked(struct slice line);
static size_t on_content(char *bytes, size_t size, size_t n, void *arg);
static void transfer_over(struct https_request *request, CURLcode result);
static bool is_cut_off(struct https_request *request);
static void on_deadline(void *arg);
static void finish(struct https_request *request, enum https_problem problem, const char *format,
    ...) __attribute__((format(printf, 3, 4)));
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
	TAILQ_INIT(&https->waiting);
	TAILQ_INIT(&https->running);
	https->trust = tls_context_create_client(config->delivery.ca_file);
	https->has_curl = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
	if (!https->has_curl)
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
	request->host = mem_copy_text(order->host);
	request->path = mem_copy_text(order->path);
	request->type = mem_copy_text(order->type);
	request->port = order->port;
	request->n_most = order->n_most;
	request->to_post = order->content;
	request->n_to_post = order->n_content;
	request->done = done;
	request->arg = arg;
	buffer_init(&request->addresses, ADDRESSES_TEXT_MAX);
	buffer_init(&request->content, order->n_most);
	LIST_INIT(&request->sockets);
	request->turn = timer_create_in(https->loop, on_turn, request);
	request->deadline = timer_create_in(https->loop, on_deadline, request);
	timer_set(request->deadline, https->timeout_ms);
	TAILQ_INSERT_TAIL(&https->waiting, request, link);
	run_waiting(https);
	return request;
}

static void run_waiting(struct https *https)
{
	struct https_request *request;

	while (
	    https->n_running < https->at_once && (request = TAILQ_FIRST(&https->waiting)) != NULL) {
		TAILQ_REMOVE(&https->waiting, request, link);
		TAILQ_INSERT_TAIL(&https->running, request, link);
		request->is_running = true;
		https->n_running++;
		request->ipv6 =
		    resolver_start(https->resolver, request->host, RECORD_AAAA, on_ipv6, request);
		request->ipv4 =
		    resolver_start(https->resolver, request->host, RECORD_A, on_ipv4, request);
	}
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
 * What a stranger's DNS says must not lead us to this machine, nor to what only answers on its link
 * (RFC 3927, RFC 4291 2.5.6: where clouds keep their metadata), nor to many at once.
 */
static bool may_connect(const struct https *https, const struct answer_address *address)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	const uint8_t *bytes = address->bytes;
	bool is_ipv4 = address->family == 4;

	if (!(address->family == 6 ? https->ipv6 : https->ipv4))
		return false;
	if (answer_address_is_loopback(address))
		return https->allow_loopback;
	/* IPv4 in IPv6's clothes (RFC 4291 2.5.5.2) is as good as its wearer. */
	if (address->family == 6 && memcmp(bytes, mapped, sizeof mapped) == 0) {
		is_ipv4 = true;
		bytes += sizeof mapped;
	}
	if (is_ipv4)
		return !(bytes[0] == 169 && bytes[1] == 254) && bytes[0] < 224;
	return bytes[0] != 0xff && !(bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80);
}

static void addresses_known(struct https_request *request)
{
	if (request->addresses.n == 0) {
		if (request->n_forbidden > 0)
			finish(request, HTTPS_ADDRESS, "%s has no address that may be connected to",
			    request->host);
		else if (request->dns_why[0] != '\0')
			finish(request, request->is_bogus ? HTTPS_BOGUS : HTTPS_ADDRESS,
			    "the address of %s: %s", request->host, request->dns_why);
		else
			finish(request, HTTPS_ADDRESS, "%s has no address", request->host);
		return;
	}
	request->multi = curl_multi_init();
	request->easy = curl_easy_init();
	if (request->multi == NULL || request->easy == NULL || !set_up(request) ||
	    curl_multi_add_handle(request->multi, request->easy) != CURLM_OK)
		finish(request, HTTPS_FAILURE, "libcurl knows not all that we ask of it");
}

static bool set_up(struct https_request *request)
{
	CURL *easy = request->easy;
	char *url = mem_print("https://%s:%u%s", request->host, request->port, request->path);
	char *resolve =
	    mem_print("%s:%u:%s", request->host, request->port, buffer_text(&request->addresses));
	bool good;

	request->resolve = curl_slist_append(NULL, resolve);
	good =
	    request->resolve != NULL &&
	    curl_multi_setopt(request->multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
	    curl_multi_setopt(request->multi, CURLMOPT_SOCKETDATA, request) == CURLM_OK &&
	    curl_multi_setopt(request->multi, CURLMOPT_TIMERFUNCTION, on_timer_wish) == CURLM_OK &&
	    curl_multi_setopt(request->multi, CURLMOPT_TIMERDATA, request) == CURLM_OK &&
	    curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_RESOLVE, request->resolve) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)HTTPS_CONNECT_MS) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->curl_why) == CURLE_OK &&
	    set_up_trust(request) && set_up_content(request);
	free(url);
	free(resolve);
	return good;
}

/*
 * The default locations of the library are no authorities of ours: they are taken away. Ours come in
 * on_ssl_context(), read once for all: as CURLOPT_CAINFO_BLOB libcurl would read them for each request
 * anew, which takes it a tenth of a second.
 */
static bool set_up_trust(struct https_request *request)
{
	CURL *easy = request->easy;

	return curl_easy_setopt(easy, CURLOPT_CAINFO, NULL) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) ==
		   CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_ssl_context) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, request) == CURLE_OK;
}

/* No Accept-Encoding: what comes is what was written. */
static bool set_up_content(struct https_request *request)
{
	CURL *easy = request->easy;
	char *type;
	bool good =
	    curl_easy_setopt(easy, CURLOPT_USERAGENT, "Zegel/" ZEGEL_VERSION) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_HEADERDATA, request) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_content) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_WRITEDATA, request) == CURLE_OK;

	if (!good || request->type == NULL)
		return good;
	type = mem_print("Content-Type: %s", request->type);
	request->header = curl_slist_append(NULL, type);
	free(type);
	/* Without waiting for "100 Continue": most servers have none to give. */
	if (request->header == NULL || curl_slist_append(request->header, "Expect:") == NULL)
		return false;
	return curl_easy_setopt(easy, CURLOPT_HTTPHEADER, request->header) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK &&
	       curl_easy_setopt(
		   easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->n_to_post) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->to_post) == CURLE_OK;
}

static CURLcode on_ssl_context(CURL *easy, void *ssl_ctx, void *arg)
{
	struct https_request *request = arg;

	(void)easy;
	return tls_webpki_demand(request->https->trust, ssl_ctx, request->host, &request->has_ended)
		   ? CURLE_OK
		   : CURLE_SSL_CERTPROBLEM;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct https_request *request = arg;
	struct https_socket *s = socket_arg;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (s != NULL)
			stop_watching(s);
		curl_multi_assign(request->multi, fd, NULL);
		return 0;
	}
	if (s == NULL) {
		s = mem_create(sizeof *s);
		s->request = request;
		s->readable = watch_create(request->https->loop, fd, WATCH_READ, on_readable, s);
		s->writable = watch_create(request->https->loop, fd, WATCH_WRITE, on_writable, s);
		LIST_INSERT_HEAD(&request->sockets, s, link);
		curl_multi_assign(request->multi, fd, s);
	}
	if ((what & CURL_POLL_IN) != 0)
		watch_on(s->readable);
	else
		watch_off(s->readable);
	if ((what & CURL_POLL_OUT) != 0)
		watch_on(s->writable);
	else
		watch_off(s->writable);
	return 0;
}

static void stop_watching(struct https_socket *s)
{
	LIST_REMOVE(s, link);
	watch_destroy(&s->readable);
	watch_destroy(&s->writable);
	free(s);
}

static void on_readable(int fd, void *arg)
{
	struct https_socket *s = arg;

	act(s->request, fd, CURL_CSELECT_IN);
}

static void on_writable(int fd, void *arg)
{
	struct https_socket *s = arg;

	act(s->request, fd, CURL_CSELECT_OUT);
}

static int on_timer_wish(CURLM *multi, long wait_ms, void *arg)
{
	struct https_request *request = arg;

	(void)multi;
	if (wait_ms < 0)
		timer_cancel(request->turn);
	else
		timer_set(request->turn, wait_ms);
	return 0;
}

static void on_turn(void *arg)
{
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static void act(struct https_request *request, curl_socket_t fd, int what)
{
	const CURLMsg *message;
	int n_running = 0, n_left = 0;

	if (curl_multi_socket_action(request->multi, fd, what, &n_running) != CURLM_OK) {
		finish(request, HTTPS_FAILURE, "libcurl failed");
		return;
	}
	while ((message = curl_multi_info_read(request->multi, &n_left)) != NULL) {
		if (message->msg == CURLMSG_DONE) {
			transfer_over(request, message->data.result);
			return;
		}
	}
}

static size_t on_header(char *bytes, size_t size, size_t n, void *arg)
{
	static const char status[] = "HTTP/";
	struct https_request *request = arg;
	struct slice line = { bytes, size * n };

	request->n_header += line.n;
	/* An interim answer (RFC 9110 15.2) says nothing about the one that follows it. */
	if (line.n >= sizeof status - 1 && memcmp(bytes, status, sizeof status - 1) == 0)
		request->is_chunked = false;
	else if (says_chunked(line))
		request->is_chunked = true;
	return request->n_header <= HTTPS_HEADER_MAX ? line.n : 0;
}

/* RFC 9112 6.1, RFC 9110 5.6.3: there may be spaces, or none. */
static bool says_chunked(struct slice line)
{
	static const char field[] = "Transfer-Encoding:", coding[] = "chunked";
	size_t at = sizeof field - 1;

	if (line.n < at || strncasecmp(line.bytes, field, at) != 0)
		return false;
	while (at < line.n && (line.bytes[at] == ' ' || line.bytes[at] == '\t'))
		at++;
	while (line.n > at && strchr(" \t\r\n", line.bytes[line.n - 1]) != NULL)
		line.n--;
	return line.n - at == sizeof coding - 1 &&
	       strncasecmp(line.bytes + at, coding, line.n - at) == 0;
}

static size_t on_content(char *bytes, size_t size, size_t n, void *arg)
{
	struct https_request *request = arg;

	return buffer_add(&request->content, bytes, size * n) ? size * n : 0;
}

static void transfer_over(struct https_request *request, CURLcode result)
{
	struct https_answer *answer = &request->answer;
	const char *why =
	    request->curl_why[0] != '\0' ? request->curl_why : curl_easy_strerror(result);
	char *type = NULL;
	long status = 0;

	curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
	if (result == CURLE_OK && is_cut_off(request)) {
		finish(request, HTTPS_FAILURE, "the answer was cut off");
		return;
	}
	/* With the first byte of content the status is final, and content was not wanted then. */
	if (result == CURLE_OK || (request->content.overflowed && request->n_most == 0)) {
		answer->status = (unsigned)status;
		if (curl_easy_getinfo(request->easy, CURLINFO_CONTENT_TYPE, &type) == CURLE_OK &&
		    type != NULL)
			log_escape(type, strlen(type), answer->type, sizeof answer->type);
		answer->content = buffer_text(&request->content);
		answer->n_content = request->content.n;
		finish(request, HTTPS_OK, "%s", "");
	} else if (request->content.overflowed) {
		finish(request, HTTPS_SIZE, "the answer is longer than %zu bytes", request->n_most);
	} else if (request->n_header > HTTPS_HEADER_MAX) {
		finish(request, HTTPS_SIZE, "the answer's header is longer than %d bytes",
		    HTTPS_HEADER_MAX);
	} else if (result == CURLE_PEER_FAILED_VERIFICATION) {
		finish(request, HTTPS_CERTIFICATE, "%s", why);
	} else if (result == CURLE_OPERATION_TIMEDOUT) {
		finish(request, HTTPS_TIME, "%s", why);
	} else {
		finish(request, HTTPS_FAILURE, "%s", why);
	}
}

/*
 * RFC 9112 9.8: content that only the end of the connection ends is whole if TLS ended as well. libcurl
 * does not ask; a policy that somebody cut would read as one with fewer hosts, or a shorter life.
 */
static bool is_cut_off(struct https_request *request)
{
	curl_off_t length = -1;

	curl_easy_getinfo(request->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	return request->n_most > 0 && length < 0 && !request->is_chunked && !request->has_ended;
}

static void on_deadline(void *arg)
{
	struct https_request *request = arg;

	if (request->is_running)
		finish(request, HTTPS_TIME, "no answer within %lld seconds",
		    (long long)request->https->timeout_ms / 1000);
	else
		finish(request, HTTPS_BUSY, "%zu other requests were under way all the time",
		    request->https->at_once);
}

static void finish(
    struct https_request *request, enum https_problem problem, const char *format, ...)
{
	struct https *https = request->https;
	char why[2 * HTTPS_WHY_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof why, format, args);
	va_end(args);
	request->answer.problem = problem;
	log_escape(why, strlen(why), request->answer.why, sizeof request->answer.why);
	request->done(&request->answer, request->arg);
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
	query_cancel(&request->ipv4);
	query_cancel(&request->ipv6);
	if (request->easy != NULL) {
		if (request->multi != NULL)
			curl_multi_remove_handle(request->multi, request->easy);
		curl_easy_cleanup(request->easy);
	}
	if (request->multi != NULL)
		curl_multi_cleanup(request->multi);
	while (!LIST_EMPTY(&request->sockets))
		stop_watching(LIST_FIRST(&request->sockets));
	curl_slist_free_all(request->resolve);
	curl_slist_free_all(request->header);
	timer_destroy(&request->turn);
	timer_destroy(&request->deadline);
	buffer_finish(&request->addresses);
	buffer_finish(&request->content);
	free(request->host);
	free(request->path);
	free(request->type);
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
	if (old->has_curl)
		curl_global_cleanup();
	free(old);
	*https = NULL;
}
