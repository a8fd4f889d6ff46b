/*
 * Addresses of strangers, and where they lead to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>

#include "relay/lookup/scope.h"

static const struct {
	const char *text;
	enum address_scope scope;
} rows[] = {
	{ "192.0.2.1", SCOPE_GLOBAL },
	{ "8.8.8.8", SCOPE_GLOBAL },
	{ "0.0.0.0", SCOPE_LOOPBACK },
	{ "0.1.2.3", SCOPE_LOOPBACK },
	{ "127.0.0.1", SCOPE_LOOPBACK },
	{ "127.255.255.255", SCOPE_LOOPBACK },
	{ "128.0.0.1", SCOPE_GLOBAL },
	{ "9.255.255.255", SCOPE_GLOBAL },
	{ "10.0.0.0", SCOPE_PRIVATE },
	{ "10.255.255.255", SCOPE_PRIVATE },
	{ "11.0.0.0", SCOPE_GLOBAL },
	{ "172.15.255.255", SCOPE_GLOBAL },
	{ "172.16.0.0", SCOPE_PRIVATE },
	{ "172.31.255.255", SCOPE_PRIVATE },
	{ "172.32.0.0", SCOPE_GLOBAL },
	{ "192.168.0.1", SCOPE_PRIVATE },
	{ "192.169.0.1", SCOPE_GLOBAL },
	{ "100.63.255.255", SCOPE_GLOBAL },
	{ "100.64.0.0", SCOPE_PRIVATE },
	{ "100.127.255.255", SCOPE_PRIVATE },
	{ "100.128.0.0", SCOPE_GLOBAL },
	{ "192.0.0.8", SCOPE_PRIVATE },
	{ "198.18.0.1", SCOPE_PRIVATE },
	{ "198.19.255.255", SCOPE_PRIVATE },
	{ "198.20.0.0", SCOPE_GLOBAL },
	{ "169.253.255.255", SCOPE_GLOBAL },
	{ "169.254.169.254", SCOPE_NOBODY },
	{ "223.255.255.255", SCOPE_GLOBAL },
	{ "224.0.0.1", SCOPE_NOBODY },
	{ "255.255.255.255", SCOPE_NOBODY },

	{ "2001:db8::1", SCOPE_GLOBAL },
	{ "2606:4700::1", SCOPE_GLOBAL },
	{ "::", SCOPE_LOOPBACK },
	{ "::1", SCOPE_LOOPBACK },
	{ "fbff::1", SCOPE_GLOBAL },
	{ "fc00::1", SCOPE_PRIVATE },
	{ "fdff:ffff::1", SCOPE_PRIVATE },
	{ "fe00::1", SCOPE_GLOBAL },
	{ "fe80::1", SCOPE_NOBODY },
	{ "febf::1", SCOPE_NOBODY },
	{ "fec0::1", SCOPE_PRIVATE },
	{ "ff02::1", SCOPE_NOBODY },
	{ "64:ff9b:1::c000:201", SCOPE_PRIVATE },

	/* IPv4 in IPv6's clothes */
	{ "::ffff:192.0.2.1", SCOPE_GLOBAL },
	{ "::ffff:127.0.0.1", SCOPE_LOOPBACK },
	{ "::ffff:10.0.0.1", SCOPE_PRIVATE },
	{ "::ffff:169.254.169.254", SCOPE_NOBODY },
	{ "::127.0.0.1", SCOPE_LOOPBACK },
	{ "::192.168.0.1", SCOPE_PRIVATE },
	{ "64:ff9b::192.0.2.1", SCOPE_GLOBAL },
	{ "64:ff9b::127.0.0.1", SCOPE_LOOPBACK },
	{ "64:ff9b::10.1.2.3", SCOPE_PRIVATE },
	{ "2002:c000:201::1", SCOPE_GLOBAL },
	{ "2002:7f00:1::1", SCOPE_LOOPBACK },
	{ "2002:a9fe:a9fe::1", SCOPE_NOBODY },
	{ "2002:c0a8:1::1", SCOPE_PRIVATE },
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct answer_address a = { .family = strchr(rows[i].text, ':') != NULL ? 6 : 4 };

		assert_int_equal(
		    inet_pton(a.family == 6 ? AF_INET6 : AF_INET, rows[i].text, a.bytes), 1);
		if (address_scope(&a) != rows[i].scope)
			fail_msg("%s: %d", rows[i].text, (int)address_scope(&a));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
