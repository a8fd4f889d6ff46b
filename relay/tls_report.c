#include "relay/tls_report.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/base/text.h"
#include "relay/json_text.h"

/* The members that are texts: F(member, name in the report, must be there) */
#define FAILURE_TEXTS(F)                                                                           \
	F(result, "result-type", true)                                                             \
	F(sender, "sending-mta-ip", false)                                                         \
	F(mx, "receiving-mx-hostname", false)                                                      \
	F(helo, "receiving-mx-helo", false)                                                        \
	F(address, "receiving-ip", false)                                                          \
	F(more, "additional-information", false)                                                   \
	F(reason, "failure-reason-code", false)

static json_t *write_policy(const struct tls_report_policy *policy);
static json_t *write_failure(const struct tls_report_failure *failure);
static json_t *write_time(int64_t wall_s);
static void write_list(json_t *to, const char *key, char *const *texts, size_t n);
static bool read_report(const json_t *json, struct tls_report *report);
static bool read_policy(const json_t *json, struct tls_report_policy *policy);
static bool read_failure(const json_t *json, struct tls_report_failure *failure);
static bool read_text(const json_t *json, const char *key, bool is_needed, char **text);
static bool read_list(const json_t *json, const char *key, char ***texts, size_t *n);
static bool read_number(const json_t *json, const char *key, uint64_t *number);
static bool read_time(const json_t *json, const char *key, int64_t *wall_s);

struct tls_report_policy *tls_report_add_policy(struct tls_report *report)
{
	struct tls_report_policy *policy;

	report->policies =
	    mem_resize(report->policies, report->n_policies + 1, sizeof *report->policies);
	policy = &report->policies[report->n_policies++];
	*policy =
	    (struct tls_report_policy){ .type = mem_copy_text(""), .domain = mem_copy_text("") };
	return policy;
}

struct tls_report_failure *tls_report_add_failure(struct tls_report_policy *policy)
{
	struct tls_report_failure *failure;

	policy->failures =
	    mem_resize(policy->failures, policy->n_details + 1, sizeof *policy->failures);
	failure = &policy->failures[policy->n_details++];
	*failure = (struct tls_report_failure){ 0 };
#define F(member, name, is_needed) failure->member = mem_copy_text("");
	FAILURE_TEXTS(F)
#undef F
	return failure;
}

char **tls_report_split(const char *lines, size_t *n)
{
	char **texts = NULL;

	*n = 0;
	while (*lines != '\0') {
		size_t length = strcspn(lines, "\n");

		texts = mem_resize(texts, *n + 1, sizeof *texts);
		texts[(*n)++] = mem_copy(lines, length);
		lines += length + (lines[length] == '\n');
	}
	return texts;
}

void tls_report_finish(struct tls_report *report)
{
	free(report->organization);
	free(report->contact);
	free(report->id);
	for (size_t i = 0; i < report->n_policies; i++) {
		struct tls_report_policy *policy = &report->policies[i];

		free(policy->type);
		free(policy->domain);
		text_free_list(policy->strings, policy->n_strings);
		text_free_list(policy->patterns, policy->n_patterns);
		for (size_t j = 0; j < policy->n_details; j++) {
#define F(member, name, is_needed) free(policy->failures[j].member);
			FAILURE_TEXTS(F)
#undef F
		}
		free(policy->failures);
	}
	free(report->policies);
	*report = (struct tls_report){ 0 };
}

/* ---- writing ---- */

char *tls_report_write(const struct tls_report *report)
{
	json_t *json = json_object(), *range = json_object(), *policies = json_array();
	char *text;

	json_object_set_new(json, "organization-name", json_text(report->organization));
	json_object_set_new(range, "start-datetime", write_time(report->start_s));
	json_object_set_new(range, "end-datetime", write_time(report->end_s - 1));
	json_object_set_new(json, "date-range", range);
	json_object_set_new(json, "contact-info", json_text(report->contact));
	json_object_set_new(json, "report-id", json_text(report->id));
	for (size_t i = 0; i < report->n_policies; i++)
		json_array_append_new(policies, write_policy(&report->policies[i]));
	json_object_set_new(json, "policies", policies);
	text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	return text;
}

static json_t *write_time(int64_t wall_s)
{
	char date[CLOCK_DATE_MAX];

	clock_print_iso(wall_s, date);
	return json_string(date);
}

static json_t *write_policy(const struct tls_report_policy *p)
{
	json_t *json = json_object(), *policy = json_object(), *failures = json_array();

	json_object_set_new(policy, "policy-type", json_text(p->type));
	write_list(policy, "policy-string", p->strings, p->n_strings);
	json_object_set_new(policy, "policy-domain", json_text(p->domain));
	write_list(policy, "mx-host", p->patterns, p->n_patterns);
	json_object_set_new(json, "policy", policy);
	json_object_set_new(json, "summary",
	    json_pack("{s:I, s:I}", "total-successful-session-count", (json_int_t)p->n_successes,
		"total-failure-session-count", (json_int_t)p->n_failures));
	for (size_t i = 0; i < p->n_details; i++)
		json_array_append_new(failures, write_failure(&p->failures[i]));
	if (p->n_details > 0)
		json_object_set(json, "failure-details", failures);
	json_decref(failures);
	return json;
}

