#include "sample_message.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "relay/base/mem.h"
#include "relay/spool.h"

static const char before[] = "bytes of somebody else's message";

static void put(int fd, struct extent *extent, uint64_t offset, const char *text)
{
	size_t n = strlen(text);

	*extent = (struct extent){ offset, n, spool_checksum(0, text, n) };
	if (pwrite(fd, text, n, (off_t)offset) != (ssize_t)n)
		abort();
}

int sample_message_make(
    struct message *m, const char *header, const char *body, size_t n_recipients)
{
	int fd = memfd_create("segment", MFD_CLOEXEC);

	*m = (struct message){ .id = "0ABCDEFGH1JKMNP", .segment = 1 };
	if (fd < 0 || pwrite(fd, before, sizeof before, 0) != (ssize_t)sizeof before)
		abort();
	put(fd, &m->body, sizeof before, body);
	put(fd, &m->header, sizeof before + strlen(body), header);
	m->sender = mem_copy_text("me@example.org");
	m->account = mem_copy_text("me@example.org");
	m->from_domain = mem_copy_text("example.org");
	m->message_id = mem_copy_text("<1@example.org>");
	m->recipients = mem_create(n_recipients * sizeof *m->recipients);
	m->n_recipients = n_recipients;
	for (size_t i = 0; i < n_recipients; i++)
		m->recipients[i] = mem_print("r%zu@example.net", i + 1);
	return fd;
}

void sample_message_spoil(int fd, const struct message *m)
{
	if (pwrite(fd, "?", 1, (off_t)m->body.offset) != 1)
		abort();
}
