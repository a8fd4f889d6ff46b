/*
 * Facts as bytes, between the lookup role and the deliveries. The reader believes nothing: a lookup
 * role that was taken over must not take a delivery with it.
 */
#include "relay/lookup/facts.h"

#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"
#include "relay/base/wire.h"

enum { FACTS_VERSION = 3 };

static void put_finding(struct buffer *out, const struct finding *finding);
static void put_sts(struct buffer *out, const struct sts_finding *sts);
static void put_host(struct buffer *out, const struct facts_host *host);
static bool is_consistent(const struct facts *facts, size_t n_hosts);
static bool get_sts(struct wire_reader *in, struct sts_finding *sts);
static bool get_policy(struct wire_reader *in, struct sts_finding *sts);
static bool get_lines(struct wire_reader *in, size_t room, char **lines);
static bool get_finding(struct wire_reader *in, struct finding *finding);
static bool get_host(struct wire_reader *in, struct facts_host *host);
static bool get_addresses(struct wire_reader *in, struct facts_host *host);
static bool get_records(struct wire_reader *in, struct facts_host *host);
static bool get_text(struct wire_reader *in, char *text, size_t room);
static bool get_bool(struct wire_reader *in, bool *value);

void facts_encode(const struct facts *facts, struct buffer *out)
{
	wire_put_u8(out, FACTS_VERSION);
	wire_put_text(out, facts->domain);
	wire_put_text(out, facts->expanded);
	put_finding(out, &facts->mx);
	wire_put_u8(out, facts->null_mx);
	wire_put_u8(out, facts->implicit_mx);
	wire_put_u8(out, facts->is_host);
	wire_put_u8(out, facts->is_impaired);
	wire_put_u8(out, facts->sts_asked);
	put_sts(out, &facts->sts);
	wire_put_u32(out, facts->ttl_s);
	wire_put_u32(out, (uint32_t)facts->n_hosts);
	for (size_t i = 0; i < facts->n_hosts; i++)
		put_host(out, &facts->hosts[i]);
}

static void put_finding(struct buffer *out, const struct finding *finding)
{
	wire_put_u8(out, (uint8_t)finding->status);
	wire_put_u8(out, (uint8_t)finding->security);
	wire_put_text(out, finding->why);
}

static void put_sts(struct buffer *out, const struct sts_finding *sts)
{
	wire_put_u8(out, (uint8_t)sts->problem);
	wire_put_text(out, sts->why);
	wire_put_u8(out, sts->has_policy);
	if (!sts->has_policy)
		return;
	wire_put_u8(out, (uint8_t)sts->policy.mode);
	wire_put_u32(out, sts->policy.max_age_s);
	wire_put_text(out, sts->id);
	wire_put_i64(out, sts->expires_s);
	wire_put_u32(out, (uint32_t)sts->policy.n_mx);
	for (size_t i = 0; i < sts->policy.n_mx; i++)
		wire_put_text(out, sts->policy.mx[i]);
	wire_put_text(out, sts->text);
}

static void put_host(struct buffer *out, const struct facts_host *host)
{
	wire_put_text(out, host->name);
	wire_put_u32(out, host->preference);
	wire_put_u8(out, (uint8_t)host->kind);
	put_finding(out, &host->ipv4);
	put_finding(out, &host->ipv6);
	wire_put_u32(out, (uint32_t)host->n_addresses);
	for (size_t i = 0; i < host->n_addresses; i++) {
		const struct answer_address *address = &host->addresses[i];

		wire_put_bytes(out, address->bytes, address->family == 4 ? 4 : 16);
	}
	wire_put_text(out, host->expanded);
	put_finding(out, &host->tlsa);
	wire_put_text(out, host->tlsa_base);
	wire_put_u32(out, (uint32_t)host->n_malformed);
	wire_put_u32(out, (uint32_t)host->n_records);
	for (size_t i = 0; i < host->n_records; i++) {
		const struct tlsa_record *record = &host->records[i];

		wire_put_u8(out, record->usage);
		wire_put_u8(out, record->selector);
		wire_put_u8(out, record->matching);
		wire_put_bytes(out, record->data, record->n_data);
	}
}

bool facts_decode(const void *bytes, size_t n, struct facts *facts)
{
	struct wire_reader in;
	size_t n_hosts;
	bool good;

	*facts = (struct facts){ 0 };
	wire_reader_init(&in, bytes, n);
	good = wire_get_u8(&in) == FACTS_VERSION &&
	       get_text(&in, facts->domain, sizeof facts->domain) &&
	       get_text(&in, facts->expanded, sizeof facts->expanded) &&
	       get_finding(&in, &facts->mx) && get_bool(&in, &facts->null_mx) &&
	       get_bool(&in, &facts->implicit_mx) && get_bool(&in, &facts->is_host) &&
	       get_bool(&in, &facts->is_impaired) && get_bool(&in, &facts->sts_asked) &&
	       get_sts(&in, &facts->sts);
	facts->ttl_s = wire_get_u32(&in);
	n_hosts = wire_get_count(&in, 1);
	good = good && is_consistent(facts, n_hosts);
	if (good && n_hosts > 0)
		facts->hosts = mem_create(n_hosts * sizeof *facts->hosts);
	while (good && facts->n_hosts < n_hosts)
		good = get_host(&in, &facts->hosts[facts->n_hosts++]);
	if (good && wire_is_whole(&in))
		return true;
	facts_finish(facts);
	return false;
}

