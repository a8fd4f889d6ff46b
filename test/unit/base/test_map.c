#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "relay/base/map.h"

static void put_get_take(void **state)
{
	struct map m;
	int a, b;

	(void)state;
	map_init(&m);
	assert_null(map_get(&m, "x"));
	assert_null(map_take(&m, "x"));
	assert_null(map_put(&m, "x", &a));
	assert_null(map_put(&m, "", &b));
	assert_ptr_equal(map_get(&m, "x"), &a);
	assert_ptr_equal(map_get(&m, ""), &b);
	assert_null(map_get(&m, "X"));
	assert_ptr_equal(map_put(&m, "x", &b), &a);
	assert_int_equal(m.n, 2);
	assert_ptr_equal(map_take(&m, "x"), &b);
	assert_null(map_get(&m, "x"));
	assert_int_equal(m.n, 1);
	map_finish(&m);
	assert_null(map_get(&m, ""));
}

/* Against an array, in an order that makes long runs and holes in them. */
static void agrees_with_an_array(void **state)
{
	enum { N = 500 };
	static int values[N];
	bool there[N] = { false };
	unsigned chance = 1;
	size_t n = 0;
	struct map m;
	char key[16];

	(void)state;
	map_init(&m);
	for (int step = 0; step < 50000; step++) {
		size_t i;

		chance = chance * 1103515245 + 12345;
		i = chance / 65536 % N;
		snprintf(key, sizeof key, "%zu.test", i);
		assert_ptr_equal(map_get(&m, key), there[i] ? &values[i] : NULL);
		if (there[i])
			assert_ptr_equal(map_take(&m, key), &values[i]);
		else
			assert_null(map_put(&m, key, &values[i]));
		there[i] = !there[i];
		n += there[i] ? 1 : (size_t)-1;
		assert_int_equal(m.n, n);
	}
	map_finish(&m);
}

static void walks_through_all(void **state)
{
	enum { N = 100 };
	int values[N] = { 0 };
	struct map m;
	const char *name;
	char key[16];
	size_t at = 0;
	int *value;

	(void)state;
	map_init(&m);
	assert_null(map_next(&m, &at, &name));
	for (int i = 0; i < N; i++) {
		snprintf(key, sizeof key, "%d", i);
		map_put(&m, key, &values[i]);
	}
	at = 0;
	while ((value = map_next(&m, &at, &name)) != NULL) {
		assert_ptr_equal(value, &values[atoi(name)]);
		(*value)++;
	}
	for (int i = 0; i < N; i++)
		assert_int_equal(values[i], 1);
	map_finish(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(put_get_take),
		cmocka_unit_test(agrees_with_an_array),
		cmocka_unit_test(walks_through_all),
	};

	return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}
