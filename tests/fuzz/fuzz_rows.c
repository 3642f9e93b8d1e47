/* A data file of a package, from its bytes to records and dead letters: every row is one or the
 * other, and every document is valid and has a form in JSON, as messages need it. */
#include "dmf/rows.h"
#include "flow/batcher.h"
#include "format/bson_reader.h"
#include "format/encoding.h"
#include "format/extjson.h"
#include "format/utf16.h"
#include "loop/fiber.h"

#include "fuzz.h"

enum { COUNTER = 42, MAX_ROW = 4000 };

static char *keys[] = {(char *)"dataAreaId", (char *)"Account", NULL};
static struct sl_column_config columns[] = {
    {(char *)"CreditLimit", SL_TYPE_DECIMAL},
    {(char *)"Rank",        SL_TYPE_INT    },
    {(char *)"Since",       SL_TYPE_DATE   },
    {(char *)"Open",        SL_TYPE_BOOL   },
    {(char *)"Ratio",       SL_TYPE_DOUBLE },
};
static struct sl_entity_config entity = {
    .name = (char *)"Vendors V3",
    .route = (char *)"VendorsV3",
    .collection = (char *)"vendors",
    .key = keys,
    .key_count = 2,
    .columns = columns,
    .column_count = sizeof columns / sizeof *columns,
};

static void check_batch(const struct sl_batch *batch)
{
    struct sl_err err = {0};
    struct sl_buf json;
    sl_buf_init(&json);
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct sl_record *record = &batch->records[i];
        FUZZ_REQUIRE(record->version >> SL_VERSION_ROW_BITS == COUNTER && record->line > 1);
        FUZZ_REQUIRE(record->id.length > 0 && sl_utf8_valid(record->id.at, record->id.length));
        FUZZ_REQUIRE(sl_bson_check(record->doc, &err) == SL_OK);
        FUZZ_REQUIRE(sl_extjson_write(&json, record->doc.at, record->doc.length, &err) == SL_OK);
    }
    sl_buf_done(&json);
    for (uint32_t i = 0; i < batch->dead_count; i++)
        FUZZ_REQUIRE(*batch->dead[i].code && batch->dead[i].reason.length > 0);
}

/* UTF-16 becomes UTF-8 piece by piece, as in dmf/file.c. */
static void decode(struct fuzz_chunks chunks, bool wide, struct sl_buf *out)
{
    struct sl_utf16 utf16 = {0};
    char *piece, buf[64];
    size_t size;
    while (fuzz_chunk(&chunks, &piece, &size)) {
        if (!wide)
            sl_buf_add(out, piece, size);
        for (size_t at = 0, used; wide && at < size; at += used) {
            size_t got = sl_utf16_decode(&utf16, piece + at, size - at, &used, buf, sizeof buf);
            FUZZ_REQUIRE(got <= sizeof buf && (got || used));
            sl_buf_add(out, buf, got);
        }
        free(piece);
    }
    if (wide)
        sl_buf_add(out, buf, sl_utf16_finish(&utf16, buf));
    FUZZ_REQUIRE(!wide || sl_utf8_valid(out->data, out->length));
}

static int take_rows(struct sl_csv *csv, struct sl_rows *rows, struct sl_batcher *batcher,
                     enum sl_csv_result until, uint64_t *seen)
{
    struct sl_csv_row row;
    struct sl_err err = {0};
    enum sl_csv_result result;
    while ((result = sl_csv_next(csv, &row)) != until) {
        int rc = sl_rows_take(rows, batcher, result, &row, &err);
        FUZZ_REQUIRE(rc == SL_OK || (rc == SL_CONFIG && *err.message));
        if (rc != SL_OK)
            return rc;
        ++*seen;
    }
    return SL_OK;
}

static void read_file(const char *text, size_t size)
{
    const struct sl_batcher_limits limits = {1000000, 64 << 20, 1000000, MAX_ROW};
    struct sl_credit credits[SL_LANES];
    struct sl_batcher_totals totals = {0};
    struct sl_err err = {0};
    uint64_t seen = 0;
    sl_credit_init(&credits[SL_LANE_FAST], "fast", 256 << 20);
    sl_credit_init(&credits[SL_LANE_BULK], "bulk", 256 << 20);
    struct sl_batcher *batcher = sl_batcher_new(&limits, credits);
    struct sl_rows *rows = sl_rows_new(&entity, "Vendors V3.csv", COUNTER);
    struct sl_csv *csv = sl_csv_new(',', MAX_ROW);
    struct sl_origin origin = {.feed = "f", .entity = "VendorsV3", .run = "f-1", .attempt = 1};
    FUZZ_REQUIRE(sl_batcher_begin(batcher, &origin, &err) == SL_OK);
    int rc = SL_OK;
    for (size_t at = 0, room; at < size && rc == SL_OK;) {
        char *space = sl_csv_space(csv, &room);
        size_t part = size - at < room ? size - at : room;
        memcpy(space, text + at, part);
        sl_csv_filled(csv, part);
        at += part;
        rc = take_rows(csv, rows, batcher, SL_CSV_MORE, &seen);
    }
    sl_csv_finish(csv);
    if (rc == SL_OK)
        rc = take_rows(csv, rows, batcher, SL_CSV_END, &seen);
    if (rc == SL_OK) {
        struct sl_batch *batch;
        FUZZ_REQUIRE(sl_batcher_end(batcher, &totals, &err) == SL_OK);
        FUZZ_REQUIRE(totals.read == (seen ? seen - 1 : 0)); /* the header is no row */
        while (sl_batcher_take(batcher, 0, &batch, &err) == SL_OK) {
            check_batch(batch);
            sl_batch_free(batch);
        }
    } else {
        sl_batcher_abandon(batcher);
    }
    sl_csv_free(csv);
    sl_rows_free(rows);
    sl_batcher_free(batcher);
}

static void run(void *arg)
{
    struct fuzz_input input = *(struct fuzz_input *)arg;
    uint32_t seed = fuzz_byte(&input);
    struct sl_buf text;
    sl_buf_init(&text);
    bool wide = sl_encoding_sniff(input.at, input.left < SL_ENCODING_SNIFF_BYTES
                                                ? input.left
                                                : SL_ENCODING_SNIFF_BYTES) == SL_ENCODING_UTF16LE;
    decode((struct fuzz_chunks){(const char *)input.at, input.left, seed}, wide, &text);
    read_file(text.data, text.length);
    sl_buf_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    sl_fiber_spawn("rows", run, &input);
    sl_loop_run();
    return 0;
}
