/*
 * Private keys in files and texts, published records, the keyring.
 */
#include "dkim/key.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "dkim/keyring.h"
#include "dkim/public_key.h"
#include "vectors.h"

/* 512 bits: anybody can break it. */
#define SHORT_RSA_KEY                                                                              \
	"-----BEGIN RSA PRIVATE KEY-----\n"                                                        \
	"MIIBOQIBAAJBAKNFR+jEubgg622Ta+7OeDUKiF9HamEg6qpfw6MsUGu687oz6L5r\n"                       \
	"Db1HUTNBcR2eaTGtgyQSMlC8Gz6nH0A+f5cCAwEAAQJAW2rUS6Gy90T/bTgpK+pR\n"                       \
	"ZimCmA6torrCiijaqseKM/bxhFQ79XLjaVOLgJJejPCvaeVR0nOhdiHu27l1RZ61\n"                       \
	"AQIhANZGxgvRXdDamc6dxcpiuOV7vlBv9dqKR4jL3UN5NyyBAiEAww/5lboOGphG\n"                       \
	"RGNkpi8J2GLx1IQzT1QS9wXglnWJgBcCIATqBJq6x3sFuGdLqQCWOQVSTDAOEUZc\n"                       \
	"y30wp7dnbUOBAiAGrQ5KvJJtAJcvEgPI2EVK/Z/vORMUfPklMTNNkvpAwwIgHUBi\n"                       \
	"l9Ewftw1lnTs0mHfR8llIH6lLOEXZ1KXHzqJhQQ=\n"                                               \
	"-----END RSA PRIVATE KEY-----\n"
#define EC_KEY                                                                                     \
	"-----BEGIN PRIVATE KEY-----\n"                                                            \
	"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgtcPuGkX/RYauk4sI\n"                       \
	"7RRm5Jdr+jYmsR1GTrR5nfW29kGhRANCAAThztqrq/qBzAH84ay5LqPwpdpcN7v7\n"                       \
	"jp4h5lL6Vy6fSfifNxLfxdHg/WK9DBP/LFmFGxcQPKiVXIq0cAYIpOt7\n"                               \
	"-----END PRIVATE KEY-----\n"
#define ENCRYPTED_KEY                                                                              \
	"-----BEGIN ENCRYPTED PRIVATE KEY-----\n"                                                  \
	"MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAhKAJXNdndzWwICCAAw\n"                       \
	"DAYIKoZIhvcNAgkFADAdBglghkgBZQMEAQIEEB/17zFxzGcLzJoEw6qc2AgEQJhu\n"                       \
	"E+Yk8LU893XKb1vTXBCEehfJGs2UtCozJqUTqQFircqy2aGLLPBt41boTfxv6UUI\n"                       \
	"arqRsUlnd03l20A7S+E=\n"                                                                   \
	"-----END ENCRYPTED PRIVATE KEY-----\n"

static const struct {
	const char *pem;
	const char *remark; /* part of it; "" for a key without a word */
	bool is_key;
} pem_cases[] = {
	{ RFC8463_ED25519_KEY, "", true },
	{ RFC6376_KEY, "RSA of 1024 bits is weak", true },
	{ SHORT_RSA_KEY, "RSA of 512 bits; receivers accept 1024 to 4096", false },
	{ EC_KEY, "of type EC; only RSA and Ed25519", false },
	{ ENCRYPTED_KEY, "encrypted with a passphrase", false },
	{ "", "no private key in PEM form", false },
	{ "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no private key",
	    false },
	{ "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no private key",
	    false },
};

static void test_K8_keys_accepted_warned_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof pem_cases / sizeof *pem_cases; i++) {
		char remark[DKIM_ERROR_MAX] = "untouched";
		struct dkim_key *key =
		    dkim_key_parse(slice_of(pem_cases[i].pem), "x.pem", remark, sizeof remark);

		assert_int_equal(key != NULL, pem_cases[i].is_key);
		if (pem_cases[i].remark[0] == '\0')
			assert_string_equal(remark, "");
		else {
			assert_non_null(strstr(remark, pem_cases[i].remark));
			assert_non_null(strstr(remark, "x.pem"));
		}
		dkim_key_destroy(&key);
	}
}

