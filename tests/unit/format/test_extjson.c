/* BSON and Extended JSON: the exact texts, the way back byte for byte, random documents, hostile
 * bytes on both sides. libbson is the independent judge of what we write. */
#include "format/extjson.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <bson/bson.h>

#include "format/base64.h"
#include "format/bson_reader.h"
#include "format/extjson_parse.h"

#include <cmocka.h>

static void check_by_libbson(struct sl_str doc)
{
    bson_t bson;
    size_t wrong = 0;
    assert_true(bson_init_static(&bson, (const uint8_t *)doc.at, doc.length));
    if (!bson_validate(&bson, BSON_VALIDATE_UTF8 | BSON_VALIDATE_UTF8_ALLOW_NULL, &wrong))
        fail_msg("libbson finds a fault at byte %zu of %zu", wrong, doc.length);
    struct sl_err err = {0};
    assert_int_equal(sl_bson_check(doc, &err), SL_OK);
}

/* Every JSON text is its own mirror: read, written again, it is the same. */
static const char *const mirrors[] = {
    "{}",
    "{\"a\":1}",
    "{\"\":\"\"}",
    "{\"a\":-9223372036854775808,\"b\":9223372036854775807}",
    "{\"a\":1.0,\"b\":-0.5,\"c\":1e+300,\"d\":0.1}",
    "{\"a\":true,\"b\":false,\"c\":null}",
    "{\"a\":\"\\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f/\x7f€漢😀\"}",
    "{\"quite a long key without escapes\":\"quite a long text without any escapes in it\"}",
    "{\"a\":{\"$numberDecimal\":\"1500.50\"},\"b\":{\"$numberDecimal\":\"-1E+400\"}}",
    "{\"a\":{\"$numberDecimal\":\"NaN\"},\"b\":{\"$numberDecimal\":\"-Infinity\"}}",
    "{\"a\":{\"$date\":\"2026-11-22T03:10:00.120Z\"}}",
    "{\"a\":{\"$date\":\"0001-01-01T00:00:00.000Z\"}}",
    "{\"a\":{\"$date\":\"9999-12-31T23:59:59.999Z\"}}",
    "{\"a\":{\"$date\":\"1899-12-31T23:59:59.999Z\"}}",
    "{\"a\":{\"$date\":\"1900-03-01T00:00:00.000Z\"}}",
    "{\"a\":{\"$date\":\"2000-02-29T00:00:00.000Z\"}}",
    "{\"a\":{\"$date\":{\"$numberLong\":\"253402300800000\"}}}",
    "{\"a\":{\"$date\":{\"$numberLong\":\"-62135596800001\"}}}",
    "{\"a\":{\"$numberDouble\":\"NaN\"},\"b\":{\"$numberDouble\":\"-Infinity\"}}",
    "{\"a\":{\"$numberInt\":\"-2147483648\"}}",
    "{\"a\":{\"$oid\":\"0123456789abcdef01234567\"}}",
    "{\"a\":{\"$binary\":{\"base64\":\"AAECAw==\",\"subType\":\"80\"}}}",
    "{\"a\":{\"$binary\":{\"base64\":\"\",\"subType\":\"00\"}}}",
    "{\"a\":{},\"b\":[],\"c\":{\"d\":{}},\"e\":[[],{},[1,[2]]]}",
    "{\"a\":[1,\"x\",null,{\"$date\":\"2026-11-22T03:10:00.120Z\"},{\"b\":[true]},2.5]}",
    "{\"$numberDecimal\":\"outermost keys wrap nothing\"}",
    "{\"a\":{\"$unknown\":1,\"b\":2}}",
    "{\"a\":{\"b\":1,\"$date\":2}}",
    "{\"name@OData.Community.Display.V1.FormattedValue\":\"x\"}",
};

static void test_texts_are_their_own_mirror(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mirrors / sizeof *mirrors; i++) {
        struct sl_arena arena;
        struct sl_buf out = {0};
        struct sl_err err = {0};
        struct sl_str doc = {0};
        sl_arena_init(&arena, 1000);
        if (extjson_parse(&arena, mirrors[i], strlen(mirrors[i]), &doc, &err) != SL_OK)
            fail_msg("%s: %s", mirrors[i], err.message);
        check_by_libbson(doc);
        if (sl_extjson_write(&out, doc.at, doc.length, &err) != SL_OK)
            fail_msg("%s: %s", mirrors[i], err.message);
        assert_string_equal(out.data, mirrors[i]);
        sl_buf_done(&out);
        sl_arena_done(&arena);
    }
}

