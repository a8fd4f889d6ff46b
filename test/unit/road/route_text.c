#include "route_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"

static void read_next_hop(const char *name, struct facts *facts);
static void read_policy(char *text, struct facts *facts);
static void read_host(char *line, struct facts_host *host);
static char *read_finding(char *text, struct finding *finding);
static void read_addresses(char *list, int family, struct facts_host *host);
static void read_records(char *list, struct facts_host *host);
static void print_host(const struct plan_host *host, struct buffer *out);
static void print_requirement(const struct tls_requirement *tls, struct buffer *out);

void route_text_read(const char *text, struct facts *facts)
{
	char *copy = mem_copy_text(text), *rest = NULL, *line, *word, *words = NULL;

	*facts = (struct facts){ .domain = ROUTE_DOMAIN, .expanded = ROUTE_DOMAIN, .ttl_s = 60 };
	line = strtok_r(copy, "\n", &rest);
	for (word = strtok_r(line, " ", &words); word != NULL; word = strtok_r(NULL, " ", &words)) {
		if (strncmp(word, "mx=", 3) == 0)
			read_finding(word + 3, &facts->mx);
		else if (strncmp(word, "expanded=", 9) == 0)
			strcpy(facts->expanded, word + 9);
		else if (strcmp(word, "null") == 0)
			facts->null_mx = true;
		else if (strcmp(word, "implicit") == 0)
			facts->implicit_mx = true;
		else if (strcmp(word, "impaired") == 0)
			facts->is_impaired = true;
		else if (strncmp(word, "host=", 5) == 0)
			read_next_hop(word + 5, facts);
		else if (strncmp(word, "sts=", 4) == 0)
			read_policy(word + 4, facts);
		else
			fail_msg("facts: %s", word);
	}
	while ((line = strtok_r(NULL, "\n", &rest)) != NULL) {
		facts->hosts = mem_resize(facts->hosts, facts->n_hosts + 1, sizeof *facts->hosts);
		read_host(line, &facts->hosts[facts->n_hosts++]);
	}
	free(copy);
}

static void read_next_hop(const char *name, struct facts *facts)
{
	facts->is_host = true;
	strcpy(facts->domain, name);
	strcpy(facts->expanded, name);
}

static void read_policy(char *text, struct facts *facts)
{
	struct sts_finding *sts = &facts->sts;
	char *rest = NULL, *word = strtok_r(text, ":,", &rest);

	facts->sts_asked = true;
	if (strcmp(word, "unknown") == 0 || strcmp(word, "busy") == 0 ||
	    strcmp(word, "bogus") == 0) {
		sts->problem = strcmp(word, "busy") == 0    ? STS_PROBLEM_BUSY
			       : strcmp(word, "bogus") == 0 ? STS_PROBLEM_BOGUS
							    : STS_PROBLEM_FETCH;
		strcpy(sts->why, "as the test wants it");
		return;
	}
	sts->has_policy = true;
	sts->expires_s = ROUTE_NOW_S + (strcmp(word, "expired") == 0 ? 0 : 1);
	strcpy(sts->id, "1a");
	sts->policy.mode = strcmp(word, "none") == 0      ? STS_MODE_NONE
			   : strcmp(word, "testing") == 0 ? STS_MODE_TESTING
							  : STS_MODE_ENFORCE;
	while ((word = strtok_r(NULL, ":,", &rest)) != NULL) {
		sts->policy.mx =
		    mem_resize(sts->policy.mx, sts->policy.n_mx + 1, sizeof *sts->policy.mx);
		sts->policy.mx[sts->policy.n_mx++] = mem_copy_text(word);
	}
}

static void read_host(char *line, struct facts_host *host)
{
	char *words = NULL, *word = strtok_r(line, " ", &words);

	*host = (struct facts_host){
		.preference = (uint16_t)atoi(word),
		.ipv4 = { ANSWER_NODATA, SECURITY_SECURE, "" },
		.ipv6 = { ANSWER_NODATA, SECURITY_SECURE, "" },
	};
	word = strtok_r(NULL, " ", &words);
	host->kind = word[0] == '!' ? MX_INVALID : strcmp(word, ".") == 0 ? MX_NULL : MX_HOST;
	strcpy(host->name, word + (word[0] == '!'));
	strcpy(host->expanded, host->name);
	while ((word = strtok_r(NULL, " ", &words)) != NULL) {
		if (strncmp(word, "a=", 2) == 0)
			read_addresses(read_finding(word + 2, &host->ipv4), 4, host);
		else if (strncmp(word, "aaaa=", 5) == 0)
			read_addresses(read_finding(word + 5, &host->ipv6), 6, host);
		else if (strncmp(word, "to=", 3) == 0)
			strcpy(host->expanded, word + 3);
		else if (strncmp(word, "base=", 5) == 0)
			strcpy(host->tlsa_base, word + 5);
		else if (strncmp(word, "tlsa=", 5) == 0)
			read_records(read_finding(word + 5, &host->tlsa), host);
		else
			fail_msg("host: %s", word);
	}
}