static bool is_consistent(const struct facts *facts, size_t n_hosts)
{
	if (facts->ttl_s > ANSWER_TTL_MAX || n_hosts > FACTS_HOSTS_MAX)
		return false;
	if ((facts->null_mx && n_hosts > 0) || (facts->implicit_mx && n_hosts != 1))
		return false;
	if (facts->is_host && (facts->null_mx || facts->implicit_mx || facts->sts_asked ||
				  facts->mx.status != ANSWER_NOT_ASKED || n_hosts != 1))
		return false;
	return facts->sts_asked ||
	       (!facts->sts.has_policy && facts->sts.problem == STS_PROBLEM_NONE);
}

static bool get_sts(struct wire_reader *in, struct sts_finding *sts)
{
	uint8_t problem = wire_get_u8(in);
	bool has_policy;

	if (problem > STS_PROBLEM_GONE)
		return false;
	sts->problem = (enum sts_problem)problem;
	return get_text(in, sts->why, sizeof sts->why) && get_bool(in, &has_policy) &&
	       (!has_policy || get_policy(in, sts));
}

/* Finished with the facts from its first allocation on. */
static bool get_policy(struct wire_reader *in, struct sts_finding *sts)
{
	struct sts_policy *policy = &sts->policy;
	uint8_t mode = wire_get_u8(in);
	char pattern[DOMAIN_MAX + 2];
	size_t n;

	if (mode > STS_MODE_ENFORCE)
		return false;
	policy->mode = (enum sts_mode)mode;
	policy->max_age_s = wire_get_u32(in);
	if (policy->max_age_s > STS_AGE_MAX || !get_text(in, sts->id, sizeof sts->id))
		return false;
	sts->expires_s = wire_get_i64(in);
	n = wire_get_count(in, 4);
	if (in->failed || n > STS_MX_MAX)
		return false;
	sts->has_policy = true;
	policy->mx = mem_create(n * sizeof *policy->mx);
	for (size_t i = 0; i < n; i++) {
		if (!get_text(in, pattern, sizeof pattern))
			return false;
		policy->mx[policy->n_mx++] = mem_copy_text(pattern);
	}
	return get_lines(in, STS_TEXT_MAX, &sts->text);
}

static bool get_lines(struct wire_reader *in, size_t room, char **lines)
{
	const char *from = wire_get_text(in);

	if (in->failed || strlen(from) >= room)
		return false;
	for (const char *c = from; *c != '\0'; c++) {
		if (*c != '\n' && (*c < ' ' || *c > '~'))
			return false;
	}
	*lines = mem_copy_text(from);
	return true;
}

static bool get_finding(struct wire_reader *in, struct finding *finding)
{
	uint8_t status = wire_get_u8(in), security = wire_get_u8(in);

	if (status > ANSWER_ERROR || security > SECURITY_BOGUS)
		return false;
	finding->status = (enum answer_status)status;
	finding->security = (enum security)security;
	return get_text(in, finding->why, sizeof finding->why);
}

static bool get_host(struct wire_reader *in, struct facts_host *host)
{
	uint32_t preference;
	uint8_t kind;

	if (!get_text(in, host->name, sizeof host->name))
		return false;
	preference = wire_get_u32(in);
	kind = wire_get_u8(in);
	if (preference > UINT16_MAX || kind > MX_INVALID)
		return false;
	host->preference = (uint16_t)preference;
	host->kind = (enum mx_kind)kind;
	return get_finding(in, &host->ipv4) && get_finding(in, &host->ipv6) &&
	       get_addresses(in, host) && get_text(in, host->expanded, sizeof host->expanded) &&
	       get_finding(in, &host->tlsa) &&
	       get_text(in, host->tlsa_base, sizeof host->tlsa_base) && get_records(in, host);
}

static bool get_addresses(struct wire_reader *in, struct facts_host *host)
{
	size_t n = wire_get_count(in, 4 + 4);

	if (n > FACTS_ADDRESSES_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		struct slice bytes = wire_get_bytes(in);

		if (bytes.n != 4 && bytes.n != 16)
			return false;
		host->addresses[i].family = bytes.n == 4 ? 4 : 6;
		memcpy(host->addresses[i].bytes, bytes.bytes, bytes.n);
	}
	host->n_addresses = n;
	return true;
}

static bool get_records(struct wire_reader *in, struct facts_host *host)
{
	size_t n, n_bytes = 0;

	host->n_malformed = wire_get_u32(in);
	n = wire_get_count(in, 3 + 4);
	if (n > ANSWER_TLSA_MAX || host->n_malformed > UINT16_MAX)
		return false;
	host->records = mem_create(n * sizeof *host->records);
	for (size_t i = 0; i < n; i++) {
		struct tlsa_record *record = &host->records[i];
		struct slice data;

		record->usage = wire_get_u8(in);
		record->selector = wire_get_u8(in);
		record->matching = wire_get_u8(in);
		data = wire_get_bytes(in);
		n_bytes += data.n;
		if (n_bytes > ANSWER_TLSA_BYTES_MAX)
			return false;
		record->data = (uint8_t *)mem_copy(data.bytes, data.n);
		record->n_data = data.n;
		host->n_records = i + 1;
	}
	return true;
}

/* Printable ASCII, as every name and every reason is. */
static bool get_text(struct wire_reader *in, char *text, size_t room)
{
	const char *from = wire_get_text(in);
	size_t n = strlen(from);

	if (in->failed || n >= room)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (from[i] < ' ' || from[i] > '~')
			return false;
	}
	memcpy(text, from, n + 1);
	return true;
}

static bool get_bool(struct wire_reader *in, bool *value)
{
	uint8_t byte = wire_get_u8(in);

	*value = byte == 1;
	return byte <= 1;
}
