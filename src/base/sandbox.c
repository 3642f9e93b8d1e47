#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/asan.h"

/* --- the list --- */

/* Calls that may be made with any arguments. Those that this machine does not have are passed over.
 */
static const int allowed[] = {
    /* descriptors that are there, and looking at files */
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(pread64),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(close),
    SCMP_SYS(lseek),
    SCMP_SYS(dup),
    SCMP_SYS(fstat),
    SCMP_SYS(stat),
    SCMP_SYS(lstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(statx),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getdents64),
    SCMP_SYS(getcwd),
    /* waiting */
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(pipe),
    SCMP_SYS(pipe2),
    SCMP_SYS(eventfd2),
    SCMP_SYS(futex),
    SCMP_SYS(nanosleep),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(sched_yield),
    /* the network, once there is a socket */
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(listen),
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(sendto),
    SCMP_SYS(sendmsg),
    SCMP_SYS(sendmmsg),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(recvmmsg),
    SCMP_SYS(shutdown),
    /* memory */
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    /* time, chance, and who we are */
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(getrandom),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(getrusage),
    SCMP_SYS(uname),
    SCMP_SYS(sysinfo),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(getcpu),
    /* signals, and the end */
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(alarm),
    SCMP_SYS(setitimer),
    SCMP_SYS(rseq),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
#ifdef SL_ASAN /* LeakSanitizer looks at the process from a second one that it makes at the end */
    SCMP_SYS(clone),
    SCMP_SYS(ptrace),
    SCMP_SYS(wait4),
    SCMP_SYS(prctl),
    SCMP_SYS(getppid),
    SCMP_SYS(getdents),
#endif
};

/* Calls that may be made when one argument, as far as mask goes, is value. Several rows of a call:
 * any of them will do. Libraries may be loaded late, but what can be written is never executed;
 * limits are looked at, not set; kill() may ask whether a process is there; fcntl() may not have
 * the kernel send a signal to another one (F_SETOWN, F_SETSIG). */
struct narrow {
    int call;
    unsigned argument;
    uint64_t mask, value;
};

enum { WRITING = O_ACCMODE | O_CREAT | O_TRUNC }; /* no bit of it: a file is opened to be read */
#define INT UINT32_MAX
/* TCGETS2, whose header contradicts termios.h; isatty() of glibc 2.42 and later asks it. */
#define TCGETS_2 0x802c542a

static const struct narrow narrows[] = {
    {SCMP_SYS(open),       1, WRITING,                0              },
    {SCMP_SYS(openat),     2, WRITING,                0              },
    {SCMP_SYS(fcntl),      1, INT,                    F_DUPFD        },
    {SCMP_SYS(fcntl),      1, INT,                    F_DUPFD_CLOEXEC},
    {SCMP_SYS(fcntl),      1, INT,                    F_GETFD        },
    {SCMP_SYS(fcntl),      1, INT,                    F_SETFD        },
    {SCMP_SYS(fcntl),      1, INT,                    F_GETFL        },
    {SCMP_SYS(fcntl),      1, INT,                    F_SETFL        },
    {SCMP_SYS(ioctl),      1, INT,                    FIONBIO        },
    {SCMP_SYS(ioctl),      1, INT,                    FIONREAD       },
    {SCMP_SYS(ioctl),      1, INT,                    FIOCLEX        },
    {SCMP_SYS(ioctl),      1, INT,                    TCGETS         },
    {SCMP_SYS(ioctl),      1, INT,                    TCGETS_2       },
    {SCMP_SYS(socket),     0, INT,                    AF_INET        },
    {SCMP_SYS(socket),     0, INT,                    AF_INET6       },
    {SCMP_SYS(socket),     0, INT,                    AF_UNIX        },
    {SCMP_SYS(socketpair), 0, INT,                    AF_UNIX        },
    {SCMP_SYS(mmap),       2, PROT_EXEC,              0              },
    {SCMP_SYS(mmap),       2, PROT_EXEC | PROT_WRITE, PROT_EXEC      },
    {SCMP_SYS(mprotect),   2, PROT_EXEC,              0              },
    {SCMP_SYS(prctl),      0, INT,                    PR_GET_DUMPABLE},
    {SCMP_SYS(prlimit64),  2, UINT64_MAX,             0              },
    {SCMP_SYS(kill),       1, INT,                    0              },
};

/* Calls that do not exist, as far as libraries are concerned, and that nobody need be told of: what
 * they are to do lies in memory, which a filter cannot read. The C library goes on to clone(),
 * libuv to epoll. */
