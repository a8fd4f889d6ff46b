#include "relay/proc/login.h"

#include <sasl/sasl.h>
#include <sasl/saslplug.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"
#include "relay/proc/login_library.h"
#include "relay/proc/login_memory.h"
#include "tls/scram.h"

enum { LOGIN_MAX = 256, SECRET_MAX = 512 };

struct login_office {
	const struct secrets *passwords;
	const char *hostname;
	char secret[SECRET_MAX]; /* makes the verifiers of logins that do not exist */
	size_t n_secret;
	struct login_memory *memory;
	sasl_callback_t callbacks[8];
};

struct login {
	struct login_office *office;
	sasl_conn_t *conn;
	sasl_callback_t callbacks[4];
	char name[LOGIN_MAX];
};

/*
 * libsasl2 calls the auxprop plugin's init without an argument of ours, so the one office of the
 * process is remembered here for it.
 */
static struct login_office *the_office;

static int get_option(
    void *context, const char *plugin, const char *option, const char **result, unsigned *n_result);
static int init_auxprop(const sasl_utils_t *utils, int max_version, int *version,
    sasl_auxprop_plug_t **plugin, const char *name);
static int find_verifier(
    void *context, sasl_server_params_t *params, unsigned flags, const char *user, unsigned n_user);
static int check_password(sasl_conn_t *conn, void *context, const char *user, const char *password,
    unsigned n_password, struct propctx *properties);
static int canonical_name(sasl_conn_t *conn, void *context, const char *name, unsigned n,
    unsigned flags, const char *realm, char *out, unsigned n_max, unsigned *n_out);

/* ---- the office ---- */

/*
 * Lasting, so that an unknown login is given the same salt tomorrow, and nobody's to know: the
 * first verifier is both. The host's name keeps two machines apart.
 */
static void make_secret(struct login_office *office)
{
	int n = snprintf(office->secret, sizeof office->secret, "%s %s", office->hostname,
	    office->passwords->n > 0 ? office->passwords->entries[0].text : "");

	office->n_secret =
	    (size_t)n < sizeof office->secret ? (size_t)n : sizeof office->secret - 1;
}

struct login_office *login_office_create(
    const struct secrets *passwords, const char *hostname, char *error, size_t room)
{
	struct login_office *office = mem_create(sizeof *office);
	int result;

	office->passwords = passwords;
	office->hostname = hostname;
	make_secret(office);
	office->memory = login_memory_create();
	office->callbacks[0] = LOGIN_CALLBACK(SASL_CB_GETOPT, get_option, office);
	office->callbacks[1] = LOGIN_CALLBACK(SASL_CB_VERIFYFILE, login_choose_plugin, office);
	office->callbacks[2] = LOGIN_CALLBACK(SASL_CB_LOG, login_log_message, office);
	office->callbacks[3] = LOGIN_CALLBACK(SASL_CB_LIST_END, NULL, NULL);
	the_office = office;
	result = sasl_auxprop_add_plugin("zegel", init_auxprop);
	if (result == SASL_OK)
		result = sasl_server_init(office->callbacks, "zegel");
	if (result == SASL_OK)
		return office;
	snprintf(error, room, "libsasl2 cannot be used: %s", sasl_errstring(result, NULL, NULL));
	login_office_destroy(&office);
	return NULL;
}

void login_office_destroy(struct login_office **office)
{
	if (*office == NULL)
		return;
	sasl_server_done();
	login_memory_destroy(&(*office)->memory);
	explicit_bzero((*office)->secret, sizeof(*office)->secret);
	free(*office);
	*office = NULL;
	the_office = NULL;
}

static int get_option(
    void *context, const char *plugin, const char *option, const char **result, unsigned *n_result)
{
	static const char *const options[][2] = {
		{ "mech_list", "PLAIN LOGIN SCRAM-SHA-256" },
		{ "pwcheck_method", "auxprop" },
		{ "auxprop_plugin", "zegel" },
		{ "log_level", "2" },
	};

	(void)context, (void)plugin;
	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
		if (strcmp(option, options[i][0]) == 0) {
			*result = options[i][1];
			if (n_result != NULL)
				*n_result = (unsigned)strlen(*result);
			return SASL_OK;
		}
	}
	return SASL_FAIL;
}

/* ---- verifiers ---- */

static int init_auxprop(const sasl_utils_t *utils, int max_version, int *version,
    sasl_auxprop_plug_t **plugin, const char *name)
{
	static char plugin_name[] = "zegel";
	static sasl_auxprop_plug_t plug = { .auxprop_lookup = find_verifier, .name = plugin_name };

	(void)utils, (void)name;
	if (max_version < SASL_AUXPROP_PLUG_VERSION)
		return SASL_BADVERS;
	*version = SASL_AUXPROP_PLUG_VERSION;
	plug.glob_context = the_office;
	*plugin = &plug;
	return SASL_OK;
}

/* The verifier of the login, or one that fits nothing: the steps and the time are the same. */
static int verifier_of(const struct login_office *office, const char *user, unsigned n_user,
    char verifier[SCRAM_TEXT_MAX])
{
	char login[LOGIN_MAX];
	const char *known;

	if (n_user >= sizeof login)
		return -1;
	memcpy(login, user, n_user);
	login[n_user] = '\0';
	known = secrets_find(office->passwords, login);
	if (known == NULL)
		return scram_fake_verifier(office->secret, office->n_secret, login, verifier);
	snprintf(verifier, SCRAM_TEXT_MAX, "%s", known);
	return 0;
}

