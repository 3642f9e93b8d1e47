/* The batcher: when batches close, what they carry, what happens to the two fibers around it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/metric.h"
#include "flow/batcher.h"
#include "loop/in_fiber.h"

static const struct sl_batcher_limits usual = {
    .max_rows = 10, .max_bytes = 64 * 1024, .linger_ms = 50, .max_row_bytes = 256 * 1024};

static const struct sl_origin origin = {.feed = "vendors",
                                        .entity = "VendorsV3",
                                        .run = "vendors-000001",
                                        .file = "Vendors.csv",
                                        .attempt = 1,
                                        .batches = -1,
                                        .lane = SL_LANE_BULK};

/* A batcher, and a fiber that takes what comes and notes it. */
enum { NOTED_MAX = 600 };

struct bench {
    struct sl_credit credits[SL_LANES];
    struct sl_batcher *batcher;
    struct sl_fiber *taker;
    bool hold; /* the taker keeps the batches */
    unsigned taken;
    struct {
        uint32_t count, dead, superseded, number;
        bool last;
        int64_t batches;
        uint64_t after_ms;
        size_t doc_bytes;
        char first_id[32], entity[32];
        int64_t first_version;
    } note[NOTED_MAX];
    struct sl_batch *held[NOTED_MAX];
    struct sl_err end;
    uint64_t started_ms;
};

static void note(struct bench *bench, struct sl_batch *batch)
{
    unsigned i = bench->taken++;
    bench->note[i].count = batch->count;
    bench->note[i].dead = batch->dead_count;
    bench->note[i].superseded = batch->superseded;
    bench->note[i].number = batch->origin.number;
    bench->note[i].last = batch->origin.last;
    bench->note[i].batches = batch->origin.batches;
    bench->note[i].after_ms = sl_loop_now_ms() - bench->started_ms;
    snprintf(bench->note[i].entity, 32, "%s", batch->origin.entity);
    for (uint32_t r = 0; r < batch->count; r++)
        bench->note[i].doc_bytes += batch->records[r].doc.length;
    if (batch->count) {
        struct sl_str id = batch->records[0].id;
        snprintf(bench->note[i].first_id, 32, SL_STR_FORMAT, SL_STR_ARGS(id));
        bench->note[i].first_version = batch->records[0].version;
    }
    EXPECT(batch->credit_bytes == batch->arena.held_bytes);
}

static void take_all(void *arg)
{
    struct bench *bench = arg;
    struct sl_batch *batch;
    while (sl_batcher_take(bench->batcher, SL_FOREVER, &batch, &bench->end) == SL_OK) {
        unsigned i = bench->taken;
        note(bench, batch);
        if (bench->hold)
            bench->held[i] = batch;
        else
            sl_batch_free(batch);
    }
}

static struct bench *bench_new(const struct sl_batcher_limits *limits, size_t credit_bytes)
{
    struct bench *bench = calloc(1, sizeof *bench);
    for (int lane = 0; lane < SL_LANES; lane++)
        sl_credit_init(&bench->credits[lane], sl_lane_name((enum sl_lane)lane), credit_bytes);
    bench->batcher = sl_batcher_new(limits, bench->credits);
    bench->started_ms = sl_loop_now_ms();
    return bench;
}

static void start_taker(struct bench *bench)
{
    bench->taker = sl_fiber_spawn_joinable("taker", take_all, bench);
}

/* When it has taken all that was closed. */
static void stop_taker(struct bench *bench)
{
    UNTIL(bench->taken == sl_batcher_closings(bench->batcher));
    sl_fiber_end(&bench->taker);
}

/* Ends the taker and checks that all credit came back. */
static void bench_free(struct bench *bench)
{
    sl_fiber_end(&bench->taker);
    for (unsigned i = 0; i < NOTED_MAX; i++)
        sl_batch_free(bench->held[i]);
    sl_batcher_free(bench->batcher);
    EXPECT(!bench->credits[SL_LANE_FAST].used_bytes && !bench->credits[SL_LANE_BULK].used_bytes);
    free(bench);
}

