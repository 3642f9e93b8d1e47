#include "base/kill_point.h"

#ifdef SLUICE_KILL_POINTS

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void note(const char *file, unsigned long number, const char *step, const char *target)
{
    FILE *log = fopen(file, "ae");
    if (!log)
        return;
    fprintf(log, "%lu %s%s%s\n", number, step, target ? " " : "", target ? target : "");
    fclose(log);
}

/* Whether the step is called so, or begins so. */
static bool is_named(const char *wanted, const char *step, const char *target)
{
    char name[512];
    snprintf(name, sizeof name, "%s%s%s", step, target ? " " : "", target ? target : "");
    return strncmp(name, wanted, strlen(wanted)) == 0;
}

void sl_kill_point(const char *step, const char *target)
{
    static unsigned long passed;
    const char *at = getenv("SLUICE_KILL_AT");
    const char *file = getenv("SLUICE_KILL_LOG");
    passed++;
    if (file)
        note(file, passed, step, target);
    if (at && (strtoul(at, NULL, 10) == passed || is_named(at, step, target)))
        raise(SIGKILL);
}

#endif
