/* A message in a segment, for tests that hand one over. */
#pragma once

#include "relay/message.h"

/* Fills m with recipients r1@example.net, r2@..., returns the segment's descriptor. */
int sample_message_make(
    struct message *m, const char *header, const char *body, size_t n_recipients);

/* One byte of the body is another one now. */
void sample_message_spoil(int fd, const struct message *m);
