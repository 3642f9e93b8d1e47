/* What yajl gets for halves of surrogate pairs: each text in two pieces, cut at every place, and at
 * every chunk size. */
#include "format/json_surrogates.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *text, *passed;
} rows[] = {
    {"",                                 ""                                },
    {"{\"a\":[1,\"b\"]}",                "{\"a\":[1,\"b\"]}"               },
    {"\\n\\\\\\\"\\u0041\\ud7ff\\ue000", "\\n\\\\\\\"\\u0041\\ud7ff\\ue000"},
    {"\\ud83d\\ude00",                   "\\ud83d\\ude00"                  },
    {"\\uDBFF\\uDFFFx\\uD800\\uDC00",    "\\uDBFF\\uDFFFx\\uD800\\uDC00"   },
    {"a second half: \\udc00\\udfff",    "a second half: \\udc00\\udfff"   },
    {"\\ud83d\"",                        "\\udc00\""                       },
    {"a\\uDbFfb",                        "a\\udc00b"                       },
    {"\\ud83d\\u0041",                   "\\udc00\\u0041"                  },
    {"\\ud83d\\ud83d\\ude00",            "\\udc00\\ud83d\\ude00"           },
    {"\\ud83d\\ud83d\\ud83d\\ue000",     "\\udc00\\udc00\\udc00\\ue000"    },
    {"\\ud83d\\nude00",                  "\\udc00\\nude00"                 },
    {"\\ud83d\\\\ude00",                 "\\udc00\\\\ude00"                },
    {"\\ud83d\\\\\\ude00",               "\\udc00\\\\\\ude00"              },
    {"\\\\ud83d",                        "\\\\ud83d"                       },
    {"\\\\\\ud83d.",                     "\\\\\\udc00."                    },
    {"\\ud83d \\ude00",                  "\\udc00 \\ude00"                 },
 /* No text ends so: left to yajl. */
    {"\\ud83d\\ude0",                    "\\ud83d\\ude0"                   },
    {"\\ud83d",                          "\\ud83d"                         },
    {"\\ud83",                           "\\ud83"                          },
    {"x\\",                              "x\\"                             },
};

/* What passes of the chunk, which is freed as soon as it was taken. */
static void feed(struct sl_json_surrogates *surrogates, const char *at, size_t size,
                 struct sl_buf *passed)
{
    char *chunk = malloc(size ? size : 1);
    memcpy(chunk, at, size);
    struct sl_str left = {chunk, size}, piece;
    while (sl_json_surrogates_next(surrogates, &left, &piece)) {
        assert_true(piece.length > 0);
        sl_buf_add(passed, piece.at, piece.length);
    }
    assert_int_equal(left.length, 0);
    free(chunk);
}

static void finish(const struct sl_json_surrogates *surrogates, struct sl_buf *passed,
                   const char *wanted)
{
    struct sl_str rest = sl_json_surrogates_rest(surrogates);
    sl_buf_add(passed, rest.at, rest.length);
    if (passed->length != strlen(wanted) || memcmp(sl_buf_view(passed).at, wanted, passed->length))
        fail_msg("%s instead of %s", sl_buf_view(passed).at, wanted);
    sl_buf_done(passed);
}

static void test_chunks_of_every_size(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t size = strlen(rows[i].text);
        for (size_t chunk = 1; chunk <= size + 1; chunk++) {
            struct sl_json_surrogates surrogates = {0};
            struct sl_buf passed = {0};
            for (size_t at = 0; at < size; at += chunk)
                feed(&surrogates, rows[i].text + at, size - at < chunk ? size - at : chunk,
                     &passed);
            finish(&surrogates, &passed, rows[i].passed);
        }
    }
}

static void test_a_cut_at_every_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t size = strlen(rows[i].text);
        for (size_t cut = 0; cut <= size; cut++) {
            struct sl_json_surrogates surrogates = {0};
            struct sl_buf passed = {0};
            feed(&surrogates, rows[i].text, cut, &passed);
            feed(&surrogates, rows[i].text + cut, size - cut, &passed);
            finish(&surrogates, &passed, rows[i].passed);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunks_of_every_size),
        cmocka_unit_test(test_a_cut_at_every_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
