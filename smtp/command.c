/*
 * One function a command; the last line of defence against a line break inside one.
 */
#include "smtp/command.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include <event2/buffer.h>

#include "relay/base/encode.h"
#include "relay/base/mem.h"
#include "smtp/path.h"

/* Nothing in text may end the line, or the path it stands in. */
static void add_safe(struct evbuffer *out, const char *text)
{
	assert(smtp_path_can_hold(text));
	evbuffer_add(out, text, strlen(text));
}

static void add_text(struct evbuffer *out, const char *text)
{
	evbuffer_add(out, text, strlen(text));
}

void smtp_command_ehlo(struct evbuffer *out, const char *hostname)
{
	add_text(out, "EHLO ");
	add_safe(out, hostname);
	add_text(out, "\r\n");
}

void smtp_command_helo(struct evbuffer *out, const char *hostname)
{
	add_text(out, "HELO ");
	add_safe(out, hostname);
	add_text(out, "\r\n");
}

void smtp_command_starttls(struct evbuffer *out)
{
	add_text(out, "STARTTLS\r\n");
}

/* A response without bytes is "=" behind AUTH, where it could be overlooked, and an empty line alone. */
void smtp_command_auth(struct evbuffer *out, const char *mechanism, const struct slice *response)
{
	add_text(out, "AUTH ");
	add_safe(out, mechanism);
	if (response != NULL)
		add_text(out, response->n > 0 ? " " : " =");
	smtp_command_auth_response(out, response);
}

void smtp_command_auth_response(struct evbuffer *out, const struct slice *response)
{
	size_t room = response != NULL ? BASE64_ROOM(response->n) : 0;
	char *text = mem_create(room);

	if (response != NULL)
		evbuffer_add(out, text, base64_encode(response->bytes, response->n, text));
	mem_free_secret(text, room);
	add_text(out, "\r\n");
}

void smtp_command_auth_cancel(struct evbuffer *out)
{
	add_text(out, "*\r\n");
}

void smtp_command_mail(
    struct evbuffer *out, const struct smtp_command_mail *mail, const struct smtp_capability *can)
{
	add_text(out, "MAIL FROM:<");
	add_safe(out, mail->sender);
	add_text(out, ">");
	if (can->size && mail->size_bytes > 0)
		evbuffer_add_printf(out, " SIZE=%" PRIu64, mail->size_bytes);
	if (can->eight_bit_mime && mail->body_8bit)
		add_text(out, " BODY=8BITMIME");
	assert(can->requiretls || !mail->requires_tls);
	if (mail->requires_tls)
		add_text(out, " REQUIRETLS");
	add_text(out, "\r\n");
}

void smtp_command_rcpt(struct evbuffer *out, const char *recipient)
{
	add_text(out, "RCPT TO:<");
	add_safe(out, recipient);
	add_text(out, ">\r\n");
}

void smtp_command_data(struct evbuffer *out)
{
	add_text(out, "DATA\r\n");
}

void smtp_command_rset(struct evbuffer *out)
{
	add_text(out, "RSET\r\n");
}

void smtp_command_quit(struct evbuffer *out)
{
	add_text(out, "QUIT\r\n");
}
