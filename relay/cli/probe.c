#include "relay/cli/probe.h"

#include <stdio.h>
#include <stdlib.h>

#include "relay/base/mem.h"
#include "relay/dial.h"
#include "relay/dialogue.h"
#include "relay/outcome.h"
#include "relay/secure.h"
#include "relay/step.h"
#include "smtp/capability.h"
#include "smtp/command.h"

enum { REPLY_TIMEOUT_MS = 60000, HANDSHAKE_TIMEOUT_MS = 60000, PART_MS = 2000 };

struct probe;

struct step {
	const char *name;
	enum flow (*run)(struct probe *p);
};

/* The steps, in the order of time. */
#define STEPS(STEP)                                                                                \
	STEP(dialled) /* connected, or not */                                                      \
	STEP(greeted) /* 220, say EHLO */                                                          \
	STEP(capable) /* EHLO answered, say STARTTLS */                                            \
	STEP(simple)  /* HELO answered, where EHLO was not */                                      \
	STEP(encrypt) /* STARTTLS answered, shake hands */                                         \
	STEP(secured)                                                                              \
	STEP(judge)

struct probe {
	const struct probe_order *order;
	struct probe_finding *finding;
	const struct step *step;
	struct plan_host host; /* the order's, with this address alone; owns nothing */
	struct dial *dial;
	struct stream *stream;
	struct dialogue dialogue;
	struct secure *secure;
	struct outcome outcome; /* of what was waited for */
};

#define STEP(name)                                                                                 \
	static enum flow name(struct probe *p);                                                    \
	static const struct step step_##name = { #name, name };
STEPS(STEP)
#undef STEP

static void visit(const struct probe_order *order, struct probe_finding *finding);
static bool is_shown_the_same(
    const struct tls_requirement *required, const struct tls_requirement *watched);
static void visit_for(const struct probe_order *order, size_t watch, struct probe_finding *finding);
static enum flow await(struct probe *p, const struct step *next);
static enum flow await_reply(struct probe *p, const struct step *next);
static enum flow go_plain(struct probe *p, const char *why);
static enum decision decide(const struct probe *p, enum point point);
static enum flow refuse(struct probe *p, const struct outcome *why);
static void on_dialled(const struct dial_result *result, void *arg);
static void on_secured(const struct outcome *outcome, void *arg);
static void run(void *arg);
static void on_parted(void *arg);

void probe_address(const struct probe_order *order, struct probe_finding *finding)
{
	visit(order, finding);
	for (size_t i = 0; i < order->n_watches && finding->is_reached; i++) {
		if (!is_shown_the_same(&order->host->tls, &order->watches[i].tls))
			visit_for(order, i, finding);
	}
}

/* By its name (SNI) a server may choose what it shows, and without TLS it shows nothing. */
static bool is_shown_the_same(
    const struct tls_requirement *required, const struct tls_requirement *watched)
{
	if (watched->level == TLS_NONE)
		return true;
	return required->level != TLS_NONE && tls_requirement_has_same_sni(required, watched);
}

/* As a delivery would come if what is watched was what decides. */
static void visit_for(const struct probe_order *order, size_t watch, struct probe_finding *finding)
{
	struct plan_host host = *order->host;
	struct probe_order alone = *order;
	struct probe_finding found;

	host.tls = order->watches[watch].tls;
	alone.host = &host;
	alone.n_watches = 0;
	visit(&alone, &found);
	finding->watches[watch] = found.verdict;
	probe_finish(&found);
}

static void visit(const struct probe_order *order, struct probe_finding *finding)
{
	struct probe p = { .order = order, .finding = finding, .host = *order->host };

	*finding = (struct probe_finding){ 0 };
	finding->matches = mem_create(order->host->tls.n_tlsa + 1);
	outcome_ok(&finding->verdict);
	outcome_ok(&finding->trouble);
	for (size_t i = 0; i < PROBE_WATCHES_MAX; i++)
		outcome_ok(&finding->watches[i]);
	p.host.addresses[0] = order->host->addresses[order->address];
	p.host.n_addresses = 1;
	dialogue_init(&p.dialogue, order->loop, run, &p);
	p.dial = dial_start(order->loop, &p.host, 0,
	    (int64_t)order->config->delivery.connect_timeout * 1000, on_dialled, &p);
	p.step = &step_dialled;
	loop_run(order->loop);
	dialogue_finish(&p.dialogue);
}

void probe_finish(struct probe_finding *finding)
{
	free(finding->matches);
	*finding = (struct probe_finding){ 0 };
}

/* ---- the steps ---- */

static enum flow dialled(struct probe *p)
{
	if (p->stream == NULL)
		return refuse(p, &p->outcome);
	p->finding->is_reached = true;
	dialogue_attach(&p->dialogue, p->stream, p->finding->peer);
	return await_reply(p, &step_greeted);
}

static enum flow greeted(struct probe *p)
{
	dialogue_outcome(&p->dialogue, POINT_BANNER, 2, &p->outcome);
	if (!outcome_is_ok(&p->outcome))
		return refuse(p, &p->outcome);
	smtp_command_ehlo(stream_output(p->stream), p->order->config->hostname);
	return await_reply(p, &step_capable);
}

static enum flow capable(struct probe *p)
{
	struct smtp_capability can;

