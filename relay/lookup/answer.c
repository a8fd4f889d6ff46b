/*
 * Packets into records, with libldns. libunbound has checked id, question, source and signatures
 * before; what is checked here is that each record has the fields its type promises (libldns takes
 * a TLSA of 0 or 3 bytes for a good one and leaves fields out), that its owner is the name asked for
 * or the end of the CNAME chain from it, and that nothing is longer than its maximum.
 */
#include "relay/lookup/answer.h"

#include <assert.h>
#include <ldns/ldns.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/buffer.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/base/text.h"

static void read_packet(ldns_pkt *packet, enum record_type type, struct answer *answer);
static bool follow_links(const ldns_rr_list *records, struct answer *answer);
static const ldns_rr *find_link(const ldns_rr_list *records, const char *name);
static void read_records(const ldns_rr_list *records, enum record_type type, struct answer *answer);
static void read_mx(const ldns_rr *record, struct answer *answer);
static void read_address(const ldns_rr *record, size_t n_bytes, struct answer *answer);
static void read_tlsa_list(const ldns_rr_list *records, struct answer *answer);
static bool read_tlsa(const ldns_rr *record, bool want_known, struct answer *answer);
static void read_text(const ldns_rr *record, struct answer *answer);
static void read_negative(ldns_pkt *packet, struct answer *answer);
static bool is_record_of(const ldns_rr *record, const char *name, enum record_type type);
static const ldns_rdf *field(const ldns_rr *record, size_t at, size_t n_fields, size_t n_bytes);
static bool name_of(const ldns_rdf *wire, char name[DOMAIN_MAX]);
static bool ends_in_number(const char *name);
static void use_ttl(struct answer *answer, uint32_t ttl_s);

const char *answer_status_name(enum answer_status status)
{
	static const char *const names[] = {
#define X(symbol, word) [symbol] = word,
		ANSWER_STATUSES(X)
#undef X
	};

	assert((size_t)status < sizeof names / sizeof *names);
	return names[status];
}

bool finding_is_failure(const struct finding *finding)
{
	return finding->status == ANSWER_ERROR || finding->status == ANSWER_BOGUS;
}

void answer_read(const void *bytes, size_t n_bytes, const char *name, enum record_type type,
    enum security security, struct answer *answer)
{
	ldns_pkt *packet = NULL;

	*answer = (struct answer){ .finding.security = security, .ttl_s = ANSWER_TTL_MAX };
	text_copy(answer->name, sizeof answer->name, name);
	if (ldns_wire2pkt(&packet, bytes, n_bytes) != LDNS_STATUS_OK) {
		answer_fail(answer, ANSWER_ERROR, "the answer can't be read");
		return;
	}
	read_packet(packet, type, answer);
	ldns_pkt_free(packet);
}

static void read_packet(ldns_pkt *packet, enum record_type type, struct answer *answer)
{
	const ldns_rr_list *records = ldns_pkt_answer(packet);

	if (ldns_pkt_tc(packet)) {
		answer_fail(answer, ANSWER_ERROR, "the answer is cut short");
		return;
	}
	if (ldns_pkt_get_rcode(packet) != LDNS_RCODE_NOERROR &&
	    ldns_pkt_get_rcode(packet) != LDNS_RCODE_NXDOMAIN) {
		answer_fail(answer, ANSWER_ERROR, "the server could not answer");
		return;
	}
	if (type != RECORD_CNAME && !follow_links(records, answer))
		return;
	read_records(records, type, answer);
	if (answer->finding.status == ANSWER_NOT_ASKED)
		read_negative(packet, answer);
}

/* From the name asked for to the end of its CNAME chain. False, and an error, for a bad one. */
static bool follow_links(const ldns_rr_list *records, struct answer *answer)
{
	const ldns_rr *link;

	while ((link = find_link(records, answer->name)) != NULL) {
		const ldns_rdf *target = field(link, 0, 1, 0);

		if (answer->n_links == ANSWER_LINKS_MAX) {
			answer_fail(answer, ANSWER_ERROR, "the CNAME chain is too long, or a loop");
			return false;
		}
		if (target == NULL || !name_of(target, answer->name) || answer->name[0] == '\0') {
			answer_fail(answer, ANSWER_ERROR, "a CNAME leads to what can't be a name");
			return false;
		}
		answer->n_links++;
		use_ttl(answer, ldns_rr_ttl(link));
	}
	return true;
}

