#include "relay/proc/parent.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/proc/child.h"
#include "relay/proc/listen.h"
#include "relay/proc/notify.h"
#include "relay/proc/privilege.h"

enum {
	N_AUTHS = 2,
	PROCESSES_MAX = 64,
	RESTART_FIRST_MS = 100, /* doubles while a role keeps dying young */
	RESTART_LONGEST_MS = 10000,
	YOUNG_MS = 5000,
	STOP_POLITE_MS = 7000, /* then sessions and deliveries are cut */
	STOP_HARD_MS = 9000,   /* then everything */
};

/* All roles but the queue are made anew for each configuration that was loaded. */
struct generation {
	TAILQ_ENTRY(generation) link;
	struct config *config;
	struct listen_socket *listens;
	size_t n_listens, n_intakes;
	bool is_draining;
	uint32_t number;
};

struct process {
	TAILQ_ENTRY(process) link;
	struct parent *parent;
	struct generation *generation;
	enum role role;
	size_t index; /* among its role's: which share of the listening sockets */
	pid_t pid;    /* 0: died, and waits to be started again */
	bool is_ready;
	bool is_told; /* to drain: its end is no accident */
	struct channel *channel;
	struct timer *restart;
	int64_t started_ms, started_s;
	uint32_t n_restarts, n_young_deaths;
};

struct parent {
	struct loop *loop;
	const char *config_path;
	TAILQ_HEAD(generation_list, generation) generations; /* the newest last */
	TAILQ_HEAD(, process) processes;
	struct generation *coming; /* being started by a reload; NULL otherwise */
	int control_fd;
	uint32_t last_generation;
	bool is_stopping, was_ready;
	struct timer *stop;
	int64_t stopping_ms;
	int status;
};

static int open_house(struct parent *p);
static void start_generation(struct parent *p, struct generation *g);
static void start_process(struct process *process);
static void on_ready(struct process *process);
static void on_died(struct process *process, int status);
static void on_message(void *arg, struct channel *channel, struct ipc_message *m);
static void on_closed(void *arg, struct channel *channel);
static void on_child(void *arg);
static void on_hangup(void *arg);
static void on_terminate(void *arg);
static void on_stop_timer(void *arg);
static void close_house(struct parent *p);

/* ---- the configuration ---- */

static struct config *load(const char *path)
{
	struct config_remarks remarks = { 0 };
	struct config *config = config_load(path, &remarks);

	for (size_t i = 0; i < remarks.n; i++)
		log_warning("%s", remarks.texts[i]);
	config_remarks_finish(&remarks);
	return config;
}

static size_t n_cores(const struct config *config)
{
	long n = config->processes > 0 ? (long)config->processes : sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > 16 ? 16 : (size_t)n;
}

static struct generation *make_generation(
    struct parent *p, struct config *config, struct generation *before, char *error, size_t room)
{
	struct generation *g = mem_create(sizeof *g);

	g->n_intakes = n_cores(config);
	if (listen_open_all(config, g->n_intakes, before != NULL ? before->listens : NULL,
		before != NULL ? before->n_listens : 0, &g->listens, error, room) != 0) {
		free(g);
		return NULL;
	}
	g->config = config;
	g->n_listens = g->n_intakes * config->n_listens;
	g->number = ++p->last_generation;
	TAILQ_INSERT_TAIL(&p->generations, g, link);
	return g;
}

static void drop_generation(struct parent *p, struct generation *g)
{
	TAILQ_REMOVE(&p->generations, g, link);
	listen_close_all(&g->listens, g->n_listens);
	config_destroy(&g->config);
	free(g);
}

/* ---- the life of the house ---- */

