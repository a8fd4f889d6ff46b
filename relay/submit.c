#include "relay/submit_session.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay/accept.h"
#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/net/stream.h"
#include "relay/policy.h"
#include "relay/visitors.h"
#include "smtp/server.h"

enum {
	RATE_CHECK_S = 60,        /* the least rate is measured over this */
	STRESS_TIMEOUT_S = 10,    /* instead of the command timeout when the house is nearly full */
	HANDSHAKE_TIMEOUT_S = 30, /* for a client's handshake */
	LINGER_MS = 2000,
	HOUSE_FILES = 32, /* descriptors for everything but sessions */
};

static const char mechanisms[] = "PLAIN LOGIN SCRAM-SHA-256";

static void begin(struct submit *s, bool implicit_tls);
static void start_tls(struct submit *s);
static void on_readable(struct stream *stream, void *arg);
static void on_secured(struct stream *stream, const struct outcome *outcome, void *arg);
static void on_ended(struct stream *stream, enum stream_end end, void *arg);
static void on_deadline(void *arg);
static void on_content_ready(void *arg);
static void on_accepted(void *arg, const struct outcome *outcome);
static void on_gone(void *arg);
static void on_turn(void *arg);
static void tell_if_empty(struct submit_house *house);
static void part(struct submit *s);
static void destroy(struct submit *s);

static const struct stream_calls stream_calls = {
	.readable = on_readable,
	.secured = on_secured,
	.ended = on_ended,
};

/* ---- the house ---- */

/* Each session may need a second descriptor for its message, and a third while it takes its leave. */
static size_t most_sessions(const struct config *config)
{
	size_t most = config->limits.sessions, files_for;
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY)
		return most;
	files_for = files.rlim_cur > HOUSE_FILES ? (size_t)(files.rlim_cur - HOUSE_FILES) / 3 : 0;
	if (files_for >= most)
		return most;
	files_for = files_for > 0 ? files_for : 1;
	log_warning(
	    "only %zu sessions at once, not %zu: this process may open no more files (raise "
	    "LimitNOFILE, or lower \"sessions\")",
	    files_for, most);
	return files_for;
}

void submit_house_init(struct submit_house *house)
{
	TAILQ_INIT(&house->sessions);
	house->n_most = most_sessions(house->config);
	house->visitors = visitors_create();
	house->turn = timer_create_in(house->loop, on_turn, house);
	outcome_say(&house->storage, 451, "4.3.0", "queue-unavailable",
	    "The queue is not ready; try again soon");
}

void submit_house_finish(struct submit_house *house)
{
	struct submit *s;

	house->emptied = NULL;
	timer_destroy(&house->turn);
	while ((s = TAILQ_FIRST(&house->sessions)) != NULL)
		destroy(s);
	visitors_destroy(&house->visitors);
}

/* "emptied" comes from the loop, for a house that was empty already too. */
static void on_turn(void *arg)
{
	tell_if_empty(arg);
}

static bool is_stressed(const struct submit_house *house)
{
	return house->n_sessions > house->n_most / 4 * 3;
}

/* ---- a session begins ---- */

void submit_start(struct submit_house *house, int fd, const char *peer, bool implicit_tls)
{
	const struct config_limits *limits = &house->config->limits;
	const struct smtp_server_settings settings = { .hostname = house->config->hostname,
		.message_size = limits->message_size,
		.recipients = limits->recipients,
		.errors = is_stressed(house) ? 1 + limits->errors / 4 : limits->errors,
		.auth_failures = limits->auth_failures,
		.line_length = limits->line_length,
		.header_size = limits->header_size,
		.mechanisms = mechanisms };
	struct submit *s = mem_create(sizeof *s);

	s->house = house;
	s->stream = stream_create(house->loop, fd);
	s->smtp = smtp_server_create(&settings);
	s->deadline = timer_create_in(house->loop, on_deadline, s);
	s->delay = timer_create_in(house->loop, submit_refuse_login, s);
	snprintf(s->client, sizeof s->client, "%s", peer);
	TAILQ_INSERT_TAIL(&house->sessions, s, link);
	house->n_sessions++;
	begin(s, implicit_tls);
}

