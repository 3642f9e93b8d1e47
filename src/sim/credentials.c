#include "sim/credentials.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "sim/control.h"
#include "sim/json.h"

static void clear_certificates(struct sim_credentials *credentials)
{
    while (credentials->certificate_count)
        X509_free(credentials->certificates[--credentials->certificate_count]);
}

void sim_credentials_clear(struct sim_credentials *credentials)
{
    clear_certificates(credentials);
    free(credentials->federated_token);
    *credentials = (struct sim_credentials){0};
}

static X509 *parse_certificate(const char *pem)
{
    BIO *text = BIO_new_mem_buf(pem, -1);
    X509 *certificate = PEM_read_bio_X509(text, NULL, NULL, NULL);
    BIO_free(text);
    return certificate;
}

static bool set_certificates(struct sim_call *call, yajl_val list)
{
    struct sim_credentials *credentials = &call->sim->credentials;
    if (!YAJL_IS_ARRAY(list) || list->u.array.len > SIM_CERTIFICATES_MAX) {
        snprintf(call->problem, sizeof(call->problem), "certificates is a list of at most %d",
                 SIM_CERTIFICATES_MAX);
        return false;
    }
    clear_certificates(credentials);
    for (size_t i = 0; i < list->u.array.len; i++) {
        const char *pem = YAJL_GET_STRING(list->u.array.values[i]);
        X509 *certificate = pem ? parse_certificate(pem) : NULL;
        if (!certificate) {
            snprintf(call->problem, sizeof(call->problem), "certificate %zu is no PEM", i + 1);
            return false;
        }
        credentials->certificates[credentials->certificate_count++] = certificate;
    }
    return true;
}

unsigned sim_control_credentials(struct sim_call *call)
{
    struct sim_credentials *credentials = &call->sim->credentials;
    yajl_val certificates = sim_json_member(call->body, "certificates");
    const char *token = sim_json_string(call->body, "federated_token", NULL);
    if (certificates && !set_certificates(call, certificates))
        return 400;
    if (token) {
        free(credentials->federated_token);
        credentials->federated_token = strdup(token);
    }
    sim_text_char(call->out, '{');
    sim_text_number(call->out, "certificates", (int64_t)credentials->certificate_count);
    sim_text_bool(call->out, "federated_token", credentials->federated_token != NULL);
    sim_text_char(call->out, '}');
    return 200;
}

struct x509_st *sim_credentials_find(const struct sim_credentials *credentials,
                                     const unsigned char *hash, size_t hash_len)
{
    for (size_t i = 0; i < credentials->certificate_count; i++) {
        unsigned char own[EVP_MAX_MD_SIZE];
        unsigned own_len = 0;
        X509_digest(credentials->certificates[i], hash_len == 20 ? EVP_sha1() : EVP_sha256(), own,
                    &own_len);
        if (own_len == hash_len && memcmp(own, hash, hash_len) == 0)
            return credentials->certificates[i];
    }
    return NULL;
}

/* FNV-1a. */
static uint64_t hash_of(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    return hash;
}

bool sim_credentials_use(struct sim_credentials *credentials, const char *id)
{
    uint64_t hash = hash_of(id);
    size_t kept = credentials->used_count < SIM_ASSERTIONS_KEPT ? credentials->used_count
                                                                : SIM_ASSERTIONS_KEPT;
    for (size_t i = 0; i < kept; i++)
        if (credentials->used[i] == hash)
            return false;
    credentials->used[credentials->used_count++ % SIM_ASSERTIONS_KEPT] = hash;
    return true;
}
