/* Commands past the driver: what is sent, every kind of wrong answer, and, against a real server,
 * that they are used, and that a step-down sends them back to the driver. */
#include "mongo/live.h"

#include <sys/socket.h>

#include "mongo/client.h"
#include "mongo/direct.h"
#include "mongo/stream.h"

/* --- over a pair of sockets --- */

enum { HEAD = 16, PROLOGUE = HEAD + 5 };

struct answer {
    const char *name;
    const char *json; /* the document; NULL: none, and the peer hangs up */
    int request_off;  /* added to the number of the request that it answers */
    int length_off;   /* added to the message's length */
    uint32_t opcode, flags;
    uint8_t kind;
    size_t cut;            /* bytes missing at the end; then the peer hangs up */
    size_t more;           /* bytes behind the end */
    size_t piece;          /* sent at once; 0: all */
    uint32_t domain, code; /* what is wrong; 0: nothing */
};

#define GOOD "{\"ok\": 1}"

static const struct answer answers[] = {
    {"good",                       "{\"ok\": 1.0, \"n\": 7}",                            0, 0,        2013, 0, 0, 0,  0, 0, 0,                     0  },
    {"good, byte by byte",         "{\"ok\": 1, \"n\": 7}",                              0, 0,        2013, 0, 0, 0,  0, 1, 0,                     0  },
    {"the command failed",         "{\"ok\": 0.0, \"code\": 112, \"errmsg\": \"busy\"}", 0, 0,        2013, 0, 0,
     0,                                                                                                               0, 0, MONGOC_ERROR_SERVER,   112},
    {"neither good nor bad",       "{\"n\": 7}",                                         0, 0,        2013, 0, 0, 0,  0, 0, MONGOC_ERROR_PROTOCOL, 0  },
    {"nothing",                    NULL,                                                 0, 0,        2013, 0, 0, 0,  0, 0, MONGOC_ERROR_STREAM,   0  },
    {"cut in the head",            GOOD,                                                 0, 0,        2013, 0, 0, 20, 0, 0, MONGOC_ERROR_STREAM,   0  },
    {"cut in the document",        GOOD,                                                 0, 0,        2013, 0, 0, 1,  0, 0, MONGOC_ERROR_STREAM,   0  },
    {"to another request",         GOOD,                                                 1, 0,        2013, 0, 0, 0,  0, 0, MONGOC_ERROR_PROTOCOL, 0  },
    {"too long",                   GOOD,                                                 0, 48000000, 2013, 0, 0, 0,  0, 0, MONGOC_ERROR_PROTOCOL, 0  },
    {"too short",                  GOOD,                                                 0, -20,      2013, 0, 0, 0,  0, 0, MONGOC_ERROR_PROTOCOL, 0  },
    {"length of another document", GOOD,                                                 0, 1,        2013, 0, 0, 0,  0, 0, MONGOC_ERROR_PROTOCOL, 0  },
    {"an old opcode",              GOOD,                                                 0, 0,        1,    0, 0, 0,  0, 0, MONGOC_ERROR_PROTOCOL, 0  },
    {"more will come",             GOOD,                                                 0, 0,        2013, 2, 0, 0,  0, 0, MONGOC_ERROR_PROTOCOL, 0  },
    {"a section of kind 1",        GOOD,                                                 0, 0,        2013, 0, 1, 0,  0, 0, MONGOC_ERROR_PROTOCOL, 0  },
    {"two at once",                GOOD,                                                 0, 0,        2013, 0, 0, 0,  3, 0, MONGOC_ERROR_PROTOCOL, 0  },
};

struct server {
    int fd;
    const struct answer *answer;
    uint8_t asked[4096];
    size_t asked_bytes;
};

static void put32(uint8_t *to, uint32_t value)
{
    value = BSON_UINT32_TO_LE(value);
    memcpy(to, &value, sizeof value);
}

static uint32_t get32(const uint8_t *from)
{
    uint32_t value;
    memcpy(&value, from, sizeof value);
    return BSON_UINT32_FROM_LE(value);
}

