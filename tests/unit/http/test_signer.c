/* http/signer: which certificates and keys go together, and that what they sign is what OpenSSL
 * verifies. */
#include "http/signer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/clock.h"
#include "format/base64.h"
#include "http/certificate.h"

#include <cmocka.h>

static char folder[] = "/tmp/sluice-signer-XXXXXX";
static struct pair one, other, curve, small;

/* A file in the folder; up to four at a time. */
static const char *at(const char *name)
{
    static char path[4][120];
    static unsigned next;
    char *out = path[next++ % 4];
    snprintf(out, sizeof path[0], "%s/%s", folder, name);
    return out;
}

/* As PKCS#1. */
static void write_traditional(FILE *file, bool encrypted)
{
    static const unsigned char password[] = "password";
    fflush(file);
    BIO *out = BIO_new_fp(file, BIO_NOCLOSE);
    PEM_write_bio_PrivateKey_traditional(out, one.key, encrypted ? EVP_aes_128_cbc() : NULL,
                                         encrypted ? password : NULL, encrypted ? 8 : 0, NULL,
                                         NULL);
    BIO_free(out);
}

/* Writes to name what the letters say: c and k of the first pair, C and K of the other, e and p of
 * a curve, s and h of a short key; r the key as PKCS#1, x and X encrypted ones; t a text. */
static void write_file(const char *name, const char *letters)
{
    FILE *file = fopen(at(name), "w");
    for (; *letters; letters++) {
        if (*letters == 't')
            fputs("Bag Attributes\n    friendlyName: a\n", file);
        if (strchr("cCes", *letters))
            PEM_write_X509(file, *letters == 'c'   ? one.certificate
                                 : *letters == 'C' ? other.certificate
                                 : *letters == 'e' ? curve.certificate
                                                   : small.certificate);
        if (strchr("kKph", *letters))
            PEM_write_PrivateKey(file,
                                 *letters == 'k'   ? one.key
                                 : *letters == 'K' ? other.key
                                 : *letters == 'p' ? curve.key
                                                   : small.key,
                                 NULL, NULL, 0, NULL, NULL);
        if (*letters == 'r' || *letters == 'X')
            write_traditional(file, *letters == 'X');
        if (*letters == 'x')
            PEM_write_PKCS8PrivateKey(file, one.key, EVP_aes_128_cbc(), "password", 8, NULL, NULL);
    }
    fclose(file);
}

static const struct {
    const char *certificate, *key; /* what is in the files; key NULL: there is none */
    const char *wrong;             /* in the message; NULL: they can be used */
} rows[] = {
    {"c",   "k",  NULL                                                },
    {"kc",  NULL, NULL                                                },
    {"ck",  NULL, NULL                                                },
    {"tct", "tk", NULL                                                },
    {"c",   "r",  NULL                                                },
    {"Cc",  "k",  NULL                                                },
    {"Cck", NULL, NULL                                                },
    {"c",   "K",  "does not belong to the certificate in"             },
    {"C",   "k",  "does not belong to the certificate in"             },
    {"c",   NULL, "holds no private key in PEM form"                  },
    {"c",   "c",  "holds no private key in PEM form"                  },
    {"c",   "",   "holds no private key in PEM form"                  },
    {"k",   "k",  "holds no certificate in PEM form"                  },
    {"t",   "k",  "holds no certificate in PEM form"                  },
    {"e",   "p",  "is no RSA key"                                     },
    {"s",   "h",  "has 1024 bits; Entra ID wants 2048 or more"        },
    {"c",   "x",  "is encrypted; sluice needs it without a passphrase"},
    {"c",   "X",  "is encrypted; sluice needs it without a passphrase"},
};

static int load(const char *key, struct sl_signer **ret, struct sl_err *err)
{
    return sl_signer_load(at("c.pem"), key ? at("k.pem") : NULL, ret, err);
}

static void only_a_pair_can_be_used(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sl_signer *signer = NULL;
        struct sl_err err = {0};
        write_file("c.pem", rows[i].certificate);
        write_file("k.pem", rows[i].key ? rows[i].key : "");
        int rc = load(rows[i].key, &signer, &err);
        assert_int_equal(rc, rows[i].wrong ? SL_CONFIG : SL_OK);
        if (rows[i].wrong) {
            assert_non_null(strstr(err.message, rows[i].wrong));
            assert_non_null(strstr(err.message, folder));
            assert_null(signer);
        }
        sl_signer_free(signer);
    }
    sl_signer_free(NULL);
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
    struct sl_signer *signer = NULL;
    struct sl_err err;
    (void)state;
    write_file("c.pem", "c");
    assert_int_equal(sl_signer_load(at("c.pem"), at("none"), &signer, &err), SL_CONFIG);
    assert_non_null(strstr(err.message, "none': No such file or directory"));
    assert_int_equal(sl_signer_load(folder, NULL, &signer, &err), SL_CONFIG);
    assert_non_null(strstr(err.message, "it is not a regular file"));
}

static void every_cut_of_a_file_is_an_error(void **state)
{
    char text[8192];
    (void)state;
    write_file("c.pem", "ck");
    FILE *file = fopen(at("c.pem"), "r");
    size_t size = fread(text, 1, sizeof text, file);
    fclose(file);
    for (size_t length = 0; length + 30 < size; length += 37) {
        struct sl_signer *signer = NULL;
        struct sl_err err;
        file = fopen(at("c.pem"), "w");
        fwrite(text, 1, length, file);
        fclose(file);
        assert_int_equal(sl_signer_load(at("c.pem"), NULL, &signer, &err), SL_CONFIG);
    }
}

