/*
 * DNS records for an operator to publish: lines of a zone file, or JSON with the plain value, since
 * some providers' forms want the one and some the other.
 */
#pragma once

#include "dkim/key.h"
#include "relay/cli/cli.h"

/* A TXT record; why is for people and stands above it. domain is what it was asked for. */
void records_print_text(const struct cli *cli, const char *domain, const char *name,
    const char *value, const char *why);

/* SELECTOR._domainkey.DOMAIN */
void records_print_key(
    const struct cli *cli, const char *domain, const char *selector, const struct dkim_key *key);
