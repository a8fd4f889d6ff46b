/*
 * Facts gathered from a scripted DNS: this file is the resolver that facts.c asks. A script is lines
 * "TYPE NAME STATUS SECURITY [ttl=N] [to=NAME] [RECORD,...]"; what it does not mention is NXDOMAIN,
 * secure. Every case is played in the order of the questions and once more in the opposite order.
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

enum { QUERIES_MAX = 4096 };

struct query {
	struct resolver *resolver;
	char name[DOMAIN_MAX];
	enum record_type type;
	resolver_done *done;
	void *arg;
};

struct resolver {
	const char *script;
	struct query *waiting[QUERIES_MAX];
	size_t n_waiting, n_asked, n_tlsa_asked, n_cancelled;
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
	{ "T12 one family insecure: TLSA is not asked",
	    MX A "AAAA mx.test ok insecure 2001:db8::1\n" TLSA("mx.test"),
	    MX_SECURE "10 mx.test ok/secure ok/insecure 192.0.2.1 2001:db8::1\n" },
	{ "T12 no addresses: TLSA is not asked", MX TLSA("mx.test"),
	    MX_SECURE "10 mx.test no such name/secure no such name/secure\n" },
	{ "N17 one family fails, the other serves",
	    MX A "AAAA mx.test bogus bogus\n" TLSA("mx.test"),
	    "d.test ok/secure ttl=0\n10 mx.test ok/secure bogus/bogus 192.0.2.1 base=mx.test "
	    "tlsa=ok/secure 3-1-1\n" },
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
	{ "T14 insecure CNAME: no TLSA",
	    MX "A mx.test ok insecure to=real.test 192.0.2.1\n"
	       "AAAA mx.test nodata insecure to=real.test\n"
	       "CNAME mx.test ok insecure\n" TLSA("real.test") TLSA("mx.test"),
	    MX_SECURE "10 mx.test ok/insecure no data/insecure 192.0.2.1 to=real.test\n" },
	{ "T14 CNAME question fails: as if TLSA had",
	    MX "A mx.test ok insecure to=real.test 192.0.2.1\n"
	       "AAAA mx.test nodata insecure to=real.test\nCNAME mx.test error insecure\n",
	    "d.test ok/secure ttl=0\n10 mx.test ok/insecure no data/insecure 192.0.2.1 to=real.test "
	    "tlsa=error/insecure\n" },
	{ "two hosts, one of them bad",
	    "MX d.test ok secure 10:mx.test,20:b.test\n" A NO_AAAA TLSA(
		"mx.test") "A b.test error insecure\nAAAA b.test error insecure\n",
	    "d.test ok/secure ttl=0\n" HOST " base=mx.test tlsa=ok/secure 3-1-1\n"
	    "20 b.test error/insecure error/insecure\n" },
};

static char *play(const char *script, bool backwards, struct resolver *resolver);
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

	buffer_init(&out, 1 << 20);
	resolver->script = script;
	assert_non_null(facts_gather(
	    &(struct facts_order){ .resolver = resolver, .domain = "d.test", .port = 25 }, on_facts,
	    &out));
	assert_int_equal(out.n, 0);
	while (resolver->n_waiting > 0)
		answer_one(resolver, backwards ? resolver->n_waiting - 1 : 0);
	return buffer_take(&out);
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
	buffer_print(
	    out, "%s%s\n", facts->null_mx ? " null" : "", facts->implicit_mx ? " implicit" : "");
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
	const char *script = cases[0].script;

	(void)state;
	for (size_t n = 0; n < 4; n++) {
		struct resolver resolver = { .script = script };
		struct buffer out;
		struct gathering *gathering;

		buffer_init(&out, 1 << 16);
		gathering = facts_gather(
		    &(struct facts_order){ .resolver = &resolver, .domain = "d.test", .port = 25 },
		    on_facts, &out);
		for (size_t i = 0; i < n; i++)
			answer_one(&resolver, 0);
		assert_true(resolver.n_waiting > 0);
		facts_cancel(&gathering);
		assert_null(gathering);
		assert_int_equal(resolver.n_waiting, 0);
		assert_int_equal(out.n, 0);
		facts_cancel(&gathering);
		buffer_finish(&out);
	}
}

/* Facts cut anywhere, or with a byte too many, are none; a changed byte is none or harmless. */
static void test_decode_is_strict(void **state)
{
	struct facts facts = { .domain = "d.test",
		.expanded = "e.test",
		.mx = { ANSWER_OK, SECURITY_SECURE, "" },
		.n_hosts = 1,
		.ttl_s = 5 };
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
	facts_finish(&copy);
	buffer_add(&bytes, "", 1);
	assert_false(facts_decode(bytes.bytes, bytes.n, &copy));
	buffer_finish(&bytes);
	facts_finish(&facts);
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
		cmocka_unit_test(test_hosts_are_bounded),
		cmocka_unit_test(test_name_too_long_for_tlsa),
		cmocka_unit_test(test_cancel_at_each_point),
		cmocka_unit_test(test_decode_is_strict),
		cmocka_unit_test(test_largest_facts_fit),
	};

	return cmocka_run_group_tests_name("facts", tests, NULL, NULL);
}
