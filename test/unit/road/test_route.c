/*
 * Facts in, plan out, both as lines of text so that the table reads as documentation.
 *
 * Facts: "mx=STATUS/SECURITY [expanded=NAME] [null] [implicit]", then one line for each host:
 * "PREFERENCE NAME [a=STATUS/SECURITY:ADDRESS,...] [aaaa=...] [to=EXPANDED] [base=NAME]
 * [tlsa=STATUS/SECURITY:U-S-M,...]", where U-S-M! has data of a wrong length and "short" is less
 * than a record. a and aaaa are nodata/secure if not given, tlsa is not asked.
 * NAME "!x" is what can't be a host, "." a null MX.
 *
 * Plans: "refused CODE NAME" if there is nothing to try, then the hosts:
 * "PREFERENCE NAME ADDRESSES LEVEL by DEMAND [tlsa=N|unusable] [sni=] [names=] [pins=U-S-M:DATA,...]
 * | CODE NAME".
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

#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/route.h"

#define DOMAIN "d.example"

struct setting {
	enum tls_level level;
	struct config_partner *partner;
	bool allow_loopback, no_ipv4, no_ipv6;
};

struct route_case {
	const char *name;
	struct setting setting;
	const char *facts, *plan;
};

static char *star_mail[] = { (char *)"*.mail.example" };
static char *prints[] = { (
    char *)"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" };

static char *keys[] = { (
    char *)"fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210" };
static struct config_certificate cas[] = { { (uint8_t *)"\x30\x82", 2 },
	{ (uint8_t *)"\x30\x83", 2 } };

static struct config_partner none = { .name = (char *)DOMAIN, .level = TLS_NONE };
static struct config_partner may = { .name = (char *)DOMAIN, .level = TLS_MAY };
static struct config_partner encrypt = { .name = (char *)DOMAIN, .level = TLS_ENCRYPT };
static struct config_partner verify = { .name = (char *)DOMAIN, .level = TLS_VERIFY };
static struct config_partner secure = { .name = (char *)DOMAIN,
	.level = TLS_SECURE,
	.ca_file = (char *)"/ca.pem",
	.cas = cas,
	.n_cas = 2 };
static struct config_partner secure_key = { .name = (char *)DOMAIN,
	.level = TLS_SECURE,
	.mx = star_mail,
	.n_mx = 1,
	.public_keys = keys,
	.n_public_keys = 1 };
static struct config_partner verify_no_ca = {
	.name = (char *)DOMAIN, .level = TLS_VERIFY, .ca_file = (char *)"/ca.pem"
};
static struct config_partner secure_mx = {
	.name = (char *)DOMAIN, .level = TLS_SECURE, .mx = star_mail, .n_mx = 1
};
static struct config_partner print = { .name = (char *)DOMAIN,
	.level = TLS_FINGERPRINT,
	.ca_file = (char *)"/ca.pem",
	.cas = cas,
	.n_cas = 2,
	.fingerprints = prints,
	.n_fingerprints = 1,
	.public_keys = keys,
	.n_public_keys = 1 };
static struct config_partner dane = { .name = (char *)DOMAIN, .level = TLS_DANE };
static struct config_partner dane_only = { .name = (char *)DOMAIN, .level = TLS_DANE_ONLY };
static struct config_partner dane_only_mx = {
	.name = (char *)DOMAIN, .level = TLS_DANE_ONLY, .mx = star_mail, .n_mx = 1
};

#define A_SECURE "a=ok/secure:192.0.2.1"
#define HOST     "10 mx.example " A_SECURE
#define NO_DANE  "10 mx.example 192.0.2.1 may by default sni=mx.example\n"
#define BY_DANE                                                                                    \
	"10 mx.example 192.0.2.1 dane by dane tlsa=1 sni=mx.example names=mx.example,d.example\n"

static const struct route_case cases[] = {
	/* ---- what the MX answer alone settles ---- */
	{ "N13 NXDOMAIN", { TLS_DANE }, "mx=nx/secure\n", "refused 550 domain-not-found\n" },
	{ "N13 SERVFAIL", { TLS_DANE }, "mx=error/insecure\n", "refused 451 dns-failed\n" },
	{ "N17 bogus MX", { TLS_DANE }, "mx=bogus/bogus\n", "refused 451 dns-bogus\n" },
	{ "N14 null MX", { TLS_DANE }, "mx=ok/secure null\n", "refused 556 null-mx\n" },
	{ "N14 null MX and others", { TLS_MAY }, "mx=ok/insecure\n0 .\n" HOST "\n",
	    "0 . - may by default sni=. | 556 null-mx\n" NO_DANE },
	{ "N13 NODATA: implicit MX", { TLS_MAY },
	    "mx=nodata/insecure implicit\n0 d.example a=ok/insecure:192.0.2.9\n",
	    "implicit\n0 d.example 192.0.2.9 may by default sni=d.example\n" },
	{ "N13 NODATA everywhere", { TLS_MAY }, "mx=nodata/insecure implicit\n0 d.example\n",
	    "refused 550 domain-not-found\nimplicit\n"
	    "0 d.example - may by default sni=d.example | 550 domain-not-found\n" },
	{ "N13 implicit MX, address question failed", { TLS_MAY },
	    "mx=nodata/insecure implicit\n0 d.example a=error/insecure\n",
	    "refused 451 dns-failed\nimplicit\n"
	    "0 d.example - may by default sni=d.example | 451 dns-failed\n" },

	/* ---- hosts and addresses ---- */
	{ "N13 no host has an address", { TLS_MAY },
	    "mx=ok/insecure\n10 a.example a=nx/insecure aaaa=nx/insecure\n20 b.example\n",
	    "refused 550 no-address\n"
	    "10 a.example - may by default sni=a.example | 550 no-address\n"
	    "20 b.example - may by default sni=b.example | 550 no-address\n" },
	{ "N17 one host bogus, another without address: may pass", { TLS_MAY },
	    "mx=ok/insecure\n10 a.example\n20 b.example a=bogus/bogus\n",
	    "refused 451 dns-bogus\n"
	    "10 a.example - may by default sni=a.example | 550 no-address\n"
	    "20 b.example - may by default sni=b.example | 451 dns-bogus\n" },
	{ "N17 one host bogus, another good", { TLS_MAY },
	    "mx=ok/insecure\n5 bad.example a=bogus/bogus aaaa=bogus/bogus\n" HOST "\n",
	    "5 bad.example - may by default sni=bad.example | 451 dns-bogus\n" NO_DANE },
	{ "N17 one family fails, the other serves", { TLS_DANE },
	    "mx=ok/secure\n" HOST " aaaa=error/insecure base=mx.example tlsa=nx/secure\n",
	    NO_DANE },
	{ "IPv6 and IPv4 in turns, IPv6 first", { TLS_MAY },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:192.0.2.1,192.0.2.2,192.0.2.3 "
	    "aaaa=ok/insecure:2001:db8::1\n",
	    "10 mx.example 2001:db8::1,192.0.2.1,192.0.2.2,192.0.2.3 may by default "
	    "sni=mx.example\n" },
	{ "IPv6 turned off", { TLS_MAY, .no_ipv6 = true },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:192.0.2.1 aaaa=ok/insecure:2001:db8::1\n",
	    NO_DANE },
	{ "only a family that is off", { TLS_MAY, .no_ipv6 = true },
	    "mx=ok/insecure\n10 mx.example aaaa=ok/insecure:2001:db8::1\n",
	    "refused 451 address-family-off\n"
	    "10 mx.example - may by default sni=mx.example | 451 address-family-off\n" },
	{ "N15 MX is an address", { TLS_MAY }, "mx=ok/insecure\n10 !192.0.2.1\n",
	    "refused 550 mx-invalid\n"
	    "10 192.0.2.1 - may by default sni=192.0.2.1 | 550 mx-invalid\n" },
	{ "N15 MX is an address, another is not", { TLS_MAY },
	    "mx=ok/insecure\n5 !192.0.2.1\n" HOST "\n",
	    "5 192.0.2.1 - may by default sni=192.0.2.1 | 550 mx-invalid\n" NO_DANE },
	{ "N15 MX at loopback", { TLS_MAY },
	    "mx=ok/insecure\n10 localhost a=ok/insecure:127.0.0.1 aaaa=ok/insecure:::1\n",
	    "refused 554 mx-loops-back\n"
	    "10 localhost - may by default sni=localhost | 554 mx-loops-back\n" },
	{ "N15 other ways to loopback", { TLS_MAY },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:0.0.0.0,127.255.255.254 "
	    "aaaa=ok/insecure:::,::ffff:127.0.0.1\n",
	    "refused 554 mx-loops-back\n"
	    "10 mx.example - may by default sni=mx.example | 554 mx-loops-back\n" },
	{ "N15 one address at loopback, one not", { TLS_MAY },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:127.0.0.1,192.0.2.1\n", NO_DANE },
	{ "N15 loopback and a family that failed: may pass", { TLS_MAY },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:127.0.0.1 aaaa=error/insecure\n",
	    "refused 451 dns-failed\n"
	    "10 mx.example - may by default sni=mx.example | 451 dns-failed\n" },
	{ "loopback allowed", { TLS_MAY, .allow_loopback = true },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:127.0.0.1\n",
	    "10 mx.example 127.0.0.1 may by default sni=mx.example\n" },
	{ "N15 where we listen ourselves", { TLS_MAY },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:198.51.100.25\n",
	    "refused 554 mx-loops-back\n"
	    "10 mx.example - may by default sni=mx.example | 554 mx-loops-back\n" },
	{ "where we listen, on another port", { TLS_MAY },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:198.51.100.87\n",
	    "10 mx.example 198.51.100.87 may by default sni=mx.example\n" },
	{ "N15 ourselves by name", { TLS_MAY },
	    "mx=ok/insecure\n10 us.example a=ok/insecure:192.0.2.1\n",
	    "refused 554 mx-loops-back\n"
	    "10 us.example 192.0.2.1 may by default sni=us.example | 554 mx-loops-back\n" },
	{ "N15 ourselves, one better and one worse", { TLS_MAY },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:192.0.2.1\n"
	    "20 us.example a=ok/insecure:192.0.2.2\n30 c.example a=ok/insecure:192.0.2.3\n",
	    NO_DANE "20 us.example 192.0.2.2 may by default sni=us.example | 554 mx-loops-back\n"
		    "30 c.example 192.0.2.3 may by default sni=c.example | 554 mx-loops-back\n" },

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

	/* ---- partners ---- */
	{ "partner none", { TLS_DANE, &none },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n",
	    "10 mx.example 192.0.2.1 none by partner\n" },
	{ "partner may is an exception to DANE", { TLS_DANE, &may },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=error/insecure\n",
	    "10 mx.example 192.0.2.1 may by partner sni=mx.example\n" },
	{ "partner encrypt", { TLS_DANE, &encrypt },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    "10 mx.example 192.0.2.1 encrypt by partner sni=mx.example\n" },
	{ "partner encrypt is raised by TLSA", { TLS_DANE, &encrypt },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n", BY_DANE },
	{ "partner encrypt is not lowered by unusable TLSA", { TLS_DANE, &encrypt },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:1-1-1\n",
	    "10 mx.example 192.0.2.1 encrypt by partner sni=mx.example\n" },
	{ "T10 partner encrypt, TLSA failed", { TLS_DANE, &encrypt },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=error/insecure\n",
	    "refused 451 tlsa-lookup-failed\n10 mx.example 192.0.2.1 encrypt by partner "
	    "sni=mx.example | 451 tlsa-lookup-failed\n" },
	{ "partner encrypt where DANE is off", { TLS_MAY, &encrypt },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n",
	    "10 mx.example 192.0.2.1 encrypt by partner sni=mx.example\n" },
	{ "partner verify: the MX host's name", { TLS_DANE, &verify },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    "10 mx.example 192.0.2.1 verify by partner sni=mx.example names=mx.example\n" },
	{ "T24 partner secure: names from the domain, never from MX", { TLS_DANE, &secure },
	    "mx=ok/insecure\n10 spoof.example a=ok/insecure:192.0.2.1\n",
	    "10 spoof.example 192.0.2.1 secure by partner sni=spoof.example "
	    "names=d.example,*.d.example pins=2-0-0:3082,2-0-0:3083\n" },
	{ "partner secure stands beside TLSA", { TLS_DANE, &secure },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=bogus/bogus\n",
	    "10 mx.example 192.0.2.1 secure by partner sni=mx.example "
	    "names=d.example,*.d.example pins=2-0-0:3082,2-0-0:3083\n" },
	{ "T24 partner with MX names: others are not used", { TLS_DANE, &secure_mx },
	    "mx=ok/insecure\n10 spoof.example a=ok/insecure:192.0.2.1\n"
	    "20 a.mail.example a=ok/insecure:192.0.2.2\n"
	    "30 a.b.mail.example a=ok/insecure:192.0.2.3\n",
	    "10 spoof.example 192.0.2.1 secure by partner sni=spoof.example names=*.mail.example "
	    "| 451 partner-mx-name\n"
	    "20 a.mail.example 192.0.2.2 secure by partner sni=a.mail.example "
	    "names=*.mail.example\n"
	    "30 a.b.mail.example 192.0.2.3 secure by partner sni=a.b.mail.example "
	    "names=*.mail.example | 451 partner-mx-name\n" },
	{ "T24 every MX spoofed: waits", { TLS_DANE, &secure_mx },
	    "mx=ok/insecure\n10 spoof.example a=ok/insecure:192.0.2.1\n",
	    "refused 451 partner-mx-name\n10 spoof.example 192.0.2.1 secure by partner "
	    "sni=spoof.example names=*.mail.example | 451 partner-mx-name\n" },
	{ "T24 partner fingerprint", { TLS_DANE, &print },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n",
	    "10 mx.example 192.0.2.1 fingerprint by partner sni=mx.example "
	    "pins=3-0-1:0123,3-1-1:fedc\n" },
	{ "T24 partner secure with a key", { TLS_DANE, &secure_key },
	    "mx=ok/insecure\n10 a.mail.example a=ok/insecure:192.0.2.2\n",
	    "10 a.mail.example 192.0.2.2 secure by partner sni=a.mail.example "
	    "names=*.mail.example pins=3-1-1:fedc\n" },
	{ "T24 none of the authorities could be read: nobody is believed",
	    { TLS_DANE, &verify_no_ca }, "mx=ok/insecure\n" HOST "\n",
	    "10 mx.example 192.0.2.1 verify by partner sni=mx.example names=mx.example pins=\n" },
	{ "partner dane where DANE is off", { TLS_MAY, &dane },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n", BY_DANE },
	{ "partner dane, no TLSA", { TLS_MAY, &dane },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=nodata/secure\n",
	    "10 mx.example 192.0.2.1 may by partner sni=mx.example\n" },
	{ "partner dane-only", { TLS_MAY, &dane_only },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n",
	    "10 mx.example 192.0.2.1 dane-only by partner tlsa=1 sni=mx.example "
	    "names=mx.example,d.example\n" },
	{ "partner dane-only, no TLSA", { TLS_DANE, &dane_only },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=nodata/secure\n",
	    "refused 451 dane-required\n10 mx.example 192.0.2.1 dane-only by partner sni=mx.example "
	    "names=mx.example,d.example | 451 dane-required\n" },
	{ "partner dane-only, nothing usable", { TLS_DANE, &dane_only },
	    "mx=ok/secure\n" HOST " base=mx.example tlsa=ok/secure:1-1-1\n",
	    "refused 451 dane-required\n10 mx.example 192.0.2.1 dane-only by partner sni=mx.example "
	    "names=mx.example,d.example | 451 dane-required\n" },
	{ "T13 partner dane-only, insecure MX", { TLS_DANE, &dane_only },
	    "mx=ok/insecure\n" HOST " base=mx.example tlsa=ok/secure:3-1-1\n",
	    "refused 451 dane-required\n10 mx.example 192.0.2.1 dane-only by partner sni=mx.example "
	    "names=mx.example,d.example | 451 dane-required\n" },
	{ "T13 partner dane-only with MX names, insecure MX", { TLS_DANE, &dane_only_mx },
	    "mx=ok/insecure\n10 a.mail.example " A_SECURE
	    " base=a.mail.example tlsa=ok/secure:3-1-1\n",
	    "10 a.mail.example 192.0.2.1 dane-only by partner tlsa=1 sni=a.mail.example "
	    "names=a.mail.example,d.example\n" },
	{ "T12 partner dane-only, insecure addresses", { TLS_DANE, &dane_only },
	    "mx=ok/secure\n10 mx.example a=ok/insecure:192.0.2.1\n",
	    "refused 451 dane-required\n10 mx.example 192.0.2.1 dane-only by partner sni=mx.example "
	    "| 451 dane-required\n" },
};

static void run_case(const struct route_case *c);
static void make_config(const struct setting *setting, struct config *config);
static void read_facts(const char *text, struct facts *facts);
static void read_host(char *line, struct facts_host *host);
static char *read_finding(char *text, struct finding *finding);
static void read_addresses(char *list, int family, struct facts_host *host);
static void read_records(char *list, struct facts_host *host);
static void print_plan(const struct plan *plan, struct buffer *out);
static void print_host(const struct plan_host *host, struct buffer *out);

static struct config_listen listens[] = {
	{ .address = (char *)"198.51.100.25", .port = 25 },
	{ .address = (char *)"198.51.100.87", .port = 587 },
};

static void find(
    const struct config *config, const struct facts *facts, uint64_t shuffle, struct plan *plan)
{
	const struct route_question question = { .domain = facts->domain, .shuffle = shuffle };

	route_find(config, facts, &question, plan);
}

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		run_case(&cases[i]);
}

static void run_case(const struct route_case *c)
{
	struct config config;
	struct facts facts;
	struct plan plan;
	struct buffer out;

	make_config(&c->setting, &config);
	read_facts(c->facts, &facts);
	find(&config, &facts, 0, &plan);
	buffer_init(&out, 1 << 16);
	print_plan(&plan, &out);
	if (strcmp(buffer_text(&out), c->plan) != 0)
		fail_msg("%s\n--- wanted\n%s--- got\n%s", c->name, c->plan, buffer_text(&out));
	buffer_finish(&out);
	plan_finish(&plan);
	facts_finish(&facts);
}

static void make_config(const struct setting *setting, struct config *config)
{
	*config = (struct config){
		.hostname = (char *)"us.example",
		.listens = listens,
		.n_listens = sizeof listens / sizeof *listens,
		.partners = setting->partner,
		.n_partners = setting->partner != NULL,
		.delivery = { .port = 25,
		    .tls = setting->level,
		    .allow_loopback = setting->allow_loopback,
		    .ipv4 = !setting->no_ipv4,
		    .ipv6 = !setting->no_ipv6 },
	};
}

static void read_facts(const char *text, struct facts *facts)
{
	char *copy = mem_copy_text(text), *rest = NULL, *line, *word, *words = NULL;

	*facts = (struct facts){ .domain = DOMAIN, .expanded = DOMAIN, .ttl_s = 60 };
	line = strtok_r(copy, "\n", &rest);
	for (word = strtok_r(line, " ", &words); word != NULL; word = strtok_r(NULL, " ", &words)) {
		if (strncmp(word, "mx=", 3) == 0)
			read_finding(word + 3, &facts->mx);
		else if (strncmp(word, "expanded=", 9) == 0)
			strcpy(facts->expanded, word + 9);
		else if (strcmp(word, "null") == 0)
			facts->null_mx = true;
		else if (strcmp(word, "implicit") == 0)
			facts->implicit_mx = true;
		else
			fail_msg("facts: %s", word);
	}
	while ((line = strtok_r(NULL, "\n", &rest)) != NULL) {
		facts->hosts = mem_resize(facts->hosts, facts->n_hosts + 1, sizeof *facts->hosts);
		read_host(line, &facts->hosts[facts->n_hosts++]);
	}
	free(copy);
}

static void read_host(char *line, struct facts_host *host)
{
	char *words = NULL, *word = strtok_r(line, " ", &words);

	*host = (struct facts_host){
		.preference = (uint16_t)atoi(word),
		.ipv4 = { ANSWER_NODATA, SECURITY_SECURE, "" },
		.ipv6 = { ANSWER_NODATA, SECURITY_SECURE, "" },
	};
	word = strtok_r(NULL, " ", &words);
	host->kind = word[0] == '!' ? MX_INVALID : strcmp(word, ".") == 0 ? MX_NULL : MX_HOST;
	strcpy(host->name, word + (word[0] == '!'));
	strcpy(host->expanded, host->name);
	while ((word = strtok_r(NULL, " ", &words)) != NULL) {
		if (strncmp(word, "a=", 2) == 0)
			read_addresses(read_finding(word + 2, &host->ipv4), 4, host);
		else if (strncmp(word, "aaaa=", 5) == 0)
			read_addresses(read_finding(word + 5, &host->ipv6), 6, host);
		else if (strncmp(word, "to=", 3) == 0)
			strcpy(host->expanded, word + 3);
		else if (strncmp(word, "base=", 5) == 0)
			strcpy(host->tlsa_base, word + 5);
		else if (strncmp(word, "tlsa=", 5) == 0)
			read_records(read_finding(word + 5, &host->tlsa), host);
		else
			fail_msg("host: %s", word);
	}
}

/* Returns what follows the colon, or "". */
static char *read_finding(char *text, struct finding *finding)
{
	static const char *const words[] = { "none", "ok", "nodata", "nx", "bogus", "error" };
	size_t n = strcspn(text, "/"), n_security;
	char *security = text + n + 1;

	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (strlen(words[i]) == n && memcmp(words[i], text, n) == 0)
			finding->status = (enum answer_status)i;
	}
	assert_int_not_equal(finding->status, ANSWER_NOT_ASKED);
	n_security = strcspn(security, ":");
	finding->security = *security == 's'   ? SECURITY_SECURE
			    : *security == 'b' ? SECURITY_BOGUS
					       : SECURITY_INSECURE;
	strcpy(finding->why, finding_is_failure(finding) ? "as the test wants it" : "");
	return security + n_security + (security[n_security] == ':');
}

