#include "relay/proc/dnssec_mark.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "relay/base/log.h"
#include "relay/base/mem.h"

static char *path_in(const char *directory)
{
	return mem_print("%s/dnssec-has-worked", directory);
}

bool dnssec_mark_is_set(const char *directory)
{
	char *path = path_in(directory);
	bool is_there = access(path, F_OK) == 0;

	free(path);
	return is_there;
}

void dnssec_mark_set(const char *directory)
{
	char *path = path_in(directory);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd >= 0)
		close(fd);
	else
		log_warning("%s cannot be written (%s): after the next start it is not known that "
			    "DNSSEC has worked here [dnssec-mark]",
		    path, strerror(errno));
	free(path);
}
