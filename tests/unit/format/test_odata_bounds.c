/* Answers that are too large, too deep, too long, or damaged at random. */
#include <malloc.h>

#include "odata_heard.h"

/* A page of three rows, of which the middle one has this between its etag and its id. */
static char *page_around(const char *fields, const char *value, size_t length, const char *end)
{
    struct sl_buf text = {0};
    sl_buf_printf(&text, "{\"value\":[{" ETAG KEY "},{" ETAG "%s", fields);
    sl_buf_add(&text, value, length);
    sl_buf_printf(&text, "%s," KEY "},{" ETAG KEY "}]}", end);
    return sl_buf_take(&text);
}

static void check_page(const char *page, size_t max_row_bytes, size_t chunk, const char *middle)
{
    struct sl_columns columns;
    fill_columns(&columns);
    struct sl_odata_options options = options_of(&columns);
    options.max_row_bytes = max_row_bytes;
    char *heard = read_answer(&options, page, strlen(page), chunk, 0);
    struct sl_buf expected = {0};
    sl_buf_printf(&expected, "row " ID " v7 t0 {" KEY "}\n%srow " ID " v7 t0 {" KEY "}\n", middle);
    if (strcmp(heard, expected.data))
        fail_msg("chunks of %zu:\n%s\ninstead of\n%s", chunk, heard, expected.data);
    free(heard);
    sl_buf_done(&expected);
    sl_columns_done(&columns);
}

#define TOO_LARGE "bad " ID " too_large (the row is larger than limits.max_row) "

static void test_a_row_that_is_too_large_goes_alone(void **state)
{
    (void)state;
    static const struct {
        const char *fields, *end, *middle;
    } cases[] = {
        {"\"name\":\"a\",\"x\":\"",           "\"",                  "new x\n" TOO_LARGE "{\"name\":\"a\"}\n"},
        {"\"name\":\"a\",\"x\":\"",           "\",\"employees\":1",  "new x\n" TOO_LARGE "{\"name\":\"a\"}\n"},
        {"\"name\":\"a\",\"x\":[1,{\"y\":\"", "\"},2],\"z\":3",
         "new x\nnew z\n" TOO_LARGE "{\"name\":\"a\"}\n"                                                     },
        {"\"name\":\"a\",\"x\":{\"",          "\":[1,{\"b\":2}]}",   "new x\n" TOO_LARGE "{\"name\":\"a\"}\n"},
        {"\"name\":\"",                       "\",\"x\":{\"a\":[]}", "new x\n" TOO_LARGE "{}\n"              },
        {"\"secret\":\"",                     "\"",                  "row " ID " v7 t0 {" KEY "}\n"          },
        {"\"@odata.type\":\"",                "\"",                  "row " ID " v7 t0 {" KEY "}\n"          },
    };
    char value[300];
    memset(value, 'v', sizeof value);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *page = page_around(cases[i].fields, value, sizeof value, cases[i].end);
        for (size_t chunk = 1; chunk <= strlen(page); chunk++)
            check_page(page, 250, chunk, cases[i].middle);
        free(page);
    }
}

/* The limit is exact: a document of so many bytes passes, of one more does not. */
static void test_the_limit_is_that_of_the_document(void **state)
{
    (void)state;
    char value[200];
    memset(value, 'v', sizeof value);
    for (size_t length = 0; length < sizeof value; length++) {
        char *page = page_around("\"name\":\"", value, length, "\"");
        size_t doc = 4 + 1 + (1 + 5 + 4 + length + 1) + (1 + 10 + 4 + 37);
        struct sl_buf middle = {0};
        if (doc <= 150)
            sl_buf_printf(&middle, "row " ID " v7 t0 {\"name\":\"%.*s\"," KEY "}\n", (int)length,
                          value);
        else if (doc - 52 <= 150)
            sl_buf_printf(&middle, TOO_LARGE "{\"name\":\"%.*s\"}\n", (int)length, value);
        else
            sl_buf_printf(&middle, TOO_LARGE "{}\n");
        check_page(page, 150, 7, middle.data);
        sl_buf_done(&middle);
        free(page);
    }
}