static int add_row(struct bench *bench, const char *id, int64_t version, size_t doc_bytes)
{
    struct sl_batch *batch;
    struct sl_err err;
    int rc = sl_batcher_open(bench->batcher, &batch, &err);
    if (rc != SL_OK)
        return rc;
    char *doc = sl_arena_alloc(&batch->arena, doc_bytes);
    memset(doc, 'd', doc_bytes);
    struct sl_record record = {
        .id = {sl_arena_text(&batch->arena, id, strlen(id)), strlen(id)},
        .version = version,
        .doc = {doc,                 doc_bytes                  },
        .line = 7
    };
    return sl_batcher_add(bench->batcher, &record, &err);
}

static int add_numbered(struct bench *bench, unsigned i, size_t doc_bytes)
{
    char id[32];
    snprintf(id, sizeof id, "row-%u", i);
    return add_row(bench, id, (int64_t)i, doc_bytes);
}

static void begin(struct bench *bench)
{
    struct sl_err err;
    EXPECT(sl_batcher_begin(bench->batcher, &origin, &err) == SL_OK);
}

static void end(struct bench *bench, struct sl_batcher_totals *totals)
{
    struct sl_err err;
    EXPECT(sl_batcher_end(bench->batcher, totals, &err) == SL_OK);
}

/* --- limits --- */

static void fill_rows(void *arg)
{
    (void)arg;
    struct bench *bench = bench_new(&usual, 1 << 20);
    struct sl_batcher_totals totals;
    start_taker(bench);
    begin(bench);
    for (unsigned i = 0; i < 25; i++)
        EXPECT(add_numbered(bench, i, 10) == SL_OK);
    end(bench, &totals);
    stop_taker(bench);

    REQUIRE(bench->taken == 3);
    EXPECT(bench->note[0].count == 10 && bench->note[1].count == 10 && bench->note[2].count == 5);
    for (uint32_t i = 0; i < 3; i++) {
        EXPECT(bench->note[i].number == i);
        EXPECT(bench->note[i].last == (i == 2));
        EXPECT(bench->note[i].batches == (i == 2 ? 3 : -1));
        EXPECT(!strcmp(bench->note[i].entity, "VendorsV3"));
    }
    EXPECT(totals.read == 25 && totals.batches == 3 && !totals.dead && !totals.superseded);
    EXPECT(bench->end.code == SL_CANCELED);
    bench_free(bench);
}

static void a_batch_closes_at_max_rows(void **state)
{
    (void)state;
    run_in_fiber(fill_rows, NULL);
}

static void fill_bytes(void *arg)
{
    (void)arg;
    struct sl_batcher_limits limits = usual;
    limits.max_rows = 1000;
    struct bench *bench = bench_new(&limits, 4 << 20);
    start_taker(bench);
    begin(bench);
    for (unsigned i = 0; i < 200; i++)
        EXPECT(add_numbered(bench, i, 1024) == SL_OK);
    end(bench, NULL);
    stop_taker(bench);
    unsigned rows = 0;
    for (unsigned i = 0; i < bench->taken; i++) {
        rows += bench->note[i].count;
        EXPECT(bench->note[i].doc_bytes <= 65 * 1024);
    }
    EXPECT(rows == 200 && bench->taken == 4);
    bench_free(bench);
}

static void a_batch_closes_at_max_bytes(void **state)
{
    (void)state;
    run_in_fiber(fill_bytes, NULL);
}

static void travel_alone(void *arg)
{
    (void)arg;
    struct bench *bench = bench_new(&usual, 4 << 20);
    struct sl_batcher_totals totals;
    start_taker(bench);
    begin(bench);
    EXPECT(add_numbered(bench, 0, 100) == SL_OK);
    EXPECT(add_row(bench, "large", 5, 200 * 1024) == SL_OK);           /* over max_bytes */
    EXPECT(add_row(bench, "larger than all", 6, 300 * 1024) == SL_OK); /* over max_row_bytes */
    EXPECT(add_numbered(bench, 1, 100) == SL_OK);
    end(bench, &totals);
    stop_taker(bench);

    EXPECT(totals.read == 4 && totals.dead == 1);
    uint32_t rows = 0, dead = 0;
    bool alone = false;
    for (unsigned i = 0; i < bench->taken; i++) {
        rows += bench->note[i].count;
        dead += bench->note[i].dead;
        if (!strcmp(bench->note[i].first_id, "large"))
            alone = bench->note[i].count == 1 && bench->note[i].doc_bytes == 200 * 1024;
    }
    EXPECT(alone && rows == 3 && dead == 1);
    bench_free(bench);
}

