/*
 * A resolver that a test plays: it answers from a script, in the loop, as the real one does. Linked in
 * place of relay/lookup/resolver.c.
 */
#pragma once

#include "relay/lookup/resolver.h"

/*
 * Lines "NAME TYPE ANSWER": "a.test A 127.0.0.1", "_mta-sts.a.test TXT v=STSv1; id=1;" (a name may
 * have several), "a.test MX 10 mx.a.test", "a.test A ERROR", "a.test A BOGUS", "a.test A SILENCE". "secure" before the answer makes
 * it so. What has no line is no such name. Script may be changed at any time; it stays the test's. One
 * that resolver_create_like() makes follows the script of the first; "NO RESOLVER" is a script with which
 * there can be none.
 */
struct resolver *play_resolver_create(struct loop *loop, const char *script);
void play_resolver_set(struct resolver *resolver, const char *script);

/* How often NAME and TYPE were asked for. */
size_t play_resolver_count(const struct resolver *resolver, const char *name, const char *type);
