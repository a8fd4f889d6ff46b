/*
 * The hash table against a plain list that does the same: random puts, takes and gets, among them
 * many that collide.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "relay/base/map.h"

enum { KEYS = 300, STEPS = 40000 };

static void like_a_list(void **state)
{
	static char values[2][KEYS];
	void *list[KEYS] = { 0 };
	struct map m;
	size_t n = 0;
	unsigned random = 12345;

	(void)state;
	map_init(&m);
	for (int step = 0; step < STEPS; step++) {
		char key[16];
		size_t i;

		random = random * 1103515245 + 12345;
		i = (random >> 8) % KEYS;
		snprintf(key, sizeof key, "%zu.example", i);
		assert_ptr_equal(map_get(&m, key), list[i]);
		if ((random >> 20) % 5 < 2) {
			assert_ptr_equal(map_take(&m, key), list[i]);
			n -= list[i] != NULL;
			list[i] = NULL;
		} else {
			void *value = &values[(random >> 24) % 2][i];

			assert_ptr_equal(map_put(&m, key, value), list[i]);
			n += list[i] == NULL;
			list[i] = value;
		}
		assert_int_equal(m.n, n);
	}
	for (size_t i = 0; i < KEYS; i++) {
		char key[16];

		snprintf(key, sizeof key, "%zu.example", i);
		assert_ptr_equal(map_take(&m, key), list[i]);
		assert_null(map_get(&m, key));
	}
	assert_int_equal(m.n, 0);
	map_finish(&m);
}

static void walks_through_all_once(void **state)
{
	char values[KEYS] = { 0 }, *value;
	const char *key;
	struct map m;
	size_t at = 0, n = 0;

	(void)state;
	map_init(&m);
	assert_null(map_next(&m, &at, &key));
	assert_null(map_get(&m, ""));
	assert_null(map_take(&m, ""));
	for (int i = 0; i < KEYS; i++) {
		char name[16];

		snprintf(name, sizeof name, "%d", i);
		map_put(&m, name, &values[i]);
	}
	while ((value = map_next(&m, &at, &key)) != NULL) {
		assert_int_equal(value - values, atoi(key));
		*value += 1;
		n++;
	}
	assert_int_equal(n, KEYS);
	for (int i = 0; i < KEYS; i++)
		assert_int_equal(values[i], 1);
	assert_null(map_put(&m, "", &values[0])); /* the empty text is a key like others */
	assert_ptr_equal(map_get(&m, ""), &values[0]);
	map_finish(&m);
	map_finish(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(like_a_list),
		cmocka_unit_test(walks_through_all_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