int parent_run(const char *config_path)
{
	struct parent p = { .config_path = config_path, .control_fd = -1 };

	TAILQ_INIT(&p.generations);
	TAILQ_INIT(&p.processes);
	prctl(PR_SET_NAME, "zegel: parent", 0, 0, 0);
	signal(SIGPIPE, SIG_IGN);
	privilege_raise_files();
	p.loop = loop_create();
	p.status = open_house(&p);
	if (p.status == EX_OK) {
		loop_on_signal(p.loop, SIGCHLD, on_child, &p);
		loop_on_signal(p.loop, SIGHUP, on_hangup, &p);
		loop_on_signal(p.loop, SIGTERM, on_terminate, &p);
		loop_on_signal(p.loop, SIGINT, on_terminate, &p);
		p.stop = timer_create_in(p.loop, on_stop_timer, &p);
		start_generation(&p, TAILQ_FIRST(&p.generations));
		loop_run(p.loop);
		log_info("daemon stopped -- version " ZEGEL_VERSION);
	}
	close_house(&p);
	return p.status;
}

/* Without its directory, made here with the right owner, no role could use the spool. */
static int prepare_spool(const struct config *config, char *error, size_t room)
{
	const struct passwd *user = geteuid() == 0 ? getpwnam(config->user) : NULL;

	if (geteuid() == 0 && user == NULL) {
		snprintf(error, room,
		    "there is no user \"%s\" to run as: create it, or set \"user\" in the configuration",
		    config->user);
		return -1;
	}
	if (mkdir(config->spool, 0700) == 0) {
		if (user != NULL && chown(config->spool, user->pw_uid, user->pw_gid) != 0) {
			snprintf(error, room, "cannot give %s to user \"%s\": %s", config->spool,
			    config->user, strerror(errno));
			return -1;
		}
	} else if (errno != EEXIST) {
		snprintf(error, room, "cannot make the spool directory %s: %s", config->spool,
		    strerror(errno));
		return -1;
	}
	return 0;
}

/* Two daemons on one configuration: the second ends here. (The spool has a lock of its own.) */
static int open_house(struct parent *p)
{
	struct config *config = load(p->config_path);
	char error[512];

	if (config == NULL) {
		log_error("%s has errors: nothing was started; \"zegel check\" shows them",
		    p->config_path);
		return EX_CONFIG;
	}
	if (log_open(config->log, LOG_LEVEL_INFO, error, sizeof error) != 0) {
		log_error("%s", error);
		config_destroy(&config);
		return EX_CANTCREAT;
	}
	if (prepare_spool(config, error, sizeof error) != 0 ||
	    (p->control_fd =
		    listen_open_control(config->control, config->user, error, sizeof error)) < 0 ||
	    make_generation(p, config, NULL, error, sizeof error) == NULL) {
		log_error("%s", error);
		fprintf(stderr, "zegel: %s\n", error);
		config_destroy(&config);
		return EX_UNAVAILABLE;
	}
	log_info("daemon started -- version " ZEGEL_VERSION ", configuration %s", config->path);
	return EX_OK;
}

static void close_house(struct parent *p)
{
	struct process *process;
	struct generation *g;

	while ((process = TAILQ_FIRST(&p->processes)) != NULL) {
		TAILQ_REMOVE(&p->processes, process, link);
		channel_destroy(&process->channel);
		timer_destroy(&process->restart);
		free(process);
	}
	while ((g = TAILQ_FIRST(&p->generations)) != NULL)
		drop_generation(p, g);
	if (p->control_fd >= 0)
		close(p->control_fd);
	timer_destroy(&p->stop);
	loop_destroy(&p->loop);
	log_close();
}

/* ---- starting ---- */

static struct process *add_process(
    struct parent *p, struct generation *g, enum role role, size_t index)
{
	struct process *process = mem_create(sizeof *process);

	process->parent = p;
	process->generation = g;
	process->role = role;
	process->index = index;
	TAILQ_INSERT_TAIL(&p->processes, process, link);
	start_process(process);
	return process;
}

static struct process *find_queue(struct parent *p)
{
	struct process *process;

	TAILQ_FOREACH (process, &p->processes, link) {
		if (process->role == ROLE_QUEUE)
			return process;
	}
	return NULL;
}

