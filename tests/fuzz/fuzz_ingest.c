/* Bodies of posts in their three forms: what was read once without a fault gives the same rows
 * again, each a valid document. */
#include "format/bson_reader.h"
#include "ingest/rows.h"

#include "fuzz.h"

enum { MAX_ROW = 2000 };

static int take_row(void *ctx, const struct sl_ingest_row *row, struct sl_err *err)
{
    uint64_t *rows = ctx;
    FUZZ_REQUIRE(row->id.length > 0 && row->version >= -1);
    if (row->op == SL_UPSERT)
        FUZZ_REQUIRE(sl_bson_check(row->doc, err) == SL_OK && row->doc.length <= MAX_ROW);
    else
        FUZZ_REQUIRE(row->doc.length == 0);
    ++*rows;
    return SL_OK;
}

static int no_pause(void *ctx, struct sl_err *err)
{
    (void)ctx, (void)err;
    return SL_OK;
}

static void read_body(struct sl_ingest_plan *plan, enum sl_ingest_form form, struct sl_str body)
{
    uint64_t rows = 0, again = 0, taken = 0;
    struct sl_ingest_fault fault = {0};
    struct sl_err err = {0};
    const struct sl_ingest_reader check = {NULL, no_pause, NULL},
                                  take = {take_row, no_pause, &taken};
    int rc = sl_ingest_read(plan, form, body, &check, &rows, &fault, &err);
    if (rc != SL_OK) {
        FUZZ_REQUIRE(rc == SL_REJECTED && *fault.reason);
        return;
    }
    FUZZ_REQUIRE(sl_ingest_read(plan, form, body, &take, &again, &fault, &err) == SL_OK);
    FUZZ_REQUIRE(rows == again && rows == taken);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char id[] = "id", part[] = "part";
    static char *keys[][3] = {
        {id, NULL, NULL},
        {id, part, NULL}
    };
    static char *names[] = {"amount", "count", "since", "open", "ratio"};
    struct sl_column_config columns[] = {
        {names[0], SL_TYPE_DECIMAL},
        {names[1], SL_TYPE_INT    },
        {names[2], SL_TYPE_DATE   },
        {names[3], SL_TYPE_BOOL   },
        {names[4], SL_TYPE_DOUBLE },
    };
    struct fuzz_input input = {data, size};
    static const char *const types[] = {"application/json", "application/x-ndjson", "text/csv",
                                        "x"};
    uint8_t choice = fuzz_byte(&input);
    struct sl_entity_config entity = {.name = (char *)"things",
                                      .columns = columns,
                                      .column_count = sizeof columns / sizeof *columns,
                                      .key = keys[choice >> 2 & 1],
                                      .key_count = 1u + (choice >> 2 & 1)};
    enum sl_ingest_form form = SL_INGEST_JSON;
    if (!sl_ingest_form_of(types[choice & 3], &form))
        return 0;
    struct sl_ingest_plan *plan =
        sl_ingest_plan_new(&entity, choice & 8 ? "revision" : NULL, MAX_ROW);
    char *exact = sl_alloc(input.left + 1);
    memcpy(exact, input.at, input.left);
    read_body(plan, form, (struct sl_str){exact, input.left});
    free(exact);
    sl_ingest_plan_free(plan);
    return 0;
}
