/*
 * Facts gathered from a scripted DNS: this file is the resolver that facts.c asks, and the keeper of
 * MTA-STS policies. A script is lines "TYPE NAME STATUS SECURITY [ttl=N] [to=NAME] [RECORD,...]", and
 * perhaps "STS enforce|dns"; what it does not mention is NXDOMAIN, secure, and without STS no policy is
 * asked for. Every case is played in the order of the questions, the policy last, and once more in
 * the opposite order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"
#include "relay/lookup/facts.h"
#include "relay/net/loop.h"

enum { QUERIES_MAX = 4096 };

struct query {
	struct resolver *resolver;
	char name[DOMAIN_MAX];
	enum record_type type;
	resolver_done *done;
	void *arg;
};

struct sts_question {
	struct resolver *resolver;
	sts_done *done;
	void *arg;
};

struct sts {
	struct resolver *resolver;
};

struct resolver {
	const char *script;
	struct query *waiting[QUERIES_MAX];
	size_t n_waiting, n_asked, n_tlsa_asked, n_cancelled;
	struct sts_question *sts; /* NULL: nothing is asked */
	size_t n_sts_asked;
};

struct facts_case {
	const char *name, *script, *facts;
};

#define MX         "MX d.test ok secure 10:mx.test\n"
#define A          "A mx.test ok secure 192.0.2.1\n"
#define NO_AAAA    "AAAA mx.test nodata secure\n"
#define MX_SECURE  "d.test ok/secure ttl=300\n"
#define HOST       "10 mx.test ok/secure no data/secure 192.0.2.1"
#define TLSA(name) "TLSA _25._tcp." name " ok secure 3-1-1\n"

