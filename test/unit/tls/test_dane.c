/* Which TLSA records are usable (T3, T4), and what a requirement says of plaintext. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "forge.h"
#include "relay/base/mem.h"
#include "tls/dane.h"
#include "tls/requirement.h"

static void t1_usable_combinations(void **state)
{
	struct forged leaf;

	(void)state;
	forge(&leaf, (struct forge_wish){ .name = "mx.example" });
	for (uint8_t usage = 2; usage <= 3; usage++) {
		for (uint8_t selector = 0; selector <= 1; selector++) {
			for (uint8_t matching = 0; matching <= 2; matching++) {
				struct tlsa_record r =
				    forge_tlsa(&leaf, usage, selector, matching, true);
				uint8_t *longer = (uint8_t *)mem_copy(r.data, r.n_data);

				assert_true(tlsa_is_usable(&r));
				r.n_data--;
				assert_false(tlsa_is_usable(&r));
				free(r.data);
				/* One byte behind the end: mem_copy() has put a NUL there. */
				r.data = longer;
				r.n_data += 2;
				assert_false(tlsa_is_usable(&r));
				free(longer);
			}
		}
	}
	forged_finish(&leaf);
}

static void t3_t4_unusable_numbers(void **state)
{
	static const struct {
		uint8_t usage, selector, matching;
		size_t n;
	} table[] = {
		{ 0, 0, 1, 32 },
		{ 0, 1, 1, 32 },
		{ 1, 0, 1, 32 },
		{ 1, 1, 2, 64 },
		{ 4, 1, 1, 32 },
		{ 255, 1, 1, 32 },
		{ 3, 2, 1, 32 },
		{ 3, 7, 1, 32 },
		{ 3, 255, 1, 32 },
		{ 2, 7, 1, 32 },
		{ 3, 1, 3, 32 },
		{ 3, 1, 9, 32 },
		{ 3, 1, 255, 32 },
		{ 2, 0, 255, 64 },
		{ 3, 1, 1, 0 },
		{ 3, 1, 1, 1 },
		{ 3, 1, 1, 31 },
		{ 3, 1, 1, 33 },
		{ 3, 1, 1, 64 },
		{ 3, 1, 2, 32 },
		{ 3, 1, 2, 63 },
		{ 3, 1, 2, 65 },
		{ 3, 0, 0, 0 },
		{ 3, 0, 0, 1 },
		{ 3, 0, 0, 100 },
		{ 3, 1, 0, 0 },
		{ 2, 1, 0, 100 },
	};
	uint8_t data[100];

	(void)state;
	memset(data, 0x30, sizeof data);
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		struct tlsa_record r = { table[i].usage, table[i].selector, table[i].matching, data,
			table[i].n };

		if (tlsa_is_usable(&r))
			fail_msg("%u %u %u of %zu bytes must not be usable", r.usage, r.selector,
			    r.matching, r.n_data);
	}
	data[0] = 0;
	assert_true(tlsa_is_usable(&(struct tlsa_record){ 3, 1, 1, data, 32 }));
	assert_false(tlsa_is_usable(&(struct tlsa_record){ 3, 1, 0, NULL, 0 }));
}

/* A certificate where a key is due, and the reverse. */
static void t4_selector_and_data_disagree(void **state)
{
	struct forged leaf;
	struct tlsa_record r;

	(void)state;
	forge(&leaf, (struct forge_wish){ .name = "mx.example" });
	r = forge_tlsa(&leaf, 3, 0, 0, true);
	r.selector = 1;
	assert_false(tlsa_is_usable(&r));
	free(r.data);
	r = forge_tlsa(&leaf, 3, 1, 0, true);
	r.selector = 0;
	assert_false(tlsa_is_usable(&r));
	free(r.data);
	forged_finish(&leaf);
}

static void record_is_printed_and_cut(void **state)
{
	uint8_t data[200] = { 0xab, 0xcd };
	char text[200], shorter[12];

	(void)state;
	tlsa_print(&(struct tlsa_record){ 3, 1, 1, data, 2 }, text, sizeof text);
	assert_string_equal(text, "3 1 1 abcd");
	tlsa_print(&(struct tlsa_record){ 2, 0, 0, data, 200 }, text, sizeof text);
	assert_int_equal(strlen(text), 6 + 128 + 3);
	tlsa_print(&(struct tlsa_record){ 3, 1, 1, data, 32 }, shorter, sizeof shorter);
	assert_string_equal(shorter, "3 1 1 abcd0");
}