static void reply(const struct server *server)
{
    const struct answer *answer = server->answer;
    bson_t *document = bson_new_from_json((const uint8_t *)answer->json, -1, NULL);
    uint8_t bytes[1024] = {0};
    size_t size = PROLOGUE + document->len + answer->more;
    put32(bytes, (uint32_t)((int)(PROLOGUE + document->len) + answer->length_off));
    put32(bytes + 8, get32(server->asked + 4) + (uint32_t)answer->request_off);
    put32(bytes + 12, answer->opcode);
    put32(bytes + HEAD, answer->flags);
    bytes[HEAD + 4] = answer->kind;
    memcpy(bytes + PROLOGUE, bson_get_data(document), document->len);
    size -= answer->cut;
    for (size_t at = 0, piece = answer->piece ? answer->piece : size; at < size; at += piece) {
        EXPECT_INT(send(server->fd, bytes + at, piece, MSG_NOSIGNAL), (long long)piece);
        sl_fiber_yield();
    }
    bson_destroy(document);
}

static void serve(void *arg)
{
    struct server *server = arg;
    uint64_t deadline_ms = sl_deadline_in(10000);
    while ((server->asked_bytes < HEAD || server->asked_bytes < get32(server->asked)) &&
           sl_loop_now_ms() < deadline_ms) {
        ssize_t got = recv(server->fd, server->asked + server->asked_bytes,
                           sizeof server->asked - server->asked_bytes, MSG_DONTWAIT);
        if (got > 0)
            server->asked_bytes += (size_t)got;
        sl_fiber_yield();
    }
    if (server->answer->json)
        reply(server);
    if (!server->answer->json || server->answer->cut)
        shutdown(server->fd, SHUT_WR);
}

static void expect_asked(const struct server *server, const bson_t *command, int64_t time_ms)
{
    bson_t wanted, got;
    bson_copy_to(command, &wanted);
    if (time_ms)
        BSON_APPEND_INT64(&wanted, "maxTimeMS", time_ms);
    BSON_APPEND_UTF8(&wanted, "$db", "data");
    EXPECT_INT(get32(server->asked), (long long)server->asked_bytes);
    EXPECT_INT(get32(server->asked + 12), 2013);
    EXPECT(bson_init_static(&got, server->asked + PROLOGUE, server->asked_bytes - PROLOGUE));
    EXPECT(bson_equal(&wanted, &got));
    bson_destroy(&wanted);
}

/* The command's bytes are whoever's now: what is read of them later is nonsense. */
static void spoil(void *ctx)
{
    bson_t *command = ctx;
    memset((uint8_t *)(uintptr_t)bson_get_data(command), 0xff, command->len);
}

static void try_answer(const struct answer *answer, int64_t time_ms)
{
    struct sl_mongo_link link = {.deadline_ms = sl_deadline_in(10000)};
    int fds[2], before = failures;
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    mongoc_stream_t *stream = sl_mongo_stream_new(fds[0], &link);
    struct server server = {.fd = fds[1], .answer = answer};
    struct sl_fiber *fiber = sl_fiber_spawn_joinable("server", serve, &server);
    bson_t document,
        *command = BCON_NEW("update", "c", "updates", "[", "{", "q", "{", "}", "}", "]");
    bson_error_t error = {0};

    bson_t *copy = bson_copy(command);
    const struct sl_mongo_sent sent = {spoil, copy};
    bool good = sl_mongo_direct(stream, "data", copy, &sent, time_ms, -1, &document, &error);
    EXPECT(bson_get_data(copy)[0] == 0xff);
    bson_destroy(copy);
    sl_fiber_join(fiber);
    EXPECT_INT(good, answer->domain == 0);
    EXPECT_INT(error.domain, answer->domain);
    if (answer->code)
        EXPECT_INT(error.code, answer->code);
    if (good)
        EXPECT_INT(sl_field_int64(&document, "n", 0), 7);
    expect_asked(&server, command, time_ms);
    if (failures > before)
        fprintf(stderr, "  the answer: %s\n", answer->name);
    bson_destroy(&document);
    bson_destroy(command);
    mongoc_stream_destroy(stream);
    EXPECT(link.heard == NULL);
    close(fds[1]);
}

