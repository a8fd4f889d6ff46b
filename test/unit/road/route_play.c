#include "route_play.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#define DOMAIN ROUTE_DOMAIN

static bool play(const struct route_case *c);
static void make_config(const struct route_setting *setting, struct config *config);

static char *star_mail[] = { (char *)"*.mail.example" };
static char *prints[] = { (
    char *)"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" };

static char *keys[] = { (
    char *)"fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210" };
static struct config_certificate cas[] = { { (uint8_t *)"\x30\x82", 2 },
	{ (uint8_t *)"\x30\x83", 2 } };

struct config_partner partner_none = { .name = (char *)DOMAIN, .level = TLS_NONE };
struct config_partner partner_may = { .name = (char *)DOMAIN, .level = TLS_MAY };
struct config_partner partner_encrypt = { .name = (char *)DOMAIN, .level = TLS_ENCRYPT };
struct config_partner partner_verify = { .name = (char *)DOMAIN, .level = TLS_VERIFY };
struct config_partner partner_secure = { .name = (char *)DOMAIN,
	.level = TLS_SECURE,
	.ca_file = (char *)"/ca.pem",
	.cas = cas,
	.n_cas = 2 };
struct config_partner partner_secure_key = { .name = (char *)DOMAIN,
	.level = TLS_SECURE,
	.mx = star_mail,
	.n_mx = 1,
	.public_keys = keys,
	.n_public_keys = 1 };
struct config_partner partner_verify_no_ca = {
	.name = (char *)DOMAIN, .level = TLS_VERIFY, .ca_file = (char *)"/ca.pem"
};
struct config_partner partner_secure_mx = {
	.name = (char *)DOMAIN, .level = TLS_SECURE, .mx = star_mail, .n_mx = 1
};
struct config_partner partner_print = { .name = (char *)DOMAIN,
	.level = TLS_FINGERPRINT,
	.ca_file = (char *)"/ca.pem",
	.cas = cas,
	.n_cas = 2,
	.fingerprints = prints,
	.n_fingerprints = 1,
	.public_keys = keys,
	.n_public_keys = 1 };
struct config_partner partner_dane = { .name = (char *)DOMAIN, .level = TLS_DANE };
struct config_partner partner_dane_only = { .name = (char *)DOMAIN, .level = TLS_DANE_ONLY };
struct config_partner partner_dane_only_mx = {
	.name = (char *)DOMAIN, .level = TLS_DANE_ONLY, .mx = star_mail, .n_mx = 1
};

struct config_partner partner_observed_secure = { .name = (char *)DOMAIN,
	.level = TLS_SECURE,
	.mx = star_mail,
	.n_mx = 1,
	.public_keys = keys,
	.n_public_keys = 1,
	.observe = true };
struct config_partner partner_observed_dane_only = {
	.name = (char *)".example", .level = TLS_DANE_ONLY, .observe = true
};
struct config_partner partner_observed_may = {
	.name = (char *)DOMAIN, .level = TLS_MAY, .observe = true
};

static struct config_exception encrypt_for_now = { ROUTE_NOW_S + 1, TLS_ENCRYPT,
	(char *)"ticket 123" };
static struct config_exception dane_for_now = { ROUTE_NOW_S + 1, TLS_DANE, (char *)"a test" };
static struct config_exception verify_for_now = { ROUTE_NOW_S + 1, TLS_VERIFY, (char *)"a test" };
static struct config_exception over = { ROUTE_NOW_S, TLS_MAY, (char *)"ticket 122" };
struct config_partner partner_excepted = { .name = (char *)DOMAIN,
	.level = TLS_SECURE,
	.mx = star_mail,
	.n_mx = 1,
	.exception = &encrypt_for_now };
struct config_partner partner_excepted_dane = {
	.name = (char *)DOMAIN, .level = TLS_DANE_ONLY, .exception = &dane_for_now
};
struct config_partner partner_excepted_verify = { .name = (char *)DOMAIN,
	.level = TLS_SECURE,
	.public_keys = keys,
	.n_public_keys = 1,
	.exception = &verify_for_now };
struct config_partner partner_excepted_key = { .name = (char *)DOMAIN,
	.level = TLS_SECURE,
	.public_keys = keys,
	.n_public_keys = 1,
	.exception = &encrypt_for_now };
struct config_partner partner_excepted_no_more = {
	.name = (char *)DOMAIN, .level = TLS_ENCRYPT, .exception = &over
};
struct config_partner partner_excepted_observed = { .name = (char *)DOMAIN,
	.level = TLS_DANE_ONLY,
	.observe = true,
	.exception = &encrypt_for_now };

static struct config_listen listens[] = {
	{ .address = (char *)"198.51.100.25", .port = 25 },
	{ .address = (char *)"198.51.100.87", .port = 587 },
	{ .address = (char *)"0.0.0.0", .port = 465, .implicit_tls = true },
};

void route_play(const struct route_case *cases, size_t n)
{
	size_t n_wrong = 0;

	for (size_t i = 0; i < n; i++)
		n_wrong += !play(&cases[i]);
	assert_int_equal(n_wrong, 0);
}

static bool play(const struct route_case *c)
{
	struct facts facts;
	struct plan plan;
	struct buffer out;
	bool is_right;

	route_text_read(c->facts, &facts);
	route_find_set(&c->setting, &facts, 0, &plan);
	buffer_init(&out, 1 << 16);
	route_text_print(&plan, &out);
	is_right = strcmp(buffer_text(&out), c->plan) == 0;
	if (!is_right)
		print_error("%s\n--- wanted\n%s--- got\n%s", c->name, c->plan, buffer_text(&out));
	buffer_finish(&out);
	plan_finish(&plan);
	facts_finish(&facts);
	return is_right;
}

void route_find_set(const struct route_setting *setting, const struct facts *facts,
    uint64_t shuffle, struct plan *plan)
{
	const struct route_question question = { .domain = DOMAIN,
		.route = setting->route,
		.wish = setting->wish,
		.now_s = ROUTE_NOW_S,
		.shuffle = shuffle };
	struct config config;

	make_config(setting, &config);
	route_find(&config, facts, &question, plan);
}

static void make_config(const struct route_setting *setting, struct config *config)
{
	*config = (struct config){
		.hostname = (char *)"us.example",
		.listens = listens,
		.n_listens = sizeof listens / sizeof *listens,
		.partners = setting->partner,
		.n_partners = setting->partner != NULL,
		.dns_defer_impaired = setting->defer_impaired,
		.delivery = { .port = 25,
		    .tls = setting->level,
		    .dane_insecure_mx =
			setting->insecure_mx != TLS_NONE ? setting->insecure_mx : TLS_MAY,
		    .mta_sts = true,
		    .allow_loopback = setting->allow_loopback,
		    .ipv4 = !setting->no_ipv4,
		    .ipv6 = !setting->no_ipv6 },
	};
}