/*
 * Called twice for each login: for the authentication, then for the authorisation, where it must
 * say SASL_OK too.
 */
static int find_verifier(
    void *context, sasl_server_params_t *params, unsigned flags, const char *user, unsigned n_user)
{
	const struct propval *wanted = params->utils->prop_get(params->propctx);
	char verifier[SCRAM_TEXT_MAX];

	if (verifier_of(context, user, n_user, verifier) != 0)
		return SASL_NOUSER;
	for (; wanted != NULL && wanted->name != NULL; wanted++) {
		bool is_for_authentication = wanted->name[0] == '*';

		if (is_for_authentication == ((flags & SASL_AUXPROP_AUTHZID) == 0) &&
		    strcmp(wanted->name + is_for_authentication, "authPassword") == 0)
			params->utils->prop_set(params->propctx, wanted->name, verifier, -1);
	}
	explicit_bzero(verifier, sizeof verifier);
	return SASL_OK;
}

static int check_password(sasl_conn_t *conn, void *context, const char *user, const char *password,
    unsigned n_password, struct propctx *properties)
{
	struct login *login = context;
	char verifier[SCRAM_TEXT_MAX];
	bool fits;

	(void)conn, (void)properties;
	if (verifier_of(login->office, user, (unsigned)strlen(user), verifier) != 0)
		return SASL_BADAUTH;
	fits = login_memory_knows(login->office->memory, verifier, password, n_password);
	if (!fits) {
		fits = scram_check_password(verifier, password, n_password);
		if (fits)
			login_memory_note(login->office->memory, verifier, password, n_password);
	}
	explicit_bzero(verifier, sizeof verifier);
	return fits ? SASL_OK : SASL_BADAUTH;
}

static bool is_possible(const char *name, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (name[i] <= ' ' || name[i] > '~')
			return false;
	}
	return n > 0 && n < LOGIN_MAX;
}

/*
 * One login has one name: ASCII letters in lower case, and nothing but printable ASCII, so that
 * full-width or composed look-alikes are no other way in. What can be no login becomes one that
 * nobody has, and fails when its password does: that takes the same time, and libsasl2's LOGIN
 * leaks the password if a name is refused here (login.c of 2.1.28).
 */
static int canonical_name(sasl_conn_t *conn, void *context, const char *name, unsigned n,
    unsigned flags, const char *realm, char *out, unsigned n_max, unsigned *n_out)
{
	static const char nobody[] = "\x01";
	struct login *login = context;
	bool possible = is_possible(name, n) && n < n_max;

	(void)conn, (void)realm;
	if (!possible) {
		name = nobody;
		n = sizeof nobody - 1;
	}
	for (unsigned i = 0; i < n; i++)
		out[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
	out[n] = '\0';
	*n_out = n;
	if ((flags & SASL_CU_AUTHID) != 0)
		snprintf(login->name, sizeof login->name, "%s", possible ? out : "");
	return SASL_OK;
}

/* ---- one exchange ---- */

struct login *login_create(struct login_office *office)
{
	static const sasl_security_properties_t properties = {
		.max_ssf = 0, .maxbufsize = 0, .security_flags = SASL_SEC_NOANONYMOUS
	};
	struct login *login = mem_create(sizeof *login);

	login->office = office;
	login->callbacks[0] =
	    LOGIN_CALLBACK(SASL_CB_SERVER_USERDB_CHECKPASS, check_password, login);
	login->callbacks[1] = LOGIN_CALLBACK(SASL_CB_CANON_USER, canonical_name, login);
	login->callbacks[2] = LOGIN_CALLBACK(SASL_CB_LIST_END, NULL, NULL);
	if (sasl_server_new("smtp", office->hostname, NULL, NULL, NULL, login->callbacks, 0,
		&login->conn) == SASL_OK &&
	    sasl_setprop(login->conn, SASL_SEC_PROPS, &properties) == SASL_OK)
		return login;
	login_destroy(&login);
	return NULL;
}

void login_destroy(struct login **login)
{
	if (*login == NULL)
		return;
	sasl_dispose(&(*login)->conn);
	free(*login);
	*login = NULL;
}

const char *login_name(const struct login *login)
{
	return login->name;
}

static enum login_step step_of(int result)
{
	switch (result) {
	case SASL_OK: return LOGIN_DONE;
	case SASL_CONTINUE: return LOGIN_CHALLENGE;
	case SASL_UNAVAIL:
	case SASL_TRYAGAIN:
	case SASL_NOMEM: return LOGIN_BROKEN;
	default: return LOGIN_REFUSED;
	}
}

enum login_step login_start(struct login *login, const char *mechanism, const uint8_t *response,
    size_t n, const uint8_t **challenge, size_t *n_challenge)
{
	unsigned n_out = 0;
	const char *out = NULL;
	int result = sasl_server_start(
	    login->conn, mechanism, (const char *)response, (unsigned)n, &out, &n_out);

	*challenge = (const uint8_t *)out;
	*n_challenge = out != NULL ? n_out : 0;
	return step_of(result);
}

enum login_step login_go_on(struct login *login, const uint8_t *response, size_t n,
    const uint8_t **challenge, size_t *n_challenge)
{
	unsigned n_out = 0;
	const char *out = NULL;
	int result =
	    sasl_server_step(login->conn, (const char *)response, (unsigned)n, &out, &n_out);

	*challenge = (const uint8_t *)out;
	*n_challenge = out != NULL ? n_out : 0;
	return step_of(result);
}
