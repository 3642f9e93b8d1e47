/* TLS by OpenSSL between two byte queues, without a socket: its user feeds it what arrived and
 * sends what it wants sent. The peer's certificate and name are always verified; at least TLS 1.2.
 */
#ifndef SL_LOOP_TLS_H
#define SL_LOOP_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "loop/outbox.h"

struct sl_tls;         /* what many connections share: trusted CAs, our certificate */
struct sl_tls_session; /* one connection */

struct sl_tls_options {
    const char *ca_file;     /* PEM, perhaps with revocation lists; NULL: the system's CAs */
    const char *certificate; /* PEM chain to show to the peer; NULL: none */
    const char *key;         /* PEM, goes with certificate; may be the same file */
    const char *password;    /* secret: opens the key; NULL: the key is not encrypted */
};

/* Loads the files: call it at the start, it reads from the disk. Borrows options. NULL with
 * SL_CONFIG naming the file that cannot be used. */
struct sl_tls *sl_tls_new(const struct sl_tls_options *options, struct sl_err *err);
void sl_tls_free(struct sl_tls *tls);

/* When store, that was filled from a file, holds a revocation list (CRL), then from now on the
 * certificate of a peer must be covered by one and not be on it. Nobody is asked over the network.
 */
struct x509_store_st;
void sl_tls_heed_revocations(struct x509_store_st *store);

/* The subject of the certificate that is shown to the peer, as RFC 2253 writes it in ASCII:
 * "CN=a,O=b\, c", an ü being \C3\BC. NULL when there is none. Lives as long as tls. */
const char *sl_tls_subject(const struct sl_tls *tls);

/* A client session with host (a name or an address); tls must outlive it. NULL with SL_CONFIG. */
struct sl_tls_session *sl_tls_session_new(struct sl_tls *tls, const char *host, struct sl_err *err);
void sl_tls_session_free(struct sl_tls_session *session);

/* Takes bytes that arrived from the peer. */
void sl_tls_arrived(struct sl_tls_session *session, const void *bytes, size_t size);

/* Goes on with the handshake. SL_OK: see *ret_done. Fails with SL_CONFIG when the certificate is
 * not trusted or names another host, or when the peer refuses ours (in TLS 1.3 only the first read
 * tells that), with SL_CLOSED for anything else. */
int sl_tls_handshake(struct sl_tls_session *session, bool *ret_done, struct sl_err *err);

/* Decrypts into out; *ret_size 0 means that more must arrive first. SL_END: the peer closed. */
int sl_tls_read(struct sl_tls_session *session, void *out, size_t size, size_t *ret_size,
                struct sl_err *err);

/* What the next sl_tls_read would find if nothing more arrived: SL_OK, with *ret_some telling
 * whether there is a byte, or its failure. */
int sl_tls_peek(struct sl_tls_session *session, bool *ret_some, struct sl_err *err);

/* Encrypts bytes; *ret_size says how many were taken. */
int sl_tls_write(struct sl_tls_session *session, const void *bytes, size_t size, size_t *ret_size,
                 struct sl_err *err);

/* Says goodbye to the peer (close_notify), as far as that is possible without waiting. */
void sl_tls_goodbye(struct sl_tls_session *session);

/* Moves what must be sent to the peer into box. */
void sl_tls_departing(struct sl_tls_session *session, struct sl_outbox *box);

#endif
