/* The CSV parser, with each scan that this processor has: a table of dialect cases, each at every
 * chunk size; a slow reference written in the most obvious way, against which random input is
 * compared; limits; the scan's contract. */
#include "format/csv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "format/csv_own.h"

#include <cmocka.h>

static sl_csv_scan_fn scan; /* the one that parse uses */

static void with_each_scan(void (*test)(void))
{
    const sl_csv_scan_fn scans[] = {sl_csv_scan_portable, sl_csv_scan_sse2(), sl_csv_scan_avx2()};
    for (size_t i = 0; i < sizeof scans / sizeof *scans; i++) {
        scan = scans[i];
        if (scan)
            test();
    }
}

/* Rows as text: cells joined by |, each row ended by ;, a bad row as !word@line, ~cell where text
 * follows the closing quote. */
static void show(struct sl_buf *out, enum sl_csv_result result, const struct sl_csv_row *row)
{
    if (result == SL_CSV_OVERSIZE || result == SL_CSV_UNCLOSED) {
        assert_int_equal(row->count, 0);
        sl_buf_printf(out, "!%s@%u:%.*s;", result == SL_CSV_OVERSIZE ? "oversize" : "unclosed",
                      row->line, (int)row->raw.length, row->raw.at);
        return;
    }
    sl_buf_printf(out, "%u:", row->line);
    for (uint32_t i = 0; i < row->count; i++) {
        if (i)
            sl_buf_add_char(out, '|');
        sl_buf_add(out, row->cells[i].at, row->cells[i].length);
    }
    if (row->tail)
        sl_buf_printf(out, "~%u", row->tail);
    sl_buf_add_char(out, ';');
}

static void drain(struct sl_csv *csv, enum sl_csv_result until, struct sl_buf *out)
{
    struct sl_csv_row row;
    enum sl_csv_result result;
    while ((result = sl_csv_next(csv, &row)) != until) {
        assert_true(result == SL_CSV_ROW || result == SL_CSV_OVERSIZE || result == SL_CSV_UNCLOSED);
        show(out, result, &row);
    }
}

static void parse(const char *text, size_t size, size_t chunk, size_t max_row, struct sl_buf *out)
{
    struct sl_csv *csv = sl_csv_new(',', max_row);
    if (scan)
        csv->scan = scan;
    for (size_t at = 0; at < size;) {
        size_t room, part = size - at < chunk ? size - at : chunk;
        char *space = sl_csv_space(csv, &room);
        assert_true(room >= SL_CSV_SPACE_BYTES);
        part = part < room ? part : room;
        memcpy(space, text + at, part);
        sl_csv_filled(csv, part);
        at += part;
        drain(csv, SL_CSV_MORE, out);
    }
    sl_csv_finish(csv);
    drain(csv, SL_CSV_END, out);
    struct sl_csv_row row;
    assert_int_equal(sl_csv_next(csv, &row), SL_CSV_END);
    sl_csv_free(csv);
}

