/* For tests against a real MongoDB, named by SLUICE_TEST_MONGO_URL. Every program works in
 * databases of its own and drops them. cmocka's asserts jump, which a fiber's stack does not
 * survive: inside fibers EXPECT counts, and the test then asserts that nothing was counted. */
#ifndef SL_TEST_MONGO_LIVE_H
#define SL_TEST_MONGO_LIVE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mongoc/mongoc.h>

#include "base/metric.h"
#include "loop/delay.h"
#include "loop/dns.h"
#include "loop/fiber.h"
#include "mongo/client.h"
#include "mongo/fields.h"

#include <cmocka.h>

static int failures;

static inline bool expect(const char *file, int line, bool holds, const char *text)
{
    if (!holds) {
        fprintf(stderr, "%s:%d: expected: %s\n", file, line, text);
        failures++;
    }
    return holds;
}

static inline void expect_int(const char *file, int line, const char *text, long long actual,
                              long long wanted)
{
    if (actual == wanted)
        return;
    fprintf(stderr, "%s:%d: %s is %lld, expected %lld\n", file, line, text, actual, wanted);
    failures++;
}

/* SL_OK is expected; tells the message otherwise. */
static inline bool expect_ok(const char *file, int line, int rc, const struct sl_err *err)
{
    if (rc == SL_OK)
        return true;
    fprintf(stderr, "%s:%d: failed (%s): %s\n", file, line, sl_code_name(rc), err->message);
    failures++;
    return false;
}

#define EXPECT(condition) expect(__FILE__, __LINE__, condition, #condition)
#define EXPECT_INT(actual, wanted)                                                                 \
    expect_int(__FILE__, __LINE__, #actual, (long long)(actual), wanted)
#define EXPECT_OK(rc, err) expect_ok(__FILE__, __LINE__, rc, err)

static inline const char *live_url(void)
{
    const char *url = getenv("SLUICE_TEST_MONGO_URL");
    if (!url) {
        fprintf(stderr,
                "this test needs a MongoDB replica set of its own: set SLUICE_TEST_MONGO_URL,"
                " as in mongodb://127.0.0.1:27017/?replicaSet=rs0\n");
        _exit(1); /* from inside a fiber */
    }
    return url;
}

static char live_data[64], live_state[64];

static inline struct sl_mongo_settings live_settings(void)
{
    snprintf(live_data, sizeof live_data, "sluice_test_data_%d", (int)getpid());
    snprintf(live_state, sizeof live_state, "sluice_test_state_%d", (int)getpid());
    return (struct sl_mongo_settings){
        .url = (char *)(uintptr_t)live_url(),
        .database = live_data,
        .state_database = live_state,
        .writers = 2,
        .max_clients = 4,
        .write_timeout_ms = 30000,
        .lease_ms = 30000,
        .tombstone_ttl_ms = (uint64_t)30 * 86400 * 1000,
    };
}

/* Runs a command given as relaxed extended JSON ('…'), expecting success; ret_reply may be NULL. */
static inline bool live_run(struct sl_mongo *mongo, const char *database, const char *json,
                            bson_t *ret_reply)
{
    struct sl_err err = {0};
    bson_error_t error;
    bson_t reply, *command = bson_new_from_json((const uint8_t *)json, -1, &error);
    if (!expect(__FILE__, __LINE__, command != NULL, json)) {
        fprintf(stderr, "  %s\n", error.message);
        return false;
    }
    int rc = sl_mongo_command(mongo, database, command, &reply, sl_deadline_in(20000), &err);
    bool good = expect_ok(__FILE__, __LINE__, rc, &err);
    if (ret_reply)
        bson_copy_to(&reply, ret_reply);
    bson_destroy(&reply);
    bson_destroy(command);
    return good;
}

/* The document with this _id as relaxed extended JSON; "" when there is none. The caller frees. */
static inline char *live_document(struct sl_mongo *mongo, const char *database,
                                  const char *collection, const char *id)
{
    struct sl_err err = {0};
    bson_t document;
    bson_t *command = BCON_NEW("find", BCON_UTF8(collection), "filter", "{", "_id", BCON_UTF8(id),
                               "}", "limit", BCON_INT32(1), "singleBatch", BCON_BOOL(true));
    int rc = sl_mongo_first(mongo, database, command, &document, sl_deadline_in(20000), &err);
    bson_destroy(command);
    if (rc != SL_OK)
        return strdup("");
    char *json = bson_as_relaxed_extended_json(&document, NULL);
    bson_destroy(&document);
    return json;
}

static inline int64_t live_count(struct sl_mongo *mongo, const char *database,
                                 const char *collection)
{
    bson_t reply;
    char json[256];
    snprintf(json, sizeof json, "{\"count\": \"%s\", \"query\": {}}", collection);
    live_run(mongo, database, json, &reply);
    int64_t count = sl_field_int64(&reply, "n", -1);
    bson_destroy(&reply);
    return count;
}

/* The longest delay of the loop since the last call, in milliseconds. */
static inline uint64_t live_worst_delay_ms(void)
{
    for (struct sl_metric *one = sl_metric_first(); one; one = one->next)
        if (strcmp(one->name, "loop_delay_seconds") == 0) {
            uint64_t worst_us = sl_histogram_max_us(one->histogram);
            sl_histogram_clear(one->histogram);
            return worst_us / 1000;
        }
    return 0;
}

struct live_test {
    void (*body)(struct sl_mongo *mongo);
};

static inline void live_fiber(void *arg)
{
    const struct live_test *test = arg;
    struct sl_err err = {0};
    struct sl_mongo_settings settings = live_settings();
    struct sl_mongo *mongo = sl_mongo_new(&settings, &err);
    if (!EXPECT(mongo != NULL)) {
        fprintf(stderr, "  %s\n", err.message);
        return;
    }
    test->body(mongo);
    live_run(mongo, live_data, "{\"dropDatabase\": 1}", NULL);
    live_run(mongo, live_state, "{\"dropDatabase\": 1}", NULL);
    sl_mongo_free(mongo);
}

/* Runs body as a fiber with a client of its own, then looks that nothing stayed open. */
static inline void live(void (*body)(struct sl_mongo *mongo))
{
    struct live_test test = {body};
    failures = 0;
    sl_fiber_spawn("test", live_fiber, &test);
    sl_loop_run();
    sl_dns_close();
    sl_loop_delay_watch(0);
    assert_int_equal(sl_loop_close(), 0);
    sl_metric_free_all();
    assert_int_equal(failures, 0);
}

#endif
