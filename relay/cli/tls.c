/*
 * zegel tls probe: connects to every MX host of a domain as delivery would, up to the end of the
 * handshake, and says of each whether it would get the mail. Sends no mail.
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "relay/cli/cli.h"
#include "relay/cli/resolve.h"
#include "relay/dial.h"
#include "relay/secure.h"
#include "relay/step.h"
#include "smtp/command.h"

enum { REPLY_TIMEOUT_MS = 60000, HANDSHAKE_TIMEOUT_MS = 60000, PART_MS = 2000 };

/* Why a step is run. */
enum got { GOT_READY, GOT_TIMEOUT, GOT_CLOSED };

struct probe;

struct step {
	const char *name;
	enum flow (*run)(struct probe *p);
};

/* The steps, in the order of time. */
#define STEPS(STEP)                                                                                \
	STEP(next_host)                                                                            \
	STEP(connected)                                                                            \
	STEP(greeted)  /* 220, say EHLO */                                                         \
	STEP(capable)  /* EHLO answered, say STARTTLS */                                           \
	STEP(plain)    /* HELO answered, where EHLO was not */                                     \
	STEP(promised) /* STARTTLS answered, shake hands */                                        \
	STEP(secured)                                                                              \
	STEP(report)

struct probe {
	const struct config *config;
	const struct plan *plan;
	const struct cli *cli;
	struct loop *loop;
	struct tls_context *context;

	const struct step *step;
	enum got got;
	struct timer *timer; /* while a reply is awaited */
	size_t next;         /* host */
	const struct plan_host *host;
	struct dial *dial;
	struct stream *stream;
	struct secure *secure;
	struct smtp_reply reply;
	bool awaits_reply;
	char peer[OUTCOME_WHO_MAX];
	struct outcome outcome; /* of this host so far */
	bool is_plaintext;      /* accepted without TLS */
	size_t n_refused;
	size_t n_closing; /* streams that say good-bye */
	bool is_done;
};

#define STEP(name)                                                                                 \
	static enum flow name(struct probe *p);                                                    \
	static const struct step step_##name = { #name, name };
STEPS(STEP)
#undef STEP

static int probe(
    struct cli *cli, const struct config *config, struct loop *loop, const struct plan *plan);
static void probe_plan(
    struct cli *cli, const struct config *config, struct loop *loop, struct probe *p);
static enum flow go(struct probe *p, const struct step *next);
static enum flow await(struct probe *p, const struct step *next);
static enum flow await_reply(struct probe *p, const struct step *next);
static enum flow without_tls(struct probe *p, const char *why);
static enum flow lost(struct probe *p, const char *where);
static void run(struct probe *p, enum got got);
static void on_start(void *arg);
static void on_gone(void *arg);
static void stop_if_all_is_done(struct probe *p);
static void on_dialled(const struct dial_result *result, void *arg);
static void on_readable(struct stream *stream, void *arg);
static void on_ended(struct stream *stream, enum stream_end end, void *arg);
static void on_secured(const struct outcome *outcome, void *arg);
static void on_timer(void *arg);
static void print_human(const struct probe *p, const struct tls_evidence *evidence);
static void print_json(const struct probe *p, const struct tls_evidence *evidence);

static const struct stream_calls calls = { .readable = on_readable, .ended = on_ended };

int cli_tls_probe(struct cli *cli)
{
	return resolve_and_use(cli, probe);
}

static int probe(
    struct cli *cli, const struct config *config, struct loop *loop, const struct plan *plan)
{
	struct probe p = { .plan = plan };

	probe_plan(cli, config, loop, &p);
	if (plan->n_hosts == 0)
		cli_fail(CLI_PROBLEMS, "%s [%s]", plan->refusal.text, plan->refusal.name);
	return plan->n_hosts == 0 || p.n_refused > 0 ? CLI_PROBLEMS : EX_OK;
}

static void probe_plan(
    struct cli *cli, const struct config *config, struct loop *loop, struct probe *p)
{
	p->cli = cli;
	p->config = config;
	p->loop = loop;
	p->context = tls_context_create_client(config->delivery.ca_file);
	p->timer = timer_create_in(loop, on_timer, p);
	p->step = &step_next_host;
	smtp_reply_init(&p->reply);
	loop_defer(loop, on_start, p);
	loop_run(loop);
	smtp_reply_finish(&p->reply);
	timer_destroy(&p->timer);
	tls_context_destroy(&p->context);
}

static void on_start(void *arg)
{
	run(arg, GOT_READY);
}

/* ---- the steps ---- */