static const struct {
    const char *name, *text, *rows;
} cases[] = {
    {"simple",                "a,b,c\n1,2,3\n",                                                           "1:a|b|c;2:1|2|3;"                        },
    {"simple CRLF",           "a,b,c\r\n1,2,3\r\n",                                                       "1:a|b|c;2:1|2|3;"                        },
    {"simple CR",             "a,b,c\r1,2,3\r",                                                           "1:a|b|c;2:1|2|3;"                        },
    {"no last line end",      "a,b\n1,2",                                                                 "1:a|b;2:1|2;"                            },
    {"last cell empty",       "a,b\n1,",                                                                  "1:a|b;2:1|;"                             },
    {"comma in quotes",       "first,address\nJohn,\"120 any st., Anytown\"\n",
     "1:first|address;2:John|120 any st., Anytown;"                                                                                                 },
    {"empty cells",           "a,b,c\n1,\"\",\"\"\n2,3,4\n",                                              "1:a|b|c;2:1||;3:2|3|4;"                  },
    {"empty cells CRLF",      "a,b,c\r\n1,,\r\n,,\r\n",                                                   "1:a|b|c;2:1||;3:||;"                     },
    {"escaped quotes",        "a,b\n1,\"ha \"\"ha\"\" ha\"\n3,4\n",                                       "1:a|b;2:1|ha \"ha\" ha;3:3|4;"           },
    {"only quotes",           "a,\"\"\"\"\n\"\"\"\"\"\",b\n",                                             "1:a|\";2:\"\"|b;"                        },
    {"json",                  "key,val\n1,\"{\"\"type\"\": \"\"Point\"\", \"\"at\"\": [102.0, 0.5]}\"\n",
     "1:key|val;2:1|{\"type\": \"Point\", \"at\": [102.0, 0.5]};"                                                                                   },
    {"newlines",              "a,b,c\n1,2,3\n\"Once upon\na time\",5,6\n7,8,9\n",
     "1:a|b|c;2:1|2|3;3:Once upon\na time|5|6;5:7|8|9;"                                                                                             },
    {"newlines CRLF",         "a,b\r\n\"one\r\ntwo\r\nthree\",5\r\n7,8\r\n",
     "1:a|b;2:one\r\ntwo\r\nthree|5;5:7|8;"                                                                                                         },
    {"newlines CR",           "a,b\r\"x\ry\",5\r7,8",                                                     "1:a|b;2:x\ry|5;4:7|8;"                   },
    {"quotes and newlines",   "a,b\n1,\"ha \n\"\"ha\"\" \nha\"\n3,4\n",
     "1:a|b;2:1|ha \n\"ha\" \nha;5:3|4;"                                                                                                            },
    {"coordinates",           "\"lat, lon\",n\n\"48° 51' 24\"\" N, 2° 21' 07\"\" E\",1\n",
     "1:lat, lon|n;2:48° 51' 24\" N, 2° 21' 07\" E|1;"                                                                                            },
    {"utf8",                  "a,b\nʤ,\"€uro, Ωmega\"\n漢字,😀\n",                                "1:a|b;2:ʤ|€uro, Ωmega;3:漢字|😀;"},
    {"byte order mark",       "\xef\xbb\xbf\"a\",b\n1,2\n",                                               "1:a|b;2:1|2;"                            },
    {"mark alone",            "\xef\xbb\xbf",                                                             ""                                        },
    {"half a mark",           "\xef\xbb",                                                                 "1:\xef\xbb;"                             },
    {"mark later",            "a\n\xef\xbb\xbfz\n",                                                       "1:a;2:\xef\xbb\xbfz;"                    },
    {"nothing",               "",                                                                         ""                                        },
    {"blank lines",           "\n\na,b\n\r\n\r1,2\n\n",                                                   "3:a|b;6:1|2;"                            },
    {"blank at the end",      "a\n\n",                                                                    "1:a;"                                    },
    {"empty cell alone",      "a\n\"\"\nb\n",                                                             "1:a;2:;3:b;"                             },
    {"blanks are kept",       " a , \"b\"\n",                                                             "1: a | \"b\";"                           },
    {"quote in a plain cell", "5\" pipe,x\ny\"\",\"z\"\n",                                                "1:5\" pipe|x;2:y\"\"|z;"                 },
    {"text after a quote",    "\"5\"x,\"a\" \"b\",\"c\"\"d\"e\"\n",                                       "1:5x|a \"b\"|c\"de\"~1;"                 },
    {"tail at the end",       "a,\"b\"c",                                                                 "1:a|bc~2;"                               },
    {"tail of a row alone",   "a,\"b\"c,\"d\"\"\"\n1,\"2\"\n",                                            "1:a|bc|d\"~2;2:1|2;"                     },
    {"rows in a cell",        "1,\"Foo,a\r\n2,bar,b\r\n3,\"Baz,c\r\n4,x,d\r\n",
     "1:1|Foo,a\r\n2,bar,b\r\n3,Baz|c~2;4:4|x|d;"                                                                                                   },
    {"quoted at the end",     "a,\"b\"",                                                                  "1:a|b;"                                  },
    {"unclosed",              "a\n1,\"b\nc\n",                                                            "1:a;!unclosed@2:1,\"b\nc\n;"             },
    {"unclosed at once",      "\"",                                                                       "!unclosed@1:\";"                         },
    {"mixed ends",            "a\rb\nc\r\nd\n\re",                                                        "1:a;2:b;3:c;4:d;6:e;"                    },
};

