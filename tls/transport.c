/*
 * The socket under OpenSSL. Its own BIO writes with write(2), which raises SIGPIPE when the peer has
 * gone; a library must not rely on how a process has set its signals.
 */
#include "tls/openssl.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

/*
 * In the form that tells a failure by -1. The other form, of BIO_meth_set_write_ex(), knows only 0 for
 * it, which OpenSSL 3.2 and later take for a write of nothing that succeeded: the bytes would be lost
 * without a word.
 */
static int transport_write(BIO *bio, const char *bytes, int size)
{
	struct transport *t = BIO_get_data(bio);
	ssize_t sent = send(t->fd, bytes, (size_t)size, MSG_NOSIGNAL);

	BIO_clear_retry_flags(bio);
	if (sent >= 0)
		return (int)sent;
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
		BIO_set_retry_write(bio);
	else
		t->error = errno;
	return -1;
}

static int transport_read(BIO *bio, char *bytes, int room)
{
	struct transport *t = BIO_get_data(bio);
	ssize_t got = recv(t->fd, bytes, (size_t)room, 0);

	BIO_clear_retry_flags(bio);
	if (got > 0)
		return (int)got;
	if (got == 0) {
		t->at_end = true;
		return 0;
	}
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
		BIO_set_retry_read(bio);
	else
		t->error = errno;
	return -1;
}

/* BIO_CTRL_EOF is how OpenSSL 3 knows a truncation from a broken socket. */
static long transport_ctrl(BIO *bio, int command, long number, void *pointer)
{
	struct transport *t = BIO_get_data(bio);

	(void)number, (void)pointer;
	if (command == BIO_CTRL_EOF)
		return t->at_end;
	return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *transport_method(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_TYPE_DESCRIPTOR | BIO_TYPE_SOURCE_SINK, "socket");

	if (method == NULL || !BIO_meth_set_write(method, transport_write) ||
	    !BIO_meth_set_read(method, transport_read) ||
	    !BIO_meth_set_ctrl(method, transport_ctrl))
		abort();
	return method;
}
