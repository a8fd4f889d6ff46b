#include "relay/proc/login_library.h"

#include <string.h>

#include "relay/base/log.h"

int login_choose_plugin(void *context, const char *file, sasl_verify_type_t type)
{
	static const char *const wanted[] = { "libplain.", "liblogin.", "libscram." };
	const char *base = strrchr(file, '/');

	(void)context;
	if (type != SASL_VRFY_PLUGIN)
		return SASL_OK;
	base = base != NULL ? base + 1 : file;
	for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
		if (strncmp(base, wanted[i], strlen(wanted[i])) == 0)
			return SASL_OK;
	}
	return SASL_CONTINUE;
}

int login_log_message(void *context, int level, const char *message)
{
	char text[256];

	(void)context;
	if (level <= SASL_LOG_ERR)
		log_warning(
		    "libsasl2: %s", log_escape(message, strlen(message), text, sizeof text));
	return SASL_OK;
}
