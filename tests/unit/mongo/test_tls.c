/* TLS to a real mongod, which is behind a door that decrypts: what is loaded when, and what is
 * refused. */
#include "mongo/live.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include "loop/authority.h"
#include "mongo/fields.h"
#include "mongo/uri.h"

/* --- how often trust is loaded --- */

/* OpenSSL is a shared library: the driver and we ourselves call this function first. */
static unsigned contexts;

SSL_CTX *SSL_CTX_new(const SSL_METHOD *method)
{
    static SSL_CTX *(*original)(const SSL_METHOD *method);
    if (!original) {
        void *symbol = dlsym(RTLD_NEXT, "SSL_CTX_new");
        memcpy(&original, &symbol, sizeof original);
    }
    contexts++;
    return original(method);
}

/* --- the door --- */

enum { PASSAGES_MAX = 64 };

static struct door {
    int listener;
    uint16_t port;
    struct sockaddr_in mongod;
    SSL_CTX *context;
    pthread_t thread, passages[PASSAGES_MAX];
    unsigned count;
} door;

static bool send_all(int fd, const char *bytes, size_t size)
{
    for (size_t used = 0; used < size;) {
        ssize_t sent = send(fd, bytes + used, size - used, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        used += (size_t)sent;
    }
    return true;
}

/* False at the end of either side. */
static bool carry(SSL *ssl, int fd)
{
    char bytes[16384];
    struct pollfd ends[2] = {
        {.fd = SSL_get_fd(ssl), .events = POLLIN},
        {.fd = fd,              .events = POLLIN}
    };
    if (!SSL_pending(ssl) && poll(ends, 2, -1) < 0)
        return false;
    if (SSL_pending(ssl) || ends[0].revents) {
        int got = SSL_read(ssl, bytes, sizeof bytes);
        if (got <= 0 || !send_all(fd, bytes, (size_t)got))
            return false;
    }
    if (ends[1].revents) {
        ssize_t got = recv(fd, bytes, sizeof bytes, 0);
        if (got <= 0 || SSL_write(ssl, bytes, (int)got) <= 0)
            return false;
    }
    return true;
}

static void *pass(void *arg)
{
    int near = (int)(intptr_t)arg;
    int far = socket(AF_INET, SOCK_STREAM, 0);
    SSL *ssl = SSL_new(door.context);
    SSL_set_fd(ssl, near);
    if (SSL_accept(ssl) == 1 &&
        connect(far, (struct sockaddr *)&door.mongod, sizeof door.mongod) == 0)
        while (carry(ssl, far))
            ;
    SSL_free(ssl);
    close(near);
    close(far);
    return NULL;
}

static void *keep_door(void *arg)
{
    (void)arg;
    int fd;
    while (door.count < PASSAGES_MAX && (fd = accept(door.listener, NULL, NULL)) >= 0)
        pthread_create(&door.passages[door.count++], NULL, pass, (void *)(intptr_t)fd);
    return NULL;
}

static int open_door(void **state)
{
    (void)state;
    static const char local[] = "mongodb://127.0.0.1:";
    socklen_t size = sizeof door.mongod;
    mongoc_init();
    authority_make();
    if (strncmp(live_url(), local, sizeof local - 1) != 0)
        return -1;
    unsigned long port = strtoul(live_url() + sizeof local - 1, NULL, 10);
    door.mongod = (struct sockaddr_in){.sin_family = AF_INET,
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                       .sin_port = htons((uint16_t)port)};
    struct sockaddr_in here = door.mongod;
    here.sin_port = 0;
    door.context = authority_server();
    door.listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(door.listener, (struct sockaddr *)&here, size) || listen(door.listener, 64))
        return -1;
    getsockname(door.listener, (struct sockaddr *)&here, &size);
    door.port = ntohs(here.sin_port);
    return pthread_create(&door.thread, NULL, keep_door, NULL);
}

static int close_door(void **state)
{
    (void)state;
    shutdown(door.listener, SHUT_RDWR);
    pthread_join(door.thread, NULL);
    for (unsigned i = 0; i < door.count; i++)
        pthread_join(door.passages[i], NULL);
    close(door.listener);
    SSL_CTX_free(door.context);
    authority_drop();
    return 0;
}

/* --- through the door --- */

static struct sl_mongo *open_client(const char *host, const char *options, struct sl_err *err)
{
    char url[400];
    snprintf(url, sizeof url, "mongodb://%s:%u/?directConnection=true&tls=true&%s", host, door.port,
             options);
    struct sl_mongo_settings settings = live_settings();
    settings.url = url;
    return sl_mongo_new(&settings, err);
}

