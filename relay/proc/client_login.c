/*
 * An exchange is: choose a mechanism, then hand the server's challenges to libsasl2 one by one, each
 * looked at before. libsasl2 asks for login and password through callbacks.
 */
#include "relay/proc/client_login.h"

#include <sasl/sasl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/base/number.h"
#include "relay/proc/login_library.h"

enum { N_CALLBACKS = 4 };

struct mechanism {
	const char *name;
	bool tells_password;
	bool is_scram;
};

static const struct mechanism mechanisms[] = {
	{ "SCRAM-SHA-256", .is_scram = true },
	{ "SCRAM-SHA-1", .is_scram = true },
	{ "PLAIN", .tells_password = true },
	{ "LOGIN", .tells_password = true },
};

enum { N_MECHANISMS = sizeof mechanisms / sizeof *mechanisms };

struct client_login_office {
	const struct secrets *passwords;
	sasl_callback_t callbacks[N_CALLBACKS];
};

struct client_login {
	struct client_login_office *office;
	char *host, *login;
	sasl_secret_t *secret; /* NULL: there is none for this login */
	size_t n_secret;       /* of the allocation */
	sasl_conn_t *conn;     /* NULL: none could be made */
	sasl_callback_t callbacks[N_CALLBACKS];
	const struct mechanism *mechanism; /* NULL before begin */
	size_t n_challenges;
	bool is_over;
	char *response; /* the last, a copy */
	size_t n_response;
};

static int get_option(
    void *context, const char *plugin, const char *option, const char **result, unsigned *n_result);
static int get_name(void *context, int id, const char **result, unsigned *n_result);
static int get_secret(sasl_conn_t *conn, void *context, int id, sasl_secret_t **secret);
static const struct mechanism *choose(
    const char *offered, bool is_verified, struct client_login_say *say);
static void take_result(
    struct client_login *c, int result, const char *out, unsigned n, struct client_login_say *say);
static bool is_acceptable(
    struct client_login *c, struct slice challenge, struct client_login_say *say);
static void end(struct client_login *c, struct client_login_say *say, enum client_login_state state,
    const char *problem);

/* ---- the office ---- */

struct client_login_office *client_login_office_create(
    const struct secrets *passwords, char *error, size_t room)
{
	struct client_login_office *office = mem_create(sizeof *office);
	int result;

	office->passwords = passwords;
	office->callbacks[0] = LOGIN_CALLBACK(SASL_CB_GETOPT, get_option, office);
	office->callbacks[1] = LOGIN_CALLBACK(SASL_CB_VERIFYFILE, login_choose_plugin, office);
	office->callbacks[2] = LOGIN_CALLBACK(SASL_CB_LOG, login_log_message, office);
	office->callbacks[3] = LOGIN_CALLBACK(SASL_CB_LIST_END, NULL, NULL);
	/*
	 * libsasl2 wants the machine's own name for each exchange and asks the system's resolver if
	 * that has no dot: usually a line of /etc/hosts, but never to be waited for long.
	 */
	setenv("RES_OPTIONS", "timeout:1 attempts:1", 0);
	result = sasl_client_init(office->callbacks);
	if (result == SASL_OK)
		return office;
	snprintf(error, room, "libsasl2 cannot be used for our own logins: %s",
	    sasl_errstring(result, NULL, NULL));
	free(office);
	return NULL;
}

void client_login_office_destroy(struct client_login_office **office)
{
	if (*office == NULL)
		return;
	sasl_client_done();
	free(*office);
	*office = NULL;
}

/* Everything is said in code; no file of libsasl2's own has a say. */
static int get_option(
    void *context, const char *plugin, const char *option, const char **result, unsigned *n_result)
{
	(void)context, (void)plugin, (void)option, (void)result, (void)n_result;
	return SASL_FAIL;
}

/* ---- one exchange ---- */

static sasl_secret_t *make_secret(const char *password, size_t *n)
{
	size_t n_password = strlen(password);
	sasl_secret_t *secret;

	*n = sizeof *secret + n_password;
	secret = mem_create(*n);
	secret->len = n_password;
	memcpy(secret->data, password, n_password);
	return secret;
}

struct client_login *client_login_create(
    struct client_login_office *office, const char *host, const char *login)
{
	static const sasl_security_properties_t properties = {
		.max_ssf = 0, .maxbufsize = 0, .security_flags = SASL_SEC_NOANONYMOUS
	};
	const char *password = secrets_find(office->passwords, login);
	struct client_login *c = mem_create(sizeof *c);

