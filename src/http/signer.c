#include "http/signer.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "format/base64.h"

enum {
    FILE_BYTES_MAX = 256 * 1024,
    KEY_BITS_MIN = 2048, /* Entra ID takes no less */
    CERTIFICATES_MAX = 32,
};

struct sl_signer {
    char *file; /* of the certificate */
    X509 *certificate;
    EVP_PKEY *key;
    int64_t begin_ms, end_ms; /* wall clock: when the certificate is valid */
};

/* What a PEM file holds. */
struct content {
    X509 *certificate[CERTIFICATES_MAX];
    size_t count;
    EVP_PKEY *key;
    bool encrypted; /* a key is */
};

static const char *reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *text = code ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    return text ? text : "unknown error";
}

/* --- PEM --- */

static void take_certificate(struct content *content, const uint8_t *der, long size)
{
    if (content->count == CERTIFICATES_MAX)
        return;
    X509 *certificate = d2i_X509(NULL, &der, size);
    if (certificate)
        content->certificate[content->count++] = certificate;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && !strcmp(text + length - end_length, end);
}

static void take_block(struct content *content, const char *kind, const char *header,
                       const uint8_t *der, long size)
{
    if (!strcmp(kind, PEM_STRING_X509) || !strcmp(kind, PEM_STRING_X509_OLD))
        take_certificate(content, der, size);
    else if (!strcmp(kind, PEM_STRING_PKCS8) || strstr(header, "ENCRYPTED"))
        content->encrypted = true;
    else if (!content->key && ends_with(kind, "PRIVATE KEY"))
        content->key = d2i_AutoPrivateKey(NULL, &der, size);
}

/* Block by block, since what PEM_read_bio_X509 passes over, a key before the certificate, it would
 * leave behind in memory that is not wiped. */
static void take_blocks(struct content *content, struct sl_str text)
{
    char *kind, *header;
    uint8_t *der;
    long size;
    BIO *file = BIO_new_mem_buf(text.at, (int)text.length);
    while (file && PEM_read_bio_ex(file, &kind, &header, &der, &size, PEM_FLAG_SECURE)) {
        take_block(content, kind, header, der, size);
        OPENSSL_secure_free(kind);
        OPENSSL_secure_free(header);
        OPENSSL_secure_clear_free(der, (size_t)size);
    }
    BIO_free(file);
    ERR_clear_error();
}

static int read_content(const char *path, struct content *content, struct sl_err *err)
{
    struct sl_buf text;
    sl_buf_init_secret(&text);
    const char *wrong = sl_file_read(path, FILE_BYTES_MAX, &text);
    if (!wrong)
        take_blocks(content, sl_buf_view(&text));
    sl_buf_done(&text);
    return wrong ? sl_err_set(err, SL_CONFIG, "cannot read '%s': %s", path, wrong) : SL_OK;
}

static void content_done(struct content *content)
{
    for (size_t i = 0; i < content->count; i++)
        X509_free(content->certificate[i]);
    EVP_PKEY_free(content->key);
}

/* --- what it must be like --- */

static int check_key(const struct content *content, const char *path, struct sl_err *err)
{
    if (!content->key && content->encrypted)
        return sl_err_set(err, SL_CONFIG,
                          "the key in '%s' is encrypted; sluice needs it without a passphrase, in "
                          "a file that only its user may read",
                          path);
    if (!content->key)
        return sl_err_set(err, SL_CONFIG,
                          "'%s' holds no private key in PEM form; openssl pkcs12 -nodes makes that "
                          "of a .pfx file",
                          path);
    if (!EVP_PKEY_is_a(content->key, "RSA"))
        return sl_err_set(err, SL_CONFIG,
                          "the key in '%s' is no RSA key; Entra ID takes only those", path);
    if (EVP_PKEY_get_bits(content->key) < KEY_BITS_MIN)
        return sl_err_set(err, SL_CONFIG, "the key in '%s' has %d bits; Entra ID wants %d or more",
                          path, EVP_PKEY_get_bits(content->key), KEY_BITS_MIN);
    return SL_OK;
}

static int64_t ms_of(const ASN1_TIME *time)
{
    struct tm tm;
    if (!ASN1_TIME_to_tm(time, &tm))
        return 0;
    int64_t days = sl_days_from_civil(tm.tm_year + INT64_C(1900), (unsigned)tm.tm_mon + 1,
                                      (unsigned)tm.tm_mday);
    return (((days * 24 + tm.tm_hour) * 60 + tm.tm_min) * 60 + tm.tm_sec) * 1000;
}

static bool belongs(const X509 *certificate, const EVP_PKEY *key)
{
    const EVP_PKEY *public_key = X509_get0_pubkey(certificate);
    return public_key && EVP_PKEY_eq(public_key, key) == 1;
}