static void read_addresses(char *list, int family, struct facts_host *host)
{
	char *rest = NULL;

	for (char *word = strtok_r(list, ",", &rest); word != NULL;
	     word = strtok_r(NULL, ",", &rest)) {
		struct answer_address *address = &host->addresses[host->n_addresses++];

		address->family = (uint8_t)family;
		assert_int_equal(
		    inet_pton(family == 4 ? AF_INET : AF_INET6, word, address->bytes), 1);
	}
}

static void read_records(char *list, struct facts_host *host)
{
	char *rest = NULL;

	for (char *word = strtok_r(list, ",", &rest); word != NULL;
	     word = strtok_r(NULL, ",", &rest)) {
		struct tlsa_record *record;
		unsigned usage, selector, matching;

		if (strcmp(word, "short") == 0) {
			host->n_malformed++;
			continue;
		}
		assert_int_equal(sscanf(word, "%u-%u-%u", &usage, &selector, &matching), 3);
		host->records =
		    mem_resize(host->records, host->n_records + 1, sizeof *host->records);
		record = &host->records[host->n_records++];
		*record = (struct tlsa_record){ (uint8_t)usage, (uint8_t)selector,
			(uint8_t)matching, NULL,
			strchr(word, '!') != NULL ? 19
			: matching == 2           ? 64
						  : 32 };
		record->data = mem_create(record->n_data);
	}
}