static void every_case(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size = strlen(cases[i].text);
        for (size_t chunk = 1; chunk <= size + 1; chunk++) {
            struct sl_buf out = {0};
            sl_buf_add(&out, "", 0);
            parse(cases[i].text, size, chunk, 1000, &out);
            if (strcmp(out.data, cases[i].rows) != 0)
                fail_msg("%s, chunks of %zu: got %s, wanted %s", cases[i].name, chunk, out.data,
                         cases[i].rows);
            sl_buf_done(&out);
        }
    }
}

static void test_every_case_at_every_chunk_size(void **state)
{
    (void)state;
    with_each_scan(every_case);
}

static void test_nul_is_an_ordinary_byte(void **state)
{
    (void)state;
    struct sl_buf out = {0};
    parse("a\0,\"\0\"\n", 7, 3, 100, &out);
    assert_int_equal(out.length, 7);
    assert_memory_equal(out.data, "1:a\0|\0;", 7);
    sl_buf_done(&out);
}

/* The reference: one character at a time, no cleverness. */
struct reference {
    const char *at, *end;
    uint32_t line;
    bool tail; /* the last cell had one */
};

static bool line_end(struct reference *r)
{
    if (r->at == r->end || (*r->at != '\n' && *r->at != '\r'))
        return false;
    if (*r->at == '\r' && r->at + 1 < r->end && r->at[1] == '\n')
        r->at++;
    r->at++;
    r->line++;
    return true;
}

/* One cell; false when its quotes never close. */
static bool reference_cell(struct reference *r, struct sl_buf *out)
{
    bool quoted = r->at < r->end && *r->at == '"';
    r->tail = false;
    if (quoted) {
        r->at++;
        for (;;) {
            if (r->at == r->end)
                return false;
            if (*r->at == '"' && r->at + 1 < r->end && r->at[1] == '"') {
                sl_buf_add_char(out, '"');
                r->at += 2;
            } else if (*r->at == '"') {
                r->at++;
                break;
            } else {
                const char *from = r->at;
                if (!line_end(r))
                    r->at++;
                sl_buf_add(out, from, (size_t)(r->at - from));
            }
        }
    }
    const char *behind = r->at;
    while (r->at < r->end && !strchr(",\r\n", *r->at))
        sl_buf_add_char(out, *r->at++);
    r->tail = quoted && r->at > behind;
    return true;
}

static void reference(const char *text, size_t size, size_t max_row, struct sl_buf *out)
{
    struct reference r = {text, text + size, 1, false};
    while (r.at < r.end) {
        if (line_end(&r))
            continue;
        const char *begin = r.at;
        uint32_t line = r.line;
        struct sl_buf row = {0};
        sl_buf_printf(&row, "%u:", line);
        bool closed = reference_cell(&r, &row);
        unsigned cell = 1, tail = r.tail;
        while (closed && r.at < r.end && *r.at == ',') {
            r.at++;
            sl_buf_add_char(&row, '|');
            closed = reference_cell(&r, &row);
            cell++;
            if (r.tail && !tail)
                tail = cell;
        }
        if (tail)
            sl_buf_printf(&row, "~%u", tail);
        size_t length = (size_t)(r.at - begin);
        if (length > max_row)
            sl_buf_printf(out, "!oversize@%u:%.*s;", line, (int)max_row, begin);
        else if (!closed)
            sl_buf_printf(out, "!unclosed@%u:%.*s;", line, (int)length, begin);
        else
            sl_buf_printf(out, "%.*s;", (int)row.length, row.data);
        sl_buf_done(&row);
        line_end(&r);
    }
}

