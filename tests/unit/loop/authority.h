/* A certificate for localhost alone, signed by itself, and a file with it as the trusted CA. */
#ifndef SL_TESTS_LOOP_AUTHORITY_H
#define SL_TESTS_LOOP_AUTHORITY_H

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    char ca_path[64];
    EVP_PKEY *key;
    X509 *certificate;
} authority;

static inline void add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

/* A new file, whose name goes to path. */
static inline FILE *make_file(char path[64])
{
    snprintf(path, 64, "/tmp/sluice-tls-XXXXXX");
    int fd = mkstemp(path);
    return fdopen(fd, "w");
}

static inline void authority_make(void)
{
    authority.key = EVP_RSA_gen(2048);
    X509 *certificate = authority.certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, authority.key);
    X509_NAME *name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)"Schleuse, Köln",
                               -1, -1, 0);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(certificate, NID_subject_alt_name, "DNS:localhost");
    X509_sign(certificate, authority.key, EVP_sha256());

    FILE *file = make_file(authority.ca_path);
    PEM_write_X509(file, certificate);
    fclose(file);
}

static inline void authority_drop(void)
{
    unlink(authority.ca_path);
    X509_free(authority.certificate);
    EVP_PKEY_free(authority.key);
}

/* Certificate and key in one file, the key encrypted when a password is given. The caller unlinks
 * it. */
static inline void authority_write_pem(char path[64], const char *password)
{
    FILE *file = make_file(path);
    PEM_write_X509(file, authority.certificate);
    PEM_write_PKCS8PrivateKey(file, authority.key, password ? EVP_aes_128_cbc() : NULL, password,
                              password ? (int)strlen(password) : 0, NULL, NULL);
    fclose(file);
}

/* The server's side, with that certificate. The caller frees it. */
static inline SSL_CTX *authority_server(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(context, authority.certificate);
    SSL_CTX_use_PrivateKey(context, authority.key);
    return context;
}

#endif
