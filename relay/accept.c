#include "relay/accept.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dkim/body_hash.h"
#include "relay/base/clock.h"
#include "relay/base/domain.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/compose.h"
#include "relay/message_wire.h"
#include "relay/policy.h"
#include "relay/step.h"
#include "smtp/header.h"
#include "smtp/waiver.h"

enum {
	COMPOSED_EXTRA = 8192,   /* what compose may add to the client's header */
	BODY_CHUNK = 256 * 1024, /* of a large message, written at once */
};

struct step {
	const char *name;
	enum flow (*run)(struct accept *);
};

struct accept {
	struct submit_house *house;
	const struct config_account *account;
	char id[QUEUE_ID_MAX];
	char *sender, *client_name, *tls_version, *tls_cipher;
	uint64_t declared_size;
	bool requires_tls, tls_optional;
	int64_t arrived_s;

	/* while the content arrives */
	struct header_splitter splitter;
	struct buffer header; /* as the client gave it */
	struct buffer body;   /* all of it, or what of a large one is not yet written */
	struct dkim_body_hash *body_hash;
	bool is_8bit;
	bool is_large; /* the body has a segment of its own */
	struct shelf_place own;
	struct extent body_at;
	loop_call *ready;
	void *ready_arg;

	/* after the final dot */
	const struct step *step;
	const char **recipients; /* the array is ours, the texts are the session's */
	size_t n_recipients;
	char from_domain[DOMAIN_MAX];
	char message_id[COMPOSE_MESSAGE_ID_MAX];
	uint8_t body_digest[DKIM_DIGEST_SIZE];
	struct header parsed; /* points into header */
	struct buffer composed;
	char *seals; /* the DKIM-Signature fields */
	struct extent header_at;
	uint64_t segment;
	struct timer *turn;
	accept_done *done;
	void *arg;

	/* what we wait for, each to be cancelled */
	struct shelf_request *place_asked;
	struct sealing *sealing;
	uint64_t commit_asked;

	struct outcome verdict; /* ok so far */
};

/* The steps, in the order of time. */
#define STEPS(STEP)                                                                                \
	STEP(examine)  /* parse the header, ask policy */                                          \
	STEP(compose)  /* the header that leaves */                                                \
	STEP(seal)     /* ask the keeper */                                                        \
	STEP(sealed)   /* or not */                                                                \
	STEP(put_down) /* into a segment */                                                        \
	STEP(commit)   /* ask the queue */                                                         \
	STEP(answered) /* it is on stable storage, or refused */

#define STEP(name)                                                                                 \
	static enum flow name(struct accept *);                                                    \
	static const struct step step_##name = { #name, name };
STEPS(STEP)
#undef STEP

static void run(struct accept *a);
static void on_turn(void *arg);
static void on_sealed(void *arg, const struct outcome *outcome, const char *fields);
static void on_shared_place(void *arg, const struct outcome *outcome, struct shelf_place *place);
static void on_own_place(void *arg, const struct outcome *outcome, struct shelf_place *place);
static void on_committed(void *arg, const struct ipc_message *answer);
static bool write_body(struct accept *a);
static void read_waiver(struct accept *a);

/* ---- before the content ---- */

struct accept *accept_create(struct submit_house *house, const struct accept_facts *facts)
{
	struct accept *a = mem_create(sizeof *a);

	a->house = house;
	a->account = facts->account;
	queue_id_make(a->id);
	a->sender = mem_copy_text(facts->sender);
	a->client_name = mem_copy_text(facts->client_name);
	a->tls_version = mem_copy_text(facts->tls_version);
	a->tls_cipher = mem_copy_text(facts->tls_cipher);
	a->declared_size = facts->declared_size;
	a->requires_tls = facts->requires_tls;
	a->arrived_s = clock_wall_s();
	buffer_init(&a->header, house->config->limits.header_size);
	buffer_init(&a->body, ACCEPT_MEMORY_MAX + BODY_CHUNK);
	buffer_init(&a->composed, house->config->limits.header_size + COMPOSED_EXTRA);
	a->body_hash = dkim_body_hash_create(DKIM_RELAXED);
	a->own.fd = -1;
	a->turn = timer_create_in(house->loop, on_turn, a);
	outcome_ok(&a->verdict);
	return a;
}

void accept_destroy(struct accept **accept)
{
	struct accept *a = *accept;

	if (a == NULL)
		return;
	*accept = NULL;
	shelf_cancel(&a->place_asked);
	sign_cancel(&a->sealing);
	if (a->commit_asked != 0)
		asker_cancel(a->house->queue, a->commit_asked);
	if (a->own.fd >= 0) {
		shelf_give_back(a->house->shelf, a->own.segment);
		close(a->own.fd);
	}
	timer_destroy(&a->turn);
	dkim_body_hash_destroy(&a->body_hash);
	header_finish(&a->parsed);
	buffer_finish(&a->header);
	buffer_finish(&a->body);
	buffer_finish(&a->composed);
	free(a->recipients);
	free(a->seals);
	free(a->sender);
	free(a->client_name);
	free(a->tls_version);
	free(a->tls_cipher);
	free(a);
}

