/* http/client over TLS: whom it trusts, and that it always asks. The server is libmicrohttpd with a
 * certificate made here, for the name localhost alone. */
#include "http/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#include <microhttpd.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "http/harness.h"

static struct {
    char key[4096], certificate[4096];
    char ca_file[64];
    struct MHD_Daemon *daemon;
    unsigned port;
} server;

static void pem_text(BIO *bio, char *out, size_t size)
{
    int length = BIO_read(bio, out, (int)size - 1);
    out[length > 0 ? length : 0] = 0;
    BIO_free(bio);
}

static void make_certificate(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_set_version(certificate, 2);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost");
    X509_add_ext(certificate, names, -1);
    X509_EXTENSION_free(names);
    X509_sign(certificate, key, EVP_sha256());

    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    pem_text(bio, server.key, sizeof server.key);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, certificate);
    pem_text(bio, server.certificate, sizeof server.certificate);
    X509_free(certificate);
    EVP_PKEY_free(key);

    snprintf(server.ca_file, sizeof server.ca_file, "/tmp/sluice-test-ca-XXXXXX");
    int fd = mkstemp(server.ca_file);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, server.certificate, strlen(server.certificate)),
                     strlen(server.certificate));
    close(fd);
}

enum { BIG_BYTES = 5 * 1000 * 1000 };

static ssize_t big_piece(void *ctx, uint64_t at, char *out, size_t size)
{
    (void)ctx;
    for (size_t i = 0; i < size; i++)
        out[i] = (char)('a' + (at + i) % 23);
    return (ssize_t)size;
}

static enum MHD_Result answer(void *ctx, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **request_ctx)
{
    (void)ctx, (void)method, (void)version, (void)upload, (void)upload_size, (void)request_ctx;
    struct MHD_Response *response =
        strcmp(url, "/big")
            ? MHD_create_response_from_buffer(5, (void *)"hello", MHD_RESPMEM_PERSISTENT)
            : MHD_create_response_from_callback(BIG_BYTES, 65536, big_piece, NULL, NULL);
    enum MHD_Result queued = MHD_queue_response(connection, 200, response);
    MHD_destroy_response(response);
    return queued;
}

static int start_server(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    (void)state;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    make_certificate();
    server.daemon =
        MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_TLS, 0, NULL, NULL, answer, NULL,
                         MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_HTTPS_MEM_KEY, server.key,
                         MHD_OPTION_HTTPS_MEM_CERT, server.certificate, MHD_OPTION_END);
    if (!server.daemon)
        return -1;
    server.port = MHD_get_daemon_info(server.daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    return 0;
}

static int stop_server(void **state)
{
    (void)state;
    MHD_stop_daemon(server.daemon);
    unlink(server.ca_file);
    return 0;
}

struct visit {
    const char *host;
    bool trusting; /* with the server's certificate as ca_file */
    int rc;
};

static void pay_visit(void *arg)
{
    const struct visit *visit = arg;
    const struct sl_http_options options = {.ca_file = visit->trusting ? server.ca_file : NULL};
    struct sl_err err = {0};
    struct sl_http *http = sl_http_new(&options, &err);
    char url[100];
    snprintf(url, sizeof url, "https://%s:%u/?sig=SECRET", visit->host, server.port);
    struct sl_http_request request = {.url = url};
    struct sl_http_response response = {0};

    int rc = sl_http_request(http, &request, &response, &err);
    EXPECT_INT(rc, visit->rc);
    if (rc == SL_OK)
        EXPECT_TEXT(response.body, "hello");
    else
        EXPECT(strstr(err.message, "certificate") && !strstr(err.message, "SECRET"));
    sl_http_response_done(&response);
    sl_http_free(http);
}

static void test_trust(void **state)
{
    struct visit visits[] = {
        {"localhost", true,  SL_OK    },
        {"localhost", false, SL_CONFIG}, /* signed by nobody we know */
        {"127.0.0.1", true,  SL_CONFIG}, /* signed well, for another name */
    };
    (void)state;
    for (size_t i = 0; i < sizeof visits / sizeof *visits; i++)
        run_fiber(pay_visit, &visits[i]);
}

/* One of several that ask at the same time with the system's certificates, which are read for the
 * first of them. */