static void a_large_row_travels_alone_and_a_larger_one_dies(void **state)
{
    (void)state;
    run_in_fiber(travel_alone, NULL);
}

static struct sl_str long_key(char letter)
{
    size_t length = SL_ID_BYTES_MAX + 1;
    char *text = malloc(length);
    memset(text, 'k', length);
    text[length - 1] = letter;
    return (struct sl_str){text, length};
}

/* What is too long for a message would be too long three times over for a letter. */
static void cut_keys(void *arg)
{
    (void)arg;
    struct sl_batcher_limits limits = usual;
    limits.max_row_bytes = 4 * SL_ID_BYTES_MAX;
    limits.max_bytes = 16 * SL_ID_BYTES_MAX;
    struct bench *bench = bench_new(&limits, 64 << 20);
    struct sl_batch *batch;
    begin(bench);
    for (int i = 0; i < 3; i++) {
        REQUIRE(sl_batcher_open(bench->batcher, &batch, NULL) == SL_OK);
        struct sl_str key = long_key((char)('a' + i % 2));
        struct sl_record record = {
            .id = {sl_arena_copy(&batch->arena, key.at, key.length), key.length}
        };
        EXPECT(sl_batcher_add(bench->batcher, &record, NULL) == SL_OK);
        free((char *)key.at);
    }
    REQUIRE(sl_batcher_open(bench->batcher, &batch, NULL) == SL_OK);
    REQUIRE(batch->dead_count == 3);
    const struct sl_dead *dead = batch->dead;
    EXPECT(!strcmp(dead->code, "too_large") && dead->row_cut);
    EXPECT(dead[0].id.length > 1024 && dead[0].id.length < 1100);
    EXPECT(sl_str_equal(dead[0].id, dead[2].id) && !sl_str_equal(dead[0].id, dead[1].id));
    bench_free(bench);
}

static void of_a_key_that_is_too_long_a_letter_has_the_beginning(void **state)
{
    (void)state;
    run_in_fiber(cut_keys, NULL);
}

static void linger(void *arg)
{
    (void)arg;
    struct sl_batcher_limits limits = usual;
    limits.linger_ms = 300;
    struct bench *bench = bench_new(&limits, 1 << 20);
    start_taker(bench);
    begin(bench);
    EXPECT(sl_fiber_sleep(10) == SL_OK); /* time without rows does not count */
    uint64_t added_ms = sl_loop_now_ms() - bench->started_ms;
    EXPECT(add_numbered(bench, 1, 10) == SL_OK);
    EXPECT(sl_fiber_sleep(20) == SL_OK);
    EXPECT(add_numbered(bench, 2, 10) == SL_OK);
    UNTIL(bench->taken);
    REQUIRE(bench->taken == 1);
    EXPECT(bench->note[0].count == 2 && !bench->note[0].last);
    EXPECT(bench->note[0].after_ms >= added_ms + 300);
    EXPECT(bench->note[0].after_ms < added_ms + 3000);
    end(bench, NULL);
    stop_taker(bench);
    REQUIRE(bench->taken == 2);
    EXPECT(bench->note[1].count == 0 && bench->note[1].last && bench->note[1].batches == 2);
    bench_free(bench);
}

static void a_batch_lingers_no_longer_than_told(void **state)
{
    (void)state;
    run_in_fiber(linger, NULL);
}

