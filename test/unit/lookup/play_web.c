#include "play_web.h"

#include <arpa/inet.h>
#include <assert.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay/base/buffer.h"
#include "relay/base/mem.h"

enum { TURN_MS = 20, TURNS_MAX = 1500, REQUEST_MAX = 1 << 20 };

struct web {
	pthread_t thread;
	pthread_mutex_t lock; /* of all below */
	int fd;
	uint16_t port;
	bool is_over;
	const struct forged *const *chain;
	enum web_trick trick;
	struct buffer words;
	size_t n_requests;
	char *request, *name;
};

/* What one connection is to do. */
struct visit {
	struct web *web;
	int fd;
	SSL *ssl;
	enum web_trick trick;
	char *words;
	size_t n;
};

static void *serve(void *arg);
static bool is_over(struct web *web);
static void take(struct web *web, int fd);
static void speak(struct visit *visit);
static void read_request(struct visit *visit);
static size_t content_length(const char *request);
static void wait_for_end(struct visit *visit);

struct web *web_start(const char *address, const struct forged *const *chain)
{
	struct web *web = mem_create(sizeof *web);
	bool is_ipv6 = strchr(address, ':') != NULL;
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	struct sockaddr_in four = { .sin_family = AF_INET };
	struct sockaddr *name = is_ipv6 ? (struct sockaddr *)&six : (struct sockaddr *)&four;
	socklen_t n = is_ipv6 ? sizeof six : sizeof four;

	web->fd = socket(name->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert(inet_pton(name->sa_family, address,
		   is_ipv6 ? (void *)&six.sin6_addr : (void *)&four.sin_addr) == 1);
	assert(web->fd >= 0 && bind(web->fd, name, n) == 0 && listen(web->fd, 100) == 0);
	assert(getsockname(web->fd, name, &n) == 0);
	web->port = ntohs(is_ipv6 ? six.sin6_port : four.sin_port);
	web->chain = chain;
	buffer_init(&web->words, 1 << 24);
	pthread_mutex_init(&web->lock, NULL);
	assert(pthread_create(&web->thread, NULL, serve, web) == 0);
	return web;
}

void web_stop(struct web **web)
{
	struct web *old = *web;

	pthread_mutex_lock(&old->lock);
	old->is_over = true;
	pthread_mutex_unlock(&old->lock);
	pthread_join(old->thread, NULL);
	pthread_mutex_destroy(&old->lock);
	close(old->fd);
	buffer_finish(&old->words);
	free(old->request);
	free(old->name);
	free(old);
	*web = NULL;
}

uint16_t web_port(const struct web *web)
{
	return web->port;
}

void web_show(struct web *web, const struct forged *const *chain)
{
	pthread_mutex_lock(&web->lock);
	web->chain = chain;
	pthread_mutex_unlock(&web->lock);
}

void web_say(struct web *web, enum web_trick trick, const void *words, size_t n)
{
	pthread_mutex_lock(&web->lock);
	web->trick = trick;
	buffer_clear(&web->words);
	assert(buffer_add(&web->words, words, n));
	pthread_mutex_unlock(&web->lock);
}

void web_say_content(struct web *web, const char *content)
{
	char *words = mem_print("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
				"Content-Length: %zu\r\n\r\n%s",
	    strlen(content), content);

	web_say(web, WEB_ANSWERS, words, strlen(words));
	free(words);
}

size_t web_n_requests(struct web *web)
{
	size_t n;

	pthread_mutex_lock(&web->lock);
	n = web->n_requests;
	pthread_mutex_unlock(&web->lock);
	return n;
}

char *web_last_request(struct web *web)
{
	char *text;

	pthread_mutex_lock(&web->lock);
	text = mem_copy_text(web->request != NULL ? web->request : "");
	pthread_mutex_unlock(&web->lock);
	return text;
}

char *web_last_name(struct web *web)
{
	char *text;

	pthread_mutex_lock(&web->lock);
	text = mem_copy_text(web->name != NULL ? web->name : "");
	pthread_mutex_unlock(&web->lock);
	return text;
}

static void *serve(void *arg)
{
	struct web *web = arg;
	struct pollfd one = { .fd = web->fd, .events = POLLIN };

	while (!is_over(web)) {
		int fd;

		if (poll(&one, 1, TURN_MS) <= 0)
			continue;
		fd = accept4(web->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		take(web, fd);
		close(fd);
	}
	return NULL;
}

static bool is_over(struct web *web)
{
	bool over;

	pthread_mutex_lock(&web->lock);
	over = web->is_over;
	pthread_mutex_unlock(&web->lock);
	return over;
}

static void take(struct web *web, int fd)
{
	const struct timeval longest = { .tv_sec = 5 };
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	struct visit visit = { .web = web, .fd = fd };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &longest, sizeof longest);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &longest, sizeof longest);
	pthread_mutex_lock(&web->lock);
	SSL_CTX_use_certificate(ctx, web->chain[0]->certificate);
	SSL_CTX_use_PrivateKey(ctx, web->chain[0]->key);
	for (size_t i = 1; web->chain[i] != NULL; i++)
		SSL_CTX_add1_chain_cert(ctx, web->chain[i]->certificate);
	visit.trick = web->trick;
	visit.n = web->words.n;
	visit.words = mem_copy(buffer_text(&web->words), visit.n);
	pthread_mutex_unlock(&web->lock);
	if (visit.trick == WEB_TLS_1_1) {
		SSL_CTX_set_security_level(ctx, 0);
		SSL_CTX_set_max_proto_version(ctx, TLS1_1_VERSION);
		SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
	}
	if (visit.trick == WEB_NO_TLS) {
		if (write(fd, visit.words, visit.n) > 0)
			wait_for_end(&visit);
	} else if (visit.trick == WEB_NO_SHAKE) {
		wait_for_end(&visit);
	} else {
		visit.ssl = SSL_new(ctx);
		SSL_set_fd(visit.ssl, fd);
		if (SSL_accept(visit.ssl) == 1)
			speak(&visit);
		SSL_free(visit.ssl);
	}
	free(visit.words);
	SSL_CTX_free(ctx);
}

