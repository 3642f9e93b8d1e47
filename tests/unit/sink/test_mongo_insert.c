/* Insertions (docs/adr/0033-insertions.md): what is taken for new, and what becomes of it when an
 * insertion goes wrong. That the rows come out the same is in test_mongo.c. */
#include "sink/mongo_sink.h"

static int64_t counted(const char *outcome)
{
    return sl_metric_sum("insertions_total", outcome);
}

/* Writes rows "r-FROM" to "r-TO"; gives how many insertions and updates the server was asked for.
 */
static void write_span(struct sl_mongo *mongo, struct sl_sink *sink, unsigned from, unsigned to,
                       int64_t *ret_inserts, int64_t *ret_updates)
{
    struct sl_err err = {0};
    struct sl_result result = {0};
    struct sl_batch *batch = new_batch("r-1", false);
    int64_t inserts = asked_to(mongo, "insert", "guessed");
    int64_t updates = asked_to(mongo, "update", "guessed");
    for (unsigned i = from; i < to; i++) {
        char id[32];
        snprintf(id, sizeof id, "r-%u", i);
        add_json(batch, id, 1, "{\"a\": 1}");
    }
    EXPECT_OK(write_batch(sink, batch, &result, &err), &err);
    EXPECT_INT(result.applied + result.stale, to - from);
    *ret_inserts = asked_to(mongo, "insert", "guessed") - inserts;
    *ret_updates = asked_to(mongo, "update", "guessed") - updates;
    sl_batch_free(batch);
}

static void do_guess(struct sl_mongo *mongo)
{
    static const struct {
        unsigned from, to;
        bool inserts, updates;
        int64_t inserted, refused;
    } spans[] = {
        {0,    200,  false, true,  0,   0  }, /* nothing is known of the collection */
        {200,  400,  true,  false, 200, 0  },
        {400,  410,  false, true,  0,   0  }, /* too few to gain by it */
        {405,  605,  true,  true,  195, 5  }, /* a few are there */
        {600,  800,  true,  true,  195, 5  },
        {700,  900,  true,  true,  100, 100}, /* many are: wrong */
        {900,  1100, false, true,  0,   0  }, /* once is not enough now */
        {1095, 1300, false, true,  0,   0  }, /* a few do not count */
        {1300, 1500, true,  false, 200, 0  },
        {1300, 1500, true,  true,  0,   200}, /* wrong again */
        {1300, 1500, false, true,  0,   0  }, /* stays so */
    };
    struct sl_sink *sink = open_sink(mongo, "guessed");
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
        int64_t inserts, updates, inserted = counted("inserted"), refused = counted("refused");
        write_span(mongo, sink, spans[i].from, spans[i].to, &inserts, &updates);
        inserted = counted("inserted") - inserted;
        refused = counted("refused") - refused;
        if (!EXPECT(!inserts == !spans[i].inserts && !updates == !spans[i].updates) ||
            !EXPECT(inserted == spans[i].inserted && refused == spans[i].refused))
            fprintf(stderr, "  span %zu: %d insertions, %d updates; %d rows inserted, %d refused\n",
                    i, (int)inserts, (int)updates, (int)inserted, (int)refused);
    }
    EXPECT_INT(live_count(mongo, live_data, "guessed"), 1500);
    sink->type->close(sink);
}

static void test_guess(void **state)
{
    (void)state;
    live(do_guess);
}

/* A deletion frees what a unique index guards, for a row behind it in the batch: also when that row
 * is taken for new, and goes first. */
static void do_order(struct sl_mongo *mongo)
{
    struct sl_err err = {0};
    struct sl_result result = {0};
    live_run(mongo, live_data,
             "{\"createIndexes\": \"ordered\", \"indexes\": [{\"key\": {\"mail\": 1}, \"name\": "
             "\"mail_1\", \"unique\": true, \"partialFilterExpression\": {\"mail\": {\"$exists\": "
             "true}}}]}",
             NULL);
    struct sl_sink *sink = open_sink(mongo, "ordered");
    struct sl_batch *stored = new_batch("r-1", false), *batch = new_batch("r-2", false);
    add_json(stored, "one", 1, "{\"mail\": \"m\"}");
    EXPECT_OK(write_batch(sink, stored, &result, &err), &err);
    teach(sink);
    add_json(batch, "one", 2, NULL);
    add_json(batch, "two", 3, "{\"mail\": \"m\"}");
    fill(batch);
    int64_t refused = counted("refused");
    EXPECT_OK(write_batch(sink, batch, &result, &err), &err);
    EXPECT_INT(counted("refused") - refused, 1); /* it was tried */
    EXPECT_INT(result.applied, FILLERS + 2);
    EXPECT_INT(result.reject_count, 0);
    sl_batch_free(stored);
    sl_batch_free(batch);
    sink->type->close(sink);
}

static void test_order(void **state)
{
    (void)state;
    live(do_order);
}

/* The next insertion into a collection goes wrong so. */
static void fail_insertion(struct sl_mongo *mongo, const char *collection, const char *how)
{
    char json[512];
    snprintf(json, sizeof json,
             "{\"configureFailPoint\": \"failCommand\", \"mode\": {\"times\": 1}, \"data\": "
             "{\"failCommands\": [\"insert\"], \"namespace\": \"%s.%s\", %s}}",
             live_data, collection, how);
    live_run(mongo, "admin", json, NULL);
}

/* An insertion of which nothing is known is not taken for done. */
static void do_failing(struct sl_mongo *mongo)
{
    static const struct {
        const char *how;
        int code;
        uint32_t stored; /* of the rows, all the same */
    } rows[] = {
        {"\"closeConnection\": true",                                   SL_CLOSED, 0      },
        {"\"errorCode\": 91",                                           SL_CLOSED, 0      },
        {"\"writeConcernError\": {\"code\": 91, \"errmsg\": \"down\"}", SL_CLOSED, FILLERS},
        {"\"errorCode\": 10334",                                        SL_OK,     FILLERS},
    };
    struct sl_sink *sink = open_sink(mongo, "failing");
    teach(sink);
    int64_t there = FILLERS;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int before = failures;
        struct sl_err err = {0};
        struct sl_result result = {0};
        struct sl_batch *batch = new_batch("r-1", false);
        fill(batch);
        fail_insertion(mongo, "failing", rows[i].how);
        EXPECT_INT(write_batch(sink, batch, &result, &err), rows[i].code);
        EXPECT_INT(live_count(mongo, live_data, "failing"), there + rows[i].stored);
        if (rows[i].code != SL_OK) {
            EXPECT_OK(write_batch(sink, batch, &result, &err), &err);
            EXPECT_INT(result.stale, rows[i].stored);
        }
        EXPECT_INT(result.applied + result.stale, FILLERS);
        there += FILLERS;
        EXPECT_INT(live_count(mongo, live_data, "failing"), there);
        if (failures != before)
            fprintf(stderr, "  in '%s': %s\n", rows[i].how, err.message);
        sl_batch_free(batch);
        sink->type->close(sink); /* another one guesses anew */
        sink = open_sink(mongo, "failing");
        teach(sink);
        there += FILLERS;
    }
    sink->type->close(sink);
}

static void test_failing(void **state)
{
    (void)state;
    live(do_failing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guess),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_failing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