static const struct facts_case cases[] = {
	{ "all there", MX A NO_AAAA TLSA("mx.test"),
	    MX_SECURE HOST " base=mx.test tlsa=ok/secure 3-1-1\n" },
	{ "N13 domain is not there", "MX d.test nx secure\n",
	    "d.test no such name/secure ttl=300\n" },
	{ "N13 MX fails", "MX d.test error insecure\n", "d.test error/insecure ttl=0\n" },
	{ "N17 MX bogus", "MX d.test bogus bogus\n", "d.test bogus/bogus ttl=0\n" },
	{ "N13 implicit MX", "MX d.test nodata secure\nA d.test ok secure 192.0.2.1\n",
	    "d.test no data/secure ttl=300 implicit\n"
	    "0 d.test ok/secure no such name/secure 192.0.2.1 base=d.test tlsa=no such "
	    "name/secure\n" },
	{ "N14 null MX", "MX d.test ok secure 0:.\n", "d.test ok/secure ttl=300 null\n" },
	{ "N14 null MX and others", "MX d.test ok secure 0:.,10:mx.test\n" A NO_AAAA,
	    MX_SECURE "0 . not asked/insecure not asked/insecure\n" HOST
		      " base=mx.test tlsa=no such name/secure\n" },
	{ "N15 MX is an address", "MX d.test ok secure 5:!192.0.2.1\n",
	    MX_SECURE "5 192.0.2.1 not asked/insecure not asked/insecure\n" },
	{ "the domain is a CNAME", "MX d.test ok secure to=e.test 10:mx.test\n" A NO_AAAA,
	    "d.test ok/secure ttl=300 to=e.test\n" HOST
	    " base=mx.test tlsa=no such name/secure\n" },
	{ "order of preference", "MX d.test ok insecure 30:c.test,10:a.test,20:b.test\n",
	    "d.test ok/insecure ttl=300\n"
	    "10 a.test no such name/secure no such name/secure\n"
	    "20 b.test no such name/secure no such name/secure\n"
	    "30 c.test no such name/secure no such name/secure\n" },
	{ "the same host twice", "MX d.test ok insecure 30:a.test,10:a.test\n",
	    "d.test ok/insecure ttl=300\n10 a.test no such name/secure no such name/secure\n" },
	{ "least TTL counts, also a negative one",
	    MX "A mx.test ok secure ttl=200 192.0.2.1\nAAAA mx.test nodata secure ttl=60\n",
	    "d.test ok/secure ttl=60\n" HOST " base=mx.test tlsa=no such name/secure\n" },
	{ "T10 TLSA fails", MX A NO_AAAA "TLSA _25._tcp.mx.test error insecure\n",
	    "d.test ok/secure ttl=0\n" HOST " base=mx.test tlsa=error/insecure\n" },
	{ "T12 insecure addresses: TLSA is not asked",
	    MX "A mx.test ok insecure 192.0.2.1\n" NO_AAAA TLSA("mx.test"),
	    MX_SECURE "10 mx.test ok/insecure no data/secure 192.0.2.1\n" },
	{ "T12 both families insecure: TLSA is not asked",
	    MX "A mx.test ok insecure 192.0.2.1\nAAAA mx.test ok insecure 2001:db8::1\n" TLSA(
		"mx.test"),
	    MX_SECURE "10 mx.test ok/insecure ok/insecure 192.0.2.1 2001:db8::1\n" },
	{ "T12 one family secure is enough: what is found holds for both",
	    MX A "AAAA mx.test ok insecure 2001:db8::1\n" TLSA("mx.test"),
	    MX_SECURE "10 mx.test ok/secure ok/insecure 192.0.2.1 2001:db8::1 base=mx.test "
		      "tlsa=ok/secure 3-1-1\n" },
	{ "T12 a secure denial is no secure address",
	    MX "A mx.test ok insecure 192.0.2.1\n" NO_AAAA TLSA("mx.test"),
	    MX_SECURE "10 mx.test ok/insecure no data/secure 192.0.2.1\n" },
	{ "T12 no addresses: TLSA is not asked", MX TLSA("mx.test"),
	    MX_SECURE "10 mx.test no such name/secure no such name/secure\n" },
	{ "N17 T12 AAAA is bogus, A serves and TLSA is asked",
	    MX A "AAAA mx.test bogus bogus\n" TLSA("mx.test"),
	    "d.test ok/secure ttl=0\n10 mx.test ok/secure bogus/bogus 192.0.2.1 base=mx.test "
	    "tlsa=ok/secure 3-1-1\n" },
	{ "N17 T12 A fails, AAAA serves and TLSA is asked",
	    MX "A mx.test error insecure\nAAAA mx.test ok secure 2001:db8::1\n" TLSA("mx.test"),
	    "d.test ok/secure ttl=0\n10 mx.test error/insecure ok/secure 2001:db8::1 base=mx.test "
	    "tlsa=ok/secure 3-1-1\n" },
	{ "N17 both families fail",
	    MX "A mx.test error insecure\nAAAA mx.test bogus bogus\n" TLSA("mx.test"),
	    "d.test ok/secure ttl=0\n10 mx.test error/insecure bogus/bogus\n" },
	{ "T13 insecure MX: TLSA is asked, route decides",
	    "MX d.test ok insecure 10:mx.test\n" A NO_AAAA TLSA("mx.test"),
	    "d.test ok/insecure ttl=300\n" HOST " base=mx.test tlsa=ok/secure 3-1-1\n" },
	{ "T14 secure CNAME, TLSA at its end",
	    MX
	    "A mx.test ok secure to=real.test 192.0.2.1\nAAAA mx.test nodata secure to=real.test\n" TLSA(
		"real.test") TLSA("mx.test"),
	    MX_SECURE HOST " to=real.test base=real.test tlsa=ok/secure 3-1-1\n" },
	{ "T14 secure CNAME, TLSA at the original name",
	    MX
	    "A mx.test ok secure to=real.test 192.0.2.1\nAAAA mx.test nodata secure to=real.test\n" TLSA(
		"mx.test"),
	    MX_SECURE HOST " to=real.test base=mx.test tlsa=ok/secure 3-1-1\n" },
	{ "T14 secure CNAME, insecure TLSA at its end does not count",
	    MX
	    "A mx.test ok secure to=real.test 192.0.2.1\nAAAA mx.test nodata secure to=real.test\n"
	    "TLSA _25._tcp.real.test ok insecure 3-1-1\n" TLSA("mx.test"),
	    MX_SECURE HOST " to=real.test base=mx.test tlsa=ok/secure 3-1-1\n" },
	{ "T14 T10 a failure at its end ends the search",
	    MX
	    "A mx.test ok secure to=real.test 192.0.2.1\nAAAA mx.test nodata secure to=real.test\n"
	    "TLSA _25._tcp.real.test error insecure\n" TLSA("mx.test"),
	    "d.test ok/secure ttl=0\n" HOST " to=real.test base=real.test tlsa=error/insecure\n" },
	{ "T14 secure CNAME into insecure zone: the original name only",
	    MX "A mx.test ok insecure to=real.test 192.0.2.1\n"
	       "AAAA mx.test nodata insecure to=real.test\n"
	       "CNAME mx.test ok secure\n" TLSA("real.test") TLSA("mx.test"),
	    MX_SECURE "10 mx.test ok/insecure no data/insecure 192.0.2.1 to=real.test base=mx.test "
		      "tlsa=ok/secure 3-1-1\n" },
	{ "T14 the secure family's chain is the one that counts",
	    MX "A mx.test ok insecure to=old.test 192.0.2.1\n"
	       "AAAA mx.test ok secure to=real.test 2001:db8::1\n" TLSA("old.test")
		   TLSA("real.test"),
	    MX_SECURE "10 mx.test ok/insecure ok/secure 192.0.2.1 2001:db8::1 to=real.test "
		      "base=real.test tlsa=ok/secure 3-1-1\n" },
	{ "T14 one family of a secure CNAME fails",
	    MX "A mx.test bogus bogus\nAAAA mx.test ok secure to=real.test 2001:db8::1\n" TLSA(
		"real.test"),
	    "d.test ok/secure ttl=0\n10 mx.test bogus/bogus ok/secure 2001:db8::1 to=real.test "
	    "base=real.test tlsa=ok/secure 3-1-1\n" },
	{ "T14 T10 a failure at the original name is the finding",
	    MX
	    "A mx.test ok secure to=real.test 192.0.2.1\nAAAA mx.test nodata secure to=real.test\n"
	    "TLSA _25._tcp.mx.test bogus bogus\n",
	    "d.test ok/secure ttl=0\n" HOST " to=real.test base=mx.test tlsa=bogus/bogus\n" },
	{ "T14 T10 partly insecure chain, and TLSA at the original name fails",
	    MX "A mx.test ok insecure to=real.test 192.0.2.1\nAAAA mx.test nodata insecure\n"
	       "CNAME mx.test ok secure\nTLSA _25._tcp.mx.test error insecure\n",
	    "d.test ok/secure ttl=0\n10 mx.test ok/insecure no data/insecure 192.0.2.1 to=real.test "
	    "base=mx.test tlsa=error/insecure\n" },
	{ "T14 no MX, the domain is a secure CNAME",
	    "MX d.test nodata secure to=e.test\nA d.test ok secure to=e.test 192.0.2.1\n"
	    "AAAA d.test nodata secure to=e.test\n" TLSA("e.test"),
	    "d.test no data/secure ttl=300 to=e.test implicit\n"
	    "0 d.test ok/secure no data/secure 192.0.2.1 to=e.test base=e.test tlsa=ok/secure "
	    "3-1-1\n" },
	{ "T14 no MX, the domain is a secure CNAME into an insecure zone",
	    "MX d.test nodata insecure to=e.test\nA d.test ok insecure to=e.test 192.0.2.1\n"
	    "AAAA d.test nodata insecure to=e.test\nCNAME d.test ok secure\n" TLSA("e.test")
		TLSA("d.test"),
	    "d.test no data/insecure ttl=300 to=e.test implicit\n"
	    "0 d.test ok/insecure no data/insecure 192.0.2.1 to=e.test base=d.test tlsa=ok/secure "
	    "3-1-1\n" },
	{ "T14 insecure CNAME: no TLSA",
	    MX "A mx.test ok insecure to=real.test 192.0.2.1\n"
	       "AAAA mx.test nodata insecure to=real.test\n"
	       "CNAME mx.test ok insecure\n" TLSA("real.test") TLSA("mx.test"),
	    MX_SECURE "10 mx.test ok/insecure no data/insecure 192.0.2.1 to=real.test\n" },
	{ "T14 T10 CNAME question fails, and so does TLSA at the original name",
	    MX "A mx.test ok insecure to=real.test 192.0.2.1\n"
	       "AAAA mx.test nodata insecure to=real.test\nCNAME mx.test error insecure\n"
	       "TLSA _25._tcp.mx.test error insecure\n",
	    "d.test ok/secure ttl=0\n10 mx.test ok/insecure no data/insecure 192.0.2.1 to=real.test "
	    "base=mx.test tlsa=error/insecure\n" },
	{ "T14 CNAME question fails, TLSA at the original name holds",
	    MX "A mx.test ok insecure to=real.test 192.0.2.1\n"
	       "AAAA mx.test nodata insecure to=real.test\nCNAME mx.test bogus bogus\n" TLSA(
		   "mx.test"),
	    "d.test ok/secure ttl=0\n10 mx.test ok/insecure no data/insecure 192.0.2.1 to=real.test "
	    "base=mx.test tlsa=ok/secure 3-1-1\n" },
	{ "T14 CNAME question fails, no TLSA at the original name",
	    MX "A mx.test ok insecure to=real.test 192.0.2.1\n"
	       "AAAA mx.test nodata insecure to=real.test\nCNAME mx.test bogus bogus\n",
	    "d.test ok/secure ttl=0\n10 mx.test ok/insecure no data/insecure 192.0.2.1 to=real.test "
	    "base=mx.test tlsa=no such name/secure\n" },
	{ "two hosts, one of them bad",
	    "MX d.test ok secure 10:mx.test,20:b.test\n" A NO_AAAA TLSA(
		"mx.test") "A b.test error insecure\nAAAA b.test error insecure\n",
	    "d.test ok/secure ttl=0\n" HOST " base=mx.test tlsa=ok/secure 3-1-1\n"
	    "20 b.test error/insecure error/insecure\n" },

	/* ---- MTA-STS ---- */
	{ "T21 a policy beside the hosts", MX A NO_AAAA TLSA("mx.test") "STS enforce\n",
	    MX_SECURE "sts enforce mx.test,*.b.test until 2000000000\n" HOST
		      " base=mx.test tlsa=ok/secure 3-1-1\n" },
	{ "T20 a policy that could not be learned", MX A NO_AAAA "STS dns\n",
	    MX_SECURE "sts dns (scripted)\n" HOST " base=mx.test tlsa=no such name/secure\n" },
	{ "T21 no host has an address: the policy still says whose fault that is",
	    MX "STS enforce\n",
	    MX_SECURE "sts enforce mx.test,*.b.test until 2000000000\n"
		      "10 mx.test no such name/secure no such name/secure\n" },
};

