#include "relay/tlsrpt_send.h"

#include <stdlib.h>
#include <string.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/lookup/answer.h"
#include "relay/step.h"
#include "relay/tlsrpt_mail.h"
#include "relay/tlsrpt_record.h"

struct step {
	const char *name;
	enum flow (*run)(struct tlsrpt_sending *);
};

enum uri_state { URI_TO_TRY, URI_FAILED, URI_DONE };

/* One report on its way. */
struct tlsrpt_sending {
	const struct tlsrpt_house *house;
	struct timer *turn;
	const struct step *step;
	struct spool_tlsrpt about; /* its texts are owned */
	struct tls_report report;
	struct buffer gzip;
	char *uris[TLSRPT_URIS_MAX];
	enum uri_state states[TLSRPT_URIS_MAX];
	size_t n_uris, at;                /* the one being tried */
	uint64_t question;                /* to the lookup; 0: none */
	const struct ipc_message *answer; /* of it, during the next step; NULL: none came */
	struct letter *letter;
	const struct message *mail; /* during the next step */
	char mail_id[QUEUE_ID_MAX]; /* of the one being noted; "" by HTTPS */
	struct outcome outcome;     /* of the last thing awaited */
	tlsrpt_sent *done;
	void *arg;
	bool is_stopped;
	bool is_unknown; /* where it is to go: the domain could not be asked */
};

/* The steps, in the order of time. */
#define STEPS(STEP)                                                                                \
	STEP(ask)      /* where does the domain want it? */                                        \
	STEP(asked)    /* the TXT record, or none */                                               \
	STEP(read)     /* what was counted */                                                      \
	STEP(compose)  /* as text, compressed */                                                   \
	STEP(pick)     /* the next place it goes to */                                             \
	STEP(mailed)   /* sealed and put down, or not */                                           \
	STEP(posted)   /* taken, or not */                                                         \
	STEP(noted)    /* on disk that it went there */                                            \
	STEP(put_off)  /* what is left is tried again later, or given up */                        \
	STEP(put_away) /* that is on disk */

#define STEP(name)                                                                                 \
	static enum flow name(struct tlsrpt_sending *);                                            \
	static const struct step step_##name = { #name, name };
STEPS(STEP)
#undef STEP

static void on_turn(void *arg);
static void run(struct tlsrpt_sending *s);
static void on_answer(void *arg, const struct ipc_message *answer);
static void on_read(void *arg, const struct spool_tlsrpt *about, struct tls_report *report);
static enum flow send_mail(struct tlsrpt_sending *s, const struct smtp_address *to);
static enum flow send_post(struct tlsrpt_sending *s);
static void on_letter(void *arg, const struct outcome *why, const struct message *letter);
static enum flow note_sent(struct tlsrpt_sending *s, const struct message *mail);
static void on_moved(void *arg, const struct outcome *outcome);
static void say_failed(const struct tlsrpt_sending *s, const char *whom, const char *why);
static void split_uris(struct tlsrpt_sending *s, const char *lines);
static char *uris_left(const struct tlsrpt_sending *s);
static void destroy(struct tlsrpt_sending *s);

bool tlsrpt_allows(const struct config *config, const char *domain)
{
	switch (config->tlsrpt.scope) {
	case TLSRPT_OFF: return false;
	case TLSRPT_ALL: return true;
	case TLSRPT_LISTED: break;
	}
	for (size_t i = 0; i < config->tlsrpt.n_domains; i++) {
		if (strcmp(config->tlsrpt.domains[i], domain) == 0)
			return true;
	}
	return false;
}

void tlsrpt_fill(const struct config *config, int64_t number, struct tls_report *report)
{
	const char *contact = config->tlsrpt.contact;

	report->organization = mem_copy_text(config->tlsrpt.organization);
	report->contact = mem_copy_text(contact != NULL ? contact : "");
	report->id = mem_print(
	    "%lld.%lld@%s", (long long)report->start_s, (long long)number, config->hostname);
}

struct tlsrpt_sending *tlsrpt_sending_start(
    const struct tlsrpt_house *house, const struct spool_tlsrpt *due, tlsrpt_sent *done, void *arg)
{
	struct tlsrpt_sending *s = mem_create(sizeof *s);

	s->house = house;
	s->about = *due;
	s->about.domain = mem_copy_text(due->domain);
	s->about.uris = NULL;
	if (due->first_try_s == 0)
		s->about.first_try_s = clock_wall_s();
	split_uris(s, due->uris);
	buffer_init(&s->gzip, TLSRPT_GZIP_MAX);
	s->done = done;
	s->arg = arg;
	s->turn = timer_create_in(house->loop, on_turn, s);
	timer_set(s->turn, 0);
	s->step = &step_ask;
	return s;
}