static void flush(void *arg)
{
    (void)arg;
    struct sl_batcher_limits limits = usual;
    limits.linger_ms = 60000; /* longer than the test waits */
    struct bench *bench = bench_new(&limits, 1 << 20);
    struct sl_batch *batch;
    struct sl_err err;
    start_taker(bench);
    sl_batcher_flush(bench->batcher); /* nothing is open */
    begin(bench);
    EXPECT(sl_batcher_open(bench->batcher, &batch, &err) == SL_OK);
    sl_batcher_flush(bench->batcher); /* open and empty: it stays open for its first row */
    EXPECT(sl_fiber_sleep(20) == SL_OK);
    EXPECT(bench->taken == 0);

    EXPECT(add_numbered(bench, 1, 10) == SL_OK);
    EXPECT(sl_fiber_sleep(20) == SL_OK);
    EXPECT(bench->taken == 0); /* the flush before it was not meant for it */
    EXPECT(add_numbered(bench, 2, 10) == SL_OK);
    sl_batcher_flush(bench->batcher);
    UNTIL(bench->taken);
    REQUIRE(bench->taken == 1);
    EXPECT(bench->note[0].count == 2 && bench->note[0].number == 0 && !bench->note[0].last);

    EXPECT(add_numbered(bench, 3, 10) == SL_OK); /* the next one lingers again */
    EXPECT(sl_fiber_sleep(20) == SL_OK);
    EXPECT(bench->taken == 1);
    sl_batcher_flush(bench->batcher);
    sl_batcher_abandon(bench->batcher); /* what was flushed and not yet taken */
    EXPECT(add_numbered(bench, 4, 10) == SL_OK);
    EXPECT(sl_fiber_sleep(20) == SL_OK);
    EXPECT(bench->taken == 1);
    end(bench, NULL);
    stop_taker(bench);
    REQUIRE(bench->taken == 2);
    EXPECT(bench->note[1].count == 1 && bench->note[1].last && bench->note[1].batches == 2);
    EXPECT(!strcmp(bench->note[1].first_id, "row-4"));
    bench_free(bench);
}

static void a_flushed_batch_does_not_linger(void **state)
{
    (void)state;
    run_in_fiber(flush, NULL);
}

/* The taker is late: the batch that was flushed waits behind a full one, and follows it at once. */
static void flush_behind(void *arg)
{
    (void)arg;
    struct sl_batcher_limits limits = usual;
    limits.linger_ms = 60000;
    struct bench *bench = bench_new(&limits, 1 << 20);
    begin(bench);
    for (unsigned i = 0; i < 12; i++)
        EXPECT(add_numbered(bench, i, 10) == SL_OK);
    sl_batcher_flush(bench->batcher);
    start_taker(bench);
    UNTIL(bench->taken == 2);
    REQUIRE(bench->taken == 2);
    EXPECT(bench->note[0].count == 10 && bench->note[1].count == 2);
    bench_free(bench);
}

static void a_flush_counts_also_behind_a_full_batch(void **state)
{
    (void)state;
    run_in_fiber(flush_behind, NULL);
}

/* --- keys --- */

static void supersede(void *arg)
{
    (void)arg;
    struct bench *bench = bench_new(&usual, 1 << 20);
    struct sl_batcher_totals totals;
    start_taker(bench);
    begin(bench);
    EXPECT(add_row(bench, "a", 5, 10) == SL_OK);
    EXPECT(add_row(bench, "b", 1, 10) == SL_OK);
    EXPECT(add_row(bench, "a", 9, 11) == SL_OK); /* newer */
    EXPECT(add_row(bench, "a", 7, 12) == SL_OK); /* older: dropped */
    EXPECT(add_row(bench, "a", 9, 13) == SL_OK); /* equal: the later one */
    struct sl_batch *batch;
    struct sl_err err;
    EXPECT(sl_batcher_open(bench->batcher, &batch, &err) == SL_OK);
    struct sl_dead dead = {.code = "empty_key", .file = "f", .line = 3};
    EXPECT(sl_batcher_add_dead(bench->batcher, &dead, &err) == SL_OK);
    EXPECT(sl_batch_read(batch) == 6);
    end(bench, &totals);
    begin(bench); /* a new origin: the old keys are forgotten, numbers begin again */
    EXPECT(add_row(bench, "a", 1, 10) == SL_OK);
    end(bench, NULL);
    stop_taker(bench);

    REQUIRE(bench->taken == 2);
    EXPECT(bench->note[0].count == 2 && bench->note[0].superseded == 3 && bench->note[0].dead == 1);
    EXPECT(bench->note[0].first_version == 9);
    EXPECT(bench->note[0].doc_bytes == 13 + 10);
    EXPECT(totals.read == 6 && totals.superseded == 3 && totals.dead == 1 && totals.batches == 1);
    EXPECT(bench->note[1].count == 1 && bench->note[1].number == 0 && bench->note[1].last);
    bench_free(bench);
}

