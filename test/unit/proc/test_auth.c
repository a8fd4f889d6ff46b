/*
 * The auth role on its channels: intakes are told whether a client's login is right, deliveries what
 * to say at a next hop, and neither gets anything that is the other's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/passwords.h"
#include "relay/client_login.h"
#include "relay/proc/role.h"
#include "smtp/server.h"
#include "tls/scram.h"

struct peer {
	struct channel *channel;
	size_t n_answers, n_gone;
	uint8_t verdict; /* or state */
	char text[300];  /* account, or problem */
	char mechanism[32];
	char response[200];
	size_t n_response;
};

struct scene {
	struct loop *loop;
	struct config config;
	struct config_route routes[2];
	struct house house;
	void *auth;
	struct peer intake, delivery;
	char verifiers[40], secrets[40];
};

static void on_message(void *arg, struct channel *channel, struct ipc_message *m)
{
	struct peer *peer = arg;

	(void)channel;
	peer->n_answers++;
	if (m->type == IPC_AUTH_SAY) {
		peer->verdict = m->auth_say.verdict;
		strcpy(peer->text, m->auth_say.account);
		return;
	}
	assert_int_equal(m->type, IPC_CLIENT_SAY);
	peer->verdict = m->client_say.state;
	strcpy(peer->text, m->client_say.problem);
	strcpy(peer->mechanism, m->client_say.mechanism);
	peer->n_response = m->client_say.response.n;
	assert_true(peer->n_response < sizeof peer->response);
	if (peer->n_response > 0)
		memcpy(peer->response, m->client_say.response.bytes, peer->n_response);
}

static void on_gone(void *arg, struct channel *channel)
{
	struct peer *peer = arg;

	(void)channel;
	peer->n_gone++;
}

