#include "relay/spool_segment.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "relay/base/clock.h"
#include "relay/base/encode.h"
#include "relay/base/mem.h"
#include "relay/spool.h"

enum { NAME_MAX_ = 17, NAME_LENGTH = 16 };

struct segment {
	uint64_t number;
	int fd;               /* to sync; -1 until needed */
	bool is_ours;         /* this process made it */
	bool is_growing;      /* and nobody released it */
	bool is_broken;       /* a sync failed */
	bool is_entry_synced; /* its directory entry is on stable storage */
	uint64_t synced_turn;
	int64_t n_living;
};

static struct segment *find(const struct segments *s, uint64_t number);
static struct segment *remember(struct segments *s, uint64_t number);
static int open_to_sync(struct segments *s, uint64_t number, struct outcome *why);
static bool extent_fits(const struct extent *extent, uint64_t size);
static bool is_old(const struct segments *s, uint64_t number, int64_t now_s);
static void list_directory(struct segments *s);
static void name_of(char name[NAME_MAX_], uint64_t number);
static bool number_of(const char *name, uint64_t *number);

/*
 * Numbers are milliseconds with 20 random bits behind: a number that came again, after its file was
 * unlinked, would let an intake that outlived the queue name bytes that are not its own.
 */
int segment_file_create(int directory, uint64_t *number)
{
	char name[NAME_MAX_];
	uint32_t chance = 0;
	int fd;

	for (int tries = 0; tries < 100; tries++) {
		if (getrandom(&chance, sizeof chance, 0) != (ssize_t)sizeof chance)
			return -1;
		*number = (uint64_t)clock_wall_ms() << 20 | (chance & 0xfffff);
		*number &= INT64_MAX; /* the database has signed numbers */
		name_of(name, *number);
		fd = openat(directory, name,
		    O_CREAT | O_EXCL | O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd != -1 || errno != EEXIST)
			return fd;
	}
	return -1;
}

int segment_file_open(int directory, uint64_t number)
{
	char name[NAME_MAX_];
	struct stat st;
	int fd, error = EINVAL;

	name_of(name, number);
	fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	errno = error;
	return -1;
}

void segments_init(struct segments *s, int directory)
{
	s->directory = directory;
	map_init(&s->map);
}

void segments_finish(struct segments *s)
{
	struct segment *segment;
	const char *key;
	size_t at = 0;

	while ((segment = map_next(&s->map, &at, &key)) != NULL) {
		if (segment->fd != -1)
			close(segment->fd);
		free(segment);
	}
	map_finish(&s->map);
}

void segments_add(struct segments *s, uint64_t number, int fd)
{
	struct segment *segment = remember(s, number);

	assert(segment->fd == -1);
	segment->fd = fd;
	segment->is_ours = segment->is_growing = true;
}

void segments_release(struct segments *s, uint64_t number, int64_t now_s)
{
	struct segment *segment = find(s, number);

	if (segment == NULL)
		return;
	segment->is_growing = false;
	segments_tidy(s, number, now_s);
}

void segments_count_living(struct segments *s, uint64_t number, int change)
{
	struct segment *segment = remember(s, number);

	segment->n_living += change;
	assert(segment->n_living >= 0);
}

int segments_check(struct segments *s, const struct message *message, struct outcome *why)
{
	struct segment *segment;
	struct stat st;

	if (open_to_sync(s, message->segment, why) == -1)
		return -1;
	segment = find(s, message->segment);
	if (fstat(segment->fd, &st) == -1) {
		segment_refuse(why, errno, "looking at a segment");
		return -1;
	}
	if (message->header.length == 0 || !extent_fits(&message->header, (uint64_t)st.st_size) ||
	    !extent_fits(&message->body, (uint64_t)st.st_size)) {
		outcome_say(why, 451, "4.3.0", "segment-short",
		    "The message is not whole in the queue; try again");
		return -1;
	}
	return 0;
}

int segments_sync(struct segments *s, uint64_t number, uint64_t turn, struct outcome *why)
{
	struct segment *segment = find(s, number);
	int error = 0;

	assert(segment != NULL && segment->fd != -1); /* segments_check() came first */
	if (!segment->is_broken && segment->synced_turn == turn)
		return 0;
	if (segment->is_broken) {
		outcome_say(why, 451, "4.3.0", "segment-closed",
		    "A write to the queue's disk failed before; try again");
		return -1;
	}
	if (fdatasync(segment->fd) == -1)
		error = errno;
	/* A file whose entry is not synced comes back nameless after a power cut (D2). */
	if (error == 0 && !segment->is_entry_synced && fsync(s->directory) == -1)
		error = errno;
	if (error != 0) {
		/* The kernel may have dropped the dirty pages: a second sync would lie (D4). */
		segment->is_broken = true;
		segment_refuse(why, error, "syncing a segment");
		return -1;
	}
	segment->is_entry_synced = true;
	segment->synced_turn = turn;
	return 0;
}

void segments_tidy(struct segments *s, uint64_t number, int64_t now_s)
{
	struct segment *segment = find(s, number);
	char name[NAME_MAX_];

	if (segment == NULL || segment->is_growing)
		return;
	if (segment->fd != -1)
		close(segment->fd);
	segment->fd = -1;
	if (segment->n_living > 0 || (!segment->is_ours && !is_old(s, number, now_s)))
		return;
	name_of(name, number);
	/* If it can't go now it is an orphan after the next start, and goes then. */
	unlinkat(s->directory, name, 0);
	map_take(&s->map, name);
	free(segment);
}