/* Gives the certificate another time, from now, and signs it again. */
static void set_time(struct pair *pair, long begin_s, long end_s)
{
    X509_gmtime_adj(X509_getm_notBefore(pair->certificate), begin_s);
    X509_gmtime_adj(X509_getm_notAfter(pair->certificate), end_s);
    X509_sign(pair->certificate, pair->key, EVP_sha256());
}

static struct sl_signer *load_one(void)
{
    struct sl_signer *signer = NULL;
    write_certificate(one.certificate, at("c.pem"));
    write_key(one.key, at("k.pem"));
    assert_int_equal(load("k", &signer, NULL), SL_OK);
    return signer;
}

static void a_certificate_has_its_time(void **state)
{
    struct sl_err err;
    char day[SL_ISO_BYTES];
    int64_t now_ms = sl_wall_ms();
    (void)state;
    set_time(&one, -3600, 3600);
    struct sl_signer *signer = load_one();
    assert_int_equal(sl_signer_check_time(signer, now_ms, &err), SL_OK);
    assert_int_equal(sl_signer_check_time(signer, now_ms - 3590 * 1000, &err), SL_OK);
    assert_int_equal(sl_signer_check_time(signer, now_ms + 3590 * 1000, &err), SL_OK);
    assert_int_equal(sl_signer_check_time(signer, now_ms + 3610 * 1000, &err), SL_CONFIG);
    char expected[60];
    sl_iso_format(now_ms + 3600 * 1000, day);
    snprintf(expected, sizeof expected, " expired on %.10s;", day);
    assert_non_null(strstr(err.message, expected));
    assert_non_null(strstr(err.message, folder));
    assert_int_equal(sl_signer_check_time(signer, now_ms - 3610 * 1000, &err), SL_CONFIG);
    assert_non_null(strstr(err.message, "is not valid before "));
    sl_signer_free(signer);
}

static void of_two_for_one_key_the_later_one_is_taken(void **state)
{
    struct sl_err err;
    (void)state;
    set_time(&one, -7200, -3600);
    FILE *file = fopen(at("c.pem"), "w");
    PEM_write_X509(file, one.certificate);
    set_time(&one, -3600, 3600);
    PEM_write_X509(file, one.certificate);
    set_time(&one, -7200, -1800);
    PEM_write_X509(file, one.certificate);
    fclose(file);
    set_time(&one, -3600, 3600);
    write_key(one.key, at("k.pem"));
    struct sl_signer *signer = NULL;
    assert_int_equal(load("k", &signer, &err), SL_OK);
    assert_int_equal(sl_signer_check_time(signer, sl_wall_ms(), &err), SL_OK);
    sl_signer_free(signer);
}

/* The bytes of a text in base64url. */
static size_t decode(const char *text, uint8_t *out)
{
    char padded[1024];
    struct sl_buf bytes;
    snprintf(padded, sizeof padded, "%s%.*s", text, (int)((4 - strlen(text) % 4) % 4), "===");
    for (char *c = padded; *c; c++)
        *c = *c == '-' ? '+' : *c == '_' ? '/' : *c;
    sl_buf_init(&bytes);
    assert_true(sl_base64_decode(&bytes, padded, strlen(padded)));
    size_t size = bytes.length;
    memcpy(out, bytes.data, size);
    sl_buf_done(&bytes);
    return size;
}

static bool is_signature(enum sl_signing by, const char *text, const uint8_t *signature,
                         size_t size)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    EVP_PKEY_CTX *context;
    EVP_DigestVerifyInit(digest, &context, EVP_sha256(), NULL, one.key);
    if (by == SL_PS256) {
        EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING);
        EVP_PKEY_CTX_set_rsa_pss_saltlen(context, 32);
    }
    bool good = EVP_DigestVerify(digest, signature, size, (const uint8_t *)text, strlen(text)) == 1;
    EVP_MD_CTX_free(digest);
    return good;
}

static void what_it_signs_can_be_verified(void **state)
{
    uint8_t signature[512], print[64], expected[64];
    unsigned expected_size;
    struct sl_signer *signer = load_one();
    (void)state;
    for (int by = SL_PS256; by <= SL_RS256; by++) {
        struct sl_buf out;
        sl_buf_init(&out);
        assert_int_equal(sl_signer_sign(signer, (enum sl_signing)by, sl_str_of("a.b"), &out, NULL),
                         SL_OK);
        size_t size = decode(out.data, signature);
        assert_int_equal(size, 256);
        assert_true(is_signature((enum sl_signing)by, "a.b", signature, size));
        assert_false(is_signature((enum sl_signing)by, "a.c", signature, size));
        assert_false(is_signature((enum sl_signing) !by, "a.b", signature, size));

        sl_buf_clear(&out);
        sl_signer_add_thumbprint(signer, (enum sl_signing)by, &out);
        size = decode(out.data, print);
        X509_digest(one.certificate, by == SL_RS256 ? EVP_sha1() : EVP_sha256(), expected,
                    &expected_size);
        assert_int_equal(size, expected_size);
        assert_memory_equal(print, expected, size);
        sl_buf_done(&out);
    }
    sl_signer_free(signer);
}

static int begin(void **state)
{
    (void)state;
    one = make_pair("one", 2048);
    other = make_pair("other", 2048);
    curve = make_pair("curve", 0);
    small = make_pair("small", 1024);
    return mkdtemp(folder) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    free_pair(one);
    free_pair(other);
    free_pair(curve);
    free_pair(small);
    unlink(at("c.pem"));
    unlink(at("k.pem"));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_pair_can_be_used),
        cmocka_unit_test(a_file_that_cannot_be_read_is_named),
        cmocka_unit_test(every_cut_of_a_file_is_an_error),
        cmocka_unit_test(a_certificate_has_its_time),
        cmocka_unit_test(of_two_for_one_key_the_later_one_is_taken),
        cmocka_unit_test(what_it_signs_can_be_verified),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