static void write_list(json_t *to, const char *key, char *const *texts, size_t n)
{
	json_t *list;

	if (n == 0)
		return;
	list = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_text(texts[i]));
	json_object_set_new(to, key, list);
}

static json_t *write_failure(const struct tls_report_failure *failure)
{
	json_t *json = json_object();

#define F(member, name, is_needed)                                                                 \
	if (failure->member[0] != '\0')                                                            \
		json_object_set_new(json, name, json_text(failure->member));
	FAILURE_TEXTS(F)
#undef F
	json_object_set_new(json, "failed-session-count", json_integer((json_int_t)failure->n));
	return json;
}

/* ---- reading ---- */

bool tls_report_read(const char *text, size_t n, struct tls_report *report)
{
	json_t *json = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
	bool is_one;

	*report = (struct tls_report){ 0 };
	is_one = read_report(json, report);
	json_decref(json);
	if (!is_one)
		tls_report_finish(report);
	return is_one;
}

static bool read_report(const json_t *json, struct tls_report *report)
{
	const json_t *range = json_object_get(json, "date-range");
	const json_t *policies = json_object_get(json, "policies");

	if (!read_text(json, "organization-name", true, &report->organization) ||
	    !read_text(json, "contact-info", true, &report->contact) ||
	    !read_text(json, "report-id", true, &report->id) ||
	    !read_time(range, "start-datetime", &report->start_s) ||
	    !read_time(range, "end-datetime", &report->end_s) || !json_is_array(policies))
		return false;
	report->end_s++;
	for (size_t i = 0; i < json_array_size(policies); i++) {
		if (!read_policy(json_array_get(policies, i), tls_report_add_policy(report)))
			return false;
	}
	return true;
}

static bool read_policy(const json_t *json, struct tls_report_policy *p)
{
	const json_t *policy = json_object_get(json, "policy");
	const json_t *summary = json_object_get(json, "summary");
	const json_t *failures = json_object_get(json, "failure-details");

	if (!read_text(policy, "policy-type", true, &p->type) ||
	    !read_text(policy, "policy-domain", true, &p->domain) ||
	    !read_list(policy, "policy-string", &p->strings, &p->n_strings) ||
	    !read_list(policy, "mx-host", &p->patterns, &p->n_patterns) ||
	    !read_number(summary, "total-successful-session-count", &p->n_successes) ||
	    !read_number(summary, "total-failure-session-count", &p->n_failures) ||
	    (failures != NULL && !json_is_array(failures)))
		return false;
	for (size_t i = 0; i < json_array_size(failures); i++) {
		if (!read_failure(json_array_get(failures, i), tls_report_add_failure(p)))
			return false;
	}
	return true;
}

static bool read_failure(const json_t *json, struct tls_report_failure *failure)
{
#define F(member, name, is_needed)                                                                 \
	if (!read_text(json, name, is_needed, &failure->member))                                   \
		return false;
	FAILURE_TEXTS(F)
#undef F
	return read_number(json, "failed-session-count", &failure->n);
}

/* In place of what *text holds, NULL or "". */
static bool read_text(const json_t *json, const char *key, bool is_needed, char **text)
{
	const json_t *value = json_object_get(json, key);

	if (value != NULL && !json_is_string(value))
		return false;
	if (value == NULL && is_needed)
		return false;
	free(*text);
	*text = mem_copy_text(value != NULL ? json_string_value(value) : "");
	return true;
}

/* The RFC's own example has a text where its grammar has a list of them. */
static bool read_list(const json_t *json, const char *key, char ***texts, size_t *n)
{
	const json_t *list = json_object_get(json, key);
	size_t size = json_is_string(list) ? 1 : json_array_size(list);

	if (list != NULL && !json_is_array(list) && !json_is_string(list))
		return false;
	*texts = mem_create(size * sizeof **texts);
	for (; *n < size; (*n)++) {
		const json_t *item = json_is_string(list) ? list : json_array_get(list, *n);

		if (!json_is_string(item))
			return false;
		(*texts)[*n] = mem_copy_text(json_string_value(item));
	}
	return true;
}

static bool read_number(const json_t *json, const char *key, uint64_t *number)
{
	const json_t *value = json_object_get(json, key);

	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return false;
	*number = (uint64_t)json_integer_value(value);
	return true;
}

/* RFC 3339 5.6, in UTC. */
static bool read_time(const json_t *json, const char *key, int64_t *wall_s)
{
	const char *text = json_string_value(json_object_get(json, key)), *end;
	struct tm tm = { 0 };

	end = text != NULL ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	if (end == NULL || (strcmp(end, "Z") != 0 && strcmp(end, "+00:00") != 0))
		return false;
	*wall_s = timegm(&tm);
	return true;
}

/* ---- compressing ---- */

bool tls_report_compress(const char *text, size_t n, struct buffer *out)
{
	z_stream z = { .next_in = (unsigned char *)(uintptr_t)text, .avail_in = (unsigned)n };
	unsigned char some[16384];
	int rc;

	/* 15 bits of window, and 16 for the header of gzip. */
	if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) !=
	    Z_OK)
		abort(); /* no memory */
	do {
		z.next_out = some;
		z.avail_out = sizeof some;
		rc = deflate(&z, Z_FINISH);
		buffer_add(out, some, sizeof some - z.avail_out);
	} while (rc == Z_OK);
	deflateEnd(&z);
	return rc == Z_STREAM_END && !out->overflowed;
}
