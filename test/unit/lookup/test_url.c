/* Web addresses that others wrote: what is taken of them, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "relay/lookup/url.h"

#define NO_SCHEME "it does not begin with https://"
#define NO_HOST   "its host is no name"
#define NO_PORT   "its port is none"
#define NO_PATH   "its path is too long, or holds what must be escaped"

static void test_table(void **state)
{
	static const struct {
		const char *text, *says;
	} table[] = {
		{ "https://reports.example/v1/tlsrpt", "reports.example 443 /v1/tlsrpt" },
		{ "https://reports.example", "reports.example 443 /" },
		{ "https://reports.example/", "reports.example 443 /" },
		{ "HTTPS://Reports.EXAMPLE:8443/A?b=c&d=%20", "reports.example 8443 /A?b=c&d=%20" },
		{ "https://reports.example:/x", "reports.example 443 /x" },
		{ "https://reports.example?x=/y", "reports.example 443 /?x=/y" },
		{ "https://reports.example/x#here is more", "reports.example 443 /x" },
		{ "https://ex\xc3\xa4mple.org/", "xn--exmple-cua.org 443 /" },
		{ "https://a.example/../b", "a.example 443 /../b" },
		{ "http://reports.example/", NO_SCHEME },
		{ "ftp://reports.example/", NO_SCHEME },
		{ "mailto:a@b.example", NO_SCHEME },
		{ "https:/reports.example/", NO_SCHEME },
		{ " https://reports.example/", NO_SCHEME },
		{ "", NO_SCHEME },
		{ "https://", NO_HOST },
		{ "https:///x", NO_HOST },
		{ "https://:443/x", NO_HOST },
		{ "https://user@reports.example/", NO_HOST },
		{ "https://user:password@reports.example/", NO_PORT },
		{ "https://127.0.0.1/", NO_HOST },
		{ "https://2130706433/", NO_HOST },
		{ "https://0x7f000001/", NO_HOST },
		{ "https://127.0x1/", NO_HOST },
		{ "https://[::1]/", NO_HOST },
		{ "https://[::1]:443/", NO_HOST },
		{ "https://reports.example./", NO_HOST },
		{ "https://reports example/", NO_HOST },
		{ "https://reports.example\\@evil.test/", NO_HOST },
		{ "https://reports.example:0/", NO_PORT },
		{ "https://reports.example:65536/", NO_PORT },
		{ "https://reports.example:+1/", NO_PORT },
		{ "https://reports.example:443:444/", NO_PORT },
		{ "https://reports.example/a b", NO_PATH },
		{ "https://reports.example/a\r\nX: y", NO_PATH },
		{ "https://reports.example/\xc3\xa4", NO_PATH },
		{ "https://reports.example/<x>", NO_PATH },
		{ "https://reports.example/\"", NO_PATH },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct url url;
		const char *why;
		char says[3000];

		if (url_read(table[i].text, strlen(table[i].text), &url, &why))
			snprintf(says, sizeof says, "%s %u %s", url.host, url.port, url.path);
		else
			snprintf(says, sizeof says, "%s", why);
		if (strcmp(says, table[i].says) != 0)
			fail_msg("%s: %s", table[i].text, says);
	}
}

static void test_lengths(void **state)
{
	char text[3000] = "https://a.example";
	struct url url;
	const char *why;

	(void)state;
	memset(text + 17, '/', sizeof text - 17);
	assert_true(url_read(text, 17 + URL_PATH_MAX, &url, &why));
	assert_int_equal(strlen(url.path), URL_PATH_MAX);
	assert_false(url_read(text, 17 + URL_PATH_MAX + 1, &url, &why));
	assert_false(url_read("https://a.example/\0b", 20, &url, &why));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_lengths),
	};

	return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
