/*
 * Gathers the facts of one domain: MX first, then the addresses of all hosts at once, then the TLSA
 * records of each host whose addresses are secure; beside all that its MTA-STS policy. A host's
 * failure is that host's alone, and a family's that family's.
 */
#include "relay/lookup/facts.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"
#include "relay/base/text.h"

/* The addresses of one family. */
struct family_work {
	struct host_work *work;
	struct finding *finding; /* the host's */
	struct query *query;
	char expanded[DOMAIN_MAX];
};

struct host_work {
	struct gathering *gathering;
	struct facts_host *host;
	struct family_work ipv4, ipv6;
	struct query *cname, *tlsa;
	bool is_finished;
};

struct gathering {
	struct resolver *resolver;
	uint16_t port;
	facts_done *done;
	void *arg;
	struct facts facts;
	struct query *mx;
	struct sts_question *sts;
	struct host_work *works;       /* one for each host */
	size_t n_begun, n_asked_about; /* of them, in order; of these, not yet finished */
	struct timer *deadline;        /* at once where there is nothing to ask */
};

static bool use_numeric(struct facts *facts);
static void on_sts(const struct sts_finding *finding, void *arg);
static void on_mx(const struct answer *answer, void *arg);
static void use_mx(struct facts *facts, const struct answer *answer);
static bool host_is_known(const struct facts *facts, const struct mx_record *mx);
static int compare_preference(const void *a, const void *b);
static struct facts_host *add_host(struct facts *facts);
static void begin_hosts(struct gathering *gathering);
static void ask_addresses(struct gathering *gathering);
static void ask_family(struct family_work *family, enum record_type type);
static void on_addresses(const struct answer *answer, void *arg);
static void addresses_known(struct host_work *work);
static bool is_secure(const struct finding *finding);
static void on_cname(const struct answer *answer, void *arg);
static void ask_tlsa(struct host_work *work, const char *base);
static void on_tlsa(const struct answer *answer, void *arg);
static void use_ttl(struct facts *facts, const struct answer *answer);
static void host_finished(struct host_work *work);
static void finish_if_complete(struct gathering *gathering);
static void on_deadline(void *arg);
static void give_up(struct facts *facts, struct facts_host *host);
static void fail(struct facts *facts, struct finding *finding);

static const char no_time[] = "it could not be learned in time";

struct gathering *facts_gather(const struct facts_order *order, facts_done *done, void *arg)
{
	struct gathering *gathering = mem_create(sizeof *gathering);
	struct facts *facts = &gathering->facts;
	const char *domain = order->domain;

	assert(strlen(domain) < sizeof facts->domain);
	gathering->resolver = order->resolver;
	gathering->port = order->port;
	gathering->done = done;
	gathering->arg = arg;
	facts->ttl_s = ANSWER_TTL_MAX;
	facts->is_host = order->is_host;
	facts->is_impaired = order->is_impaired;
	text_copy(facts->domain, sizeof facts->domain, domain);
	text_copy(facts->expanded, sizeof facts->expanded, domain);
	gathering->deadline = timer_create_in(order->loop, on_deadline, gathering);
	timer_set(gathering->deadline, order->time_ms > 0 ? order->time_ms : FACTS_TIME_MS);
	if (!order->is_host) {
		gathering->mx =
		    resolver_start(order->resolver, domain, RECORD_MX, on_mx, gathering);
		if (order->sts != NULL)
			gathering->sts = sts_ask(order->sts, domain, on_sts, gathering);
		return gathering;
	}
	text_copy(add_host(facts)->name, DOMAIN_MAX, domain);
	if (use_numeric(facts))
		timer_set(gathering->deadline, 0);
	else
		begin_hosts(gathering);
	return gathering;
}

/* A next hop that is an address: the operator vouches for it, and the DNS has no part in it. */
static bool use_numeric(struct facts *facts)
{
	struct facts_host *host = &facts->hosts[0];
	struct answer_address *address = &host->addresses[0];
	struct finding *finding = NULL;

	if (inet_pton(AF_INET, facts->domain, address->bytes) == 1) {
		address->family = 4;
		finding = &host->ipv4;
	} else if (inet_pton(AF_INET6, facts->domain, address->bytes) == 1) {
		address->family = 6;
		finding = &host->ipv6;
	}
	if (finding == NULL)
		return false;
	finding->status = ANSWER_OK;
	host->n_addresses = 1;
	text_copy(host->expanded, sizeof host->expanded, host->name);
	return true;
}

