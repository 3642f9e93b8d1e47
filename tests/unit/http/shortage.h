/* A while in which no file can be opened, and what is logged meanwhile is kept. */
#ifndef SL_TEST_HTTP_SHORTAGE_H
#define SL_TEST_HTTP_SHORTAGE_H

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct shortage {
    struct rlimit before;
    FILE *log;
    int stderr_was;
};

static inline void shortage_begin(struct shortage *shortage)
{
    shortage->log = tmpfile();
    shortage->stderr_was = dup(STDERR_FILENO);
    dup2(fileno(shortage->log), STDERR_FILENO);
    getrlimit(RLIMIT_NOFILE, &shortage->before);
    const struct rlimit none = {STDERR_FILENO + 1, shortage->before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
}

/* Gives how often text was logged. */
static inline unsigned shortage_end(struct shortage *shortage, const char *text)
{
    static char log[16 * 1024];
    unsigned count = 0;
    setrlimit(RLIMIT_NOFILE, &shortage->before);
    dup2(shortage->stderr_was, STDERR_FILENO);
    close(shortage->stderr_was);
    rewind(shortage->log);
    log[fread(log, 1, sizeof log - 1, shortage->log)] = '\0';
    fclose(shortage->log);
    for (const char *at = log; (at = strstr(at, text)); at++)
        count++;
    return count;
}

#endif
