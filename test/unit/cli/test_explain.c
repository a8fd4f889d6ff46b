/* Who may send as whom, and the one sentence that tells what becomes of mail: both pure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "relay/cli/explain.h"
#include "route_play.h"
#include "smtp/path.h"

/* ---- who may send ---- */

static char *shop[] = { (char *)"Billing@shop.example", (char *)"info@shop.example" };
static char *all[] = { (char *)"@shop.example", (char *)"@news.example" };
static char *own[] = { (char *)"@bare.example" };
static char *keys[] = { (char *)"a-rsa", (char *)"a-ed" };
static struct config_account accounts[] = {
	{ .name = (char *)"all@shop.example", .senders = all, .n_senders = 2 },
	{ .name = (char *)"bare@bare.example", .senders = own, .n_senders = 1 },
	{ .name = (char *)"shop@shop.example",
	    .senders = shop,
	    .n_senders = 2,
	    .tls_floor = TLS_VERIFY },
};
static struct config_domain domains[] = {
	{ .name = (char *)"news.example" },
	{ .name = (char *)"shop.example", .selectors = keys, .n_selectors = 2 },
};
static const struct config house = {
	.accounts = accounts, .n_accounts = 3, .domains = domains, .n_domains = 2
};
static const struct config empty_house = { .n_accounts = 0 };

static const struct {
	const struct config *config;
	const char *sender;   /* a path */
	const char *accounts; /* who may, a space behind each; the strictest with "!" */
	const char *domain, *refusal;
} grants[] = {
	{ &house, "<billing@shop.example>", "all@shop.example shop@shop.example! ", "shop.example",
	    "" },
	{ &house, "<ceo@shop.example>", "all@shop.example! ", "shop.example", "" },
	{ &house, "<ceo@bank.example>", "", NULL, "sender-not-owned" },
	{ &house, "<ceo@x.shop.example>", "", NULL, "sender-not-owned" },
	{ &house, "<any@bare.example>", "bare@bare.example! ", NULL, "domain-not-configured" },
	{ &house, "<any@news.example>", "all@shop.example! ", NULL, "domain-not-configured" },
	{ &house, "<>", "", NULL, "sender-null" },
	{ &empty_house, "<any@shop.example>", "", NULL, "account-missing" },
};

static void test_grants(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof grants / sizeof *grants; i++) {
		struct smtp_address sender;
		struct outcome why;
		struct grant grant;
		char who[200] = "";
		size_t n;

		assert_true(smtp_path_parse(grants[i].sender, strlen(grants[i].sender),
		    SMTP_PATH_REVERSE, &sender, &n, &why));
		grant_find(grants[i].config, &sender, &grant);
		for (size_t k = 0; k < grant.n_accounts; k++) {
			strcat(who, grant.accounts[k]->name);
			strcat(who, grant.accounts[k] == grant.strictest ? "! " : " ");
		}
		assert_string_equal(who, grants[i].accounts);
		assert_string_equal(grant.domain != NULL ? grant.domain->name : "",
		    grants[i].domain != NULL ? grants[i].domain : "");
		assert_string_equal(grant.refusal.name, grants[i].refusal);
		assert_int_equal(outcome_is_ok(&grant.refusal), grants[i].refusal[0] == '\0');
		grant_finish(&grant);
	}
}

/* ---- the sentence ---- */

static const struct config_route smarthost = {
	.domain = (char *)"*", .host = (char *)"smart.example", .port = 587, .level = TLS_VERIFY
};

static const struct {
	struct route_setting setting;
	const char *facts, *sentence;
} decisions[] = {
	{ { TLS_DANE }, "mx=ok/insecure\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    "Mail goes to mx.example first, over TLS if it offers it and otherwise in plaintext "
	    "(may by default)" },
	{ { TLS_DANE, &partner_none }, "mx=ok/insecure\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    "Mail goes to mx.example first, in plaintext even if it offers TLS (none by partner)" },
	{ { TLS_DANE }, "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n",
	    "Mail goes to mx.example first, over TLS that its TLSA records prove (dane by dane), or "
	    "not to this host" },
	{ { TLS_DANE }, "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:1-1-1\n",
	    "Mail goes to mx.example first, over TLS, whoever answers (dane by dane), or not to this "
	    "host" },
	{ { TLS_DANE },
	    "mx=ok/insecure sts=enforce:mx.example\n5 bad.example a=ok/insecure:192.0.2.1\n"
	    "10 mx.example a=ok/insecure:192.0.2.1\n",
	    "Mail goes to mx.example first, over TLS with a certificate for mx.example by a trusted "
	    "authority (mta-sts by mta-sts), or not to this host" },
	{ { TLS_DANE, &partner_secure }, "mx=ok/insecure\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    "Mail goes to mx.example first, over TLS with one of the certificates, keys or "
	    "authorities that the partner rule pins (secure by partner), or not to this host" },
	{ { TLS_DANE, .route = &smarthost },
	    "host=smart.example\n0 smart.example a=ok/insecure:192.0.2.1\n",
	    "Mail goes to smart.example first, over TLS with a certificate for smart.example by a "
	    "trusted authority (verify by route), or not to this host" },
	{ { TLS_DANE }, "mx=nx/secure\n",
	    "Mail is returned: 550 5.1.2 The domain d.example does not exist [domain-not-found]" },
	{ { TLS_DANE }, "mx=bogus/bogus\n",
	    "Mail waits: 451 4.4.3 The MX records of d.example fail DNSSEC validation: as the test "
	    "wants it [dns-bogus]" },
};

static void test_decisions(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof decisions / sizeof *decisions; i++) {
		struct explanation e = { .sender = "", .now_s = ROUTE_NOW_S };
		char sentence[EXPLAIN_DECISION_MAX];
		struct facts facts;
		struct plan plan;

		route_text_read(decisions[i].facts, &facts);
		route_find_set(&decisions[i].setting, &facts, 0, &plan);
		e.plan = &plan;
		explain_decide(&e, sentence);
		assert_string_equal(sentence, decisions[i].sentence);
		assert_int_equal(explain_is_well(&e), strncmp(sentence, "Mail goes", 9) == 0);
		plan_finish(&plan);
		facts_finish(&facts);
	}
}

/* Who may not send needs no way. */
static void test_refused_before_the_way(void **state)
{
	const struct route_setting setting = { TLS_DANE };
	struct explanation e = { .sender = "ceo@bank.example", .now_s = ROUTE_NOW_S };
	struct grant grant = { .n_accounts = 0 };
	char sentence[EXPLAIN_DECISION_MAX];
	struct facts facts;
	struct plan plan;

	(void)state;
	outcome_say(&grant.refusal, 553, "5.7.1", "sender-not-owned", "Not yours");
	route_text_read("mx=ok/insecure\n10 mx.example a=ok/insecure:192.0.2.1\n", &facts);
	route_find_set(&setting, &facts, 0, &plan);
	e.plan = &plan;
	e.grant = &grant;
	explain_decide(&e, sentence);
	assert_string_equal(
	    sentence, "The mail is refused: 553 5.7.1 Not yours [sender-not-owned]");
	assert_false(explain_is_well(&e));
	plan_finish(&plan);
	facts_finish(&facts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grants),
		cmocka_unit_test(test_decisions),
		cmocka_unit_test(test_refused_before_the_way),
	};

	return cmocka_run_group_tests_name("cli explain", tests, NULL, NULL);
}
