/* base/hide: what another process of the same user, without any privilege, can see of us. */
#include "base/hide.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { NOBODY = 65534 };

/* Root may do everything: so nobody does the rest. The kernel then hides the process by itself,
 * which is taken back, or the test would prove nothing. */
static void lose_privileges(void)
{
    if (geteuid() == 0 && (setgid(NOBODY) || setuid(NOBODY)))
        abort();
    prctl(PR_SET_DUMPABLE, 1);
}

/* A process that waits, hidden or not. */
static pid_t start(bool hidden)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (!child) {
        lose_privileges();
        if (hidden && sl_hide(NULL) != SL_OK)
            _exit(1);
        if (write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return child;
}

static int end(pid_t child, int number)
{
    int status;
    kill(child, number);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static int open_of(pid_t victim, const char *file)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)victim, file);
    return open(path, O_RDONLY);
}

static int peek(pid_t victim, const char *file)
{
    return open_of(victim, file) < 0 ? errno : 0;
}

static int attach(pid_t victim)
{
    return ptrace(PTRACE_ATTACH, victim, NULL, NULL) ? errno : 0;
}

/* What a stranger without privileges gets from act: 0 or an errno. */
static int as_stranger(int (*act)(pid_t victim, const char *file), pid_t victim, const char *file)
{
    int status;
    pid_t child = fork();
    if (!child) {
        lose_privileges();
        _exit(act(victim, file));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int act_attach(pid_t victim, const char *file)
{
    (void)file;
    return attach(victim);
}

static void test_memory_and_environment_are_nobody_elses(void **state)
{
    static const char *const files[] = {"mem", "environ", "maps", "auxv"};
    pid_t open_one = start(false), hidden = start(true);
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        assert_int_equal(as_stranger(peek, open_one, files[i]), 0);
        assert_int_equal(as_stranger(peek, hidden, files[i]), EACCES);
    }
    assert_int_equal(as_stranger(act_attach, hidden, NULL), EPERM);
    end(open_one, SIGKILL);
    end(hidden, SIGKILL);
}

static int core_limit_after_hiding(pid_t victim, const char *file)
{
    struct rlimit limit = {1, 1};
    (void)victim, (void)file;
    return sl_hide(NULL) != SL_OK || getrlimit(RLIMIT_CORE, &limit) || limit.rlim_cur ||
           limit.rlim_max;
}

static void test_no_core(void **state)
{
    int status = end(start(true), SIGQUIT);
    (void)state;
    assert_true(WIFSIGNALED(status));
    assert_false(WCOREDUMP(status));
    assert_int_equal(as_stranger(core_limit_after_hiding, 0, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_and_environment_are_nobody_elses),
        cmocka_unit_test(test_no_core),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
