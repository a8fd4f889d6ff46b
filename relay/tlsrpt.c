#include "relay/tlsrpt.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/base/text.h"

enum {
	LOOK_MS = 60 * 1000,
	COMPLAIN_MS = 3600 * 1000, /* of counts that were left out */
};

/* Of several domains, for one who asked. */
struct closing {
	TAILQ_ENTRY(closing) link;
	struct tlsrpt *tlsrpt;
	size_t n_open, n;
	spool_changed *done;
	void *arg;
};

struct tlsrpt {
	struct tlsrpt_house house;
	struct timer *look;
	bool is_looking, looks_again, is_stopped;
	int64_t complain_at_ms;
	size_t n_left_out;
	struct tlsrpt_sending *sendings[TLSRPT_AT_ONCE];
	size_t n_sendings;
	TAILQ_HEAD(, closing) closings;
};

static void on_counted(void *arg, size_t n_left_out);
static void on_closed(void *arg, size_t n);
static void on_look(void *arg);
static void on_due(void *arg, const struct spool_tlsrpt *due, size_t n);
static bool is_under_way(const struct tlsrpt *tlsrpt, int64_t number);
static void on_sent(struct tlsrpt_sending *sending, void *arg);

struct tlsrpt *tlsrpt_create(const struct tlsrpt_house *house)
{
	struct tlsrpt *tlsrpt = mem_create(sizeof *tlsrpt);

	tlsrpt->house = *house;
	TAILQ_INIT(&tlsrpt->closings);
	tlsrpt->look = timer_create_in(house->loop, on_look, tlsrpt);
	timer_set(tlsrpt->look, LOOK_MS);
	return tlsrpt;
}

void tlsrpt_stop(struct tlsrpt *tlsrpt)
{
	tlsrpt->is_stopped = true;
	timer_cancel(tlsrpt->look);
	for (size_t i = 0; i < tlsrpt->n_sendings; i++)
		tlsrpt_sending_stop(tlsrpt->sendings[i]);
}

void tlsrpt_destroy(struct tlsrpt **tlsrpt)
{
	struct closing *closing;

	if (*tlsrpt == NULL)
		return;
	for (size_t i = 0; i < (*tlsrpt)->n_sendings; i++)
		tlsrpt_sending_cancel(&(*tlsrpt)->sendings[i]);
	while ((closing = TAILQ_FIRST(&(*tlsrpt)->closings)) != NULL) {
		TAILQ_REMOVE(&(*tlsrpt)->closings, closing, link);
		free(closing);
	}
	timer_destroy(&(*tlsrpt)->look);
	free(*tlsrpt);
	*tlsrpt = NULL;
}

/* ---- counting ---- */

/* A delivery reads what strangers send: what it says is held to the bounds it should keep. */
static bool take_count(const ipc_count *said, struct tls_count *count)
{
	const struct {
		char *to;
		size_t room;
		const char *from;
	} texts[] = {
		{ count->report_domain, sizeof count->report_domain, said->report_domain },
		{ count->domain, sizeof count->domain, said->domain },
		{ count->mx, sizeof count->mx, said->mx },
		{ count->address, sizeof count->address, said->address },
		{ count->sender, sizeof count->sender, said->sender },
		{ count->reason, sizeof count->reason, said->reason },
	};

	if (said->type > TLS_POLICY_NONE || said->result > TLS_RESULT_STS_WEBPKI ||
	    said->report_domain[0] == '\0' || strlen(said->strings) > TLS_COUNT_STRINGS_MAX ||
	    strlen(said->patterns) > TLS_COUNT_STRINGS_MAX)
		return false;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		if (strlen(texts[i].from) >= texts[i].room)
			return false;
		text_copy(texts[i].to, texts[i].room, texts[i].from);
	}
	count->type = (enum tls_policy_type)said->type;
	count->result = (enum tls_result)said->result;
	count->strings = (char *)said->strings; /* read only, and copied there */
	count->patterns = (char *)said->patterns;
	return true;
}

void tlsrpt_count(struct tlsrpt *tlsrpt, const struct ipc_counts_say *say)
{
	size_t n = say->counts.n < TLS_COUNTS_MAX ? say->counts.n : TLS_COUNTS_MAX, n_taken = 0;
	struct tls_count *counts = mem_create((n + 1) * sizeof *counts);

	for (size_t i = 0; i < n; i++) {
		if (take_count(&say->counts.items[i], &counts[n_taken]))
			n_taken++;
		else
			log_error("a delivery's count is out of bounds: a fault of this program");
	}
	if (n_taken > 0)
		spool_tlsrpt_count(tlsrpt->house.spool, counts, n_taken, on_counted, tlsrpt);
	free(counts);
}