static const struct {
    const char *text, *why;
} refused[] = {
    {"",                                                                     "cut off"                     },
    {"{\"a\":x}",                                                            "malformed"                   },
    {"[]",                                                                   "expected an object"          },
    {"1",                                                                    "expected an object"          },
    {"{\"a\":1",                                                             "cut off"                     },
    {"{\"a\":9223372036854775808}",                                          "64 bits"                     },
    {"{\"a\":1e999}",                                                        "out of range"                },
    {"{\"a\":\"\\udc00\"}",                                                  "half of a surrogate pair"    },
    {"{\"a\":\"\xff\"}",                                                     "not valid UTF-8"             },
    {"{\"\xff\":1}",                                                         "not valid UTF-8"             },
    {"{\"a\\u0000b\":1}",                                                    "NUL"                         },
    {"{\"a\":{\"$numberDecimal\":\"x\"}}",                                   "$numberDecimal holds no"     },
    {"{\"a\":{\"$numberDecimal\":\"12345678901234567890123456789012345\"}}", "34 digits"                   },
    {"{\"a\":{\"$numberDecimal\":1}}",                                       "$numberDecimal does not take"},
    {"{\"a\":{\"$numberDecimal\":\"1\",\"b\":1}}",                           "stands alone"                },
    {"{\"a\":{\"$numberDecimal\":{\"b\":1}}}",                               "$numberDecimal takes a text" },
    {"{\"a\":{\"$date\":\"yesterday\"}}",                                    "$date holds no"              },
    {"{\"a\":{\"$date\":{}}}",                                               "$date needs"                 },
    {"{\"a\":{\"$date\":{\"x\":\"1\"}}}",                                    "unknown key"                 },
    {"{\"a\":{\"$date\":{\"$numberLong\":1}}}",                              "$date does not take"         },
    {"{\"a\":{\"$date\":[]}}",                                               "$date does not take"         },
    {"{\"a\":{\"$oid\":\"0123\"}}",                                          "24 hexadecimal"              },
    {"{\"a\":{\"$oid\":\"0123456789abcdef0123456g\"}}",                      "hexadecimal"                 },
    {"{\"a\":{\"$numberInt\":\"2147483648\"}}",                              "32 bits"                     },
    {"{\"a\":{\"$numberLong\":\"1.5\"}}",                                    "64 bits"                     },
    {"{\"a\":{\"$numberDouble\":\"x\"}}",                                    "no double"                   },
    {"{\"a\":{\"$binary\":\"AA==\"}}",                                       "$binary takes an object"     },
    {"{\"a\":{\"$binary\":{\"base64\":\"AA=\",\"subType\":\"00\"}}}",        "no base64"                   },
    {"{\"a\":{\"$binary\":{\"base64\":\"AA==\"}}}",                          "needs base64 and subType"    },
    {"{\"a\":{\"$binary\":{\"base64\":\"AA==\",\"subType\":\"02\"}}}",       "subType"                     },
    {"{\"a\":{\"$binary\":{\"base64\":\"AA==\",\"subType\":\"xyz\"}}}",      "subType"                     },
};

static void test_what_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct sl_arena arena;
        struct sl_err err = {0};
        struct sl_str doc;
        sl_arena_init(&arena, 1000);
        int rc = extjson_parse(&arena, refused[i].text, strlen(refused[i].text), &doc, &err);
        if (rc != SL_REJECTED || !strstr(err.message, refused[i].why))
            fail_msg("%s: %d, %s", refused[i].text, rc, err.message);
        sl_arena_done(&arena);
    }
}

static void test_depth_is_bounded_both_ways(void **state)
{
    (void)state;
    for (int depth = 63; depth <= 65; depth++) {
        struct sl_buf text = {0}, out = {0};
        struct sl_arena arena;
        struct sl_err err = {0};
        struct sl_str doc;
        sl_arena_init(&arena, 1000);
        for (int i = 0; i < depth; i++)
            sl_buf_add_text(&text, "{\"a\":");
        sl_buf_add_char(&text, '1');
        for (int i = 0; i < depth; i++)
            sl_buf_add_char(&text, '}');
        int rc = extjson_parse(&arena, text.data, text.length, &doc, &err);
        assert_int_equal(rc, depth <= 64 ? SL_OK : SL_REJECTED);
        if (rc == SL_OK) {
            assert_int_equal(sl_extjson_write(&out, doc.at, doc.length, &err), SL_OK);
            assert_string_equal(out.data, text.data);
        }
        sl_buf_done(&text);
        sl_buf_done(&out);
        sl_arena_done(&arena);
    }
    bson_t *inner = bson_new(); /* deeper than we would write ourselves */
    for (int i = 0; i < 70; i++) {
        bson_t *outer = bson_new();
        BSON_APPEND_DOCUMENT(outer, "a", inner);
        bson_destroy(inner);
        inner = outer;
    }
    struct sl_buf out = {0};
    struct sl_err err = {0};
    assert_int_equal(sl_extjson_write(&out, bson_get_data(inner), inner->len, &err), SL_REJECTED);
    assert_int_equal(out.length, 0);
    struct sl_str doc = {(const char *)bson_get_data(inner), inner->len};
    assert_int_equal(sl_bson_check(doc, &err), SL_REJECTED);
    sl_buf_done(&out);
    bson_destroy(inner);
}

