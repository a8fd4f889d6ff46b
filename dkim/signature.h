/*
 * What a DKIM-Signature field says (RFC 6376 3.5), read strictly.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dkim/algorithm.h"
#include "dkim/canonical.h"
#include "relay/base/buffer.h"
#include "relay/base/domain.h"

struct dkim_signature {
	enum dkim_algorithm algorithm;
	enum dkim_canonical header_form;
	enum dkim_canonical body_form;
	char domain[DOMAIN_MAX];          /* d=, canonical */
	char selector[DKIM_SELECTOR_MAX]; /* s= */
	struct slice signed_names; /* h=: names separated by colons, maybe with white space */
	uint8_t body_hash[DKIM_DIGEST_SIZE];
	uint8_t signature[DKIM_SIGNATURE_MAX];
	size_t n_signature;
	struct slice raw_signature; /* the bytes of b= in the field, to be left out when hashing */
	bool has_time, has_expiry, has_length;
	bool identity_is_below; /* i= is in a subdomain of d= */
	uint64_t time_s;        /* t= */
	uint64_t expiry_s;      /* x= */
};

/*
 * field is the whole field without the CRLF at its end, and must outlive the signature. False with
 * a text in why (room bytes) that names the tag and what is wrong with it.
 */
bool dkim_signature_parse(
    struct slice field, struct dkim_signature *signature, char *why, size_t room);

/* Takes the next name off h=, without white space around it; false at its end. */
bool dkim_signature_next_name(struct slice *names, struct slice *name);