/* Returns what follows the colon, or "". */
static char *read_finding(char *text, struct finding *finding)
{
	static const char *const words[] = { "none", "ok", "nodata", "nx", "bogus", "error" };
	size_t n = strcspn(text, "/"), n_security;
	char *security = text + n + 1;

	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (strlen(words[i]) == n && memcmp(words[i], text, n) == 0)
			finding->status = (enum answer_status)i;
	}
	assert_int_not_equal(finding->status, ANSWER_NOT_ASKED);
	n_security = strcspn(security, ":");
	finding->security = *security == 's'   ? SECURITY_SECURE
			    : *security == 'b' ? SECURITY_BOGUS
					       : SECURITY_INSECURE;
	strcpy(finding->why, finding_is_failure(finding) ? "as the test wants it" : "");
	return security + n_security + (security[n_security] == ':');
}

static void read_addresses(char *list, int family, struct facts_host *host)
{
	char *rest = NULL;

	for (char *word = strtok_r(list, ",", &rest); word != NULL;
	     word = strtok_r(NULL, ",", &rest)) {
		struct answer_address *address = &host->addresses[host->n_addresses++];

		address->family = (uint8_t)family;
		assert_int_equal(
		    inet_pton(family == 4 ? AF_INET : AF_INET6, word, address->bytes), 1);
	}
}

static void read_records(char *list, struct facts_host *host)
{
	char *rest = NULL;

	for (char *word = strtok_r(list, ",", &rest); word != NULL;
	     word = strtok_r(NULL, ",", &rest)) {
		struct tlsa_record *record;
		unsigned usage, selector, matching;

		if (strcmp(word, "short") == 0) {
			host->n_malformed++;
			continue;
		}
		assert_int_equal(sscanf(word, "%u-%u-%u", &usage, &selector, &matching), 3);
		host->records =
		    mem_resize(host->records, host->n_records + 1, sizeof *host->records);
		record = &host->records[host->n_records++];
		*record = (struct tlsa_record){ (uint8_t)usage, (uint8_t)selector,
			(uint8_t)matching, NULL,
			strchr(word, '!') != NULL ? 19
			: matching == 2           ? 64
						  : 32 };
		record->data = mem_create(record->n_data);
	}
}

void route_text_print(const struct plan *plan, struct buffer *out)
{
	if (!outcome_is_ok(&plan->refusal))
		buffer_print(out, "refused %d %s\n", plan->refusal.code, plan->refusal.name);
	if (plan->mx_implicit)
		buffer_add_text(out, "implicit\n");
	if (plan->exception[0] != '\0')
		buffer_print(out, "exception %s\n", plan->exception);
	if (plan->is_route)
		buffer_print(
		    out, "by route%s%s\n", *plan->login != '\0' ? " as " : "", plan->login);
	for (size_t i = 0; i < plan->n_hosts; i++)
		print_host(&plan->hosts[i], out);
}

static void print_host(const struct plan_host *host, struct buffer *out)
{
	char text[INET6_ADDRSTRLEN];

	buffer_print(out, "%d %s ", host->preference, host->name);
	for (size_t i = 0; i < host->n_addresses; i++) {
		const union plan_address *address = &host->addresses[i];
		bool is_ipv6 = address->any.sa_family == AF_INET6;
		int port = ntohs(is_ipv6 ? address->ipv6.sin6_port : address->ipv4.sin_port);

		inet_ntop(address->any.sa_family,
		    is_ipv6 ? (const void *)&address->ipv6.sin6_addr
			    : (const void *)&address->ipv4.sin_addr,
		    text, sizeof text);
		buffer_print(out, "%s%s", i > 0 ? "," : "", text);
		if (port != 25)
			buffer_print(out, "@%d", port);
	}
	buffer_print(out, "%s ", host->n_addresses == 0 ? "-" : "");
	print_requirement(&host->tls, out);
	if (!outcome_is_ok(&host->unusable))
		buffer_print(out, " | %d %s", host->unusable.code, host->unusable.name);
	buffer_add_text(out, "\n");
	for (size_t i = 0; i < host->n_watches; i++) {
		const struct plan_watch *watch = &host->watches[i];

		buffer_print(out, "  watch %s: ", tls_demand_name(watch->demand));
		print_requirement(&watch->tls, out);
		if (!outcome_is_ok(&watch->unusable))
			buffer_print(out, " | %d %s", watch->unusable.code, watch->unusable.name);
		buffer_add_text(out, "\n");
	}
}

static void print_requirement(const struct tls_requirement *tls, struct buffer *out)
{
	buffer_print(out, "%s by %s", tls_level_name(tls->level), tls_demand_name(tls->demand));
	if (tls->n_tlsa > 0 && !tls->tlsa_pinned)
		buffer_print(out, " tlsa=%zu", tls->n_tlsa);
	if (tls->tlsa_unusable)
		buffer_add_text(out, " tlsa=unusable");
	if (tls->sni != NULL)
		buffer_print(out, " sni=%s", tls->sni);
	for (size_t i = 0; i < tls->n_names; i++)
		buffer_print(out, "%s%s", i == 0 ? " names=" : ",", tls->names[i]);
	if (tls->tlsa_pinned)
		buffer_add_text(out, " pins=");
	for (size_t i = 0; tls->tlsa_pinned && i < tls->n_tlsa; i++)
		buffer_print(out, "%s%d-%d-%d:%02x%02x", i == 0 ? "" : ",", tls->tlsa[i].usage,
		    tls->tlsa[i].selector, tls->tlsa[i].matching, tls->tlsa[i].data[0],
		    tls->tlsa[i].data[1]);
	if (tls->by_insecure_mx)
		buffer_add_text(out, " mx=insecure");
}
