#include "relay/secure.h"

#include <stdio.h>
#include <stdlib.h>

#include "relay/base/log.h"
#include "relay/base/mem.h"

struct secure {
	struct stream *stream;
	struct timer *deadline; /* or, set to now, the moment to tell of early input */
	char peer[OUTCOME_WHO_MAX];
	int64_t timeout_ms;
	bool spoke_early;
	secure_done *done;
	void *arg;
};

static void on_secured(struct stream *stream, const struct outcome *outcome, void *arg);
static void on_deadline(void *arg);
static void log_connection(const struct secure *s);
static void finish(struct secure *s, struct outcome outcome);

static const struct stream_calls calls = { .secured = on_secured };

/*
 * Whatever stands in the input was said in plaintext by anybody on the way, and would otherwise be
 * read as the server's answer under TLS (CVE-2011-0411 and its family).
 */
struct secure *secure_start(struct loop *loop, struct stream *stream, struct tls_context *context,
    const struct tls_requirement *requirement, const char *peer, int64_t timeout_ms,
    secure_done *done, void *arg)
{
	struct secure *s = mem_create(sizeof *s);

	s->stream = stream;
	s->timeout_ms = timeout_ms;
	s->done = done;
	s->arg = arg;
	snprintf(s->peer, sizeof s->peer, "%s", peer);
	s->deadline = timer_create_in(loop, on_deadline, s);
	s->spoke_early = stream_has_input(stream);
	if (s->spoke_early) {
		stream_set_calls(stream, NULL, NULL);
		timer_set(s->deadline, 0);
		return s;
	}
	stream_set_calls(stream, &calls, s);
	stream_start_tls_client(stream, context, requirement, peer);
	timer_set(s->deadline, timeout_ms);
	return s;
}

static void on_secured(struct stream *stream, const struct outcome *outcome, void *arg)
{
	struct secure *s = arg;

	(void)stream;
	if (outcome_is_ok(outcome))
		log_connection(s);
	finish(s, *outcome);
}

static void log_connection(const struct secure *s)
{
	char line[1024];

	tls_evidence_print(stream_evidence(s->stream), "to", s->peer, line, sizeof line);
	log_info("%s", line);
}

static void on_deadline(void *arg)
{
	struct secure *s = arg;
	struct outcome outcome;

	if (s->spoke_early)
		outcome_say(&outcome, 454, "4.7.0", "starttls-early-input",
		    "The server sent plaintext between its answer to STARTTLS and the handshake");
	else
		outcome_say(&outcome, 454, "4.7.5", "tls-timeout",
		    "The TLS handshake did not end within %lld s", (long long)s->timeout_ms / 1000);
	finish(s, outcome);
}

static void finish(struct secure *s, struct outcome outcome)
{
	secure_done *done = s->done;
	void *arg = s->arg;

	if (!outcome_is_ok(&outcome))
		snprintf(outcome.who, sizeof outcome.who, "%s", s->peer);
	secure_cancel(&s);
	done(&outcome, arg);
}

void secure_cancel(struct secure **secure)
{
	struct secure *s = *secure;

	if (s == NULL)
		return;
	stream_set_calls(s->stream, NULL, NULL);
	timer_destroy(&s->deadline);
	free(s);
	*secure = NULL;
}
