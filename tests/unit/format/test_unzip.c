/* The unzip reader, on packages written by libarchive: every form at every chunk size, cut at every
 * place, damaged at random; directory reading by ranges. */
#include "format/unzip.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/str.h"

#include <cmocka.h>

enum { FILES = 3, BIG = 200000 };

static const char *const names[FILES] = {"Vendors V3.csv", "Kund\xc3\xa4r \xe6\xbc\xa2.csv",
                                         "Manifest.xml"};
static char *contents[FILES];
static size_t sizes[FILES];

/* How a package is written. */
struct form {
    const char *name;
    bool stored, zip64, sized, password;
};

static const struct form forms[] = {
    {"deflated, sizes first",          false, false, true,  false},
    {"deflated, sizes after the data", false, false, false, false},
    {"stored",                         true,  false, true,  false},
    {"zip64",                          false, true,  true,  false},
    {"zip64, sizes after the data",    false, true,  false, false},
};

static int make_contents(void **state)
{
    (void)state;
    sizes[0] = BIG;
    sizes[1] = 0;
    sizes[2] = 1000;
    srand(7);
    for (int f = 0; f < FILES; f++) {
        contents[f] = malloc(sizes[f] + 1);
        for (size_t i = 0; i < sizes[f]; i++)
            contents[f][i] = (char)('a' + rand() % (f == 0 ? 20 : 3));
    }
    return 0;
}

static int free_contents(void **state)
{
    (void)state;
    for (int f = 0; f < FILES; f++)
        free(contents[f]);
    return 0;
}

static la_ssize_t collect(struct archive *archive, void *ctx, const void *bytes, size_t size)
{
    (void)archive;
    sl_buf_add(ctx, bytes, size);
    return (la_ssize_t)size;
}

static void add_file(struct archive *zip, const char *name, const char *bytes, size_t size,
                     bool sized)
{
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname_utf8(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    if (sized)
        archive_entry_set_size(entry, (la_int64_t)size);
    assert_int_equal(archive_write_header(zip, entry), ARCHIVE_OK);
    assert_int_equal(archive_write_data(zip, bytes, size), size);
    archive_entry_free(entry);
}

static void pack(const struct form *form, struct sl_buf *out)
{
    setlocale(LC_CTYPE, "C.UTF-8"); /* the writer needs it; the reader must do without */
    struct archive *zip = archive_write_new();
    archive_write_set_format_zip(zip);
    archive_write_set_format_option(zip, "zip", "hdrcharset", "UTF-8");
    archive_write_set_format_option(zip, "zip", "compression", form->stored ? "store" : "deflate");
    if (form->zip64)
        archive_write_set_format_option(zip, "zip", "zip64", "1");
    if (form->password) {
        archive_write_set_format_option(zip, "zip", "encryption", "zipcrypt");
        archive_write_set_passphrase(zip, "secret");
    }
    archive_write_set_bytes_in_last_block(zip, 1);
    archive_write_open(zip, out, NULL, collect, NULL);
    for (int f = 0; f < FILES; f++)
        add_file(zip, names[f], contents[f], sizes[f], form->sized);
    assert_int_equal(archive_write_close(zip), ARCHIVE_OK);
    archive_write_free(zip);
    setlocale(LC_CTYPE, "C");
}

/* A package in memory that is read in chunks, and may fail at some place. */
struct feed {
    const char *bytes;
    size_t size, at, chunk;
    size_t fail_at; /* 0: never */
    size_t reads, total;
};

static ssize_t feed_read(void *ctx, const void **ret_bytes)
{
    struct feed *feed = ctx;
    size_t part = feed->size - feed->at < feed->chunk ? feed->size - feed->at : feed->chunk;
    if (feed->fail_at && feed->at >= feed->fail_at)
        return -1;
    *ret_bytes = feed->bytes + feed->at;
    feed->at += part;
    feed->reads++;
    feed->total += part;
    return (ssize_t)part;
}

static int feed_seek(void *ctx, int64_t offset)
{
    struct feed *feed = ctx;
    assert_true(offset >= 0 && (size_t)offset <= feed->size);
    feed->at = (size_t)offset;
    return 0;
}

/* Reads all; every file whose name we know must hold the right bytes when its end is reported, and
 * all of them when the package ends well.
 * Returns the final code; *ret_files counts files read to their end. */
static int unpack(struct sl_unzip *unzip, size_t piece, int *ret_files, struct sl_err *err)
{
    char *buf = malloc(piece);
    struct sl_unzip_entry entry;
    int rc, files = 0;
    bool lacking = false;
    while ((rc = sl_unzip_next(unzip, &entry, err)) == SL_OK) {
        int which = -1;
        for (int f = 0; f < FILES; f++)
            if (!strcmp(entry.name, names[f]))
                which = f;
        size_t at = 0, got;
        while ((rc = sl_unzip_read(unzip, buf, piece, &got, err)) == SL_OK) {
            assert_true(got > 0 && got <= piece);
            if (which >= 0 && which < FILES &&
                (at + got > sizes[which] || memcmp(buf, contents[which] + at, got) != 0))
                which = FILES; /* wrong bytes: then the end must not be reported */
            at += got;
        }
        if (rc != SL_END)
            break;
        assert_int_not_equal(which, FILES);
        if (which >= 0 && at != sizes[which])
            lacking = true; /* then the package must not end well */
        files++;
    }
    free(buf);
    assert_false(lacking && rc == SL_END);
    *ret_files = files;
    return rc;
}

static void test_every_form_at_many_chunk_sizes(void **state)
{
    (void)state;
    static const size_t chunks[] = {1, 2, 3, 7, 30, 31, 100, 1000, 4096, 65536, 1 << 20};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct sl_buf zip = {0};
        pack(&forms[i], &zip);
        for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
            struct feed feed = {.bytes = zip.data, .size = zip.length, .chunk = chunks[c]};
            struct sl_unzip *unzip = sl_unzip_new(feed_read, &feed, 1 << 20);
            struct sl_err err = {0};
            int files, rc = unpack(unzip, 10000, &files, &err);
            if (rc != SL_END || files != FILES)
                fail_msg("%s, chunks of %zu: %d files, %s", forms[i].name, chunks[c], files,
                         err.message);
            sl_unzip_free(unzip);
        }
        sl_buf_done(&zip);
    }
}