static void random_input(void)
{
    static const char letters[] = "aaab,,\"\"\n\r ";
    srand(20261122);
    for (int round = 0; round < 20000; round++) {
        char text[400];
        size_t size = (size_t)(rand() % (round % 20 ? 40 : 400));
        int kinds = round % 3 ? (int)sizeof letters - 1 : 7; /* a third has few quotes and ends */
        for (size_t i = 0; i < size; i++)
            text[i] = letters[rand() % kinds];
        size_t max_row = round % 5 ? 1000 : 12;
        struct sl_buf wanted = {0}, got = {0};
        reference(text, size, max_row, &wanted);
        sl_buf_add(&wanted, "", 0);
        sl_buf_add(&got, "", 0);
        parse(text, size, 1 + (size_t)(rand() % 70), max_row, &got);
        if (got.length != wanted.length || memcmp(got.data, wanted.data, got.length) != 0)
            fail_msg("round %d: got <%s> wanted <%s>", round, got.data, wanted.data);
        sl_buf_done(&wanted);
        sl_buf_done(&got);
    }
}

static void test_random_input_equals_the_reference(void **state)
{
    (void)state;
    with_each_scan(random_input);
}

/* Rows that begin and end anywhere in the scan's blocks, cut anywhere. */
static void every_chunk_size(void)
{
    static const char letters[] = "abcdefghij,,\"\n";
    srand(20261130);
    for (int round = 0; round < 40; round++) {
        char text[300];
        size_t size = sizeof text - (size_t)(rand() % 100);
        struct sl_buf wanted = {0}, got = {0};
        for (size_t i = 0; i < size; i++)
            text[i] = letters[rand() % (int)(sizeof letters - 1)];
        reference(text, size, 1000, &wanted);
        sl_buf_add(&wanted, "", 0);
        for (size_t chunk = 1; chunk <= size; chunk++) {
            sl_buf_clear(&got);
            sl_buf_add(&got, "", 0);
            parse(text, size, chunk, 1000, &got);
            if (got.length != wanted.length || memcmp(got.data, wanted.data, got.length) != 0)
                fail_msg("round %d, chunks of %zu: got <%s> wanted <%s>", round, chunk, got.data,
                         wanted.data);
        }
        sl_buf_done(&wanted);
        sl_buf_done(&got);
    }
}

static void test_random_input_at_every_chunk_size(void **state)
{
    (void)state;
    with_each_scan(every_chunk_size);
}

static void large_rows(void)
{
    struct sl_buf text = {0}, wanted = {0}, got = {0};
    for (int i = 0; i < 300; i++) {
        size_t size = (size_t)(i * 7919 % 90000);
        uint32_t line = (uint32_t)(i * 2 + 1);
        sl_buf_printf(&text, "%d,\"x\n\"\"", i);
        sl_buf_printf(&wanted, "%u:%d|x\n\"", line, i);
        for (size_t k = 0; k < size; k++) {
            sl_buf_add_char(&text, (char)('a' + k % 26));
            sl_buf_add_char(&wanted, (char)('a' + k % 26));
        }
        sl_buf_add_text(&text, "\",end\r\n");
        sl_buf_add_text(&wanted, "|end;");
    }
    static const size_t chunks[] = {63, 64, 1000, 4096, 65536, 1 << 20};
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        sl_buf_clear(&got);
        parse(text.data, text.length, chunks[i], 100000, &got);
        assert_int_equal(got.length, wanted.length);
        assert_memory_equal(got.data, wanted.data, got.length);
    }
    sl_buf_done(&text);
    sl_buf_done(&wanted);
    sl_buf_done(&got);
}

static void test_large_rows_and_many_rows_survive_the_moving_buffer(void **state)
{
    (void)state;
    with_each_scan(large_rows);
}