struct guest {
    struct sl_http *http;
    uint64_t timeout_ms;
    bool cancelled;
    int rc;
    struct sl_err err;
};

static void visit_together(void *arg)
{
    struct guest *guest = arg;
    char url[100];
    snprintf(url, sizeof url, "https://localhost:%u/", server.port);
    struct sl_http_request request = {.url = url, .timeout_ms = guest->timeout_ms};
    struct sl_http_response response = {0};
    guest->rc = sl_http_request(guest->http, &request, &response, &guest->err);
    sl_http_response_done(&response);
}

static void receive_guests(void *arg)
{
    struct sl_http *http = sl_http_new(&(struct sl_http_options){0}, NULL);
    struct guest guests[] = {
        {.cancelled = true, .rc = SL_CANCELED}, /* who reads */
        {.rc = SL_CONFIG                }, /* and goes on reading */
        {.timeout_ms = 1, .rc = SL_TIMEOUT},
        {.cancelled = true, .rc = SL_CANCELED},
        {.rc = SL_CONFIG},
    };
    enum { COUNT = sizeof guests / sizeof *guests };
    struct sl_fiber *fibers[COUNT];
    int wanted[COUNT];
    (void)arg;
    for (size_t i = 0; i < COUNT; i++) {
        wanted[i] = guests[i].rc;
        guests[i].http = http;
        fibers[i] = sl_fiber_spawn_joinable("guest", visit_together, &guests[i]);
    }
    sl_fiber_yield();
    sl_fiber_yield();
    for (size_t i = 0; i < COUNT; i++)
        if (guests[i].cancelled)
            sl_fiber_cancel(fibers[i]);
    for (size_t i = 0; i < COUNT; i++) {
        sl_fiber_join(fibers[i]);
        EXPECT_INT(guests[i].rc, wanted[i]);
        if (wanted[i] == SL_CONFIG)
            EXPECT(strstr(guests[i].err.message, "certificate"));
    }
    sl_http_free(http);
}

static void test_certificates_are_read_once_for_all(void **state)
{
    (void)state;
    run_fiber(receive_guests, NULL);
}

/* Decrypted bytes may wait inside the TLS library while the socket stands still: none may be lost,
 * and the stream must not hang when they are all that is left. */
static void read_in_fits(void *arg)
{
    const struct sl_http_options options = {.ca_file = server.ca_file};
    struct sl_http *http = sl_http_new(&options, NULL);
    struct sl_http_stream *stream = NULL;
    struct sl_http_response head = {0};
    struct sl_err err = {0};
    char url[100];
    static char buf[150 * 1000];
    (void)arg;
    snprintf(url, sizeof url, "https://localhost:%u/big", server.port);
    struct sl_http_request request = {.url = url};
    EXPECT_INT(sl_http_open(http, &request, &stream, &head, &err), SL_OK);
    EXPECT_INT(head.content_length, BIG_BYTES);
    sl_http_response_done(&head);

    size_t total = 0, wrong = 0, got;
    int rc;
    while ((rc = sl_http_read(stream, buf, sizeof buf, &got, sl_deadline_in(5000), &err)) ==
           SL_OK) {
        for (size_t i = 0; i < got; i++)
            wrong += buf[i] != (char)('a' + (total + i) % 23);
        total += got;
        sl_fiber_sleep(5); /* long enough for the ring to fill up */
    }
    EXPECT_INT(rc, SL_END);
    EXPECT_INT(total, BIG_BYTES);
    EXPECT_INT(wrong, 0);
    sl_http_close(stream);
    sl_http_free(http);
}

static void test_paused_stream(void **state)
{
    (void)state;
    run_fiber(read_in_fits, NULL);
}

static void test_bad_ca_file(void **state)
{
    static const char *const files[] = {"/nonexistent/ca.pem", "/dev/null"};
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const struct sl_http_options options = {.ca_file = (char *)files[i]};
        struct sl_err err = {0};
        assert_null(sl_http_new(&options, &err));
        assert_int_equal(err.code, SL_CONFIG);
        assert_non_null(strstr(err.message, files[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trust),
        cmocka_unit_test(test_certificates_are_read_once_for_all),
        cmocka_unit_test(test_paused_stream),
        cmocka_unit_test(test_bad_ca_file),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