static size_t n_of(const struct generation *g, enum role role)
{
	switch (role) {
	case ROLE_INTAKE:
	case ROLE_DELIVERY:
	case ROLE_KEEPER: return g->n_intakes;
	case ROLE_AUTH: return N_AUTHS;
	case ROLE_LOOKUP: return 1;
	case ROLE_QUEUE:
	case N_ROLES: return 0; /* one for all generations */
	}
	return 0;
}

static void start_generation(struct parent *p, struct generation *g)
{
	for (enum role role = 0; role < N_ROLES; role++) {
		for (size_t i = 0; i < n_of(g, role); i++)
			add_process(p, g, role, i);
	}
	if (find_queue(p) == NULL)
		add_process(p, g, ROLE_QUEUE, 0);
}

static void run_child(const struct process *process, int parent_fd)
{
	struct parent *p = process->parent;
	const struct generation *g = process->generation;
	const size_t share = g->config->n_listens;
	const struct child_start start = { .role = process->role,
		.config = g->config,
		.parent_fd = parent_fd,
		.listens =
		    process->role == ROLE_INTAKE ? g->listens + process->index * share : NULL,
		.n_listens = process->role == ROLE_INTAKE ? share : 0,
		.control_fd = process->role == ROLE_QUEUE ? p->control_fd : -1,
		.keep_fd = -1 };

	exit(child_run(&start));
}

static void retry_later(struct process *process);

static void start_process(struct process *process)
{
	int ends[2];

	if (process->restart == NULL)
		process->restart =
		    timer_create_in(process->parent->loop, (loop_call *)start_process, process);
	if (channel_make_pair(ends) != 0) {
		log_error("cannot start role %s: %s", role_name(process->role), strerror(errno));
		retry_later(process);
		return;
	}
	process->pid = fork();
	if (process->pid == 0) {
		run_child(process, ends[1]);
		_exit(EX_SOFTWARE);
	}
	close(ends[1]);
	if (process->pid < 0) {
		log_error("cannot start role %s: %s", role_name(process->role), strerror(errno));
		process->pid = 0;
		close(ends[0]);
		retry_later(process);
		return;
	}
	process->is_ready = process->is_told = false;
	process->started_ms = clock_monotonic_ms();
	process->started_s = clock_wall_s();
	process->channel =
	    channel_create(process->parent->loop, ends[0], on_message, on_closed, process);
}

static void retry_later(struct process *process)
{
	int64_t wait_ms = RESTART_FIRST_MS;

	for (uint32_t i = 0; i < process->n_young_deaths && wait_ms < RESTART_LONGEST_MS; i++)
		wait_ms *= 2;
	timer_set(process->restart, wait_ms < RESTART_LONGEST_MS ? wait_ms : RESTART_LONGEST_MS);
}

/* ---- introducing them to each other ---- */

static void tell(struct process *process, const struct ipc_message *m)
{
	if (process->channel != NULL)
		channel_send(process->channel, m);
}

static void introduce(struct process *one, struct process *other)
{
	int ends[2];
	struct ipc_message to_one = { .type = IPC_PEER,
		.peer = { (uint8_t)other->role, (uint32_t)other->pid } };
	struct ipc_message to_other = { .type = IPC_PEER,
		.peer = { (uint8_t)one->role, (uint32_t)one->pid } };

	if (channel_make_pair(ends) != 0) {
		log_error("cannot connect %s and %s: %s", role_name(one->role),
		    role_name(other->role), strerror(errno));
		return;
	}
	to_one.fd = ends[0];
	to_other.fd = ends[1];
	tell(one, &to_one);
	tell(other, &to_other);
	close(ends[0]);
	close(ends[1]);
}

