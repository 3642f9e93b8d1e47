/* What libarchive inflates by, whoever does it: streams of every kind of block, given and taken in
 * pieces of every size, end where they end, and not a byte later. */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

enum { PLAIN_MAX = 120000, TAIL_BYTES = 40, ROUNDS = 300 };

static unsigned char plain[PLAIN_MAX], packed[2 * PLAIN_MAX], out[PLAIN_MAX + 1];

static size_t below(size_t bound)
{
    return (size_t)rand() % bound;
}

/* Few kinds of bytes, or texts that come again. */
static size_t make_plain(void)
{
    size_t size = below(4) ? below(2000) : below(PLAIN_MAX);
    int kinds = 1 + (int)below(256);
    for (size_t i = 0; i < size; i++) {
        unsigned char fresh = (unsigned char)(rand() % kinds);
        plain[i] = i > 300 && below(3) ? plain[i - 1 - below(300)] : fresh;
    }
    return size;
}

/* A raw stream with bytes of something else behind it; flushes make blocks of odd sizes. Gives the
 * stream's size. */
static size_t pack(size_t size)
{
    static const int strategies[] = {Z_DEFAULT_STRATEGY, Z_HUFFMAN_ONLY, Z_FIXED, Z_RLE};
    z_stream z = {0};
    int strategy = strategies[below(4)];
    assert_int_equal(deflateInit2(&z, (int)below(10), Z_DEFLATED, -MAX_WBITS, 8, strategy), Z_OK);
    z.next_in = plain;
    z.next_out = packed;
    z.avail_out = sizeof packed - TAIL_BYTES;
    while (z.total_in < size) {
        z.avail_in = (uInt)(1 + below(size - z.total_in));
        assert_int_equal(deflate(&z, below(3) ? Z_NO_FLUSH : Z_SYNC_FLUSH), Z_OK);
    }
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t packed_size = z.total_out;
    deflateEnd(&z);
    for (size_t i = 0; i < TAIL_BYTES; i++)
        packed[packed_size + i] = (unsigned char)rand();
    return packed_size;
}

/* What was used and made before the call that answered something else than "go on". */
struct outcome {
    size_t used, made;
    int rc;
};

/* As libarchive does it: counts from 0 with each piece, and the pieces lie elsewhere each time. */
static struct outcome unpack(z_stream *z, size_t given, size_t room, size_t piece_in,
                             size_t piece_out)
{
    struct outcome got = {0, 0, Z_OK};
    while (got.rc == Z_OK) {
        size_t in = given - got.used < piece_in ? given - got.used : piece_in;
        size_t space = room - got.made < piece_out ? room - got.made : piece_out;
        unsigned char *copy = malloc(in ? in : 1), *made = malloc(space ? space : 1);
        memcpy(copy, packed + got.used, in);
        z->next_in = copy;
        z->avail_in = (uInt)in;
        z->total_in = 0;
        z->next_out = made;
        z->avail_out = (uInt)space;
        z->total_out = 0;
        got.rc = inflate(z, 0);
        assert_true(z->total_in <= in && z->total_out <= space);
        assert_true(z->next_in == copy + z->total_in && z->avail_in == in - z->total_in);
        assert_true(z->next_out == made + z->total_out && z->avail_out == space - z->total_out);
        memcpy(out + got.made, made, z->total_out);
        got.used += z->total_in;
        got.made += z->total_out;
        if (got.rc == Z_OK)
            assert_true(z->total_in || z->total_out);
        free(copy);
        free(made);
    }
    return got;
}

static size_t piece(void)
{
    return below(3) ? 1 + below(40) : 1 + below(70000);
}

static void test_streams_end_where_they_end(void **state)
{
    z_stream z = {0};
    (void)state;
    srand(11);
    assert_int_equal(inflateInit2(&z, -MAX_WBITS), Z_OK);
    for (int round = 0; round < ROUNDS; round++) {
        size_t size = make_plain(), packed_size = pack(size);
        assert_int_equal(inflateReset(&z), Z_OK);
        struct outcome got = unpack(&z, packed_size + TAIL_BYTES, sizeof out, piece(), piece());
        if (got.rc != Z_STREAM_END || got.used != packed_size || got.made != size ||
            memcmp(out, plain, size) != 0)
            fail_msg("round %d: %d, %zu of %zu, made %zu of %zu", round, got.rc, got.used,
                     packed_size, got.made, size);
        z.avail_in = z.avail_out = 0;
        assert_int_equal(inflate(&z, 0), Z_STREAM_END); /* and stay ended */
    }
    assert_int_equal(inflateEnd(&z), Z_OK);
}