static const ldns_rr *find_link(const ldns_rr_list *records, const char *name)
{
	for (size_t i = 0; i < ldns_rr_list_rr_count(records); i++) {
		if (is_record_of(ldns_rr_list_rr(records, i), name, RECORD_CNAME))
			return ldns_rr_list_rr(records, i);
	}
	return NULL;
}

/* Leaves the status at "not asked" if there is no record of the type. */
static void read_records(const ldns_rr_list *records, enum record_type type, struct answer *answer)
{
	bool any = false;

	for (size_t i = 0; i < ldns_rr_list_rr_count(records); i++) {
		const ldns_rr *record = ldns_rr_list_rr(records, i);

		if (!is_record_of(record, answer->name, type))
			continue;
		any = true;
		use_ttl(answer, ldns_rr_ttl(record));
		switch (type) {
		case RECORD_A: read_address(record, 4, answer); break;
		case RECORD_AAAA: read_address(record, 16, answer); break;
		case RECORD_MX: read_mx(record, answer); break;
		case RECORD_CNAME: answer->n_links = 1; break;
		case RECORD_TXT: read_text(record, answer); break;
		case RECORD_TLSA: break;
		}
	}
	if (!any)
		return;
	answer->finding.status = ANSWER_OK;
	if (type == RECORD_TLSA)
		read_tlsa_list(records, answer);
	if (((type == RECORD_A || type == RECORD_AAAA) && answer->n_addresses == 0) ||
	    (type == RECORD_MX && answer->n_mx == 0) ||
	    (type == RECORD_TXT && answer->n_texts == 0))
		answer_fail(answer, ANSWER_ERROR, "the records lack their fields");
}

static void read_mx(const ldns_rr *record, struct answer *answer)
{
	const ldns_rdf *preference = field(record, 0, 2, 2), *host = field(record, 1, 2, 0);
	struct mx_record mx = { 0 };

	if (preference == NULL || host == NULL || answer->n_mx == ANSWER_MX_MAX)
		return;
	mx.preference = ldns_rdf2native_int16(preference);
	if (name_of(host, mx.host)) {
		mx.kind = mx.host[0] == '\0'        ? MX_NULL
			  : ends_in_number(mx.host) ? MX_INVALID
						    : MX_HOST;
		if (mx.kind == MX_NULL)
			text_copy(mx.host, sizeof mx.host, ".");
	} else {
		char *text = ldns_rdf2str(host);

		mx.kind = MX_INVALID;
		log_escape(text != NULL ? text : "?", text != NULL ? strlen(text) : 1, mx.host,
		    sizeof mx.host);
		free(text);
	}
	answer->mx = mem_resize(answer->mx, answer->n_mx + 1, sizeof *answer->mx);
	answer->mx[answer->n_mx++] = mx;
}

static void read_address(const ldns_rr *record, size_t n_bytes, struct answer *answer)
{
	const ldns_rdf *bytes = field(record, 0, 1, n_bytes);
	struct answer_address address = { .family = n_bytes == 4 ? 4 : 6 };

	if (bytes == NULL || answer->n_addresses == ANSWER_ADDRESSES_MAX)
		return;
	memcpy(address.bytes, ldns_rdf_data(bytes), n_bytes);
	answer->addresses =
	    mem_resize(answer->addresses, answer->n_addresses + 1, sizeof *answer->addresses);
	answer->addresses[answer->n_addresses++] = address;
}

/*
 * Those of known numbers first: when a server publishes more than we keep, the records left out must
 * not be the ones that could have matched.
 */
