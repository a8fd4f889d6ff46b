/*
 * The files are only looked at here, never used: any text will do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void write_file(const struct place *p, const char *name, const char *text, mode_t mode)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", p->directory, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

int make_place(void **state)
{
	static const char *const directories[] = { "", "/dkim", "/dkim/example.org",
		"/dkim/example.com", "/dkim/xn--exmple-cua.org" };
	struct place *p = calloc(1, sizeof *p);
	char path[128];

	snprintf(p->directory, sizeof p->directory, "/tmp/zegel-config-XXXXXX");
	assert_non_null(mkdtemp(p->directory));
	snprintf(p->path, sizeof p->path, "%s/zegel.conf", p->directory);
	for (size_t i = 1; i < sizeof directories / sizeof directories[0]; i++) {
		snprintf(path, sizeof path, "%s%s", p->directory, directories[i]);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	write_file(p, "cert.pem", "certificate", 0644);
	write_file(p, "key.pem", "key", 0600);
	write_file(p, "dkim/example.org/one.pem", "key", 0640);
	write_file(p, "dkim/example.org/two.2026.pem", "key", 0640);
	write_file(p, "dkim/example.org/open.pem", "key", 0644);
	write_file(p, "dkim/example.com/one.pem", "key", 0600);
	write_file(p, "dkim/xn--exmple-cua.org/one.pem", "key", 0600);
	*state = p;
	return 0;
}

int remove_place(void **state)
{
	struct place *p = *state;
	char command[128];

	snprintf(command, sizeof command, "rm -rf %s", p->directory);
	assert_int_equal(system(command), 0);
	free(p);
	return 0;
}

struct config *load(const struct place *p, const char *text, struct config_remarks *remarks)
{
	write_file(p, "zegel.conf", text, 0644);
	return config_load(p->path, remarks);
}

struct config *load_good(const struct place *p, const char *text)
{
	struct config_remarks remarks;
	struct config *c = load(p, text, &remarks);

	for (size_t i = 0; i < remarks.n; i++)
		print_message("%s\n", remarks.texts[i]);
	assert_int_equal(remarks.n, 0);
	assert_non_null(c);
	config_remarks_finish(&remarks);
	return c;
}

bool is_told(const struct config_remarks *remarks, unsigned line, const char *words)
{
	char place[32];

	snprintf(place, sizeof place, "zegel.conf:%u: ", line);
	for (size_t i = 0; i < remarks->n; i++) {
		if (strstr(remarks->texts[i], place) != NULL &&
		    strstr(remarks->texts[i], words) != NULL)
			return true;
	}
	return false;
}