/* Next hops that the operator wrote. */
static const struct {
	const char *name, *host, *script, *facts;
	bool is_impaired;
} host_cases[] = {
	{ "no MX, no MTA-STS; TLSA of its port", "mx.test",
	    A NO_AAAA "TLSA _587._tcp.mx.test ok secure 3-1-1\n" TLSA("mx.test") "STS enforce\n",
	    "mx.test not asked/insecure ttl=300 host\n0 mx.test ok/secure no data/secure 192.0.2.1 "
	    "base=mx.test tlsa=ok/secure 3-1-1\n",
	    false },
	{ "no such host", "mx.test", "",
	    "mx.test not asked/insecure ttl=300 host\n"
	    "0 mx.test no such name/secure no such name/secure\n",
	    false },
	{ "IPv4: no DNS at all", "192.0.2.7", "MX 192.0.2.7 error insecure\nSTS enforce\n",
	    "192.0.2.7 not asked/insecure ttl=86400 host\n"
	    "0 192.0.2.7 ok/insecure not asked/insecure 192.0.2.7\n",
	    false },
	{ "IPv6: no DNS at all", "2001:db8::7", "",
	    "2001:db8::7 not asked/insecure ttl=86400 host impaired\n"
	    "0 2001:db8::7 not asked/insecure ok/insecure 2001:db8::7\n",
	    true },
};

static char *play(const char *script, bool backwards, struct resolver *resolver);
static void run(struct facts_order *order, bool backwards, struct buffer *out);
static void answer_sts(struct resolver *resolver);
static void on_facts(const struct facts *facts, void *arg);
static void print_facts(const struct facts *facts, struct buffer *out);
static void print_host(const struct facts_host *host, struct buffer *out);
static void answer_one(struct resolver *resolver, size_t at);
static void find_answer(
    const char *script, const char *name, enum record_type type, struct answer *answer);
static void read_answer(char *words, enum record_type type, struct answer *answer);
static void read_record(char *word, enum record_type type, struct answer *answer);

struct query *resolver_start(struct resolver *resolver, const char *name, enum record_type type,
    resolver_done *done, void *arg)
{
	struct query *query = mem_create(sizeof *query);

	*query = (struct query){ .resolver = resolver, .type = type, .done = done, .arg = arg };
	strcpy(query->name, name);
	assert_true(resolver->n_waiting < QUERIES_MAX);
	resolver->waiting[resolver->n_waiting++] = query;
	resolver->n_asked++;
	resolver->n_tlsa_asked += type == RECORD_TLSA;
	return query;
}

