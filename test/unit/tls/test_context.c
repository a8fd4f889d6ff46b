/* What an operator is told when a certificate, a key or a CA file cannot be used. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#include "forge.h"
#include "tls/context.h"

static char directory[FORGE_PATH_MAX];

static int make_files(void **state)
{
	struct forged one, two;
	char path[FORGE_PATH_MAX];
	FILE *file;

	(void)state;
	forge_make_directory(directory);
	forge(&one, (struct forge_wish){ .name = "one.example", .is_authority = true });
	forge(&two, (struct forge_wish){ .name = "two.example" });
	forge_write(directory, "one", (const struct forged *[]){ &one, NULL });
	forge_write(directory, "two", (const struct forged *[]){ &two, NULL });
	forge_path(directory, "locked.key", path);
	file = fopen(path, "w");
	assert_non_null(file);
	PEM_write_PrivateKey(
	    file, one.key, EVP_aes_256_cbc(), (const unsigned char *)"secret", 6, NULL, NULL);
	fclose(file);
	forge_path(directory, "prose", path);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs("nothing of the kind\n", file);
	fclose(file);
	forged_finish(&one);
	forged_finish(&two);
	return 0;
}

static int remove_files(void **state)
{
	(void)state;
	forge_remove_directory(directory);
	return 0;
}

static void server_says_what_is_wrong(void **state)
{
	static const struct {
		const char *certificate, *key;
		const char *file, *why; /* NULL: it is good */
	} table[] = {
		{ "one.pem", "one.key", NULL, NULL },
		{ "none.pem", "one.key", "none.pem", "No such file or directory" },
		{ "one.pem", "none.key", "none.key", "No such file or directory" },
		{ "prose", "one.key", "certificate", "holds no certificate in PEM" },
		{ "one.key", "one.key", "certificate", "holds no certificate in PEM" },
		{ "one.pem", "prose", "prose", "holds no private key in PEM" },
		{ "one.pem", "one.pem", "one.pem", "holds no private key in PEM" },
		{ "one.pem", "two.key", "two.key", "not the key of the certificate in" },
		{ "one.pem", "locked.key", "locked.key", "protected by a passphrase" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		char certificate[FORGE_PATH_MAX], key[FORGE_PATH_MAX], error[600] = "";
		struct tls_context *context;

		forge_path(directory, table[i].certificate, certificate);
		forge_path(directory, table[i].key, key);
		context = tls_context_create_server(certificate, key, error, sizeof error);
		if ((context != NULL) != (table[i].why == NULL))
			fail_msg("row %zu: %s", i, error);
		if (table[i].why != NULL &&
		    (strstr(error, table[i].why) == NULL || strstr(error, table[i].file) == NULL))
			fail_msg("row %zu says: %s", i, error);
		tls_context_destroy(&context);
		assert_null(context);
	}
}

static void ca_file_is_read_when_needed(void **state)
{
	char good[FORGE_PATH_MAX], prose[FORGE_PATH_MAX], error[600];
	struct tls_context *context = tls_context_create_client("/nonexistent/ca.pem");

	(void)state;
	forge_path(directory, "one.pem", good);
	forge_path(directory, "prose", prose);
	assert_int_equal(tls_context_load_ca(context, error, sizeof error), -1);
	assert_non_null(strstr(error, "CA file /nonexistent/ca.pem cannot be read: No such file"));
	tls_context_destroy(&context);
	context = tls_context_create_client(prose);
	assert_int_equal(tls_context_load_ca(context, error, sizeof error), -1);
	assert_non_null(strstr(error, "holds no certificate in PEM"));
	tls_context_destroy(&context);
	context = tls_context_create_client(good);
	assert_int_equal(tls_context_load_ca(context, error, sizeof error), 0);
	remove(good); /* read once */
	assert_int_equal(tls_context_load_ca(context, error, sizeof error), 0);
	tls_context_destroy(&context);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(server_says_what_is_wrong),
		cmocka_unit_test(ca_file_is_read_when_needed),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