static void on_sts(const struct sts_finding *finding, void *arg)
{
	struct gathering *gathering = arg;

	gathering->sts = NULL;
	gathering->facts.sts_asked = true;
	sts_finding_copy(&gathering->facts.sts, finding);
	finish_if_complete(gathering);
}

static void on_mx(const struct answer *answer, void *arg)
{
	struct gathering *gathering = arg;
	struct facts *facts = &gathering->facts;

	gathering->mx = NULL;
	facts->mx = answer->finding;
	use_ttl(facts, answer);
	if (answer->n_links > 0)
		text_copy(facts->expanded, sizeof facts->expanded, answer->name);
	switch (answer->finding.status) {
	case ANSWER_OK: use_mx(facts, answer); break;
	case ANSWER_NODATA:
		/* RFC 5321 5.1: the domain is its own host, of preference 0. */
		facts->implicit_mx = true;
		text_copy(add_host(facts)->name, DOMAIN_MAX, facts->domain);
		break;
	case ANSWER_NXDOMAIN:
	case ANSWER_BOGUS:
	case ANSWER_ERROR: break;
	case ANSWER_NOT_ASKED: assert(!"an answer has a status");
	}
	begin_hosts(gathering);
	/* Where there is nobody to deliver to, no policy is worth waiting for. */
	if (facts->n_hosts == 0)
		sts_cancel(&gathering->sts);
	finish_if_complete(gathering);
}

static void use_mx(struct facts *facts, const struct answer *answer)
{
	struct mx_record *sorted = mem_resize(NULL, answer->n_mx, sizeof *sorted);

	memcpy(sorted, answer->mx, answer->n_mx * sizeof *sorted);
	qsort(sorted, answer->n_mx, sizeof *sorted, compare_preference);
	/* RFC 7505 3: alone it says that the domain takes no mail. Beside others it says nothing. */
	facts->null_mx = answer->n_mx == 1 && sorted[0].kind == MX_NULL;
	for (size_t i = 0; !facts->null_mx && i < answer->n_mx; i++) {
		struct facts_host *host;

		if (facts->n_hosts == FACTS_HOSTS_MAX || host_is_known(facts, &sorted[i]))
			continue;
		host = add_host(facts);
		text_copy(host->name, sizeof host->name, sorted[i].host);
		host->preference = sorted[i].preference;
		host->kind = sorted[i].kind;
	}
	free(sorted);
}

static int compare_preference(const void *a, const void *b)
{
	const struct mx_record *one = a, *other = b;

	return (one->preference > other->preference) - (one->preference < other->preference);
}

static bool host_is_known(const struct facts *facts, const struct mx_record *mx)
{
	for (size_t i = 0; i < facts->n_hosts; i++) {
		if (facts->hosts[i].kind == mx->kind && strcmp(facts->hosts[i].name, mx->host) == 0)
			return true;
	}
	return false;
}

static struct facts_host *add_host(struct facts *facts)
{
	struct facts_host *host;

	facts->hosts = mem_resize(facts->hosts, facts->n_hosts + 1, sizeof *facts->hosts);
	host = &facts->hosts[facts->n_hosts++];
	*host = (struct facts_host){ .kind = MX_HOST };
	return host;
}

static void begin_hosts(struct gathering *gathering)
{
	struct facts *facts = &gathering->facts;

	gathering->works = mem_create(facts->n_hosts * sizeof *gathering->works);
	for (size_t i = 0; i < facts->n_hosts; i++) {
		struct host_work *work = &gathering->works[i];
		struct facts_host *host = &facts->hosts[i];

		work->gathering = gathering;
		work->host = host;
		work->is_finished = host->kind != MX_HOST;
		text_copy(host->expanded, sizeof host->expanded, host->name);
		work->ipv4 = (struct family_work){ .work = work, .finding = &host->ipv4 };
		work->ipv6 = (struct family_work){ .work = work, .finding = &host->ipv6 };
	}
	ask_addresses(gathering);
}