static void try_answers(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        try_answer(&answers[i], i % 2 ? 4711 : 0);
}

static void every_wrong_answer_is_noticed(void **state)
{
    (void)state;
    failures = 0;
    sl_fiber_spawn("answers", try_answers, NULL);
    sl_loop_run();
    sl_dns_close();
    assert_int_equal(sl_loop_close(), 0);
    assert_int_equal(failures, 0);
}

/* --- against a real server --- */

/* The driver names a session in every command, and nobody else does. */
static bool came_from_driver(struct sl_mongo *mongo)
{
    struct sl_err err = {0};
    bson_t document, session;
    bool driver = false;
    bson_t *command =
        BCON_NEW("aggregate", BCON_INT32(1), "pipeline", "[", "{", "$currentOp", "{", "localOps",
                 BCON_BOOL(true), "}", "}", "{", "$match", "{", "command.comment", "mine", "}", "}",
                 "]", "cursor", "{", "}", "comment", "mine");
    if (EXPECT_OK(sl_mongo_first(mongo, "admin", command, &document, sl_deadline_in(10000), &err),
                  &err)) {
        driver = sl_field_document(&document, "command.lsid", &session);
        bson_destroy(&document);
    }
    bson_destroy(command);
    return driver;
}

static void do_ways(struct sl_mongo *mongo)
{
    EXPECT(came_from_driver(mongo)); /* which has to find the server first */
    EXPECT(!came_from_driver(mongo));
    EXPECT(!came_from_driver(mongo));
}

static void the_driver_is_asked_once(void **state)
{
    (void)state;
    live(do_ways);
}

static int insert(struct sl_mongo *mongo, int number, struct sl_err *err)
{
    bson_t written;
    bson_t *command = BCON_NEW("update", "c", "updates", "[", "{", "q", "{", "_id",
                               BCON_INT32(number), "}", "u", "{", "$set", "{", "n", BCON_INT32(1),
                               "}", "}", "upsert", BCON_BOOL(true), "}", "]");
    sl_mongo_append_durable(command, sl_deadline_in(5000));
    int rc = sl_mongo_write(mongo, live_data, command, &written, sl_deadline_in(5000), err);
    bson_destroy(&written);
    bson_destroy(command);
    return rc;
}

static void do_step_down(struct sl_mongo *mongo)
{
    struct sl_err err = {0};
    bson_t answer, *command = BCON_NEW("replSetStepDown", BCON_INT32(2), "force", BCON_BOOL(true),
                                       "secondaryCatchUpPeriodSecs", BCON_INT32(0));
    EXPECT_OK(insert(mongo, 0, &err), &err);
    sl_mongo_command(mongo, "admin", command, &answer, sl_deadline_in(10000), NULL);
    bson_destroy(&answer);
    bson_destroy(command);

    int number = 1, rc = SL_CLOSED, refused = 0;
    for (uint64_t until_ms = sl_deadline_in(30000); rc != SL_OK && sl_loop_now_ms() < until_ms;) {
        rc = insert(mongo, number, &err);
        refused += rc != SL_OK;
        if (rc != SL_OK && !EXPECT(sl_code_transient(rc)))
            break;
        sl_fiber_sleep(50);
    }
    EXPECT_OK(rc, &err);
    EXPECT(refused > 0);
    EXPECT_INT(live_count(mongo, live_data, "c"), 2);
    EXPECT(!came_from_driver(mongo));
}

static void a_step_down_is_a_pause(void **state)
{
    (void)state;
    live(do_step_down);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_wrong_answer_is_noticed),
        cmocka_unit_test(the_driver_is_asked_once),
        cmocka_unit_test(a_step_down_is_a_pause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
