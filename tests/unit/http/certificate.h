/* Certificates for the name localhost, made and written here. */
#ifndef SL_TEST_HTTP_CERTIFICATE_H
#define SL_TEST_HTTP_CERTIFICATE_H

#include <stdio.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

struct pair {
    EVP_PKEY *key;
    X509 *certificate;
};

/* rsa_bits 0: an elliptic curve. */
static inline struct pair make_pair(const char *name, unsigned rsa_bits)
{
    struct pair pair = {rsa_bits ? EVP_RSA_gen(rsa_bits) : EVP_EC_gen("P-256"), X509_new()};
    static long serial;
    X509 *certificate = pair.certificate;
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    X509_set_version(certificate, 2);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, pair.key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost");
    X509_add_ext(certificate, names, -1);
    X509_EXTENSION_free(names);
    X509_sign(certificate, pair.key, EVP_sha256());
    return pair;
}

static inline void free_pair(struct pair pair)
{
    X509_free(pair.certificate);
    EVP_PKEY_free(pair.key);
}

/* Both replace a file as a careful program does, by renaming. */
static inline void write_certificate(X509 *certificate, const char *path)
{
    char temporary[120];
    snprintf(temporary, sizeof temporary, "%s.new", path);
    FILE *file = fopen(temporary, "w");
    PEM_write_X509(file, certificate);
    fclose(file);
    rename(temporary, path);
}

static inline void write_key(EVP_PKEY *key, const char *path)
{
    char temporary[120];
    snprintf(temporary, sizeof temporary, "%s.new", path);
    FILE *file = fopen(temporary, "w");
    PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
    fclose(file);
    rename(temporary, path);
}

static inline void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
}

#endif