const char *accept_id(const struct accept *a)
{
	return a->id;
}

size_t accept_weight(const char *recipient)
{
	return strlen(recipient) + 16;
}

/* ---- while the content arrives ---- */

static bool has_high_bytes(const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)bytes[i] > 127)
			return true;
	}
	return false;
}

static enum accept_content refuse(struct accept *a, struct outcome *why)
{
	*why = a->verdict;
	return ACCEPT_REFUSED;
}

enum accept_content accept_take(
    struct accept *a, const char *bytes, size_t n, struct outcome *why, loop_call *ready, void *arg)
{
	size_t n_header = header_splitter_feed(&a->splitter, bytes, n);

	if (!outcome_is_ok(&a->verdict))
		return refuse(a, why);
	if (!buffer_add(&a->header, bytes, n_header)) {
		outcome_say(&a->verdict, 552, "5.3.4", "header-too-large",
		    "The header is larger than %u bytes", a->house->config->limits.header_size);
		return refuse(a, why);
	}
	bytes += n_header;
	n -= n_header;
	dkim_body_hash_update(a->body_hash, bytes, n);
	a->is_8bit = a->is_8bit || has_high_bytes(bytes, n);
	/* The owner gives pieces no larger than the chunk and none while we wait: it fits. */
	buffer_add(&a->body, bytes, n);
	assert(!a->body.overflowed);
	if (a->body.n <= ACCEPT_MEMORY_MAX)
		return ACCEPT_GOES_ON;
	if (a->is_large)
		return write_body(a) ? ACCEPT_GOES_ON : refuse(a, why);
	a->is_large = true;
	a->ready = ready;
	a->ready_arg = arg;
	a->place_asked = shelf_ask(a->house->shelf,
	    a->declared_size > 0 ? a->declared_size : a->house->config->limits.message_size,
	    on_own_place, a);
	return ACCEPT_WAITS;
}

static void on_own_place(void *arg, const struct outcome *outcome, struct shelf_place *place)
{
	struct accept *a = arg;

	a->place_asked = NULL;
	if (place != NULL) {
		a->own = *place;
		write_body(a);
	} else {
		a->verdict = *outcome;
	}
	a->ready(a->ready_arg);
}

/* Moves what is in memory of a large body to its segment. */
static bool write_body(struct accept *a)
{
	struct slice piece = { a->body.bytes, a->body.n };

	if (!shelf_append(&a->own, &piece, 1, &a->body_at, &a->verdict))
		return false;
	buffer_clear(&a->body);
	return true;
}

/* ---- after the final dot ---- */

void accept_finish(struct accept *a, const char *const *recipients, size_t n_recipients,
    accept_done *done, void *arg)
{
	a->recipients =
	    (const char **)(uintptr_t)mem_copy(recipients, n_recipients * sizeof *recipients);
	a->n_recipients = n_recipients;
	a->done = done;
	a->arg = arg;
	a->step = &step_examine;
	timer_set(a->turn, 0);
}

static enum flow go(struct accept *a, const struct step *next)
{
	a->step = next;
	return FLOW_GO;
}

static enum flow await(struct accept *a, const struct step *next)
{
	a->step = next;
	return FLOW_WAIT;
}

static enum flow examine(struct accept *a)
{
	const struct config_limits *limits = &a->house->config->limits;
	const struct header_limits header_limits = { .size_bytes = limits->header_size,
		.n_fields = limits->header_fields };

	dkim_body_hash_finish(a->body_hash, a->body_digest);
	if (!header_parse(
		&a->parsed, buffer_text(&a->header), a->header.n, &header_limits, &a->verdict) ||
	    !policy_header(a->house->config, a->account, &a->parsed, &a->verdict, a->from_domain))
		return FLOW_END;
	read_waiver(a);
	return go(a, &step_compose);
}

/* RFC 8689 4.1: besides REQUIRETLS the field counts for nothing. It leaves as it came. */
static void read_waiver(struct accept *a)
{
	switch (smtp_waiver_read(&a->parsed)) {
	case WAIVER_NONE: return;
	case WAIVER_GIVEN:
		a->tls_optional = !a->requires_tls;
		log_info_as("cleanup", "%s: tls-required=no%s", a->id,
		    a->requires_tls ? ", ignored: the client demanded REQUIRETLS" : "");
		return;
	case WAIVER_STRANGE:
		log_info_as("cleanup",
		    "%s: the field TLS-Required says something other than \"No\": ignored", a->id);
		return;
	}
}

static enum flow compose(struct accept *a)
{
	const struct compose_facts facts = { .hostname = a->house->config->hostname,
		.client_name = a->client_name,
		.tls_version = a->tls_version,
		.tls_cipher = a->tls_cipher,
		.queue_id = a->id,
		.now_s = a->arrived_s };

