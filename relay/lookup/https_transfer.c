/*
 * libcurl in our event loop; the one file that meets it. Each transfer has a curl "multi" of its own,
 * so that no name cache, connection or session is shared, and what CURLOPT_RESOLVE told it about the
 * host lasts as long as the transfer: curl's own resolver never has a question to ask.
 */
#include "relay/lookup/https_transfer.h"

#include <curl/curl.h>
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

/* What curl watches. */
struct transfer_socket {
	LIST_ENTRY(transfer_socket) link;
	struct https_transfer *transfer;
	struct watch *readable, *writable;
};

struct https_transfer {
	struct loop *loop;
	struct tls_context *trust;
	const struct https_order *order;
	https_done *done;
	void *arg;

	CURLM *multi;
	CURL *easy;
	struct curl_slist *resolve, *header;
	struct timer *turn; /* when curl wants to be called */
	LIST_HEAD(, transfer_socket) sockets;
	char curl_why[CURL_ERROR_SIZE];
	size_t n_header;
	bool is_chunked, has_ended;
	struct buffer content;
	struct https_answer answer;
};

static bool set_up(struct https_transfer *transfer, const char *addresses);
static bool set_up_trust(struct https_transfer *transfer);
static bool set_up_content(struct https_transfer *transfer);
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg);
static void stop_watching(struct transfer_socket *s);
static void on_readable(int fd, void *arg);
static void on_writable(int fd, void *arg);
static int on_timer_wish(CURLM *multi, long wait_ms, void *arg);
static void on_turn(void *arg);
static void act(struct https_transfer *transfer, curl_socket_t fd, int what);
static CURLcode on_ssl_context(CURL *easy, void *ssl_ctx, void *arg);
static size_t on_header(char *bytes, size_t size, size_t n, void *arg);
static bool says_chunked(struct slice line);
static size_t on_content(char *bytes, size_t size, size_t n, void *arg);
static void transfer_over(struct https_transfer *transfer, CURLcode result);
static bool is_cut_off(struct https_transfer *transfer);
static void finish(struct https_transfer *transfer, enum https_problem problem, const char *format,
    ...) __attribute__((format(printf, 3, 4)));

bool https_library_start(void)
{
	return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

void https_library_stop(void)
{
	curl_global_cleanup();
}

struct https_transfer *https_transfer_start(struct loop *loop, struct tls_context *trust,
    const struct https_order *order, const char *addresses, https_done *done, void *arg)
{
	struct https_transfer *transfer = mem_create(sizeof *transfer);

	transfer->loop = loop;
	transfer->trust = trust;
	transfer->order = order;
	transfer->done = done;
	transfer->arg = arg;
	buffer_init(&transfer->content, order->n_most);
	LIST_INIT(&transfer->sockets);
	transfer->turn = timer_create_in(loop, on_turn, transfer);
	transfer->multi = curl_multi_init();
	transfer->easy = curl_easy_init();
	if (transfer->multi == NULL || transfer->easy == NULL || !set_up(transfer, addresses) ||
	    curl_multi_add_handle(transfer->multi, transfer->easy) != CURLM_OK)
		https_transfer_cancel(&transfer);
	return transfer;
}

static bool set_up(struct https_transfer *transfer, const char *addresses)
{
	CURL *easy = transfer->easy;
	char *url = mem_print(
	    "https://%s:%u%s", transfer->order->host, transfer->order->port, transfer->order->path);
	char *resolve =
	    mem_print("%s:%u:%s", transfer->order->host, transfer->order->port, addresses);
	bool good;

	transfer->resolve = curl_slist_append(NULL, resolve);
	good =
	    transfer->resolve != NULL &&
	    curl_multi_setopt(transfer->multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
	    curl_multi_setopt(transfer->multi, CURLMOPT_SOCKETDATA, transfer) == CURLM_OK &&
	    curl_multi_setopt(transfer->multi, CURLMOPT_TIMERFUNCTION, on_timer_wish) == CURLM_OK &&
	    curl_multi_setopt(transfer->multi, CURLMOPT_TIMERDATA, transfer) == CURLM_OK &&
	    curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_RESOLVE, transfer->resolve) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)HTTPS_CONNECT_MS) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->curl_why) == CURLE_OK &&
	    set_up_trust(transfer) && set_up_content(transfer);
	free(url);
	free(resolve);
	return good;
}

