/*
 * Configurations and the roles that run with them: made when the daemon starts and at each reload,
 * dropped when the last of their processes has gone.
 */
#include "relay/proc/parent_house.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/proc/listen.h"

enum { N_AUTHS = 2 };

static void reload_again(struct parent *p);
static void reload_failed(struct parent *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

struct config *configuration_load(const char *path)
{
	struct config_remarks remarks = { 0 };
	struct config *config = config_load(path, &remarks);

	for (size_t i = 0; i < remarks.n; i++) {
		static const char mark[] = ": warning: ";
		const char *text = remarks.texts[i], *at = strstr(text, mark);

		if (at == NULL)
			log_error("%s", text);
		else
			log_warning("%.*s: %s", (int)(at - text), text, at + sizeof mark - 1);
	}
	config_remarks_finish(&remarks);
	return config;
}

static size_t n_cores(const struct config *config)
{
	long n = config->processes > 0 ? (long)config->processes : sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > 16 ? 16 : (size_t)n;
}

struct generation *generation_make(
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

void generation_drop(struct parent *p, struct generation *g)
{
	TAILQ_REMOVE(&p->generations, g, link);
	listen_close_all(&g->listens, g->n_listens);
	config_destroy(&g->config);
	free(g);
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

void generation_start(struct parent *p, struct generation *g)
{
	for (enum role role = 0; role < N_ROLES; role++) {
		for (size_t i = 0; i < n_of(g, role); i++)
			process_add(p, g, role, i);
	}
	if (parent_find_queue(p) == NULL)
		process_add(p, g, ROLE_QUEUE, 0);
}

bool generation_is_ready(const struct parent *p, const struct generation *g)
{
	const struct process *process;

	TAILQ_FOREACH (process, &p->processes, link) {
		if (process->generation == g && !process->is_ready)
			return false;
	}
	return true;
}

bool generation_is_running(const struct parent *p, const struct generation *g)
{
	const struct process *process;

	TAILQ_FOREACH (process, &p->processes, link) {
		if (process->generation == g)
			return true;
	}
	return false;
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
void generation_drain(struct parent *p, const struct generation *g, enum drain_how how)
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
			process_remove(process);
		else if (!process->is_told)
			process_drain(process, how);
	}
}

/* ---- a reload ---- */

/* False, with the reason told, if the daemon cannot do it while it runs. */
static bool may_change(struct parent *p, const struct config *now, const struct config *wanted)
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
		reload_failed(
		    p, "\"%s\" can only change when zegel is started again", fixed[i].key);
		return false;
	}
	return true;
}

void reload_start(void *arg)
{
	struct parent *p = arg;
	struct generation *newest = TAILQ_LAST(&p->generations, generation_list);
	struct config *config;
	char error[512];

	if (p->is_stopping)
		return;
	if (p->coming != NULL || !p->was_ready) {
		log_info("reload: one is under way; another follows it");
		p->is_reload_wanted = true;
		return;
	}
	p->is_reload_wanted = false;
	config = configuration_load(p->config_path);
	if (config == NULL) {
		reload_failed(p, "%s has errors (\"zegel check\" shows them)", p->config_path);
		return;
	}
	if (!may_change(p, newest->config, config)) {
		config_destroy(&config);
		return;
	}
	p->coming = generation_make(p, config, newest, error, sizeof error);
	/* The same file may be another by now: logs are rotated. */
	if (p->coming != NULL && log_open(config->log, LOG_LEVEL_INFO, error, sizeof error) != 0) {
		generation_drop(p, p->coming);
		p->coming = NULL;
		config = NULL;
	}
	if (p->coming == NULL) {
		reload_failed(p, "%s", error);
		config_destroy(&config);
		return;
	}
	generation_start(p, p->coming);
}

/* Told in the log now, and in "zegel status" until one succeeds. */
static void reload_failed(struct parent *p, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(p->reload_why, sizeof p->reload_why, format, args);
	va_end(args);
	p->reload_failed_s = clock_wall_s();
	log_error("reload failed: %s; the old configuration stays in force [reload-failed]",
	    p->reload_why);
	parent_report(p);
}

void reload_finish(struct parent *p)
{
	struct process *queue = parent_find_queue(p);
	struct generation *g, *old;

	TAILQ_FOREACH (g, &p->generations, link)
		g->is_draining = g != p->coming;
	if (queue != NULL) {
		queue->generation = p->coming;
		if (queue->pid > 0)
			process_drain(queue, DRAIN_NOW);
	}
	p->coming = NULL;
	p->reload_failed_s = 0;
	log_info("reload: the new configuration is in force");
	for (old = TAILQ_FIRST(&p->generations); old != NULL; old = g) {
		g = TAILQ_NEXT(old, link);
		if (!old->is_draining)
			continue;
		/* A client that came to a socket where nobody accepts would wait for ever. */
		listen_close_all(&old->listens, old->n_listens);
		generation_drain(p, old, DRAIN_FINISH);
		if (!generation_is_running(p, old))
			generation_drop(p, old);
	}
	reload_again(p);
}

/* Somebody asked while this one was under way. */
static void reload_again(struct parent *p)
{
	if (p->is_reload_wanted)
		loop_defer(p->loop, reload_start, p);
}

/* One of the new ones could not start: none of them stays. */
void reload_abort(struct parent *p)
{
	struct generation *g = p->coming;
	struct process *process, *next;

	reload_failed(p, "a role cannot work with the new configuration (see the log)");
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
			process_remove(process);
	}
	if (!generation_is_running(p, g))
		generation_drop(p, g);
	reload_again(p);
}
