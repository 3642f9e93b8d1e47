/* The list of the sandbox on aarch64, as far as another machine can tell: it compiles into a
 * filter, and each call that Linux does not have there has its successor on the list. */
#include "base/sandbox.c" // NOLINT(bugprone-suspicious-include): the list is its own

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>

#include <cmocka.h>

static int number_on_arm(int call)
{
    char *name = seccomp_syscall_resolve_num_arch(seccomp_arch_native(), call);
    assert_non_null(name);
    int number = seccomp_syscall_resolve_name_arch(SCMP_ARCH_AARCH64, name);
    free(name);
    return number;
}

static bool is_allowed(int call)
{
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        if (allowed[i] == call)
            return true;
    for (size_t i = 0; i < sizeof narrows / sizeof *narrows; i++)
        if (narrows[i].call == call)
            return true;
    return false;
}

static void test_what_is_missing_has_a_successor(void **state)
{
    static const struct {
        int call, successor;
    } known[] = {
        {SCMP_SYS(stat),       SCMP_SYS(newfstatat)  },
        {SCMP_SYS(lstat),      SCMP_SYS(newfstatat)  },
        {SCMP_SYS(access),     SCMP_SYS(faccessat)   },
        {SCMP_SYS(readlink),   SCMP_SYS(readlinkat)  },
        {SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait) },
        {SCMP_SYS(poll),       SCMP_SYS(ppoll)       },
        {SCMP_SYS(pipe),       SCMP_SYS(pipe2)       },
        {SCMP_SYS(time),       SCMP_SYS(gettimeofday)},
        {SCMP_SYS(alarm),      SCMP_SYS(setitimer)   },
        {SCMP_SYS(open),       SCMP_SYS(openat)      },
        {SCMP_SYS(getdents),   SCMP_SYS(getdents64)  },
    };
    (void)state;
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed + sizeof narrows / sizeof *narrows;
         i++) {
        size_t first = sizeof allowed / sizeof *allowed, found = 0;
        int call = i < first ? allowed[i] : narrows[i - first].call;
        if (number_on_arm(call) >= 0)
            continue;
        for (size_t j = 0; j < sizeof known / sizeof *known; j++)
            found += known[j].call == call && is_allowed(known[j].successor) &&
                     number_on_arm(known[j].successor) >= 0;
        if (!found)
            fail_msg("system call %d has no successor on aarch64", call);
    }
}

static void test_a_filter_can_be_made(void **state)
{
    (void)state;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_TRAP);
    assert_non_null(filter);
    assert_int_equal(seccomp_arch_add(filter, SCMP_ARCH_AARCH64), 0);
    assert_int_equal(seccomp_arch_remove(filter, SCMP_ARCH_NATIVE), 0);
    assert_int_equal(add_rules(filter), 0);
    assert_int_equal(seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2), 0);
    seccomp_release(filter);
}

int main(void)
{
    if (seccomp_arch_native() == SCMP_ARCH_AARCH64)
        return 0; /* test_sandbox.c knows better */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_missing_has_a_successor),
        cmocka_unit_test(test_a_filter_can_be_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