static void print_plan(const struct plan *plan, struct buffer *out)
{
	if (!outcome_is_ok(&plan->refusal))
		buffer_print(out, "refused %d %s\n", plan->refusal.code, plan->refusal.name);
	if (plan->mx_implicit)
		buffer_add_text(out, "implicit\n");
	for (size_t i = 0; i < plan->n_hosts; i++)
		print_host(&plan->hosts[i], out);
}

static void print_host(const struct plan_host *host, struct buffer *out)
{
	const struct tls_requirement *tls = &host->tls;
	char text[INET6_ADDRSTRLEN];

	buffer_print(out, "%d %s ", host->preference, host->name);
	for (size_t i = 0; i < host->n_addresses; i++) {
		const union plan_address *address = &host->addresses[i];
		bool is_ipv6 = address->any.sa_family == AF_INET6;

		assert_int_equal(
		    ntohs(is_ipv6 ? address->ipv6.sin6_port : address->ipv4.sin_port), 25);
		inet_ntop(address->any.sa_family,
		    is_ipv6 ? (const void *)&address->ipv6.sin6_addr : &address->ipv4.sin_addr,
		    text, sizeof text);
		buffer_print(out, "%s%s", i > 0 ? "," : "", text);
	}
	buffer_print(out, "%s %s by %s", host->n_addresses == 0 ? "-" : "",
	    tls_level_name(tls->level), tls_demand_name(tls->demand));
	if (tls->n_tlsa > 0 && !tls->tlsa_pinned)
		buffer_print(out, " tlsa=%zu", tls->n_tlsa);
	if (tls->tlsa_unusable)
		buffer_add_text(out, " tlsa=unusable");
	if (tls->sni != NULL)
		buffer_print(out, " sni=%s", tls->sni);
	for (size_t i = 0; i < tls->n_names; i++)
		buffer_print(out, "%s%s", i == 0 ? " names=" : ",", tls->names[i]);
	if (tls->tlsa_pinned)
		buffer_add_text(out, " pins=");
	for (size_t i = 0; tls->tlsa_pinned && i < tls->n_tlsa; i++)
		buffer_print(out, "%s%d-%d-%d:%02x%02x", i == 0 ? "" : ",", tls->tlsa[i].usage,
		    tls->tlsa[i].selector, tls->tlsa[i].matching, tls->tlsa[i].data[0],
		    tls->tlsa[i].data[1]);
	if (!outcome_is_ok(&host->unusable))
		buffer_print(out, " | %d %s", host->unusable.code, host->unusable.name);
	buffer_add_text(out, "\n");
}

