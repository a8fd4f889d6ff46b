/*
 * The room as a program, for tests that set it against other people's verifiers:
 *
 *	dkim-sign-file new rsa|ed25519 FILE
 *	dkim-sign-file record FILE
 *	dkim-sign-file sign DOMAIN TIME SELECTOR FILE [SELECTOR FILE ...] < message > sealed
 *	dkim-sign-file verify WHICH RECORD NOW < message
 *
 * Messages have CRLF lines. Exits 0 if all went well, 1 with a text if not, 64 if misused.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "dkim/field.h"
#include "dkim/verify.h"
#include "relay/base/mem.h"
#include "seal.h"

static int complain(const char *text)
{
	fprintf(stderr, "dkim-sign-file: %s\n", text);
	return 1;
}

static struct slice read_all(void)
{
	static char bytes[1 << 26];

	return (struct slice){ bytes, fread(bytes, 1, sizeof bytes, stdin) };
}

static int new_key(const char *type, const char *path)
{
	struct dkim_key *key =
	    dkim_key_generate(strcmp(type, "rsa") == 0 ? DKIM_RSA_SHA256 : DKIM_ED25519_SHA256);
	char error[DKIM_ERROR_MAX];
	int result = dkim_key_save(key, path, error, sizeof error);

	dkim_key_destroy(&key);
	return result == 0 ? 0 : complain(error);
}

static int print_record(const char *path)
{
	char remark[DKIM_ERROR_MAX];
	struct dkim_key *key = dkim_key_load(path, remark, sizeof remark);
	char *record;

	if (key == NULL)
		return complain(remark);
	record = dkim_key_record(key);
	puts(record);
	free(record);
	dkim_key_destroy(&key);
	return 0;
}

/* The first key's seal ends up on top. */
static int sign(const char *domain, const char *time, char **keys, int n_keys)
{
	struct slice message = read_all();
	char *sealed = mem_copy(message.bytes, message.n), *next, error[DKIM_ERROR_MAX];
	struct dkim_fields fields;
	size_t n = message.n;

	for (int i = n_keys - 2; i >= 0; i -= 2) {
		struct dkim_key *key = dkim_key_load(keys[i + 1], error, sizeof error);

		if (key == NULL)
			return complain(error);
		if (!dkim_fields_init(&fields, (struct slice){ sealed, n }))
			return complain("not a message");
		next = seal_message(key, domain, keys[i], atoll(time),
		    (struct slice){ sealed, fields.n_bytes },
		    (struct slice){ sealed + fields.n_bytes, n - fields.n_bytes }, &n, error);
		dkim_fields_finish(&fields);
		dkim_key_destroy(&key);
		if (next == NULL)
			return complain(error);
		free(sealed);
		sealed = next;
	}
	fwrite(sealed, 1, n, stdout);
	free(sealed);
	return 0;
}

static int verify(const char *which, const char *record, const char *now)
{
	struct dkim_result result;

	dkim_verify(read_all(), (size_t)atoi(which), slice_of(record), atoll(now), &result);
	puts(result.text);
	return result.verdict == DKIM_PASS ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "new") == 0)
		return new_key(argv[2], argv[3]);
	if (argc == 3 && strcmp(argv[1], "record") == 0)
		return print_record(argv[2]);
	if (argc >= 6 && argc % 2 == 0 && strcmp(argv[1], "sign") == 0)
		return sign(argv[2], argv[3], argv + 4, argc - 4);
	if (argc == 5 && strcmp(argv[1], "verify") == 0)
		return verify(argv[2], argv[3], argv[4]);
	return complain("new, record, sign or verify? See the head of its source") + EX_USAGE - 1;
}
