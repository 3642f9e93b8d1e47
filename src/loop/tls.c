#include "loop/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct sl_tls {
    SSL_CTX *context;
    char *ca_file; /* NULL: the system's CAs */
    char *subject; /* of our certificate; NULL: none */
};

struct sl_tls_session {
    const struct sl_tls *tls;
    char *host; /* whom the certificate must name */
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

/* --- what all connections share --- */

void sl_tls_heed_revocations(struct x509_store_st *store)
{
    const STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(store);
    for (int i = 0; i < sk_X509_OBJECT_num(objects); i++)
        if (X509_OBJECT_get_type(sk_X509_OBJECT_value(objects, i)) == X509_LU_CRL) {
            X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
            return;
        }
}

static int load_trusted(SSL_CTX *context, const char *ca_file, struct sl_err *err)
{
    if (ca_file && !SSL_CTX_load_verify_file(context, ca_file))
        return sl_err_set(err, SL_CONFIG, "cannot use CA file %s: %s", ca_file, reason());
    if (ca_file) {
        sl_tls_heed_revocations(SSL_CTX_get_cert_store(context));
        return SL_OK;
    }
    /* A bundle is read now. Of a folder of single files, OpenSSL reads the one that it needs when
     * it is first needed, and keeps it. */
    if (!SSL_CTX_set_default_verify_paths(context))
        return sl_err_set(err, SL_CONFIG, "cannot load the system's CAs: %s", reason());
    return SL_OK;
}

struct password {
    const char *text; /* NULL: none */
    bool asked;
};

/* Without it OpenSSL would ask at the terminal. */
static int give_password(char *out, int size, int writing, void *ctx)
{
    struct password *password = ctx;
    (void)writing;
    if (!password)
        return -1;
    password->asked = true;
    size_t length = password->text ? strlen(password->text) : 0;
    if (!password->text || length > (size_t)size)
        return -1;
    memcpy(out, password->text, length);
    return (int)length;
}

static int load_key(SSL_CTX *context, const struct sl_tls_options *options, struct sl_err *err)
{
    struct password password = {.text = options->password};
    SSL_CTX_set_default_passwd_cb_userdata(context, &password);
    bool loaded = SSL_CTX_use_PrivateKey_file(context, options->key, SSL_FILETYPE_PEM) == 1;
    SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
    if (loaded)
        return SL_OK;
    const char *why = reason();
    if (password.asked)
        why = password.text ? "its password is wrong" : "it is encrypted and no password is given";
    return sl_err_set(err, SL_CONFIG, "cannot use key file %s: %s", options->key, why);
}

static int load_certificate(SSL_CTX *context, const struct sl_tls_options *options,
                            struct sl_err *err)
{
    if (!options->certificate && !options->key)
        return SL_OK;
    if (!options->certificate || !options->key)
        return sl_err_set(err, SL_CONFIG, "a client certificate needs both certificate and key");
    if (SSL_CTX_use_certificate_chain_file(context, options->certificate) != 1)
        return sl_err_set(err, SL_CONFIG, "cannot use certificate file %s: %s",
                          options->certificate, reason());
    return load_key(context, options, err);
}

/* NULL: no certificate. The caller frees it. */
static char *subject_of(SSL_CTX *context)
{
    const X509 *certificate = SSL_CTX_get0_certificate(context);
    BIO *text = certificate ? BIO_new(BIO_s_mem()) : NULL;
    if (!text)
        return NULL;
    char *bytes = NULL;
    X509_NAME_print_ex(text, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
    long size = BIO_get_mem_data(text, &bytes);
    char *subject = sl_strndup(size > 0 ? bytes : "", size > 0 ? (size_t)size : 0);
    BIO_free(text);
    return subject;
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
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION); /* a write never waits for a read */
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_default_passwd_cb(context, give_password);
    if (load_trusted(context, options->ca_file, err) != SL_OK ||
        load_certificate(context, options, err) != SL_OK) {
        SSL_CTX_free(context);
        return NULL;
    }
    struct sl_tls *tls = SL_NEW(struct sl_tls);
    tls->context = context;
    tls->ca_file = options->ca_file ? sl_strdup(options->ca_file) : NULL;
    tls->subject = subject_of(context);
    return tls;
}

void sl_tls_free(struct sl_tls *tls)
{
    if (!tls)
        return;
    SSL_CTX_free(tls->context);
    free(tls->ca_file);
    free(tls->subject);
    free(tls);
}

const char *sl_tls_subject(const struct sl_tls *tls)
{
    return tls->subject;
}

/* --- one connection --- */

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
    session->tls = tls;
    session->host = sl_strdup(host);
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
    free(session->host);
    free(session);
}

void sl_tls_arrived(struct sl_tls_session *session, const void *bytes, size_t size)
{
    size_t written;
    BIO_write_ex(session->arrived, bytes, size, &written); /* a memory BIO takes all */
}

/* Alerts by which a server says that it wants another client certificate than it got. */
static bool about_our_certificate(int alert)
{
    switch (alert) {
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        return true;
    default:
        return false;
    }
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
        break;
    }
    unsigned long code = ERR_peek_error();
    if (!ERR_SYSTEM_ERROR(code) && about_our_certificate(ERR_GET_REASON(code)))
        return sl_err_set(err, SL_CONFIG, "the server %s: %s",
                          session->tls->subject ? "does not accept our certificate"
                                                : "wants a client certificate, and none is set",
                          reason());
    return sl_err_set(err, SL_CLOSED, "TLS %s failed: %s", doing, reason());
}

/* The certificate did not pass: says what an operator has to compare. */
static int refuse_server(const struct sl_tls_session *session, long verdict, struct sl_err *err)
{
    const char *text = X509_verify_cert_error_string(verdict);
    const char *ca_file = session->tls->ca_file;
    switch (verdict) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return sl_err_set(err, SL_CONFIG,
                          "the server's certificate is not accepted: %s, it does not name %s", text,
                          session->host);
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        return sl_err_set(
            err, SL_CONFIG,
            "the server's certificate is not accepted: %s, it is not signed by a CA of %s", text,
            ca_file ? ca_file : "the system");
    default:
        return sl_err_set(err, SL_CONFIG, "the server's certificate is not accepted: %s", text);
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
        return refuse_server(session, verdict, err);
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

int sl_tls_peek(struct sl_tls_session *session, bool *ret_some, struct sl_err *err)
{
    char byte;
    size_t size;
    ERR_clear_error();
    int result = SSL_peek_ex(session->ssl, &byte, 1, &size);
    *ret_some = result == 1;
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