static void test_what_is_cut_does_not_end(void **state)
{
    z_stream z = {0};
    (void)state;
    srand(12);
    assert_int_equal(inflateInit2(&z, -MAX_WBITS), Z_OK);
    for (int round = 0; round < ROUNDS; round++) {
        size_t packed_size = pack(make_plain());
        assert_int_equal(inflateReset(&z), Z_OK);
        struct outcome got = unpack(&z, below(packed_size), sizeof out, piece(), piece());
        assert_int_equal(got.rc, Z_BUF_ERROR);
    }
    assert_int_equal(inflateEnd(&z), Z_OK);
}

static void test_damage_is_an_end_or_an_error(void **state)
{
    z_stream z = {0};
    int errors = 0;
    (void)state;
    srand(13);
    assert_int_equal(inflateInit2(&z, -MAX_WBITS), Z_OK);
    for (int round = 0; round < ROUNDS; round++) {
        size_t packed_size = pack(make_plain());
        for (size_t flips = 1 + below(4); flips; flips--) {
            unsigned char *at = &packed[below(packed_size)];
            *at = (unsigned char)(*at ^ 1 << below(8));
        }
        assert_int_equal(inflateReset(&z), Z_OK);
        struct outcome got = unpack(&z, packed_size + TAIL_BYTES, PLAIN_MAX, piece(), piece());
        assert_true(got.rc == Z_STREAM_END || got.rc == Z_DATA_ERROR || got.rc == Z_BUF_ERROR);
        errors += got.rc == Z_DATA_ERROR;
    }
    assert_true(errors > ROUNDS / 10);
    assert_int_equal(inflateEnd(&z), Z_OK);
}

/* Streams with a head are zlib's as before: libcurl reads compressed answers so. */
static void test_other_streams_are_zlibs(void **state)
{
    static const unsigned char text[] = "a text, a text, a text";
    unsigned char small[200], again[sizeof text];
    (void)state;
    for (int bits = MAX_WBITS; bits <= MAX_WBITS + 16; bits += 16) {
        z_stream z = {0};
        assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
        z.next_in = (unsigned char *)(uintptr_t)text;
        z.avail_in = sizeof text;
        z.next_out = small;
        z.avail_out = sizeof small;
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        uInt size = (uInt)z.total_out;
        deflateEnd(&z);

        z = (z_stream){.next_in = small, .avail_in = size};
        assert_int_equal(inflateInit2(&z, MAX_WBITS + 32), Z_OK);
        z.next_out = again;
        z.avail_out = sizeof again;
        assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
        assert_memory_equal(again, text, sizeof text);
        assert_int_equal(inflateReset(&z), Z_OK);
        assert_int_equal(inflateEnd(&z), Z_OK);
        assert_int_equal(inflateEnd(&z), Z_STREAM_ERROR);
    }
}

static void test_the_checksum_is_zlibs(void **state)
{
    (void)state;
    assert_int_equal(crc32(0, NULL, 0), 0);
    assert_int_equal(crc32(0, (const unsigned char *)"123456789", 9), 0xcbf43926);
    uLong halves =
        crc32(crc32(0, (const unsigned char *)"1234", 4), (const unsigned char *)"56789", 5);
    assert_int_equal(halves, 0xcbf43926);
}

/* Else all of the above would be said of zlib alone. */
static void test_libraries_find_isal(void **state)
{
#ifdef SLUICE_ISAL
    static const char *const names[] = {"inflateInit2_", "inflate", "inflateReset", "inflateEnd",
                                        "crc32"};
    void *zlib = dlopen("libz.so.1", RTLD_NOW | RTLD_NOLOAD);
    (void)state;
    assert_non_null(zlib);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_ptr_not_equal(dlsym(RTLD_DEFAULT, names[i]), dlsym(zlib, names[i]));
    dlclose(zlib);
#else
    (void)state;
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams_end_where_they_end),
        cmocka_unit_test(test_what_is_cut_does_not_end),
        cmocka_unit_test(test_damage_is_an_end_or_an_error),
        cmocka_unit_test(test_other_streams_are_zlibs),
        cmocka_unit_test(test_the_checksum_is_zlibs),
        cmocka_unit_test(test_libraries_find_isal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