/* For "zegel status". */
static void report_processes(struct parent *p)
{
	struct process *queue = find_queue(p), *process;

	if (queue == NULL || !queue->is_ready)
		return;
	TAILQ_FOREACH (process, &p->processes, link) {
		struct ipc_message m = { .type = IPC_PROCESS, .fd = -1 };

		m.process.role = role_name(process->role);
		m.process.pid = (uint32_t)process->pid;
		m.process.is_running = process->is_ready;
		m.process.n_restarts = process->n_restarts;
		m.process.started_s = process->started_s;
		m.process.is_first = process == TAILQ_FIRST(&p->processes);
		tell(queue, &m);
	}
}

static bool all_are_ready(const struct parent *p, const struct generation *g)
{
	const struct process *process;

	TAILQ_FOREACH (process, &p->processes, link) {
		if (process->generation == g && !process->is_ready)
			return false;
	}
	return true;
}

static void finish_reload(struct parent *p);

static void on_ready(struct process *process)
{
	struct parent *p = process->parent;
	struct process *other;

	process->is_ready = true;
	TAILQ_FOREACH (other, &p->processes, link) {
		bool together = other->generation == process->generation ||
				other->role == ROLE_QUEUE || process->role == ROLE_QUEUE;

		if (other->is_ready && other != process && together &&
		    role_is_linked(process->role, other->role))
			introduce(process, other);
	}
	if (process->role == ROLE_QUEUE) {
		const struct ipc_message start = { .type = IPC_START, .fd = -1 };

		tell(process, &start);
	}
	report_processes(p);
	if (p->coming != NULL && process->generation == p->coming && all_are_ready(p, p->coming))
		finish_reload(p);
	if (!p->was_ready && all_are_ready(p, process->generation)) {
		p->was_ready = true;
		log_info("ready: all roles run");
		notify_service_manager("READY=1");
	}
}

static void on_message(void *arg, struct channel *channel, struct ipc_message *m)
{
	struct process *process = arg;

	(void)channel;
	if (m->type == IPC_READY && !process->is_ready)
		on_ready(process);
}

/* A process that ends closes its channel first; its end is told by SIGCHLD. */
static void on_closed(void *arg, struct channel *channel)
{
	struct process *process = arg;

	(void)channel;
	channel_destroy(&process->channel);
}

/* ---- when one dies ---- */

static struct process *find_dead(struct parent *p, int *status)
{
	struct process *process;

	TAILQ_FOREACH (process, &p->processes, link) {
		if (process->pid > 0 && waitpid(process->pid, status, WNOHANG) == process->pid)
			return process;
	}
	return NULL;
}

/* One death may remove others from the list: each search begins anew. */
static void on_child(void *arg)
{
	struct parent *p = arg;
	struct process *process;
	int status;

	while ((process = find_dead(p, &status)) != NULL)
		on_died(process, status);
}

static void remove_process(struct process *process)
{
	struct parent *p = process->parent;

	TAILQ_REMOVE(&p->processes, process, link);
	timer_destroy(&process->restart);
	free(process);
}

static void drain(struct process *process, enum drain_how how)
{
	const struct ipc_message m = { .type = IPC_DRAIN, .fd = -1, .drain.how = (uint8_t)how };

	process->is_told = true;
	tell(process, &m);
}

static bool serves_others(const struct process *process)
{
	return process->role != ROLE_INTAKE && process->role != ROLE_DELIVERY &&
	       process->role != ROLE_QUEUE;
}

/*
 * Those that serve others stay until the others are gone. One that died and is no more needed is not
 * started again.
 */
static void drain_in_order(struct parent *p, const struct generation *g, enum drain_how how)
{
	struct process *process, *next;
	bool some_are_left = false;

	TAILQ_FOREACH (process, &p->processes, link) {
		if (process->generation == g && process->pid > 0 && !serves_others(process))
			some_are_left = true;
	}
	for (process = TAILQ_FIRST(&p->processes); process != NULL; process = next) {
		next = TAILQ_NEXT(process, link);
		if (process->generation != g || (some_are_left && serves_others(process)))
			continue;
		if (process->pid == 0)
			remove_process(process);
		else if (!process->is_told)
			drain(process, how);
	}
}

