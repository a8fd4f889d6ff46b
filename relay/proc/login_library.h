/*
 * What both sides of libsasl2 have in common here, our clients' logins (login.h) and our own at next
 * hops (client_login.h): which of its plugins are loaded, and where its complaints go. Private to
 * them.
 */
#pragma once

#include <sasl/sasl.h>

/* A row of a list of callbacks. */
#define LOGIN_CALLBACK(id, function, context)                                                      \
	((sasl_callback_t){ id, (int (*)(void))(void (*)(void))(function), context })

/* SASL_CB_VERIFYFILE: of all that is installed only PLAIN, LOGIN and SCRAM come into the process. */
int login_choose_plugin(void *context, const char *file, sasl_verify_type_t type);

/* SASL_CB_LOG: errors to the log, escaped. What libsasl2 says at other levels may hold secrets. */
int login_log_message(void *context, int level, const char *message);
