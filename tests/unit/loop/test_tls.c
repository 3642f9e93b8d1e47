/* TLS without a socket: a session against OpenSSL's own server in memory, and the files at the
 * start. */
#include "loop/tls.h"

#include <setjmp.h>
#include <stdarg.h>

#include "loop/authority.h"

#include <cmocka.h>

/* --- files --- */

struct file_case {
    const char *name;
    const char *password; /* of the file */
    const char *given;
    const char *message; /* NULL: it loads */
};

static const struct file_case files[] = {
    {"plain key",      NULL,     NULL,     NULL                                      },
    {"idle password",  NULL,     "x",      NULL                                      },
    {"right password", "secret", "secret", NULL                                      },
    {"wrong password", "secret", "guess",  "its password is wrong"                   },
    {"no password",    "secret", NULL,     "it is encrypted and no password is given"},
};

static void key_files_are_opened_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[64], expected[200];
        struct sl_err err = {0};
        authority_write_pem(path, files[i].password);
        struct sl_tls_options options = {.ca_file = authority.ca_path,
                                         .certificate = path,
                                         .key = path,
                                         .password = files[i].given};
        struct sl_tls *tls = sl_tls_new(&options, &err);
        snprintf(expected, sizeof expected, "cannot use key file %s: %s", path,
                 files[i].message ? files[i].message : "");
        if (!tls != !!files[i].message || (!tls && strcmp(err.message, expected) != 0))
            fail_msg("%s: '%s'", files[i].name, err.message);
        if (tls)
            assert_string_equal(sl_tls_subject(tls), "CN=test,O=Schleuse\\, K\\C3\\B6ln");
        else
            assert_int_equal(err.code, SL_CONFIG);
        sl_tls_free(tls);
        unlink(path);
    }
}

static void a_file_that_cannot_be_used_is_named(void **state)
{
    (void)state;
    const char *missing = "/does/not/exist.pem", *empty = "/dev/null", *ca = authority.ca_path;
    const struct {
        struct sl_tls_options options;
        const char *message;
    } cases[] = {
        {{.ca_file = missing},                     "cannot use CA file /does/not/exist.pem: No such file or directory"},
        {{.ca_file = empty},                       "cannot use CA file /dev/null: "                                   },
        {{.certificate = missing, .key = missing},
         "cannot use certificate file /does/not/exist.pem: No such file or directory"                                 },
        {{.certificate = ca, .key = missing},
         "cannot use key file /does/not/exist.pem: No such file or directory"                                         },
        {{.certificate = ca, .key = ca},           "cannot use key file /tmp/"                                        },
        {{.certificate = ca},                      "needs both certificate and key"                                   },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sl_err err = {0};
        assert_null(sl_tls_new(&cases[i].options, &err));
        assert_int_equal(err.code, SL_CONFIG);
        if (!strstr(err.message, cases[i].message))
            fail_msg("'%s' lacks '%s'", err.message, cases[i].message);
    }
}

/* --- a session --- */

struct pair {
    struct sl_tls *tls;
    struct sl_tls_session *client;
    SSL_CTX *context;
    SSL *server;
    struct sl_outbox box;
};

