/* What somebody might try from inside a process that he took over: each gives -1 and errno when it
 * is denied. */
#ifndef SL_TEST_BASE_SANDBOX_ATTEMPTS_H
#define SL_TEST_BASE_SANDBOX_ATTEMPTS_H

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/asan.h"

static pid_t tester; /* the test itself, as its children see it */

/* --- programs and processes --- */

static long start_program(void)
{
    char *const words[] = {"true", NULL};
    return execve("/bin/true", words, environ);
}

static long start_program_at(void)
{
    char *const words[] = {"true", NULL};
    return syscall(SYS_execveat, AT_FDCWD, "/bin/true", words, environ, 0);
}

static long make_process_anew(void)
{
    return syscall(SYS_clone3, NULL, 0);
}

#ifdef SYS_vfork
static long make_process_by_vfork(void)
{
    return syscall(SYS_vfork);
}
#endif

static long signal_parent(void)
{
    return kill(tester, SIGCONT);
}

static long signal_parent_thread(void)
{
    return syscall(SYS_tgkill, tester, tester, SIGCONT);
}

/* Then whoever writes into the pair sends it the signal. */
static long have_parent_signalled(void)
{
    int pair[2];
    return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) ? 0 : fcntl(pair[0], F_SETOWN, tester);
}

static long choose_signal(void)
{
    return fcntl(STDIN_FILENO, F_SETSIG, SIGKILL);
}

static long read_parent(void)
{
    return syscall(SYS_process_vm_readv, tester, NULL, 0, NULL, 0, 0);
}

#ifndef SL_ASAN /* LeakSanitizer needs clone and these two */
static long make_process(void)
{
    pid_t child = fork();
    if (!child)
        _exit(0);
    return child;
}

/* The C library blocks all signals before both of these. */
static void *do_nothing(void *arg)
{
    return arg;
}

static long make_thread(void)
{
    pthread_t thread;
    errno = pthread_create(&thread, NULL, do_nothing, NULL);
    return errno ? -1 : 0;
}

static long spawn_program(void)
{
    char *const words[] = {"true", NULL};
    pid_t child;
    errno = posix_spawn(&child, "/bin/true", NULL, NULL, words, environ);
    return errno ? -1 : 0;
}

static long trace_parent(void)
{
    return ptrace(PTRACE_ATTACH, tester, NULL, NULL);
}

static long be_dumpable(void)
{
    return prctl(PR_SET_DUMPABLE, 1);
}
#endif

/* --- files --- */

static char target[] = "/tmp/sluice-sandbox-XXXXXX"; /* a file that is there and could be written */

static long write_file(void)
{
    return open(target, O_WRONLY);
}

static long append_file(void)
{
    return open(target, O_RDWR | O_APPEND);
}

static long cut_file(void)
{
    return open(target, O_RDONLY | O_TRUNC);
}

static long make_file(void)
{
    return open("/tmp/sluice-sandbox-new", O_RDONLY | O_CREAT, 0600);
}

static long make_file_at(void)
{
    return syscall(SYS_openat2, AT_FDCWD, target, (uint64_t[3]){O_WRONLY}, sizeof(uint64_t[3]));
}

static long remove_file(void)
{
    return unlink(target);
}

static long rename_file(void)
{
    return rename(target, "/tmp/sluice-sandbox-new");
}

static long open_up_file(void)
{
    return chmod(target, 0777);
}

static long make_folder(void)
{
    return mkdir("/tmp/sluice-sandbox-new", 0700);
}

static long make_hidden_file(void)
{
    return memfd_create("x", 0);
}

/* --- the kernel --- */

static long watch_network(void)
{
    return socket(AF_PACKET, SOCK_RAW, 0);
}

static long talk_to_kernel(void)
{
    return socket(AF_NETLINK, SOCK_RAW, 0);
}

static long type_at_terminal(void)
{
    return ioctl(STDIN_FILENO, TIOCSTI, "x");
}

static long become_other_user(void)
{
    return syscall(SYS_setuid, getuid());
}

static long leave_namespaces(void)
{
    return unshare(CLONE_FS);
}

static long load_bpf(void)
{
    return syscall(SYS_bpf, 0, NULL, 0);
}

static long start_io_uring(void)
{
    return syscall(SYS_io_uring_setup, 1, NULL);
}

static long use_keyring(void)
{
    return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1);
}

static long raise_limit(void)
{
    struct rlimit limit = {0, 0};
    return setrlimit(RLIMIT_CORE, &limit);
}

static long call_of_the_future(void)
{
    return syscall(511);
}

/* --- code --- */

static long write_and_execute(void)
{
    return mmap(NULL, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
                   MAP_FAILED
               ? -1
               : 0;
}

static long execute_what_was_written(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

#endif