static enum flow next_host(struct probe *p)
{
	if (p->next == p->plan->n_hosts)
		return FLOW_END;
	p->host = &p->plan->hosts[p->next++];
	snprintf(p->peer, sizeof p->peer, "%s", p->host->name);
	p->is_plaintext = false;
	outcome_ok(&p->outcome);
	if (!outcome_is_ok(&p->host->unusable)) {
		p->outcome = p->host->unusable;
		return go(p, &step_report);
	}
	p->dial = dial_start(p->loop, p->host, 0,
	    (int64_t)p->config->delivery.connect_timeout * 1000, on_dialled, p);
	return await(p, &step_connected);
}

static enum flow connected(struct probe *p)
{
	if (p->stream == NULL)
		return go(p, &step_report);
	stream_set_calls(p->stream, &calls, p);
	return await_reply(p, &step_greeted);
}

static enum flow greeted(struct probe *p)
{
	if (p->got != GOT_READY)
		return lost(p, "before its greeting");
	smtp_reply_outcome(&p->reply, 2, p->peer, &p->outcome);
	if (!outcome_is_ok(&p->outcome))
		return go(p, &step_report);
	smtp_command_ehlo(stream_output(p->stream), p->config->hostname);
	return await_reply(p, &step_capable);
}

static enum flow capable(struct probe *p)
{
	struct smtp_capability can;

	if (p->got != GOT_READY)
		return lost(p, "in answer to EHLO");
	smtp_reply_outcome(&p->reply, 2, p->peer, &p->outcome);
	if (!outcome_is_ok(&p->outcome)) {
		/* RFC 5321 3.2: a server that knows no EHLO is greeted with HELO, if TLS is not due. */
		if (p->outcome.class != OUTCOME_FAIL ||
		    !tls_requirement_allows_plaintext(&p->host->tls))
			return go(p, &step_report);
		smtp_command_helo(stream_output(p->stream), p->config->hostname);
		return await_reply(p, &step_plain);
	}
	smtp_capability_read(&can, &p->reply);
	if (p->host->tls.level == TLS_NONE)
		return without_tls(p, "");
	if (!can.starttls)
		return without_tls(p, "does not offer STARTTLS");
	smtp_command_starttls(stream_output(p->stream));
	return await_reply(p, &step_promised);
}

static enum flow plain(struct probe *p)
{
	if (p->got != GOT_READY)
		return lost(p, "in answer to HELO");
	smtp_reply_outcome(&p->reply, 2, p->peer, &p->outcome);
	return outcome_is_ok(&p->outcome) ? without_tls(p, "knows no EHLO") : go(p, &step_report);
}

static enum flow promised(struct probe *p)
{
	if (p->got != GOT_READY)
		return lost(p, "in answer to STARTTLS");
	smtp_reply_outcome(&p->reply, 2, p->peer, &p->outcome);
	if (!outcome_is_ok(&p->outcome))
		return without_tls(p, "offers STARTTLS and refuses it");
	p->secure = secure_start(p->loop, p->stream, p->context, &p->host->tls, p->peer,
	    HANDSHAKE_TIMEOUT_MS, on_secured, p);
	return await(p, &step_secured);
}

static enum flow secured(struct probe *p)
{
	if (outcome_is_ok(&p->outcome))
		smtp_command_quit(stream_output(p->stream));
	return go(p, &step_report);
}

static enum flow report(struct probe *p)
{
	const struct tls_evidence *evidence = p->stream != NULL ? stream_evidence(p->stream) : NULL;

	if (!outcome_is_ok(&p->outcome))
		p->n_refused++;
	if (p->cli->json)
		print_json(p, evidence);
	else
		print_human(p, evidence);
	if (p->stream != NULL && outcome_is_ok(&p->outcome)) {
		p->n_closing++;
		stream_close(&p->stream, PART_MS, on_gone, p);
	} else if (p->stream != NULL) {
		stream_destroy(&p->stream);
	}
	return go(p, &step_next_host);
}

/* ---- how steps end ---- */

static enum flow go(struct probe *p, const struct step *next)
{
	p->step = next;
	return FLOW_GO;
}

/* For what has a timeout of its own. */
static enum flow await(struct probe *p, const struct step *next)
{
	p->step = next;
	return FLOW_WAIT;
}

static enum flow await_reply(struct probe *p, const struct step *next)
{
	p->step = next;
	p->awaits_reply = true;
	timer_set(p->timer, REPLY_TIMEOUT_MS);
	return FLOW_WAIT;
}

static enum flow without_tls(struct probe *p, const char *why)
{
	outcome_ok(&p->outcome);
	p->is_plaintext = tls_requirement_allows_plaintext(&p->host->tls);
	if (p->is_plaintext)
		smtp_command_quit(stream_output(p->stream));
	else
		outcome_say(&p->outcome, 451, "4.7.5", "starttls-not-offered",
		    "TLS is required (%s by %s), but %s %s", tls_level_name(p->host->tls.level),
		    tls_demand_name(p->host->tls.demand), p->peer, why);
	return go(p, &step_report);
}

