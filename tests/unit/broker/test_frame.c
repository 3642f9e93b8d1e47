/* The frame reader: good and broken bytes, fed in pieces of every size. */
#include "broker/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LOG_BYTES = 4096 };

struct bytes {
    const char *at;
    size_t size;
};
#define BYTES(literal)                                                                             \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }

static const struct {
    const char *name;
    struct bytes in;
    const char *out; /* "type:channel:size " a frame, then the failure */
} cases[] = {
    {"nothing",                   BYTES(""),                                                 ""                                                 },
    {"heartbeat",                 BYTES("\x08\0\0\0\0\0\0\xCE"),                             "8:0:0 "                                           },
    {"method",                    BYTES("\x01\0\x07\0\0\0\x04\0\x14\0\x0B\xCE"),             "1:7:4 "                                           },
    {"two frames",                BYTES("\x08\0\0\0\0\0\0\xCE\x03\x01\x02\0\0\0\x02hi\xCE"), "8:0:0 3:258:2 "                                   },
    {"end byte in the payload",   BYTES("\x03\0\x01\0\0\0\x02\xCE\xCE\xCE"),                 "3:1:2 "                                           },
    {"half a head",               BYTES("\x01\0\x07"),                                       ""                                                 },
    {"half a payload",            BYTES("\x01\0\x07\0\0\0\x04\0\x14"),                       ""                                                 },
    {"no end byte",               BYTES("\x01\0\x07\0\0\0\x04\0\x14\0\x0B\xCD"),
     "a frame of 4 bytes lacks its end byte"                                                                                                    },
    {"unknown type",              BYTES("\x05\0\0\0\0\0\0\xCE"),
     "the peer does not speak AMQP 0-9-1 (frame type 5)"                                                                                        },
    {"HTTP",                      BYTES("HTTP/1.1 400 Bad Request\r\n\r\n"),
     "the peer does not speak AMQP 0-9-1 (frame type 72)"                                                                                       },
    {"another version",           BYTES("AMQP\0\1\0\0"),                                     "the server speaks another AMQP version than 0-9-1"},
    {"AMQP header after a frame",
     BYTES("\x08\0\0\0\0\0\0\xCE"
           "AMQP\0\0\x09\1"),
     "8:0:0 the peer does not speak AMQP 0-9-1 (frame type 65)"                                                                                 },
    {"larger than agreed",        BYTES("\x03\0\x01\0\x01\xFF\xF9"),
     "a frame of 131065 bytes is larger than agreed (131072)"                                                                                   },
    {"size of 4 GiB",             BYTES("\x01\0\x01\xFF\xFF\xFF\xFF"),
     "a frame of 4294967295 bytes is larger than agreed (131072)"                                                                               },
};

struct seen {
    char text[LOG_BYTES];
    size_t length;
};

static int note(void *ctx, const struct sl_frame *frame, struct sl_err *err)
{
    struct seen *seen = ctx;
    (void)err;
    int size = snprintf(seen->text + seen->length, sizeof seen->text - seen->length, "%d:%u:%zu ",
                        frame->type, frame->channel, frame->size);
    seen->length += (size_t)size;
    return SL_OK;
}

static void feed_in_pieces(struct bytes in, size_t piece, struct seen *seen)
{
    struct sl_frame_reader reader;
    struct sl_err err = {0};
    sl_frame_reader_init(&reader);
    *seen = (struct seen){.length = 0};
    int rc = SL_OK;
    for (size_t used = 0; used < in.size && rc == SL_OK; used += piece) {
        size_t size = piece < in.size - used ? piece : in.size - used;
        uint8_t *exact = malloc(size); /* so that the sanitizer sees a step too far */
        memcpy(exact, in.at + used, size);
        rc = sl_frame_reader_feed(&reader, exact, size, note, seen, &err);
        free(exact);
    }
    if (rc != SL_OK) {
        assert_int_equal(rc, SL_CLOSED);
        snprintf(seen->text + seen->length, sizeof seen->text - seen->length, "%s", err.message);
    }
    sl_frame_reader_done(&reader);
}

