/* Marks of processes: this one lives, a child that was waited for does not. */
#include "store/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* The mark of a child; it has ended, and was waited for, when this returns, if it shall. */
static pid_t spawn(char ret_mark[SL_PROCESS_BYTES])
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        char mark[SL_PROCESS_BYTES];
        sl_process_mark(mark);
        if (write(ends[1], mark, sizeof mark) != (ssize_t)sizeof mark)
            _exit(1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(ends[0], ret_mark, SL_PROCESS_BYTES), SL_PROCESS_BYTES);
    close(ends[0]);
    close(ends[1]);
    return child;
}

static void test_an_ended_process_is_known(void **state)
{
    char own[SL_PROCESS_BYTES], mark[SL_PROCESS_BYTES];
    (void)state;
    sl_process_mark(own);
    assert_true(own[0]);
    assert_false(sl_process_has_ended(own));

    pid_t child = spawn(mark);
    assert_string_not_equal(own, mark);
    assert_false(sl_process_has_ended(mark));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_true(sl_process_has_ended(mark));
}

/* Rewrites one of the mark's four parts; gives the new one in ret. */
static void with_part(const char *mark, int part, const char *text, char ret[SL_PROCESS_BYTES])
{
    char copy[SL_PROCESS_BYTES], *parts[4], *rest = NULL;
    snprintf(copy, sizeof copy, "%s", mark);
    char *at = strtok_r(copy, "/", &rest);
    for (int i = 0; i < 4; i++, at = strtok_r(NULL, "/", &rest)) {
        assert_non_null(at);
        parts[i] = at;
    }
    snprintf(ret, SL_PROCESS_BYTES, "%s/%s/%s/%s", part == 0 ? text : parts[0],
             part == 1 ? text : parts[1], part == 2 ? text : parts[2], part == 3 ? text : parts[3]);
}

static void test_only_what_is_certain_counts(void **state)
{
    static const struct {
        const char *what;
        int part;
        const char *text;
        bool ended;
    } rows[] = {
        {"another boot, or another machine",     0, "0a1b2c3d-0000-4000-8000-000000000000", false},
        {"another pid namespace",                1, "17",                                   false},
        {"the pid belongs to a later process",   3, "1",                                    true },
        {"no number",                            2, "x",                                    false},
        {"a pid that would mean many processes", 2, "-1",                                   false},
    };
    char own[SL_PROCESS_BYTES], changed[SL_PROCESS_BYTES];
    (void)state;
    sl_process_mark(own);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        with_part(own, rows[i].part, rows[i].text, changed);
        if (sl_process_has_ended(changed) != rows[i].ended)
            fail_msg("%s: %s", rows[i].what, changed);
    }
    assert_false(sl_process_has_ended(""));
    assert_false(sl_process_has_ended("nonsense"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_ended_process_is_known),
        cmocka_unit_test(test_only_what_is_certain_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