static void open_pair(struct pair *pair, bool asks_certificate)
{
    struct sl_tls_options options = {.ca_file = authority.ca_path};
    struct sl_err err = {0};
    *pair = (struct pair){.tls = sl_tls_new(&options, &err), .context = authority_server()};
    if (asks_certificate)
        SSL_CTX_set_verify(pair->context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    pair->client = sl_tls_session_new(pair->tls, "localhost", &err);
    assert_string_equal(err.message, "");
    pair->server = SSL_new(pair->context);
    SSL_set_bio(pair->server, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    BIO_set_mem_eof_return(SSL_get_rbio(pair->server), -1);
    BIO_set_mem_eof_return(SSL_get_wbio(pair->server), -1);
    SSL_set_accept_state(pair->server);
}

static void close_pair(struct pair *pair)
{
    sl_tls_session_free(pair->client);
    sl_tls_free(pair->tls);
    SSL_free(pair->server);
    SSL_CTX_free(pair->context);
    sl_outbox_done(&pair->box);
}

/* Carries at most that many bytes to the client; gives how many. */
static int to_client(struct pair *pair, int most)
{
    char bytes[65536];
    int size = BIO_read(SSL_get_wbio(pair->server), bytes,
                        most < (int)sizeof bytes ? most : (int)sizeof bytes);
    if (size > 0)
        sl_tls_arrived(pair->client, bytes, (size_t)size);
    return size;
}

static void to_server(struct pair *pair)
{
    char bytes[65536];
    sl_tls_departing(pair->client, &pair->box);
    size_t size = sl_outbox_peek(&pair->box, bytes, sizeof bytes);
    sl_outbox_drop(&pair->box, size);
    BIO_write(SSL_get_rbio(pair->server), bytes, (int)size);
}

/* What the client's handshake came to. */
static int shake_hands(struct pair *pair, struct sl_err *err)
{
    bool done = false;
    for (int turn = 0; turn < 10; turn++) {
        int rc = done ? SL_OK : sl_tls_handshake(pair->client, &done, err);
        if (rc != SL_OK)
            return rc;
        to_server(pair);
        SSL_do_handshake(pair->server);
        to_client(pair, 65536);
    }
    assert_true(done);
    return SL_OK;
}

static void looking_needs_a_whole_record(void **state)
{
    (void)state;
    struct pair pair;
    struct sl_err err = {0};
    open_pair(&pair, false);
    assert_int_equal(shake_hands(&pair, &err), SL_OK);

    bool some = true;
    assert_int_equal(sl_tls_peek(pair.client, &some, &err), SL_OK);
    assert_false(some); /* the server's tickets are no bytes */
    assert_int_equal(SSL_write(pair.server, "abc", 3), 3);
    while (to_client(&pair, 1) == 1) {
        assert_int_equal(sl_tls_peek(pair.client, &some, &err), SL_OK);
        assert_int_equal(some, BIO_ctrl_pending(SSL_get_wbio(pair.server)) == 0);
    }
    char out[2];
    size_t size;
    assert_int_equal(sl_tls_read(pair.client, out, 2, &size, &err), SL_OK);
    assert_int_equal(size, 2);
    assert_int_equal(sl_tls_peek(pair.client, &some, &err), SL_OK);
    assert_true(some); /* the c, decrypted before */
    assert_int_equal(sl_tls_read(pair.client, out, 2, &size, &err), SL_OK);
    assert_int_equal(size, 1);

    SSL_shutdown(pair.server);
    to_client(&pair, 65536);
    assert_int_equal(sl_tls_peek(pair.client, &some, &err), SL_END);
    assert_false(some);
    close_pair(&pair);
}

/* In TLS 1.3 the client is done before the server has looked at its certificate. */
static void a_missing_client_certificate_is_told_as_such(void **state)
{
    (void)state;
    struct pair pair;
    struct sl_err err = {0};
    open_pair(&pair, true);
    assert_int_equal(shake_hands(&pair, &err), SL_OK);
    bool some;
    assert_int_equal(sl_tls_peek(pair.client, &some, &err), SL_CONFIG);
    assert_non_null(strstr(err.message, "the server wants a client certificate, and none is set"));
    close_pair(&pair);

    open_pair(&pair, true);
    SSL_set_max_proto_version(pair.server, TLS1_2_VERSION);
    assert_int_equal(shake_hands(&pair, &err), SL_CLOSED);
    close_pair(&pair);
}

static int begin(void **state)
{
    (void)state;
    authority_make();
    return 0;
}

static int end(void **state)
{
    (void)state;
    authority_drop();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_files_are_opened_or_refused),
        cmocka_unit_test(a_file_that_cannot_be_used_is_named),
        cmocka_unit_test(looking_needs_a_whole_record),
        cmocka_unit_test(a_missing_client_certificate_is_told_as_such),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
