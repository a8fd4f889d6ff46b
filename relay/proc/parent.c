#include "relay/proc/parent.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/proc/listen.h"
#include "relay/proc/notify.h"
#include "relay/proc/parent_house.h"
#include "relay/proc/privilege.h"

enum {
	YOUNG_MS = 5000,       /* who dies younger is started again later each time */
	STOP_POLITE_MS = 7000, /* then sessions and deliveries are cut */
	STOP_HARD_MS = 9000,   /* then everything */
};

static int open_house(struct parent *p);
static void on_died(struct process *process, int status);
static void on_child(void *arg);
static void on_terminate(void *arg);
static void on_stop_timer(void *arg);
static void close_house(struct parent *p);

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
		loop_on_signal(p.loop, SIGHUP, reload_start, &p);
		loop_on_signal(p.loop, SIGTERM, on_terminate, &p);
		loop_on_signal(p.loop, SIGINT, on_terminate, &p);
		p.stop = timer_create_in(p.loop, on_stop_timer, &p);
		generation_start(&p, TAILQ_FIRST(&p.generations));
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
	struct config *config = configuration_load(p->config_path);
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
	    generation_make(p, config, NULL, error, sizeof error) == NULL) {
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
		generation_drop(p, g);
	if (p->control_fd >= 0)
		close(p->control_fd);
	timer_destroy(&p->stop);
	loop_destroy(&p->loop);
	log_close();
}

/* It runs and has met the others. */
void parent_note_ready(struct process *process)
{
	struct parent *p = process->parent;

	parent_report(p);
	if (p->coming != NULL && process->generation == p->coming &&
	    generation_is_ready(p, p->coming))
		reload_finish(p);
	if (!p->was_ready && generation_is_ready(p, process->generation)) {
		p->was_ready = true;
		log_info("ready: all roles run");
		notify_service_manager("READY=1");
		if (p->is_reload_wanted)
			loop_defer(p->loop, reload_start, p);
	}
}

struct process *parent_find_queue(struct parent *p)
{
	struct process *process;

	TAILQ_FOREACH (process, &p->processes, link) {
		if (process->role == ROLE_QUEUE)
			return process;
	}
	return NULL;
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

/* What was to happen at the end of a process that was told to end, or of all. */
static void after_farewell(struct process *process)
{
	struct parent *p = process->parent;
	struct generation *g = process->generation;

	if (process->role == ROLE_QUEUE && !p->is_stopping) {
		process_start(process); /* with the configuration it has been given meanwhile */
		return;
	}
	process_remove(process);
	if (p->is_stopping) {
		TAILQ_FOREACH (g, &p->generations, link)
			generation_drain(p, g, DRAIN_SOON);
		if (TAILQ_EMPTY(&p->processes))
			loop_stop(p->loop);
		return;
	}
	generation_drain(p, g, DRAIN_FINISH);
	if (!generation_is_running(p, g))
		generation_drop(p, g);
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
		reload_abort(p);
	} else if (!p->was_ready && !was_ready) {
		log_error("role %s could not start: the daemon ends", role_name(process->role));
		p->status = EX_UNAVAILABLE;
		parent_begin_to_stop(p);
	} else {
		process->n_restarts++;
		process->n_young_deaths = was_young ? process->n_young_deaths + 1 : 0;
		process_start_later(process);
		parent_report(p);
	}
}

/* ---- the end ---- */

void parent_begin_to_stop(struct parent *p)
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
			process_remove(process);
		else if (process->role == ROLE_INTAKE || process->role == ROLE_DELIVERY)
			process->is_told = false; /* of an older generation: now it has less time */
	}
	TAILQ_FOREACH (g, &p->generations, link)
		generation_drain(p, g, DRAIN_SOON);
	if (TAILQ_EMPTY(&p->processes))
		loop_stop(p->loop);
}

static void on_terminate(void *arg)
{
	log_info("stopping: no new mail is taken, what was accepted is kept");
	parent_begin_to_stop(arg);
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