/* Of several for one key, as after a renewal, the one that lasts longest. */
static X509 *choose(const struct content *content, const EVP_PKEY *key)
{
    X509 *best = NULL;
    for (size_t i = 0; i < content->count; i++) {
        X509 *one = content->certificate[i];
        if (belongs(one, key) &&
            (!best || ms_of(X509_get0_notAfter(one)) > ms_of(X509_get0_notAfter(best))))
            best = one;
    }
    ERR_clear_error();
    return best;
}

static int join(const struct content *certificates, const char *certificate_file,
                const struct content *keys, const char *key_file, struct sl_signer **ret,
                struct sl_err *err)
{
    int rc = check_key(keys, key_file, err);
    if (rc != SL_OK)
        return rc;
    if (!certificates->count)
        return sl_err_set(err, SL_CONFIG, "'%s' holds no certificate in PEM form",
                          certificate_file);
    X509 *certificate = choose(certificates, keys->key);
    if (!certificate)
        return sl_err_set(
            err, SL_CONFIG,
            "the key in '%s' does not belong to the certificate in '%s'; both must be "
            "of the same pair",
            key_file, certificate_file);
    struct sl_signer *signer = SL_NEW(struct sl_signer);
    X509_up_ref(certificate);
    EVP_PKEY_up_ref(keys->key);
    signer->file = sl_strdup(certificate_file);
    signer->certificate = certificate;
    signer->key = keys->key;
    signer->begin_ms = ms_of(X509_get0_notBefore(certificate));
    signer->end_ms = ms_of(X509_get0_notAfter(certificate));
    *ret = signer;
    return SL_OK;
}

int sl_signer_load(const char *certificate_file, const char *key_file, struct sl_signer **ret,
                   struct sl_err *err)
{
    struct content certificates = {0}, other = {0};
    const struct content *keys = key_file ? &other : &certificates;
    ERR_clear_error();
    int rc = read_content(certificate_file, &certificates, err);
    if (rc == SL_OK && key_file)
        rc = read_content(key_file, &other, err);
    if (rc == SL_OK)
        rc = join(&certificates, certificate_file, keys, key_file ? key_file : certificate_file,
                  ret, err);
    content_done(&certificates);
    content_done(&other);
    return rc;
}

void sl_signer_free(struct sl_signer *signer)
{
    if (!signer)
        return;
    X509_free(signer->certificate);
    EVP_PKEY_free(signer->key);
    free(signer->file);
    free(signer);
}

int sl_signer_check_time(const struct sl_signer *signer, int64_t wall_ms, struct sl_err *err)
{
    char day[SL_ISO_BYTES];
    if (wall_ms >= signer->end_ms) {
        sl_iso_format(signer->end_ms, day);
        return sl_err_set(err, SL_CONFIG,
                          "the certificate in '%s' expired on %.10s; put a new one there that is "
                          "registered with the application",
                          signer->file, day);
    }
    if (wall_ms < signer->begin_ms) {
        sl_iso_format(signer->begin_ms, day);
        return sl_err_set(
            err, SL_CONFIG,
            "the certificate in '%s' is not valid before %.19s UTC; is this machine's "
            "clock right?",
            signer->file, day);
    }
    return SL_OK;
}

int64_t sl_signer_end_ms(const struct sl_signer *signer)
{
    return signer->end_ms;
}

/* --- use --- */

void sl_signer_add_thumbprint(const struct sl_signer *signer, enum sl_signing by,
                              struct sl_buf *out)
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (X509_digest(signer->certificate, by == SL_RS256 ? EVP_sha1() : EVP_sha256(), hash, &size))
        sl_base64url_encode(out, hash, size);
}

static bool set_padding(EVP_PKEY_CTX *context, enum sl_signing by)
{
    if (by == SL_RS256)
        return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1;
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1;
}

int sl_signer_sign(const struct sl_signer *signer, enum sl_signing by, struct sl_str bytes,
                   struct sl_buf *out, struct sl_err *err)
{
    size_t size = (size_t)EVP_PKEY_get_size(signer->key);
    uint8_t *signature = sl_alloc(size);
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    EVP_PKEY_CTX *context;
    ERR_clear_error();
    bool made =
        digest && EVP_DigestSignInit(digest, &context, EVP_sha256(), NULL, signer->key) == 1 &&
        set_padding(context, by) &&
        EVP_DigestSign(digest, signature, &size, (const uint8_t *)bytes.at, bytes.length) == 1;
    if (made)
        sl_base64url_encode(out, signature, size);
    EVP_MD_CTX_free(digest);
    free(signature);
    return made ? SL_OK
                : sl_err_set(err, SL_CONFIG, "cannot sign with the key of '%s': %s", signer->file,
                             reason());
}