static void in_directory(char *path, size_t room, const char *name)
{
	static char directory[] = "/tmp/zegel-test-key-XXXXXX";
	static bool is_made;

	if (!is_made)
		assert_non_null(mkdtemp(directory));
	is_made = true;
	snprintf(path, room, "%s%s%s", directory, name[0] != '\0' ? "/" : "", name);
}

static const struct {
	mode_t mode;
	bool is_accepted;
} mode_cases[] = {
	{ 0600, true },
	{ 0400, true },
	{ 0640, true }, /* root:zegel */
	{ 0440, true },
	{ 0644, false },
	{ 0604, false },
	{ 0602, false },
	{ 0601, false },
	{ 0660, false },
	{ 0620, false },
};

static void test_K18_file_open_to_others_is_refused(void **state)
{
	struct dkim_key *key = dkim_key_generate(DKIM_ED25519_SHA256), *loaded;
	char path[128], remark[DKIM_ERROR_MAX];

	(void)state;
	in_directory(path, sizeof path, "mode.pem");
	assert_int_equal(dkim_key_save(key, path, remark, sizeof remark), 0);
	for (size_t i = 0; i < sizeof mode_cases / sizeof *mode_cases; i++) {
		assert_int_equal(chmod(path, mode_cases[i].mode), 0);
		loaded = dkim_key_load(path, remark, sizeof remark);
		assert_int_equal(loaded != NULL, mode_cases[i].is_accepted);
		if (loaded == NULL) {
			assert_non_null(strstr(remark, path));
			assert_non_null(strstr(remark, "chmod 0640"));
		}
		dkim_key_destroy(&loaded);
	}
	unlink(path);
	dkim_key_destroy(&key);
}

static void test_K12_file_that_is_none(void **state)
{
	char path[128], remark[DKIM_ERROR_MAX];

	(void)state;
	in_directory(path, sizeof path, "absent.pem");
	assert_null(dkim_key_load(path, remark, sizeof remark));
	assert_non_null(strstr(remark, "No such file"));
	assert_non_null(strstr(remark, "zegel dkim new"));
	in_directory(path, sizeof path, "");
	assert_null(dkim_key_load(path, remark, sizeof remark));
	assert_non_null(strstr(remark, "not a file"));
	in_directory(path, sizeof path, "fifo.pem");
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_null(dkim_key_load(path, remark, sizeof remark));
	assert_non_null(strstr(remark, "not a file"));
	unlink(path);
}

static void check_new_key(enum dkim_algorithm algorithm, const char *name)
{
	struct dkim_key *key = dkim_key_generate(algorithm), *loaded;
	char path[128], remark[DKIM_ERROR_MAX], *record, *record_of_loaded;
	struct stat st;
	mode_t mask = umask(0);

	in_directory(path, sizeof path, name);
	assert_int_equal(dkim_key_save(key, path, remark, sizeof remark), 0);
	umask(mask);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(dkim_key_save(key, path, remark, sizeof remark), -1);
	assert_non_null(strstr(remark, "never overwritten"));

	loaded = dkim_key_load(path, remark, sizeof remark);
	assert_non_null(loaded);
	assert_string_equal(remark, ""); /* K8: not that it is short */
	assert_int_equal(dkim_key_algorithm(loaded), algorithm);
	record = dkim_key_record(key);
	record_of_loaded = dkim_key_record(loaded);
	assert_string_equal(record, record_of_loaded);
	unlink(path);
	free(record);
	free(record_of_loaded);
	dkim_key_destroy(&loaded);
	dkim_key_destroy(&key);
}

static void test_new_keys_are_saved_privately_and_once(void **state)
{
	char path[128];

	(void)state;
	check_new_key(DKIM_RSA_SHA256, "rsa.pem");
	check_new_key(DKIM_ED25519_SHA256, "ed.pem");
	in_directory(path, sizeof path, "");
	rmdir(path);
}