static void speak(struct visit *visit)
{
	size_t step = visit->trick == WEB_DRIPS ? 1 : visit->n;
	size_t n_cut = 0;

	read_request(visit);
	if (visit->trick == WEB_SILENT) {
		wait_for_end(visit);
		return;
	}
	for (size_t at = 0; at < visit->n && !is_over(visit->web); at += step) {
		if (SSL_write_ex(visit->ssl, visit->words + at, step, &n_cut) != 1)
			return;
		if (visit->trick == WEB_DRIPS)
			poll(NULL, 0, TURN_MS);
	}
	if (visit->trick != WEB_CUTS)
		SSL_shutdown(visit->ssl);
}

static void read_request(struct visit *visit)
{
	struct web *web = visit->web;
	struct buffer text;
	const char *end = NULL;
	char chunk[4096];
	size_t n;

	buffer_init(&text, REQUEST_MAX);
	while (
	    end == NULL || text.n < (size_t)(end + 4 - text.bytes) + content_length(text.bytes)) {
		if (SSL_read_ex(visit->ssl, chunk, sizeof chunk, &n) != 1)
			break;
		buffer_add(&text, chunk, n);
		end = strstr(text.bytes, "\r\n\r\n");
	}
	pthread_mutex_lock(&web->lock);
	free(web->request);
	free(web->name);
	web->request = buffer_take(&text);
	web->name = mem_copy_text(SSL_get_servername(visit->ssl, TLSEXT_NAMETYPE_host_name));
	web->n_requests++;
	pthread_mutex_unlock(&web->lock);
}

static size_t content_length(const char *request)
{
	const char *field = strcasestr(request, "\r\nContent-Length:");

	return field != NULL ? strtoul(field + 17, NULL, 10) : 0;
}

/* Until the other side closes. */
static void wait_for_end(struct visit *visit)
{
	struct pollfd one = { .fd = visit->fd, .events = POLLIN };
	char chunk[4096];

	for (int i = 0; i < TURNS_MAX && !is_over(visit->web); i++) {
		if (poll(&one, 1, TURN_MS) > 0 && recv(visit->fd, chunk, sizeof chunk, 0) <= 0)
			return;
	}
}