static enum flow lost(struct probe *p, const char *where)
{
	outcome_say(&p->outcome, 451, "4.4.2", "connection-lost", "%s %s %s", p->peer,
	    p->got == GOT_TIMEOUT ? "said nothing" : "closed the connection", where);
	return go(p, &step_report);
}

/* ---- what runs them ---- */

static void run(struct probe *p, enum got got)
{
	enum flow flow;

	timer_cancel(p->timer);
	p->awaits_reply = false;
	p->got = got;
	do
		flow = p->step->run(p);
	while (flow == FLOW_GO);
	if (flow == FLOW_END) {
		p->is_done = true;
		stop_if_all_is_done(p);
	}
}

static void on_gone(void *arg)
{
	struct probe *p = arg;

	p->n_closing--;
	stop_if_all_is_done(p);
}

static void stop_if_all_is_done(struct probe *p)
{
	if (p->is_done && p->n_closing == 0)
		loop_stop(p->loop);
}

static void on_dialled(const struct dial_result *result, void *arg)
{
	struct probe *p = arg;

	p->dial = NULL;
	p->stream = result->stream;
	p->outcome = result->outcome;
	snprintf(p->peer, sizeof p->peer, "%s", result->peer);
	run(p, GOT_READY);
}

static void on_readable(struct stream *stream, void *arg)
{
	struct probe *p = arg;

	/* What comes unasked stays where it is: the next reply, or early input for secure to see. */
	if (p->awaits_reply && smtp_reply_read(&p->reply, stream_input(stream)) != SMTP_REPLY_MORE)
		run(p, GOT_READY);
}

static void on_ended(struct stream *stream, enum stream_end end, void *arg)
{
	struct probe *p = arg;

	(void)stream, (void)end;
	if (p->awaits_reply)
		run(p, GOT_CLOSED);
}

static void on_secured(const struct outcome *outcome, void *arg)
{
	struct probe *p = arg;

	p->secure = NULL;
	p->outcome = *outcome;
	run(p, GOT_READY);
}

static void on_timer(void *arg)
{
	run(arg, GOT_TIMEOUT);
}

/* ---- what people and programs read ---- */

static void print_human(const struct probe *p, const struct tls_evidence *evidence)
{
	const struct tls_requirement *tls = &p->host->tls;
	char text[512];

	printf("%s: %s, required %s by %s\n", p->peer,
	    outcome_is_ok(&p->outcome) ? "accepted" : "refused", tls_level_name(tls->level),
	    tls_demand_name(tls->demand));
	if (p->is_plaintext)
		puts("    in plaintext: no TLS, and none is required");
	if (!outcome_is_ok(&p->outcome))
		printf("    %s%s%s%s\n", p->outcome.text, *p->outcome.name != '\0' ? " [" : "",
		    p->outcome.name, *p->outcome.name != '\0' ? "]" : "");
	if (evidence == NULL)
		return;
	tls_evidence_print_proof(evidence, text, sizeof text);
	printf("    %s, %s with %s; proof: %s\n", tls_trust_name(evidence->trust),
	    evidence->protocol, evidence->cipher, text);
	printf("    certificate of %s by %s, SHA-256 %s\n", evidence->subject, evidence->issuer,
	    evidence->fingerprint);
}

static void print_json(const struct probe *p, const struct tls_evidence *evidence)
{
	json_t *object =
	    json_pack("{s:s, s:s, s:i, s:s, s:b, s:s, s:s, s:b}", "domain", p->plan->domain, "host",
		p->host->name, "preference", (int)p->host->preference, "peer", p->peer, "accepted",
		outcome_is_ok(&p->outcome), "level", tls_level_name(p->host->tls.level), "demand",
		tls_demand_name(p->host->tls.demand), "plaintext", p->is_plaintext);
	char proof[512];

	if (!outcome_is_ok(&p->outcome))
		json_object_set_new(object, "refusal",
		    json_pack("{s:i, s:s, s:s, s:s}", "code", p->outcome.code, "enhanced",
			p->outcome.enhanced, "name", p->outcome.name, "text", p->outcome.text));
	if (evidence != NULL) {
		tls_evidence_print_proof(evidence, proof, sizeof proof);
		json_object_set_new(object, "evidence",
		    json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "trust",
			tls_trust_name(evidence->trust), "protocol", evidence->protocol, "cipher",
			evidence->cipher, "proof", proof, "fingerprint", evidence->fingerprint,
			"subject", evidence->subject, "issuer", evidence->issuer));
	}
	cli_print_json(object);
}
