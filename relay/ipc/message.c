/*
 * The encoders and decoders that the table in message.h asks for. Nothing is written out twice:
 * a new message is a line in IPC_MESSAGES and its fields.
 */
#include "relay/ipc/message.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"
#include "relay/base/wire.h"

static void put_u8(struct buffer *b, const uint8_t *value)
{
	wire_put_u8(b, *value);
}

static void get_u8(struct wire_reader *r, uint8_t *value)
{
	*value = wire_get_u8(r);
}

static void put_u32(struct buffer *b, const uint32_t *value)
{
	wire_put_u32(b, *value);
}

static void get_u32(struct wire_reader *r, uint32_t *value)
{
	*value = wire_get_u32(r);
}

static void put_u64(struct buffer *b, const uint64_t *value)
{
	wire_put_u64(b, *value);
}

static void get_u64(struct wire_reader *r, uint64_t *value)
{
	*value = wire_get_u64(r);
}

static void put_i64(struct buffer *b, const int64_t *value)
{
	wire_put_i64(b, *value);
}

static void get_i64(struct wire_reader *r, int64_t *value)
{
	*value = wire_get_i64(r);
}

static void put_text(struct buffer *b, const char *const *value)
{
	wire_put_text(b, *value);
}

static void get_text(struct wire_reader *r, const char **value)
{
	*value = wire_get_text(r);
}

static void put_bytes(struct buffer *b, const struct slice *value)
{
	wire_put_bytes(b, value->bytes, value->n);
}

static void get_bytes(struct wire_reader *r, struct slice *value)
{
	*value = wire_get_bytes(r);
}

static void put_outcome(struct buffer *b, const struct outcome *value)
{
	wire_put_u32(b, (uint32_t)value->code);
	wire_put_u8(b, (uint8_t)value->class);
	wire_put_text(b, value->enhanced);
	wire_put_text(b, value->text);
	wire_put_text(b, value->who);
	wire_put_text(b, value->name);
}

static void get_word(struct wire_reader *r, char *word, size_t room)
{
	const char *text = wire_get_text(r);

	if (strlen(text) >= room)
		r->failed = true;
	else
		memcpy(word, text, strlen(text) + 1);
}

static void get_outcome(struct wire_reader *r, struct outcome *value)
{
	memset(value, 0, sizeof *value);
	value->code = (int)(wire_get_u32(r) % 1000);
	value->class = (enum outcome_class)wire_get_u8(r);
	if (value->class > OUTCOME_FAIL)
		r->failed = true;
	get_word(r, value->enhanced, sizeof value->enhanced);
	get_word(r, value->text, sizeof value->text);
	get_word(r, value->who, sizeof value->who);
	get_word(r, value->name, sizeof value->name);
}

#define PUT(type, name) put_##type(b, &s->name);
#define GET(type, name) get_##type(r, &s->name);

/* What a field takes at least; so that a count promises no more items than can follow it. */
enum {
	LEAST_u8 = 1,
	LEAST_u32 = 4,
	LEAST_u64 = 8,
	LEAST_i64 = 8,
	LEAST_bytes = 4,
	LEAST_text = LEAST_bytes + 1, /* its NUL */
	LEAST_outcome = LEAST_u32 + LEAST_u8 + 4 * LEAST_text,
};

#define LEAST(type, name) +LEAST_##type