static void test_other_types_are_refused_by_name(void **state)
{
    (void)state;
    bson_t bson = BSON_INITIALIZER;
    struct sl_buf out = {0};
    struct sl_err err = {0};
    sl_buf_add_text(&out, "before");
    BSON_APPEND_REGEX(&bson, "r", "x", "i");
    assert_int_equal(sl_extjson_write(&out, bson_get_data(&bson), bson.len, &err), SL_REJECTED);
    assert_string_equal(err.message, "BSON type 0x0b of field 'r' is not carried");
    assert_string_equal(out.data, "before");
    bson_destroy(&bson);

    bson_t child;
    bson_init(&bson);
    BSON_APPEND_DOCUMENT_BEGIN(&bson, "d", &child);
    BSON_APPEND_UTF8(&child, "$date", "x");
    bson_append_document_end(&bson, &child);
    assert_int_equal(sl_extjson_write(&out, bson_get_data(&bson), bson.len, &err), SL_REJECTED);
    assert_non_null(strstr(err.message, "'$date' cannot be told"));
    bson_destroy(&bson);
    sl_buf_done(&out);
}

/* A random document of all types we carry, by our writer. */
static int64_t random64(void)
{
    return (int64_t)((uint64_t)rand() << 62 ^ (uint64_t)rand() << 31 ^ (uint64_t)rand());
}

static size_t random_text(char out[64])
{
    static const char *const pieces[] = {"a",  "bc", "\"", "\\", "\n", "\x01",          "€",
                                         "漢", "😀",  " ",  "/",  "$",  "long plain run"};
    size_t length = 0;
    for (int i = rand() % 5; i; i--) {
        const char *piece = pieces[rand() % 13];
        length += (size_t)snprintf(out + length, 64 - length, "%s", piece);
    }
    return length;
}

static void random_fields(struct sl_bson_writer *w, struct sl_arena *keys, int depth, bool array);

static void random_field(struct sl_bson_writer *w, struct sl_arena *keys, int depth, bool array)
{
    char storage[16], text[64];
    uint8_t oid[12];
    struct sl_bson_key key;
    struct sl_decimal decimal;
    double real;
    int64_t bits = random64();
    if (array) {
        key = sl_bson_next_index(w, storage);
    } else {
        size_t length = random_text(text);
        key = sl_bson_key_make(keys, (struct sl_str){text, length});
        if (sl_extjson_word_of(text, length))
            return;
    }
    switch (rand() % (depth < 5 ? 12 : 10)) {
    case 0:
        memcpy(&real, &bits, sizeof real);
        sl_bson_add_double(w, key, isnan(real) ? (double)NAN : real);
        break;
    case 1:
        sl_bson_add_double(w, key, (double)(bits % 100000) / 100);
        break;
    case 2:
        sl_bson_add_utf8(w, key, text, random_text(text));
        break;
    case 3:
        sl_bson_add_binary(w, key, (uint8_t)(rand() | 0x80), &bits, (size_t)rand() % 9);
        break;
    case 4:
        memset(oid, rand(), sizeof oid);
        sl_bson_add_oid(w, key, oid);
        break;
    case 5:
        sl_bson_add_bool(w, key, bits & 1);
        break;
    case 6:
        sl_bson_add_date(w, key, rand() % 2 ? bits % 253402300800000 : bits);
        break;
    case 7:
        sl_bson_add_int32(w, key, (int32_t)bits);
        break;
    case 8:
        sl_bson_add_int64(w, key, bits >> rand() % 64);
        break;
    case 9:
        snprintf(text, sizeof text, "%lld.%04dE%d", (long long)bits, rand() % 10000,
                 rand() % 60 - 30);
        assert_int_equal(sl_decimal_parse(text, strlen(text), &decimal), SL_NUMBER_OK);
        sl_bson_add_decimal(w, key, decimal);
        break;
    case 10:
        sl_bson_open_doc(w, key);
        random_fields(w, keys, depth + 1, false);
        sl_bson_close(w);
        break;
    default:
        sl_bson_open_array(w, key);
        random_fields(w, keys, depth + 1, true);
        sl_bson_close(w);
    }
}

static void random_fields(struct sl_bson_writer *w, struct sl_arena *keys, int depth, bool array)
{
    for (int i = rand() % 8; i; i--)
        random_field(w, keys, depth, array);
}