static void ask_addresses(struct gathering *gathering)
{
	while (gathering->n_begun < gathering->facts.n_hosts &&
	       gathering->n_asked_about < FACTS_HOSTS_AT_ONCE) {
		struct host_work *work = &gathering->works[gathering->n_begun++];

		if (work->is_finished)
			continue;
		gathering->n_asked_about++;
		ask_family(&work->ipv4, RECORD_A);
		ask_family(&work->ipv6, RECORD_AAAA);
	}
}

static void ask_family(struct family_work *family, enum record_type type)
{
	struct host_work *work = family->work;

	text_copy(family->expanded, sizeof family->expanded, work->host->name);
	family->query =
	    resolver_start(work->gathering->resolver, work->host->name, type, on_addresses, family);
}

static void on_addresses(const struct answer *answer, void *arg)
{
	struct family_work *family = arg;
	struct host_work *work = family->work;
	struct facts_host *host = work->host;

	family->query = NULL;
	*family->finding = answer->finding;
	use_ttl(&work->gathering->facts, answer);
	for (size_t i = 0; i < answer->n_addresses && host->n_addresses < FACTS_ADDRESSES_MAX; i++)
		host->addresses[host->n_addresses++] = answer->addresses[i];
	if (answer->finding.status == ANSWER_OK)
		text_copy(family->expanded, sizeof family->expanded, answer->name);
	if (work->ipv4.query == NULL && work->ipv6.query == NULL)
		addresses_known(work);
}

/*
 * RFC 7672 2.2.2, 2.2.3: whether, and under which name, to look for TLSA records. The question is not
 * asked in unsigned zones because servers are about that cannot answer it; where the addresses of one
 * family are secure the zone is signed, so the other family's failure or insecurity is no reason to
 * do without: the records then hold for the addresses of both, which can only be stricter. That a failure
 * of one of them does not end it goes against the end of 2.2.2, and takes nothing off: what is asked about
 * is the same zone, and its records are found or the host is not used.
 */
static void addresses_known(struct host_work *work)
{
	struct facts_host *host = work->host;
	bool is_ipv4_secure = is_secure(&host->ipv4), is_ipv6_secure = is_secure(&host->ipv6);
	const struct family_work *shows =
	    is_ipv4_secure || (!is_ipv6_secure && host->ipv4.status == ANSWER_OK) ? &work->ipv4
										  : &work->ipv6;

	text_copy(host->expanded, sizeof host->expanded, shows->expanded);
	if (is_ipv4_secure || is_ipv6_secure)
		ask_tlsa(work, host->expanded);
	else if (strcmp(host->expanded, host->name) != 0)
		/* Part of the chain is insecure. If its first link is secure, so is the name itself. */
		work->cname = resolver_start(
		    work->gathering->resolver, host->name, RECORD_CNAME, on_cname, work);
	else
		host_finished(work);
}

/* A secure denial has no addresses, so that there is nothing to authenticate. */
static bool is_secure(const struct finding *finding)
{
	return finding->status == ANSWER_OK && finding->security == SECURITY_SECURE;
}

/*
 * A failure here says less than the answer to the question that counts, which has its own proof; and
 * libunbound finds every CNAME bogus that a DNAME stands for.
 */
static void on_cname(const struct answer *answer, void *arg)
{
	struct host_work *work = arg;

	work->cname = NULL;
	use_ttl(&work->gathering->facts, answer);
	if (is_secure(&answer->finding) || finding_is_failure(&answer->finding))
		ask_tlsa(work, work->host->name);
	else
		host_finished(work);
}

static void ask_tlsa(struct host_work *work, const char *base)
{
	struct facts_host *host = work->host;
	char name[DOMAIN_MAX];
	int n;

	snprintf(host->tlsa_base, sizeof host->tlsa_base, "%s", base);
	n = snprintf(name, sizeof name, "_%u._tcp.%s", work->gathering->port, base);
	if (n < 0 || (size_t)n >= sizeof name) {
		/* The DNS has no room for such a name, so nobody can have published anything. */
		host->tlsa = (struct finding){ .status = ANSWER_NODATA };
		host_finished(work);
		return;
	}
	work->tlsa = resolver_start(work->gathering->resolver, name, RECORD_TLSA, on_tlsa, work);
}