static void on_counted(void *arg, size_t n_left_out)
{
	struct tlsrpt *tlsrpt = arg;

	tlsrpt->n_left_out += n_left_out;
	if (tlsrpt->n_left_out == 0 || clock_monotonic_ms() < tlsrpt->complain_at_ms)
		return;
	log_warning("%zu sessions were not counted for TLS reports: there are too many domains, or "
		    "policies of one [tlsrpt-full]",
	    tlsrpt->n_left_out);
	tlsrpt->n_left_out = 0;
	tlsrpt->complain_at_ms = clock_monotonic_ms() + COMPLAIN_MS;
}

/* ---- what is due ---- */

/* Those that may have none keep their counts, for whoever wants to see them. */
void tlsrpt_send_now(struct tlsrpt *tlsrpt, const char *domain, spool_changed *done, void *arg)
{
	const struct config_tlsrpt *config = &tlsrpt->house.config->tlsrpt;
	struct closing *closing = mem_create(sizeof *closing);
	bool is_listed = domain == NULL && config->scope == TLSRPT_LISTED;

	closing->tlsrpt = tlsrpt;
	closing->n_open = is_listed ? config->n_domains : 1;
	closing->done = done;
	closing->arg = arg;
	TAILQ_INSERT_TAIL(&tlsrpt->closings, closing, link);
	for (size_t i = 0; is_listed && i < config->n_domains; i++)
		spool_tlsrpt_close(tlsrpt->house.spool, config->domains[i], on_closed, closing);
	if (!is_listed)
		spool_tlsrpt_close(tlsrpt->house.spool, domain, on_closed, closing);
	timer_set(tlsrpt->look, 0); /* after it: the spool does things in order */
}

static void on_closed(void *arg, size_t n)
{
	struct closing *closing = arg;

	closing->n += n;
	if (--closing->n_open > 0)
		return;
	TAILQ_REMOVE(&closing->tlsrpt->closings, closing, link);
	closing->done(closing->arg, closing->n);
	free(closing);
}

static void on_look(void *arg)
{
	struct tlsrpt *tlsrpt = arg;

	timer_set(tlsrpt->look, LOOK_MS);
	tlsrpt->looks_again = tlsrpt->is_looking; /* more may be due than it will find */
	if (tlsrpt->is_looking || tlsrpt->n_sendings == TLSRPT_AT_ONCE ||
	    !asker_has_peer(tlsrpt->house.lookup))
		return;
	tlsrpt->is_looking = true;
	/* Those under way are among them. */
	spool_tlsrpt_find_due(tlsrpt->house.spool, 2 * TLSRPT_AT_ONCE, on_due, tlsrpt);
}

static void on_due(void *arg, const struct spool_tlsrpt *due, size_t n)
{
	struct tlsrpt *tlsrpt = arg;

	tlsrpt->is_looking = false;
	if (tlsrpt->looks_again && !tlsrpt->is_stopped)
		timer_set(tlsrpt->look, 0);
	for (size_t i = 0; i < n && !tlsrpt->is_stopped; i++) {
		if (tlsrpt->n_sendings < TLSRPT_AT_ONCE && !is_under_way(tlsrpt, due[i].number))
			tlsrpt->sendings[tlsrpt->n_sendings++] =
			    tlsrpt_sending_start(&tlsrpt->house, &due[i], on_sent, tlsrpt);
	}
}

static bool is_under_way(const struct tlsrpt *tlsrpt, int64_t number)
{
	for (size_t i = 0; i < tlsrpt->n_sendings; i++) {
		if (tlsrpt_sending_number(tlsrpt->sendings[i]) == number)
			return true;
	}
	return false;
}

/* There may be more that are due. */
static void on_sent(struct tlsrpt_sending *sending, void *arg)
{
	struct tlsrpt *tlsrpt = arg;
	size_t i = 0;

	while (tlsrpt->sendings[i] != sending)
		i++;
	tlsrpt->sendings[i] = tlsrpt->sendings[--tlsrpt->n_sendings];
	if (!tlsrpt->is_stopped)
		timer_set(tlsrpt->look, 0);
}