static bool has_processes(const struct parent *p, const struct generation *g)
{
	const struct process *process;

	TAILQ_FOREACH (process, &p->processes, link) {
		if (process->generation == g)
			return true;
	}
	return false;
}

static void log_death(const struct process *process, int status)
{
	if (WIFSIGNALED(status))
		log_error("role %s (process %d) was killed by signal %d (%s): it is started again",
		    role_name(process->role), (int)process->pid, WTERMSIG(status),
		    strsignal(WTERMSIG(status)));
	else
		log_error("role %s (process %d) ended with status %d: it is started again",
		    role_name(process->role), (int)process->pid, WEXITSTATUS(status));
}

static void abort_reload(struct parent *p);
static void begin_to_stop(struct parent *p);

/* What was to happen at the end of a process that was told to end, or of all. */
static void after_farewell(struct process *process)
{
	struct parent *p = process->parent;
	struct generation *g = process->generation;

	if (process->role == ROLE_QUEUE && !p->is_stopping) {
		start_process(process); /* with the configuration it has been given meanwhile */
		return;
	}
	remove_process(process);
	if (p->is_stopping) {
		TAILQ_FOREACH (g, &p->generations, link)
			drain_in_order(p, g, DRAIN_SOON);
		if (TAILQ_EMPTY(&p->processes))
			loop_stop(p->loop);
		return;
	}
	drain_in_order(p, g, DRAIN_FINISH);
	if (!has_processes(p, g))
		drop_generation(p, g);
}

static void on_died(struct process *process, int status)
{
	struct parent *p = process->parent;
	bool was_young = clock_monotonic_ms() - process->started_ms < YOUNG_MS;
	bool was_ready = process->is_ready;

	channel_destroy(&process->channel);
	if (!process->is_told)
		log_death(process, status);
	process->pid = 0;
	process->is_ready = false;
	if (process->is_told || p->is_stopping) {
		after_farewell(process);
	} else if (process->generation == p->coming && process->role != ROLE_QUEUE) {
		abort_reload(p);
	} else if (!p->was_ready && !was_ready) {
		log_error("role %s could not start: the daemon ends", role_name(process->role));
		p->status = EX_UNAVAILABLE;
		begin_to_stop(p);
	} else {
		process->n_restarts++;
		process->n_young_deaths = was_young ? process->n_young_deaths + 1 : 0;
		retry_later(process);
		report_processes(p);
	}
}

/* ---- another configuration ---- */

/* False, with the reason logged, if the daemon cannot do it while it runs. */
static bool may_change(const struct config *now, const struct config *wanted)
{
	const struct {
		const char *key, *now, *wanted;
	} fixed[] = {
		{ "spool", now->spool, wanted->spool },
		{ "control", now->control, wanted->control },
		{ "user", now->user, wanted->user },
	};

	for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
		if (strcmp(fixed[i].now, fixed[i].wanted) == 0)
			continue;
		log_error("reload failed: \"%s\" can only change when zegel is started again; the "
			  "old configuration stays in force [reload-failed]",
		    fixed[i].key);
		return false;
	}
	return true;
}

static void on_hangup(void *arg)
{
	struct parent *p = arg;
	struct generation *newest = TAILQ_LAST(&p->generations, generation_list);
	struct config *config;
	char error[512];

	if (p->is_stopping || p->coming != NULL || !p->was_ready) {
		log_warning(
		    "reload: not now, the daemon is still starting or ending; send it again");
		return;
	}
	config = load(p->config_path);
	if (config == NULL) {
		log_error("reload failed: %s has errors; the old configuration stays in force "
			  "[reload-failed]",
		    p->config_path);
		return;
	}
	if (!may_change(newest->config, config)) {
		config_destroy(&config);
		return;
	}
	p->coming = make_generation(p, config, newest, error, sizeof error);
	/* The same file may be another by now: logs are rotated. */
	if (p->coming != NULL && log_open(config->log, LOG_LEVEL_INFO, error, sizeof error) != 0) {
		drop_generation(p, p->coming);
		p->coming = NULL;
		config = NULL;
	}
	if (p->coming == NULL) {
		log_error("reload failed: %s; the old configuration stays in force [reload-failed]",
		    error);
		config_destroy(&config);
		return;
	}
	start_generation(p, p->coming);
}