void query_cancel(struct query **query)
{
	struct resolver *resolver;

	if (*query == NULL)
		return;
	resolver = (*query)->resolver;
	for (size_t i = 0; i < resolver->n_waiting; i++) {
		if (resolver->waiting[i] == *query) {
			resolver->waiting[i] = resolver->waiting[--resolver->n_waiting];
			resolver->n_cancelled++;
			break;
		}
	}
	free(*query);
	*query = NULL;
}

struct sts_question *sts_ask(struct sts *sts, const char *domain, sts_done *done, void *arg)
{
	struct sts_question *question = mem_create(sizeof *question);

	assert_string_equal(domain, "d.test");
	assert_null(sts->resolver->sts);
	*question = (struct sts_question){ .resolver = sts->resolver, .done = done, .arg = arg };
	sts->resolver->sts = question;
	sts->resolver->n_sts_asked++;
	return question;
}

void sts_cancel(struct sts_question **question)
{
	if (*question == NULL)
		return;
	(*question)->resolver->sts = NULL;
	free(*question);
	*question = NULL;
}

static void test_cases(void **state)
{
	size_t n_wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		for (int backwards = 0; backwards < 2; backwards++) {
			struct resolver resolver = { 0 };
			char *got = play(cases[i].script, backwards, &resolver);

			if (strcmp(got, cases[i].facts) != 0) {
				print_error("%s:\n--- wanted\n%s--- got\n%s", cases[i].name,
				    cases[i].facts, got);
				n_wrong++;
			}
			free(got);
		}
	}
	assert_int_equal(n_wrong, 0);
}

/* The facts as text; checks as well that they survive as bytes. */
static char *play(const char *script, bool backwards, struct resolver *resolver)
{
	struct buffer out;
	struct loop *loop = loop_create();
	struct sts sts = { resolver };
	struct facts_order order = {
		.loop = loop, .resolver = resolver, .domain = "d.test", .port = 25
	};

	buffer_init(&out, 1 << 20);
	resolver->script = script;
	if (strstr(script, "STS ") != NULL)
		order.sts = &sts;
	run(&order, backwards, &out);
	loop_destroy(&loop);
	return buffer_take(&out);
}

static void run(struct facts_order *order, bool backwards, struct buffer *out)
{
	struct resolver *resolver = order->resolver;

	assert_non_null(facts_gather(order, on_facts, out));
	assert_int_equal(out->n, 0);
	if (backwards)
		answer_sts(resolver);
	while (resolver->n_waiting > 0)
		answer_one(resolver, backwards ? resolver->n_waiting - 1 : 0);
	answer_sts(resolver);
}

static void answer_sts(struct resolver *resolver)
{
	static char *patterns[] = { (char *)"mx.test", (char *)"*.b.test" };
	struct sts_finding finding = { 0 };
	struct sts_question *question = resolver->sts;

	if (question == NULL)
		return;
	resolver->sts = NULL;
	if (strstr(resolver->script, "STS enforce\n") != NULL) {
		finding = (struct sts_finding){ .has_policy = true,
			.policy = { STS_MODE_ENFORCE, 86400, patterns, 2 },
			.text = (char *)"version: STSv1\nmx: mx.test\n",
			.id = "1a",
			.expires_s = 2000000000 };
	} else {
		finding.problem = STS_PROBLEM_DNS;
		strcpy(finding.why, "scripted");
	}
	question->done(&finding, question->arg);
	free(question);
}

static void on_facts(const struct facts *facts, void *arg)
{
	struct buffer bytes, *out = arg, again;
	struct facts copy;

	assert_int_equal(out->n, 0); /* once only */
	print_facts(facts, out);
	buffer_init(&bytes, FACTS_ENCODED_MAX);
	facts_encode(facts, &bytes);
	assert_false(bytes.overflowed);
	assert_true(facts_decode(bytes.bytes, bytes.n, &copy));
	buffer_init(&again, FACTS_ENCODED_MAX);
	facts_encode(&copy, &again);
	assert_int_equal(bytes.n, again.n);
	assert_memory_equal(bytes.bytes, again.bytes, bytes.n);
	facts_finish(&copy);
	buffer_finish(&again);
	buffer_finish(&bytes);
}

static void print_facts(const struct facts *facts, struct buffer *out)
{
	buffer_print(out, "%s %s/%s ttl=%u", facts->domain, answer_status_name(facts->mx.status),
	    security_name(facts->mx.security), facts->ttl_s);
	if (strcmp(facts->expanded, facts->domain) != 0)
		buffer_print(out, " to=%s", facts->expanded);
	buffer_print(out, "%s%s%s%s\n", facts->null_mx ? " null" : "",
	    facts->implicit_mx ? " implicit" : "", facts->is_host ? " host" : "",
	    facts->is_impaired ? " impaired" : "");
	if (facts->sts.has_policy)
		buffer_print(out, "sts %s %s,%s until %lld\n",
		    facts->sts.policy.mode == STS_MODE_ENFORCE ? "enforce" : "?",
		    facts->sts.policy.mx[0], facts->sts.policy.mx[1],
		    (long long)facts->sts.expires_s);
	else if (facts->sts_asked)
		buffer_print(out, "sts %s (%s)\n",
		    facts->sts.problem == STS_PROBLEM_DNS    ? "dns"
		    : facts->sts.problem == STS_PROBLEM_BUSY ? "busy"
							     : "?",
		    facts->sts.why);
	for (size_t i = 0; i < facts->n_hosts; i++)
		print_host(&facts->hosts[i], out);
}

