/*
 * What TLS a host must show. Each of these is one idea in a file of its own; the rules are in route.h.
 * They run in this order: the operator's word, DANE, MTA-STS, then what the message asks.
 */
#pragma once

#include "relay/route_scene.h"

/* ---- route_tls.c ---- */

/* All of them: fills the TLS part of a host, its watches, and unusable if it can't be met at all. */
void route_require_tls(
    const struct route_scene *scene, const struct facts_host *facts_host, struct plan_host *host);

/* The level is new: what an earlier one needed is forgotten. */
void route_set_level(struct plan_host *host, enum tls_level level, enum tls_demand demand);

/* ---- route_partner.c ---- */

void route_find_word(struct route_scene *scene);

/* What scene->partner, which is not NULL, says while it is neither observed nor excepted. */
struct route_word route_word_of_rule(const struct route_scene *scene);

/* The names that the rule allows for MX hosts. */
void route_filter_mx(
    const struct route_scene *scene, const struct route_word *word, struct plan_host *host);

/* The names that "secure" accepts: never one that only the DNS gave. */
void route_name_partner(
    const struct config_partner *partner, const char *domain, struct tls_requirement *tls);

/* "until 2026-12-01T00:00:00Z, tls=encrypt (ticket 123)"; "" for NULL. */
void route_print_exception(const struct config_exception *exception, char *text, size_t room);

/* ---- route_dane.c ---- */

/* Copies what was published into the host, whatever becomes of it. */
void route_tell_tlsa(const struct facts_host *facts_host, struct plan_host *host);

void route_apply_dane(const struct route_scene *scene, const struct route_word *word,
    const struct facts_host *facts_host, struct plan_host *host);

/*
 * RFC 7672 2.2.1: is it sure that these are the hosts? Not so if insecure MX records, which anybody
 * may have forged, name them.
 */
bool route_hosts_are_sure(const struct route_scene *scene, const struct route_word *word);

/* The reference names of usage 2, and the SNI. */
void route_name_dane(const struct route_scene *scene, struct plan_host *host);

/* ---- route_sts.c ---- */

/* The policy that is in force for the recipients, or NULL. */
const struct sts_finding *route_sts(const struct route_scene *scene);

void route_apply_sts(
    const struct route_scene *scene, const struct route_word *word, struct plan_host *host);

/* ---- route_sender.c ---- */

/* The account's floor, then REQUIRETLS. */
void route_apply_wish(const struct route_scene *scene, struct plan_host *host);

/* Does anything better than insecure MX records say that it is a host of the destination? */
bool route_host_is_sure(
    const struct route_scene *scene, const struct route_word *word, const struct plan_host *host);

/* ---- for all of them ---- */

void route_add_name(struct tls_requirement *tls, const char *name);
