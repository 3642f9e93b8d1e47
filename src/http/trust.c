#include "http/trust.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>

#include "loop/fiber.h"
#include "loop/tls.h"

enum { SLICE = 2 }; /* certificates, some 0.12 ms each; then others have their turn */

/* Where this build of libcurl keeps the system's bundle; NULL when it does not say. */
static const char *system_bundle(void)
{
    const char *path = curl_version_info(CURLVERSION_NOW)->cainfo;
    if (path && !access(path, R_OK))
        return path;
    path = "/etc/ssl/certs/ca-certificates.crt";
    return access(path, R_OK) ? NULL : path;
}

/* Anything else in such a file, a key say, is passed over. */
static bool add(X509_STORE *store, const char *kind, const uint8_t *der, long size)
{
    if (!strcmp(kind, PEM_STRING_X509_CRL)) {
        X509_CRL *list = d2i_X509_CRL(NULL, &der, size);
        bool added = list && X509_STORE_add_crl(store, list);
        X509_CRL_free(list);
        return added;
    }
    X509 *certificate;
    if (!strcmp(kind, PEM_STRING_X509) || !strcmp(kind, PEM_STRING_X509_OLD))
        certificate = d2i_X509(NULL, &der, size);
    else if (!strcmp(kind, PEM_STRING_X509_TRUSTED))
        certificate = d2i_X509_AUX(NULL, &der, size);
    else
        return true;
    bool added = certificate && X509_STORE_add_cert(store, certificate);
    X509_free(certificate);
    return added;
}

/* SL_NOTFOUND: there is no other one. */
static int add_next(X509_STORE *store, BIO *file)
{
    char *kind, *header;
    uint8_t *der;
    long size;
    ERR_clear_error();
    if (!PEM_read_bio(file, &kind, &header, &der, &size))
        return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE ? SL_NOTFOUND
                                                                            : SL_CONFIG;
    int rc = add(store, kind, der, size) ? SL_OK : SL_CONFIG;
    OPENSSL_free(kind);
    OPENSSL_free(header);
    OPENSSL_clear_free(der, (size_t)size);
    return rc;
}

static int add_file(X509_STORE *store, const char *path, bool suspends)
{
    int rc = SL_CONFIG;
    ERR_clear_error();
    BIO *file = BIO_new_file(path, "r");
    for (int count = 1; file && (rc = add_next(store, file)) == SL_OK; count++)
        if (count % SLICE == 0 && suspends && (rc = sl_fiber_yield()) != SL_OK)
            break;
    BIO_free(file);
    if (rc == SL_NOTFOUND && sk_X509_OBJECT_num(X509_STORE_get0_objects(store))) {
        ERR_clear_error();
        rc = SL_OK;
    }
    return rc;
}

static int cannot_read(const char *path, struct sl_err *err)
{
    unsigned long cause = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(cause);
    ERR_clear_error();
    return sl_err_set(err, SL_CONFIG, "cannot read certificates from '%s': %s",
                      path ? path : "the system's default place", reason ? reason : "none found");
}

int sl_trust_load(const char *ca_file, struct x509_store_st **ret, struct sl_err *err)
{
    X509_STORE *store = X509_STORE_new();
    const char *path = ca_file ? ca_file : system_bundle();
    int rc = SL_CONFIG;
    if (!store)
        return sl_err_set(err, SL_CONFIG, "cannot make a certificate store");

    /* A certificate that is listed is trusted, whether it signed itself or not. */
    X509_STORE_set_flags(store, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
    if (path)
        rc = add_file(store, path, !ca_file);
    else if (X509_STORE_set_default_paths(store))
        rc = SL_OK;
    if (rc != SL_OK) {
        X509_STORE_free(store);
        return rc == SL_CANCELED
                   ? sl_err_set(err, SL_CANCELED, "cancelled while certificates were read")
                   : cannot_read(path, err);
    }
    sl_tls_heed_revocations(store);
    *ret = store;
    return SL_OK;
}

int sl_trust_check(const char *ca_file, struct sl_err *err)
{
    struct x509_store_st *store = NULL;
    int rc = sl_trust_load(ca_file, &store, err);
    if (rc == SL_OK)
        X509_STORE_free(store);
    return rc;
}