	if (!compose_header(&facts, &a->parsed, &a->composed, a->message_id, &a->verdict))
		return FLOW_END;
	return go(a, &step_seal);
}

static enum flow seal(struct accept *a)
{
	struct slice header = { a->composed.bytes, a->composed.n };

	a->sealing =
	    sign_start(a->house->signer, a->from_domain, a->body_digest, header, on_sealed, a);
	return await(a, &step_sealed);
}

static void on_sealed(void *arg, const struct outcome *outcome, const char *fields)
{
	struct accept *a = arg;

	a->sealing = NULL;
	if (outcome_is_ok(outcome))
		a->seals = mem_copy_text(fields);
	else
		a->verdict = *outcome;
	run(a);
}

static enum flow sealed(struct accept *a)
{
	if (!outcome_is_ok(&a->verdict))
		return FLOW_END;
	if (a->is_large || shelf_shared(a->house->shelf) != NULL)
		return go(a, &step_put_down);
	a->place_asked = shelf_ask(a->house->shelf, 0, on_shared_place, a);
	return await(a, &step_put_down);
}

static void on_shared_place(void *arg, const struct outcome *outcome, struct shelf_place *place)
{
	struct accept *a = arg;

	a->place_asked = NULL;
	if (place == NULL)
		a->verdict = *outcome;
	run(a);
}

static enum flow put_down(struct accept *a)
{
	struct shelf_place *place = a->is_large ? &a->own : shelf_shared(a->house->shelf);
	struct slice header[2], body = { a->body.bytes, a->body.n };

	if (!outcome_is_ok(&a->verdict))
		return FLOW_END;
	if (place == NULL)
		return go(a, &step_sealed); /* another session has just filled it: ask again */
	header[0] = slice_of(a->seals);
	header[1] = (struct slice){ a->composed.bytes, a->composed.n };
	a->segment = place->segment;
	if (!shelf_append(place, &body, 1, &a->body_at, &a->verdict) ||
	    !shelf_append(place, header, 2, &a->header_at, &a->verdict)) {
		shelf_drop(a->house->shelf, a->segment);
		return FLOW_END;
	}
	return go(a, &step_commit);
}

static int64_t expiry_of(const struct accept *a)
{
	const struct config_retry *retry = &a->house->config->retry;

	return a->arrived_s +
	       (a->account->stream == STREAM_BULK ? retry->expire_bulk : retry->expire);
}

static enum flow commit(struct accept *a)
{
	struct message message = { .segment = a->segment,
		.header = a->header_at,
		.body = a->body_at,
		.sender = a->sender,
		.account = a->account->name,
		.from_domain = a->from_domain,
		.message_id = a->message_id,
		.arrived_s = a->arrived_s,
		.expires_s = expiry_of(a),
		.is_8bit = a->is_8bit,
		.is_bulk = a->account->stream == STREAM_BULK,
		.requires_tls = a->requires_tls,
		.tls_optional = a->tls_optional,
		.tls_floor = a->account->tls_floor,
		.recipients = (char **)(uintptr_t)a->recipients,
		.n_recipients = a->n_recipients };
	struct ipc_message m = { .type = IPC_COMMIT_ASK, .fd = -1 };
	struct buffer mail;

	memcpy(message.id, a->id, sizeof message.id);
	log_info_as("cleanup", "%s: message-id=%s", a->id, a->message_id);
	buffer_init(&mail, MESSAGE_WIRE_MAX);
	message_encode(&message, &mail);
	assert(!mail.overflowed); /* the recipients are within ACCEPT_RECIPIENTS_BYTES_MAX */
	m.commit_ask.mail = (struct slice){ mail.bytes, mail.n };
	a->commit_asked = asker_ask(a->house->queue, 0, &m, on_committed, a);
	buffer_finish(&mail);
	return await(a, &step_answered);
}

static void on_committed(void *arg, const struct ipc_message *answer)
{
	struct accept *a = arg;

	a->commit_asked = 0;
	if (answer == NULL)
		outcome_say(&a->verdict, 451, "4.3.0", "queue-unavailable",
		    "The queue does not answer at this moment; try again soon");
	else
		a->verdict = answer->commit_say.verdict;
	run(a);
}

static enum flow answered(struct accept *a)
{
	if (!outcome_is_ok(&a->verdict))
		shelf_drop(a->house->shelf, a->segment);
	else
		outcome_say(&a->verdict, 250, "2.0.0", "", "Ok: queued as %s", a->id);
	return FLOW_END;
}

/* ---- the runner ---- */

static void on_turn(void *arg)
{
	run(arg);
}

static void run(struct accept *a)
{
	enum flow flow;

	do
		flow = a->step->run(a);
	while (flow == FLOW_GO);
	if (flow == FLOW_END)
		a->done(a->arg, &a->verdict);
}
