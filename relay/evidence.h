/*
 * The one line that answers, later, how safe a delivery was: what was required of the host, by
 * whom, and what it has shown.
 */
#pragma once

#include "relay/plan.h"
#include "tls/evidence.h"

enum { EVIDENCE_MAX = 600 };

/*
 * shown: "TLSv1.3 TLS_AES_256_GCM_SHA384, level dane by dane, matched dane-ee 3 1 1, mx.example".
 * Without (NULL), instead of says what there is: "plaintext, level may by default, mx.example".
 */
void evidence_print(const struct plan_host *host, const struct tls_evidence *shown,
    const char *instead, char text[EVIDENCE_MAX]);
