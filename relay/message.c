/*
 * Owning and copying messages; all the deciding about them happens elsewhere.
 */
#include "relay/message.h"

#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"

static char *copy_text(const char *text);

void message_copy(struct message *to, const struct message *from)
{
	*to = *from;
	to->sender = copy_text(from->sender);
	to->account = copy_text(from->account);
	to->from_domain = copy_text(from->from_domain);
	to->message_id = copy_text(from->message_id);
	to->recipients = NULL;
	if (from->n_recipients > 0)
		to->recipients = mem_create(from->n_recipients * sizeof *to->recipients);
	for (size_t i = 0; i < from->n_recipients; i++)
		to->recipients[i] = copy_text(from->recipients[i]);
}

void message_finish(struct message *m)
{
	free(m->sender);
	free(m->account);
	free(m->from_domain);
	free(m->message_id);
	for (size_t i = 0; i < m->n_recipients; i++)
		free(m->recipients[i]);
	free(m->recipients);
	m->sender = m->account = m->from_domain = m->message_id = NULL;
	m->recipients = NULL;
	m->n_recipients = 0;
}

static char *copy_text(const char *text)
{
	return mem_copy_text(text != NULL ? text : "");
}