static void one_key_appears_once_the_newest(void **state)
{
    (void)state;
    run_in_fiber(supersede, NULL);
}

/* --- ends --- */

static void end_empty(void *arg)
{
    (void)arg;
    struct bench *bench = bench_new(&usual, 1 << 20);
    struct sl_batcher_totals totals;
    start_taker(bench);
    begin(bench);
    end(bench, &totals);
    begin(bench);
    for (unsigned i = 0; i < 10; i++) /* exactly full: the last one is empty */
        EXPECT(add_numbered(bench, i, 10) == SL_OK);
    end(bench, NULL);
    stop_taker(bench);
    REQUIRE(bench->taken == 3);
    EXPECT(bench->note[0].count == 0 && bench->note[0].last && bench->note[0].batches == 1);
    EXPECT(totals.read == 0 && totals.batches == 1);
    EXPECT(bench->note[1].count == 10 && !bench->note[1].last);
    EXPECT(bench->note[2].count == 0 && bench->note[2].last && bench->note[2].batches == 2);
    bench_free(bench);
}

static void an_origin_without_rows_has_one_empty_last_batch(void **state)
{
    (void)state;
    run_in_fiber(end_empty, NULL);
}

static void abandon(void *arg)
{
    (void)arg;
    struct bench *bench = bench_new(&usual, 1 << 20);
    start_taker(bench);
    begin(bench);
    for (unsigned i = 0; i < 5; i++)
        EXPECT(add_numbered(bench, i, 10) == SL_OK);
    sl_batcher_abandon(bench->batcher);
    sl_batcher_abandon(bench->batcher);
    begin(bench);
    EXPECT(add_numbered(bench, 3, 10) == SL_OK); /* its key is new again */
    end(bench, NULL);
    stop_taker(bench);
    REQUIRE(bench->taken == 1);
    EXPECT(bench->note[0].count == 1 && bench->note[0].superseded == 0);
    bench_free(bench);
}

static void abandoned_rows_are_gone(void **state)
{
    (void)state;
    run_in_fiber(abandon, NULL);
}

/* --- cancelling and backpressure --- */

static void add_many(void *arg)
{
    struct bench *bench = arg;
    unsigned i = 0;
    while (add_numbered(bench, i, 1024) == SL_OK)
        if (++i == 5000)
            return;
    EXPECT(sl_fiber_cancelled());
}

static void cancel_the_adder(void *arg)
{
    (void)arg;
    struct bench *bench = bench_new(&usual, 1 << 20);
    begin(bench);
    struct sl_fiber *adder = sl_fiber_spawn_joinable("adder", add_many, bench);
    EXPECT(sl_fiber_sleep(5) == SL_OK); /* nobody takes: it stands */
    sl_fiber_cancel(adder);
    sl_fiber_join(adder);
    bench_free(bench);
}

static void cancel_the_adder_without_credit(void *arg)
{
    (void)arg;
    struct bench *bench = bench_new(&usual, 512 * 1024);
    bench->hold = true;
    start_taker(bench);
    begin(bench);
    struct sl_fiber *adder = sl_fiber_spawn_joinable("adder", add_many, bench);
    UNTIL(bench->taken);
    EXPECT(sl_fiber_sleep(20) == SL_OK);
    EXPECT(bench->taken <= 8); /* held batches use up the credit, 64 KiB each */
    EXPECT(bench->credits[SL_LANE_BULK].used_bytes <= 512 * 1024);
    EXPECT(!bench->credits[SL_LANE_FAST].used_bytes);
    unsigned taken = bench->taken;
    sl_batch_free(bench->held[0]);
    bench->held[0] = NULL;
    UNTIL(bench->taken > taken); /* and freeing one lets the adder go on */
    sl_fiber_cancel(adder);
    sl_fiber_join(adder);
    bench_free(bench);
}

static void a_standing_adder_can_be_cancelled(void **state)
{
    (void)state;
    run_in_fiber(cancel_the_adder, NULL);
    run_in_fiber(cancel_the_adder_without_credit, NULL);
}