/* Texts of more than the 64 KiB that are kept of any text, cut at every kind of byte. */
static void test_a_text_that_is_cut_hides_nothing(void **state)
{
    (void)state;
    static const char *const patterns[] = {"v", "\\\\", "\\\"", "\\u0041", "v\\n\\ud83d\\ude00",
                                           "é"};
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        struct sl_buf value = {0};
        while (value.length < 200000)
            sl_buf_add_text(&value, patterns[i]);
        char *page = page_around("\"name\":\"", value.data, value.length, "\"");
        static const size_t chunks[] = {1, 2, 3, 5, 7, 1000, 65536, 65537, 1000000};
        for (size_t j = 0; j < sizeof chunks / sizeof *chunks; j++)
            check_page(page, 1000, chunks[j], TOO_LARGE "{}\n");
        free(page);
        sl_buf_done(&value);
    }
}

/* What is dropped of a text is looked at as closely as what is kept. */
static void test_a_text_that_is_cut_hides_no_damage(void **state)
{
    (void)state;
    static const char *const damages[] = {"\n", "\x01", "\\x", "\\u00g0"};
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        struct sl_buf value = {0};
        while (value.length < 150000)
            sl_buf_add_text(&value, "vvvvv\\n\\u0041");
        sl_buf_printf(&value, "%svv", damages[i]);
        char *page = page_around("\"name\":\"", value.data, value.length, "\"");
        static const size_t chunks[] = {1, 2, 3, 5, 7, 1000, 65536, 65537, 1000000};
        for (size_t j = 0; j < sizeof chunks / sizeof *chunks; j++) {
            struct sl_columns columns;
            fill_columns(&columns);
            struct sl_odata_options options = options_of(&columns);
            options.max_row_bytes = 1000;
            char *heard = read_answer(&options, page, strlen(page), chunks[j], 0);
            assert_non_null(strstr(heard, "malformed JSON"));
            free(heard);
            sl_columns_done(&columns);
        }
        free(page);
        sl_buf_done(&value);
    }
}

