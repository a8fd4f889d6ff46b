/*
 * How far the validating resolver vouches for an answer, RFC 4035 4.3. "Indeterminate" counts as
 * insecure: both mean that nobody signed a promise about it.
 */
#pragma once

enum security { SECURITY_INSECURE, SECURITY_SECURE, SECURITY_BOGUS };

/* "insecure", "secure", "bogus" */
const char *security_name(enum security security);
