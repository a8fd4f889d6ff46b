#include "relay/lookup/sts_cache.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"
#include "relay/base/text.h"

static void plan_refresh(struct sts_domain *domain, int64_t now_s);
static int64_t random_up_to(int64_t most);

void sts_cache_init(struct sts_cache *cache)
{
	map_init(&cache->domains);
	TAILQ_INIT(&cache->by_use);
	cache->n_bytes = 0;
	cache->domains_max = STS_DOMAINS_MAX;
	cache->bytes_max = STS_BYTES_MAX;
}

void sts_cache_finish(struct sts_cache *cache)
{
	struct sts_domain *domain;

	while ((domain = TAILQ_FIRST(&cache->by_use)) != NULL)
		sts_cache_drop(cache, &domain);
	map_finish(&cache->domains);
}

struct sts_domain *sts_cache_find(const struct sts_cache *cache, const char *name)
{
	return map_get(&cache->domains, name);
}

struct sts_domain *sts_cache_use(struct sts_cache *cache, const char *name, int64_t now_ms)
{
	struct sts_domain *domain = sts_cache_find(cache, name);

	if (domain == NULL) {
		domain = mem_create(sizeof *domain);
		text_copy(domain->name, sizeof domain->name, name);
		TAILQ_INIT(&domain->asking);
		TAILQ_INIT(&domain->awaiting);
		map_put(&cache->domains, name, domain);
	} else {
		TAILQ_REMOVE(&cache->by_use, domain, by_use);
	}
	TAILQ_INSERT_TAIL(&cache->by_use, domain, by_use);
	domain->used_ms = now_ms;
	return domain;
}

struct sts_domain *sts_cache_surplus(struct sts_cache *cache)
{
	bool is_too_long = cache->n_bytes > cache->bytes_max;
	struct sts_domain *domain, *worst = NULL;

	if (cache->domains.n <= cache->domains_max && !is_too_long)
		return NULL;
	TAILQ_FOREACH (domain, &cache->by_use, by_use) {
		if (!sts_domain_is_idle(domain))
			continue;
		if (domain->has_policy ? domain->over_ms != 0 : !is_too_long)
			return domain;
		if (domain->has_policy &&
		    (worst == NULL || (is_too_long && domain->n_text > worst->n_text)))
			worst = domain;
	}
	return worst;
}

void sts_cache_drop(struct sts_cache *cache, struct sts_domain **domain)
{
	struct sts_domain *old = *domain;

	assert(sts_domain_is_idle(old));
	sts_cache_forget(cache, old);
	map_take(&cache->domains, old->name);
	TAILQ_REMOVE(&cache->by_use, old, by_use);
	free(old);
	*domain = NULL;
}

void sts_cache_keep(struct sts_cache *cache, struct sts_domain *domain, struct sts_policy *policy,
    const struct sts_kept *kept, int64_t now_s)
{
	sts_cache_forget(cache, domain);
	domain->has_policy = true;
	domain->policy = *policy;
	*policy = (struct sts_policy){ .mode = STS_MODE_NONE };
	text_copy(domain->id, sizeof domain->id, kept->id);
	domain->text = mem_copy_text(kept->policy);
	domain->n_text = strlen(kept->policy);
	cache->n_bytes += domain->n_text;
	domain->fetched_s = kept->fetched_s;
	domain->expires_s = kept->expires_s;
	if (domain->expires_s > domain->fetched_s + domain->policy.max_age_s)
		domain->expires_s = domain->fetched_s + domain->policy.max_age_s;
	domain->behind_s = domain->over_ms = domain->ended_s = 0;
	if (domain->fetched_s > now_s)
		domain->behind_s = domain->fetched_s - now_s;
	plan_refresh(domain, now_s);
}

/*
 * At a random time, so that an attacker can't wait for it (RFC 8461 10.2) and not all come at once:
 * between one half and nine tenths of a day, or of a lifetime that is shorter, but never so soon that
 * whoever publishes a lifetime of seconds has us ask without end. One that is late already, after a time
 * without a relay, comes within the hour.
 */
static void plan_refresh(struct sts_domain *domain, int64_t now_s)
{
	int64_t fetched_s = domain->fetched_s - domain->behind_s, left_s;
	int64_t lifetime_s = domain->expires_s - domain->fetched_s;

	if (lifetime_s > STS_REFRESH_S)
		lifetime_s = STS_REFRESH_S;
	domain->refresh_s = fetched_s + lifetime_s / 2 + random_up_to(lifetime_s * 4 / 10);
	if (domain->refresh_s < fetched_s + STS_REFRESH_LEAST_S)
		domain->refresh_s = fetched_s + STS_REFRESH_LEAST_S;
	if (domain->refresh_s > now_s)
		return;
	left_s = sts_domain_expires_s(domain) - now_s;
	domain->refresh_s =
	    now_s +
	    random_up_to(left_s / 2 < STS_REFRESH_AGAIN_S ? left_s / 2 : STS_REFRESH_AGAIN_S);
}

void sts_domain_refresh_later(struct sts_domain *domain, int64_t now_s)
{
	int64_t left_s = sts_domain_expires_s(domain) - now_s;
	int64_t wait_s = left_s / 2 < STS_REFRESH_AGAIN_S ? left_s / 2 : STS_REFRESH_AGAIN_S;

	wait_s = wait_s / 2 + random_up_to(wait_s);
	domain->refresh_s = now_s + (wait_s > 0 ? wait_s : 1);
}

static int64_t random_up_to(int64_t most)
{
	return most > 0 ? (int64_t)arc4random_uniform((uint32_t)most + 1) : 0;
}

void sts_cache_forget(struct sts_cache *cache, struct sts_domain *domain)
{
	if (!domain->has_policy)
		return;
	cache->n_bytes -= domain->n_text;
	sts_policy_finish(&domain->policy);
	free(domain->text);
	domain->text = NULL;
	domain->n_text = 0;
	domain->has_policy = domain->is_stored = domain->is_record_missed = false;
	domain->behind_s = domain->over_ms = 0;
	domain->id[0] = '\0';
}

bool sts_domain_is_in_force(struct sts_domain *domain, int64_t now_s)
{
	int64_t behind_s = domain->fetched_s - now_s;

	if (!domain->has_policy)
		return false;
	if (behind_s > domain->behind_s || (behind_s <= 0 && domain->behind_s > 0)) {
		domain->behind_s = behind_s > 0 ? behind_s : 0;
		plan_refresh(domain, now_s);
	}
	return sts_domain_expires_s(domain) > now_s;
}

int64_t sts_domain_expires_s(const struct sts_domain *domain)
{
	return domain->expires_s - domain->behind_s;
}

bool sts_domain_is_idle(const struct sts_domain *domain)
{
	return domain->record == NULL && domain->refresh_record == NULL &&
	       domain->request == NULL && TAILQ_EMPTY(&domain->asking) &&
	       TAILQ_EMPTY(&domain->awaiting);
}
