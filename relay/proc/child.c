#include "relay/proc/child.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <unistd.h>

#include "relay/base/log.h"
#include "relay/proc/privilege.h"

enum { KEPT_MAX = 128 };

struct child {
	const struct role_calls *calls;
	void *self;
	struct house house;
};

static void forget_parent(const struct child_start *start);
static void on_message(void *arg, struct channel *channel, struct ipc_message *m);
static void on_orphaned(void *arg, struct channel *channel);
static void on_leave(void *arg);

static void say_ready(struct child *child)
{
	struct ipc_message m = { .type = IPC_READY, .fd = -1, .ready.pid = (uint32_t)getpid() };

	channel_send(child->house.parent, &m);
}

int child_run(const struct child_start *start)
{
	struct child child = { .calls = role_calls_of(start->role) };
	char error[256];
	int status = EX_OK;

	forget_parent(start);
	child.house = (struct house){ .config = start->config,
		.loop = loop_create(),
		.listens = start->listens,
		.n_listens = start->n_listens,
		.control_fd = start->control_fd,
		.leave = on_leave,
		.leave_arg = &child };
	child.house.parent =
	    channel_create(child.house.loop, start->parent_fd, on_message, on_orphaned, &child);
	child.self = child.calls->create(&child.house);
	if (child.self == NULL) {
		status = EX_UNAVAILABLE;
	} else if (privilege_drop(start->config->user, error, sizeof error) != 0) {
		log_error("%s", error);
		status = EX_NOPERM;
	} else if (child.calls->begin != NULL && !child.calls->begin(child.self)) {
		status = EX_UNAVAILABLE;
	} else {
		say_ready(&child);
		loop_run(child.house.loop);
	}
	if (child.self != NULL)
		child.calls->destroy(child.self);
	channel_destroy(&child.house.parent);
	loop_destroy(&child.house.loop);
	return status;
}

static void forget_parent(const struct child_start *start)
{
	static const int defaults[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD };
	int keep[KEPT_MAX] = { start->parent_fd, start->control_fd, start->keep_fd, log_fd() };
	size_t n_keep = 4;
	sigset_t none;
	char name[16];

	for (size_t i = 0; i < start->n_listens && n_keep < KEPT_MAX; i++)
		keep[n_keep++] = start->listens[i].fd;
	privilege_close_all_but(keep, n_keep);
	for (size_t i = 0; i < sizeof defaults / sizeof defaults[0]; i++)
		signal(defaults[i], SIG_DFL);
	/* A terminal's ^C and a service manager's stop are the parent's to handle, in order. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file too large is an error of write() like others */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	snprintf(name, sizeof name, "zegel: %s", role_name(start->role));
	prctl(PR_SET_NAME, name, 0, 0, 0);
	log_set_tag(role_tag(start->role));
}

static void on_message(void *arg, struct channel *channel, struct ipc_message *m)
{
	struct child *child = arg;

	(void)channel;
	if (m->type == IPC_PEER && m->fd < 0) {
		/* It would be missing for ever: who is started again is introduced again. */
		log_error("a channel to another role could not be received: too many open files");
		on_leave(child);
	} else if (m->type == IPC_PEER && m->peer.role < N_ROLES) {
		struct channel *peer = channel_create(child->house.loop, m->fd, NULL, NULL, NULL);

		m->fd = -1;
		child->calls->meet(child->self, (enum role)m->peer.role, peer);
	} else if (m->type == IPC_DRAIN) {
		child->calls->drain(child->self, (enum drain_how)m->drain.how);
	} else if (child->calls->told != NULL) {
		child->calls->told(child->self, m);
	}
}

/*
 * Without a parent there is nobody to replace who dies: all end, and start together again. At once,
 * as in a power cut: what must last is on disk.
 */
static void on_orphaned(void *arg, struct channel *channel)
{
	(void)arg, (void)channel;
	log_warning("the parent process is gone: this one ends");
	_exit(EX_UNAVAILABLE);
}

static void on_leave(void *arg)
{
	struct child *child = arg;

	loop_stop(child->house.loop);
}