static struct dkim_key *parse(const char *pem)
{
	char remark[DKIM_ERROR_MAX];
	struct dkim_key *key = dkim_key_parse(slice_of(pem), "vector", remark, sizeof remark);

	assert_non_null(key);
	return key;
}

static void test_K1_records_of_the_vectors(void **state)
{
	static const struct {
		const char *pem, *record;
	} cases[] = {
		{ RFC8463_ED25519_KEY, RFC8463_ED25519_RECORD },
		{ RFC8463_RSA_KEY, RFC8463_RSA_RECORD },
	};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct dkim_key *key = parse(cases[i].pem);
		char *record = dkim_key_record(key);

		assert_string_equal(record, cases[i].record);
		free(record);
		dkim_key_destroy(&key);
	}
}

/* What stands between the quotes, joined. */
static void join_strings(const char *zone, char *joined)
{
	while ((zone = strchr(zone, '"')) != NULL) {
		const char *end = strchr(zone + 1, '"');
		size_t n = (size_t)(end - zone) - 1;

		assert_in_range(n, 1, 255);
		memcpy(joined, zone + 1, n);
		joined += n;
		zone = end + 1;
	}
	*joined = '\0';
}

static void test_zone_record_has_short_strings(void **state)
{
	enum dkim_algorithm algorithms[] = { DKIM_RSA_SHA256, DKIM_ED25519_SHA256 };
	const char *begin = "op26a._domainkey.example.org. IN TXT (\n\t\"v=DKIM1; k=";

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct dkim_key *key = dkim_key_generate(algorithms[i]);
		char *zone = dkim_key_zone_record(key, "example.org", "op26a"), joined[4096];
		char *record = dkim_key_record(key);

		assert_memory_equal(zone, begin, strlen(begin));
		assert_string_equal(zone + strlen(zone) - 4, "\" )\n");
		join_strings(zone, joined);
		assert_string_equal(joined, record);
		free(zone);
		free(record);
		dkim_key_destroy(&key);
	}
}

