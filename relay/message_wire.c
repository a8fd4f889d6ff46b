#include "relay/message_wire.h"

#include <stdlib.h>
#include <string.h>

#include "relay/base/domain.h"
#include "relay/base/mem.h"
#include "relay/base/wire.h"
#include "smtp/address.h"
#include "smtp/path.h"

static void put_extent(struct buffer *out, const struct extent *e)
{
	wire_put_u64(out, e->offset);
	wire_put_u64(out, e->length);
	wire_put_u32(out, e->checksum);
}

void message_encode(const struct message *m, struct buffer *out)
{
	message_encode_job(m, NULL, out);
}

void message_encode_job(const struct message *m, const uint32_t *places, struct buffer *out)
{
	wire_put_text(out, m->id);
	wire_put_u64(out, m->segment);
	put_extent(out, &m->header);
	put_extent(out, &m->body);
	wire_put_text(out, m->sender);
	wire_put_text(out, m->account);
	wire_put_text(out, m->from_domain);
	wire_put_text(out, m->message_id);
	wire_put_i64(out, m->arrived_s);
	wire_put_i64(out, m->expires_s);
	wire_put_u8(out, m->is_8bit);
	wire_put_u8(out, m->is_bulk);
	wire_put_u8(out, m->requires_tls);
	wire_put_u8(out, m->tls_optional);
	wire_put_u8(out, m->is_report);
	wire_put_u8(out, (uint8_t)m->tls_floor);
	wire_put_u32(out, (uint32_t)m->n_recipients);
	for (size_t i = 0; i < m->n_recipients; i++) {
		wire_put_u32(out, places != NULL ? places[i] : (uint32_t)i);
		wire_put_text(out, m->recipients[i]);
	}
}

static void get_extent(struct wire_reader *r, struct extent *e)
{
	e->offset = wire_get_u64(r);
	e->length = wire_get_u64(r);
	e->checksum = wire_get_u32(r);
	if (e->offset > INT64_MAX / 2 || e->length > INT64_MAX / 2)
		r->failed = true;
}

static void get_floor(struct wire_reader *r, enum tls_level *floor)
{
	uint8_t number = wire_get_u8(r);

	*floor = (enum tls_level)number;
	if (number > TLS_DANE_ONLY)
		r->failed = true;
}

/* From an intake, which reads what strangers send, to a command at a receiver, where it is asserted. */
static char *get_address(struct wire_reader *r)
{
	const char *text = wire_get_text(r);

	if (strlen(text) >= SMTP_ADDRESS_MAX || !smtp_path_can_hold(text))
		r->failed = true;
	return mem_copy_text(text);
}

/* It stands in the header of notifications. */
static char *get_domain(struct wire_reader *r)
{
	const char *text = wire_get_text(r);

	if (strlen(text) >= DOMAIN_MAX || !smtp_path_can_hold(text))
		r->failed = true;
	return mem_copy_text(text);
}

bool message_decode(struct slice bytes, struct message *m)
{
	uint32_t *places;

	if (!message_decode_job(bytes, m, &places))
		return false;
	free(places);
	return true;
}

bool message_decode_job(struct slice bytes, struct message *m, uint32_t **places)
{
	struct wire_reader r;
	const char *id;

	wire_reader_init(&r, bytes.bytes, bytes.n);
	*m = (struct message){ 0 };
	id = wire_get_text(&r);
	if (!queue_id_is_valid(id, strlen(id)))
		return false;
	memcpy(m->id, id, sizeof m->id);
	m->segment = wire_get_u64(&r);
	get_extent(&r, &m->header);
	get_extent(&r, &m->body);
	m->sender = get_address(&r);
	m->account = mem_copy_text(wire_get_text(&r));
	m->from_domain = get_domain(&r);
	m->message_id = mem_copy_text(wire_get_text(&r));
	m->arrived_s = wire_get_i64(&r);
	m->expires_s = wire_get_i64(&r);
	m->is_8bit = wire_get_u8(&r) != 0;
	m->is_bulk = wire_get_u8(&r) != 0;
	m->requires_tls = wire_get_u8(&r) != 0;
	m->tls_optional = wire_get_u8(&r) != 0;
	m->is_report = wire_get_u8(&r) != 0;
	get_floor(&r, &m->tls_floor);
	m->n_recipients = wire_get_count(&r, 9);
	if (m->n_recipients > MESSAGE_RECIPIENTS_MAX) {
		m->n_recipients = 0;
		r.failed = true;
	}
	m->recipients = mem_create(m->n_recipients * sizeof *m->recipients);
	*places = mem_create(m->n_recipients * sizeof **places);
	for (size_t i = 0; i < m->n_recipients; i++) {
		(*places)[i] = wire_get_u32(&r);
		m->recipients[i] = get_address(&r);
	}
	if (wire_is_whole(&r) && m->n_recipients > 0)
		return true;
	message_finish(m);
	free(*places);
	*places = NULL;
	return false;
}
