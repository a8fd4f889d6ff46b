/* What the operator writes for a partner, and what the receiver's policies make of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "route_play.h"

static const struct route_case cases[] = {
	/* ---- partners ---- */
	{ "partner none", { TLS_DANE, &partner_none },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n",
	    "10 mx.example 192.0.2.1 none by partner\n" },
	{ "partner may is an exception to DANE", { TLS_DANE, &partner_may },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=error/insecure\n",
	    "10 mx.example 192.0.2.1 may by partner sni=mx.example\n" },
	{ "partner encrypt", { TLS_DANE, &partner_encrypt },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    "10 mx.example 192.0.2.1 encrypt by partner sni=mx.example\n" },
	{ "partner encrypt is raised by TLSA", { TLS_DANE, &partner_encrypt },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n", BY_DANE },
	{ "partner encrypt is not lowered by unusable TLSA", { TLS_DANE, &partner_encrypt },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:1-1-1\n",
	    "10 mx.example 192.0.2.1 encrypt by partner sni=mx.example\n" },
	{ "T10 partner encrypt, TLSA failed", { TLS_DANE, &partner_encrypt },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=error/insecure\n",
	    "refused 451 tlsa-lookup-failed\n10 mx.example 192.0.2.1 encrypt by partner "
	    "sni=mx.example | 451 tlsa-lookup-failed\n" },
	{ "partner encrypt where DANE is off", { TLS_MAY, &partner_encrypt },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n",
	    "10 mx.example 192.0.2.1 encrypt by partner sni=mx.example\n" },
	{ "partner verify: the MX host's name", { TLS_DANE, &partner_verify },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    "10 mx.example 192.0.2.1 verify by partner sni=mx.example names=mx.example "
	    "mx=insecure\n" },
	{ "partner verify, secure MX", { TLS_DANE, &partner_verify },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=nx/secure\n",
	    "10 mx.example 192.0.2.1 verify by partner sni=mx.example names=mx.example\n" },
	{ "T24 partner secure: names from the domain, never from MX", { TLS_DANE, &partner_secure },
	    "mx=ok/insecure\n10 spoof.example a=ok/insecure:192.0.2.1\n",
	    "10 spoof.example 192.0.2.1 secure by partner sni=spoof.example "
	    "names=d.example,*.d.example pins=2-0-0:3082,2-0-0:3083\n" },
	{ "partner secure stands beside TLSA", { TLS_DANE, &partner_secure },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=bogus/bogus\n",
	    "10 mx.example 192.0.2.1 secure by partner sni=mx.example "
	    "names=d.example,*.d.example pins=2-0-0:3082,2-0-0:3083\n" },
	{ "T24 partner with MX names: others are not used", { TLS_DANE, &partner_secure_mx },
	    "mx=ok/insecure\n10 spoof.example a=ok/insecure:192.0.2.1\n"
	    "20 a.mail.example a=ok/insecure:192.0.2.2\n"
	    "30 a.b.mail.example a=ok/insecure:192.0.2.3\n",
	    "10 spoof.example 192.0.2.1 secure by partner sni=spoof.example names=*.mail.example "
	    "| 451 partner-mx-name\n"
	    "20 a.mail.example 192.0.2.2 secure by partner sni=a.mail.example "
	    "names=*.mail.example\n"
	    "30 a.b.mail.example 192.0.2.3 secure by partner sni=a.b.mail.example "
	    "names=*.mail.example | 451 partner-mx-name\n" },
	{ "T24 every MX spoofed: waits", { TLS_DANE, &partner_secure_mx },
	    "mx=ok/insecure\n10 spoof.example a=ok/insecure:192.0.2.1\n",
	    "refused 451 partner-mx-name\n10 spoof.example 192.0.2.1 secure by partner "
	    "sni=spoof.example names=*.mail.example | 451 partner-mx-name\n" },
	{ "T24 partner fingerprint", { TLS_DANE, &partner_print },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n",
	    "10 mx.example 192.0.2.1 fingerprint by partner sni=mx.example "
	    "pins=3-0-1:0123,3-1-1:fedc\n" },
	{ "T24 partner secure with a key", { TLS_DANE, &partner_secure_key },
	    "mx=ok/insecure\n10 a.mail.example a=ok/insecure:192.0.2.2\n",
	    "10 a.mail.example 192.0.2.2 secure by partner sni=a.mail.example "
	    "names=*.mail.example pins=3-1-1:fedc\n" },
	{ "T24 none of the authorities could be read: nobody is believed",
	    { TLS_DANE, &partner_verify_no_ca }, "mx=ok/insecure\n" HOST "\n",
	    "10 mx.example 192.0.2.1 verify by partner sni=mx.example names=mx.example pins=\n" },
	{ "partner dane where DANE is off", { TLS_MAY, &partner_dane },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n", BY_DANE },
	{ "partner dane, no TLSA", { TLS_MAY, &partner_dane },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=nodata/secure\n",
	    "10 mx.example 192.0.2.1 may by partner sni=mx.example\n" },
	{ "partner dane-only", { TLS_MAY, &partner_dane_only },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n",
	    "10 mx.example 192.0.2.1 dane-only by partner tlsa=1 sni=mx.example "
	    "names=mx.example,d.example\n" },
	{ "partner dane-only, no TLSA", { TLS_DANE, &partner_dane_only },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=nodata/secure\n",
	    "refused 451 dane-required\n10 mx.example 192.0.2.1 dane-only by partner sni=mx.example "
	    "names=mx.example,d.example | 451 dane-required\n" },
	{ "partner dane-only, nothing usable", { TLS_DANE, &partner_dane_only },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:1-1-1\n",
	    "refused 451 dane-required\n10 mx.example 192.0.2.1 dane-only by partner sni=mx.example "
	    "names=mx.example,d.example | 451 dane-required\n" },
	{ "T13 partner dane-only, insecure MX", { TLS_DANE, &partner_dane_only },
	    "mx=ok/insecure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n",
	    "refused 451 dane-required\n10 mx.example 192.0.2.1 dane-only by partner sni=mx.example "
	    "names=mx.example | 451 dane-required\n" },
	{ "T13 partner dane-only with MX names, insecure MX", { TLS_DANE, &partner_dane_only_mx },
	    "mx=ok/insecure\n10 a.mail.example " A_SECURE
	    " base=a.mail.example tlsa=ok/secure:3-1-1\n",
	    "10 a.mail.example 192.0.2.1 dane-only by partner tlsa=1 sni=a.mail.example "
	    "names=a.mail.example\n" },
	{ "T12 partner dane-only, insecure addresses", { TLS_DANE, &partner_dane_only },
	    "mx=ok/secure\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    "refused 451 dane-required\n10 mx.example 192.0.2.1 dane-only by partner sni=mx.example "
	    "| 451 dane-required\n" },

	/* ---- partners and MTA-STS ---- */
	{ "T21 partner encrypt is raised", { TLS_DANE, &partner_encrypt },
	    "mx=ok/insecure sts=enforce:mx.example\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    BY_STS },
	{ "T21 partner encrypt is not lowered by testing", { TLS_DANE, &partner_encrypt },
	    "mx=ok/insecure sts=testing:mx.example\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    "10 mx.example 192.0.2.1 encrypt by partner sni=mx.example\n" WATCH_STS },
	{ "T21 partner verify is raised: the host's name is as sure as who gave it",
	    { TLS_DANE, &partner_verify },
	    "mx=ok/insecure sts=enforce:mx.example\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    BY_STS },
	{ "T21 partner verify and a host that the policy does not name",
	    { TLS_DANE, &partner_verify },
	    "mx=ok/insecure sts=enforce:other.example\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    "refused 451 sts-mx-name\n10 mx.example 192.0.2.1 mta-sts by mta-sts sni=mx.example "
	    "names=mx.example | 451 sts-mx-name\n" },
	{ "T21 partner verify and a policy in testing", { TLS_DANE, &partner_verify },
	    "mx=ok/secure sts=testing:mx.example\n" HOST " base=mx.example tlsa=nx/secure\n",
	    "10 mx.example 192.0.2.1 verify by partner sni=mx.example names=mx.example\n" WATCH_STS },
	{ "T21 partner verify with an authority of its own stands, the policy is watched",
	    { TLS_DANE, &partner_verify_no_ca },
	    "mx=ok/secure sts=enforce:other.example\n" HOST " base=mx.example tlsa=nx/secure\n",
	    "10 mx.example 192.0.2.1 verify by partner sni=mx.example names=mx.example pins=\n"
	    "  watch mta-sts: mta-sts by mta-sts sni=mx.example names=mx.example | 451 sts-mx-name\n" },
	{ "T21 partner fingerprint stands, the policy is watched", { TLS_DANE, &partner_print },
	    "mx=ok/insecure sts=enforce:mx.example\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    "10 mx.example 192.0.2.1 fingerprint by partner sni=mx.example "
	    "pins=3-0-1:0123,3-1-1:fedc\n" WATCH_STS },
	{ "T21 partner dane: where there is no TLSA the policy decides", { TLS_MAY, &partner_dane },
	    "mx=ok/secure sts=enforce:mx.example\n" HOST " base=mx.example tlsa=nx/secure\n",
	    BY_STS },
	{ "T21 partner dane-only: a policy is not enough", { TLS_DANE, &partner_dane_only },
	    "mx=ok/secure sts=enforce:mx.example\n" HOST " base=mx.example tlsa=nx/secure\n",
	    "refused 451 dane-required\n10 mx.example 192.0.2.1 dane-only by partner sni=mx.example "
	    "names=mx.example,d.example | 451 dane-required\n" WATCH_STS },
	{ "T21 partner may is the operator's exception", { TLS_DANE, &partner_may },
	    "mx=ok/insecure sts=enforce:other.example\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    "10 mx.example 192.0.2.1 may by partner sni=mx.example\n" },

	/* ---- partners that are observed, or excepted for a while ---- */
	{ "T24 observe: delivered as without the rule, and watched",
	    { TLS_DANE, &partner_observed_secure },
	    "mx=ok/secure\n10 a.mail.example " A_SECURE
	    " base=a.mail.example tlsa=ok/secure:3-1-1\n",
	    "10 a.mail.example 192.0.2.1 dane by dane tlsa=1 sni=a.mail.example "
	    "names=a.mail.example,d.example\n"
	    "  watch partner: secure by partner sni=a.mail.example names=*.mail.example "
	    "pins=3-1-1:fedc\n" },
	{ "T24 observe: a host that the rule forbids", { TLS_MAY, &partner_observed_secure },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    NO_DANE "  watch partner: secure by partner sni=mx.example names=*.mail.example "
		    "pins=3-1-1:fedc | 451 partner-mx-name\n" },
	{ "T24 observe dane-only, no TLSA, with a policy too",
	    { TLS_DANE, &partner_observed_dane_only },
	    "mx=ok/secure sts=testing:mx.example\n" HOST " base=mx.example tlsa=nx/secure\n",
	    NO_DANE WATCH_STS
	    "  watch partner: dane-only by partner sni=mx.example names=mx.example,d.example "
	    "| 451 dane-required\n" },
	{ "T24 observe dane-only where DANE is off for everybody",
	    { TLS_MAY, &partner_observed_dane_only },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n",
	    NO_DANE "  watch partner: dane-only by partner tlsa=1 sni=mx.example "
		    "names=mx.example,d.example\n" },
	{ "T24 observe may: nothing to hold against anybody", { TLS_DANE, &partner_observed_may },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n", BY_DANE },
	{ "T24 an exception is exactly what it says, MX names included",
	    { TLS_DANE, &partner_excepted },
	    "mx=ok/secure sts=enforce:other.example\n" HOST
	    " base=mx.example tlsa=error/insecure\n",
	    EXCEPTED "10 mx.example 192.0.2.1 encrypt by exception sni=mx.example\n"
		     "  watch mta-sts: mta-sts by mta-sts sni=mx.example names=mx.example "
		     "| 451 sts-mx-name\n" },
	{ "T24 an exception of dane: its records", { TLS_DANE, &partner_excepted_dane },
	    "mx=ok/secure sts=enforce:mx.example\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n",
	    "exception until 2027-01-15T08:00:01Z, tls=dane (a test)\n"
	    "10 mx.example 192.0.2.1 dane by exception tlsa=1 sni=mx.example "
	    "names=mx.example,d.example\n" WATCH_STS },
	{ "T24 an exception of dane, no TLSA: nothing remote raises it",
	    { TLS_DANE, &partner_excepted_dane },
	    "mx=ok/secure sts=enforce:mx.example\n" HOST " base=mx.example tlsa=nx/secure\n",
	    "exception until 2027-01-15T08:00:01Z, tls=dane (a test)\n"
	    "10 mx.example 192.0.2.1 may by exception sni=mx.example\n" WATCH_STS },
	{ "T24 an exception of verify keeps the pins", { TLS_DANE, &partner_excepted_verify },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    "exception until 2027-01-15T08:00:01Z, tls=verify (a test)\n"
	    "10 mx.example 192.0.2.1 verify by exception sni=mx.example names=mx.example "
	    "pins=3-1-1:fedc\n" },
	{ "T24 an exception that is over: the rule", { TLS_MAY, &partner_excepted_no_more },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    "10 mx.example 192.0.2.1 encrypt by partner sni=mx.example\n" },
	{ "T24 an exception of a rule that is observed", { TLS_DANE, &partner_excepted_observed },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=nx/secure\n",
	    EXCEPTED "10 mx.example 192.0.2.1 encrypt by exception sni=mx.example\n"
		     "  watch partner: dane-only by partner sni=mx.example "
		     "names=mx.example,d.example | 451 dane-required\n" },
};

static void test_cases(void **state)
{
	(void)state;
	route_play(cases, sizeof cases / sizeof *cases);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
	};

	return cmocka_run_group_tests_name("route partner", tests, NULL, NULL);
}