static void print_host(const struct facts_host *host, struct buffer *out)
{
	char text[2][INET6_ADDRSTRLEN];

	buffer_print(out, "%d %s %s/%s %s/%s", host->preference, host->name,
	    answer_status_name(host->ipv4.status), security_name(host->ipv4.security),
	    answer_status_name(host->ipv6.status), security_name(host->ipv6.security));
	/* In either order: the questions were answered in either order. */
	for (size_t i = 0; i < host->n_addresses; i++)
		inet_ntop(host->addresses[i].family == 4 ? AF_INET : AF_INET6,
		    host->addresses[i].bytes, text[host->addresses[i].family == 6], sizeof text[0]);
	for (int family = 4; family <= 6; family += 2) {
		for (size_t i = 0; i < host->n_addresses; i++) {
			if (host->addresses[i].family == family)
				buffer_print(out, " %s", text[family == 6]);
		}
	}
	if (strcmp(host->expanded, host->name) != 0)
		buffer_print(out, " to=%s", host->expanded);
	if (*host->tlsa_base != '\0')
		buffer_print(out, " base=%s", host->tlsa_base);
	if (host->tlsa.status != ANSWER_NOT_ASKED)
		buffer_print(out, " tlsa=%s/%s", answer_status_name(host->tlsa.status),
		    security_name(host->tlsa.security));
	for (size_t i = 0; i < host->n_records; i++)
		buffer_print(out, " %d-%d-%d", host->records[i].usage, host->records[i].selector,
		    host->records[i].matching);
	buffer_add_text(out, "\n");
}

static void answer_one(struct resolver *resolver, size_t at)
{
	struct query *query = resolver->waiting[at];
	struct answer answer;

	memmove(resolver->waiting + at, resolver->waiting + at + 1,
	    (--resolver->n_waiting - at) * sizeof(struct query *));
	find_answer(resolver->script, query->name, query->type, &answer);
	query->done(&answer, query->arg);
	answer_finish(&answer);
	free(query);
}

static void find_answer(
    const char *script, const char *name, enum record_type type, struct answer *answer)
{
	static const struct {
		enum record_type type;
		const char *word;
	} types[] = { { RECORD_A, "A" }, { RECORD_AAAA, "AAAA" }, { RECORD_MX, "MX" },
		{ RECORD_TLSA, "TLSA" }, { RECORD_CNAME, "CNAME" } };
	char *copy = mem_copy_text(script), *lines = NULL, start[DOMAIN_MAX + 10] = "";

	*answer =
	    (struct answer){ .finding = { ANSWER_NXDOMAIN, SECURITY_SECURE, "" }, .ttl_s = 300 };
	strcpy(answer->name, name);
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		if (types[i].type == type)
			snprintf(start, sizeof start, "%s %s ", types[i].word, name);
	}
	for (char *line = strtok_r(copy, "\n", &lines); line != NULL;
	     line = strtok_r(NULL, "\n", &lines)) {
		if (strncmp(line, start, strlen(start)) == 0)
			read_answer(line + strlen(start), type, answer);
	}
	free(copy);
}

static void read_answer(char *words, enum record_type type, struct answer *answer)
{
	static const char *const statuses[] = { "-", "ok", "nodata", "nx", "bogus", "error" };
	char *rest = NULL, *word = strtok_r(words, " ", &rest);

	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
		if (strcmp(statuses[i], word) == 0)
			answer->finding.status = (enum answer_status)i;
	}
	word = strtok_r(NULL, " ", &rest);
	answer->finding.security = *word == 's'   ? SECURITY_SECURE
				   : *word == 'b' ? SECURITY_BOGUS
						  : SECURITY_INSECURE;
	if (finding_is_failure(&answer->finding))
		strcpy(answer->finding.why, "scripted");
	while ((word = strtok_r(NULL, " ", &rest)) != NULL) {
		if (strncmp(word, "ttl=", 4) == 0) {
			answer->ttl_s = (uint32_t)atoi(word + 4);
		} else if (strncmp(word, "to=", 3) == 0) {
			answer->n_links = 1;
			strcpy(answer->name, word + 3);
		} else {
			char *records = NULL;

			for (word = strtok_r(word, ",", &records); word != NULL;
			     word = strtok_r(NULL, ",", &records))
				read_record(word, type, answer);
		}
	}
}

static void read_record(char *word, enum record_type type, struct answer *answer)
{
	char *host = strchr(word, ':') + 1;

	switch (type) {
	case RECORD_MX: {
		struct mx_record *mx;

		answer->mx = mem_resize(answer->mx, answer->n_mx + 1, sizeof *answer->mx);
		mx = &answer->mx[answer->n_mx++];
		*mx = (struct mx_record){ .preference = (uint16_t)atoi(word) };
		mx->kind = *host == '!' ? MX_INVALID : *host == '.' ? MX_NULL : MX_HOST;
		strcpy(mx->host, host + (*host == '!'));
		return;
	}
	case RECORD_A:
	case RECORD_AAAA:
		answer->addresses = mem_create(sizeof *answer->addresses);
		answer->addresses[0].family = type == RECORD_A ? 4 : 6;
		assert_int_equal(inet_pton(type == RECORD_A ? AF_INET : AF_INET6, word,
				     answer->addresses[0].bytes),
		    1);
		answer->n_addresses = 1;
		return;
	case RECORD_TLSA:
		answer->tlsa = mem_create(sizeof *answer->tlsa);
		answer->tlsa[0] = (struct tlsa_record){ 3, 1, 1, mem_create(32), 32 };
		answer->n_tlsa = 1;
		return;
	case RECORD_CNAME:
	case RECORD_TXT: return;
	}
}