static void oversize_row(void)
{
    struct sl_buf text = {0}, got = {0};
    sl_buf_add_text(&text, "head\n\"");
    for (int i = 0; i < 3000000; i++)
        sl_buf_add_char(&text, i % 1000 == 999 ? '\n' : 'x');
    sl_buf_add_text(&text, "\",y\nnext,row\n");
    parse(text.data, text.length, 50000, 100000, &got);
    const char *next = strrchr(got.data, '!');
    assert_non_null(next);
    assert_memory_equal(next, "!oversize@2:\"xxx", 16);
    assert_string_equal(strchr(next, ';'), ";3003:next|row;");
    assert_int_equal(got.length, strlen("1:head;!oversize@2:") + SL_CSV_EXCERPT_BYTES +
                                     strlen(";3003:next|row;"));
    sl_buf_done(&text);
    sl_buf_done(&got);
}

static void test_an_oversize_row_is_skipped_and_the_next_is_right(void **state)
{
    (void)state;
    with_each_scan(oversize_row);
}

/* Whole blocks, walked to their end: nothing of what was in their place before is seen again. */
static void test_a_buffer_that_is_thrown_away_whole(void **state)
{
    (void)state;
    static const char begin[] = "a,b\n", end[] = "\nc,d\n";
    struct sl_csv *csv = sl_csv_new(',', 100);
    struct sl_csv_row row;
    size_t room, fed = sizeof begin - 1;
    memcpy(sl_csv_space(csv, &room), begin, fed);
    sl_csv_filled(csv, fed);
    assert_int_equal(sl_csv_next(csv, &row), SL_CSV_ROW);
    for (int round = 0; round < 20; round++) {
        char *space = sl_csv_space(csv, &room);
        assert_int_equal(sl_csv_next(csv, &row), SL_CSV_MORE);
        size_t size = SL_CSV_SPACE_BYTES - fed % 64;
        memset(space, 'x', size);
        sl_csv_filled(csv, size);
        fed += size;
        assert_int_equal(sl_csv_next(csv, &row), SL_CSV_MORE);
    }
    memcpy(sl_csv_space(csv, &room), end, sizeof end - 1);
    sl_csv_filled(csv, sizeof end - 1);
    assert_int_equal(sl_csv_next(csv, &row), SL_CSV_OVERSIZE);
    assert_int_equal(sl_csv_next(csv, &row), SL_CSV_ROW);
    assert_true(sl_str_is(row.cells[1], "d"));
    assert_int_equal(row.line, 3);
    assert_int_equal(sl_csv_next(csv, &row), SL_CSV_MORE);
    sl_csv_free(csv);
}

static void test_a_row_of_too_many_cells_is_oversize(void **state)
{
    (void)state;
    struct sl_buf text = {0}, got = {0};
    for (int i = 1; i < SL_CSV_CELLS_MAX; i++)
        sl_buf_add_char(&text, ',');
    sl_buf_add_text(&text, "\n");
    for (int i = 1; i < SL_CSV_CELLS_MAX + 1; i++)
        sl_buf_add_char(&text, ',');
    sl_buf_add_text(&text, "\na,b\n");
    parse(text.data, text.length, 1000, 100000, &got);
    assert_memory_equal(got.data, "1:||||", 6);
    assert_non_null(strstr(got.data, ";!oversize@2:,,,"));
    assert_string_equal(got.data + got.length - 6, "3:a|b;");
    sl_buf_done(&text);
    sl_buf_done(&got);
}