static struct sl_mongo *open_trusting(const char *host, struct sl_err *err)
{
    char options[128];
    snprintf(options, sizeof options, "tlsCAFile=%s", authority.ca_path);
    return open_client(host, options, err);
}

static void run_in_fiber(void (*body)(void *))
{
    failures = 0;
    sl_fiber_spawn("test", body, NULL);
    sl_loop_run();
    sl_dns_close();
    assert_int_equal(sl_loop_close(), 0);
    sl_metric_free_all();
    assert_int_equal(failures, 0);
}

struct crowd {
    struct sl_mongo *mongo;
    struct sl_waitlist done;
    unsigned left;
};

static void one_of_crowd(void *arg)
{
    struct crowd *crowd = arg;
    struct sl_err err = {0};
    EXPECT_OK(sl_mongo_ping(crowd->mongo, sl_deadline_in(20000), &err), &err);
    if (--crowd->left == 0)
        sl_wake_all(&crowd->done);
}

/* More fibers than connections, so that every client opens one. */
static void use_all_clients(struct sl_mongo *mongo)
{
    struct crowd crowd = {.mongo = mongo, .left = 12};
    for (unsigned i = 0; i < 12; i++)
        sl_fiber_spawn("crowd", one_of_crowd, &crowd);
    while (crowd.left)
        sl_wait(&crowd.done, SL_FOREVER);
}

static void do_once(void *arg)
{
    (void)arg;
    struct sl_err err = {0};
    unsigned before = door.count;
    contexts = 0;
    struct sl_mongo *mongo = open_trusting("localhost", &err);
    if (!EXPECT(mongo != NULL))
        return;
    char away[80];
    snprintf(away, sizeof away, "%s.away", authority.ca_path);
    rename(authority.ca_path, away); /* whoever reads it now finds nothing */
    use_all_clients(mongo);
    rename(away, authority.ca_path);
    EXPECT_INT(contexts, 1);
    EXPECT(door.count - before >= 4); /* connections */
    sl_mongo_free(mongo);
}

static void trust_is_loaded_once_for_all_connections(void **state)
{
    (void)state;
    run_in_fiber(do_once);
}

enum { BIG_BYTES = 3 * 1024 * 1024, BIG_COUNT = 4 };

static void do_much(void *arg)
{
    (void)arg;
    struct sl_err err = {0};
    bson_t reply, documents, *insert = BCON_NEW("insert", "big");
    struct sl_mongo *mongo = open_trusting("localhost", &err);
    char *text = malloc(BIG_BYTES);
    memset(text, 'x', BIG_BYTES);
    SL_ARRAY_BEGIN(insert, "documents", &documents);
    for (int32_t i = 0; i < BIG_COUNT; i++) {
        bson_t one;
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        bson_append_document_begin(&documents, key, -1, &one);
        BSON_APPEND_INT32(&one, "_id", i);
        bson_append_utf8(&one, "text", -1, text, BIG_BYTES);
        bson_append_document_end(&documents, &one);
    }
    bson_append_array_end(insert, &documents);
    EXPECT_OK(sl_mongo_write(mongo, live_data, insert, &reply, sl_deadline_in(30000), &err), &err);
    bson_destroy(&reply);
    bson_destroy(insert);
    free(text);

    bson_t *find = BCON_NEW("find", "big", "singleBatch", BCON_BOOL(true));
    EXPECT_OK(sl_mongo_command(mongo, live_data, find, &reply, sl_deadline_in(30000), &err), &err);
    EXPECT(reply.len > BIG_BYTES * BIG_COUNT);
    bson_destroy(&reply);
    bson_destroy(find);
    live_run(mongo, live_data, "{\"dropDatabase\": 1}", NULL);
    sl_mongo_free(mongo);
}

static void large_commands_and_replies_pass(void **state)
{
    (void)state;
    run_in_fiber(do_much);
}

/* --- who is not trusted --- */

static void expect_refusal(struct sl_mongo *mongo, const char *part)
{
    struct sl_err err = {0};
    if (!EXPECT(mongo != NULL))
        return;
    EXPECT_INT(sl_mongo_ping(mongo, sl_deadline_in(10000), &err), SL_CONFIG);
    if (!EXPECT(strstr(err.message, part) != NULL))
        fprintf(stderr, "  message: %s\n", err.message);
    sl_mongo_free(mongo);
}

static void do_distrust(void *arg)
{
    (void)arg;
    char part[200];
    expect_refusal(open_trusting("127.0.0.1", NULL),
                   "IP address mismatch, it does not name 127.0.0.1");
    expect_refusal(open_client("localhost", "", NULL), "it is not signed by a CA of the system");
    snprintf(part, sizeof part, "cannot connect to localhost:%u: the server's certificate",
             door.port);
    expect_refusal(open_client("localhost", "", NULL), part);
}

