/* Source: "Microsoft identity platform application authentication certificate credentials" for
 * header and claims; which code answers which mistake is common knowledge (docs/SIMULATOR.md). */
#include "sim/assertion.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "sim/clock.h"
#include "sim/json.h"

enum {
    MALFORMED = 50027,
    USED = 50013,
    OTHER_CLIENT = 700021,
    OTHER_AUDIENCE = 700023,
    OUT_OF_TIME = 700024,
    NOT_SIGNED = 700027,
    NOT_FEDERATED = 700213,
    LIFE_MOST_S = 600,
    SKEW_S = 5,
    PARTS = 3,
    PART_BYTES = 12288,
};

struct part {
    unsigned char bytes[PART_BYTES + 1]; /* decoded, and a NUL */
    size_t len;
};

/* The alphabet for URLs, and no padding. */
static int letter_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

static bool decode(const char *text, size_t len, struct part *ret)
{
    unsigned bits = 0, have = 0;
    ret->len = 0;
    if (len % 4 == 1 || len / 4 * 3 + 2 > PART_BYTES)
        return false;
    for (size_t i = 0; i < len; i++) {
        int value = letter_value(text[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (unsigned)value;
        have += 6;
        if (have >= 8) {
            have -= 8;
            ret->bytes[ret->len++] = (unsigned char)(bits >> have);
        }
    }
    ret->bytes[ret->len] = '\0';
    return true;
}

/* Cuts at the dots; *ret_signed_len is the length of what the signature covers. */
static bool cut(const char *assertion, struct part parts[PARTS], size_t *ret_signed_len)
{
    const char *at = assertion;
    for (int i = 0; i < PARTS; i++) {
        const char *dot = strchr(at, '.');
        bool last = i == PARTS - 1;
        if (last == (dot != NULL))
            return false;
        size_t len = dot ? (size_t)(dot - at) : strlen(at);
        if (len == 0 || !decode(at, len, &parts[i]))
            return false;
        if (last)
            *ret_signed_len = (size_t)(at - assertion) - 1;
        at += len + 1;
    }
    return true;
}

/* --- the signature --- */

/* The certificate that the header names, when its algorithm is one that goes with that name. */
static X509 *named_certificate(struct sim *sim, yajl_val header, bool pss)
{
    const char *print = sim_json_string(header, "x5t#S256", NULL);
    const char *old_print = sim_json_string(header, "x5t", NULL);
    struct part hash;
    if (print && decode(print, strlen(print), &hash) && hash.len == 32)
        return sim_credentials_find(&sim->credentials, hash.bytes, hash.len);
    if (!pss && old_print && decode(old_print, strlen(old_print), &hash) && hash.len == 20)
        return sim_credentials_find(&sim->credentials, hash.bytes, hash.len);
    return NULL;
}

static bool verify(X509 *certificate, bool pss, const char *text, size_t len,
                   const struct part *signature)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    EVP_PKEY_CTX *key;
    bool ok =
        EVP_DigestVerifyInit(digest, &key, EVP_sha256(), NULL, X509_get0_pubkey(certificate)) == 1;
    if (ok && pss)
        ok = EVP_PKEY_CTX_set_rsa_padding(key, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(key, 32) == 1;
    ok = ok && EVP_DigestVerify(digest, signature->bytes, signature->len,
                                (const unsigned char *)text, len) == 1;
    EVP_MD_CTX_free(digest);
    return ok;
}

static bool is_signed(struct sim *sim, yajl_val header, const char *text, size_t len,
                      const struct part *signature)
{
    const char *algorithm = sim_json_string(header, "alg", "");
    bool pss = strcmp(algorithm, "PS256") == 0;
    if (!pss && strcmp(algorithm, "RS256") != 0)
        return false;
    X509 *certificate = named_certificate(sim, header, pss);
    return certificate && X509_cmp_current_time(X509_get0_notAfter(certificate)) > 0 &&
           X509_cmp_current_time(X509_get0_notBefore(certificate)) < 0 &&
           verify(certificate, pss, text, len, signature);
}

/* --- the claims --- */

static bool is_audience(const struct sim_token_request *request, const char *audience)
{
    char expected[512];
    const char *host = strstr(audience, "://");
    snprintf(expected, sizeof(expected), "%s/%s/oauth2/v2.0/token", request->authority,
             request->tenant);
    return host &&
           (strncmp(audience, "http://", 7) == 0 || strncmp(audience, "https://", 8) == 0) &&
           strcasecmp(host + 3, expected) == 0;
}

static int check_claims(struct sim *sim, const struct sim_token_request *request,
                        const char *client, yajl_val claims)
{
    int64_t now_s = sim_clock_ms() / 1000;
    int64_t begin_s = sim_json_number(claims, "nbf", INT64_MAX);
    int64_t end_s = sim_json_number(claims, "exp", 0);
    const char *id = sim_json_string(claims, "jti", "");
    if (strcasecmp(sim_json_string(claims, "iss", ""), client) != 0 ||
        strcasecmp(sim_json_string(claims, "sub", ""), client) != 0)
        return OTHER_CLIENT;
    if (!is_audience(request, sim_json_string(claims, "aud", "")))
        return OTHER_AUDIENCE;
    if (begin_s > now_s + SKEW_S || end_s <= now_s || end_s - begin_s > LIFE_MOST_S)
        return OUT_OF_TIME;
    if (!*id)
        return MALFORMED;
    return sim_credentials_use(&sim->credentials, id) ? 0 : USED;
}

int sim_assertion_check(struct sim *sim, const struct sim_token_request *request,
                        const char *client, const char *assertion)
{
    const char *federated = sim->credentials.federated_token;
    if (federated && strcmp(assertion, federated) == 0)
        return 0;

    struct part *parts = sim_alloc(PARTS * sizeof(*parts));
    size_t signed_len = 0;
    yajl_val header = NULL;
    yajl_val claims = NULL;
    int code = MALFORMED;
    if (cut(assertion, parts, &signed_len)) {
        header = yajl_tree_parse((const char *)parts[0].bytes, NULL, 0);
        claims = yajl_tree_parse((const char *)parts[1].bytes, NULL, 0);
    }
    if (YAJL_IS_OBJECT(header) && YAJL_IS_OBJECT(claims) &&
        strcmp(sim_json_string(header, "typ", ""), "JWT") == 0) {
        if (strcasecmp(sim_json_string(claims, "iss", ""), client) != 0 &&
            strcasecmp(sim_json_string(claims, "sub", ""), client) != 0)
            code = NOT_FEDERATED; /* of another issuer, then */
        else if (!is_signed(sim, header, assertion, signed_len, &parts[2]))
            code = NOT_SIGNED;
        else
            code = check_claims(sim, request, client, claims);
    }
    yajl_tree_free(claims);
    yajl_tree_free(header);
    free(parts);
    return code;
}
