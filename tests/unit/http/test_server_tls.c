/* http/server over TLS: which versions it speaks, and its certificate: at the start, when the files
 * change, when they change for the worse. The clients are our own and OpenSSL in a thread. */
#include "cpu.h"
#include "http/server.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/metric.h"
#include "http/certificate.h"
#include "http/client.h"
#include "http/raw.h"
#include "http/shortage.h"

static void echo(void *ctx, const struct sl_http_call *call, struct sl_http_reply *reply)
{
    (void)ctx;
    sl_fiber_sleep(1);
    sl_buf_printf(&reply->body, "<%zu>", call->body.length);
}

static const struct sl_http_route routes[] = {
    {.method = "POST",
     .path = "/count",
     .fiber = true,
     .handler = echo,
     .max_body_bytes = 1024 * 1024},
};

/* --- certificates --- */

static char folder[64];
static struct {
    char certificate[100], key[100];
} files;

static void write_pair(struct pair pair)
{
    write_certificate(pair.certificate, files.certificate);
    write_key(pair.key, files.key);
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/sluice-test-tls-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(files.certificate, sizeof files.certificate, "%s/certificate.pem", folder);
    snprintf(files.key, sizeof files.key, "%s/key.pem", folder);
    return 0;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"certificate.pem", "key.pem", "trusted.pem"};
    char path[100];
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

/* --- the server --- */

static struct sl_http_server *server;

static struct sl_http_server *start(struct sl_err *err)
{
    const struct sl_http_server_options options = {.name = "tls",
                                                   .listen = "127.0.0.1:0",
                                                   .routes = routes,
                                                   .route_count = 1,
                                                   .certificate = files.certificate,
                                                   .key = files.key,
                                                   .request_timeout_ms = 4000};
    return sl_http_server_start(&options, err);
}

static void with_server(struct pair pair, void (*body)(void *), void *arg)
{
    struct sl_err err = {0};
    write_pair(pair);
    server = start(&err);
    if (!server)
        fprintf(stderr, "%s\n", err.message);
    assert_non_null(server);
    run_fiber(body, arg);
}

/* Posts size bytes as somebody who trusts this certificate alone; gives the answer's status, or the
 * negative error code. */
static int post(X509 *trusted, size_t size, const char *wanted)
{
    char ca_file[100], url[100];
    snprintf(ca_file, sizeof ca_file, "%s/trusted.pem", folder);
    snprintf(url, sizeof url, "https://localhost:%u/count", sl_http_server_port(server));
    write_certificate(trusted, ca_file);
    const struct sl_http_options options = {.ca_file = ca_file};
    struct sl_err err = {0};
    struct sl_http *http = sl_http_new(&options, &err);
    char *body = calloc(1, size + 1);
    struct sl_http_request request = {
        .method = "POST", .url = url, .body = {body, size},
                .timeout_ms = 10000
    };
    struct sl_http_response response = {0};
    int rc = sl_http_request(http, &request, &response, &err);
    if (rc == SL_OK && wanted)
        EXPECT_TEXT(response.body, wanted);
    int status = rc == SL_OK ? response.status : -rc;
    sl_http_response_done(&response);
    sl_http_free(http);
    free(body);
    return status;
}

/* --- versions --- */

struct visit {
    const char *name;
    int least, most; /* TLS versions that the client speaks */
    const char *ciphers;
    int spoken; /* what they agree on; 0: nothing */
    int got;
    atomic_bool done;
};

static struct visit visits[] = {
    {.name = "anything",     .least = TLS1_VERSION,   .most = 0,              .spoken = TLS1_3_VERSION},
    {.name = "1.3",          .least = TLS1_3_VERSION, .most = TLS1_3_VERSION, .spoken = TLS1_3_VERSION},
    {.name = "1.2",          .least = TLS1_2_VERSION, .most = TLS1_2_VERSION, .spoken = TLS1_2_VERSION},
    {.name = "1.1",          .least = TLS1_1_VERSION, .most = TLS1_1_VERSION},
    {.name = "1.0", .least = TLS1_VERSION,    .most = TLS1_VERSION                      },
    {.name = "1.2 without forward secrecy",
     .least = TLS1_2_VERSION,
     .most = TLS1_2_VERSION,
     .ciphers = "kRSA:@SECLEVEL=0"                        },
};