static void a_server_that_is_not_trusted_is_told(void **state)
{
    (void)state;
    run_in_fiber(do_distrust);
}

/* --- the URL --- */

static void what_the_url_cannot_ask_for_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *url, *message;
    } rows[] = {
        {"mongodb://h/?tls=true&tlsCAFile=/no/ca.pem",
         "mongo.url: cannot use CA file /no/ca.pem: No such file or directory"                               },
        {"mongodb://h/?tls=true&tlsCertificateKeyFile=/no/me.pem",
         "mongo.url: cannot use certificate file /no/me.pem: No such file or directory"                      },
        {"mongodb://h/?tls=true&tlsInsecure=true",                 "tlsinsecure=true is not"                 },
        {"mongodb://h/?tls=true&tlsAllowInvalidCertificates=true",
         "tlsallowinvalidcertificates=true is not supported"                                                 },
        {"mongodb://h/?tls=true&tlsAllowInvalidHostnames=true",
         "tlsallowinvalidhostnames=true is not supported"                                                    },
        {"mongodb://h/?tls=true&authMechanism=MONGODB-X509",
         "needs tls=true and tlsCertificateKeyFile"                                                          },
        {"mongodb://h/?authMechanism=MONGODB-X509",                "needs tls=true and tlsCertificateKeyFile"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sl_err err = {0};
        struct sl_mongo_settings settings = {.url = (char *)(uintptr_t)rows[i].url};
        assert_null(sl_mongo_new(&settings, &err));
        assert_int_equal(err.code, SL_CONFIG);
        if (!strstr(err.message, rows[i].message))
            fail_msg("%s: '%s'", rows[i].url, err.message);
    }
}

static void the_key_may_have_a_password(void **state)
{
    (void)state;
    char pem[64], url[256];
    struct sl_err err = {0};
    struct sl_mongo_settings settings = {.url = url};
    authority_write_pem(pem, "hunter2");
    snprintf(url, sizeof url, "mongodb://h/?tls=true&tlsCertificateKeyFile=%s", pem);
    assert_null(sl_mongo_new(&settings, &err));
    assert_non_null(strstr(err.message, "it is encrypted and no password is given"));

    snprintf(url, sizeof url,
             "mongodb://h/?tls=true&tlsCertificateKeyFile=%s&"
             "tlsCertificateKeyFilePassword=hunter2",
             pem);
    struct sl_mongo *mongo = sl_mongo_new(&settings, &err);
    assert_non_null(mongo);
    sl_mongo_free(mongo);

    snprintf(url, sizeof url,
             "mongodb://h/?tls=true&tlsCertificateKeyFile=%s&"
             "tlsCertificateKeyFilePassword=hunter3",
             pem);
    assert_null(sl_mongo_new(&settings, &err));
    assert_non_null(strstr(err.message, "its password is wrong"));
    assert_null(strstr(err.message, "hunter"));
    unlink(pem);
}

static void the_driver_is_left_out_of_tls(void **state)
{
    (void)state;
    static const struct {
        const char *url, *user;
    } rows[] = {
        {"mongodb://h/?tls=true&tlsCertificateKeyFile=f&authMechanism=MONGODB-X509",          "CN=me"},
        {"mongodb://CN%3Dyou@h/?tls=true&tlsCertificateKeyFile=f&authMechanism=MONGODB-X509",
         "CN=you"                                                                                    },
        {"mongodb://h/?tls=true&tlsCertificateKeyFile=f",                                     NULL   },
        {"mongodb://h/?ssl=true",                                                             NULL   },
        {"mongodb://h/?tlsCAFile=f",                                                          NULL   },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sl_err err = {0};
        mongoc_uri_t *uri = sl_mongo_uri_new(rows[i].url, &err);
        assert_string_equal(err.message, "");
        assert_true(mongoc_uri_get_tls(uri));
        sl_mongo_uri_strip_tls(uri, "CN=me");
        assert_false(mongoc_uri_get_tls(uri));
        const char *user = mongoc_uri_get_username(uri);
        assert_string_equal(user ? user : "none", rows[i].user ? rows[i].user : "none");
        mongoc_uri_destroy(uri);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trust_is_loaded_once_for_all_connections),
        cmocka_unit_test(large_commands_and_replies_pass),
        cmocka_unit_test(a_server_that_is_not_trusted_is_told),
        cmocka_unit_test(what_the_url_cannot_ask_for_is_refused),
        cmocka_unit_test(the_key_may_have_a_password),
        cmocka_unit_test(the_driver_is_left_out_of_tls),
    };
    return cmocka_run_group_tests(tests, open_door, close_door);
}
