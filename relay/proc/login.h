/*
 * libsasl2 behind our own words: logins against stored verifiers with PLAIN, LOGIN and
 * SCRAM-SHA-256. Only the auth role has it, because it may block and holds the verifiers. An unknown
 * login is answered in the same steps, words and time as a wrong password.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/secrets.h"

struct login_office;
struct login;

/*
 * One per process: libsasl2 keeps its state there. passwords and hostname outlive it. NULL with a
 * text in error.
 */
struct login_office *login_office_create(
    const struct secrets *passwords, const char *hostname, char *error, size_t room);
void login_office_destroy(struct login_office **office);

enum login_step {
	LOGIN_CHALLENGE, /* *challenge is to be sent; another response follows */
	LOGIN_DONE,      /* login_name() is who it is */
	LOGIN_REFUSED,
	LOGIN_BROKEN, /* it cannot be told now */
};

/* One exchange. NULL if libsasl2 cannot begin one. */
struct login *login_create(struct login_office *office);
void login_destroy(struct login **login);

/* The first step names the mechanism; response NULL if the client gave none. *challenge is valid
 * until the next call. */
enum login_step login_start(struct login *login, const char *mechanism, const uint8_t *response,
    size_t n, const uint8_t **challenge, size_t *n_challenge);
enum login_step login_go_on(struct login *login, const uint8_t *response, size_t n,
    const uint8_t **challenge, size_t *n_challenge);

/* Who it is, or (after a refusal) who it claimed to be; "" if it did not get so far. Lower case. */
const char *login_name(const struct login *login);