	dialogue_outcome(&p->dialogue, POINT_EHLO, 2, &p->outcome);
	if (!outcome_is_ok(&p->outcome)) {
		if (decide(p, POINT_EHLO) != DECISION_SAY_HELO)
			return refuse(p, &p->outcome);
		smtp_command_helo(stream_output(p->stream), p->order->config->hostname);
		return await_reply(p, &step_simple);
	}
	if (p->host.tls.level == TLS_NONE) {
		p->step = &step_judge;
		return FLOW_GO;
	}
	smtp_capability_read(&can, &p->dialogue.reply);
	if (!can.starttls)
		return go_plain(p, "does not offer STARTTLS");
	smtp_command_starttls(stream_output(p->stream));
	return await_reply(p, &step_encrypt);
}

static enum flow simple(struct probe *p)
{
	dialogue_outcome(&p->dialogue, POINT_HELO, 2, &p->outcome);
	if (!outcome_is_ok(&p->outcome))
		return refuse(p, &p->outcome);
	return go_plain(p, "knows no EHLO, and so no STARTTLS");
}

static enum flow encrypt(struct probe *p)
{
	const struct tls_requirement anybody = {
		.level = TLS_ENCRYPT, .demand = p->host.tls.demand, .sni = p->host.tls.sni
	};

	dialogue_outcome(&p->dialogue, POINT_STARTTLS, 2, &p->outcome);
	if (!outcome_is_ok(&p->outcome)) {
		if (decide(p, POINT_STARTTLS) != DECISION_PLAIN_HERE)
			return refuse(p, &p->outcome);
		return go_plain(p, "offers STARTTLS and then refuses it");
	}
	dialogue_detach(&p->dialogue);
	p->secure = secure_start(p->order->loop, p->stream, p->order->context, &anybody,
	    p->finding->peer, HANDSHAKE_TIMEOUT_MS, on_secured, p);
	return await(p, &step_secured);
}

static enum flow secured(struct probe *p)
{
	if (outcome_is_ok(&p->outcome)) {
		p->finding->is_secure = true;
		p->step = &step_judge;
		return FLOW_GO;
	}
	if (decide(p, POINT_TLS) != DECISION_PLAIN_AGAIN)
		return refuse(p, &p->outcome);
	p->finding->trouble = p->outcome;
	for (size_t i = 0; i < p->order->n_watches; i++) {
		if (!tls_requirement_allows_plaintext(&p->order->watches[i].tls))
			p->finding->watches[i] = p->outcome;
	}
	return FLOW_END;
}

static enum flow judge(struct probe *p)
{
	struct probe_finding *f = p->finding;
	struct outcome alone;

	if (f->is_secure || outcome_is_ok(&f->verdict))
		stream_judge(p->stream, &p->host.tls, &f->evidence, &f->verdict);
	for (size_t i = 0; i < p->order->n_watches; i++)
		stream_judge(p->stream, &p->order->watches[i].tls, NULL, &f->watches[i]);
	for (size_t i = 0; f->is_secure && i < p->host.tls.n_tlsa; i++) {
		struct tls_requirement one = p->host.tls;

		one.tlsa = &p->host.tls.tlsa[i];
		one.n_tlsa = 1;
		stream_judge(p->stream, &one, NULL, &alone);
		f->matches[i] = outcome_is_ok(&alone);
	}
	smtp_command_quit(stream_output(p->stream));
	return FLOW_END;
}

/* ---- how steps end ---- */

/* For what has a time limit of its own. */
static enum flow await(struct probe *p, const struct step *next)
{
	p->step = next;
	return FLOW_WAIT;
}

static enum flow await_reply(struct probe *p, const struct step *next)
{
	p->step = next;
	return dialogue_await_reply(&p->dialogue, REPLY_TIMEOUT_MS);
}

static enum flow go_plain(struct probe *p, const char *why)
{
	if (!tls_requirement_allows_plaintext(&p->host.tls))
		outcome_say(&p->finding->verdict, 454, "4.7.4", "starttls-missing",
		    "%s %s, and TLS is required by %s (level %s)", p->dialogue.who, why,
		    tls_demand_words(p->host.tls.demand), tls_level_name(p->host.tls.level));
	p->step = &step_judge;
	return FLOW_GO;
}

/* As a message that has waited once: what it would come to. */
static enum decision decide(const struct probe *p, enum point point)
{
	return outcome_decide(&(struct incident){ .point = point,
	    .what = &p->outcome,
	    .is_over = point == POINT_TLS || dialogue_is_over(&p->dialogue, 2),
	    .needs_tls = !tls_requirement_allows_plaintext(&p->host.tls),
	    .has_waited = true });
}

static enum flow refuse(struct probe *p, const struct outcome *why)
{
	p->finding->verdict = *why;
	for (size_t i = 0; i < p->order->n_watches; i++)
		p->finding->watches[i] = *why;
	return FLOW_END;
}

/* ---- what runs them ---- */

static void on_dialled(const struct dial_result *result, void *arg)
{
	struct probe *p = arg;

	p->dial = NULL;
	p->stream = result->stream;
	p->outcome = result->outcome;
	snprintf(p->finding->peer, sizeof p->finding->peer, "%s", result->peer);
	run(p);
}

static void on_secured(const struct outcome *outcome, void *arg)
{
	struct probe *p = arg;

	p->secure = NULL;
	p->outcome = *outcome;
	run(p);
}

static void run(void *arg)
{
	struct probe *p = arg;
	enum flow flow;

	do
		flow = p->step->run(p);
	while (flow == FLOW_GO);
	if (flow == FLOW_WAIT)
		return;
	dialogue_detach(&p->dialogue);
	if (p->stream == NULL)
		loop_stop(p->order->loop);
	else
		stream_close(&p->stream, PART_MS, on_parted, p);
}

static void on_parted(void *arg)
{
	struct probe *p = arg;

	loop_stop(p->order->loop);
}
