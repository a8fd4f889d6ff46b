#include "relay/proc/role.h"

const char *role_name(enum role role)
{
	static const char *const names[] = {
#define R(SYMBOL, name, tag) [ROLE_##SYMBOL] = #name,
		ROLES(R)
#undef R
	};

	return names[role];
}

const char *role_tag(enum role role)
{
	static const char *const tags[] = {
#define R(SYMBOL, name, tag) [ROLE_##SYMBOL] = tag,
		ROLES(R)
#undef R
	};

	return tags[role];
}

bool role_is_linked(enum role one, enum role other)
{
#define L(a, b)                                                                                    \
	if ((one == ROLE_##a && other == ROLE_##b) || (one == ROLE_##b && other == ROLE_##a))      \
		return true;
	ROLE_LINKS(L)
#undef L
	return false;
}

const struct role_calls *role_calls_of(enum role role)
{
	static const struct role_calls *const calls[] = {
#define R(SYMBOL, name, tag) [ROLE_##SYMBOL] = &role_##name,
		ROLES(R)
#undef R
	};

	return calls[role];
}
