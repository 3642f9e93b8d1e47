/* The log's lines, read back from a captured stderr. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#include <cmocka.h>

static char captured[65536];

/* Runs write_lines with stderr in a file, and returns what came. */
static const char *capture(void (*write_lines)(void))
{
    FILE *file = tmpfile();
    assert_non_null(file);
    int saved = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    write_lines();
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(file);
    size_t length = fread(captured, 1, sizeof captured - 1, file);
    captured[length] = 0;
    fclose(file);
    return captured;
}

static void write_one(void)
{
    sl_log(SL_WARN, "say \"hi\"", SL_T("feed", "ven\\dors\n"), SL_N("rows", -5),
           SL_T("bad", "\xff"), SL_T("none", NULL));
}

static void a_line_is_one_json_object(void **state)
{
    (void)state;
    sl_log_setup(SL_INFO, SL_LOG_JSON);
    const char *line = capture(write_one);
    int64_t stamp;
    assert_memory_equal(line, "{\"ts\":\"", 7);
    assert_true(sl_iso_parse(line + 7, 24, &stamp));
    assert_true(stamp > sl_wall_ms() - 60000);
    assert_string_equal(
        line + 31, "\",\"level\":\"warn\",\"msg\":\"say \\\"hi\\\"\",\"feed\":\"ven\\\\dors\\n\","
                   "\"rows\":-5,\"bad\":\"\xef\xbf\xbd\",\"none\":\"\"}\n");
}

static void write_levels(void)
{
    sl_log(SL_DEBUG, "debug");
    sl_log(SL_INFO, "info");
    sl_log(SL_WARN, "warn");
    sl_log(SL_ERROR, "error");
}

static unsigned lines_of(const char *text)
{
    unsigned lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

static void lines_below_the_level_are_dropped(void **state)
{
    (void)state;
    static const struct {
        enum sl_level level;
        unsigned lines;
    } rows[] = {
        {SL_DEBUG, 4},
        {SL_INFO,  3},
        {SL_WARN,  2},
        {SL_ERROR, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        sl_log_setup(rows[i].level, SL_LOG_JSON);
        assert_int_equal(lines_of(capture(write_levels)), rows[i].lines);
    }
}

static void the_readable_form_stays_on_one_line(void **state)
{
    (void)state;
    sl_log_setup(SL_INFO, SL_LOG_TEXT);
    const char *line = capture(write_one);
    assert_int_equal(lines_of(line), 1);
    assert_non_null(strstr(line, "say \"hi\""));
    assert_non_null(strstr(line, "ven\\\\dors\\n"));
    assert_non_null(strstr(line, "-5"));
}

/* More lines than a pipe holds, to a reader who stands still: were they waited for, this would
 * hang. */
static void nobody_who_does_not_read_is_waited_for(void **state)
{
    (void)state;
    enum { LINES = 2000 };
    static char read_back[1 << 20];
    int ends[2], saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    sl_log_setup(SL_INFO, SL_LOG_JSON);
    dup2(ends[1], STDERR_FILENO);
    for (int i = 0; i < LINES; i++)
        sl_log(SL_INFO,
               "a line of some length, so that there is no room for all of them in a pipe");
    unsigned kept =
        lines_of((read_back[read(ends[0], read_back, sizeof read_back - 1)] = 0, read_back));
    sl_log(SL_INFO, "read again");
    dup2(saved, STDERR_FILENO);
    close(saved);
    read_back[read(ends[0], read_back, sizeof read_back - 1)] = 0;
    char told[64];
    snprintf(told, sizeof told, "nobody read it\",\"lines\":%u}", LINES - kept);
    assert_in_range(kept, 1, LINES - 1);
    assert_non_null(strstr(read_back, told));
    assert_non_null(strstr(read_back, "read again"));
    assert_int_equal(lines_of(read_back), 2);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_one_json_object),
        cmocka_unit_test(lines_below_the_level_are_dropped),
        cmocka_unit_test(the_readable_form_stays_on_one_line),
        cmocka_unit_test(nobody_who_does_not_read_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