	c->office = office;
	c->host = mem_copy_text(host);
	c->login = mem_copy_text(login);
	if (password != NULL)
		c->secret = make_secret(password, &c->n_secret);
	c->callbacks[0] = LOGIN_CALLBACK(SASL_CB_USER, get_name, NULL);
	c->callbacks[1] = LOGIN_CALLBACK(SASL_CB_AUTHNAME, get_name, c);
	c->callbacks[2] = LOGIN_CALLBACK(SASL_CB_PASS, get_secret, c);
	c->callbacks[3] = LOGIN_CALLBACK(SASL_CB_LIST_END, NULL, NULL);
	if (sasl_client_new("smtp", c->host, NULL, NULL, c->callbacks, 0, &c->conn) != SASL_OK ||
	    sasl_setprop(c->conn, SASL_SEC_PROPS, &properties) != SASL_OK)
		sasl_dispose(&c->conn);
	return c;
}

static void forget_response(struct client_login *c)
{
	mem_free_secret(c->response, c->n_response);
	c->response = NULL;
	c->n_response = 0;
}

void client_login_destroy(struct client_login **exchange)
{
	struct client_login *c = *exchange;

	if (c == NULL)
		return;
	*exchange = NULL;
	sasl_dispose(&c->conn);
	forget_response(c);
	mem_free_secret((char *)c->secret, c->n_secret);
	free(c->host);
	free(c->login);
	free(c);
}

/* For SASL_CB_USER, whom to act as, without a context: nobody but ourselves (RFC 4616 2). */
static int get_name(void *context, int id, const char **result, unsigned *n_result)
{
	struct client_login *c = context;

	(void)id;
	*result = c != NULL ? c->login : "";
	if (n_result != NULL)
		*n_result = (unsigned)strlen(*result);
	return SASL_OK;
}

static int get_secret(sasl_conn_t *conn, void *context, int id, sasl_secret_t **secret)
{
	struct client_login *c = context;

	(void)conn, (void)id;
	*secret = c->secret;
	return SASL_OK;
}

/* ---- its steps ---- */

void client_login_begin(
    struct client_login *c, const char *offered, bool is_verified, struct client_login_say *say)
{
	sasl_interact_t *prompt = NULL;
	const char *out = NULL, *name;
	unsigned n = 0;
	int result;

	*say = (struct client_login_say){ .mechanism = "" };
	if (c->is_over || c->mechanism != NULL) {
		end(c, say, CLIENT_LOGIN_BROKEN, "the exchange has begun already");
	} else if (c->secret == NULL) {
		end(c, say, CLIENT_LOGIN_NO_SECRET,
		    "route-passwords has no password for this login");
	} else if (c->conn == NULL) {
		end(c, say, CLIENT_LOGIN_BROKEN, "libsasl2 cannot begin");
	} else if ((c->mechanism = choose(offered, is_verified, say)) == NULL) {
		end(c, say, CLIENT_LOGIN_NO_MECHANISM, NULL);
	} else {
		result = sasl_client_start(c->conn, c->mechanism->name, &prompt, &out, &n, &name);
		take_result(c, result, out, n, say);
	}
}

void client_login_go_on(
    struct client_login *c, struct slice challenge, struct client_login_say *say)
{
	sasl_interact_t *prompt = NULL;
	const char *out = NULL;
	unsigned n = 0;
	char *text; /* libsasl2 wants a NUL behind it */
	int result;

	forget_response(c);
	*say = (struct client_login_say){ .mechanism = "" };
	if (c->is_over || c->mechanism == NULL) {
		end(c, say, CLIENT_LOGIN_FAILED,
		    "the server says more than belongs to the exchange");
		return;
	}
	if (!is_acceptable(c, challenge, say))
		return;
	text = mem_copy(challenge.n > 0 ? challenge.bytes : "", challenge.n);
	result = sasl_client_step(c->conn, text, (unsigned)challenge.n, &prompt, &out, &n);
	free(text);
	take_result(c, result, out, n, say);
}

static bool offers(const char *offered, const char *name)
{
	while (*offered != '\0') {
		size_t n = strcspn(offered, " ");

		if (slice_equals_nocase((struct slice){ offered, n }, name))
			return true;
		offered += n;
		offered += strspn(offered, " ");
	}
	return false;
}

