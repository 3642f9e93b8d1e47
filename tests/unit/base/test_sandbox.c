/* base/sandbox: what an intruder would want is denied, what sluice needs is not. Each case is a
 * process that enters the sandbox. */
#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sandbox_attempts.h"

#include <cmocka.h>

enum { BAD_START = 200, SUCCEEDED = 201 };

static void set_environment(const char *wish)
{
    if (wish)
        setenv("SLUICE_SANDBOX", wish, 1);
    else
        unsetenv("SLUICE_SANDBOX");
}

/* Runs attempt in a process inside the sandbox. Gives its wait status: it exits with the attempt's
 * errno, or SUCCEEDED. What it says on stderr goes to the descriptor said. */
static int run_inside(long (*attempt)(void), const char *wish, int said)
{
    int status;
    pid_t child = fork();
    if (!child) {
        struct sl_err err;
        dup2(said, STDERR_FILENO);
        set_environment(wish);
        if (sl_sandbox_enter(&err) != SL_OK)
            _exit(BAD_START);
        errno = 0;
        _exit(attempt() < 0 ? errno : SUCCEEDED);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static int outcome(long (*attempt)(void), const char *wish)
{
    int status = run_inside(attempt, wish, STDERR_FILENO);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_denied(void **state)
{
    static const struct {
        const char *what;
        long (*attempt)(void);
        int error;
    } rows[] = {
        {"execve",           start_program,            EPERM },
        {"execveat",         start_program_at,         EPERM },
        {"clone3",           make_process_anew,        ENOSYS},
#ifdef SYS_vfork
        {"vfork",            make_process_by_vfork,    EPERM },
#endif
        {"kill",             signal_parent,            EPERM },
        {"tgkill",           signal_parent_thread,     EPERM },
        {"F_SETOWN",         have_parent_signalled,    EPERM },
        {"F_SETSIG",         choose_signal,            EPERM },
        {"process_vm_readv", read_parent,              EPERM },
#ifndef SL_ASAN
        {"fork",             make_process,             EPERM },
        {"thread",           make_thread,              EPERM },
        {"posix_spawn",      spawn_program,            EPERM },
        {"ptrace",           trace_parent,             EPERM },
        {"dumpable",         be_dumpable,              EPERM },
#endif
        {"write",            write_file,               EPERM },
        {"append",           append_file,              EPERM },
        {"truncate",         cut_file,                 EPERM },
        {"create",           make_file,                EPERM },
        {"openat2",          make_file_at,             EPERM },
        {"unlink",           remove_file,              EPERM },
        {"rename",           rename_file,              EPERM },
        {"chmod",            open_up_file,             EPERM },
        {"mkdir",            make_folder,              EPERM },
        {"memfd",            make_hidden_file,         EPERM },
        {"packet socket",    watch_network,            EPERM },
        {"netlink socket",   talk_to_kernel,           EPERM },
        {"TIOCSTI",          type_at_terminal,         EPERM },
        {"setuid",           become_other_user,        EPERM },
        {"unshare",          leave_namespaces,         EPERM },
        {"bpf",              load_bpf,                 EPERM },
        {"io_uring",         start_io_uring,           ENOSYS},
        {"keyctl",           use_keyring,              EPERM },
        {"setrlimit",        raise_limit,              EPERM },
        {"newer call",       call_of_the_future,       ENOSYS},
        {"mmap WX",          write_and_execute,        EPERM },
        {"mprotect X",       execute_what_was_written, EPERM },
    };
    int fd = mkstemp(target);
    (void)state;
    assert_true(fd >= 0);
    close(fd);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int got = outcome(rows[i].attempt, NULL);
        if (got != rows[i].error)
            fail_msg("%s: %d (%s)", rows[i].what, got, strerror(got));
    }
    assert_int_equal(unlink(target), 0);
    assert_int_equal(access("/tmp/sluice-sandbox-new", F_OK), -1);
}

/* --- what must go on working --- */

static long read_file(void)
{
    char byte;
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -1 : read(fd, &byte, 1);
}

static long connect_somewhere(void)
{
    int pair[2];
    return socket(AF_INET, SOCK_STREAM, 0) < 0 || socket(AF_INET6, SOCK_DGRAM, 0) < 0
               ? -1
               : socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
}

static long load_library(void)
{
    int fd = open("/proc/self/exe", O_RDONLY);
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -1 : 0;
}

static long ask_for_parent(void)
{
    return kill(tester, 0);
}

static long look_at_limit(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit);
}

/* As old and as new C libraries ask. */
static long ask_whether_terminal(void)
{
    char settings[100];
    int fd = open("/dev/null", O_RDONLY);
    bool old = ioctl(fd, TCGETS, settings) && errno == ENOTTY;
    bool new = ioctl(fd, 0x802c542a, settings) && errno == ENOTTY;
    return old && new ? 0 : -1;
}

static long is_entered(void)
{
    return sl_sandbox_entered() ? 0 : -1;
}

static void test_allowed(void **state)
{
    static long (*const rows[])(void) = {read_file,     connect_somewhere, load_library,
                                         look_at_limit, ask_for_parent,    ask_whether_terminal,
                                         is_entered};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(outcome(rows[i], NULL), SUCCEEDED);
}

static long abort_now(void)
{
    abort();
}

/* A sanitizer's report, or running out of memory. */
static void test_abort_ends_the_process(void **state)
{
    int status = run_inside(abort_now, NULL, STDERR_FILENO);
    (void)state;
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* --- telling --- */

static long signal_parent_often(void)
{
    for (int i = 0; i < 100; i++)
        signal_parent();
    return signal_parent();
}

static void test_told_once(void **state)
{
    char text[1024] = "", expected[128];
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(WEXITSTATUS(run_inside(signal_parent_often, NULL, ends[1])), EPERM);
    assert_true(read(ends[0], text, sizeof text - 1) > 0);
    snprintf(expected, sizeof expected,
             "sluice: the sandbox denied system call %d (docs/SECURITY.md)\n", SYS_kill);
    assert_string_equal(text, expected);
    close(ends[0]);
    close(ends[1]);
}

static void test_off(void **state)
{
    (void)state;
    assert_int_equal(outcome(signal_parent, "off"), SUCCEEDED);
    assert_int_equal(outcome(signal_parent, "yes"), EPERM);
    assert_int_not_equal(outcome(is_entered, "off"), SUCCEEDED);
}

#ifdef __x86_64__
/* Through the door of 32-bit programs, calls have other numbers. */
static long call_as_32_bit(void)
{
    long result = 20; /* getpid there */
    __asm__ volatile("int $0x80" : "+a"(result) : : "memory");
    return result;
}

static void test_other_numbers_end_it(void **state)
{
    (void)state;
    assert_true(WIFSIGNALED(run_inside(call_as_32_bit, NULL, STDERR_FILENO)));
}
#endif

int main(void)
{
    tester = getpid();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_denied),
        cmocka_unit_test(test_allowed),
        cmocka_unit_test(test_abort_ends_the_process),
        cmocka_unit_test(test_told_once),
        cmocka_unit_test(test_off),
#ifdef __x86_64__
        cmocka_unit_test(test_other_numbers_end_it),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