#define S(kind)                                                                                    \
	static void put_##kind(struct buffer *b, const ipc_##kind *s)                              \
	{                                                                                          \
		IPC_FIELDS_##kind(PUT)                                                             \
	}                                                                                          \
	static void get_##kind(struct wire_reader *r, ipc_##kind *s)                               \
	{                                                                                          \
		IPC_FIELDS_##kind(GET)                                                             \
	}                                                                                          \
	static void put_##kind##_list(struct buffer *b, const ipc_##kind##_list *list)             \
	{                                                                                          \
		wire_put_u32(b, (uint32_t)list->n);                                                \
		for (size_t i = 0; i < list->n; i++)                                               \
			put_##kind(b, &list->items[i]);                                            \
	}                                                                                          \
	static void get_##kind##_list(struct wire_reader *r, ipc_##kind##_list *list)              \
	{                                                                                          \
		list->n = wire_get_count(r, 0 IPC_FIELDS_##kind(LEAST));                           \
		list->items = mem_create(list->n * sizeof *list->items);                           \
		for (size_t i = 0; i < list->n && !r->failed; i++)                                 \
			get_##kind(r, &list->items[i]);                                            \
	}
IPC_STRUCTS(S)
#undef S

/* Only lists own memory. */
#define FREE_u8(s, name)
#define FREE_u32(s, name)
#define FREE_u64(s, name)
#define FREE_i64(s, name)
#define FREE_text(s, name)
#define FREE_bytes(s, name)
#define FREE_outcome(s, name)
#define FREE_key_list(s, name)     free((s)->name.items);
#define FREE_signing_list(s, name) free((s)->name.items);
#define FREE_result_list(s, name)  free((s)->name.items);
#define FREE_held_list(s, name)    free((s)->name.items);
#define FREE_count_list(s, name)   free((s)->name.items);
#define FREE_policy_list(s, name)  free((s)->name.items);
#define FREE_string_list(s, name)  free((s)->name.items);
#define FREE(type, name)           FREE_##type(s, name)

#define M(SYMBOL, kind, most, has_fd)                                                              \
	static void encode_##kind(struct buffer *b, const struct ipc_##kind *s)                    \
	{                                                                                          \
		IPC_FIELDS_##kind(PUT)                                                             \
	}                                                                                          \
	static void decode_##kind(struct wire_reader *r, struct ipc_##kind *s)                     \
	{                                                                                          \
		IPC_FIELDS_##kind(GET)                                                             \
	}                                                                                          \
	static void finish_##kind(struct ipc_##kind *s)                                            \
	{                                                                                          \
		(void)s;                                                                           \
		IPC_FIELDS_##kind(FREE)                                                            \
	}
IPC_MESSAGES(M)
#undef M

static const struct {
	const char *name;
	size_t most_bytes;
	bool has_fd;
} types[] = {
#define M(SYMBOL, kind, most, fd) [IPC_##SYMBOL] = { #SYMBOL, most, fd },
	IPC_MESSAGES(M)
#undef M
};

const char *ipc_type_name(enum ipc_type type)
{
	assert(type < IPC_N_TYPES);
	return types[type].name;
}

size_t ipc_type_most_bytes(enum ipc_type type)
{
	assert(type < IPC_N_TYPES);
	return types[type].most_bytes;
}

bool ipc_type_has_fd(enum ipc_type type)
{
	assert(type < IPC_N_TYPES);
	return types[type].has_fd;
}

bool ipc_message_encode(const struct ipc_message *m, struct buffer *b)
{
	size_t start = b->n;

	switch (m->type) {
#define M(SYMBOL, kind, most, fd)                                                                  \
	case IPC_##SYMBOL: encode_##kind(b, &m->kind); break;
		IPC_MESSAGES(M)
#undef M
	case IPC_N_TYPES: return false;
	}
	return !b->overflowed && b->n - start <= types[m->type].most_bytes;
}

bool ipc_message_decode(struct ipc_message *m, const void *bytes, size_t n)
{
	struct wire_reader r;

	if (m->type >= IPC_N_TYPES || n > types[m->type].most_bytes)
		return false;
	wire_reader_init(&r, bytes, n);
	switch (m->type) {
#define M(SYMBOL, kind, most, fd)                                                                  \
	case IPC_##SYMBOL: decode_##kind(&r, &m->kind); break;
		IPC_MESSAGES(M)
#undef M
	case IPC_N_TYPES: return false;
	}
	if (wire_is_whole(&r))
		return true;
	ipc_message_finish(m);
	return false;
}

void ipc_message_finish(struct ipc_message *m)
{
	switch (m->type) {
#define M(SYMBOL, kind, most, fd)                                                                  \
	case IPC_##SYMBOL: finish_##kind(&m->kind); break;
		IPC_MESSAGES(M)
#undef M
	case IPC_N_TYPES: break;
	}
}