static const struct mechanism *choose(
    const char *offered, bool is_verified, struct client_login_say *say)
{
	bool would_tell = false;
	char list[100];

	for (size_t i = 0; i < N_MECHANISMS; i++) {
		if (!offers(offered, mechanisms[i].name))
			continue;
		if (is_verified || !mechanisms[i].tells_password)
			return &mechanisms[i];
		would_tell = true;
	}
	if (would_tell)
		snprintf(say->problem, sizeof say->problem,
		    "the server wants the password itself, but its certificate was not verified: "
		    "write \"tls = verify\" or \"dane-only\" for the route");
	else
		snprintf(say->problem, sizeof say->problem,
		    "the server offers \"%s\", and we know SCRAM-SHA-256, SCRAM-SHA-1, PLAIN and "
		    "LOGIN",
		    log_escape(offered, strnlen(offered, sizeof list), list, sizeof list));
	return NULL;
}

static void take_result(
    struct client_login *c, int result, const char *out, unsigned n, struct client_login_say *say)
{
	if (result != SASL_OK && result != SASL_CONTINUE) {
		end(c, say, CLIENT_LOGIN_FAILED,
		    "the server's challenge does not fit: it does not know the password, or is not "
		    "who it says");
		return;
	}
	say->state = result == SASL_OK ? CLIENT_LOGIN_DONE : CLIENT_LOGIN_GO_ON;
	c->is_over = result == SASL_OK;
	say->mechanism = c->mechanism->name;
	say->has_response = out != NULL;
	if (out == NULL)
		return;
	c->response = mem_copy(out, n);
	c->n_response = n;
	say->response = (struct slice){ c->response, n };
	/* In PLAIN it is libsasl2's own copy of the password, which it would free as it is. */
	if (c->mechanism->tells_password && result == SASL_OK && n > c->secret->len)
		explicit_bzero((char *)(uintptr_t)out, n);
}

/* The nth of the attributes, a comma between (RFC 5802 5.1); empty if there are fewer. */
static struct slice attribute(struct slice challenge, size_t nth)
{
	const char *at = challenge.bytes, *end = at + challenge.n, *comma;

	for (;; at = comma + 1) {
		comma = at < end ? memchr(at, ',', (size_t)(end - at)) : NULL;
		if (nth-- == 0)
			return (struct slice){ at, (size_t)((comma != NULL ? comma : end) - at) };
		if (comma == NULL)
			return (struct slice){ 0 };
	}
}

/* SCRAM alone has challenges that mean something: r=, s= and i=, then v= or e=. */
static bool is_acceptable(
    struct client_login *c, struct slice challenge, struct client_login_say *say)
{
	bool is_first = c->n_challenges++ == 0;
	struct slice rounds;
	char text[64];
	uint64_t n;

	if (!c->mechanism->is_scram)
		return true;
	if (challenge.n >= 2 && memcmp(challenge.bytes, "e=", 2) == 0) {
		snprintf(say->problem, sizeof say->problem,
		    "the server refuses our proof of the password, \"%s\": is it the right one?",
		    log_escape(
			challenge.bytes, challenge.n < 40 ? challenge.n : 40, text, sizeof text));
		end(c, say, CLIENT_LOGIN_FAILED, NULL);
		return false;
	}
	if (!is_first)
		return true;
	rounds = attribute(challenge, 2);
	if (rounds.n > 2 && memcmp(rounds.bytes, "i=", 2) == 0 &&
	    number_parse(rounds.bytes + 2, rounds.n - 2, CLIENT_LOGIN_ROUNDS_MOST, &n) &&
	    n >= CLIENT_LOGIN_ROUNDS_LEAST)
		return true;
	snprintf(say->problem, sizeof say->problem,
	    "the server's %s challenge is malformed, or wants a number of rounds that is not "
	    "between %d and %d",
	    c->mechanism->name, CLIENT_LOGIN_ROUNDS_LEAST, CLIENT_LOGIN_ROUNDS_MOST);
	end(c, say, CLIENT_LOGIN_FAILED, NULL);
	return false;
}

/* problem NULL: it stands there already. */
static void end(struct client_login *c, struct client_login_say *say, enum client_login_state state,
    const char *problem)
{
	c->is_over = true;
	say->state = state;
	if (problem != NULL)
		snprintf(say->problem, sizeof say->problem, "%s", problem);
}
