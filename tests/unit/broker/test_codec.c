/* Decoding what a server may send, and refusing what would harm the decoder. */
#include "broker/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "broker/table.h"

#include <cmocka.h>

struct bytes {
    const char *at;
    size_t size;
};
#define BYTES(literal)                                                                             \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }

/* --- tables --- */

static const struct {
    const char *name;
    struct bytes in;
    bool fine;
} tables[] = {
    {"empty",                      BYTES("\0\0\0\0"),                                true },
    {"no length",                  BYTES("\0\0\0"),                                  false},
    {"shorter than said",          BYTES("\0\0\0\x05\x01kt\x01"),                    false},
    {"boolean",                    BYTES("\0\0\0\x04\x01kt\x01"),                    true },
    {"void",                       BYTES("\0\0\0\x03\x01kV"),                        true },
    {"text",                       BYTES("\0\0\0\x09\x01kS\0\0\0\x02hi"),            true },
    {"text longer than the table", BYTES("\0\0\0\x09\x01kS\0\0\0\x03hi"),            false},
    {"text of 4 GiB",              BYTES("\0\0\0\x09\x01kS\xFF\xFF\xFF\xFFhi"),      false},
    {"key longer than the table",  BYTES("\0\0\0\x04\xFFkt\x01"),                    false},
    {"key without a value",        BYTES("\0\0\0\x02\x01k"),                         false},
    {"unknown kind",               BYTES("\0\0\0\x04\x01k?\x01"),                    false},
    {"numbers",                    BYTES("\0\0\0\x0E\x01kI\0\0\0\x01\x01ls\0\1\0V"), true },
    {"number cut",                 BYTES("\0\0\0\x06\x01kI\0\0\x01"),                false},
    {"table inside",               BYTES("\0\0\0\x0B\x01kF\0\0\0\x04\x01kt\x01"),    true },
    {"table inside longer",        BYTES("\0\0\0\x0B\x01kF\0\0\0\x05\x01kt\x01"),    false},
    {"array",                      BYTES("\0\0\0\x0B\x01kA\0\0\0\x04t\x01t\0"),      true },
    {"array cut",                  BYTES("\0\0\0\x0A\x01kA\0\0\0\x03t\x01t"),        false},
};

static void tables_are_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        uint8_t *exact = malloc(tables[i].in.size);
        memcpy(exact, tables[i].in.at, tables[i].in.size);
        size_t size = 0;
        bool fine = sl_table_check(exact, tables[i].in.size, &size);
        free(exact);
        if (fine != tables[i].fine)
            fail_msg("%s: taken for %s", tables[i].name, fine ? "fine" : "broken");
        if (fine)
            assert_int_equal(size, tables[i].in.size);
    }
}

/* A table in a table in a table …: 6 bytes a level. */
static size_t nest(uint8_t *out, unsigned depth)
{
    size_t total = 4 + (size_t)(depth - 1) * 6;
    uint8_t *at = out;
    sl_put_be32(at, (uint32_t)(total - 4));
    at += 4;
    for (size_t left = total - 4; left; left -= 6) {
        at[0] = 0; /* an empty key */
        at[1] = 'F';
        sl_put_be32(at + 2, (uint32_t)(left - 6));
        at += 6;
    }
    return total;
}

static void deep_and_endless_tables_are_refused(void **state)
{
    (void)state;
    uint8_t *bytes = malloc(SL_FRAME_SIZE_MAX);
    size_t size;
    assert_true(sl_table_check(bytes, nest(bytes, SL_TABLE_DEPTH_MAX), &size));
    assert_false(sl_table_check(bytes, nest(bytes, SL_TABLE_DEPTH_MAX + 1), &size));
    assert_false(sl_table_check(bytes, nest(bytes, 20000), &size));

    for (unsigned fields = SL_TABLE_FIELDS_MAX; fields <= SL_TABLE_FIELDS_MAX + 1; fields++) {
        sl_put_be32(bytes, fields * 2);
        for (unsigned i = 0; i < fields; i++) {
            bytes[4 + (size_t)i * 2] = 0;
            bytes[5 + (size_t)i * 2] = 'V';
        }
        assert_int_equal(sl_table_check(bytes, 4 + (size_t)fields * 2, &size),
                         fields <= SL_TABLE_FIELDS_MAX);
    }
    free(bytes);
}

/* --- methods and headers --- */

static int decode_method(struct bytes in, struct sl_method *ret, struct sl_codec *codec,
                         struct sl_err *err)
{
    struct sl_frame frame = {
        .type = SL_FRAME_METHOD, .channel = 1, .payload = (const uint8_t *)in.at, .size = in.size};
    return sl_codec_method(codec, &frame, ret, err);
}

static const struct {
    const char *name;
    struct bytes in;
    const char *failure; /* NULL: decodes */
} methods[] = {
    {"basic.ack",                     BYTES("\0\x3C\0\x50\0\0\0\0\0\0\0\x05\x01"),     NULL                                 },
    {"basic.ack cut",                 BYTES("\0\x3C\0\x50\0\0\0\0\0\0\0\x05"),         "malformed method"                   },
    {"connection.unblocked",          BYTES("\0\x0A\0\x3D"),                           NULL                                 },
    {"channel.close",                 BYTES("\0\x14\0\x28\x01\x94\x02no\0\x32\0\x0A"), NULL                                 },
    {"channel.close cut in its text", BYTES("\0\x14\0\x28\x01\x94\x09no"),             "malformed method"                   },
    {"no method id",                  BYTES("\0\x3C\0"),                               "a method frame of 3 bytes"          },
    {"a client's method",             BYTES("\0\x3C\0\x28\0\0\0\0\0"),                 "unexpected method 60.40"            },
    {"an unknown method",             BYTES("\xFF\xFF\xFF\xFF"),                       "unexpected method 65535.65535"      },
    {"start with a broken table",     BYTES("\0\x0A\0\x0A\0\x09\xFF\xFF\xFF\xFF"),
     "malformed table in connection.start"                                                                                  },
    {"start cut before its table",    BYTES("\0\x0A\0\x0A\0"),                         "malformed table in connection.start"},
    {"start",
     BYTES("\0\x0A\0\x0A\0\x09\0\0\0\0\0\0\0\x05PLAIN\0\0\0\x05"
           "en_US"),
     NULL                                                                                                                   },
};

