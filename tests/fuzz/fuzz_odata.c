/* Answers of Dataverse: rows, deletions and links do not depend on how the bytes were cut; every
 * document is valid BSON within its bound. */
#include "format/bson_reader.h"
#include "format/odata.h"

#include "fuzz.h"

enum { MAX_ROW = 2000 };

static int on_row(void *ctx, const struct sl_odata_row *row, struct sl_err *err)
{
    struct sl_buf *out = ctx;
    FUZZ_REQUIRE(row->id.length > 0 && row->version >= -1);
    FUZZ_REQUIRE(row->deleted ? !row->doc.length : sl_bson_check(row->doc, err) == SL_OK);
    FUZZ_REQUIRE(row->doc.length <= MAX_ROW);
    sl_buf_printf(out, "%d %lld %lld ", row->deleted, (long long)row->version,
                  (long long)row->changed_at_ms);
    sl_buf_add(out, row->id.at, row->id.length);
    sl_buf_add(out, row->doc.at, row->doc.length);
    return SL_OK;
}

static int on_bad(void *ctx, struct sl_str id, const char *code, const char *reason,
                  struct sl_str raw_doc, struct sl_err *err)
{
    struct sl_buf *out = ctx;
    FUZZ_REQUIRE(raw_doc.length <= SL_ODATA_RAW_BYTES && sl_bson_check(raw_doc, err) == SL_OK);
    sl_buf_printf(out, "bad %s %s ", code, reason);
    sl_buf_add(out, id.at, id.length);
    sl_buf_add(out, raw_doc.at, raw_doc.length);
    return SL_OK;
}

static void on_unknown(void *ctx, struct sl_str name)
{
    sl_buf_add(ctx, name.at, name.length);
}

static void add_link(struct sl_buf *out, const char *link)
{
    sl_buf_printf(out, "link %s\n", link ? link : "-");
}

static void read_answer(const struct sl_odata_options *options, struct fuzz_chunks chunks,
                        struct sl_buf *out)
{
    static const struct sl_odata_handler handler = {on_row, on_bad, on_unknown};
    struct sl_odata *odata = sl_odata_new(options, &handler, out);
    struct sl_err err = {0};
    int rc = SL_OK;
    char *piece;
    size_t size;
    while (rc == SL_OK && fuzz_chunk(&chunks, &piece, &size)) {
        rc = sl_odata_feed(odata, piece, size, &err);
        free(piece);
    }
    if (rc == SL_OK)
        rc = sl_odata_end(odata, &err);
    FUZZ_REQUIRE(rc == SL_OK || (rc == SL_REJECTED && *err.message));
    sl_buf_printf(out, "%d %llu\n", rc, (unsigned long long)sl_odata_rows(odata));
    if (rc == SL_OK) {
        add_link(out, sl_odata_next_link(odata));
        add_link(out, sl_odata_delta_link(odata));
    }
    sl_odata_free(odata);
}

static void fill(struct sl_columns *set)
{
    static const struct {
        const char *name;
        enum sl_type type;
    } columns[] = {
        {"accountid",     SL_TYPE_STRING },
        {"name",          SL_TYPE_STRING },
        {"employees",     SL_TYPE_INT    },
        {"creditlimit",   SL_TYPE_DECIMAL},
        {"latitude",      SL_TYPE_DOUBLE },
        {"donotphone",    SL_TYPE_BOOL   },
        {"modifiedon",    SL_TYPE_DATE   },
        {"versionnumber", SL_TYPE_INT    },
    };
    sl_columns_init(set);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        sl_columns_add(set, sl_str_of(columns[i].name), columns[i].type, true);
    sl_columns_add(set, sl_str_of("secret"), SL_TYPE_STRING, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    uint8_t choice = fuzz_byte(&input);
    uint32_t seed = 1u + fuzz_byte(&input);
    struct sl_columns columns;
    struct sl_buf whole, cut;
    fill(&columns);
    sl_buf_init(&whole);
    sl_buf_init(&cut);
    struct sl_odata_options options = {.columns = &columns,
                                       .id_column = "accountid",
                                       .version_column = choice & 2 ? "versionnumber" : NULL,
                                       .changed_column = choice & 4 ? "modifiedon" : NULL,
                                       .max_row_bytes = MAX_ROW,
                                       .single = choice & 1};
    const char *text = (const char *)input.at;
    read_answer(&options, (struct fuzz_chunks){text, input.left, 0}, &whole);
    read_answer(&options, (struct fuzz_chunks){text, input.left, seed}, &cut);
    fuzz_same(&whole, &cut);
    sl_buf_done(&whole);
    sl_buf_done(&cut);
    sl_columns_done(&columns);
    return 0;
}