static void test_random_documents_survive_byte_for_byte(void **state)
{
    (void)state;
    srand(20261122);
    for (int round = 0; round < 5000; round++) {
        struct sl_arena arena, keys;
        struct sl_buf text = {0}, direct = {0};
        struct sl_bson_writer writer;
        struct sl_err err = {0};
        struct sl_str doc, again;
        sl_arena_init(&arena, 300);
        sl_arena_init(&keys, 300);
        unsigned seed = (unsigned)rand();
        srand(seed);
        sl_bson_begin(&writer, &arena);
        random_fields(&writer, &keys, 0, false);
        doc = sl_bson_end(&writer);
        check_by_libbson(doc);

        srand(seed); /* the same once more, into a buffer behind other bytes */
        sl_buf_add_text(&direct, "before");
        sl_bson_begin_buf(&writer, &direct);
        random_fields(&writer, &keys, 0, false);
        again = sl_bson_end(&writer);
        assert_int_equal(direct.length, doc.length + 6);
        assert_memory_equal(direct.data, "before", 6);
        assert_memory_equal(again.at, doc.at, doc.length);

        assert_int_equal(sl_extjson_write(&text, doc.at, doc.length, &err), SL_OK);
        if (extjson_parse(&arena, text.data, text.length, &again, &err) != SL_OK)
            fail_msg("%s: %s", text.data, err.message);
        if (again.length != doc.length || memcmp(again.at, doc.at, doc.length) != 0)
            fail_msg("changed on the way: %s", text.data);

        bson_error_t error; /* and libbson can read the text, too */
        bson_t *theirs =
            bson_new_from_json((const uint8_t *)text.data, (ssize_t)text.length, &error);
        if (!theirs && !strstr(text.data, "\\u0000"))
            fail_msg("libbson: %s: %s", error.message, text.data);
        bson_destroy(theirs);
        sl_buf_done(&text);
        sl_buf_done(&direct);
        sl_arena_done(&arena);
        sl_arena_done(&keys);
        srand(seed + 1);
    }
}

static void test_damaged_bson_is_refused_or_read_but_never_overrun(void **state)
{
    (void)state;
    srand(9);
    for (int round = 0; round < 5000; round++) {
        struct sl_arena arena, keys;
        struct sl_bson_writer writer;
        struct sl_buf out = {0};
        struct sl_err err = {0};
        sl_arena_init(&arena, 300);
        sl_arena_init(&keys, 300);
        sl_bson_begin(&writer, &arena);
        random_fields(&writer, &keys, 2, false);
        struct sl_str doc = sl_bson_end(&writer);
        size_t size = rand() % 4 ? doc.length : (size_t)rand() % (doc.length + 1);
        char *exact = malloc(size ? size : 1);
        memcpy(exact, doc.at, size);
        for (int flips = rand() % 4; flips && size; flips--)
            exact[(size_t)rand() % size] = (char)(rand() % 2 ? rand() : rand() % 20);
        int rc = sl_extjson_write(&out, exact, size, &err);
        assert_true(rc == SL_OK || rc == SL_REJECTED);
        if (sl_bson_check((struct sl_str){exact, size}, &err) == SL_OK && size > 5) {
            bson_t bson;
            assert_true(bson_init_static(&bson, (const uint8_t *)exact, size));
            assert_true(
                bson_validate(&bson, BSON_VALIDATE_UTF8 | BSON_VALIDATE_UTF8_ALLOW_NULL, NULL));
        }
        free(exact);
        sl_buf_done(&out);
        sl_arena_done(&arena);
        sl_arena_done(&keys);
    }
}

static void test_base64(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *text;
    } known[] = {
        {"",         ""        },
        {"f",        "Zg=="    },
        {"fo",       "Zm8="    },
        {"foo",      "Zm9v"    },
        {"foob",     "Zm9vYg=="},
        {"fooba",    "Zm9vYmE="},
        {"\xff\xfe", "//4="    },
    };
    static const char *const wrong[] = {
        "A", "AA", "AAA", "A===", "====", "A=AA", "AB==", "AA!=", "AAB="};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct sl_buf out = {0};
        sl_base64_encode(&out, known[i].bytes, strlen(known[i].bytes));
        assert_string_equal(out.data, known[i].text);
        sl_buf_clear(&out);
        assert_true(sl_base64_decode(&out, known[i].text, strlen(known[i].text)));
        assert_string_equal(out.data, known[i].bytes);
        sl_buf_done(&out);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct sl_buf out = {0};
        assert_false(sl_base64_decode(&out, wrong[i], strlen(wrong[i])));
        assert_int_equal(out.length, 0);
        sl_buf_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts_are_their_own_mirror),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_depth_is_bounded_both_ways),
        cmocka_unit_test(test_other_types_are_refused_by_name),
        cmocka_unit_test(test_random_documents_survive_byte_for_byte),
        cmocka_unit_test(test_damaged_bson_is_refused_or_read_but_never_overrun),
        cmocka_unit_test(test_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