static void methods_are_decoded_or_refused(void **state)
{
    (void)state;
    struct sl_codec codec;
    sl_codec_init(&codec);
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        struct sl_method method;
        struct sl_err err = {0};
        int rc = decode_method(methods[i].in, &method, &codec, &err);
        if (rc != (methods[i].failure ? SL_CLOSED : SL_OK) ||
            (methods[i].failure && !strstr(err.message, methods[i].failure)))
            fail_msg("%s: %s '%s'", methods[i].name, sl_code_name(rc), err.message);
    }
    struct sl_method method;
    struct bytes ack = BYTES("\0\x3C\0\x50\0\0\0\x01\0\0\0\x05\x01");
    assert_int_equal(decode_method(ack, &method, &codec, NULL), SL_OK);
    assert_int_equal(method.id, AMQP_BASIC_ACK_METHOD);
    assert_true(((amqp_basic_ack_t *)method.decoded)->delivery_tag == 0x100000005);
    sl_codec_done(&codec);
}

#define HEAD "\0\x3C\0\0\0\0\0\0\0\0\x01\0" /* class basic, body of 256 bytes */

static const struct {
    const char *name;
    struct bytes in;
    bool fine;
} headers[] = {
    {"no properties",             BYTES(HEAD "\0\0"),                        true },
    {"content type",              BYTES(HEAD "\x80\0\x04text"),              true },
    {"content type cut",          BYTES(HEAD "\x80\0\x05text"),              false},
    {"content type missing",      BYTES(HEAD "\x80\0"),                      false},
    {"empty headers",             BYTES(HEAD "\x20\0\0\0\0\0"),              true },
    {"headers behind both texts",
     BYTES(HEAD "\xE0\0\x01t\x01"
                "e\0\0\0\x03\x01kV"),
     true                                                                         },
    {"broken headers",            BYTES(HEAD "\x20\0\0\0\0\x09"),            false},
    {"message id",                BYTES(HEAD "\0\x80\x02id"),                true },
    {"message id cut",            BYTES(HEAD "\0\x80\x09id"),                false},
    {"endless flags",             BYTES(HEAD "\0\x01\0\x01\0\x01\0\x01"),    false},
    {"no flags",                  BYTES(HEAD),                               false},
    {"another class",             BYTES("\0\x0A\0\0\0\0\0\0\0\0\x01\0\0\0"), false},
    {"cut",                       BYTES("\0\x3C\0\0\0"),                     false},
};

static int decode_header(struct bytes in, struct sl_codec *codec, struct sl_content_head *ret)
{
    uint8_t *exact = malloc(in.size);
    memcpy(exact, in.at, in.size);
    struct sl_frame frame = {.type = SL_FRAME_HEADER, .payload = exact, .size = in.size};
    int rc = sl_codec_header(codec, &frame, ret, NULL);
    free(exact);
    return rc;
}

static void headers_are_decoded_or_refused(void **state)
{
    (void)state;
    struct sl_codec codec;
    sl_codec_init(&codec);
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        struct sl_content_head head;
        int rc = decode_header(headers[i].in, &codec, &head);
        if (rc != (headers[i].fine ? SL_OK : SL_CLOSED))
            fail_msg("%s: %s", headers[i].name, sl_code_name(rc));
        if (rc == SL_OK)
            assert_int_equal(head.body_size, 256);
    }
    sl_codec_done(&codec);
}

/* Good payloads with a few bytes changed: refused or decoded, never a crash. */
static void changed_bytes_do_no_harm(void **state)
{
    (void)state;
    struct sl_codec codec;
    sl_codec_init(&codec);
    srand(20261122);
    for (int round = 0; round < 20000; round++) {
        size_t pick = (size_t)rand();
        bool method = rand() % 2;
        struct bytes in = method ? methods[pick % (sizeof methods / sizeof *methods)].in
                                 : headers[pick % (sizeof headers / sizeof *headers)].in;
        char *changed = malloc(in.size);
        memcpy(changed, in.at, in.size);
        for (int i = rand() % 4; i >= 0; i--)
            changed[(size_t)rand() % in.size] = (char)rand();
        struct sl_content_head head;
        struct sl_method decoded;
        struct bytes again = {changed, in.size};
        int rc = method ? decode_method(again, &decoded, &codec, NULL)
                        : decode_header(again, &codec, &head);
        assert_true(rc == SL_OK || rc == SL_CLOSED);
        free(changed);
    }
    sl_codec_done(&codec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_are_checked),
        cmocka_unit_test(deep_and_endless_tables_are_refused),
        cmocka_unit_test(methods_are_decoded_or_refused),
        cmocka_unit_test(headers_are_decoded_or_refused),
        cmocka_unit_test(changed_bytes_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
