/* What the tests of odata share: a table's columns, and all that came out of an answer, as text. */
#ifndef TEST_ODATA_HEARD_H
#define TEST_ODATA_HEARD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/bson_reader.h"
#include "format/extjson.h"
#include "format/odata.h"

#include <cmocka.h>

#define ID "60c4e274-0d87-4e11-80e5-00155db19e6d"
#define ETAG "\"@odata.etag\":\"W/\\\"7\\\"\","
#define KEY "\"accountid\":\"" ID "\""

/* What came out, as text. */
struct heard {
    struct sl_buf out;
    uint64_t rows;
    int stop_at; /* the row at which the handler fails; 0: none */
};

static void add_doc(struct sl_buf *out, struct sl_str doc)
{
    struct sl_err err = {0};
    assert_int_equal(sl_bson_check(doc, &err), SL_OK);
    assert_int_equal(sl_extjson_write(out, doc.at, doc.length, &err), SL_OK);
    sl_buf_add_char(out, '\n');
}

static int on_row(void *ctx, const struct sl_odata_row *row, struct sl_err *err)
{
    struct heard *heard = ctx;
    if (++heard->rows == (uint64_t)heard->stop_at)
        return sl_err_set(err, SL_CANCELED, "stopped at row %d", heard->stop_at);
    sl_buf_printf(&heard->out, "%s %.*s v%lld", row->deleted ? "gone" : "row", SL_STR_ARGS(row->id),
                  (long long)row->version);
    if (row->deleted) {
        assert_int_equal(row->doc.length, 0);
        sl_buf_add_char(&heard->out, '\n');
        return SL_OK;
    }
    sl_buf_printf(&heard->out, " t%lld ", (long long)row->changed_at_ms);
    add_doc(&heard->out, row->doc);
    return SL_OK;
}

static int on_bad(void *ctx, struct sl_str id, const char *code, const char *reason,
                  struct sl_str raw_doc, struct sl_err *err)
{
    struct heard *heard = ctx;
    (void)err;
    assert_true(raw_doc.length <= SL_ODATA_RAW_BYTES);
    sl_buf_printf(&heard->out, "bad %.*s %s (%s) ", SL_STR_ARGS(id), code, reason);
    add_doc(&heard->out, raw_doc);
    return SL_OK;
}

static void on_unknown(void *ctx, struct sl_str name)
{
    struct heard *heard = ctx;
    sl_buf_printf(&heard->out, "new %.*s\n", SL_STR_ARGS(name));
}

static const struct sl_odata_handler heard_handler = {on_row, on_bad, on_unknown};

static inline void fill_columns(struct sl_columns *set)
{
    static const struct {
        const char *name;
        enum sl_type type;
        bool keep;
    } columns[] = {
        {"accountid",     SL_TYPE_STRING,  true },
        {"name",          SL_TYPE_STRING,  true },
        {"employees",     SL_TYPE_INT,     true },
        {"creditlimit",   SL_TYPE_DECIMAL, true },
        {"latitude",      SL_TYPE_DOUBLE,  true },
        {"donotphone",    SL_TYPE_BOOL,    true },
        {"since",         SL_TYPE_DATE,    true },
        {"modifiedon",    SL_TYPE_DATE,    true },
        {"versionnumber", SL_TYPE_INT,     true },
        {"secret",        SL_TYPE_STRING,  false},
    };
    sl_columns_init(set);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        sl_columns_add(set, sl_str_of(columns[i].name), columns[i].type, columns[i].keep);
    sl_columns_add_any(set, sl_str_of("iscustomizable"), true);
}

static inline struct sl_odata_options options_of(const struct sl_columns *columns)
{
    return (struct sl_odata_options){
        .columns = columns,
        .id_column = "accountid",
        .version_column = "versionnumber",
        .changed_column = "modifiedon",
        .max_row_bytes = 1000,
    };
}

/* Feeds text in chunks of that size; gives what was heard, links and error included. */
static inline char *read_answer(const struct sl_odata_options *options, const char *text,
                                size_t size, size_t chunk, int stop_at)
{
    struct heard heard = {.stop_at = stop_at};
    struct sl_err err = {0};
    struct sl_odata *odata = sl_odata_new(options, &heard_handler, &heard);
    int rc = SL_OK;
    for (size_t at = 0; at < size && rc == SL_OK; at += chunk) {
        /* A copy of its own, so that reading beyond it is seen. */
        size_t part = size - at < chunk ? size - at : chunk;
        char *copy = sl_alloc(part);
        memcpy(copy, text + at, part);
        rc = sl_odata_feed(odata, copy, part, &err);
        free(copy);
    }
    if (rc == SL_OK)
        rc = sl_odata_end(odata, &err);
    if (sl_odata_next_link(odata))
        sl_buf_printf(&heard.out, "next %s\n", sl_odata_next_link(odata));
    if (sl_odata_delta_link(odata))
        sl_buf_printf(&heard.out, "delta %s\n", sl_odata_delta_link(odata));
    if (rc != SL_OK)
        sl_buf_printf(&heard.out, "%s: %s\n", sl_code_name(rc), err.message);
    sl_odata_free(odata);
    return heard.out.data ? sl_buf_take(&heard.out) : sl_strdup("");
}

#endif