/* N13, N14: where nobody takes mail the answer does not wait for a policy, which may take a minute. */
static void test_no_policy_is_waited_for(void **state)
{
	static const char *const scripts[] = { "MX d.test nx secure\nSTS enforce\n",
		"MX d.test ok secure 0:.\nSTS enforce\n", "MX d.test bogus bogus\nSTS enforce\n" };

	(void)state;
	for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
		struct resolver resolver = { 0 };
		char *got = play(scripts[i], false, &resolver);

		assert_int_equal(resolver.n_sts_asked, 1);
		assert_int_equal(strncmp(got, "d.test ", 7), 0);
		assert_null(strstr(got, "sts "));
		free(got);
	}
}

static void test_hosts_of_the_operator(void **state)
{
	struct loop *loop = loop_create();

	(void)state;
	for (size_t i = 0; i < sizeof host_cases / sizeof *host_cases; i++) {
		struct resolver resolver = { .script = host_cases[i].script };
		struct sts sts = { &resolver };
		struct facts_order order = { .loop = loop,
			.resolver = &resolver,
			.sts = &sts,
			.domain = host_cases[i].host,
			.is_host = true,
			.is_impaired = host_cases[i].is_impaired,
			.port = 587 };
		struct buffer out;

		buffer_init(&out, 1 << 16);
		run(&order, false, &out);
		loop_run_once(loop, false);
		if (strcmp(buffer_text(&out), host_cases[i].facts) != 0)
			fail_msg("%s:\n--- wanted\n%s--- got\n%s", host_cases[i].name,
			    host_cases[i].facts, buffer_text(&out));
		assert_int_equal(resolver.n_sts_asked, 0);
		buffer_finish(&out);
	}
	loop_destroy(&loop);
}

/* N9: of a thousand MX the best are kept, and nothing is asked about the others. */
static void test_hosts_are_bounded(void **state)
{
	struct resolver resolver = { 0 };
	struct buffer script;
	char *got;

	(void)state;
	buffer_init(&script, 1 << 16);
	buffer_add_text(&script, "MX d.test ok insecure ");
	for (int i = 999; i >= 0; i--)
		buffer_print(&script, "%s%d:m%d.test", i == 999 ? "" : ",", i, i);
	buffer_add_text(&script, "\n");
	got = play(buffer_text(&script), false, &resolver);
	assert_int_equal(resolver.n_asked, 1 + 2 * FACTS_HOSTS_MAX);
	assert_non_null(strstr(got, "\n0 m0.test "));
	assert_non_null(strstr(got, "\n19 m19.test "));
	assert_null(strstr(got, "\n20 m20.test "));
	free(got);
	buffer_finish(&script);
}

/* N20: no room before a name of 253 letters, so nobody can have published TLSA records there. */
static void test_name_too_long_for_tlsa(void **state)
{
	struct resolver resolver = { 0 };
	char host[DOMAIN_MAX], script[1000];
	char *got;

	(void)state;
	memset(host, 'a', sizeof host);
	for (size_t i = 49; i < 253; i += 50)
		host[i] = '.';
	host[253] = '\0';
	snprintf(script, sizeof script, "MX d.test ok secure 10:%s\nA %s ok secure 192.0.2.1\n",
	    host, host);
	got = play(script, false, &resolver);
	assert_int_equal(resolver.n_tlsa_asked, 0);
	assert_non_null(strstr(got, "tlsa=no data/insecure"));
	free(got);
}

/* Cancelled after any number of answers: no callback, nothing left waiting. */
static void test_cancel_at_each_point(void **state)
{
	const char *script = MX A NO_AAAA TLSA("mx.test") "STS enforce\n";
	struct loop *loop = loop_create();

	(void)state;
	for (size_t n = 0; n < 5; n++) {
		struct resolver resolver = { .script = script };
		struct sts sts = { &resolver };
		struct buffer out;
		struct gathering *gathering;

		buffer_init(&out, 1 << 16);
		gathering = facts_gather(&(struct facts_order){ .loop = loop,
					     .resolver = &resolver,
					     .sts = &sts,
					     .domain = "d.test",
					     .port = 25 },
		    on_facts, &out);
		for (size_t i = 0; i < n; i++)
			answer_one(&resolver, 0);
		assert_true(resolver.n_waiting + (resolver.sts != NULL) > 0);
		facts_cancel(&gathering);
		assert_null(gathering);
		assert_int_equal(resolver.n_waiting, 0);
		assert_null(resolver.sts);
		assert_int_equal(out.n, 0);
		facts_cancel(&gathering);
		buffer_finish(&out);
	}
	loop_destroy(&loop);
}

/*
 * O7, R25: of 20 hosts whose servers do not answer only the best few are asked about, and the next when one
 * of them is done with.
 */
static void O7_a_domain_asks_few_questions_at_once(void **state)
{
	struct loop *loop = loop_create();
	struct resolver resolver = { 0 };
	struct facts_order order = {
		.loop = loop, .resolver = &resolver, .domain = "d.test", .port = 25
	};
	struct gathering *gathering;
	struct buffer script, out;

	(void)state;
	buffer_init(&script, 1 << 16);
	buffer_init(&out, 1 << 16);
	buffer_add_text(&script, "MX d.test ok insecure 0:!192.0.2.1");
	for (int i = FACTS_HOSTS_MAX; i > 0; i--)
		buffer_print(&script, ",%d:m%d.test", i, i);
	buffer_add_text(&script, "\n");
	resolver.script = buffer_text(&script);
	gathering = facts_gather(&order, on_facts, &out);
	answer_one(&resolver, 0);
	assert_int_equal(resolver.n_waiting, 2 * FACTS_HOSTS_AT_ONCE);
	for (size_t i = 0; i < resolver.n_waiting; i++) {
		char name[40];

		snprintf(name, sizeof name, "m%zu.test", i / 2 + 1);
		assert_string_equal(resolver.waiting[i]->name, name);
	}
	answer_one(&resolver, 2);
	assert_int_equal(resolver.n_waiting, 2 * FACTS_HOSTS_AT_ONCE - 1);
	answer_one(&resolver, 2);
	assert_int_equal(resolver.n_waiting, 2 * FACTS_HOSTS_AT_ONCE);
	assert_string_equal(resolver.waiting[2 * FACTS_HOSTS_AT_ONCE - 1]->name, "m6.test");
	while (resolver.n_waiting > 0) {
		assert_true(resolver.n_waiting <= 2 * FACTS_HOSTS_AT_ONCE);
		answer_one(&resolver, 0);
	}
	assert_non_null(strstr(buffer_text(&out), "\n19 m19.test no such name/secure "));
	gathering = facts_gather(&order, on_facts, &out);
	answer_one(&resolver, 0);
	facts_cancel(&gathering);
	assert_int_equal(resolver.n_waiting, 0);
	buffer_finish(&script);
	buffer_finish(&out);
	loop_destroy(&loop);
}