static void test_a_package_cut_anywhere_is_rejected(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct sl_buf zip = {0};
        pack(&forms[i], &zip);
        for (size_t cut = 0; cut<zip.length; cut += cut + 400> zip.length ? 1 : zip.length / 50) {
            struct feed feed = {.bytes = zip.data, .size = cut, .chunk = 5000};
            struct sl_unzip *unzip = sl_unzip_new(feed_read, &feed, 1 << 20);
            struct sl_err err = {0};
            int files, rc = unpack(unzip, 10000, &files, &err);
            if (rc != SL_REJECTED)
                fail_msg("%s cut at %zu of %zu: %d, %d files", forms[i].name, cut, zip.length, rc,
                         files);
            assert_int_equal(err.code, SL_REJECTED);
            assert_true(strlen(err.message) > 10);
            sl_unzip_free(unzip);
        }
        sl_buf_done(&zip);
    }
}

static void test_a_damaged_package_never_gives_wrong_bytes(void **state)
{
    (void)state;
    srand(20261122);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct sl_buf zip = {0};
        pack(&forms[i], &zip);
        for (int round = 0; round < 400; round++) {
            /* Half of the damage goes to the headers at both ends. */
            size_t at = (size_t)rand() % (round % 2 ? zip.length : 200);
            if (round % 4 == 2)
                at = zip.length - 1 - at;
            char before = zip.data[at];
            zip.data[at] = (char)(before ^ (1 << rand() % 8));
            struct feed feed = {.bytes = zip.data, .size = zip.length, .chunk = 5000};
            struct sl_unzip *unzip = sl_unzip_new(feed_read, &feed, 1 << 20);
            struct sl_err err = {0};
            int files, rc = unpack(unzip, 10000, &files, &err); /* checks every byte */
            assert_true(rc == SL_REJECTED || (rc == SL_END && files <= FILES));
            sl_unzip_free(unzip);

            feed = (struct feed){.bytes = zip.data, .size = zip.length, .chunk = 5000};
            unzip =
                sl_unzip_new_seekable(feed_read, feed_seek, &feed, (int64_t)zip.length, 1 << 20);
            rc = unpack(unzip, 10000, &files, &err);
            assert_true(rc == SL_REJECTED || rc == SL_END);
            sl_unzip_free(unzip);
            zip.data[at] = before;
        }
        sl_buf_done(&zip);
    }
}

/* A header that says "nothing" before a file: libarchive looks for the next one, and all entries
 * are there. */