/*
 * The default locations of the library are no authorities of ours: they are taken away. Ours come in
 * on_ssl_context(), read once for all: as CURLOPT_CAINFO_BLOB libcurl would read them for each transfer
 * anew, which takes it a tenth of a second.
 */
static bool set_up_trust(struct https_transfer *transfer)
{
	CURL *easy = transfer->easy;

	return curl_easy_setopt(easy, CURLOPT_CAINFO, NULL) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) ==
		   CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_ssl_context) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, transfer) == CURLE_OK;
}

/* No Accept-Encoding: what comes is what was written. */
static bool set_up_content(struct https_transfer *transfer)
{
	CURL *easy = transfer->easy;
	char *type;
	bool good =
	    curl_easy_setopt(easy, CURLOPT_USERAGENT, "Zegel/" ZEGEL_VERSION) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_content) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer) == CURLE_OK;

	if (!good || transfer->order->type == NULL)
		return good;
	type = mem_print("Content-Type: %s", transfer->order->type);
	transfer->header = curl_slist_append(NULL, type);
	free(type);
	/* Without waiting for "100 Continue": most servers have none to give. */
	if (transfer->header == NULL || curl_slist_append(transfer->header, "Expect:") == NULL)
		return false;
	return curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->header) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
		   (curl_off_t)transfer->order->n_content) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_POSTFIELDS, transfer->order->content) == CURLE_OK;
}