/* What is not known when the time is over has failed; nothing of it is taken for not being there. */
static void T10_time_is_bounded(void **state)
{
#define LATE "tlsa=error/insecure\n"
	static const struct {
		const char *name, *script;
		size_t n_answered;
		const char *facts;
	} table[] = {
		{ "no MX", MX, 0, "d.test error/insecure ttl=0\n" },
		{ "no addresses", MX, 1,
		    "d.test ok/secure ttl=0\n10 mx.test error/insecure error/insecure " LATE },
		{ "one family", MX A, 2,
		    "d.test ok/secure ttl=0\n10 mx.test ok/secure error/insecure 192.0.2.1 " LATE },
		{ "no TLSA", MX A NO_AAAA, 3,
		    "d.test ok/secure ttl=0\n" HOST " base=mx.test " LATE },
		{ "no TLSA of the second name",
		    MX "A mx.test ok secure to=real.test 192.0.2.1\nAAAA mx.test nodata secure\n",
		    4, "d.test ok/secure ttl=0\n" HOST " to=real.test base=mx.test " LATE },
		{ "no CNAME",
		    MX "A mx.test ok insecure to=real.test 192.0.2.1\nAAAA mx.test nodata secure\n",
		    3,
		    "d.test ok/secure ttl=0\n10 mx.test ok/insecure no data/secure 192.0.2.1 "
		    "to=real.test " LATE },
		{ "no policy", MX A NO_AAAA "STS enforce\n", 4,
		    MX_SECURE "sts busy (it could not be learned in time)\n" HOST
			      " base=mx.test tlsa=no such name/secure\n" },
	};
	struct loop *loop = loop_create();

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct resolver resolver = { .script = table[i].script };
		struct sts sts = { &resolver };
		struct buffer out;

		buffer_init(&out, 1 << 16);
		facts_gather(&(struct facts_order){ .loop = loop,
				 .resolver = &resolver,
				 .sts = strstr(table[i].script, "STS ") != NULL ? &sts : NULL,
				 .domain = "d.test",
				 .port = 25,
				 .time_ms = 1 },
		    on_facts, &out);
		for (size_t n = 0; n < table[i].n_answered; n++)
			answer_one(&resolver, 0);
		assert_int_equal(out.n, 0);
		loop_run_once(loop, true);
		if (strcmp(buffer_text(&out), table[i].facts) != 0)
			fail_msg("%s:\n--- wanted\n%s--- got\n%s", table[i].name, table[i].facts,
			    buffer_text(&out));
		assert_int_equal(resolver.n_waiting, 0);
		assert_null(resolver.sts);
		buffer_finish(&out);
	}
	loop_destroy(&loop);
}

/* Facts cut anywhere, or with a byte too many, are none; a changed byte is none or harmless. */
static void test_decode_is_strict(void **state)
{
	static char *patterns[] = { (char *)"mx.test", (char *)"*.b.test" };
	struct facts facts = { .domain = "d.test",
		.expanded = "e.test",
		.mx = { ANSWER_OK, SECURITY_SECURE, "" },
		.n_hosts = 1,
		.ttl_s = 5,
		.sts_asked = true,
		.sts = { .has_policy = true,
		    .policy = { STS_MODE_TESTING, 86400, patterns, 2 },
		    .text = (char *)"version: STSv1\nwhat: ever\n",
		    .id = "20260101T000000",
		    .expires_s = 1800000000,
		    .problem = STS_PROBLEM_WEBPKI,
		    .why = "its certificate has expired" } };
	struct facts_host *host = facts.hosts = mem_create(sizeof *host);
	struct buffer bytes;
	struct facts copy;

	(void)state;
	*host = (struct facts_host){ .name = "mx.test",
		.expanded = "mx.test",
		.tlsa_base = "mx.test",
		.ipv4 = { ANSWER_OK, SECURITY_SECURE, "" },
		.ipv6 = { ANSWER_ERROR, SECURITY_INSECURE, "no answer in time" },
		.addresses = { { 4, { 192, 0, 2, 1 } } },
		.n_addresses = 1,
		.tlsa = { ANSWER_OK, SECURITY_SECURE, "" },
		.n_records = 1,
		.n_malformed = 2 };
	host->records = mem_create(sizeof *host->records);
	host->records[0] = (struct tlsa_record){ 3, 1, 1, mem_create(32), 32 };
	buffer_init(&bytes, FACTS_ENCODED_MAX);
	facts_encode(&facts, &bytes);
	for (size_t n = 0; n < bytes.n; n++)
		assert_false(facts_decode(bytes.bytes, n, &copy));
	for (size_t at = 0; at < bytes.n; at++) {
		for (int bit = 0; bit < 8; bit++) {
			struct buffer again;

			bytes.bytes[at] = (char)(bytes.bytes[at] ^ 1 << bit);
			if (facts_decode(bytes.bytes, bytes.n, &copy)) {
				buffer_init(&again, FACTS_ENCODED_MAX);
				facts_encode(&copy, &again);
				assert_int_equal(again.n, bytes.n);
				assert_memory_equal(again.bytes, bytes.bytes, bytes.n);
				buffer_finish(&again);
				facts_finish(&copy);
			}
			bytes.bytes[at] = (char)(bytes.bytes[at] ^ 1 << bit);
		}
	}
	assert_true(facts_decode(bytes.bytes, bytes.n, &copy));
	assert_int_equal(copy.hosts[0].n_malformed, 2);
	assert_string_equal(copy.hosts[0].ipv6.why, "no answer in time");
	assert_int_equal(copy.sts.policy.n_mx, 2);
	assert_string_equal(copy.sts.policy.mx[1], "*.b.test");
	assert_string_equal(copy.sts.text, "version: STSv1\nwhat: ever\n");
	assert_int_equal(copy.sts.expires_s, 1800000000);
	assert_string_equal(copy.sts.why, "its certificate has expired");
	facts_finish(&copy);
	buffer_add(&bytes, "", 1);
	assert_false(facts_decode(bytes.bytes, bytes.n, &copy));
	buffer_finish(&bytes);
	facts.sts = (struct sts_finding){ 0 }; /* its patterns are not for freeing */
	facts_finish(&facts);
}