static void test_a_file_whose_header_lost_its_size_is_missed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct sl_buf zip = {0};
        pack(&forms[i], &zip);
        zip.data[6] = (char)(zip.data[6] & ~8); /* the sizes do not follow, either */
        zip.data[8] = 0;                        /* stored */
        memset(zip.data + 14, 0, 12);           /* checksum and sizes */
        struct feed feed = {.bytes = zip.data, .size = zip.length, .chunk = 5000};
        struct sl_unzip *unzip = sl_unzip_new(feed_read, &feed, 1 << 20);
        struct sl_unzip_entry entry;
        struct sl_err err = {0};
        char buf[1000];
        size_t got;
        int rc;
        while ((rc = sl_unzip_next(unzip, &entry, &err)) == SL_OK)
            while (sl_unzip_read(unzip, buf, sizeof buf, &got, &err) == SL_OK)
                ;
        assert_int_equal(rc, SL_REJECTED);
        if (!forms[i].zip64)
            assert_non_null(strstr(err.message, "but 201000 are listed"));
        sl_unzip_free(unzip);
        sl_buf_done(&zip);
    }
}

static void test_the_directory_and_one_file_need_few_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct sl_buf zip = {0};
        pack(&forms[i], &zip);
        struct feed feed = {.bytes = zip.data, .size = zip.length, .chunk = 16384};
        struct sl_unzip *unzip =
            sl_unzip_new_seekable(feed_read, feed_seek, &feed, (int64_t)zip.length, 1 << 20);
        struct sl_unzip_entry entry;
        struct sl_err err = {0};
        char buf[2000];
        size_t got = 0, at = 0;
        int rc;
        for (int f = 0; f < FILES; f++) {
            assert_int_equal(sl_unzip_next(unzip, &entry, &err), SL_OK);
            assert_string_equal(entry.name, names[f]);
            assert_int_equal(entry.size_bytes, sizes[f]);
        }
        while ((rc = sl_unzip_read(unzip, buf + at, sizeof buf - at, &got, &err)) == SL_OK)
            at += got;
        assert_int_equal(rc, SL_END);
        assert_int_equal(at, sizes[2]);
        assert_memory_equal(buf, contents[2], at);
        assert_int_equal(sl_unzip_next(unzip, &entry, &err), SL_END);
        assert_true(feed.total < 90000); /* of about 110,000 or more: the large file was not read */
        sl_unzip_free(unzip);
        sl_buf_done(&zip);
    }
}

static void test_a_directory_that_is_cut_off_is_rejected(void **state)
{
    (void)state;
    struct sl_buf zip = {0};
    pack(&forms[0], &zip);
    struct feed feed = {.bytes = zip.data, .size = zip.length - 30, .chunk = 16384};
    struct sl_unzip *unzip =
        sl_unzip_new_seekable(feed_read, feed_seek, &feed, (int64_t)feed.size, 1 << 20);
    struct sl_unzip_entry entry;
    struct sl_err err = {0};
    assert_int_equal(sl_unzip_next(unzip, &entry, &err), SL_REJECTED);
    assert_non_null(strstr(err.message, "truncated"));
    sl_unzip_free(unzip);
    sl_buf_done(&zip);
}

static void test_too_many_bytes_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct sl_buf zip = {0};
        pack(&forms[i], &zip);
        struct feed feed = {.bytes = zip.data, .size = zip.length, .chunk = 5000};
        struct sl_unzip *unzip = sl_unzip_new(feed_read, &feed, BIG - 1);
        struct sl_err err = {0};
        int files;
        assert_int_equal(unpack(unzip, 10000, &files, &err), SL_CONFIG);
        assert_string_equal(err.message, "the package inflates to more than 199999 bytes");
        sl_unzip_free(unzip);
        sl_buf_done(&zip);
    }
}

static void test_encrypted_files_are_refused(void **state)
{
    (void)state;
    static const struct form locked = {"locked", false, false, true, true};
    struct sl_buf zip = {0};
    pack(&locked, &zip);
    struct feed feed = {.bytes = zip.data, .size = zip.length, .chunk = 5000};
    struct sl_unzip *unzip = sl_unzip_new(feed_read, &feed, 1 << 20);
    struct sl_err err = {0};
    int files;
    assert_int_equal(unpack(unzip, 10000, &files, &err), SL_REJECTED);
    assert_non_null(strstr(err.message, "'Vendors V3.csv' is encrypted"));
    sl_unzip_free(unzip);
    sl_buf_done(&zip);
}

