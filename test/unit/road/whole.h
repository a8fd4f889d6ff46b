/*
 * Is an extent of a segment what was committed?
 */
#pragma once

#include <stddef.h>

#include "relay/spool.h"

/* 0; or -1 with the errno of spool_read(). */
static inline int extent_check(int fd, const struct extent *extent)
{
	struct spool_reader reader;
	char bytes[1000];
	ssize_t n;

	spool_reader_init(&reader, fd, extent);
	do
		n = spool_read(&reader, bytes, sizeof bytes);
	while (n > 0);
	return (int)n;
}