/* What contradicts itself is no facts: such bytes were not written by facts_encode(). */
static void test_decode_wants_sense(void **state)
{
	static const struct facts nonsense[] = {
		{ .domain = "d.test", .null_mx = true, .n_hosts = 1 },
		{ .domain = "d.test", .implicit_mx = true },
		{ .domain = "d.test", .is_host = true },
		{ .domain = "d.test", .is_host = true, .n_hosts = 1, .sts_asked = true },
		{ .domain = "d.test",
		    .is_host = true,
		    .n_hosts = 1,
		    .mx = { ANSWER_OK, SECURITY_SECURE, "" } },
		{ .domain = "d.test", .sts = { .problem = STS_PROBLEM_DNS } },
		{ .domain = "d.test", .ttl_s = ANSWER_TTL_MAX + 1 },
	};
	struct facts_host host = { .name = "mx.test" };

	(void)state;
	for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
		struct facts facts = nonsense[i], copy;
		struct buffer bytes;

		facts.hosts = &host;
		buffer_init(&bytes, FACTS_ENCODED_MAX);
		facts_encode(&facts, &bytes);
		assert_false(facts_decode(bytes.bytes, bytes.n, &copy));
		buffer_finish(&bytes);
	}
}

/* The largest facts there can be stay below the maximum that both ends of the channel allow. */
static void test_largest_facts_fit(void **state)
{
	struct facts facts = { .domain = "d.test", .expanded = "d.test" };
	struct buffer bytes;
	struct facts copy;

	(void)state;
	facts.hosts = mem_create(FACTS_HOSTS_MAX * sizeof *facts.hosts);
	facts.n_hosts = FACTS_HOSTS_MAX;
	facts.sts_asked = facts.sts.has_policy = true;
	memset(facts.sts.why, 'g', STS_WHY_MAX - 1);
	facts.sts.policy.mx = mem_create(STS_MX_MAX * sizeof *facts.sts.policy.mx);
	facts.sts.policy.n_mx = STS_MX_MAX;
	for (size_t i = 0; i < STS_MX_MAX; i++) {
		char pattern[DOMAIN_MAX + 2] = "*.";

		memset(pattern + 2, 'h', DOMAIN_MAX - 1);
		facts.sts.policy.mx[i] = mem_copy_text(pattern);
	}
	for (size_t i = 0; i < facts.n_hosts; i++) {
		struct facts_host *host = &facts.hosts[i];

		memset(host->name, 'a', DOMAIN_MAX - 1);
		memset(host->expanded, 'b', DOMAIN_MAX - 1);
		memset(host->tlsa_base, 'c', DOMAIN_MAX - 1);
		memset(host->ipv4.why, 'd', ANSWER_WHY_MAX - 1);
		memset(host->ipv6.why, 'e', ANSWER_WHY_MAX - 1);
		memset(host->tlsa.why, 'f', ANSWER_WHY_MAX - 1);
		host->n_addresses = FACTS_ADDRESSES_MAX;
		for (size_t j = 0; j < FACTS_ADDRESSES_MAX; j++)
			host->addresses[j].family = 6;
		host->records = mem_create(ANSWER_TLSA_MAX * sizeof *host->records);
		host->n_records = ANSWER_TLSA_MAX;
		for (size_t j = 0; j < ANSWER_TLSA_MAX; j++)
			host->records[j] = (struct tlsa_record){
				.data = mem_create(ANSWER_TLSA_BYTES_MAX / ANSWER_TLSA_MAX),
				.n_data = ANSWER_TLSA_BYTES_MAX / ANSWER_TLSA_MAX,
			};
	}
	buffer_init(&bytes, FACTS_ENCODED_MAX);
	facts_encode(&facts, &bytes);
	assert_false(bytes.overflowed);
	assert_true(facts_decode(bytes.bytes, bytes.n, &copy));
	facts_finish(&copy);
	facts_finish(&facts);
	buffer_finish(&bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_no_policy_is_waited_for),
		cmocka_unit_test(test_hosts_of_the_operator),
		cmocka_unit_test(test_hosts_are_bounded),
		cmocka_unit_test(test_name_too_long_for_tlsa),
		cmocka_unit_test(test_cancel_at_each_point),
		cmocka_unit_test(O7_a_domain_asks_few_questions_at_once),
		cmocka_unit_test(T10_time_is_bounded),
		cmocka_unit_test(test_decode_is_strict),
		cmocka_unit_test(test_decode_wants_sense),
		cmocka_unit_test(test_largest_facts_fit),
	};

	return cmocka_run_group_tests_name("facts", tests, NULL, NULL);
}
