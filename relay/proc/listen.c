#include "relay/proc/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "relay/base/mem.h"
#include "relay/base/text.h"

union address {
	struct sockaddr any;
	struct sockaddr_in ipv4;
	struct sockaddr_in6 ipv6;
};

static socklen_t make_address(const struct config_listen *listen, union address *a)
{
	memset(a, 0, sizeof *a);
	if (inet_pton(AF_INET6, listen->address, &a->ipv6.sin6_addr) == 1) {
		a->ipv6.sin6_family = AF_INET6;
		a->ipv6.sin6_port = htons(listen->port);
		return sizeof a->ipv6;
	}
	if (inet_pton(AF_INET, listen->address, &a->ipv4.sin_addr) == 1) {
		a->ipv4.sin_family = AF_INET;
		a->ipv4.sin_port = htons(listen->port);
		return sizeof a->ipv4;
	}
	return 0;
}

static void explain(const struct config_listen *where, int problem, char *error, size_t room)
{
	const char *advice = problem == EADDRINUSE
				 ? "; another server holds it: stop that, or change \"listen\""
			     : problem == EACCES ? "; ports below 1024 need root"
						 : "";

	snprintf(error, room, "cannot listen on %s port %u: %s%s", where->address, where->port,
	    strerror(problem), advice);
}

static int open_one(const struct config_listen *where, char *error, size_t room)
{
	union address a;
	socklen_t n = make_address(where, &a);
	const int on = 1;
	int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && a.any.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
	if (fd >= 0 && n > 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0 &&
	    bind(fd, &a.any, n) == 0 && listen(fd, LISTEN_BACKLOG) == 0)
		return fd;
	explain(where, errno, error, room);
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Another relay already there must be told, and not shared with: SO_REUSEPORT alone would share. */
static bool is_taken(const struct config_listen *where, char *error, size_t room)
{
	union address a;
	socklen_t n = make_address(where, &a);
	const int on = 1;
	int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool taken;

	if (fd < 0)
		return false;
	if (a.any.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	taken = bind(fd, &a.any, n) != 0 && errno == EADDRINUSE;
	close(fd);
	if (taken)
		explain(where, EADDRINUSE, error, room);
	return taken;
}

static bool is_same(const struct listen_socket *s, const struct config_listen *where)
{
	return s->port == where->port && s->implicit_tls == where->implicit_tls &&
	       strcmp(s->address, where->address) == 0;
}

/* The first of before for this address that is not used yet, duplicated; -1 if there is none. */
static int share_before(const struct listen_socket *before, size_t n_before, bool *is_used,
    const struct config_listen *where)
{
	for (size_t i = 0; i < n_before; i++) {
		if (!is_used[i] && before[i].fd >= 0 && is_same(&before[i], where)) {
			is_used[i] = true;
			return fcntl(before[i].fd, F_DUPFD_CLOEXEC, 0);
		}
	}
	return -1;
}

/* "::" stands for whatever IPv6 there is: on a machine without any it asks for nothing. */
static bool is_of_no_use(const struct config_listen *where)
{
	int fd;

	if (strcmp(where->address, "::") != 0)
		return false;
	fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno == EAFNOSUPPORT;
	close(fd);
	return false;
}

int listen_open_all(const struct config *config, size_t n_shares,
    const struct listen_socket *before, size_t n_before, struct listen_socket **sockets,
    char *error, size_t room)
{
	size_t n = n_shares * config->n_listens;
	struct listen_socket *all = mem_create(n * sizeof *all);
	bool *is_used = mem_create(n_before * sizeof *is_used);
	bool failed = false;

	for (size_t i = 0; i < n; i++) {
		const struct config_listen *where = &config->listens[i % config->n_listens];

		all[i] = (struct listen_socket){ .fd = -1,
			.address = mem_copy_text(where->address),
			.port = where->port,
			.implicit_tls = where->implicit_tls };
		if (failed)
			continue;
		all[i].fd = share_before(before, n_before, is_used, where);
		if (all[i].fd >= 0)
			continue;
		if (is_of_no_use(where))
			continue;
		failed = i < config->n_listens && is_taken(where, error, room);
		if (!failed)
			all[i].fd = open_one(where, error, room);
		failed = all[i].fd < 0;
	}
	free(is_used);
	if (failed)
		listen_close_all(&all, n);
	*sockets = all;
	return failed ? -1 : 0;
}

void listen_close_all(struct listen_socket **sockets, size_t n)
{
	for (size_t i = 0; *sockets != NULL && i < n; i++) {
		if ((*sockets)[i].fd >= 0)
			close((*sockets)[i].fd);
		free((*sockets)[i].address);
	}
	free(*sockets);
	*sockets = NULL;
}

static bool is_alive(const struct sockaddr_un *a)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* EAGAIN: so many clients wait there that there is no place for us. */
	bool alive =
	    fd >= 0 && (connect(fd, (const struct sockaddr *)a, sizeof *a) == 0 || errno == EAGAIN);

	if (fd >= 0)
		close(fd);
	return alive;
}

int listen_open_control(const char *path, const char *user, char *error, size_t room)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const struct passwd *owner = geteuid() == 0 ? getpwnam(user) : NULL;
	struct stat there;
	mode_t mask;
	int fd, bound;

	if (strlen(path) >= sizeof a.sun_path) {
		snprintf(error, room, "the path of the control socket is too long: %s", path);
		return -1;
	}
	text_copy(a.sun_path, sizeof a.sun_path, path);
	if (is_alive(&a)) {
		snprintf(
		    error, room, "another zegel already runs: its control socket %s answers", path);
		return -1;
	}
	if (lstat(path, &there) == 0 && !S_ISSOCK(there.st_mode)) {
		snprintf(error, room,
		    "cannot open the control socket %s: something else has that name", path);
		return -1;
	}
	unlink(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mask = umask(0177);
	bound = fd >= 0 ? bind(fd, (struct sockaddr *)&a, sizeof a) : -1;
	umask(mask);
	/* Not chown(): the directory may be the user's, who could put a link to another file there. */
	if (bound == 0 && listen(fd, 64) == 0 &&
	    (owner == NULL || lchown(path, owner->pw_uid, owner->pw_gid) == 0))
		return fd;
	snprintf(error, room, "cannot open the control socket %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}
