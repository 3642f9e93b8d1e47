#include "loop/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct sl_tls {
    SSL_CTX *context;
};

struct sl_tls_session {
    SSL *ssl;
    BIO *arrived;   /* owned by ssl: bytes from the peer */
    BIO *departing; /* owned by ssl: bytes for the peer */
};

/* The first reason OpenSSL noted, which is the root of the others; its queue is empty afterwards.
 */
static const char *reason(void)
{
    unsigned long code = ERR_peek_error();
    ERR_clear_error();
    if (ERR_SYSTEM_ERROR(code))
        return strerror(ERR_GET_REASON(code));
    const char *text = code ? ERR_reason_error_string(code) : NULL;
    return text ? text : "unknown TLS error";
}

static int load_files(SSL_CTX *context, const struct sl_tls_options *options, struct sl_err *err)
{
    if (!options->ca_file) {
        if (!SSL_CTX_set_default_verify_paths(context))
            return sl_err_set(err, SL_CONFIG, "cannot load the system's CAs: %s", reason());
    } else if (!SSL_CTX_load_verify_locations(context, options->ca_file, NULL)) {
        return sl_err_set(err, SL_CONFIG, "cannot use CA file %s: %s", options->ca_file, reason());
    }
    if (!options->certificate && !options->key)
        return SL_OK;
    if (!options->certificate || !options->key)
        return sl_err_set(err, SL_CONFIG, "a client certificate needs both certificate and key");
    if (SSL_CTX_use_certificate_chain_file(context, options->certificate) != 1)
        return sl_err_set(err, SL_CONFIG, "cannot use certificate file %s: %s",
                          options->certificate, reason());
    if (SSL_CTX_use_PrivateKey_file(context, options->key, SSL_FILETYPE_PEM) != 1)
        return sl_err_set(err, SL_CONFIG, "cannot use key file %s: %s", options->key, reason());
    return SL_OK;
}

struct sl_tls *sl_tls_new(const struct sl_tls_options *options, struct sl_err *err)
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context) {
        sl_err_set(err, SL_CONFIG, "cannot set up TLS: %s", reason());
        return NULL;
    }
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (load_files(context, options, err) != SL_OK) {
        SSL_CTX_free(context);
        return NULL;
    }
    struct sl_tls *tls = SL_NEW(struct sl_tls);
    tls->context = context;
    return tls;
}

void sl_tls_free(struct sl_tls *tls)
{
    if (!tls)
        return;
    SSL_CTX_free(tls->context);
    free(tls);
}

/* Certificates name addresses and names in different fields; SNI takes names only. */
static bool expect_host(SSL *ssl, const char *host)
{
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1)
        return true;
    ERR_clear_error();
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

struct sl_tls_session *sl_tls_session_new(struct sl_tls *tls, const char *host, struct sl_err *err)
{
    ERR_clear_error();
    SSL *ssl = SSL_new(tls->context);
    BIO *arrived = BIO_new(BIO_s_mem());
    BIO *departing = BIO_new(BIO_s_mem());
    if (!ssl || !arrived || !departing || !expect_host(ssl, host)) {
        sl_err_set(err, SL_CONFIG, "cannot set up TLS for host %s: %s", host, reason());
        SSL_free(ssl);
        BIO_free(arrived);
        BIO_free(departing);
        return NULL;
    }
    BIO_set_mem_eof_return(arrived, -1); /* empty means "later", not "ended" */
    SSL_set_bio(ssl, arrived, departing);
    SSL_set_connect_state(ssl);

    struct sl_tls_session *session = SL_NEW(struct sl_tls_session);
    session->ssl = ssl;
    session->arrived = arrived;
    session->departing = departing;
    return session;
}

void sl_tls_session_free(struct sl_tls_session *session)
{
    if (!session)
        return;
    SSL_free(session->ssl);
    free(session);
}

void sl_tls_arrived(struct sl_tls_session *session, const void *bytes, size_t size)
{
    size_t written;
    BIO_write_ex(session->arrived, bytes, size, &written); /* a memory BIO takes all */
}

/* What a failed SSL call means: SL_OK when it only waits for the peer. */
static int outcome(struct sl_tls_session *session, int result, const char *doing,
                   struct sl_err *err)
{
    switch (SSL_get_error(session->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return SL_OK;
    case SSL_ERROR_ZERO_RETURN:
        return SL_END;
    default:
        return sl_err_set(err, SL_CLOSED, "TLS %s failed: %s", doing, reason());
    }
}

int sl_tls_handshake(struct sl_tls_session *session, bool *ret_done, struct sl_err *err)
{
    ERR_clear_error();
    int result = SSL_do_handshake(session->ssl);
    *ret_done = result == 1;
    if (result == 1)
        return SL_OK;

    int rc = outcome(session, result, "handshake", err);
    long verdict = SSL_get_verify_result(session->ssl);
    if (rc != SL_OK && verdict != X509_V_OK)
        return sl_err_set(err, SL_CONFIG, "the server's certificate is not accepted: %s",
                          X509_verify_cert_error_string(verdict));
    if (rc == SL_END)
        return sl_err_set(err, SL_CLOSED, "the server ended the TLS handshake");
    return rc;
}

int sl_tls_read(struct sl_tls_session *session, void *out, size_t size, size_t *ret_size,
                struct sl_err *err)
{
    ERR_clear_error();
    *ret_size = 0;
    int result = SSL_read_ex(session->ssl, out, size, ret_size);
    return result == 1 ? SL_OK : outcome(session, result, "reading", err);
}

int sl_tls_write(struct sl_tls_session *session, const void *bytes, size_t size, size_t *ret_size,
                 struct sl_err *err)
{
    ERR_clear_error();
    *ret_size = 0;
    int result = SSL_write_ex(session->ssl, bytes, size, ret_size);
    return result == 1 ? SL_OK : outcome(session, result, "writing", err);
}

void sl_tls_goodbye(struct sl_tls_session *session)
{
    ERR_clear_error();
    if (SSL_is_init_finished(session->ssl))
        SSL_shutdown(session->ssl);
    ERR_clear_error();
}

void sl_tls_departing(struct sl_tls_session *session, struct sl_outbox *box)
{
    char *bytes = NULL;
    long size = BIO_get_mem_data(session->departing, &bytes);
    if (size > 0) {
        sl_outbox_add(box, bytes, (size_t)size);
        (void)BIO_reset(session->departing);
    }
}