static void test_a_failing_callback_is_told_apart(void **state)
{
    (void)state;
    struct sl_buf zip = {0};
    pack(&forms[0], &zip);
    for (size_t fail_at = 5000; fail_at <= zip.length; fail_at += 5000) {
        struct feed feed = {
            .bytes = zip.data, .size = zip.length, .chunk = 5000, .fail_at = fail_at};
        struct sl_unzip *unzip = sl_unzip_new(feed_read, &feed, 1 << 20);
        struct sl_err err = {0};
        int files;
        assert_int_equal(unpack(unzip, 10000, &files, &err), SL_CLOSED);
        sl_unzip_free(unzip);
    }
    sl_buf_done(&zip);
}

static void test_files_may_be_passed_over(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct sl_buf zip = {0};
        pack(&forms[i], &zip);
        struct feed feed = {.bytes = zip.data, .size = zip.length, .chunk = 777};
        struct sl_unzip *unzip = sl_unzip_new(feed_read, &feed, 1 << 20);
        struct sl_unzip_entry entry;
        struct sl_err err = {0};
        char byte;
        size_t got;
        for (int f = 0; f < FILES; f++) {
            assert_int_equal(sl_unzip_next(unzip, &entry, &err), SL_OK);
            assert_string_equal(entry.name, names[f]);
            if (f == 0) /* begun, but not finished */
                assert_int_equal(sl_unzip_read(unzip, &byte, 1, &got, &err), SL_OK);
        }
        assert_int_equal(sl_unzip_next(unzip, &entry, &err), SL_END);
        assert_int_equal(sl_unzip_next(unzip, &entry, &err), SL_END);
        sl_unzip_free(unzip);
        sl_buf_done(&zip);
    }
}

static void test_names_and_folders_are_only_names(void **state)
{
    (void)state;
    struct sl_buf out = {0};
    struct archive *zip = archive_write_new();
    archive_write_set_format_zip(zip);
    archive_write_set_bytes_in_last_block(zip, 1);
    archive_write_open(zip, &out, NULL, collect, NULL);
    struct archive_entry *folder = archive_entry_new();
    archive_entry_set_pathname(folder, "folder/");
    archive_entry_set_filetype(folder, AE_IFDIR);
    archive_entry_set_perm(folder, 0755);
    archive_write_header(zip, folder);
    archive_entry_free(folder);
    add_file(zip, "../../etc/passwd", "x", 1, true);
    archive_write_close(zip);
    archive_write_free(zip);

    struct feed feed = {.bytes = out.data, .size = out.length, .chunk = 100};
    struct sl_unzip *unzip = sl_unzip_new(feed_read, &feed, 100);
    struct sl_unzip_entry entry;
    struct sl_err err = {0};
    assert_int_equal(sl_unzip_next(unzip, &entry, &err), SL_OK);
    assert_string_equal(entry.name, "../../etc/passwd");
    assert_int_equal(sl_unzip_next(unzip, &entry, &err), SL_END);
    sl_unzip_free(unzip);
    sl_buf_done(&out);
}

static void test_no_zip_at_all(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "<html>not found</html>", "PK", "PK\3\4"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct feed feed = {.bytes = texts[i], .size = strlen(texts[i]), .chunk = 100};
        struct sl_unzip *unzip = sl_unzip_new(feed_read, &feed, 100);
        struct sl_unzip_entry entry;
        struct sl_err err = {0};
        assert_int_equal(sl_unzip_next(unzip, &entry, &err), SL_REJECTED);
        assert_memory_equal(err.message, "broken zip: ", 12);
        sl_unzip_free(unzip);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_form_at_many_chunk_sizes),
        cmocka_unit_test(test_a_package_cut_anywhere_is_rejected),
        cmocka_unit_test(test_a_damaged_package_never_gives_wrong_bytes),
        cmocka_unit_test(test_a_file_whose_header_lost_its_size_is_missed),
        cmocka_unit_test(test_the_directory_and_one_file_need_few_bytes),
        cmocka_unit_test(test_a_directory_that_is_cut_off_is_rejected),
        cmocka_unit_test(test_too_many_bytes_are_refused),
        cmocka_unit_test(test_encrypted_files_are_refused),
        cmocka_unit_test(test_a_failing_callback_is_told_apart),
        cmocka_unit_test(test_files_may_be_passed_over),
        cmocka_unit_test(test_names_and_folders_are_only_names),
        cmocka_unit_test(test_no_zip_at_all),
    };
    return cmocka_run_group_tests(tests, make_contents, free_contents);
}
