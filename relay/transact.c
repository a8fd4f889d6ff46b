#include "relay/transact.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "relay/base/mem.h"
#include "relay/spool.h"
#include "relay/step.h"
#include "smtp/command.h"
#include "smtp/stuff.h"

enum {
	PIECE_SIZE = 64 * 1024,
	CHECK_AT_ONCE = 4, /* pieces in a turn of the loop, about a quarter of a millisecond */
};

struct step {
	const char *name;
	enum flow (*run)(struct transact *);
};

struct transact {
	struct transact_order order;
	const struct step *step;
	struct timer *turn;
	struct dialogue dialogue;
	struct transact_verdict *verdicts;
	bool *accepted;    /* of each recipient: the server takes it, the rest decides */
	size_t n_accepted; /* how many that are */
	size_t at;         /* the recipient whose reply is awaited */
	bool in_group;     /* all up to DATA was said at once, RFC 2920 */
	bool has_begun_content;

	/* the content on its way */
	struct smtp_stuff stuff;
	struct spool_reader reader; /* of the header, then of the body */
	bool is_read;               /* to the end */
	char *piece;                /* NULL while nothing is read */

	struct transact_result result;
	transact_done *done;
	void *arg;
};

/* The steps, in the order of time. */
#define STEPS(STEP)                                                                                \
	STEP(check)          /* is it still what was accepted? A part in each turn */              \
	STEP(reset)          /* if the one before was left open */                                 \
	STEP(reset_replied)  /* 250 */                                                             \
	STEP(envelope)       /* MAIL; with PIPELINING all up to DATA */                            \
	STEP(sender_replied) /* to MAIL */                                                         \
	STEP(rcpt_replied)   /* one per RCPT */                                                    \
	STEP(data)           /* somebody was accepted */                                           \
	STEP(data_replied)   /* 354 */                                                             \
	STEP(content)        /* a piece of it */                                                   \
	STEP(moved)          /* it has left */                                                     \
	STEP(judged)         /* after the final dot */                                             \
	STEP(nothing_judged) /* after a dot that ends a message to nobody */

#define STEP(name)                                                                                 \
	static enum flow name(struct transact *);                                                  \
	static const struct step step_##name = { #name, name };
STEPS(STEP)
#undef STEP

static void on_turn(void *arg);
static void run(void *arg);
static int64_t first_wait_ms(const struct transact *t);
static enum flow say_recipient(struct transact *t);
static enum flow after_recipients(struct transact *t);
static enum flow say_end_at_once(struct transact *t);
static bool send_piece(struct transact *t, struct outcome *why);
static void begin_reading(struct transact *t);
static bool read_piece(struct transact *t, size_t *n, struct outcome *why);
static void end_reading(struct transact *t);
static void say_unreadable(struct outcome *outcome, int error);
static enum flow hang_up(struct transact *t, enum point point, const struct outcome *what);
static bool is_stale(const struct transact *t, enum point point, const struct outcome *what);
static enum flow turn_away(struct transact *t, enum point point, const struct outcome *what);
static enum decision decide(
    const struct transact *t, enum point point, const struct outcome *what, bool is_over);
static void apply(struct transact *t, enum point point, const struct outcome *what, bool is_over);
static void settle_asked(struct transact *t, enum point point, const struct outcome *what);
static void settle(struct transact *t, size_t recipient, const struct outcome *what);

struct transact *transact_start(const struct transact_order *order, transact_done *done, void *arg)
{
	struct transact *t = mem_create(sizeof *t);

	assert(order->n_recipients > 0);
	t->order = *order;
	t->verdicts = mem_create(order->n_recipients * sizeof *t->verdicts);
	t->accepted = mem_create(order->n_recipients * sizeof *t->accepted);
	t->result.verdicts = t->verdicts;
	t->result.n_verdicts = order->n_recipients;
	t->done = done;
	t->arg = arg;
	dialogue_init(&t->dialogue, order->loop, run, t);
	dialogue_attach(&t->dialogue, order->stream, order->peer);
	t->turn = timer_create_in(order->loop, on_turn, t);
	timer_set(t->turn, 0);
	begin_reading(t);
	t->step = &step_check;
	return t;
}

static void release(struct transact *t)
{
	dialogue_finish(&t->dialogue);
	timer_destroy(&t->turn);
	free(t->verdicts);
	free(t->accepted);
	free(t->piece);
	free(t);
}

bool transact_has_begun_content(const struct transact *t)
{
	return t->has_begun_content;
}