static void *pay_visit(void *arg)
{
    struct visit *visit = arg;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(sl_http_server_port(server))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_cipher_list(tls, visit->ciphers ? visit->ciphers : "ALL:@SECLEVEL=0");
    SSL_CTX_set_min_proto_version(tls, visit->least);
    SSL_CTX_set_max_proto_version(tls, visit->most);
    SSL *ssl = SSL_new(tls);
    visit->got = -1;
    if (!connect(fd, (struct sockaddr *)&address, sizeof address) && SSL_set_fd(ssl, fd)) {
        char answer[1000] = {0};
        static const char ask[] = "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
        visit->got = SSL_connect(ssl) == 1 ? SSL_version(ssl) : 0;
        if (visit->got && (SSL_write(ssl, ask, sizeof ask - 1) <= 0 ||
                           SSL_read(ssl, answer, sizeof answer - 1) <= 0 ||
                           strncmp(answer, "HTTP/1.1 200 ", 13) != 0))
            visit->got = -2;
    }
    SSL_free(ssl);
    SSL_CTX_free(tls);
    close(fd);
    ERR_clear_error();
    atomic_store(&visit->done, true);
    return NULL;
}

static bool is_done(void *arg)
{
    return atomic_load(&((struct visit *)arg)->done);
}

static void speak(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < sizeof visits / sizeof *visits; i++) {
        pthread_t thread;
        atomic_store(&visits[i].done, false);
        pthread_create(&thread, NULL, pay_visit, &visits[i]);
        EXPECT(wait_until(is_done, &visits[i]));
        pthread_join(thread, NULL);
        if (visits[i].got != visits[i].spoken) {
            fprintf(stderr, "%s: spoke %x, expected %x\n", visits[i].name, visits[i].got,
                    visits[i].spoken);
            failed_expectations++;
        }
    }
    sl_http_server_stop(server, 0);
}

static void test_versions(void **state)
{
    (void)state;
    for (int rsa = 0; rsa < 2; rsa++) {
        struct pair pair = make_pair("versions", rsa ? 2048 : 0);
        with_server(pair, speak, NULL);
        free_pair(pair);
    }
}

/* --- bodies and bad manners --- */

