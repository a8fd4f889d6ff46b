/*
 * Putting bytes down: into the shared segment and large ones, in pieces, on disks that are full, and
 * with a queue that dies, refuses, or sends no file.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "house.h"
#include "relay/base/mem.h"
#include "relay/spool.h"

struct answer {
	size_t n;
	struct outcome outcome;
	struct shelf_place place;
	bool has_place;
};

static void on_found(void *arg, const struct outcome *outcome, struct shelf_place *place)
{
	struct answer *a = arg;

	a->n++;
	a->outcome = *outcome;
	a->has_place = place != NULL;
	if (place != NULL)
		a->place = *place;
	/* One without the other is neither. */
	assert_int_equal(outcome_is_ok(outcome), place != NULL && place->fd >= 0);
}

static int set_up(void **state)
{
	struct house_of_tests *h = malloc(sizeof *h);

	house_init(h);
	house_bring_queue(h);
	*state = h;
	return 0;
}

static int tear_down(void **state)
{
	house_finish(*state);
	free(*state);
	return 0;
}

static void shared_is_asked_for_once(void **state)
{
	struct house_of_tests *h = *state;
	struct answer a = { 0 };

	assert_null(shelf_shared(h->shelf));
	shelf_ask(h->shelf, 0, on_found, &a);
	assert_int_equal(a.n, 0);
	house_turn(h);
	assert_int_equal(a.n, 1);
	assert_non_null(shelf_shared(h->shelf));
	assert_int_equal(shelf_shared(h->shelf)->segment, 0);
	assert_int_equal(h->asked_bytes[0], 0);
	/* Full: given back, and to be asked for again. */
	shelf_shared(h->shelf)->size = SHELF_SEGMENT_SIZE;
	assert_null(shelf_shared(h->shelf));
	house_turn(h);
	assert_int_equal(h->n_released, 1);
	shelf_drop(h->shelf, 0);
	house_turn(h);
	assert_int_equal(h->n_released, 1);
}

static void several_ask_at_once(void **state)
{
	struct house_of_tests *h = *state;
	struct answer a = { 0 }, b = { 0 };

	shelf_ask(h->shelf, 0, on_found, &a);
	shelf_ask(h->shelf, 0, on_found, &b);
	house_turn(h);
	assert_int_equal(a.n, 1);
	assert_int_equal(b.n, 1);
	assert_int_equal(shelf_shared(h->shelf)->segment, 1);
	assert_int_equal(h->n_released, 1);
	assert_int_equal(h->released[0], 0);
	shelf_drop(h->shelf, 0); /* no more the one that is used */
	assert_non_null(shelf_shared(h->shelf));
}

static void large_ones_are_the_askers(void **state)
{
	struct house_of_tests *h = *state;
	struct answer a = { 0 };

	shelf_ask(h->shelf, 1234567, on_found, &a);
	house_turn(h);
	assert_true(a.has_place);
	assert_int_equal(h->asked_bytes[0], 1234567);
	assert_null(shelf_shared(h->shelf));
	close(a.place.fd);
}

static void a_cancelled_segment_is_given_back(void **state)
{
	struct house_of_tests *h = *state;
	struct answer a = { 0 };
	struct shelf_request *request = shelf_ask(h->shelf, 300000, on_found, &a),
			     *other = shelf_ask(h->shelf, 0, on_found, &a);

	shelf_cancel(&request);
	shelf_cancel(&request);
	shelf_cancel(&other);
	house_turn(h);
	assert_int_equal(a.n, 0);
	assert_int_equal(h->n_segments, 2);
	assert_int_equal(h->n_released, 2);
}

static void refusals(void **state)
{
	struct house_of_tests *h = *state;
	struct answer a = { 0 };

	outcome_say(&h->segment_verdict, 452, "4.3.1", "disk-full", "No room");
	shelf_ask(h->shelf, 0, on_found, &a);
	house_turn(h);
	assert_int_equal(a.outcome.code, 452);
	assert_null(shelf_shared(h->shelf));
	/* Q18: a segment whose file did not arrive is no segment, and is given back. */
	outcome_ok(&h->segment_verdict);
	h->sends_no_file = true;
	shelf_ask(h->shelf, 0, on_found, &a);
	shelf_ask(h->shelf, 500000, on_found, &a);
	house_turn(h);
	assert_int_equal(a.n, 3);
	assert_int_equal(a.outcome.code, 451);
	assert_int_equal(h->n_released, 2);
}