static void read_tlsa_list(const ldns_rr_list *records, struct answer *answer)
{
	for (int unknown = 0; unknown < 2; unknown++) {
		for (size_t i = 0; i < ldns_rr_list_rr_count(records); i++) {
			const ldns_rr *record = ldns_rr_list_rr(records, i);

			if (!is_record_of(record, answer->name, RECORD_TLSA))
				continue;
			if (!read_tlsa(record, unknown == 0, answer)) {
				answer_fail(answer, ANSWER_ERROR, "the TLSA records are too large");
				return;
			}
		}
	}
}

/*
 * False if they outgrow what we take. To leave a large record out instead might leave only unusable
 * ones, and so lower what the server's operator asked for.
 */
static bool read_tlsa(const ldns_rr *record, bool want_known, struct answer *answer)
{
	const ldns_rdf *usage, *selector, *matching, *data = NULL;
	size_t n_fields = ldns_rr_rd_count(record), n_bytes = 0;
	struct tlsa_record tlsa;

	usage = field(record, 0, n_fields, 1);
	selector = field(record, 1, n_fields, 1);
	matching = field(record, 2, n_fields, 1);
	if (usage == NULL || selector == NULL || matching == NULL) {
		answer->n_tlsa_malformed += want_known ? 1 : 0;
		return true;
	}
	if (n_fields > 3)
		data = ldns_rr_rdf(record, 3);
	tlsa = (struct tlsa_record){
		.usage = *ldns_rdf_data(usage),
		.selector = *ldns_rdf_data(selector),
		.matching = *ldns_rdf_data(matching),
		.n_data = data != NULL ? ldns_rdf_size(data) : 0,
	};
	if (want_known != (tlsa.usage <= 3 && tlsa.selector <= 1 && tlsa.matching <= 2))
		return true;
	for (size_t i = 0; i < answer->n_tlsa; i++)
		n_bytes += answer->tlsa[i].n_data;
	if (answer->n_tlsa == ANSWER_TLSA_MAX)
		return true;
	if (n_bytes + tlsa.n_data > ANSWER_TLSA_BYTES_MAX)
		return !want_known;
	tlsa.data = (uint8_t *)mem_copy(
	    data != NULL && tlsa.n_data > 0 ? (const char *)ldns_rdf_data(data) : "", tlsa.n_data);
	answer->tlsa = mem_resize(answer->tlsa, answer->n_tlsa + 1, sizeof *answer->tlsa);
	answer->tlsa[answer->n_tlsa++] = tlsa;
	return true;
}

/* Each field is a string with its length before it, RFC 1035 3.3.14. */
static void read_text(const ldns_rr *record, struct answer *answer)
{
	size_t n_strings = ldns_rr_rd_count(record);
	struct buffer text;

	if (n_strings == 0 || answer->n_texts == ANSWER_TEXTS_MAX)
		return;
	buffer_init(&text, UINT16_MAX);
	for (size_t i = 0; i < n_strings; i++) {
		const ldns_rdf *string = field(record, i, n_strings, 0);
		const char *bytes;
		size_t n = string != NULL ? ldns_rdf_size(string) : 0;

		if (n < 2)
			continue;
		bytes = (const char *)ldns_rdf_data(string) + 1;
		for (size_t at = 0; at + 1 < n; at++)
			buffer_add(&text, bytes[at] != '\0' ? &bytes[at] : "\x7f", 1);
	}
	answer->texts = mem_resize(answer->texts, answer->n_texts + 1, sizeof *answer->texts);
	answer->texts[answer->n_texts++] = buffer_take(&text);
}

static void read_negative(ldns_pkt *packet, struct answer *answer)
{
	const ldns_rr_list *authority = ldns_pkt_authority(packet);
	bool has_ttl = false;

	answer->finding.status =
	    ldns_pkt_get_rcode(packet) == LDNS_RCODE_NXDOMAIN ? ANSWER_NXDOMAIN : ANSWER_NODATA;
	for (size_t i = 0; i < ldns_rr_list_rr_count(authority); i++) {
		const ldns_rr *record = ldns_rr_list_rr(authority, i);
		const ldns_rdf *minimum;

		if (ldns_rr_get_type(record) != LDNS_RR_TYPE_SOA)
			continue;
		minimum = field(record, 6, 7, 4);
		if (minimum == NULL)
			continue;
		use_ttl(answer, ldns_rr_ttl(record));
		use_ttl(answer, ldns_rdf2native_int32(minimum));
		has_ttl = true;
	}
	/* RFC 2308 5: without a SOA nothing says for how long there is none. */
	if (!has_ttl)
		answer->ttl_s = 0;
}