static void test_raw_is_the_row_as_it_came(void **state)
{
    (void)state;
    static const char text[] = "a,\"b\"\"c\",d\r\n\"x\"y\n";
    struct sl_csv *csv = sl_csv_new(',', 100);
    size_t room;
    memcpy(sl_csv_space(csv, &room), text, sizeof text - 1);
    sl_csv_filled(csv, sizeof text - 1);
    struct sl_csv_row row;
    assert_int_equal(sl_csv_next(csv, &row), SL_CSV_ROW);
    assert_true(sl_str_is(row.raw, "a,\"b\"\"c\",d"));
    assert_true(sl_str_is(row.cells[1], "b\"c"));
    assert_int_equal(sl_csv_next(csv, &row), SL_CSV_ROW);
    assert_true(sl_str_is(row.raw, "\"x\"y"));
    assert_int_equal(row.tail, 1);
    sl_csv_free(csv);
}

static void test_bytes_may_come_before_all_rows_are_taken(void **state)
{
    (void)state;
    struct sl_csv *csv = sl_csv_new(';', 100);
    struct sl_csv_row row;
    size_t room;
    memcpy(sl_csv_space(csv, &room), "a;1\nb;2\nc", 9);
    sl_csv_filled(csv, 9);
    assert_int_equal(sl_csv_next(csv, &row), SL_CSV_ROW);
    memcpy(sl_csv_space(csv, &room), ";3\n", 3);
    sl_csv_filled(csv, 3);
    assert_int_equal(sl_csv_next(csv, &row), SL_CSV_ROW);
    assert_true(sl_str_is(row.raw, "b;2"));
    assert_int_equal(sl_csv_next(csv, &row), SL_CSV_ROW);
    assert_true(sl_str_is(row.cells[1], "3"));
    assert_int_equal(sl_csv_next(csv, &row), SL_CSV_MORE);
    sl_csv_free(csv);
}

/* Whichever the processor has: all mark the same, so that all parse the same. */
static void test_the_scan_marks_exactly_the_structural_bytes(void **state)
{
    (void)state;
    enum { BLOCKS = 5 };
    const sl_csv_scan_fn scans[] = {sl_csv_scan_portable, sl_csv_scan_sse2(), sl_csv_scan_avx2(),
                                    sl_csv_scan_choose()};
    static const char often[] =
        ",;\"\r\n\x2b\x2d\x21\x23\x0b\x0c\xa2\xac\x8d\x8a"; /* and their neighbours */
    char bytes[BLOCKS * 64 + 1];
    uint64_t masks[BLOCKS];
    srandom(11);
    for (int round = 0; round < 2000; round++) {
        char delimiter = (char)(round < 256 ? round : often[random() % 2]);
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = round & 1      ? (char)((long)i + round)
                       : random() % 2 ? (char)random()
                                      : often[random() % (sizeof often - 1)];
        const char *from = bytes + round % 2; /* aligned or not */
        for (size_t s = 0; s < sizeof scans / sizeof *scans; s++) {
            if (!scans[s])
                continue;
            memset(masks, 0x55, sizeof masks);
            scans[s](from, BLOCKS, delimiter, masks);
            for (size_t i = 0; i < (size_t)BLOCKS * 64; i++) {
                bool wanted =
                    from[i] == delimiter || from[i] == '"' || from[i] == '\n' || from[i] == '\r';
                if ((masks[i / 64] >> i % 64 & 1) != wanted)
                    fail_msg("scan %zu, delimiter %d, byte %d at %zu", s, delimiter, from[i], i);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_case_at_every_chunk_size),
        cmocka_unit_test(test_nul_is_an_ordinary_byte),
        cmocka_unit_test(test_random_input_equals_the_reference),
        cmocka_unit_test(test_random_input_at_every_chunk_size),
        cmocka_unit_test(test_large_rows_and_many_rows_survive_the_moving_buffer),
        cmocka_unit_test(test_an_oversize_row_is_skipped_and_the_next_is_right),
        cmocka_unit_test(test_a_buffer_that_is_thrown_away_whole),
        cmocka_unit_test(test_a_row_of_too_many_cells_is_oversize),
        cmocka_unit_test(test_raw_is_the_row_as_it_came),
        cmocka_unit_test(test_bytes_may_come_before_all_rows_are_taken),
        cmocka_unit_test(test_the_scan_marks_exactly_the_structural_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
