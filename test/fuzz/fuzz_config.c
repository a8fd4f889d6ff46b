/*
 * Whatever a file holds, reading it ends: in a configuration or in errors, never in both.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_remarks remarks;
	struct config *config, *unfinished;
	char path[64];
	int fd = memfd_create("zegel.conf", MFD_CLOEXEC);

	/* No file may be included: what it found would depend on the machine. */
	if (fd < 0 || memmem(data, size, "include", 7) != NULL ||
	    write(fd, data, size) != (ssize_t)size) {
		close(fd);
		return 0;
	}
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	config = config_load(path, &remarks);
	assert((config != NULL) == (remarks.n_errors == 0));
	for (size_t i = 0; i < remarks.n; i++)
		assert(strncmp(remarks.texts[i], path, strlen(path)) == 0);
	if (config != NULL) {
		for (size_t i = 0; i < config->n_domains; i++)
			assert(config_find_domain(config, config->domains[i].name) ==
			       &config->domains[i]);
		for (size_t i = 0; i < config->n_accounts; i++)
			assert(config_find_account(config, config->accounts[i].name) ==
			       &config->accounts[i]);
	}
	config_remarks_finish(&remarks);
	unfinished = config_load_unfinished(path, &remarks);
	if (unfinished != NULL)
		assert(unfinished->dkim_keys != NULL && unfinished->passwords != NULL &&
		       unfinished->control != NULL && unfinished->log != NULL);
	config_remarks_finish(&remarks);
	config_destroy(&unfinished);
	config_destroy(&config);
	close(fd);
	return 0;
}