void tlsrpt_sending_stop(struct tlsrpt_sending *s)
{
	s->is_stopped = true;
	timer_cancel(s->turn);
	asker_cancel(s->house->lookup, s->question);
	s->question = 0;
	letter_cancel(&s->letter);
}

void tlsrpt_sending_cancel(struct tlsrpt_sending **sending)
{
	if (*sending == NULL)
		return;
	tlsrpt_sending_stop(*sending);
	destroy(*sending);
	*sending = NULL;
}

int64_t tlsrpt_sending_number(const struct tlsrpt_sending *s)
{
	return s->about.number;
}

static void on_turn(void *arg)
{
	run(arg);
}

static void run(struct tlsrpt_sending *s)
{
	enum flow flow = FLOW_GO;

	while (flow == FLOW_GO)
		flow = s->step->run(s);
	if (flow == FLOW_END) {
		s->done(s, s->arg);
		destroy(s);
	}
}

/* ---- the three tails ---- */

static enum flow go(struct tlsrpt_sending *s, const struct step *next)
{
	s->step = next;
	return FLOW_GO;
}

/* Each thing awaited has its own time, and one callback. */
static enum flow await(struct tlsrpt_sending *s, const struct step *next)
{
	s->step = next;
	return FLOW_WAIT;
}

static enum flow finish(struct tlsrpt_sending *s)
{
	(void)s;
	return FLOW_END;
}

/* ---- the steps ---- */

/* Who may have none is not asked: what was counted goes. */
static enum flow ask(struct tlsrpt_sending *s)
{
	struct ipc_message m = { .type = IPC_TEXTS_ASK, .fd = -1 };
	char *name;

	if (!tlsrpt_allows(s->house->config, s->about.domain)) {
		for (size_t i = 0; i < s->n_uris; i++)
			s->states[i] = URI_DONE;
		return go(s, &step_put_off);
	}
	if (s->n_uris > 0)
		return go(s, &step_read); /* it was asked the first time */
	name = mem_print("_smtp._tls.%s", s->about.domain);
	m.texts_ask.name = name;
	s->question = asker_ask(s->house->lookup, 0, &m, on_answer, s);
	free(name);
	return await(s, &step_asked);
}

static void on_answer(void *arg, const struct ipc_message *answer)
{
	struct tlsrpt_sending *s = arg;

	s->question = 0;
	s->answer = answer;
	run(s);
}

static enum flow asked(struct tlsrpt_sending *s)
{
	const struct ipc_texts_say *said = s->answer != NULL ? &s->answer->texts_say : NULL;
	struct tlsrpt_record *record;
	const char **texts;

	s->answer = NULL;
	s->is_unknown =
	    said == NULL || (said->status != ANSWER_OK && said->status != ANSWER_NODATA &&
				said->status != ANSWER_NXDOMAIN);
	if (s->is_unknown) {
		say_failed(s, "its _smtp._tls record cannot be learned",
		    said != NULL ? said->why : "the lookup role did not answer");
		return go(s, &step_put_off);
	}
	record = mem_create(sizeof *record);
	texts = mem_create((said->strings.n + 1) * sizeof *texts);
	for (size_t i = 0; i < said->strings.n; i++)
		texts[i] = said->strings.items[i].text;
	if (tlsrpt_record_read(texts, said->strings.n, record) == TLSRPT_RECORD_INVALID)
		log_info("tlsrpt: domain=%s: its _smtp._tls record asks for reports in no way we "
			 "know: none is sent [tlsrpt-record]",
		    s->about.domain);
	for (size_t i = 0; i < record->n_uris; i++)
		s->uris[s->n_uris++] = mem_copy_text(record->uris[i]);
	free(texts);
	free(record);
	return go(s, s->n_uris > 0 ? &step_read : &step_put_off);
}

static enum flow read(struct tlsrpt_sending *s)
{
	spool_tlsrpt_read(s->house->spool, s->about.number, on_read, s);
	return await(s, &step_compose);
}

static void on_read(void *arg, const struct spool_tlsrpt *about, struct tls_report *report)
{
	struct tlsrpt_sending *s = arg;

	if (about != NULL) {
		s->report = *report;
		*report = (struct tls_report){ 0 };
	}
	run(s);
}

static enum flow compose(struct tlsrpt_sending *s)
{
	bool fits;
	char *text;

