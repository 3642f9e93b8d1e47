/* base/file: small files, whole or not at all. */
#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/sluice-file-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[120];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_bytes(const char *name, size_t size)
{
    FILE *file = fopen(in_folder(name), "w");
    for (size_t i = 0; i < size; i++)
        fputc('a' + (int)(i % 26), file);
    fclose(file);
}

static void files_are_read_whole_up_to_their_limit(void **state)
{
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 10000};
    struct sl_buf out;
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        write_bytes("file", sizes[i]);
        sl_buf_init(&out);
        sl_buf_add_text(&out, "x");
        assert_null(sl_file_read(in_folder("file"), 10000, &out));
        assert_int_equal(out.length, 1 + sizes[i]);
        if (sizes[i])
            assert_int_equal(out.data[sizes[i]], 'a' + (int)((sizes[i] - 1) % 26));
        sl_buf_done(&out);
    }
    sl_buf_init(&out);
    write_bytes("file", 10001);
    assert_string_equal(sl_file_read(in_folder("file"), 10000, &out), "it is too large");
    sl_buf_done(&out);
    unlink(in_folder("file"));
}

static void what_is_no_file_is_told(void **state)
{
    struct sl_buf out;
    (void)state;
    sl_buf_init(&out);
    assert_string_equal(sl_file_read(in_folder("none"), 10, &out), "No such file or directory");
    assert_string_equal(sl_file_read(folder, 10, &out), "it is not a regular file");
    assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
    assert_string_equal(sl_file_read(in_folder("pipe"), 10, &out), "it is not a regular file");
    unlink(in_folder("pipe"));
    sl_buf_done(&out);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_read_whole_up_to_their_limit),
        cmocka_unit_test(what_is_no_file_is_told),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