static void on_tlsa(const struct answer *answer, void *arg)
{
	struct host_work *work = arg;
	struct facts_host *host = work->host;
	bool is_found = is_secure(&answer->finding);

	work->tlsa = NULL;
	host->tlsa = answer->finding;
	use_ttl(&work->gathering->facts, answer);
	/* A failure ends the search: the second name must not hide what the first one demands. */
	if (!is_found && !finding_is_failure(&answer->finding) &&
	    strcmp(host->tlsa_base, host->name) != 0) {
		ask_tlsa(work, host->name);
		return;
	}
	host->n_malformed = answer->n_tlsa_malformed;
	host->records = mem_resize(NULL, answer->n_tlsa, sizeof *host->records);
	for (size_t i = 0; i < answer->n_tlsa; i++) {
		const struct tlsa_record *from = &answer->tlsa[i];

		host->records[i] = *from;
		host->records[i].data = (uint8_t *)mem_copy(from->data, from->n_data);
	}
	host->n_records = answer->n_tlsa;
	host_finished(work);
}

static void use_ttl(struct facts *facts, const struct answer *answer)
{
	uint32_t ttl_s = finding_is_failure(&answer->finding) ? 0 : answer->ttl_s;

	if (ttl_s < facts->ttl_s)
		facts->ttl_s = ttl_s;
}

static void host_finished(struct host_work *work)
{
	work->is_finished = true;
	work->gathering->n_asked_about--;
	ask_addresses(work->gathering);
	finish_if_complete(work->gathering);
}

static void finish_if_complete(struct gathering *gathering)
{
	if (gathering->mx != NULL || gathering->sts != NULL)
		return;
	for (size_t i = 0; gathering->works != NULL && i < gathering->facts.n_hosts; i++) {
		if (!gathering->works[i].is_finished)
			return;
	}
	gathering->done(&gathering->facts, gathering->arg);
	facts_cancel(&gathering);
}

/* What has not been learned has failed: that is not the same as not being there. */
static void on_deadline(void *arg)
{
	struct gathering *gathering = arg;
	struct facts *facts = &gathering->facts;

	if (gathering->mx != NULL)
		fail(facts, &facts->mx);
	for (size_t i = 0; gathering->works != NULL && i < facts->n_hosts; i++) {
		if (!gathering->works[i].is_finished)
			give_up(facts, &facts->hosts[i]);
	}
	if (gathering->sts != NULL) {
		facts->sts_asked = true;
		facts->sts.problem = STS_PROBLEM_BUSY;
		text_copy(facts->sts.why, sizeof facts->sts.why, no_time);
	}
	gathering->done(facts, gathering->arg);
	facts_cancel(&gathering);
}

/* What its TLSA finding says so far may be of the first of two names only. */
static void give_up(struct facts *facts, struct facts_host *host)
{
	if (host->ipv4.status == ANSWER_NOT_ASKED)
		fail(facts, &host->ipv4);
	if (host->ipv6.status == ANSWER_NOT_ASKED)
		fail(facts, &host->ipv6);
	fail(facts, &host->tlsa);
}

static void fail(struct facts *facts, struct finding *finding)
{
	*finding = (struct finding){ .status = ANSWER_ERROR };
	text_copy(finding->why, sizeof finding->why, no_time);
	facts->ttl_s = 0;
}

void facts_cancel(struct gathering **gathering)
{
	struct gathering *old = *gathering;

	if (old == NULL)
		return;
	query_cancel(&old->mx);
	sts_cancel(&old->sts);
	timer_destroy(&old->deadline);
	for (size_t i = 0; old->works != NULL && i < old->facts.n_hosts; i++) {
		query_cancel(&old->works[i].ipv4.query);
		query_cancel(&old->works[i].ipv6.query);
		query_cancel(&old->works[i].cname);
		query_cancel(&old->works[i].tlsa);
	}
	free(old->works);
	facts_finish(&old->facts);
	free(old);
	*gathering = NULL;
}

void facts_finish(struct facts *facts)
{
	for (size_t i = 0; i < facts->n_hosts; i++) {
		for (size_t j = 0; j < facts->hosts[i].n_records; j++)
			free(facts->hosts[i].records[j].data);
		free(facts->hosts[i].records);
	}
	free(facts->hosts);
	sts_finding_finish(&facts->sts);
	*facts = (struct facts){ 0 };
}