static void write_file(char *path, const char *text)
{
	int fd;

	strcpy(path, "/tmp/zegel-auth-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void meet(struct scene *s, enum role role, struct peer *peer)
{
	int ends[2];

	assert_int_equal(channel_make_pair(ends), 0);
	peer->channel = channel_create(s->loop, ends[1], on_message, on_gone, peer);
	role_auth.meet(s->auth, role, channel_create(s->loop, ends[0], NULL, NULL, NULL));
}

static int set_up(void **state)
{
	static char hostname[] = "mail.example.org", smarthost[] = "smarthost.example",
		    other[] = "other.example", login[] = "relay@example.org", all[] = "*",
		    one[] = "bank.example";
	struct scene *s = calloc(1, sizeof *s);
	char verifier[SCRAM_TEXT_MAX], error[512];

	s->loop = loop_create();
	write_file(s->verifiers, "");
	write_file(s->secrets, "relay@example.org hush\nunrouted@example.org hush\n");
	assert_int_equal(scram_make_verifier("secret", 6, verifier), 0);
	assert_int_equal(passwords_set(s->verifiers, "web@example.org", verifier, (gid_t)-1, error,
			     sizeof error),
	    0);
	s->routes[0] = (struct config_route){ .domain = all, .host = smarthost, .login = login };
	s->routes[1] = (struct config_route){ .domain = one, .host = other };
	s->config = (struct config){ .hostname = hostname,
		.passwords = s->verifiers,
		.route_passwords = s->secrets,
		.routes = s->routes,
		.n_routes = 2 };
	s->house = (struct house){ .config = &s->config, .loop = s->loop };
	s->auth = role_auth.create(&s->house);
	assert_non_null(s->auth);
	meet(s, ROLE_INTAKE, &s->intake);
	meet(s, ROLE_DELIVERY, &s->delivery);
	*state = s;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *s = *state;

	if (s->auth != NULL)
		role_auth.destroy(s->auth);
	channel_destroy(&s->intake.channel);
	channel_destroy(&s->delivery.channel);
	loop_destroy(&s->loop);
	unlink(s->verifiers);
	unlink(s->secrets);
	free(s);
	return 0;
}

static void turn(struct scene *s)
{
	for (int i = 0; i < 50; i++)
		loop_run_once(s->loop, false);
}

static void ask_login(struct scene *s, struct peer *peer)
{
	static const char plain[] = "\0web@example.org\0secret";
	const struct ipc_message m = { .type = IPC_AUTH_ASK,
		.fd = -1,
		.auth_ask = { .number = 1,
		    .exchange = 1,
		    .is_first = 1,
		    .mechanism = "PLAIN",
		    .has_response = 1,
		    .response = { plain, sizeof plain - 1 },
		    .client = "192.0.2.1" } };

	channel_send(peer->channel, &m);
	turn(s);
}

static void ask_client(struct scene *s, struct peer *peer, uint64_t exchange, const char *host,
    const char *login, const char *mechanisms)
{
	const struct ipc_message m = { .type = IPC_CLIENT_ASK,
		.fd = -1,
		.client_ask = { .number = exchange,
		    .exchange = exchange,
		    .is_first = 1,
		    .host = host,
		    .login = login,
		    .is_verified = 1,
		    .mechanisms = mechanisms } };

	channel_send(peer->channel, &m);
	turn(s);
}

static void go_on(struct scene *s, struct peer *peer, uint64_t exchange, const char *challenge)
{
	const struct ipc_message m = { .type = IPC_CLIENT_ASK,
		.fd = -1,
		.client_ask = { .number = exchange,
		    .exchange = exchange,
		    .host = "",
		    .login = "",
		    .mechanisms = "",
		    .challenge = { challenge, strlen(challenge) } } };

	channel_send(peer->channel, &m);
	turn(s);
}

static void each_is_answered_what_is_its_own(void **state)
{
	struct scene *s = *state;

	ask_login(s, &s->intake);
	assert_int_equal(s->intake.n_answers, 1);
	assert_int_equal(s->intake.verdict, SMTP_AUTH_DONE);
	assert_string_equal(s->intake.text, "web@example.org");
	ask_client(s, &s->delivery, 1, "smarthost.example", "relay@example.org", "PLAIN");
	assert_int_equal(s->delivery.n_answers, 1);
	assert_int_equal(s->delivery.verdict, CLIENT_LOGIN_DONE);
	assert_string_equal(s->delivery.mechanism, "PLAIN");
	assert_int_equal(s->delivery.n_response, 23);
	assert_memory_equal(s->delivery.response, "\0relay@example.org\0hush", 23);
}

/* One that was taken over can neither try logins, nor (the other) learn our passwords. */
static void nothing_is_answered_that_is_the_others(void **state)
{
	struct scene *s = *state;

	ask_client(s, &s->intake, 1, "smarthost.example", "relay@example.org", "PLAIN");
	ask_login(s, &s->delivery);
	assert_int_equal(s->intake.n_answers, 0);
	assert_int_equal(s->delivery.n_answers, 0);
}

static void a_login_is_told_to_the_host_of_its_route_alone(void **state)
{
	static const struct {
		const char *host, *login;
	} cases[] = {
		{ "other.example", "relay@example.org" },
		{ "evil.example", "relay@example.org" },
		{ "smarthost.example.evil.example", "relay@example.org" },
		{ "", "relay@example.org" },
		{ "smarthost.example", "unrouted@example.org" },
		{ "smarthost.example", "" },
		{ "other.example", "" },
	};
	struct scene *s = *state;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		ask_client(s, &s->delivery, i, cases[i].host, cases[i].login, "PLAIN");
		assert_int_equal(s->delivery.n_answers, i + 1);
		assert_int_equal(s->delivery.verdict, CLIENT_LOGIN_NO_SECRET);
		assert_int_equal(s->delivery.n_response, 0);
		assert_non_null(strstr(s->delivery.text, "no route"));
	}
}

static void exchanges_of_several_questions(void **state)
{
	struct scene *s = *state;
	const struct ipc_message forget = {
		.type = IPC_CLIENT_FORGET, .fd = -1, .client_forget = { .exchange = 8 }
	};
	struct peer other = { 0 };

	ask_client(s, &s->delivery, 7, "smarthost.example", "relay@example.org", "LOGIN");
	ask_client(s, &s->delivery, 8, "smarthost.example", "relay@example.org", "LOGIN");
	assert_int_equal(s->delivery.verdict, CLIENT_LOGIN_GO_ON);
	/* Another delivery does not go on with it. */
	meet(s, ROLE_DELIVERY, &other);
	go_on(s, &other, 7, "Username:");
	assert_int_equal(other.verdict, CLIENT_LOGIN_BROKEN);
	assert_int_equal(other.n_response, 0);
	channel_destroy(&other.channel);
	go_on(s, &s->delivery, 7, "Username:");
	assert_int_equal(s->delivery.verdict, CLIENT_LOGIN_GO_ON);
	assert_memory_equal(s->delivery.response, "relay@example.org", 17);
	go_on(s, &s->delivery, 7, "Password:");
	assert_int_equal(s->delivery.verdict, CLIENT_LOGIN_DONE);
	assert_memory_equal(s->delivery.response, "hush", 4);
	go_on(s, &s->delivery, 7, "More:"); /* it is over */
	assert_int_equal(s->delivery.verdict, CLIENT_LOGIN_BROKEN);
	channel_send(s->delivery.channel, &forget);
	go_on(s, &s->delivery, 8, "Username:");
	assert_int_equal(s->delivery.verdict, CLIENT_LOGIN_BROKEN);
	/* Begun again under the same number, it begins anew. */
	ask_client(s, &s->delivery, 9, "smarthost.example", "relay@example.org", "LOGIN");
	ask_client(s, &s->delivery, 9, "smarthost.example", "relay@example.org", "SCRAM-SHA-256");
	assert_string_equal(s->delivery.mechanism, "SCRAM-SHA-256");
	channel_destroy(&s->delivery.channel); /* with one under way */
	turn(s);
}

static void other_roles_are_turned_away(void **state)
{
	struct scene *s = *state;
	struct peer queue = { 0 };

	meet(s, ROLE_QUEUE, &queue);
	turn(s);
	assert_int_equal(queue.n_gone, 1);
	channel_destroy(&queue.channel);
}

static void files_that_cannot_be_read_stop_the_role(void **state)
{
	struct scene *s = *state;
	void *auth;

	role_auth.destroy(s->auth);
	s->auth = NULL;
	unlink(s->secrets);
	assert_null(role_auth.create(&s->house));
	s->routes[0].login = NULL; /* then nobody needs it */
	auth = role_auth.create(&s->house);
	assert_non_null(auth);
	role_auth.destroy(auth);
	unlink(s->verifiers);
	assert_null(role_auth.create(&s->house));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(each_is_answered_what_is_its_own),
		T(nothing_is_answered_that_is_the_others),
		T(a_login_is_told_to_the_host_of_its_route_alone),
		T(exchanges_of_several_questions),
		T(other_roles_are_turned_away),
		T(files_that_cannot_be_read_stop_the_role),
#undef T
	};

	return cmocka_run_group_tests_name("proc/auth", tests, NULL, NULL);
}
