/* What the receiver asks: DANE (RFC 7672, RFC 7671), MTA-STS (RFC 8461), and which comes first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "route_play.h"

static const struct route_case cases[] = {
	/* ---- DANE by default ---- */
	{ "T1 usable TLSA", { TLS_DANE },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n", BY_DANE },
	{ "T3 usages 0 and 1 are unusable", { TLS_DANE },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:0-0-1,1-1-1\n",
	    "10 mx.example 192.0.2.1 dane by dane tlsa=unusable sni=mx.example "
	    "names=mx.example,d.example\n" },
	{ "T4 T5 unknown numbers, N11 wrong lengths: TLS without a name", { TLS_DANE },
	    "mx=ok/secure\n" HOST
	    " base=mx.example tlsa=ok/secure:3-7-1,3-1-9,3-1-255,3-1-1!,2-0-2!,short\n",
	    "10 mx.example 192.0.2.1 dane by dane tlsa=unusable sni=mx.example "
	    "names=mx.example,d.example\n" },
	{ "N11 only less than records", { TLS_DANE },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:short\n",
	    "10 mx.example 192.0.2.1 dane by dane tlsa=unusable sni=mx.example "
	    "names=mx.example,d.example\n" },
	{ "T6 usable and unusable", { TLS_DANE },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:0-0-1,3-1-1,2-0-2\n",
	    "10 mx.example 192.0.2.1 dane by dane tlsa=2 sni=mx.example "
	    "names=mx.example,d.example\n" },
	{ "T9 the next hop's expansion is a name too", { TLS_DANE },
	    "mx=ok/secure expanded=e.example\n" HOST " base=mx.example tlsa=ok/secure:2-0-1\n",
	    "10 mx.example 192.0.2.1 dane by dane tlsa=1 sni=mx.example "
	    "names=mx.example,d.example,e.example\n" },
	{ "T10 TLSA SERVFAIL, only host", { TLS_DANE },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=error/insecure\n",
	    "refused 451 tlsa-lookup-failed\n"
	    "10 mx.example 192.0.2.1 dane by default sni=mx.example names=mx.example,d.example "
	    "| 451 tlsa-lookup-failed\n" },
	{ "T10 TLSA bogus, another host without", { TLS_DANE },
	    "mx=ok/secure\n5 b.example " A_SECURE " base=b.example tlsa=bogus/bogus\n" HOST
	    " base=mx.example tlsa=nx/secure\n",
	    "5 b.example 192.0.2.1 dane by default sni=b.example names=b.example,d.example "
	    "| 451 tlsa-lookup-failed\n" NO_DANE },
	{ "T11 secure NODATA", { TLS_DANE },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=nodata/secure\n", NO_DANE },
	{ "T11 secure NXDOMAIN", { TLS_DANE },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=nx/secure\n", NO_DANE },
	{ "T11 insecure TLSA", { TLS_DANE },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/insecure:3-1-1\n", NO_DANE },
	{ "T12 insecure addresses", { TLS_DANE },
	    "mx=ok/secure\n10 mx.example a=ok/insecure:192.0.2.1\n", NO_DANE },
	{ "T13 insecure MX, secure TLSA", { TLS_DANE },
	    "mx=ok/insecure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n", NO_DANE },
	{ "T13 insecure MX, TLSA failed: was not going to count", { TLS_DANE },
	    "mx=ok/insecure\n" HOST " base=mx.example tlsa=error/insecure\n", NO_DANE },
	{ "T14 T15 CNAME, found at the expanded name", { TLS_DANE },
	    "mx=ok/secure\n" HOST " to=real.example base=real.example tlsa=ok/secure:3-1-1\n",
	    "10 mx.example 192.0.2.1 dane by dane tlsa=1 sni=real.example "
	    "names=real.example,d.example\n" },
	{ "T14 T15 CNAME, found at the original name", { TLS_DANE },
	    "mx=ok/secure\n" HOST " to=real.example base=mx.example tlsa=ok/secure:3-1-1\n",
	    BY_DANE },
	{ "implicit MX with TLSA", { TLS_DANE },
	    "mx=nodata/secure implicit\n0 d.example " A_SECURE
	    " base=d.example tlsa=ok/secure:3-1-1\n",
	    "implicit\n0 d.example 192.0.2.1 dane by dane tlsa=1 sni=d.example names=d.example\n" },
	{ "T17 worse preference with DANE is not preferred", { TLS_DANE },
	    "mx=ok/secure\n20 b.example " A_SECURE " base=b.example tlsa=ok/secure:3-1-1\n" HOST
	    " base=mx.example tlsa=nx/secure\n",
	    NO_DANE "20 b.example 192.0.2.1 dane by dane tlsa=1 sni=b.example "
		    "names=b.example,d.example\n" },
	{ "DANE off for everybody", { TLS_MAY },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n", NO_DANE },
	{ "DANE off: TLSA failure is nothing", { TLS_MAY },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=bogus/bogus\n", NO_DANE },

	/* ---- RFC 7672 2.2.1: the MX records are not secure ---- */
	{ "T13 insecure MX, encrypt: TLS is mandatory, nobody is authenticated",
	    { TLS_DANE, .insecure_mx = TLS_ENCRYPT },
	    "mx=ok/insecure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n",
	    "10 mx.example 192.0.2.1 encrypt by dane sni=mx.example\n" },
	{ "T13 insecure MX, encrypt: no TLSA", { TLS_DANE, .insecure_mx = TLS_ENCRYPT },
	    "mx=ok/insecure\n" HOST " base=mx.example tlsa=nx/secure\n", NO_DANE },
	{ "T13 T10 insecure MX, encrypt: TLSA failed", { TLS_DANE, .insecure_mx = TLS_ENCRYPT },
	    "mx=ok/insecure\n" HOST " base=mx.example tlsa=bogus/bogus\n",
	    "refused 451 tlsa-lookup-failed\n"
	    "10 mx.example 192.0.2.1 dane by default sni=mx.example names=mx.example "
	    "| 451 tlsa-lookup-failed\n" },
	{ "T13 T9 insecure MX, dane: the host's own name alone (RFC 7672 3.2.2)",
	    { TLS_DANE, .insecure_mx = TLS_DANE },
	    "mx=ok/insecure expanded=e.example\n" HOST " base=mx.example tlsa=ok/secure:2-0-1\n",
	    "10 mx.example 192.0.2.1 dane by dane tlsa=1 sni=mx.example names=mx.example "
	    "mx=insecure\n" },
	{ "T13 T10 insecure MX, dane: TLSA failed", { TLS_DANE, .insecure_mx = TLS_DANE },
	    "mx=ok/insecure\n" HOST " base=mx.example tlsa=error/insecure\n",
	    "refused 451 tlsa-lookup-failed\n"
	    "10 mx.example 192.0.2.1 dane by default sni=mx.example names=mx.example "
	    "| 451 tlsa-lookup-failed\n" },
	{ "T13 insecure MX, dane: not enough for dane-only",
	    { TLS_DANE, &partner_dane_only, .insecure_mx = TLS_DANE },
	    "mx=ok/insecure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n",
	    "refused 451 dane-required\n10 mx.example 192.0.2.1 dane-only by partner sni=mx.example "
	    "names=mx.example | 451 dane-required\n" },
	{ "T13 partner encrypt is raised likewise",
	    { TLS_DANE, &partner_encrypt, .insecure_mx = TLS_DANE },
	    "mx=ok/insecure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n",
	    "10 mx.example 192.0.2.1 dane by dane tlsa=1 sni=mx.example names=mx.example "
	    "mx=insecure\n" },
	{ "T14 no MX, the domain is a CNAME into an insecure zone: its own records count",
	    { TLS_DANE },
	    "mx=nodata/insecure expanded=e.example implicit\n"
	    "0 d.example a=ok/insecure:192.0.2.1 to=e.example base=d.example tlsa=ok/secure:3-1-1\n",
	    "implicit\n0 d.example 192.0.2.1 dane by dane tlsa=1 sni=d.example names=d.example\n" },
	{ "T14 no MX, the domain is a secure CNAME", { TLS_DANE },
	    "mx=nodata/secure expanded=e.example implicit\n"
	    "0 d.example " A_SECURE " to=e.example base=e.example tlsa=ok/secure:2-0-1\n",
	    "implicit\n0 d.example 192.0.2.1 dane by dane tlsa=1 sni=e.example "
	    "names=e.example,d.example\n" },
	{ "T14 T9 no MX, and the denial is insecure: the domain's name all the same, its expansion by that "
	  "answer not (RFC 7672 3.2.2)",
	    { TLS_DANE },
	    "mx=nodata/insecure expanded=x.example implicit\n"
	    "0 d.example " A_SECURE " to=e.example base=e.example tlsa=ok/secure:2-0-1\n",
	    "implicit\n0 d.example 192.0.2.1 dane by dane tlsa=1 sni=e.example "
	    "names=e.example,d.example\n" },

	/* ---- MTA-STS, RFC 8461 ---- */
	{ "T21 enforce: the host's own name, never the pattern", { TLS_DANE },
	    "mx=ok/insecure sts=enforce:mail.example,*.example\n10 mx.example "
	    "a=ok/insecure:192.0.2.1\n",
	    BY_STS },
	{ "T21 T23 enforce: hosts that the policy does not name are not used", { TLS_DANE },
	    "mx=ok/insecure sts=enforce:*.mail.example\n10 mail.example a=ok/insecure:192.0.2.1\n"
	    "20 a.mail.example a=ok/insecure:192.0.2.2\n30 a.b.mail.example "
	    "a=ok/insecure:192.0.2.3\n",
	    "10 mail.example 192.0.2.1 mta-sts by mta-sts sni=mail.example names=mail.example "
	    "| 451 sts-mx-name\n"
	    "20 a.mail.example 192.0.2.2 mta-sts by mta-sts sni=a.mail.example "
	    "names=a.mail.example\n"
	    "30 a.b.mail.example 192.0.2.3 mta-sts by mta-sts sni=a.b.mail.example "
	    "names=a.b.mail.example | 451 sts-mx-name\n" },
	{ "T21 enforce: no host is in the policy: waits", { TLS_MAY },
	    "mx=ok/insecure sts=enforce:other.example\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    "refused 451 sts-mx-name\n"
	    "10 mx.example 192.0.2.1 mta-sts by mta-sts sni=mx.example names=mx.example "
	    "| 451 sts-mx-name\n" },
	{ "T21 testing: delivered as if there were none, and watched", { TLS_DANE },
	    "mx=ok/insecure sts=testing:mx.example\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    NO_DANE WATCH_STS },
	{ "T21 testing: a host that the policy does not name", { TLS_DANE },
	    "mx=ok/insecure sts=testing:other.example\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    NO_DANE
	    "  watch mta-sts: mta-sts by mta-sts sni=mx.example names=mx.example | 451 sts-mx-name\n" },
	{ "T21 none: as no policy", { TLS_DANE },
	    "mx=ok/insecure sts=none:\n10 mx.example a=ok/insecure:192.0.2.1\n", NO_DANE },
	{ "T22 an expired policy is none", { TLS_DANE },
	    "mx=ok/insecure sts=expired:other.example\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    NO_DANE },
	{ "T22 one that was never fetched is none", { TLS_DANE },
	    "mx=ok/insecure sts=unknown\n10 mx.example a=ok/insecure:192.0.2.1\n", NO_DANE },
	{ "we had no time to look for it: wait", { TLS_DANE },
	    "mx=ok/insecure sts=busy\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    "refused 451 sts-unknown\n10 mx.example 192.0.2.1 may by default sni=mx.example "
	    "| 451 sts-unknown\n" },
	{ "N17 somebody tampers with its record: wait", { TLS_DANE },
	    "mx=ok/secure sts=bogus\n" HOST " base=mx.example tlsa=nx/secure\n",
	    "refused 451 sts-unknown\n10 mx.example 192.0.2.1 may by default sni=mx.example "
	    "| 451 sts-unknown\n" },
	{ "N17 with usable TLSA the policy does not matter", { TLS_DANE },
	    "mx=ok/secure sts=bogus\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n", BY_DANE },
	{ "nor with a trust that the operator names", { TLS_DANE, &partner_print },
	    "mx=ok/insecure sts=busy\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    "10 mx.example 192.0.2.1 fingerprint by partner sni=mx.example "
	    "pins=3-0-1:0123,3-1-1:fedc\n" },
	{ "with the host's name alone it does", { TLS_DANE, &partner_verify },
	    "mx=ok/insecure sts=busy\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    "refused 451 sts-unknown\n10 mx.example 192.0.2.1 verify by partner sni=mx.example "
	    "names=mx.example mx=insecure | 451 sts-unknown\n" },
	{ "T21 enforce where DANE is off for everybody", { TLS_MAY },
	    "mx=ok/secure sts=enforce:mx.example\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n",
	    BY_STS },
	{ "T18 usable TLSA come first, the policy is watched (RFC 8461 2)", { TLS_DANE },
	    "mx=ok/secure sts=enforce:mx.example\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n",
	    BY_DANE WATCH_STS },
	{ "T18 usable TLSA, and a policy that does not name the host", { TLS_DANE },
	    "mx=ok/secure sts=enforce:other.example\n" HOST
	    " base=mx.example tlsa=ok/secure:3-1-1\n",
	    BY_DANE
	    "  watch mta-sts: mta-sts by mta-sts sni=mx.example names=mx.example | 451 sts-mx-name\n" },
	{ "T18 T10 the TLSA lookup failed: the policy is no way out", { TLS_DANE },
	    "mx=ok/secure sts=enforce:mx.example\n" HOST " base=mx.example tlsa=error/insecure\n",
	    "refused 451 tlsa-lookup-failed\n"
	    "10 mx.example 192.0.2.1 dane by default sni=mx.example names=mx.example,d.example "
	    "| 451 tlsa-lookup-failed\n" WATCH_STS },
	{ "T5 T18 unusable TLSA authenticate nobody: the policy is stricter and holds",
	    { TLS_DANE },
	    "mx=ok/secure sts=enforce:mx.example\n" HOST " base=mx.example tlsa=ok/secure:1-1-1\n",
	    BY_STS },
	{ "T5 T21 unusable TLSA and a policy in testing: TLS stays mandatory", { TLS_DANE },
	    "mx=ok/secure sts=testing:mx.example\n" HOST " base=mx.example tlsa=ok/secure:1-1-1\n",
	    "10 mx.example 192.0.2.1 dane by dane tlsa=unusable sni=mx.example "
	    "names=mx.example,d.example\n" WATCH_STS },
	{ "T11 T18 no TLSA: the policy decides", { TLS_DANE },
	    "mx=ok/secure sts=enforce:mx.example\n" HOST " base=mx.example tlsa=nx/secure\n",
	    BY_STS },
	{ "T18 per host: one has TLSA, one has not", { TLS_DANE },
	    "mx=ok/secure sts=enforce:mx.example\n5 b.example " A_SECURE
	    " base=b.example tlsa=ok/secure:3-1-1\n" HOST " base=mx.example tlsa=nx/secure\n",
	    "5 b.example 192.0.2.1 dane by dane tlsa=1 sni=b.example names=b.example,d.example\n"
	    "  watch mta-sts: mta-sts by mta-sts sni=b.example names=b.example | 451 sts-mx-name\n" BY_STS },
	{ "T13 T18 DANE behind insecure MX does not come before the policy",
	    { TLS_DANE, .insecure_mx = TLS_DANE },
	    "mx=ok/insecure sts=enforce:other.example\n" HOST
	    " base=mx.example tlsa=ok/secure:3-1-1\n",
	    "refused 451 sts-mx-name\n10 mx.example 192.0.2.1 mta-sts by mta-sts sni=mx.example "
	    "names=mx.example | 451 sts-mx-name\n" },

	/* ---- our resolver does not validate ---- */
	{ "N16 impaired: without DANE", { TLS_DANE },
	    "mx=ok/insecure impaired\n10 mx.example a=ok/insecure:192.0.2.1\n", NO_DANE },
	{ "N16 impaired: MTA-STS still works", { TLS_DANE },
	    "mx=ok/insecure impaired sts=enforce:mx.example\n"
	    "10 mx.example a=ok/insecure:192.0.2.1\n",
	    BY_STS },
	{ "N16 impaired, when-impaired = defer", { TLS_DANE, .defer_impaired = true },
	    "mx=ok/insecure impaired sts=enforce:mx.example\n"
	    "10 mx.example a=ok/insecure:192.0.2.1\n",
	    "refused 451 dane-impaired\n10 mx.example 192.0.2.1 mta-sts by mta-sts sni=mx.example "
	    "names=mx.example | 451 dane-impaired\n" },
	{ "N16 impaired, defer: what does not ask for DANE goes",
	    { TLS_DANE, &partner_verify, .defer_impaired = true },
	    "mx=ok/insecure impaired\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    "10 mx.example 192.0.2.1 verify by partner sni=mx.example names=mx.example "
	    "mx=insecure\n" },
	{ "N16 impaired: partner dane-only waits", { TLS_DANE, &partner_dane_only },
	    "mx=ok/insecure impaired\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    "refused 451 dane-impaired\n10 mx.example 192.0.2.1 dane-only by partner sni=mx.example "
	    "| 451 dane-impaired\n" },
	{ "N16 impaired: floor dane-only waits", { TLS_DANE, .wish.floor = TLS_DANE_ONLY },
	    "mx=ok/insecure impaired\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    "refused 451 dane-impaired\n10 mx.example 192.0.2.1 dane-only by account sni=mx.example "
	    "| 451 dane-impaired\n" },
	{ "N16 impaired: REQUIRETLS that MTA-STS does not help waits",
	    { TLS_DANE, .wish.requires_tls = true },
	    "mx=ok/insecure impaired\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    "refused 451 dane-impaired\n10 mx.example 192.0.2.1 verify by requiretls sni=mx.example "
	    "names=mx.example mx=insecure | 451 dane-impaired\n" },
	{ "N16 impaired: REQUIRETLS with MTA-STS goes", { TLS_DANE, .wish.requires_tls = true },
	    "mx=ok/insecure impaired sts=enforce:mx.example\n"
	    "10 mx.example a=ok/insecure:192.0.2.1\n",
	    BY_STS },
	{ "N16 impaired: an exception goes",
	    { TLS_DANE, &partner_excepted, .defer_impaired = true },
	    "mx=ok/insecure impaired\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    EXCEPTED "10 mx.example 192.0.2.1 encrypt by exception sni=mx.example\n" },
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

	return cmocka_run_group_tests_name("route policy", tests, NULL, NULL);
}