void transact_cancel(struct transact **transact)
{
	if (*transact != NULL)
		release(*transact);
	*transact = NULL;
}

/* ---- the three tails ---- */

static enum flow go(struct transact *t, const struct step *next)
{
	t->step = next;
	return FLOW_GO;
}

static enum flow await(struct transact *t, const struct step *next, int64_t timeout_ms)
{
	t->step = next;
	return dialogue_await_reply(&t->dialogue, timeout_ms);
}

static enum flow finish(struct transact *t)
{
	(void)t;
	return FLOW_END;
}

/* ---- the envelope ---- */

/*
 * Before anything is said: half a message would be worse than a late one (D10). A large one takes
 * long, and other attempts have their turns meanwhile.
 */
static enum flow check(struct transact *t)
{
	struct outcome why;
	size_t n;

	for (int i = 0; i < CHECK_AT_ONCE && !t->is_read; i++) {
		if (!read_piece(t, &n, &why)) {
			apply(t, POINT_OFFER, &why, false);
			return finish(t);
		}
	}
	if (!t->is_read) {
		timer_set(t->turn, 0);
		return FLOW_WAIT;
	}
	end_reading(t);
	return go(t, t->order.reset_first ? &step_reset : &step_envelope);
}

static enum flow reset(struct transact *t)
{
	struct outcome what;

	if (dialogue_spoke_early(&t->dialogue, POINT_MAIL, &what))
		return hang_up(t, POINT_MAIL, &what);
	smtp_command_rset(stream_output(t->order.stream));
	return await(t, &step_reset_replied, first_wait_ms(t));
}

/* A stream that was kept may be dead without anybody knowing. */
static int64_t first_wait_ms(const struct transact *t)
{
	return t->order.is_reused ? t->order.patience->reused_ms : t->order.patience->command_ms;
}

static enum flow reset_replied(struct transact *t)
{
	struct outcome what;

	dialogue_outcome(&t->dialogue, POINT_MAIL, 2, &what);
	if (!outcome_is_ok(&what)) /* RFC 5321 4.1.1.5 knows no refusal */
		return hang_up(t, POINT_MAIL, &what);
	return go(t, &step_envelope);
}

static enum flow envelope(struct transact *t)
{
	const struct message *message = t->order.message;
	const struct smtp_command_mail mail = { .sender = message->sender,
		.size_bytes = message->header.length + message->body.length,
		.body_8bit = message->is_8bit,
		.requires_tls = t->order.requires_tls };
	struct evbuffer *out = stream_output(t->order.stream);
	struct outcome what;

	if (dialogue_spoke_early(&t->dialogue, POINT_MAIL, &what))
		return hang_up(t, POINT_MAIL, &what);
	smtp_command_mail(out, &mail, t->order.can);
	t->in_group = t->order.can->pipelining;
	for (size_t i = 0; t->in_group && i < t->order.n_recipients; i++)
		smtp_command_rcpt(out, message->recipients[t->order.recipients[i]]);
	if (t->in_group)
		smtp_command_data(out); /* RFC 2920 3.1: it may end a group */
	return await(t, &step_sender_replied, first_wait_ms(t));
}

static enum flow sender_replied(struct transact *t)
{
	struct outcome what;

	dialogue_outcome(&t->dialogue, POINT_MAIL, 2, &what);
	if (dialogue_is_over(&t->dialogue, 2))
		return hang_up(t, POINT_MAIL, &what);
	if (is_stale(t, POINT_MAIL, &what))
		return turn_away(t, POINT_MAIL, &what);
	t->result.left_open = true;
	if (!outcome_is_ok(&what))
		apply(t, POINT_MAIL, &what, false);
	/* The rest of a group is refused then for want of a sender: MAIL's verdict counts (R27). */
	if (t->in_group)
		return await(t, &step_rcpt_replied, t->order.patience->command_ms);
	return outcome_is_ok(&what) ? say_recipient(t) : finish(t);
}

static enum flow say_recipient(struct transact *t)
{
	struct outcome what;

	if (dialogue_spoke_early(&t->dialogue, POINT_RCPT, &what))
		return hang_up(t, POINT_RCPT, &what);
	smtp_command_rcpt(stream_output(t->order.stream),
	    t->order.message->recipients[t->order.recipients[t->at]]);
	return await(t, &step_rcpt_replied, t->order.patience->command_ms);
}

/* Runs once per recipient, in the order they were sent. */
static enum flow rcpt_replied(struct transact *t)
{
	struct outcome what;

