#include "starve.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/asan.h"
#include "fuzz.h"

enum {
    ENOUGH = 77,          /* the child's status when it needed fewer allocations */
    EACH_UNTIL = 60,      /* every allocation up to this one fails; then ... */
    GROWTH_PARTS = 8,     /* ... the number grows by an eighth */
    SAID_MAX = 64 * 1024, /* of what a child says */
};

/* --- allocations that fail --- */

static long left = -1; /* until one fails; -1: none does */
static bool for_ever;  /* all that come after it fail, too */
static bool failed;

static bool fails(void)
{
    if (left < 0 || (left && --left))
        return false;
    if (!for_ever)
        left = -1;
    failed = true;
    return true;
}

#ifdef SL_ASAN
#define REAL(name) __interceptor_##name
#else
#define REAL(name) __libc_##name
#endif
void *REAL(malloc)(size_t size);
void *REAL(calloc)(size_t count, size_t size);
void *REAL(realloc)(void *memory, size_t size);

void *malloc(size_t size)
{
    return fails() ? NULL : REAL(malloc)(size);
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : REAL(calloc)(count, size);
}

void *realloc(void *memory, size_t size)
{
    return fails() ? NULL : REAL(realloc)(memory, size);
}

/* --- one run --- */

static void run_child(const uint8_t *data, size_t size, long number, bool ever, int said)
{
    dup2(said, STDERR_FILENO);
    for_ever = ever;
    left = number;
    LLVMFuzzerTestOneInput(data, size);
    left = -1;
    _exit(failed ? 0 : ENOUGH);
}

/* False when the process ended in another way than by itself, or with the words of base/mem.c. */
static bool is_clean(int status, const char *said)
{
    if (WIFEXITED(status))
        return WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == ENOUGH;
    return WTERMSIG(status) == SIGABRT && strstr(said, "out of memory");
}

/* Gives the child's status; ends the test when it crashed. */
static int run(const uint8_t *data, size_t size, long number, bool ever)
{
    static char text[SAID_MAX + 1];
    int said = memfd_create("said", MFD_CLOEXEC), status;
    pid_t child = fork();
    FUZZ_REQUIRE(said >= 0 && child >= 0);
    if (!child)
        run_child(data, size, number, ever, said);
    FUZZ_REQUIRE(waitpid(child, &status, 0) == child);
    ssize_t length = pread(said, text, SAID_MAX, 0);
    text[length > 0 ? length : 0] = '\0';
    close(said);
    if (is_clean(status, text))
        return status;
    fprintf(stderr, "%s\nwithout allocation %ld%s: no clean end (status %#x)\n", text, number,
            ever ? " and all after it" : "", (unsigned)status);
    exit(1);
}

unsigned starve(const uint8_t *data, size_t size)
{
    unsigned runs = 0;
    for (int ever = 0; ever < 2; ever++)
        for (long number = 1;; number += number < EACH_UNTIL ? 1 : number / GROWTH_PARTS) {
            int status = run(data, size, number, ever);
            runs++;
            if (WIFEXITED(status) && WEXITSTATUS(status) == ENOUGH)
                break;
        }
    return runs;
}