/* RFC 5321 5.1: every order of equals comes up, and preference is never broken. */
static void test_equals_are_shuffled(void **state)
{
	struct config config;
	struct facts facts;
	size_t first[3] = { 0 };

	(void)state;
	make_config(&(struct setting){ TLS_MAY }, &config);
	read_facts("mx=ok/insecure\n10 a a=ok/insecure:192.0.2.1\n10 b a=ok/insecure:192.0.2.2\n"
		   "10 c a=ok/insecure:192.0.2.3\n20 z a=ok/insecure:192.0.2.4\n",
	    &facts);
	for (uint64_t shuffle = 0; shuffle < 300; shuffle++) {
		struct plan plan;

		find(&config, &facts, shuffle, &plan);
		assert_int_equal(plan.n_hosts, 4);
		assert_string_equal(plan.hosts[3].name, "z");
		first[plan.hosts[0].name[0] - 'a']++;
		plan_finish(&plan);
	}
	for (size_t i = 0; i < 3; i++)
		assert_in_range(first[i], 60, 140);
	facts_finish(&facts);
}

static void test_plan_is_valid_as_long_as_facts(void **state)
{
	struct config config;
	struct facts facts;
	struct plan plan;
	int64_t before = clock_monotonic_ms();

	(void)state;
	make_config(&(struct setting){ TLS_MAY }, &config);
	read_facts("mx=ok/insecure\n10 a a=ok/insecure:192.0.2.1\n", &facts);
	find(&config, &facts, 0, &plan);
	assert_true(plan.valid_until_ms >= before + 60000);
	assert_true(plan.valid_until_ms <= clock_monotonic_ms() + 60000);
	plan_finish(&plan);
	facts_finish(&facts);
}