	dialogue_outcome(&t->dialogue, POINT_RCPT, 2, &what);
	if (dialogue_is_over(&t->dialogue, 2))
		return hang_up(t, POINT_RCPT, &what);
	if (!t->verdicts[t->at].is_settled && outcome_is_ok(&what)) {
		t->accepted[t->at] = true;
		t->n_accepted++;
	} else if (!t->verdicts[t->at].is_settled) {
		apply(t, POINT_RCPT, &what, false);
	}
	return after_recipients(t);
}

static enum flow after_recipients(struct transact *t)
{
	if (++t->at < t->order.n_recipients)
		return t->in_group ? await(t, &step_rcpt_replied, t->order.patience->command_ms)
				   : say_recipient(t);
	if (t->in_group)
		return await(t, &step_data_replied, t->order.patience->data_ms);
	return t->n_accepted > 0 ? go(t, &step_data) : finish(t);
}

static enum flow data(struct transact *t)
{
	struct outcome what;

	if (dialogue_spoke_early(&t->dialogue, POINT_DATA, &what))
		return hang_up(t, POINT_DATA, &what);
	smtp_command_data(stream_output(t->order.stream));
	return await(t, &step_data_replied, t->order.patience->data_ms);
}

static enum flow data_replied(struct transact *t)
{
	struct outcome what;

	dialogue_outcome(&t->dialogue, POINT_DATA, 3, &what);
	if (dialogue_is_over(&t->dialogue, 3))
		return hang_up(t, POINT_DATA, &what);
	if (t->n_accepted > 0 && is_stale(t, POINT_DATA, &what))
		return turn_away(t, POINT_DATA, &what);
	if (!outcome_is_ok(&what)) {
		apply(t, POINT_DATA, &what, false);
		return finish(t);
	}
	if (t->n_accepted == 0)
		return say_end_at_once(t);
	t->has_begun_content = true;
	smtp_stuff_init(&t->stuff);
	begin_reading(t);
	return go(t, &step_content);
}

/* RFC 2920 3.1: whoever says 354 with no recipient gets the end at once. */
static enum flow say_end_at_once(struct transact *t)
{
	stream_send(t->order.stream, ".\r\n", 3);
	return await(t, &step_nothing_judged, t->order.patience->dot_ms);
}

static enum flow nothing_judged(struct transact *t)
{
	struct outcome what;

	dialogue_outcome(&t->dialogue, POINT_DOT, 2, &what);
	if (dialogue_is_over(&t->dialogue, 2))
		return hang_up(t, POINT_DOT, &what);
	t->result.left_open = false;
	return finish(t);
}

/* ---- the content ---- */

/* Never much more in memory than a piece: the next is read when this one has left (O5, R21). */
static enum flow content(struct transact *t)
{
	struct outcome why;

	if (dialogue_spoke_early(&t->dialogue, POINT_CONTENT, &why))
		return hang_up(t, POINT_CONTENT, &why);
	while (!t->is_read && stream_n_unsent(t->order.stream) < PIECE_SIZE) {
		if (!send_piece(t, &why))
			return hang_up(t, POINT_CONTENT, &why);
	}
	if (!t->is_read) {
		t->step = &step_moved;
		return dialogue_await_drain(&t->dialogue, t->order.patience->piece_ms);
	}
	end_reading(t);
	if (!smtp_stuff_end(&t->stuff, stream_output(t->order.stream))) {
		outcome_say_corrupt(&why, "its last line does not end in CRLF");
		return hang_up(t, POINT_CONTENT, &why);
	}
	return await(t, &step_judged, t->order.patience->dot_ms);
}

/*
 * The next piece into the output. What is sent is proved once more: should the file have changed
 * since the check, the final dot is never said.
 */
static bool send_piece(struct transact *t, struct outcome *why)
{
	size_t n;

	if (!read_piece(t, &n, why))
		return false;
	if (smtp_stuff_add(&t->stuff, t->piece, n, stream_output(t->order.stream)))
		return true;
	outcome_say_corrupt(why, "its lines do not end in CRLF");
	return false;
}

static void begin_reading(struct transact *t)
{
	spool_reader_init(&t->reader, t->order.fd, &t->order.message->header);
	t->is_read = false;
	t->piece = mem_create(PIECE_SIZE);
}