static void finish_reload(struct parent *p)
{
	struct process *queue = find_queue(p);
	struct generation *g, *old;

	TAILQ_FOREACH (g, &p->generations, link)
		g->is_draining = g != p->coming;
	if (queue != NULL) {
		queue->generation = p->coming;
		if (queue->pid > 0)
			drain(queue, DRAIN_NOW);
	}
	p->coming = NULL;
	log_info("reload: the new configuration is in force");
	for (old = TAILQ_FIRST(&p->generations); old != NULL; old = g) {
		g = TAILQ_NEXT(old, link);
		if (!old->is_draining)
			continue;
		/* A client that came to a socket where nobody accepts would wait for ever. */
		listen_close_all(&old->listens, old->n_listens);
		drain_in_order(p, old, DRAIN_FINISH);
		if (!has_processes(p, old))
			drop_generation(p, old);
	}
}

/* One of the new ones could not start: none of them stays. */
static void abort_reload(struct parent *p)
{
	struct generation *g = p->coming;
	struct process *process, *next;

	log_error("reload failed: a role cannot work with the new configuration (see above); the "
		  "old one stays in force [reload-failed]");
	p->coming = NULL;
	g->is_draining = true;
	for (process = TAILQ_FIRST(&p->processes); process != NULL; process = next) {
		next = TAILQ_NEXT(process, link);
		if (process->generation != g)
			continue;
		process->is_told = true;
		if (process->pid > 0)
			kill(process->pid, SIGKILL);
		else
			remove_process(process);
	}
	if (!has_processes(p, g))
		drop_generation(p, g);
}

/* ---- the end ---- */

static void begin_to_stop(struct parent *p)
{
	struct process *process, *next;
	struct generation *g;

	if (p->is_stopping)
		return;
	p->is_stopping = true;
	p->stopping_ms = clock_monotonic_ms();
	notify_service_manager("STOPPING=1");
	timer_set(p->stop, STOP_POLITE_MS);
	/* Those that are dead already are not started again. */
	for (process = TAILQ_FIRST(&p->processes); process != NULL; process = next) {
		next = TAILQ_NEXT(process, link);
		if (process->pid == 0)
			remove_process(process);
		else if (process->role == ROLE_INTAKE || process->role == ROLE_DELIVERY)
			process->is_told = false; /* of an older generation: now it has less time */
	}
	TAILQ_FOREACH (g, &p->generations, link)
		drain_in_order(p, g, DRAIN_SOON);
	if (TAILQ_EMPTY(&p->processes))
		loop_stop(p->loop);
}

static void on_terminate(void *arg)
{
	log_info("stopping: no new mail is taken, what was accepted is kept");
	begin_to_stop(arg);
}

static void on_stop_timer(void *arg)
{
	struct parent *p = arg;
	bool hard = clock_monotonic_ms() - p->stopping_ms >= STOP_HARD_MS;
	struct process *process;

	TAILQ_FOREACH (process, &p->processes, link) {
		bool is_cut = process->role == ROLE_INTAKE || process->role == ROLE_DELIVERY;

		if (process->pid > 0 && (hard || is_cut)) {
			log_warning("role %s (process %d) does not end in time and is killed",
			    role_name(process->role), (int)process->pid);
			kill(process->pid, SIGKILL);
		}
	}
	timer_set(p->stop, STOP_HARD_MS - STOP_POLITE_MS);
}
