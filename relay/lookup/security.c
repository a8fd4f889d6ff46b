#include "relay/lookup/security.h"

#include <stddef.h>

const char *security_name(enum security security)
{
	switch (security) {
	case SECURITY_INSECURE: return "insecure";
	case SECURITY_SECURE: return "secure";
	case SECURITY_BOGUS: return "bogus";
	}
	return NULL;
}
