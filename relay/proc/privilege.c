#include "relay/proc/privilege.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "relay/base/log.h"

/* A leak checker inspects its own process, which one that is not dumpable forbids. */
#if defined(__SANITIZE_ADDRESS__)
enum { DUMPABLE = 1 };
#else
enum { DUMPABLE = 0 };
#endif

static int become(const char *user, char *error, size_t room)
{
	const struct passwd *who;

	errno = 0;
	who = getpwnam(user);
	if (who == NULL) {
		snprintf(error, room,
		    "there is no user \"%s\" to run as: create it, or set \"user\" in the configuration",
		    user);
		return -1;
	}
	if (who->pw_uid == 0)
		return 0; /* the operator asked for it by name */
	if (initgroups(user, who->pw_gid) != 0 ||
	    setresgid(who->pw_gid, who->pw_gid, who->pw_gid) != 0 ||
	    setresuid(who->pw_uid, who->pw_uid, who->pw_uid) != 0) {
		snprintf(error, room, "cannot become user \"%s\": %s", user, strerror(errno));
		return -1;
	}
	if (setuid(0) == 0) {
		snprintf(error, room, "root could be had again after becoming \"%s\"", user);
		return -1;
	}
	return 0;
}

int privilege_drop(const char *user, char *error, size_t room)
{
	const struct rlimit none = { 0, 0 };

	if (geteuid() == 0 && become(user, error, room) != 0)
		return -1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0 ||
	    prctl(PR_SET_DUMPABLE, DUMPABLE, 0, 0, 0) != 0) {
		snprintf(error, room, "cannot give up privileges: %s", strerror(errno));
		return -1;
	}
	return 0;
}

static bool is_kept(int fd, const int *keep, size_t n_keep)
{
	for (size_t i = 0; i < n_keep; i++) {
		if (keep[i] == fd)
			return true;
	}
	return false;
}

void privilege_close_all_but(const int *keep, size_t n_keep)
{
	int last = 2;

	for (size_t i = 0; i < n_keep; i++)
		last = keep[i] > last ? keep[i] : last;
	for (int fd = 3; fd < last; fd++) {
		if (!is_kept(fd, keep, n_keep))
			close(fd);
	}
	close_range((unsigned)last + 1, ~0U, 0);
}

void privilege_raise_files(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		return;
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) != 0)
		log_warning("cannot raise the limit of open files: %s", strerror(errno));
}