static void t5_t11_plaintext(void **state)
{
	static const struct {
		enum tls_level level;
		size_t n_tlsa;
		bool unusable, allows;
	} table[] = {
		{ TLS_NONE, 0, false, true },
		{ TLS_MAY, 0, false, true },
		{ TLS_ENCRYPT, 0, false, false },
		{ TLS_VERIFY, 0, false, false },
		{ TLS_SECURE, 0, false, false },
		{ TLS_FINGERPRINT, 0, false, false },
		{ TLS_DANE, 0, false, true }, /* T11: securely none */
		{ TLS_DANE, 0, true, false }, /* T5: published, none usable */
		{ TLS_DANE, 1, false, false },
		{ TLS_DANE, 1, true, false },
		{ TLS_DANE_ONLY, 0, false, false },
		{ TLS_DANE_ONLY, 0, true, false },
		{ TLS_DANE_ONLY, 2, false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		struct tls_requirement r = { .level = table[i].level,
			.n_tlsa = table[i].n_tlsa,
			.tlsa_unusable = table[i].unusable };

		if (tls_requirement_allows_plaintext(&r) != table[i].allows)
			fail_msg("row %zu, level %s", i, tls_level_name(r.level));
	}
}

static void requirement_copy_owns_everything(void **state)
{
	uint8_t data[3] = { 1, 2, 3 };
	char name[] = "mx.example", sni[] = "sni.example";
	char *names[] = { name };
	struct tlsa_record record = { 3, 1, 1, data, 3 };
	struct tls_requirement from = { .level = TLS_DANE,
		.demand = DEMAND_DANE,
		.tlsa = &record,
		.n_tlsa = 1,
		.tlsa_unusable = true,
		.names = names,
		.n_names = 1,
		.tlsa_pinned = true,
		.sni = sni };
	struct tls_requirement to;

	(void)state;
	tls_requirement_copy(&to, &from);
	memset(data, 0, sizeof data);
	name[0] = sni[0] = '!';
	assert_int_equal(to.level, TLS_DANE);
	assert_true(to.tlsa_unusable && to.tlsa_pinned);
	assert_int_equal(to.tlsa[0].n_data, 3);
	assert_int_equal(to.tlsa[0].data[2], 3);
	assert_string_equal(to.names[0], "mx.example");
	assert_string_equal(to.sni, "sni.example");
	tls_requirement_finish(&to);
	assert_null(to.names);
	tls_requirement_finish(&to);
}

/* What each row changes makes another requirement; what it only writes differently does not. */
static void requirement_is_equal(void **state)
{
	static uint8_t data[] = { 1, 2, 3 }, other[] = { 1, 2, 4 };
	struct tlsa_record records[] = { { 3, 1, 1, data, 3 }, { 2, 0, 1, data, 3 } };
	char *names[] = { (char[]){ "mx.example" }, (char[]){ "example" } };
	const struct tls_requirement base = { .level = TLS_DANE,
		.demand = DEMAND_DANE,
		.tlsa = records,
		.n_tlsa = 2,
		.names = names,
		.n_names = 2,
		.sni = names[0] };
	struct tlsa_record turned[] = { records[1], records[0], records[1] };
	struct tlsa_record one[] = { records[0], records[0] };
	struct tlsa_record shorter[] = { records[0], { 2, 0, 1, data, 2 } };
	struct tlsa_record changed[] = { records[0], { 2, 0, 1, other, 3 } };
	struct tlsa_record typed[] = { records[0], { 2, 0, 2, data, 3 } };
	char *turned_names[] = { names[1], names[0] };
	struct tls_requirement r;
	const struct {
		const char *what;
		void *field;
		const void *value;
		size_t size;
		bool equal;
	} table[] = {
#define ROW(what, member, type, equal, ...)                                                        \
	{ what, &r.member, (type[]){ __VA_ARGS__ }, sizeof(type), equal }
		ROW("nothing", level, enum tls_level, true, TLS_DANE),
		ROW("order of records", tlsa, struct tlsa_record *, true, turned),
		ROW("order of names", names, char **, true, turned_names),
		ROW("the same SNI elsewhere", sni, char *, true, (char[]){ "mx.example" }),
		ROW("level", level, enum tls_level, false, TLS_DANE_ONLY),
		ROW("demand", demand, enum tls_demand, false, DEMAND_PARTNER),
		ROW("pins", tlsa_pinned, bool, false, true),
		ROW("unusable", tlsa_unusable, bool, false, true),
		ROW("who named the host", by_insecure_mx, bool, false, true),
		ROW("one record twice", tlsa, struct tlsa_record *, false, one),
		ROW("a record less", n_tlsa, size_t, false, 1),
		ROW("a shorter record", tlsa, struct tlsa_record *, false, shorter),
		ROW("another record", tlsa, struct tlsa_record *, false, changed),
		ROW("another type", tlsa, struct tlsa_record *, false, typed),
		ROW("a name less", n_names, size_t, false, 1),
		ROW("no names", n_names, size_t, false, 0),
		ROW("another SNI", sni, char *, false, names[1]),
		ROW("no SNI", sni, char *, false, NULL),
#undef ROW
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		r = base;
		memcpy(table[i].field, table[i].value, table[i].size);
		if (tls_requirement_is_equal(&base, &r) != table[i].equal ||
		    tls_requirement_is_equal(&r, &base) != table[i].equal)
			fail_msg("%s", table[i].what);
	}
	r = base;
	r.tlsa = turned;
	r.n_tlsa = 3;
	assert_true(tls_requirement_is_equal(&base, &r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t1_usable_combinations),
		cmocka_unit_test(t3_t4_unusable_numbers),
		cmocka_unit_test(t4_selector_and_data_disagree),
		cmocka_unit_test(record_is_printed_and_cut),
		cmocka_unit_test(t5_t11_plaintext),
		cmocka_unit_test(requirement_copy_owns_everything),
		cmocka_unit_test(requirement_is_equal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