/* A live change holds little of its own lane's credit; its batch takes more while there is some,
 * and goes as it is when there is none. */
static void grow_in_the_fast_lane(void *arg)
{
    enum { CREDIT = 200 * 1024, ROWS = 2000 };
    (void)arg;
    struct sl_batcher_limits limits = {
        .max_rows = ROWS, .max_bytes = 1 << 20, .linger_ms = 60000, .max_row_bytes = 1 << 20};
    struct sl_origin fast = origin;
    struct sl_err err;
    fast.lane = SL_LANE_FAST;
    struct bench *bench = bench_new(&limits, CREDIT);
    const struct sl_credit *credit = &bench->credits[SL_LANE_FAST];
    EXPECT(sl_batcher_begin(bench->batcher, &fast, &err) == SL_OK);
    EXPECT(add_numbered(bench, 0, 100) == SL_OK);
    EXPECT(credit->used_bytes > 0 && credit->used_bytes <= 64 * 1024);
    size_t before = credit->used_bytes;
    for (unsigned i = 1; i < 100; i++)
        EXPECT(add_numbered(bench, i, 1024) == SL_OK);
    EXPECT(credit->used_bytes > before && credit->used_bytes >= 100 * 1024);

    start_taker(bench);
    for (unsigned i = 100; i < ROWS; i++) {
        EXPECT(add_numbered(bench, i, 1024) == SL_OK);
        EXPECT(credit->used_bytes <= CREDIT + 64 * 1024); /* what is held may be over by a piece */
    }
    end(bench, NULL);
    stop_taker(bench);
    unsigned rows = 0;
    for (unsigned i = 0; i < bench->taken; i++)
        rows += bench->note[i].count;
    EXPECT(rows == ROWS && bench->taken >= ROWS * 1024 / CREDIT);
    EXPECT(!bench->credits[SL_LANE_BULK].used_bytes);
    bench_free(bench);
}

static void a_live_change_takes_credit_as_it_grows(void **state)
{
    (void)state;
    run_in_fiber(grow_in_the_fast_lane, NULL);
}

static void cancel_the_taker(void *arg)
{
    (void)arg;
    struct bench *bench = bench_new(&usual, 1 << 20);
    start_taker(bench);
    begin(bench);
    EXPECT(sl_fiber_sleep(2) == SL_OK);
    sl_fiber_cancel(bench->taker);
    sl_fiber_join(bench->taker);
    EXPECT(bench->end.code == SL_CANCELED);

    struct sl_batch *batch;
    struct sl_err err;
    uint64_t start = sl_loop_now_ms();
    EXPECT(sl_batcher_take(bench->batcher, sl_deadline_in(15), &batch, &err) == SL_TIMEOUT);
    EXPECT(sl_loop_now_ms() - start >= 15);
    EXPECT(add_numbered(bench, 1, 10) == SL_OK);
    EXPECT(sl_batcher_take(bench->batcher, sl_deadline_in(5), &batch, &err) == SL_TIMEOUT);
    REQUIRE(sl_batcher_take(bench->batcher, sl_deadline_in(5000), &batch, &err) == SL_OK);
    EXPECT(batch->count == 1); /* another taker gets what the first one did not */
    sl_batch_free(batch);
    bench->taker = NULL;
    bench_free(bench);
}

static void a_taker_can_be_cancelled_or_time_out(void **state)
{
    (void)state;
    run_in_fiber(cancel_the_taker, NULL);
}

/* --- all at once --- */