static const struct {
	const char *record;
	const char *why; /* part of it; NULL: a key */
} record_cases[] = {
	{ RFC6376_RECORD, NULL },
	{ RFC8463_ED25519_RECORD, NULL },
	{ RFC8463_RSA_RECORD, NULL },
	{ RFC8463_ED25519_RECORD ";", NULL },
	{ RFC8463_ED25519_RECORD "; s=email; h=sha1:sha256; t=y:s; n=a note; x=unknown", NULL },
	{ RFC8463_ED25519_RECORD "; s=*", NULL },
	{ "k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", NULL },
	{ "v=DKIM1;k=ed25519;p=11qYAYKxCrfVS/7TyWQHO g7hcvPapiMlrwIaaPcHURo =", NULL },
	{ "", "not a list of tags" },
	{ "v=spf1 -all", "v= is not DKIM1" },
	{ "k=ed25519; v=DKIM1; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "v= is not" },
	{ "v=DKIM1; k=ed25519; p=", "revoked" },
	{ "v=DKIM1; k=ed25519", "p= is missing" },
	{ "v=DKIM1; k=ed448; p=AAAA", "k= names" },
	{ "v=DKIM1; k=ed25519; p=AAAA", "p= is not a public key of type ed25519" },
	{ "v=DKIM1; k=rsa; p=AAAA", "p= is not a public key of type rsa" },
	{ "v=DKIM1; k=rsa; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "p= is not" },
	{ "v=DKIM1; k=ed25519; p=!", "p= is not a public key" },
	{ "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=; p=", "not a list" },
	{ "v=DKIM1; k=ed25519;; p=AAAA", "not a list" },
	{ RFC8463_ED25519_RECORD "; h=sha1", "h= does not allow sha256" },
	{ RFC8463_ED25519_RECORD "; s=tlsrpt", "s= does not allow mail" },
	{ "v=DKIM1; p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKNFR+jEubgg622Ta+7OeDUKiF9HamEg6qpfw6MsUGu6"
	  "87oz6L5rDb1HUTNBcR2eaTGtgyQSMlC8Gz6nH0A+f5cCAwEAAQ==",
	    "RSA of 512 bits" },
};

static void test_K8_published_records(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof record_cases / sizeof *record_cases; i++) {
		char why[DKIM_ERROR_MAX] = "";
		struct dkim_public_key *key =
		    dkim_public_key_parse(slice_of(record_cases[i].record), why, sizeof why);

		if ((key == NULL) != (record_cases[i].why != NULL))
			fail_msg("%s: %s", record_cases[i].record, why);
		if (record_cases[i].why != NULL && strstr(why, record_cases[i].why) == NULL)
			fail_msg("%s: %s", record_cases[i].record, why);
		dkim_public_key_destroy(&key);
	}
}

static void test_record_flags(void **state)
{
	struct dkim_public_key *a, *b;
	char why[DKIM_ERROR_MAX];

	(void)state;
	a = dkim_public_key_parse(slice_of(RFC8463_ED25519_RECORD "; t=y:s"), why, sizeof why);
	b = dkim_public_key_parse(slice_of(RFC8463_ED25519_RECORD), why, sizeof why);
	assert_true(dkim_public_key_forbids_subdomains(a));
	assert_false(dkim_public_key_forbids_subdomains(b));
	dkim_public_key_destroy(&a);
	dkim_public_key_destroy(&b);
}

static void test_keyring_finds_and_replaces(void **state)
{
	struct dkim_keyring *ring = dkim_keyring_create();
	struct dkim_key *rsa = parse(RFC8463_RSA_KEY), *ed = parse(RFC8463_ED25519_KEY);
	uint8_t digest[DKIM_DIGEST_SIZE] = { 1 }, signature[DKIM_SIGNATURE_MAX];
	char error[DKIM_ERROR_MAX];
	size_t n;

	(void)state;
	assert_null(dkim_keyring_find(ring, "example.org", "a"));
	dkim_keyring_add(ring, "example.org", "a", rsa);
	dkim_keyring_add(ring, "example.org", "b.c", ed);
	dkim_keyring_add(ring, "example.com", "a", parse(RFC6376_KEY));
	assert_int_equal(dkim_keyring_n(ring), 3);
	assert_ptr_equal(dkim_keyring_find(ring, "example.org", "a"), rsa);
	assert_ptr_equal(dkim_keyring_find(ring, "example.org", "B.C"), ed);
	assert_string_equal(dkim_keyring_at(ring, 2).domain, "example.com");
	assert_string_equal(dkim_keyring_at(ring, 1).selector, "b.c");

	assert_int_equal(
	    dkim_keyring_sign(ring, "example.org", "a", digest, signature, &n, error, sizeof error),
	    0);
	assert_int_equal(n, 128);
	dkim_keyring_add(ring, "example.org", "a", parse(RFC8463_ED25519_KEY));
	assert_int_equal(dkim_keyring_n(ring), 3);
	assert_int_equal(
	    dkim_keyring_sign(ring, "example.org", "a", digest, signature, &n, error, sizeof error),
	    0);
	assert_int_equal(n, 64);
	assert_int_equal(dkim_keyring_sign(
			     ring, "bank.example", "a", digest, signature, &n, error, sizeof error),
	    -1);
	assert_non_null(strstr(error, "bank.example"));
	dkim_keyring_destroy(&ring);
	assert_null(ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_K8_keys_accepted_warned_refused),
		cmocka_unit_test(test_K18_file_open_to_others_is_refused),
		cmocka_unit_test(test_K12_file_that_is_none),
		cmocka_unit_test(test_new_keys_are_saved_privately_and_once),
		cmocka_unit_test(test_K1_records_of_the_vectors),
		cmocka_unit_test(test_zone_record_has_short_strings),
		cmocka_unit_test(test_K8_published_records),
		cmocka_unit_test(test_record_flags),
		cmocka_unit_test(test_keyring_finds_and_replaces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