static void serve(void *arg)
{
    struct pair *pair = arg;
    struct raw *plain = raw_connect(server), *silent = raw_connect(server), *slow;
    EXPECT_INT(post(pair->certificate, 0, "<0>"), 200);
    EXPECT_INT(post(pair->certificate, 1000000, "<1000000>"), 200);
    EXPECT_INT(post(pair->certificate, 11 * 1024 * 1024, "{\"error\":\"Content Too Large\"}\n"),
               413);

    EXPECT(raw_say(plain, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")); /* not TLS at all */
    EXPECT(raw_await_end(plain));

    double before_ms = cpu_ms();
    slow = raw_connect(server); /* a handshake a byte at a time */
    static const char hello[] = {22, 3, 1, 2, 0, 1, 0, 1, (char)252, 3, 3};
    for (size_t i = 0; i < 400 && !raw_is_closed(slow); i++) {
        send(slow->fd, &hello[i < sizeof hello ? i : sizeof hello - 1], 1, MSG_NOSIGNAL);
        sl_fiber_sleep(20);
    }
    EXPECT(slow->closed);
    EXPECT(cpu_ms() - before_ms < 800); /* of four seconds */
    EXPECT(raw_await_end(silent));
    EXPECT(sl_metric_sum("http_refused_total", "listener=\"tls\",why=\"slow\"") >= 2);
    EXPECT_INT(post(pair->certificate, 5, "<5>"), 200);
    raw_close(plain);
    raw_close(silent);
    raw_close(slow);
    sl_http_server_stop(server, 0);
}

static void test_service(void **state)
{
    struct pair pair = make_pair("service", 0);
    (void)state;
    with_server(pair, serve, &pair);
    free_pair(pair);
}

/* A chunked body without end is answered in the middle, through the encryption. */
static void *send_endlessly(void *arg)
{
    struct visit *visit = arg;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(sl_http_server_port(server))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(tls);
    if (!connect(fd, (struct sockaddr *)&address, sizeof address) && SSL_set_fd(ssl, fd) &&
        SSL_connect(ssl) == 1) {
        static char piece[16 * 1024], answer[1000];
        static const char ask[] =
            "POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
            "\r\nffffffff\r\n";
        SSL_write(ssl, ask, sizeof ask - 1);
        for (int i = 0; i < 70; i++) /* just above a megabyte */
            SSL_write(ssl, piece, sizeof piece);
        if (SSL_read(ssl, answer, sizeof answer - 1) > 0)
            visit->got = (int)strtol(answer + sizeof "HTTP/1.1 " - 1, NULL, 10);
    }
    SSL_free(ssl);
    SSL_CTX_free(tls);
    close(fd);
    ERR_clear_error();
    atomic_store(&visit->done, true);
    return NULL;
}

static void break_off(void *arg)
{
    struct visit visit = {.got = 0};
    pthread_t thread;
    (void)arg;
    pthread_create(&thread, NULL, send_endlessly, &visit);
    EXPECT(wait_until(is_done, &visit));
    pthread_join(thread, NULL);
    EXPECT_INT(visit.got, 413);
    sl_http_server_stop(server, 0);
}

static void test_endless_body(void **state)
{
    struct pair pair = make_pair("endless", 0);
    (void)state;
    with_server(pair, break_off, NULL);
    free_pair(pair);
}

/* --- changes --- */

struct change {
    struct pair first, second, third;
};

/* Asks until the certificate that the server shows is this one. */
static bool await_certificate(X509 *certificate)
{
    uint64_t deadline_ms = sl_deadline_in(10000);
    while (post(certificate, 1, "<1>") != 200)
        if (sl_loop_now_ms() > deadline_ms || sl_fiber_sleep(50) != SL_OK)
            return false;
    return true;
}

/* For longer than it takes the server to look at the files. */
static void expect_unchanged(X509 *certificate)
{
    uint64_t until_ms = sl_deadline_in(1300);
    while (sl_loop_now_ms() < until_ms) {
        EXPECT_INT(post(certificate, 1, "<1>"), 200);
        sl_fiber_sleep(50);
    }
}

/* Writes the first byte of a file, whose time of change stays by its own word: as when the right
 * to read it is mended, only the kernel tells. */
static void poke(const char *path, char byte)
{
    struct stat before;
    FILE *file = fopen(path, "r+");
    EXPECT_INT(stat(path, &before), 0);
    fputc(byte, file);
    fclose(file);
    const struct timespec times[] = {before.st_atim, before.st_mtim};
    EXPECT_INT(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void change_files(void *arg)
{
    const struct change *change = arg;
    EXPECT_INT(post(change->first.certificate, 1, "<1>"), 200);
    EXPECT_INT(post(change->second.certificate, 1, NULL), -SL_CONFIG);

    write_pair(change->second);
    EXPECT(await_certificate(change->second.certificate));
    EXPECT_INT(post(change->first.certificate, 1, NULL), -SL_CONFIG);

    write_text(files.certificate, "-----BEGIN CERTIFICATE-----\nnonsense\n");
    expect_unchanged(change->second.certificate);
    unlink(files.key);
    expect_unchanged(change->second.certificate);
    write_certificate(change->third.certificate, files.certificate);
    write_key(change->first.key, files.key); /* another certificate's */
    expect_unchanged(change->second.certificate);

    write_key(change->third.key, files.key);
    EXPECT(await_certificate(change->third.certificate));
    EXPECT_INT(post(change->second.certificate, 1, NULL), -SL_CONFIG);

    write_key(change->first.key, files.key);
    poke(files.key, 'x');
    write_certificate(change->first.certificate, files.certificate);
    expect_unchanged(change->third.certificate);
    poke(files.key, '-');
    EXPECT(await_certificate(change->first.certificate));
    sl_http_server_stop(server, 0);
}

static void test_changes(void **state)
{
    struct change change = {make_pair("first", 0), make_pair("second", 2048),
                            make_pair("third", 0)};
    (void)state;
    with_server(change.first, change_files, &change);
    free_pair(change.first);
    free_pair(change.second);
    free_pair(change.third);
}

/* Without any visitor, the files are looked at too. */
static bool has_expiry(void *arg)
{
    return sl_metric_sum("http_certificate_expires_seconds", "listener=\"tls\"") == *(int64_t *)arg;
}

static int64_t expiry(X509 *certificate)
{
    struct tm utc = {0};
    ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &utc);
    return timegm(&utc);
}

static void change_unseen(void *arg)
{
    struct pair *pair = arg; /* the server's, then its successor */
    int64_t before = expiry(pair[0].certificate), after = expiry(pair[1].certificate);
    EXPECT(has_expiry(&before));
    write_pair(pair[1]);
    EXPECT(wait_until(has_expiry, &after));
    sl_http_server_stop(server, 0);
}

static void test_change_without_visitor(void **state)
{
    struct pair pair[2] = {make_pair("first", 0), make_pair("second", 0)};
    (void)state;
    X509_gmtime_adj(X509_getm_notAfter(pair[1].certificate), 7200);
    X509_sign(pair[1].certificate, pair[1].key, EVP_sha256());
    with_server(pair[0], change_unseen, pair);
    free_pair(pair[0]);
    free_pair(pair[1]);
}

static void say_hello(struct raw *raw)
{
    static char hello[8 * 1024];
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(tls);
    BIO *out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
    SSL_connect(ssl);
    int length = BIO_read(out, hello, sizeof hello);
    EXPECT(length > 0 && raw_send(raw, hello, (size_t)length));
    SSL_free(ssl);
    SSL_CTX_free(tls);
    ERR_clear_error();
}

/* It is looked at when the client says hello, unless that was done a second ago. Without a
 * descriptor it cannot be read, which the files do not show: it is read later all the same. */
static void change_unreadable(void *arg)
{
    struct pair *pair = arg;
    struct shortage shortage;
    struct raw *first = raw_connect(server), *second = raw_connect(server);
    sl_fiber_sleep(1100);
    write_pair(pair[1]);
    shortage_begin(&shortage);
    say_hello(first);
    sl_fiber_sleep(1100);
    say_hello(second);
    sl_fiber_sleep(100);
    EXPECT_INT(shortage_end(&shortage, "new certificate not used"), 1);
    EXPECT(await_certificate(pair[1].certificate));
    raw_close(first);
    raw_close(second);
    sl_http_server_stop(server, 0);
}

static void test_change_that_cannot_be_read_at_first(void **state)
{
    struct pair pair[2] = {make_pair("first", 0), make_pair("second", 0)};
    (void)state;
    with_server(pair[0], change_unreadable, pair);
    free_pair(pair[0]);
    free_pair(pair[1]);
}

/* --- what it costs --- */

/* Many hellos at once: the loop goes round between their signatures. And while the server waits for
 * what should follow, which does not come, it rests. */
static void greet_in_chorus(void *arg)
{
    enum { VOICES = 16 };
    struct raw *raws[VOICES];
    double longest_ms = 0, all_ms = 0, before_ms;
    unsigned answered = 0;
    (void)arg;
    for (int i = 0; i < VOICES; i++)
        raws[i] = raw_connect(server);
    sl_fiber_sleep(20);
    for (int i = 0; i < VOICES; i++)
        say_hello(raws[i]);
    for (uint64_t until_ms = sl_deadline_in(20000);
         answered < VOICES && sl_loop_now_ms() < until_ms;) {
        before_ms = cpu_ms();
        sl_fiber_yield();
        double turn_ms = cpu_ms() - before_ms;
        longest_ms = turn_ms > longest_ms ? turn_ms : longest_ms;
        all_ms += turn_ms;
        answered = 0;
        for (int i = 0; i < VOICES; i++) {
            raw_pull(raws[i]);
            answered += raws[i]->length > 0;
        }
    }
    EXPECT_INT(answered, VOICES);
    print_message("the longest of the turns took %.1f ms of %.1f ms\n", longest_ms, all_ms);
    EXPECT(longest_ms < all_ms / 3); /* when all are signed in one turn, it is nearly all */

    before_ms = cpu_ms();
    sl_fiber_sleep(500);
    double idle_ms = cpu_ms() - before_ms;
    print_message("half a second with %d handshakes open costs %.3f ms\n", VOICES, idle_ms);
    EXPECT(idle_ms < all_ms / 3);
    for (int i = 0; i < VOICES; i++)
        raw_close(raws[i]);
    sl_http_server_stop(server, 0);
}

static void test_handshakes_leave_room(void **state)
{
    struct pair pair = make_pair("chorus", 4096);
    (void)state;
    with_server(pair, greet_in_chorus, NULL);
    free_pair(pair);
}

/* --- a bad start --- */

static void expect_refused(const char *wanted)
{
    struct sl_err err = {0};
    assert_null(start(&err));
    assert_int_equal(err.code, SL_CONFIG);
    if (!strstr(err.message, wanted) || !strstr(err.message, folder))
        fail_msg("'%s' does not say '%s'", err.message, wanted);
}

static void test_bad_start(void **state)
{
    struct pair pair = make_pair("pair", 0), other = make_pair("other", 2048);
    (void)state;
    unlink(files.certificate);
    unlink(files.key);
    expect_refused("cannot read the certificate");
    write_pair(pair);
    unlink(files.key);
    expect_refused("cannot read the key");
    write_text(files.key, "");
    expect_refused("cannot use the key");
    write_certificate(pair.certificate, files.key);
    expect_refused("cannot use the key");
    write_key(other.key, files.key);
    expect_refused("does not belong to the certificate");
    write_key(pair.key, files.certificate);
    expect_refused("cannot use the certificate");
    write_text(files.certificate, "");
    expect_refused("cannot use the certificate");
    unlink(files.certificate);
    mkdir(files.certificate, 0700);
    expect_refused("cannot read the certificate");
    rmdir(files.certificate);

    write_pair(pair);
    FILE *file = fopen(files.key, "w");
    PEM_write_PrivateKey(file, pair.key, EVP_aes_128_cbc(), NULL, 0, NULL, (void *)"SECRET");
    fclose(file);
    expect_refused("without a passphrase");
    free_pair(pair);
    free_pair(other);
    assert_int_equal(sl_loop_close(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_service),
        cmocka_unit_test(test_endless_body),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_bad_start),
        cmocka_unit_test(test_handshakes_leave_room),
        cmocka_unit_test(test_change_without_visitor),
        cmocka_unit_test(test_change_that_cannot_be_read_at_first),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