/* A client that talks before we have greeted it is no mail client (or not one for this port). */
static bool talks_first(const struct submit *s)
{
	char byte;

	return recv(stream_fd(s->stream), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

static void turn_away(
    struct submit *s, int code, const char *enhanced, const char *name, const char *reason)
{
	struct outcome why;

	outcome_say(&why, code, enhanced, name, "%s", reason);
	log_warning("unknown[%s] was turned away: %s [%s]", s->client, why.text, name);
	smtp_server_turn_away(s->smtp, &why, stream_output(s->stream));
	part(s);
}

static void begin(struct submit *s, bool implicit_tls)
{
	const struct config_limits *limits = &s->house->config->limits;
	size_t n_here = visitors_enter(s->house->visitors, s->client);

	if (s->house->n_lingering >= s->house->n_most) {
		destroy(s); /* a flood: there is no room to say so */
		return;
	}
	if (s->house->n_sessions > s->house->n_most) {
		turn_away(s, 421, "4.3.2", "sessions",
		    "Too many sessions at once; try again in a minute");
		return;
	}
	if (n_here > limits->sessions_per_client) {
		turn_away(s, 421, "4.7.0", "sessions-per-client",
		    "Too many sessions from your address; end one or try again in a minute");
		return;
	}
	if (!implicit_tls && talks_first(s)) {
		turn_away(s, 554, "5.5.1", "early-talk", "You spoke before the greeting");
		return;
	}
	log_info("connect from unknown[%s]", s->client);
	stream_set_calls(s->stream, &stream_calls, s);
	if (implicit_tls) {
		start_tls(s);
		return;
	}
	smtp_server_greet(s->smtp, false, stream_output(s->stream));
	submit_serve(s);
}

static void on_secured(struct stream *stream, const struct outcome *outcome, void *arg)
{
	struct submit *s = arg;
	char line[512];

	if (!outcome_is_ok(outcome)) {
		log_info("lost connection after STARTTLS from unknown[%s]: %s", s->client,
		    outcome->text);
		destroy(s);
		return;
	}
	tls_evidence_print(stream_evidence(stream), "from", s->client, line, sizeof line);
	log_info("%s", line);
	timer_cancel(s->deadline);
	s->busy = BUSY_NOT;
	if (smtp_server_client_name(s->smtp)[0] == '\0' && !smtp_server_said_ehlo(s->smtp))
		smtp_server_greet(s->smtp, true, stream_output(s->stream));
	else
		smtp_server_secured(s->smtp);
	submit_serve(s);
}

/* ---- serving it ---- */

/*
 * A command has its time as a whole, and content each minute of it: what drips in is no sign of life.
 * So a deadline that runs goes on, until something was answered.
 */
static void set_deadline(struct submit *s)
{
	uint32_t seconds = s->house->config->limits.command_timeout;

	if (timer_is_set(s->deadline))
		return;
	if (smtp_server_in_content(s->smtp))
		seconds = RATE_CHECK_S;
	else if (is_stressed(s->house) && seconds > STRESS_TIMEOUT_S)
		seconds = STRESS_TIMEOUT_S;
	timer_set(s->deadline, (int64_t)seconds * 1000);
}

static void log_refusal(const struct submit *s, const char *what, const struct outcome *why)
{
	log_info("%s: reject: %s from unknown[%s]: %d %s %s; from=<%s> proto=ESMTP helo=<%s>%s%s%s",
	    s->accept != NULL ? accept_id(s->accept) : "NOQUEUE", what, s->client, why->code,
	    why->enhanced, why->text, smtp_server_sender(s->smtp)->text,
	    smtp_server_client_name(s->smtp), why->name[0] != '\0' ? " [" : "", why->name,
	    why->name[0] != '\0' ? "]" : "");
}

static void answer(struct submit *s, const char *what, const struct outcome *verdict)
{
	if (!outcome_is_ok(verdict))
		log_refusal(s, what, verdict);
	timer_cancel(s->deadline);
	smtp_server_answer(s->smtp, verdict, stream_output(s->stream));
}

static void judge_sender(struct submit *s)
{
	struct outcome verdict;
	uint64_t size = smtp_server_declared_size(s->smtp);

	if (s->house->is_draining) {
		outcome_say(&verdict, 421, "4.3.2", "restarting",
		    "This server is restarting: connect again");
	} else if (!policy_sender(s->account, smtp_server_sender(s->smtp), &verdict)) {
		/* the verdict says which rule */
	} else if (!outcome_is_ok(&s->house->storage)) {
		verdict = s->house->storage;
	} else if (size > s->house->room_bytes) {
		outcome_say(&verdict, 452, "4.3.1", "disk-full",
		    "No room to keep a message of that size now; try again later");
	}
	s->recipients_weight = 0;
	answer(s, "MAIL", &verdict);
}

static void judge_recipient(struct submit *s)
{
	size_t weight = accept_weight(smtp_server_recipient(s->smtp)->text);
	struct outcome verdict;

	outcome_ok(&verdict);
	if (s->recipients_weight + weight > ACCEPT_RECIPIENTS_BYTES_MAX)
		outcome_say(&verdict, 452, "4.5.3", "recipients-too-long",
		    "The recipients' addresses are too long together: send to these, then to the "
		    "others");
	else
		s->recipients_weight += weight;
	answer(s, "RCPT", &verdict);
}

static void begin_content(struct submit *s)
{
	const struct tls_evidence *tls = stream_evidence(s->stream);
	const struct accept_facts facts = { .account = s->account,
		.sender = smtp_server_sender(s->smtp)->text,
		.client_name = smtp_server_client_name(s->smtp),
		.tls_version = tls->protocol,
		.tls_cipher = tls->cipher,
		.declared_size = smtp_server_declared_size(s->smtp),
		.requires_tls = smtp_server_requires_tls(s->smtp) };
	struct outcome verdict;

	assert(s->accept == NULL);
	s->accept = accept_create(s->house, &facts);
	s->content_began_ms = clock_monotonic_ms();
	s->received_before = stream_n_received(s->stream);
	log_info("%s: client=unknown[%s], sasl_method=%s, sasl_username=%s%s", accept_id(s->accept),
	    s->client, s->auth_mechanism, s->account->name,
	    facts.requires_tls ? ", requiretls=yes" : "");
	outcome_ok(&verdict);
	answer(s, "DATA", &verdict);
}

/* False: wait until the content may go on. */
static bool take_content(struct submit *s)
{
	struct slice piece = smtp_server_content(s->smtp);
	struct outcome why;

	switch (accept_take(s->accept, piece.bytes, piece.n, &why, on_content_ready, s)) {
	case ACCEPT_GOES_ON: return true;
	case ACCEPT_WAITS: s->busy = BUSY_CONTENT; return false;
	case ACCEPT_REFUSED:
		log_refusal(s, "DATA", &why);
		smtp_server_refuse_content(s->smtp, &why);
		return true;
	}
	return true;
}

static void on_content_ready(void *arg)
{
	struct submit *s = arg;
	struct outcome why;

	s->busy = BUSY_NOT;
	if (s->stream == NULL) {
		destroy(s);
		return;
	}
	if (accept_take(s->accept, "", 0, &why, NULL, NULL) == ACCEPT_REFUSED) {
		log_refusal(s, "DATA", &why);
		smtp_server_refuse_content(s->smtp, &why);
	}
	submit_serve(s);
}

static void finish_content(struct submit *s)
{
	size_t n = smtp_server_n_recipients(s->smtp);
	const char **recipients = mem_create(n * sizeof *recipients);

	for (size_t i = 0; i < n; i++)
		recipients[i] = smtp_server_recipient_at(s->smtp, i);
	s->busy = BUSY_ACCEPT;
	timer_cancel(s->deadline); /* the steps of accept have limits of their own */
	accept_finish(s->accept, recipients, n, on_accepted, s);
	free(recipients);
}

static void on_accepted(void *arg, const struct outcome *outcome)
{
	struct submit *s = arg;

	if (s->stream == NULL) {
		log_info("%s: the client left before it heard: %d %s %s", accept_id(s->accept),
		    outcome->code, outcome->enhanced, outcome->text);
		destroy(s);
		return;
	}
	s->busy = BUSY_NOT;
	answer(s, "END-OF-MESSAGE", outcome);
	accept_destroy(&s->accept);
	submit_serve(s);
}

/* ---- the session's loop ---- */

static void start_tls(struct submit *s)
{
	s->busy = BUSY_TLS;
	timer_set(
	    s->deadline, 1000 * (is_stressed(s->house) ? STRESS_TIMEOUT_S : HANDSHAKE_TIMEOUT_S));
	stream_start_tls_server(s->stream, s->house->tls);
}

/* One turn: false when the session waits or is gone. */
static bool serve_want(struct submit *s, enum smtp_want want)
{
	switch (want) {
	case SMTP_WANT_INPUT: set_deadline(s); return false;
	case SMTP_WANT_STARTTLS: start_tls(s); return false;
	case SMTP_WANT_AUTH: submit_ask_login(s); return false;
	case SMTP_WANT_MAIL: judge_sender(s); return true;
	case SMTP_WANT_RCPT: judge_recipient(s); return true;
	case SMTP_WANT_DATA: begin_content(s); return true;
	case SMTP_WANT_CONTENT: return take_content(s);
	case SMTP_WANT_ACCEPT: finish_content(s); return false;
	case SMTP_WANT_CLOSE: part(s); return false;
	}
	return false;
}

/* Between two messages of a house that is closing. */
static bool is_to_be_dismissed(const struct submit *s)
{
	return s->house->is_draining && s->busy == BUSY_NOT && s->accept == NULL &&
	       !smtp_server_in_content(s->smtp) && smtp_server_sender(s->smtp)->text[0] == '\0';
}

static void dismiss(struct submit *s, const char *enhanced, const char *name, const char *reason)
{
	struct outcome why;

	outcome_say(&why, 421, enhanced, name, "%s", reason);
	smtp_server_dismiss(s->smtp, &why, stream_output(s->stream));
	part(s);
}

/* What the protocol refuses without asking us: bad paths, bare line feeds, unknown verbs. */
static void log_own_refusal(struct submit *s)
{
	struct outcome why;

	if (smtp_server_refused(s->smtp, &why))
		log_refusal(
		    s, smtp_server_in_content(s->smtp) || s->accept != NULL ? "DATA" : "CMD", &why);
}

void submit_serve(struct submit *s)
{
	enum smtp_want want;

	do {
		size_t n_unsent = stream_n_unsent(s->stream);

		want =
		    smtp_server_input(s->smtp, stream_input(s->stream), stream_output(s->stream));
		if (stream_n_unsent(s->stream) != n_unsent)
			timer_cancel(s->deadline);
		log_own_refusal(s);
		if (smtp_server_aborted(s->smtp))
			accept_destroy(&s->accept);
		if (want == SMTP_WANT_INPUT && is_to_be_dismissed(s)) {
			dismiss(
			    s, "4.3.2", "restarting", "This server is restarting: connect again");
			return;
		}
	} while (serve_want(s, want));
}

static void on_readable(struct stream *stream, void *arg)
{
	struct submit *s = arg;

	(void)stream;
	if (s->busy == BUSY_NOT)
		submit_serve(s);
}

/* ---- its limits in time ---- */

static void check_rate(struct submit *s)
{
	const struct config_limits *limits = &s->house->config->limits;
	uint64_t received = stream_n_received(s->stream);
	int64_t took_ms = clock_monotonic_ms() - s->content_began_ms;

	if (received - s->received_before >= (uint64_t)limits->data_rate * RATE_CHECK_S &&
	    took_ms < (int64_t)limits->data_timeout * 1000) {
		s->received_before = received;
		timer_set(s->deadline, RATE_CHECK_S * 1000);
		return;
	}
	log_info("timeout after DATA from unknown[%s]", s->client);
	dismiss(s, "4.4.2", "data-timeout", "The content comes too slowly; try again later");
}

static void on_deadline(void *arg)
{
	struct submit *s = arg;

	if (s->busy == BUSY_TLS) {
		log_info("timeout after STARTTLS from unknown[%s]", s->client);
		destroy(s);
	} else if (smtp_server_in_content(s->smtp)) {
		check_rate(s);
	} else {
		log_info("timeout after CMD from unknown[%s]", s->client);
		dismiss(s, "4.4.2", "command-timeout", "Nothing was said for too long");
	}
}

/* ---- the end ---- */

static void on_ended(struct stream *stream, enum stream_end end, void *arg)
{
	struct submit *s = arg;

	(void)stream, (void)end;
	if (s->busy == BUSY_ACCEPT) {
		/* The content is whole and ours to keep; only the answer goes nowhere. */
		stream_destroy(&s->stream);
		return;
	}
	if (smtp_server_in_content(s->smtp))
		log_info("lost connection after DATA from unknown[%s]", s->client);
	part(s);
}

/* Sends what is left to say, then goes. */
static void part(struct submit *s)
{
	log_info("disconnect from unknown[%s]", s->client);
	if (s->stream != NULL) {
		s->house->n_lingering++;
		stream_close(&s->stream, LINGER_MS, on_gone, s->house);
	}
	destroy(s);
}

/* The client has our last word, or took too long for it. */
static void on_gone(void *arg)
{
	struct submit_house *house = arg;

	house->n_lingering--;
	tell_if_empty(house);
}

static void tell_if_empty(struct submit_house *house)
{
	if (house->is_draining && house->n_sessions == 0 && house->n_lingering == 0 &&
	    house->emptied != NULL)
		house->emptied(house->emptied_arg);
}

static void destroy(struct submit *s)
{
	struct submit_house *house = s->house;

	if (s->auth_question != 0)
		asker_cancel(house->auth, s->auth_question);
	submit_forget_login(s);
	accept_destroy(&s->accept);
	stream_destroy(&s->stream);
	smtp_server_destroy(&s->smtp);
	timer_destroy(&s->deadline);
	timer_destroy(&s->delay);
	visitors_leave(house->visitors, s->client);
	TAILQ_REMOVE(&house->sessions, s, link);
	house->n_sessions--;
	free(s);
	tell_if_empty(house);
}

void submit_drain(struct submit_house *house, loop_call *emptied, void *arg)
{
	struct submit *s, *next;

	house->is_draining = true;
	house->emptied = emptied;
	house->emptied_arg = arg;
	for (s = TAILQ_FIRST(&house->sessions); s != NULL; s = next) {
		next = TAILQ_NEXT(s, link);
		if (is_to_be_dismissed(s))
			dismiss(
			    s, "4.3.2", "restarting", "This server is restarting: connect again");
	}
	timer_set(house->turn, 0);
}

void submit_dismiss_all(struct submit_house *house)
{
	struct submit *s, *next;

	for (s = TAILQ_FIRST(&house->sessions); s != NULL; s = next) {
		next = TAILQ_NEXT(s, link);
		if (s->busy == BUSY_ACCEPT || s->stream == NULL)
			continue;
		if (s->busy == BUSY_TLS)
			destroy(s);
		else
			dismiss(
			    s, "4.3.2", "restarting", "This server is restarting: connect again");
	}
}
