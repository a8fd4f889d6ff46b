#include "relay/sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dkim/sign.h"
#include "relay/base/clock.h"
#include "relay/base/domain.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"

enum {
	SIGNATURES_MAX = 8,
	SIGNATURE_FIELD_MAX =
	    128 * 1024, /* of one key: the names of all fields of a large header */
};

struct known_key {
	char *domain, *selector;
	enum dkim_algorithm algorithm;
};

struct signer {
	const struct config *config;
	struct asker *keeper;
	struct known_key *keys;
	size_t n_keys;
	bool has_heard; /* a keeper without keys is one too */
	loop_call *on_keys;
	void *on_keys_arg;
};

/* One header block under way. */
struct sealing {
	struct signer *signer;
	uint64_t question;
	size_t n_fields;
	char *fields[SIGNATURES_MAX]; /* without their signatures */
	uint8_t digests[SIGNATURES_MAX][DKIM_DIGEST_SIZE];
	char domain[DOMAIN_MAX];
	struct outcome refusal; /* ok unless it failed before the keeper was asked */
	sign_done *done;
	void *arg;
};

static void learn_keys(void *arg, uint64_t peer, struct ipc_message *m);
static bool prepare(struct sealing *s, const uint8_t *body_hash, struct slice header);
static void on_answer(void *arg, const struct ipc_message *answer);

struct signer *signer_create(const struct config *config, struct asker *keeper)
{
	struct signer *signer = mem_create(sizeof *signer);

	signer->config = config;
	signer->keeper = keeper;
	asker_listen(keeper, learn_keys, NULL, signer);
	return signer;
}

static void forget_keys(struct signer *signer)
{
	for (size_t i = 0; i < signer->n_keys; i++) {
		free(signer->keys[i].domain);
		free(signer->keys[i].selector);
	}
	free(signer->keys);
	signer->keys = NULL;
	signer->n_keys = 0;
}

void signer_destroy(struct signer **signer)
{
	if (*signer == NULL)
		return;
	forget_keys(*signer);
	free(*signer);
	*signer = NULL;
}

/* Keepers of one configuration hold the same keys: the last to tell is as good as any. */
static void learn_keys(void *arg, uint64_t peer, struct ipc_message *m)
{
	struct signer *signer = arg;

	(void)peer;
	if (m->type != IPC_KEYS)
		return;
	forget_keys(signer);
	signer->keys = mem_create(m->keys.keys.n * sizeof *signer->keys);
	for (size_t i = 0; i < m->keys.keys.n; i++) {
		const ipc_key *key = &m->keys.keys.items[i];

		/* One of an algorithm that is none of ours cannot be signed with: as if not held. */
		if (key->algorithm > DKIM_ED25519_SHA256)
			continue;
		signer->keys[signer->n_keys++] = (struct known_key){ mem_copy_text(key->domain),
			mem_copy_text(key->selector), (enum dkim_algorithm)key->algorithm };
	}
	signer->has_heard = true;
	if (signer->on_keys != NULL)
		signer->on_keys(signer->on_keys_arg);
}

void signer_on_keys(struct signer *signer, loop_call *call, void *arg)
{
	signer->on_keys = call;
	signer->on_keys_arg = arg;
}

bool signer_is_ready(const struct signer *signer)
{
	return signer->has_heard && asker_has_peer(signer->keeper);
}

/* ---- one header block ---- */

struct sealing *sign_start(struct signer *signer, const char *domain, const uint8_t *body_hash,
    struct slice header, sign_done *done, void *arg)
{
	struct sealing *s = mem_create(sizeof *s);
	struct ipc_message m = { .type = IPC_SIGN_ASK, .fd = -1, .sign_ask.domain = domain };
	ipc_signing digests[SIGNATURES_MAX];
	const struct config_domain *d = config_find_domain(signer->config, domain);

	s->signer = signer;
	s->done = done;
	s->arg = arg;
	snprintf(s->domain, sizeof s->domain, "%s", domain);
	outcome_ok(&s->refusal);
	if (prepare(s, body_hash, header)) {
		for (size_t i = 0; i < s->n_fields; i++)
			digests[i] = (ipc_signing){ d->selectors[i],
				{ (const char *)s->digests[i], DKIM_DIGEST_SIZE } };
		m.sign_ask.digests = (ipc_signing_list){ digests, s->n_fields };
	}
	/* After a refusal nothing is to be signed, but the answer still comes from the loop. */
	s->question = asker_ask(signer->keeper, 0, &m, on_answer, s);
	return s;
}