/* The body behind the header, nothing behind the body. */
static bool read_piece(struct transact *t, size_t *n, struct outcome *why)
{
	const struct message *message = t->order.message;
	ssize_t n_read = spool_read(&t->reader, t->piece, PIECE_SIZE);

	if (n_read < 0) {
		say_unreadable(why, errno);
		return false;
	}
	*n = (size_t)n_read;
	t->is_read = n_read == 0 && t->reader.extent == &message->body;
	if (n_read == 0 && !t->is_read)
		spool_reader_init(&t->reader, t->order.fd, &message->body);
	return true;
}

/* Whoever waits for a server holds no more than it must (O5). */
static void end_reading(struct transact *t)
{
	free(t->piece);
	t->piece = NULL;
}

static enum flow moved(struct transact *t)
{
	struct outcome what;

	if (t->dialogue.got == GOT_DRAINED)
		return go(t, &step_content);
	if (t->dialogue.got == GOT_REPLY) /* R12: whatever it says, the end has not been said yet */
		dialogue_say_early(&t->dialogue, POINT_CONTENT, &what);
	else
		dialogue_outcome(&t->dialogue, POINT_CONTENT, 2, &what);
	return hang_up(t, POINT_CONTENT, &what);
}

static enum flow judged(struct transact *t)
{
	struct outcome what;

	dialogue_outcome(&t->dialogue, POINT_DOT, 2, &what);
	if (dialogue_is_over(&t->dialogue, 2))
		return hang_up(t, POINT_DOT, &what);
	t->result.left_open = false;
	if (outcome_is_ok(&what))
		settle_asked(t, POINT_DOT, &what);
	else
		apply(t, POINT_DOT, &what, false);
	return finish(t);
}

static void say_unreadable(struct outcome *outcome, int error)
{
	if (error == EBADMSG)
		outcome_say_corrupt(outcome, "its checksum does not fit");
	else
		outcome_say(outcome, 451, "4.3.0", "message-unreadable",
		    "The message could not be read from the queue: %s", strerror(error));
}

/* ---- refusals and troubles ---- */

/* Nothing more is said on this stream. */
static enum flow hang_up(struct transact *t, enum point point, const struct outcome *what)
{
	apply(t, point, what, true);
	t->result.is_over = true;
	t->result.point = point;
	t->result.trouble = *what;
	return finish(t);
}

/* Its server has had enough of it: what was refused may be the stream, not the message. */
static bool is_stale(const struct transact *t, enum point point, const struct outcome *what)
{
	return !outcome_is_ok(what) && decide(t, point, what, false) == DECISION_FRESH;
}

/* Replies may still be due to what was said at once with the command that was refused. */
static enum flow turn_away(struct transact *t, enum point point, const struct outcome *what)
{
	t->result.is_stale = true;
	t->result.point = point;
	t->result.trouble = *what;
	return finish(t);
}

static enum decision decide(
    const struct transact *t, enum point point, const struct outcome *what, bool is_over)
{
	const struct incident incident = { .point = point,
		.what = what,
		.is_over = is_over,
		.is_reused = t->order.is_reused,
		.n_accepted = t->n_accepted };

	return outcome_decide(&incident);
}

static void apply(struct transact *t, enum point point, const struct outcome *what, bool is_over)
{
	switch (decide(t, point, what, is_over)) {
	case DECISION_SETTLE_ALL: settle_asked(t, point, what); return;
	case DECISION_SETTLE_ONE: settle(t, t->at, what); return;
	case DECISION_LATER:
	case DECISION_FRESH:
	case DECISION_NEXT_ADDRESS: return; /* undecided here */
	case DECISION_SAY_HELO:
	case DECISION_PLAIN_HERE:
	case DECISION_PLAIN_AGAIN: break;
	}
	assert(false); /* these are over when a transaction begins */
}

/* Those whom this is about: before RCPT all, after it those whom the server took. */
static void settle_asked(struct transact *t, enum point point, const struct outcome *what)
{
	for (size_t i = 0; i < t->order.n_recipients; i++) {
		if (!t->verdicts[i].is_settled && (t->accepted[i] || point < POINT_RCPT))
			settle(t, i, what);
	}
}

static void settle(struct transact *t, size_t recipient, const struct outcome *what)
{
	t->verdicts[recipient] = (struct transact_verdict){ true, *what };
}

/* ---- the runner: the only place that calls a step, and that frees ---- */

static void on_turn(void *arg)
{
	run(arg);
}

static void run(void *arg)
{
	struct transact *t = arg;
	enum flow flow;

	do
		flow = t->step->run(t);
	while (flow == FLOW_GO);
	if (flow == FLOW_WAIT)
		return;
	dialogue_detach(&t->dialogue);
	t->done(&t->result, t->arg);
	release(t);
}