/* More addresses than a plan holds: both families keep a share. */
static void test_addresses_are_bounded(void **state)
{
	struct config config;
	struct facts facts;
	struct plan plan;
	struct facts_host *host;
	size_t n_ipv6 = 0;

	(void)state;
	make_config(&(struct setting){ TLS_MAY }, &config);
	read_facts("mx=ok/insecure\n10 a a=ok/insecure aaaa=ok/insecure\n", &facts);
	host = &facts.hosts[0];
	for (uint8_t i = 0; i < FACTS_ADDRESSES_MAX; i++)
		host->addresses[host->n_addresses++] =
		    (struct answer_address){ .family = i % 2 == 0 ? 4 : 6,
			    .bytes = { 32, 1, 2, i } };
	find(&config, &facts, 0, &plan);
	assert_int_equal(plan.hosts[0].n_addresses, PLAN_ADDRESSES_MAX);
	for (size_t i = 0; i < PLAN_ADDRESSES_MAX; i++)
		n_ipv6 += plan.hosts[0].addresses[i].any.sa_family == AF_INET6;
	assert_int_equal(n_ipv6, PLAN_ADDRESSES_MAX / 2);
	plan_finish(&plan);
	facts_finish(&facts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_equals_are_shuffled),
		cmocka_unit_test(test_plan_is_valid_as_long_as_facts),
		cmocka_unit_test(test_addresses_are_bounded),
	};

	return cmocka_run_group_tests_name("route", tests, NULL, NULL);
}
