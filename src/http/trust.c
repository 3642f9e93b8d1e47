#include "http/trust.h"

#include <unistd.h>

#include <curl/curl.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include "loop/tls.h"

/* Where this build of libcurl keeps the system's bundle; NULL when it does not say. */
static const char *system_bundle(void)
{
    const char *path = curl_version_info(CURLVERSION_NOW)->cainfo;
    if (path && !access(path, R_OK))
        return path;
    path = "/etc/ssl/certs/ca-certificates.crt";
    return access(path, R_OK) ? NULL : path;
}

struct x509_store_st *sl_trust_load(const char *ca_file, struct sl_err *err)
{
    X509_STORE *store = X509_STORE_new();
    const char *path = ca_file ? ca_file : system_bundle();

    if (!store) {
        sl_err_set(err, SL_CONFIG, "cannot make a certificate store");
        return NULL;
    }
    /* A certificate that is listed is trusted, whether it signed itself or not. */
    X509_STORE_set_flags(store, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
    if (path ? X509_STORE_load_file(store, path) : X509_STORE_set_default_paths(store)) {
        sl_tls_heed_revocations(store);
        return store;
    }

    unsigned long cause = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(cause);
    sl_err_set(err, SL_CONFIG, "cannot read certificates from '%s': %s",
               path ? path : "the system's default place", reason ? reason : "none found");
    ERR_clear_error();
    X509_STORE_free(store);
    return NULL;
}

int sl_trust_check(const char *ca_file, struct sl_err *err)
{
    struct x509_store_st *store = sl_trust_load(ca_file, err);
    if (!store)
        return SL_CONFIG;
    X509_STORE_free(store);
    return SL_OK;
}