static void add_at_random(void *arg)
{
    (void)arg;
    struct sl_batcher_limits limits = usual;
    limits.linger_ms = 1;
    struct bench *bench = bench_new(&limits, 700 * 1024);
    struct sl_batcher_totals totals = {0}, sum = {0};
    srand(8);
    start_taker(bench);
    for (unsigned round = 0; round < 20; round++) {
        begin(bench);
        unsigned rows = (unsigned)rand() % 60;
        for (unsigned i = 0; i < rows; i++) {
            EXPECT(add_numbered(bench, (unsigned)rand() % 30, (size_t)(rand() % 30000)) == SL_OK);
            if (rand() % 10 == 0)
                EXPECT(sl_fiber_sleep((uint64_t)(rand() % 4)) == SL_OK);
        }
        end(bench, &totals);
        EXPECT(totals.read == rows);
        sum.read += totals.read;
        sum.superseded += totals.superseded;
        sum.batches += totals.batches;
    }
    stop_taker(bench);
    uint64_t rows = 0, superseded = 0, lasts = 0;
    for (unsigned i = 0; i < bench->taken; i++) {
        rows += bench->note[i].count;
        superseded += bench->note[i].superseded;
        lasts += bench->note[i].last;
        if (i)
            EXPECT(bench->note[i].number ==
                   (bench->note[i - 1].last ? 0 : bench->note[i - 1].number + 1));
    }
    EXPECT(bench->taken == sum.batches && lasts == 20);
    EXPECT(superseded == sum.superseded);
    EXPECT(rows + superseded == sum.read);
    bench_free(bench);
}

static void every_row_is_accounted_for(void **state)
{
    (void)state;
    run_in_fiber(add_at_random, NULL);
}

/* --- an adder in a hurry --- */

static void do_not_stand(void *arg)
{
    (void)arg;
    struct bench *bench = bench_new(&usual, 256 * 1024);
    begin(bench);
    for (unsigned i = 0; i < 10; i++)
        EXPECT(add_numbered(bench, i, 10) == SL_OK);
    EXPECT(sl_batcher_closings(bench->batcher) == 1);
    for (unsigned i = 10; i < 19; i++)
        EXPECT(add_numbered(bench, i, 10) == SL_OK);
    sl_batcher_set_deadline(bench->batcher, sl_deadline_in(10));
    EXPECT(add_numbered(bench, 19, 10) == SL_TIMEOUT); /* nobody has taken the first one */
    EXPECT(sl_batcher_closings(bench->batcher) == 1);
    bench->hold = true;
    start_taker(bench);
    sl_batcher_set_deadline(bench->batcher, SL_FOREVER);
    EXPECT(add_numbered(bench, 20, 10) == SL_OK); /* behind the one that had no time */
    UNTIL(bench->taken == 2);
    EXPECT(bench->note[1].count == 11 && sl_batcher_closings(bench->batcher) == 2);

    struct sl_credit *credit = &bench->credits[SL_LANE_BULK];
    size_t left = credit->total_bytes - credit->used_bytes;
    EXPECT(sl_credit_take(credit, left, SL_FOREVER) == SL_OK);
    sl_batcher_set_deadline(bench->batcher, sl_deadline_in(10));
    EXPECT(add_numbered(bench, 21, 10) == SL_TIMEOUT); /* no credit */
    sl_credit_give(credit, left);
    EXPECT(add_numbered(bench, 21, 10) == SL_OK);
    bench_free(bench);
}

static void an_adder_waits_no_longer_than_told(void **state)
{
    (void)state;
    run_in_fiber(do_not_stand, NULL);
}

static int close_all(void **state)
{
    sl_metric_free_all();
    return loop_closes(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_closes_at_max_rows),
        cmocka_unit_test(a_batch_closes_at_max_bytes),
        cmocka_unit_test(a_large_row_travels_alone_and_a_larger_one_dies),
        cmocka_unit_test(of_a_key_that_is_too_long_a_letter_has_the_beginning),
        cmocka_unit_test(a_batch_lingers_no_longer_than_told),
        cmocka_unit_test(a_flushed_batch_does_not_linger),
        cmocka_unit_test(a_flush_counts_also_behind_a_full_batch),
        cmocka_unit_test(one_key_appears_once_the_newest),
        cmocka_unit_test(an_origin_without_rows_has_one_empty_last_batch),
        cmocka_unit_test(abandoned_rows_are_gone),
        cmocka_unit_test(a_live_change_takes_credit_as_it_grows),
        cmocka_unit_test(a_standing_adder_can_be_cancelled),
        cmocka_unit_test(a_taker_can_be_cancelled_or_time_out),
        cmocka_unit_test(every_row_is_accounted_for),
        cmocka_unit_test(an_adder_waits_no_longer_than_told),
    };
    return cmocka_run_group_tests(tests, NULL, close_all);
}