/* What is allocated now; the sanitizer's runtime knows when it is there. */
extern size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));
static size_t allocated_bytes(void)
{
    if (__sanitizer_get_current_allocated_bytes)
        return __sanitizer_get_current_allocated_bytes();
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

struct counted {
    uint64_t rows, bad;
    char code[20];
    size_t raw_bytes;
};

static int count_row(void *ctx, const struct sl_odata_row *row, struct sl_err *err)
{
    (void)row;
    (void)err;
    ((struct counted *)ctx)->rows++;
    return SL_OK;
}

static int count_bad(void *ctx, struct sl_str id, const char *code, const char *reason,
                     struct sl_str raw_doc, struct sl_err *err)
{
    struct counted *counted = ctx;
    assert_true(sl_utf8_valid(reason, strlen(reason)));
    assert_true(sl_str_is(id, ID));
    assert_int_equal(sl_bson_check(raw_doc, err), SL_OK);
    assert_true(raw_doc.length <= SL_ODATA_RAW_BYTES);
    counted->raw_bytes = raw_doc.length;
    snprintf(counted->code, sizeof counted->code, "%s", code);
    counted->bad++;
    return SL_OK;
}

static const struct sl_odata_handler counting = {count_row, count_bad, NULL};

static void test_a_text_of_100_megabytes_is_not_kept(void **state)
{
    (void)state;
    static const char begin[] = "{\"value\":[{" ETAG "\"name\":\"",
                      end[] = "\"," KEY "},{" ETAG KEY "}]}";
    static char piece[16384];
    memset(piece, 'x', sizeof piece);
    struct sl_columns columns;
    struct counted counted = {0};
    struct sl_err err = {0};
    fill_columns(&columns);
    struct sl_odata_options options = options_of(&columns);
    options.max_row_bytes = 1024 * 1024;
    size_t before = allocated_bytes(), most = 0;
    struct sl_odata *odata = sl_odata_new(&options, &counting, &counted);
    assert_int_equal(sl_odata_feed(odata, begin, sizeof begin - 1, &err), SL_OK);
    for (size_t given = 0; given < 100000000; given += sizeof piece) {
        assert_int_equal(sl_odata_feed(odata, piece, sizeof piece, &err), SL_OK);
        size_t now = allocated_bytes() - before;
        most = now > most ? now : most;
    }
    assert_int_equal(sl_odata_feed(odata, end, sizeof end - 1, &err), SL_OK);
    assert_int_equal(sl_odata_end(odata, &err), SL_OK);
    size_t now = allocated_bytes() - before;
    most = now > most ? now : most;
    assert_true(most < 6 * options.max_row_bytes);
    assert_int_equal(counted.bad, 1);
    assert_string_equal(counted.code, "too_large");
    assert_int_equal(counted.rows, 1);
    assert_int_equal(sl_odata_rows(odata), 2);
    sl_odata_free(odata);
    sl_columns_done(&columns);
}

/* Feeds begin, then the piece so many times; what the first failure is. */
static int feed_many(const char *begin, const char *piece, size_t times, struct sl_err *err)
{
    struct sl_columns columns;
    struct counted counted = {0};
    fill_columns(&columns);
    struct sl_odata_options options = options_of(&columns);
    struct sl_odata *odata = sl_odata_new(&options, &counting, &counted);
    size_t before = allocated_bytes();
    int rc = sl_odata_feed(odata, begin, strlen(begin), err);
    for (size_t i = 0; i < times && rc == SL_OK; i++)
        rc = sl_odata_feed(odata, piece, strlen(piece), err);
    assert_true(allocated_bytes() - before < 1000000);
    sl_odata_free(odata);
    sl_columns_done(&columns);
    return rc;
}

static void test_hostile_answers_end_early(void **state)
{
    (void)state;
    static const char *const deep[][2] = {
        {"{\"a\":",                    "["      },
        {"{\"value\":[{\"name\":",     "["      },
        {"{\"value\":[{\"x\":",        "["      },
        {"{\"value\":[{\"x\":",        "{\"a\":"},
        {"{\"value\":[{\"@odata.x\":", "[[["    },
    };
    struct sl_err err = {0};
    for (size_t i = 0; i < sizeof deep / sizeof *deep; i++) {
        assert_int_equal(feed_many(deep[i][0], deep[i][1], 1000000, &err), SL_REJECTED);
        assert_non_null(strstr(err.message, "nested deeper than 64 levels"));
    }
    assert_int_equal(feed_many("", "[", 1000000, &err), SL_REJECTED);
    assert_int_equal(feed_many("{\"value\":[{\"employees\":", "1", 1000000, &err), SL_REJECTED);
    assert_non_null(strstr(err.message, "a number of more than 1024 bytes"));
    assert_int_equal(feed_many("{\"@odata.nextLink\":\"", "x", 200000, &err), SL_OK);
    assert_int_equal(feed_many("{\"a\":\"", "x", 200000, &err), SL_OK);
    assert_int_equal(feed_many("{\"value\":[{", "\"x\":{},\"y\":{},", 100000, &err), SL_OK);
    assert_int_equal(feed_many("{", " ", 1000000, &err), SL_OK);
    assert_int_equal(feed_many("{\"a\":[1", ",1", 10000, &err), SL_OK);
}

static void test_too_many_names_are_refused(void **state)
{
    (void)state;
    struct sl_columns columns;
    fill_columns(&columns);
    struct sl_odata_options options = options_of(&columns);
    struct counted counted = {0};
    struct sl_err err = {0};
    struct sl_odata *odata = sl_odata_new(&options, &counting, &counted);
    char piece[40];
    int rc = sl_odata_feed(odata, "{\"value\":[{", 11, &err);
    for (int i = 0; i < 5000 && rc == SL_OK; i++) {
        int length = snprintf(piece, sizeof piece, "\"x%d\":null,", i);
        rc = sl_odata_feed(odata, piece, (size_t)length, &err);
    }
    assert_int_equal(rc, SL_REJECTED);
    assert_string_equal(err.message, "rows with more than 4096 different columns");
    sl_odata_free(odata);
    sl_columns_done(&columns);
}

static void test_a_bad_row_is_shown_within_bounds(void **state)
{
    (void)state;
    struct sl_columns columns;
    fill_columns(&columns);
    struct sl_odata_options options = options_of(&columns);
    options.max_row_bytes = 1000000;
    static char big[100001];
    memset(big, 'b', sizeof big - 1);
    static const char *const fields[] = {
        "\"employees\":\"x\",\"name\":\"%s\",\"y\":1,", /* bad, then large */
        "\"name\":\"%s\",\"employees\":\"x\",\"y\":1,", /* large, then bad */
        "\"employees\":\"%s\",\"y\":1,",                /* what is bad is large */
        "\"xééééééééééééééééééééééééééééééééééééééééééééé\":1e99999,\"name\":\"%s\",", /* its name
                                                                                          is clipped
                                                                                          in the
                                                                                          reason */
        "\"name\":\"a\",\"y\":{\"z\":[\"%s\",1e99999]},\"donotphone\":1,",
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        struct sl_buf text = {0};
        struct sl_err err = {0};
        struct counted counted = {0};
        sl_buf_add_text(&text, "{\"value\":[{" ETAG);
        const char *hole = strstr(fields[i], "%s");
        sl_buf_add(&text, fields[i], (size_t)(hole - fields[i]));
        sl_buf_add_text(&text, big);
        sl_buf_add_text(&text, hole + 2);
        sl_buf_add_text(&text, KEY "}]}");
        struct sl_odata *odata = sl_odata_new(&options, &counting, &counted);
        assert_int_equal(sl_odata_feed(odata, text.data, text.length, &err), SL_OK);
        assert_int_equal(sl_odata_end(odata, &err), SL_OK);
        assert_int_equal(counted.bad, 1);
        assert_string_equal(counted.code, "untypable");
        if (i == 2)
            assert_true(counted.raw_bytes > SL_ODATA_RAW_BYTES - 100);
        sl_odata_free(odata);
        sl_buf_done(&text);
    }
    sl_columns_done(&columns);
}

static void test_many_small_rows(void **state)
{
    (void)state;
    static const char row[] = "{" ETAG "\"employees\":1," KEY "},";
    struct sl_columns columns;
    fill_columns(&columns);
    struct sl_odata_options options = options_of(&columns);
    struct counted counted = {0};
    struct sl_err err = {0};
    struct sl_odata *odata = sl_odata_new(&options, &counting, &counted);
    assert_int_equal(sl_odata_feed(odata, "{\"value\":[", 10, &err), SL_OK);
    size_t before = allocated_bytes();
    for (int i = 0; i < 100000; i++)
        assert_int_equal(sl_odata_feed(odata, row, sizeof row - 1, &err), SL_OK);
    assert_true(allocated_bytes() - before < 100000);
    assert_int_equal(sl_odata_feed(odata, "{" KEY "}]}", 3 + strlen(KEY) + 1, &err), SL_OK);
    assert_int_equal(sl_odata_end(odata, &err), SL_OK);
    assert_int_equal(sl_odata_rows(odata), 100001);
    assert_int_equal(counted.rows, 100001);
    sl_odata_free(odata);
    sl_columns_done(&columns);
}

/* Bytes changed at random: never a crash, and the same outcome whatever the chunks. */
static void test_damaged_answers_read_the_same_in_any_chunks(void **state)
{
    (void)state;
    static const char whole[] =
        "{\"@odata.context\":\"x\",\"value\":[{" ETAG "\"name\":\"\\u00e5\\\\\\\"b\","
        "\"employees\":12,\"creditlimit\":1.50,\"since\":\"2026-11-22\",\"o\":{\"a\":[1,{\"b\":"
        "null}]}," KEY "},{\"@odata.context\":\"y/$deletedEntity\",\"id\":\"" ID
        "\",\"reason\":\"deleted\"}],"
        "\"@odata.deltaLink\":\"https://h/d\"}";
    static const char bytes[] = "{}[]\",:\\u019ae.-+ \n\xff\xc3tfn";
    struct sl_columns columns;
    fill_columns(&columns);
    struct sl_odata_options options = options_of(&columns);
    options.max_row_bytes = 120;
    uint32_t seed = 1;
    for (int round = 0; round < 3000; round++) {
        char text[sizeof whole];
        memcpy(text, whole, sizeof whole);
        for (int change = 0; change < 1 + round % 3; change++) {
            seed = seed * 1664525 + 1013904223;
            text[(seed >> 8) % (sizeof whole - 1)] = bytes[(seed >> 24) % (sizeof bytes - 1)];
        }
        char *all = read_answer(&options, text, sizeof whole - 1, sizeof whole, 0);
        size_t chunk = 1 + seed % 23;
        char *some = read_answer(&options, text, sizeof whole - 1, chunk, 0);
        /* Where malformed JSON was noticed may differ by the chunk's end. */
        all[strcspn(all, "(")] = some[strcspn(some, "(")] = 0;
        if (strcmp(all, some))
            fail_msg("chunks of %zu:\n%s\ninstead of\n%s", chunk, some, all);
        free(all);
        free(some);
    }
    sl_columns_done(&columns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_row_that_is_too_large_goes_alone),
        cmocka_unit_test(test_the_limit_is_that_of_the_document),
        cmocka_unit_test(test_a_text_that_is_cut_hides_nothing),
        cmocka_unit_test(test_a_text_that_is_cut_hides_no_damage),
        cmocka_unit_test(test_a_text_of_100_megabytes_is_not_kept),
        cmocka_unit_test(test_hostile_answers_end_early),
        cmocka_unit_test(test_too_many_names_are_refused),
        cmocka_unit_test(test_a_bad_row_is_shown_within_bounds),
        cmocka_unit_test(test_many_small_rows),
        cmocka_unit_test(test_damaged_answers_read_the_same_in_any_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