static void destroy(struct sealing *s)
{
	for (size_t i = 0; i < s->n_fields; i++)
		free(s->fields[i]);
	free(s);
}

void sign_cancel(struct sealing **sealing)
{
	if (*sealing == NULL)
		return;
	asker_cancel((*sealing)->signer->keeper, (*sealing)->question);
	destroy(*sealing);
	*sealing = NULL;
}

static const struct known_key *find_key(
    const struct signer *signer, const char *domain, const char *selector)
{
	for (size_t i = 0; i < signer->n_keys; i++) {
		if (strcmp(signer->keys[i].domain, domain) == 0 &&
		    strcmp(signer->keys[i].selector, selector) == 0)
			return &signer->keys[i];
	}
	return NULL;
}

static bool refuse_no_key(struct sealing *s, const char *what)
{
	log_error("no mail from %s can be sealed: %s; run \"zegel check\", then reload [no-key]",
	    s->domain, what);
	outcome_say(&s->refusal, 451, "4.7.5", "no-key",
	    "Mail from %s cannot be sealed with DKIM now; the administrator was told", s->domain);
	return false;
}

static bool prepare(struct sealing *s, const uint8_t *body_hash, struct slice header)
{
	const struct config_domain *d = config_find_domain(s->signer->config, s->domain);
	char error[DKIM_ERROR_MAX];

	if (d == NULL || d->n_selectors == 0 || d->n_selectors > SIGNATURES_MAX)
		return refuse_no_key(s, "the domain has no keys (or more than 8)");
	for (size_t i = 0; i < d->n_selectors; i++) {
		const struct known_key *key = find_key(s->signer, s->domain, d->selectors[i]);
		struct dkim_seal seal = { .domain = s->domain,
			.selector = d->selectors[i],
			.time_s = clock_wall_s(),
			.body_hash = body_hash };

		if (key == NULL)
			return refuse_no_key(s, "the keeper does not hold one of its keys");
		seal.algorithm = key->algorithm;
		if (dkim_sign_prepare(
			&seal, header, &s->fields[i], s->digests[i], error, sizeof error) != 0)
			return refuse_no_key(s, error);
		s->n_fields++;
	}
	return true;
}

/* The first selector's field on top, in the order the operator wrote them. */
static bool put_fields(struct sealing *s, const ipc_signing_list *signatures, struct buffer *fields)
{
	for (size_t i = 0; i < s->n_fields; i++) {
		struct slice raw = signatures->items[i].bytes;
		char *field;

		if (raw.n == 0 || raw.n > DKIM_SIGNATURE_MAX)
			return false;
		field = dkim_sign_finish(s->fields[i], (const uint8_t *)raw.bytes, raw.n);
		buffer_add_text(fields, field);
		free(field);
	}
	return !fields->overflowed;
}

static void on_answer(void *arg, const struct ipc_message *answer)
{
	struct sealing *s = arg;
	struct buffer fields;
	struct outcome outcome = s->refusal;

	buffer_init(&fields, SIGNATURES_MAX * SIGNATURE_FIELD_MAX);
	if (!outcome_is_ok(&outcome)) {
		/* decided before */
	} else if (answer == NULL) {
		outcome_say(&outcome, 451, "4.7.5", "keeper-unavailable",
		    "Mail cannot be sealed with DKIM at this moment; try again soon");
	} else if (!answer->sign_say.ok || answer->sign_say.signatures.n != s->n_fields) {
		refuse_no_key(s, answer->sign_say.problem);
		outcome = s->refusal;
	} else if (!put_fields(s, &answer->sign_say.signatures, &fields)) {
		refuse_no_key(s, "a signature of the keeper cannot be put into a field");
		outcome = s->refusal;
	}
	s->done(s->arg, &outcome, outcome_is_ok(&outcome) ? buffer_text(&fields) : NULL);
	buffer_finish(&fields);
	destroy(s);
}