static CURLcode on_ssl_context(CURL *easy, void *ssl_ctx, void *arg)
{
	struct https_transfer *transfer = arg;

	(void)easy;
	return tls_webpki_demand(
		   transfer->trust, ssl_ctx, transfer->order->host, &transfer->has_ended)
		   ? CURLE_OK
		   : CURLE_SSL_CERTPROBLEM;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct https_transfer *transfer = arg;
	struct transfer_socket *s = socket_arg;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (s != NULL)
			stop_watching(s);
		curl_multi_assign(transfer->multi, fd, NULL);
		return 0;
	}
	if (s == NULL) {
		s = mem_create(sizeof *s);
		s->transfer = transfer;
		s->readable = watch_create(transfer->loop, fd, WATCH_READ, on_readable, s);
		s->writable = watch_create(transfer->loop, fd, WATCH_WRITE, on_writable, s);
		LIST_INSERT_HEAD(&transfer->sockets, s, link);
		curl_multi_assign(transfer->multi, fd, s);
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

static void stop_watching(struct transfer_socket *s)
{
	LIST_REMOVE(s, link);
	watch_destroy(&s->readable);
	watch_destroy(&s->writable);
	free(s);
}

static void on_readable(int fd, void *arg)
{
	struct transfer_socket *s = arg;

	act(s->transfer, fd, CURL_CSELECT_IN);
}

static void on_writable(int fd, void *arg)
{
	struct transfer_socket *s = arg;

	act(s->transfer, fd, CURL_CSELECT_OUT);
}

static int on_timer_wish(CURLM *multi, long wait_ms, void *arg)
{
	struct https_transfer *transfer = arg;

	(void)multi;
	if (wait_ms < 0)
		timer_cancel(transfer->turn);
	else
		timer_set(transfer->turn, wait_ms);
	return 0;
}

static void on_turn(void *arg)
{
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static void act(struct https_transfer *transfer, curl_socket_t fd, int what)
{
	const CURLMsg *message;
	int n_running = 0, n_left = 0;

	if (curl_multi_socket_action(transfer->multi, fd, what, &n_running) != CURLM_OK) {
		finish(transfer, HTTPS_FAILURE, "libcurl failed");
		return;
	}
	while ((message = curl_multi_info_read(transfer->multi, &n_left)) != NULL) {
		if (message->msg == CURLMSG_DONE) {
			transfer_over(transfer, message->data.result);
			return;
		}
	}
}

static size_t on_header(char *bytes, size_t size, size_t n, void *arg)
{
	static const char status[] = "HTTP/";
	struct https_transfer *transfer = arg;
	struct slice line = { bytes, size * n };

	transfer->n_header += line.n;
	/* An interim answer (RFC 9110 15.2) says nothing about the one that follows it. */
	if (line.n >= sizeof status - 1 && memcmp(bytes, status, sizeof status - 1) == 0)
		transfer->is_chunked = false;
	else if (says_chunked(line))
		transfer->is_chunked = true;
	return transfer->n_header <= HTTPS_HEADER_MAX ? line.n : 0;
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
	struct https_transfer *transfer = arg;

	return buffer_add(&transfer->content, bytes, size * n) ? size * n : 0;
}

static void transfer_over(struct https_transfer *transfer, CURLcode result)
{
	struct https_answer *answer = &transfer->answer;
	const char *why =
	    transfer->curl_why[0] != '\0' ? transfer->curl_why : curl_easy_strerror(result);
	char *type = NULL;
	long status = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	if (result == CURLE_OK && is_cut_off(transfer)) {
		finish(transfer, HTTPS_FAILURE, "the answer was cut off");
		return;
	}
	/* With the first byte of content the status is final, and content was not wanted then. */
	if (result == CURLE_OK || (transfer->content.overflowed && transfer->order->n_most == 0)) {
		answer->status = (unsigned)status;
		if (curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_TYPE, &type) == CURLE_OK &&
		    type != NULL)
			log_escape(type, strlen(type), answer->type, sizeof answer->type);
		answer->content = buffer_text(&transfer->content);
		answer->n_content = transfer->content.n;
		finish(transfer, HTTPS_OK, "%s", "");
	} else if (transfer->content.overflowed) {
		finish(transfer, HTTPS_SIZE, "the answer is longer than %zu bytes",
		    transfer->order->n_most);
	} else if (transfer->n_header > HTTPS_HEADER_MAX) {
		finish(transfer, HTTPS_SIZE, "the answer's header is longer than %d bytes",
		    HTTPS_HEADER_MAX);
	} else if (result == CURLE_PEER_FAILED_VERIFICATION) {
		finish(transfer, HTTPS_CERTIFICATE, "%s", why);
	} else if (result == CURLE_OPERATION_TIMEDOUT) {
		finish(transfer, HTTPS_TIME, "%s", why);
	} else {
		finish(transfer, HTTPS_FAILURE, "%s", why);
	}
}

/*
 * RFC 9112 9.8: content that only the end of the connection ends is whole if TLS ended as well. libcurl
 * does not ask; a policy that somebody cut would read as one with fewer hosts, or a shorter life.
 */
static bool is_cut_off(struct https_transfer *transfer)
{
	curl_off_t length = -1;

	curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	return transfer->order->n_most > 0 && length < 0 && !transfer->is_chunked &&
	       !transfer->has_ended;
}

static void finish(
    struct https_transfer *transfer, enum https_problem problem, const char *format, ...)
{
	char why[2 * HTTPS_WHY_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof why, format, args);
	va_end(args);
	transfer->answer.problem = problem;
	log_escape(why, strlen(why), transfer->answer.why, sizeof transfer->answer.why);
	transfer->done(&transfer->answer, transfer->arg);
	https_transfer_cancel(&transfer);
}

void https_transfer_cancel(struct https_transfer **transfer)
{
	struct https_transfer *old = *transfer;

	if (old == NULL)
		return;
	if (old->easy != NULL) {
		if (old->multi != NULL)
			curl_multi_remove_handle(old->multi, old->easy);
		curl_easy_cleanup(old->easy);
	}
	if (old->multi != NULL)
		curl_multi_cleanup(old->multi);
	while (!LIST_EMPTY(&old->sockets))
		stop_watching(LIST_FIRST(&old->sockets));
	curl_slist_free_all(old->resolve);
	curl_slist_free_all(old->header);
	timer_destroy(&old->turn);
	buffer_finish(&old->content);
	free(old);
	*transfer = NULL;
}
