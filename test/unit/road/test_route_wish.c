/*
 * What the message asks: the floor of its account, REQUIRETLS and TLS-Required: No (RFC 8689).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "route_play.h"

#define DANE_BY_ACCOUNT                                                                            \
	"10 mx.example 192.0.2.1 dane-only by account tlsa=1 sni=mx.example "                      \
	"names=mx.example,d.example\n"

/* The name is proved; that it is the right one is not (RFC 7672 2.2.1). */
#define BY_ACCOUNT_UNSURE                                                                          \
	"10 mx.example 192.0.2.1 verify by account sni=mx.example names=mx.example mx=insecure\n"

static const struct route_case cases[] = {
	/* ---- the account's floor ---- */
	{ "floor encrypt raises may", { TLS_DANE, .wish.floor = TLS_ENCRYPT },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    "10 mx.example 192.0.2.1 encrypt by account sni=mx.example\n" },
	{ "floor encrypt raises a partner's none",
	    { TLS_DANE, &partner_none, .wish.floor = TLS_ENCRYPT },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    "10 mx.example 192.0.2.1 encrypt by account sni=mx.example\n" },
	{ "floor encrypt is covered by unusable TLSA", { TLS_DANE, .wish.floor = TLS_ENCRYPT },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:1-1-1\n",
	    "10 mx.example 192.0.2.1 dane by dane tlsa=unusable sni=mx.example "
	    "names=mx.example,d.example\n" },
	{ "floor verify raises may", { TLS_DANE, .wish.floor = TLS_VERIFY },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:192.0.2.1\n", BY_ACCOUNT_UNSURE },
	{ "floor verify raises unusable TLSA", { TLS_DANE, .wish.floor = TLS_VERIFY },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:1-1-1\n", BY_ACCOUNT },
	{ "floor verify is covered by DANE", { TLS_DANE, .wish.floor = TLS_VERIFY },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n", BY_DANE },
	{ "floor verify is covered by MTA-STS", { TLS_DANE, .wish.floor = TLS_VERIFY },
	    "mx=ok/insecure sts=enforce:mx.example\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    BY_STS },
	{ "floor verify is covered by a partner's fingerprint",
	    { TLS_DANE, &partner_print, .wish.floor = TLS_VERIFY },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    "10 mx.example 192.0.2.1 fingerprint by partner sni=mx.example "
	    "pins=3-0-1:0123,3-1-1:fedc\n" },
	{ "floor verify: an exception does not lower it",
	    { TLS_DANE, &partner_excepted, .wish.floor = TLS_VERIFY },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:192.0.2.1\n", EXCEPTED BY_ACCOUNT_UNSURE },
	{ "floor verify: the pins of a rule that is excepted are not its own",
	    { TLS_DANE, &partner_excepted_key, .wish.floor = TLS_VERIFY },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:192.0.2.1\n", EXCEPTED BY_ACCOUNT_UNSURE },
	{ "floor verify: TLS-Required: No does not lower it",
	    { TLS_DANE, .wish = { .floor = TLS_VERIFY, .tls_optional = true } },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n", BY_ACCOUNT },
	{ "floor dane-only, with TLSA", { TLS_DANE, .wish.floor = TLS_DANE_ONLY },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n", DANE_BY_ACCOUNT },
	{ "floor dane-only, with TLSA and a policy that does not name the host: DANE comes first",
	    { TLS_MAY, .wish.floor = TLS_DANE_ONLY },
	    "mx=ok/secure sts=enforce:other.example\n" HOST
	    " base=mx.example tlsa=ok/secure:3-1-1\n",
	    DANE_BY_ACCOUNT
	    "  watch mta-sts: mta-sts by mta-sts sni=mx.example names=mx.example | 451 sts-mx-name\n" },
	{ "floor dane-only raises an exception",
	    { TLS_MAY, &partner_excepted, .wish.floor = TLS_DANE_ONLY },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n",
	    EXCEPTED DANE_BY_ACCOUNT },
	{ "floor dane-only asks where DANE is off", { TLS_MAY, .wish.floor = TLS_DANE_ONLY },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n",
	    "10 mx.example 192.0.2.1 dane-only by account tlsa=1 sni=mx.example "
	    "names=mx.example,d.example\n" },
	{ "floor dane-only, no TLSA, and a policy", { TLS_DANE, .wish.floor = TLS_DANE_ONLY },
	    "mx=ok/secure sts=enforce:mx.example\n" HOST " base=mx.example tlsa=nx/secure\n",
	    "refused 451 dane-required\n10 mx.example 192.0.2.1 dane-only by account sni=mx.example "
	    "names=mx.example,d.example | 451 dane-required\n" WATCH_STS },
	{ "floor dane-only, DANE behind insecure MX",
	    { TLS_DANE, .insecure_mx = TLS_DANE, .wish.floor = TLS_DANE_ONLY },
	    "mx=ok/insecure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n",
	    "refused 451 dane-required\n10 mx.example 192.0.2.1 dane-only by account sni=mx.example "
	    "names=mx.example | 451 dane-required\n" },
	{ "floor dane-only and a partner who names another trust",
	    { TLS_DANE, &partner_secure_mx, .wish.floor = TLS_DANE_ONLY },
	    "mx=ok/secure\n10 a.mail.example " A_SECURE
	    " base=a.mail.example tlsa=ok/secure:3-1-1\n",
	    "refused 451 tls-floor-conflict\n10 a.mail.example 192.0.2.1 secure by partner "
	    "sni=a.mail.example names=*.mail.example | 451 tls-floor-conflict\n" },

	/* ---- REQUIRETLS, RFC 8689 4.2.1 ---- */
	{ "REQUIRETLS: DANE", { TLS_DANE, .wish.requires_tls = true },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n", BY_DANE },
	{ "REQUIRETLS: secure MX and the host's name", { TLS_DANE, .wish.requires_tls = true },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=nx/secure\n", BY_REQUIRETLS },
	{ "REQUIRETLS: unusable TLSA are no proof", { TLS_DANE, .wish.requires_tls = true },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:1-1-1\n", BY_REQUIRETLS },
	{ "REQUIRETLS: MTA-STS names the host", { TLS_DANE, .wish.requires_tls = true },
	    "mx=ok/insecure sts=enforce:mx.example\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    BY_STS },
	{ "REQUIRETLS: so does a policy in testing", { TLS_DANE, .wish.requires_tls = true },
	    "mx=ok/insecure sts=testing:mx.example\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    BY_REQUIRETLS WATCH_STS },
	{ "REQUIRETLS: no MX, the domain's own name", { TLS_DANE, .wish.requires_tls = true },
	    "mx=nodata/insecure implicit\n0 d.example a=ok/insecure:192.0.2.1\n",
	    "implicit\n0 d.example 192.0.2.1 verify by requiretls sni=d.example "
	    "names=d.example\n" },
	{ "REQUIRETLS: insecure MX and no policy is permanent",
	    { TLS_DANE, .wish.requires_tls = true },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    "refused 550 requiretls-mx-insecure\n10 mx.example 192.0.2.1 verify by requiretls "
	    "sni=mx.example names=mx.example mx=insecure | 550 requiretls-mx-insecure\n" },
	{ "REQUIRETLS: DANE behind insecure MX is not sure either",
	    { TLS_DANE, .insecure_mx = TLS_DANE, .wish.requires_tls = true },
	    "mx=ok/insecure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n",
	    "refused 550 requiretls-mx-insecure\n10 mx.example 192.0.2.1 dane by dane tlsa=1 "
	    "sni=mx.example names=mx.example mx=insecure | 550 requiretls-mx-insecure\n" },
	{ "REQUIRETLS: the policy could not be learned: waits",
	    { TLS_DANE, .wish.requires_tls = true },
	    "mx=ok/insecure sts=unknown\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    "refused 451 requiretls-sts-unknown\n10 mx.example 192.0.2.1 verify by requiretls "
	    "sni=mx.example names=mx.example mx=insecure | 451 requiretls-sts-unknown\n" },
	{ "REQUIRETLS: a partner's may is not for it",
	    { TLS_DANE, &partner_may, .wish.requires_tls = true },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n", BY_REQUIRETLS },
	{ "REQUIRETLS: nor is an exception",
	    { TLS_DANE, &partner_excepted, .wish.requires_tls = true },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n",
	    EXCEPTED BY_REQUIRETLS },
	{ "REQUIRETLS: a partner's secure does not ask the MX",
	    { TLS_DANE, &partner_secure_key, .wish.requires_tls = true },
	    "mx=ok/insecure\n10 a.mail.example a=ok/insecure:192.0.2.2\n",
	    "10 a.mail.example 192.0.2.2 secure by partner sni=a.mail.example "
	    "names=*.mail.example pins=3-1-1:fedc\n" },
	{ "REQUIRETLS: nor does verify with a trust of the partner's own",
	    { TLS_DANE, &partner_verify_no_ca, .wish.requires_tls = true },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    "10 mx.example 192.0.2.1 verify by partner sni=mx.example names=mx.example pins=\n" },
	{ "REQUIRETLS: verify for whatever host the MX names does",
	    { TLS_DANE, &partner_verify, .wish.requires_tls = true },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    "refused 550 requiretls-mx-insecure\n10 mx.example 192.0.2.1 verify by partner "
	    "sni=mx.example names=mx.example mx=insecure | 550 requiretls-mx-insecure\n" },
	{ "REQUIRETLS and TLS-Required: No: the former",
	    { TLS_DANE, .wish = { .requires_tls = true, .tls_optional = true } },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n", BY_DANE },

	/* ---- TLS-Required: No, RFC 8689 4.2.2 ---- */
	{ "TLS-Required: No waives DANE", { TLS_DANE, .wish.tls_optional = true },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n", BY_WAIVER },
	{ "TLS-Required: No waives a failed lookup", { TLS_DANE, .wish.tls_optional = true },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=bogus/bogus\n", BY_WAIVER },
	{ "TLS-Required: No waives MTA-STS", { TLS_DANE, .wish.tls_optional = true },
	    "mx=ok/insecure sts=enforce:other.example\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    BY_WAIVER },
	{ "TLS-Required: No does not waive a forged MX", { TLS_DANE, .wish.tls_optional = true },
	    "mx=bogus/bogus\n", "refused 451 dns-bogus\n" },
	{ "TLS-Required: No leaves a partner's encrypt, and does not raise it",
	    { TLS_DANE, &partner_encrypt, .wish.tls_optional = true },
	    "mx=ok/secure sts=enforce:mx.example\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n",
	    "10 mx.example 192.0.2.1 encrypt by partner sni=mx.example\n" },
	{ "TLS-Required: No leaves a partner's dane-only",
	    { TLS_DANE, &partner_dane_only, .wish.tls_optional = true },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=nx/secure\n",
	    "refused 451 dane-required\n10 mx.example 192.0.2.1 dane-only by partner sni=mx.example "
	    "names=mx.example,d.example | 451 dane-required\n" },
};

static void test_cases(void **state)
{
	(void)state;
	route_play(cases, sizeof cases / sizeof *cases);
}

/* RFC 8689 5: a notification is as well protected, and is not lost for want of the offer alone. */
static void test_notifications(void **state)
{
	const struct route_setting message = { TLS_DANE, .wish.requires_tls = true },
				   notification = { TLS_DANE, .wish = { .requires_tls = true,
								  .is_notification = true } };
	struct plan one, other;
	struct facts facts;

	(void)state;
	route_text_read("mx=ok/secure\n" HOST " base=mx.example tlsa=nx/secure\n", &facts);
	route_find_set(&message, &facts, 0, &one);
	route_find_set(&notification, &facts, 0, &other);
	assert_true(one.needs_requiretls);
	assert_false(other.needs_requiretls);
	assert_true(tls_requirement_is_equal(&one.hosts[0].tls, &other.hosts[0].tls));
	assert_int_equal(one.hosts[0].tls.level, TLS_VERIFY);
	plan_finish(&one);
	plan_finish(&other);
	facts_finish(&facts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_notifications),
	};

	return cmocka_run_group_tests_name("route wish", tests, NULL, NULL);
}