	if (s->is_stopped)
		return finish(s);
	if (s->report.end_s == 0)
		return go(s, &step_put_off); /* it is gone, or the database cannot be read now */
	tlsrpt_fill(s->house->config, s->about.number, &s->report);
	text = tls_report_write(&s->report);
	fits = tls_report_compress(text, strlen(text), &s->gzip);
	free(text);
	if (fits)
		return go(s, &step_pick);
	log_warning("tlsrpt: domain=%s: the report is larger than %d bytes and is not sent "
		    "[tlsrpt-large]",
	    s->about.domain, TLSRPT_GZIP_MAX);
	for (size_t i = 0; i < s->n_uris; i++)
		s->states[i] = URI_DONE;
	return go(s, &step_put_off);
}

static enum flow pick(struct tlsrpt_sending *s)
{
	struct smtp_address to;

	if (s->is_stopped)
		return finish(s);
	for (s->at = 0; s->at < s->n_uris && s->states[s->at] != URI_TO_TRY; s->at++)
		;
	if (s->at == s->n_uris)
		return go(s, &step_put_off);
	switch (tlsrpt_uri_read(s->uris[s->at], strlen(s->uris[s->at]), &to)) {
	case TLSRPT_URI_MAILTO: return send_mail(s, &to);
	case TLSRPT_URI_HTTPS: return send_post(s);
	case TLSRPT_URI_UNUSABLE: break;
	}
	s->states[s->at] = URI_DONE; /* what a version before could use */
	return go(s, &step_pick);
}

/* ---- by mail ---- */

/* Whatever TLS the receiver shows, it goes; and it is never counted itself (RFC 8460 3, 5.3). */
static enum flow send_mail(struct tlsrpt_sending *s, const struct smtp_address *to)
{
	const struct config *config = s->house->config;
	const char *from = config->tlsrpt.from;
	struct letter_draft draft = { .to = to->text,
		.from_domain = strrchr(from, '@') + 1,
		.now_s = clock_wall_s(),
		.expires_s = clock_wall_s() + TLSRPT_RETRY_S,
		.tls_optional = true,
		.is_report = true };
	struct tlsrpt_mail_facts facts = { .report = &s->report,
		.number = (uint64_t)s->about.number,
		.domain = s->about.domain,
		.gzip = { s->gzip.bytes, s->gzip.n },
		.from = from,
		.to = to->text,
		.hostname = config->hostname,
		.queue_id = draft.id,
		.now_s = draft.now_s };

	queue_id_make(draft.id);
	buffer_init(&draft.header, TLSRPT_HEADER_MAX);
	buffer_init(&draft.body, TLSRPT_BODY_MAX);
	if (!tlsrpt_mail_write(&facts, &draft.header, &draft.body))
		abort(); /* the buffers have the sizes it asks for */
	s->letter = letter_start(s->house->office, &draft, on_letter, s);
	return await(s, &step_mailed);
}

static void on_letter(void *arg, const struct outcome *why, const struct message *letter)
{
	struct tlsrpt_sending *s = arg;

	s->letter = NULL;
	s->outcome = *why;
	s->mail = letter;
	run(s);
}

static enum flow mailed(struct tlsrpt_sending *s)
{
	const struct message *mail = s->mail;

	s->mail = NULL;
	if (mail != NULL)
		return note_sent(s, mail);
	say_failed(s, s->uris[s->at], s->outcome.text);
	s->states[s->at] = URI_FAILED;
	return go(s, &step_pick);
}

/* ---- by HTTPS ---- */

static enum flow send_post(struct tlsrpt_sending *s)
{
	struct ipc_message m = { .type = IPC_POST_ASK, .fd = -1 };

	m.post_ask.url = s->uris[s->at];
	m.post_ask.type = "application/tlsrpt+gzip";
	m.post_ask.content = (struct slice){ s->gzip.bytes, s->gzip.n };
	s->question = asker_ask(s->house->lookup, 0, &m, on_answer, s);
	return await(s, &step_posted);
}

/* Who refuses it for good is not asked again. */
static enum flow posted(struct tlsrpt_sending *s)
{
	const struct outcome *outcome = s->answer != NULL ? &s->answer->post_say.outcome : NULL;
	bool is_refused = outcome != NULL && outcome->class == OUTCOME_FAIL;

	if (outcome != NULL && outcome_is_ok(outcome)) {
		s->answer = NULL;
		return note_sent(s, NULL);
	}
	say_failed(
	    s, s->uris[s->at], outcome != NULL ? outcome->text : "the lookup role did not answer");
	s->answer = NULL;
	s->states[s->at] = is_refused ? URI_DONE : URI_FAILED;
	return go(s, &step_pick);
}