static bool is_record_of(const ldns_rr *record, const char *name, enum record_type type)
{
	char owner[DOMAIN_MAX];

	return (int)ldns_rr_get_type(record) == (int)type &&
	       ldns_rr_get_class(record) == LDNS_RR_CLASS_IN &&
	       name_of(ldns_rr_owner(record), owner) && strcmp(owner, name) == 0;
}

/* NULL unless the record has so many fields, and this one so many bytes (0: any). */
static const ldns_rdf *field(const ldns_rr *record, size_t at, size_t n_fields, size_t n_bytes)
{
	const ldns_rdf *rdf;

	if (ldns_rr_rd_count(record) != n_fields || at >= n_fields)
		return NULL;
	rdf = ldns_rr_rdf(record, at);
	if (rdf == NULL || ldns_rdf_data(rdf) == NULL ||
	    (n_bytes > 0 && ldns_rdf_size(rdf) != n_bytes))
		return NULL;
	return rdf;
}

/*
 * A wire name (RFC 1035 3.1) as lower-case text without the last dot; "" is the root. False for
 * labels that no host name has: with a dot, a NUL, a backslash or anything but letters, digits,
 * hyphens and underscores.
 */
static bool name_of(const ldns_rdf *wire, char name[DOMAIN_MAX])
{
	const uint8_t *bytes;
	size_t n, at = 0, n_name = 0;

	name[0] = '\0';
	if (wire == NULL || ldns_rdf_get_type(wire) != LDNS_RDF_TYPE_DNAME)
		return false;
	bytes = ldns_rdf_data(wire);
	n = ldns_rdf_size(wire);
	while (at < n && bytes[at] != 0) {
		size_t n_label = bytes[at++];

		if (n_label > 63 || n_label > n - at || n_name + n_label + 1 >= DOMAIN_MAX)
			return false;
		if (n_name > 0)
			name[n_name++] = '.';
		for (size_t i = 0; i < n_label; i++) {
			char c = (char)bytes[at++];

			if (c >= 'A' && c <= 'Z')
				c = (char)(c - 'A' + 'a');
			if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' &&
			    c != '_')
				return false;
			name[n_name++] = c;
		}
		name[n_name] = '\0';
	}
	return at < n;
}

/* No top-level domain is all digits (RFC 3696 2): somebody wrote an IPv4 address for a host. */
static bool ends_in_number(const char *name)
{
	const char *dot = strrchr(name, '.');
	const char *last = dot != NULL ? dot + 1 : name;

	return last[strspn(last, "0123456789")] == '\0';
}

/* RFC 2181 8: a TTL with its first bit set is none. */
static void use_ttl(struct answer *answer, uint32_t ttl_s)
{
	if (ttl_s > INT32_MAX)
		ttl_s = 0;
	if (ttl_s < answer->ttl_s)
		answer->ttl_s = ttl_s;
}

void answer_fail(struct answer *answer, enum answer_status status, const char *why)
{
	enum security security = answer->finding.security;

	answer_finish(answer);
	answer->finding = (struct finding){
		.status = status,
		.security = status == ANSWER_BOGUS ? SECURITY_BOGUS : security,
	};
	log_escape(why, strlen(why), answer->finding.why, sizeof answer->finding.why);
}

void answer_finish(struct answer *answer)
{
	for (size_t i = 0; i < answer->n_tlsa; i++)
		free(answer->tlsa[i].data);
	free(answer->tlsa);
	text_free_list(answer->texts, answer->n_texts);
	free(answer->addresses);
	free(answer->mx);
	*answer = (struct answer){ 0 };
}