static void frames_at_every_piece_size(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t piece = 1; piece <= cases[i].in.size + 1; piece++) {
            struct seen seen;
            feed_in_pieces(cases[i].in, piece, &seen);
            if (strcmp(seen.text, cases[i].out) != 0)
                fail_msg("%s, in pieces of %zu: '%s', not '%s'", cases[i].name, piece, seen.text,
                         cases[i].out);
        }
}

/* Payload bytes arrive unchanged, however they are cut. */
static int compare(void *ctx, const struct sl_frame *frame, struct sl_err *err)
{
    unsigned *count = ctx;
    (void)err;
    assert_int_equal(frame->size, SL_FRAME_SIZE_MAX - SL_FRAME_OVERHEAD_BYTES);
    for (size_t i = 0; i < frame->size; i++)
        if (frame->payload[i] != (uint8_t)(i * 7))
            fail_msg("byte %zu differs", i);
    ++*count;
    return SL_OK;
}

static void largest_frame_in_pieces(void **state)
{
    (void)state;
    static uint8_t frame[SL_FRAME_SIZE_MAX];
    sl_frame_head(frame, SL_FRAME_BODY, 1, sizeof frame - SL_FRAME_OVERHEAD_BYTES);
    for (size_t i = 0; i < sizeof frame - SL_FRAME_OVERHEAD_BYTES; i++)
        frame[SL_FRAME_HEAD_BYTES + i] = (uint8_t)(i * 7);
    frame[sizeof frame - 1] = SL_FRAME_END_BYTE;

    static const size_t pieces[] = {1, 5, 8, 1000, 65536, sizeof frame};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct sl_frame_reader reader;
        unsigned count = 0;
        sl_frame_reader_init(&reader);
        for (int twice = 0; twice < 2; twice++)
            for (size_t used = 0; used < sizeof frame; used += pieces[i]) {
                size_t left = sizeof frame - used;
                size_t size = pieces[i] < left ? pieces[i] : left;
                assert_int_equal(
                    sl_frame_reader_feed(&reader, frame + used, size, compare, &count, NULL),
                    SL_OK);
            }
        assert_int_equal(count, 2);
        sl_frame_reader_done(&reader);
    }
}

/* The callback's failure ends the feeding. */
static int refuse(void *ctx, const struct sl_frame *frame, struct sl_err *err)
{
    (void)frame;
    ++*(unsigned *)ctx;
    return sl_err_set(err, SL_REJECTED, "no");
}

static void failure_of_the_callback_stops(void **state)
{
    (void)state;
    struct sl_frame_reader reader;
    unsigned count = 0;
    sl_frame_reader_init(&reader);
    static const uint8_t two[] = "\x08\0\0\0\0\0\0\xCE\x08\0\0\0\0\0\0\xCE";
    assert_int_equal(sl_frame_reader_feed(&reader, two, 16, refuse, &count, NULL), SL_REJECTED);
    assert_int_equal(count, 1);
    sl_frame_reader_done(&reader);
}

/* Random bytes that begin like frames: whatever they are, no step outside, only SL_OK or SL_CLOSED.
 */
static void random_bytes_do_no_harm(void **state)
{
    (void)state;
    static const uint8_t types[] = {1, 2, 3, 8, 9};
    srand(20261122);
    for (int round = 0; round < 3000; round++) {
        struct sl_frame_reader reader;
        struct seen seen = {.length = 0};
        sl_frame_reader_init(&reader);
        int rc = SL_OK;
        for (int i = 0; i < 20 && rc == SL_OK; i++) {
            size_t size = (size_t)(rand() % 40);
            uint8_t *frame = malloc(size + 8);
            sl_frame_head(frame, types[rand() % 50 ? rand() % 4 : 4], (uint16_t)rand(), size);
            for (size_t at = 0; at < size; at++)
                frame[SL_FRAME_HEAD_BYTES + at] = (uint8_t)rand();
            frame[SL_FRAME_HEAD_BYTES + size] = rand() % 50 ? SL_FRAME_END_BYTE : 0;
            rc = sl_frame_reader_feed(&reader, frame, size + 8, note, &seen, NULL);
            free(frame);
            assert_true(rc == SL_OK || rc == SL_CLOSED);
        }
        sl_frame_reader_done(&reader);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_at_every_piece_size),
        cmocka_unit_test(largest_frame_in_pieces),
        cmocka_unit_test(failure_of_the_callback_stops),
        cmocka_unit_test(random_bytes_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