static void Q18_no_number_left_for_a_file(void **state)
{
	struct house_of_tests *h = *state;
	struct answer a = { 0 };
	struct rlimit limit, none;
	int fds[256], n = 0;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 128;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	shelf_ask(h->shelf, 0, on_found, &a);
	while (n < 256 && (fds[n] = dup(0)) >= 0)
		n++;
	/* Room for the queue's two and the one that travels, not for more. */
	for (int i = 0; i < 4 && n > 0; i++)
		close(fds[--n]);
	house_turn(h);
	while (n > 0)
		close(fds[--n]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	house_turn(h);
	assert_int_equal(a.n, 1); /* it came or it did not, but was told once */
	a.n = 0;
	shelf_ask(h->shelf, 0, on_found, &a);
	house_turn(h);
	assert_true(a.has_place);
}

static void a_queue_that_dies_is_asked_again(void **state)
{
	struct house_of_tests *h = *state;
	struct answer a = { 0 };

	h->is_silent = true;
	shelf_ask(h->shelf, 0, on_found, &a);
	house_turn(h);
	house_bring_queue(h); /* the old one is gone */
	h->is_silent = false;
	house_turn(h);
	assert_int_equal(a.n, 1);
	assert_true(a.has_place);
}

/* ---- appending ---- */

static struct shelf_place open_place(struct house_of_tests *h)
{
	struct answer a = { 0 };

	shelf_ask(h->shelf, 1, on_found, &a);
	house_turn(h);
	assert_true(a.has_place);
	return a.place;
}

static void pieces_and_extents(void **state)
{
	struct house_of_tests *h = *state;
	struct shelf_place place = open_place(h);
	struct extent first = { 0 }, second = { 0 }, empty = { 0 };
	struct slice pieces[4] = { slice_of("one "), { NULL, 0 }, slice_of("two "),
		slice_of("three") };
	struct outcome why;
	char *text;

	assert_true(shelf_append(&place, pieces, 4, &first, &why));
	assert_true(shelf_append(&place, pieces, 0, &empty, &why));
	assert_true(shelf_append(&place, pieces + 1, 1, &empty, &why));
	assert_true(shelf_append(&place, pieces + 2, 1, &second, &why));
	assert_true(shelf_append(&place, pieces + 3, 1, &second, &why)); /* grows */
	assert_int_equal(place.size, 13 + 9);
	assert_int_equal(first.offset, 0);
	assert_int_equal(empty.length, 0);
	text = house_read(h, place.segment, &first);
	assert_string_equal(text, "one two three");
	free(text);
	text = house_read(h, place.segment, &second);
	assert_string_equal(text, "two three");
	free(text);
	close(place.fd);
}

/* D5: the file may grow no further: what fits is written, the rest refused, and nothing is lost of
 * what stood there before. */
static void Q4_Q19_short_writes_and_full_disks(void **state)
{
	struct house_of_tests *h = *state;
	char path[] = "/tmp/zegel-shelf-XXXXXX", *text;
	struct rlimit limit, small;
	struct shelf_place place;
	struct extent first = { 0 }, second = { 0 }, third = { 0 };
	static char bytes[100000];
	struct slice pieces[2] = { { bytes, 60000 }, { bytes + 60000, 40000 } },
		     word = slice_of("x");
	struct outcome why;
	int fd = mkstemp(path);

	signal(SIGXFSZ, SIG_IGN);
	memset(bytes, 'b', sizeof bytes);
	close(fd);
	h->file = path;
	place = open_place(h);
	assert_true(shelf_append(&place, &word, 1, &first, &why));
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	small = limit;
	small.rlim_cur = 70000; /* in the middle of the second piece */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_false(shelf_append(&place, pieces, 2, &second, &why));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(why.code, 452);
	assert_string_equal(why.enhanced, "4.3.1");
	assert_string_equal(why.name, "disk-full");
	assert_int_equal(place.size, 70000);
	/* There is room again: the next stands behind what was left. */
	assert_true(shelf_append(&place, pieces, 2, &third, &why));
	assert_int_equal(third.offset, 70000);
	text = house_read(h, place.segment, &first);
	assert_string_equal(text, "x");
	free(text);
	text = house_read(h, place.segment, &third);
	assert_int_equal(strlen(text), sizeof bytes);
	free(text);
	close(place.fd);
	unlink(path);
}

static void Q4_device_full_and_bad_file(void **state)
{
	struct shelf_place full = { 7, open("/dev/full", O_WRONLY), 0 }, none = { 7, -1, 0 };
	struct extent at = { 0 };
	struct slice piece = slice_of("bytes");
	struct outcome why;

	(void)state;
	assert_false(shelf_append(&full, &piece, 1, &at, &why));
	assert_int_equal(why.code, 452);
	at = (struct extent){ 0 };
	assert_false(shelf_append(&none, &piece, 1, &at, &why));
	assert_int_equal(why.code, 451);
	assert_string_equal(why.name, "disk-error");
	close(full.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(shared_is_asked_for_once),
		T(several_ask_at_once),
		T(large_ones_are_the_askers),
		T(a_cancelled_segment_is_given_back),
		T(refusals),
		T(Q18_no_number_left_for_a_file),
		T(a_queue_that_dies_is_asked_again),
		T(pieces_and_extents),
		T(Q4_Q19_short_writes_and_full_disks),
		cmocka_unit_test(Q4_device_full_and_bad_file),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