/* ---- one place has it ---- */

/* The mail is in the queue, or it is not sent: with it goes the note that it is. */
static enum flow note_sent(struct tlsrpt_sending *s, const struct message *mail)
{
	char *left;

	s->states[s->at] = URI_DONE;
	left = uris_left(s);
	memcpy(s->mail_id, mail != NULL ? mail->id : "", mail != NULL ? sizeof mail->id : 1);
	spool_tlsrpt_move(s->house->spool,
	    &(struct spool_tlsrpt_move){ .number = s->about.number,
		.is_done = left[0] == '\0',
		.uris = left,
		.next_try_s = clock_wall_s(),
		.first_try_s = s->about.first_try_s,
		.n_tries = s->about.n_tries,
		.mail = mail },
	    on_moved, s);
	free(left);
	return await(s, &step_noted);
}

static void on_moved(void *arg, const struct outcome *outcome)
{
	struct tlsrpt_sending *s = arg;

	s->outcome = *outcome;
	run(s);
}

static enum flow noted(struct tlsrpt_sending *s)
{
	if (!outcome_is_ok(&s->outcome)) {
		say_failed(s, s->uris[s->at], s->outcome.text);
		s->states[s->at] = URI_FAILED;
		post_office_drop_segment(s->house->office);
		return go(s, &step_pick);
	}
	if (s->mail_id[0] != '\0' && s->house->queued != NULL)
		s->house->queued(s->house->queued_arg);
	log_info("tlsrpt: domain=%s, report=<%s>, to=<%s>%s%s", s->about.domain, s->report.id,
	    s->uris[s->at], s->mail_id[0] != '\0' ? ", queued as " : ", accepted", s->mail_id);
	return go(s, &step_pick);
}

/* ---- the end of a round ---- */

static enum flow put_off(struct tlsrpt_sending *s)
{
	char *left = uris_left(s);
	int64_t now_s = clock_wall_s(), wait_s = TLSRPT_RETRY_FIRST_S;
	bool is_done = left[0] == '\0' && !s->is_unknown;

	for (uint32_t i = 0; i < s->about.n_tries && wait_s < TLSRPT_RETRY_S; i++)
		wait_s *= 2;
	if (!is_done && now_s + wait_s - s->about.first_try_s > TLSRPT_RETRY_S) {
		log_warning("tlsrpt: domain=%s: a report was tried for a day and is given up "
			    "[tlsrpt-unsent]",
		    s->about.domain);
		is_done = true;
	}
	spool_tlsrpt_move(s->house->spool,
	    &(struct spool_tlsrpt_move){ .number = s->about.number,
		.is_done = is_done,
		.uris = left,
		.next_try_s = now_s + wait_s,
		.first_try_s = s->about.first_try_s,
		.n_tries = s->about.n_tries + 1 },
	    on_moved, s);
	free(left);
	return await(s, &step_put_away);
}

static enum flow put_away(struct tlsrpt_sending *s)
{
	return finish(s);
}

static void say_failed(const struct tlsrpt_sending *s, const char *whom, const char *why)
{
	char clean[OUTCOME_TEXT_MAX];

	log_warning("tlsrpt: domain=%s: %s: %s [tlsrpt-deferred]", s->about.domain, whom,
	    log_escape(why, strlen(why), clean, sizeof clean));
}

/* ---- where it goes ---- */

static void split_uris(struct tlsrpt_sending *s, const char *lines)
{
	size_t n;
	char **uris = tls_report_split(lines, &n);

	for (size_t i = 0; i < n; i++) {
		if (s->n_uris < TLSRPT_URIS_MAX)
			s->uris[s->n_uris++] = uris[i];
		else
			free(uris[i]);
	}
	free(uris);
}

static char *uris_left(const struct tlsrpt_sending *s)
{
	struct buffer lines;

	buffer_init(&lines, TLSRPT_URIS_MAX * (TLSRPT_URI_MAX + 1));
	for (size_t i = 0; i < s->n_uris; i++) {
		if (s->states[i] != URI_DONE)
			buffer_print(&lines, "%s\n", s->uris[i]);
	}
	return buffer_take(&lines);
}

static void destroy(struct tlsrpt_sending *s)
{
	timer_destroy(&s->turn);
	tls_report_finish(&s->report);
	buffer_finish(&s->gzip);
	for (size_t i = 0; i < s->n_uris; i++)
		free(s->uris[i]);
	free((char *)s->about.domain);
	free(s);
}