void segments_sweep(struct segments *s, int64_t now_s, bool list)
{
	uint64_t *idle = NULL;
	size_t n_idle = 0, at = 0;
	struct segment *segment;
	const char *key;

	if (list)
		list_directory(s);
	idle = mem_resize(NULL, s->map.n, sizeof *idle);
	while ((segment = map_next(&s->map, &at, &key)) != NULL) {
		if (!segment->is_growing && segment->n_living == 0)
			idle[n_idle++] = segment->number;
	}
	for (size_t i = 0; i < n_idle; i++)
		segments_tidy(s, idle[i], now_s);
	free(idle);
}

size_t segments_count(const struct segments *s)
{
	return s->map.n;
}

size_t segments_count_missing(const struct segments *s)
{
	struct segment *segment;
	char name[NAME_MAX_];
	const char *key;
	size_t at = 0, n = 0;
	struct stat st;

	while ((segment = map_next(&s->map, &at, &key)) != NULL) {
		name_of(name, segment->number);
		if (segment->n_living > 0 &&
		    fstatat(s->directory, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
			n++;
	}
	return n;
}

static struct segment *find(const struct segments *s, uint64_t number)
{
	char name[NAME_MAX_];

	name_of(name, number);
	return map_get(&s->map, name);
}

static struct segment *remember(struct segments *s, uint64_t number)
{
	struct segment *segment = find(s, number);
	char name[NAME_MAX_];

	if (segment != NULL)
		return segment;
	segment = mem_create(sizeof *segment);
	segment->number = number;
	segment->fd = -1;
	name_of(name, number);
	map_put(&s->map, name, segment);
	return segment;
}

static int open_to_sync(struct segments *s, uint64_t number, struct outcome *why)
{
	struct segment *segment = find(s, number);
	int fd;

	if (segment != NULL && segment->fd != -1)
		return 0;
	fd = segment_file_open(s->directory, number);
	if (fd == -1 && (errno == ENOENT || errno == EINVAL || errno == ELOOP)) {
		outcome_say(why, 451, "4.3.0", "segment-gone",
		    "The message is no longer in the queue's files; try again");
		return -1;
	}
	if (fd == -1) {
		segment_refuse(why, errno, "opening a segment");
		return -1;
	}
	remember(s, number)->fd = fd;
	return 0;
}

static bool extent_fits(const struct extent *extent, uint64_t size)
{
	return extent->offset <= size && extent->length <= size - extent->offset;
}

/* Also true of what is gone already. */
static bool is_old(const struct segments *s, uint64_t number, int64_t now_s)
{
	char name[NAME_MAX_];
	struct stat st;

	name_of(name, number);
	if (fstatat(s->directory, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return errno == ENOENT;
	return st.st_mtim.tv_sec < now_s - SEGMENT_ORPHAN_AGE_S;
}

/* Foreign names are left alone: nothing here knows what they are. */
static void list_directory(struct segments *s)
{
	int fd = openat(s->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd != -1 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	uint64_t number;

	if (directory == NULL) {
		if (fd != -1)
			close(fd);
		return;
	}
	while ((entry = readdir(directory)) != NULL) {
		if (number_of(entry->d_name, &number))
			remember(s, number);
	}
	closedir(directory);
}

static void name_of(char name[NAME_MAX_], uint64_t number)
{
	snprintf(name, NAME_MAX_, "%016" PRIx64, number);
}

static bool number_of(const char *name, uint64_t *number)
{
	unsigned char bytes[8];
	char again[NAME_MAX_];
	size_t n;

	if (strlen(name) != NAME_LENGTH || !hex_decode(name, NAME_LENGTH, bytes, 8, &n) || n != 8)
		return false;
	*number = 0;
	for (size_t i = 0; i < n; i++)
		*number = *number << 8 | bytes[i];
	name_of(again, *number);
	return strcmp(again, name) == 0;
}

void segment_refuse(struct outcome *why, int error, const char *what)
{
	if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
		outcome_say(why, 452, "4.3.1", "disk-full",
		    "The queue's disk is full (%s: %s); try again later", what, strerror(error));
		return;
	}
	outcome_say(why, 451, "4.3.0", "disk-error", "The queue's disk failed (%s: %s); try again",
	    what, strerror(error));
}

uint32_t spool_checksum(uint32_t so_far, const void *bytes, size_t n)
{
	/* To zlib no bytes at NULL mean: begin anew. */
	return n > 0 ? (uint32_t)crc32_z(so_far, bytes, n) : so_far;
}

void spool_reader_init(struct spool_reader *reader, int fd, const struct extent *extent)
{
	*reader = (struct spool_reader){ .fd = fd, .extent = extent };
}

ssize_t spool_read(struct spool_reader *r, void *bytes, size_t room)
{
	uint64_t left = r->extent->length - r->n_read, at = r->extent->offset;
	ssize_t n;

	if (at > INT64_MAX || r->extent->length > INT64_MAX - at ||
	    (left == 0 && r->checksum != r->extent->checksum)) {
		errno = EBADMSG;
		return -1;
	}
	do
		n = pread(r->fd, bytes, left < room ? left : room, (off_t)(at + r->n_read));
	while (n == -1 && errno == EINTR);
	if (n == 0 && left > 0) {
		errno = EBADMSG;
		return -1;
	}
	if (n > 0) {
		r->checksum = spool_checksum(r->checksum, bytes, (size_t)n);
		r->n_read += (uint64_t)n;
	}
	return n;
}