static const int missing[] = {
    SCMP_SYS(clone3),
    SCMP_SYS(io_uring_setup),
};

/* The C library makes threads and processes while all signals are blocked, and SIGSYS would then
 * end this one: the kernel itself says no, and nobody is told. */
static const int refused[] = {
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
#ifndef SL_ASAN
    SCMP_SYS(clone),
#endif
};

static int allow_narrow(scmp_filter_ctx filter, const struct narrow *narrow)
{
    const struct scmp_arg_cmp test = {narrow->argument, SCMP_CMP_MASKED_EQ, narrow->mask,
                                      narrow->value};
    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, narrow->call, 1, &test);
}

static int add_rules(scmp_filter_ctx filter)
{
    const struct narrow abort_self = {SCMP_SYS(tgkill), 0, INT, (uint64_t)getpid()};
    int rc = allow_narrow(filter, &abort_self);
    for (size_t i = 0; !rc && i < sizeof allowed / sizeof *allowed; i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    for (size_t i = 0; !rc && i < sizeof narrows / sizeof *narrows; i++)
        rc = allow_narrow(filter, &narrows[i]);
    for (size_t i = 0; !rc && i < sizeof missing / sizeof *missing; i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), missing[i], 0);
    for (size_t i = 0; !rc && i < sizeof refused / sizeof *refused; i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
#ifdef SLUICE_KILL_POINTS
    if (!rc && getenv("SLUICE_KILL_LOG"))
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 0);
#endif
    return rc;
}

/* --- what is not on it --- */

enum { CALLS_MAX = 512, NEWEST_CALL = 450 /* of Linux 6.1 */ };

/* Only what a signal handler may do: the number as text. */
static size_t add_number(char *out, unsigned number)
{
    char digits[10];
    size_t count = 0, used = 0;
    do
        digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    while (count)
        out[used++] = digits[--count];
    return used;
}

static void tell(unsigned number)
{
    static const char before[] = "sluice: the sandbox denied system call ";
    static const char after[] = " (docs/SECURITY.md)\n";
    static volatile sig_atomic_t told[CALLS_MAX];
    char line[sizeof before + sizeof after + 10];
    size_t length = sizeof before - 1;
    if (number < CALLS_MAX && told[number])
        return;
    if (number < CALLS_MAX)
        told[number] = 1;
    memcpy(line, before, length);
    length += add_number(line + length, number);
    memcpy(line + length, after, sizeof after - 1);
    ssize_t written = write(STDERR_FILENO, line, length + sizeof after - 1);
    (void)written;
}

/* Makes the call look as if it had failed. One that is newer than the list does not exist, as far
 * as libraries are concerned: they know what to do then. */
static void on_denied(int number, siginfo_t *info, void *context)
{
    ucontext_t *stopped = context;
    int saved = errno;
    int error = info->si_syscall > NEWEST_CALL ? ENOSYS : EPERM;
    (void)number;
    tell((unsigned)info->si_syscall);
#if defined(__x86_64__)
    stopped->uc_mcontext.gregs[REG_RAX] = -error;
#elif defined(__aarch64__)
    stopped->uc_mcontext.regs[0] = (uint64_t)-error;
#else /* nobody has said yet where this machine keeps the result: better an end than a lie */
    (void)stopped, (void)error;
    _exit(1);
#endif
    errno = saved;
}

/* --- entering --- */

static bool entered;

static int load(void)
{
    struct sigaction action = {.sa_sigaction = on_denied, .sa_flags = SA_SIGINFO | SA_RESTART};
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_TRAP);
    if (!filter)
        return -ENOMEM;
    int rc = sigaction(SIGSYS, &action, NULL) ? -errno : 0;
    if (!rc)
        rc = add_rules(filter);
    if (!rc) /* as a tree: what is called often is not at the end of a list */
        rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (!rc)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    return rc;
}

int sl_sandbox_enter(struct sl_err *err)
{
    const char *wish = getenv("SLUICE_SANDBOX");
    if (wish && !strcmp(wish, "off"))
        return SL_OK;
    int rc = load();
    if (rc)
        return sl_err_set(err, SL_CONFIG,
                          "cannot enter the sandbox: %s; SLUICE_SANDBOX=off in the environment "
                          "does without",
                          strerror(-rc));
    entered = true;
    return SL_OK;
}

bool sl_sandbox_entered(void)
{
    return entered;
}
