#include "store/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct mark {
    char boot[40];
    unsigned long long space, start;
    int pid;
};

static bool read_line(const char *path, char *out, size_t size)
{
    FILE *file = fopen(path, "re");
    bool read = file && fgets(out, (int)size, file);
    if (file)
        fclose(file);
    return read;
}

/* Clock ticks between the boot and the start of a process; 0 when it cannot be told. Source:
 * proc(5), field 22 of stat; the name in field 2 may hold blanks and brackets. */
static unsigned long long start_of(int pid)
{
    char path[40], line[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (!read_line(path, line, sizeof line))
        return 0;
    const char *at = strrchr(line, ')');
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at, NULL, 10) : 0;
}

static bool read_own(struct mark *mark)
{
    struct stat space;
    memset(mark, 0, sizeof *mark);
    if (!read_line("/proc/sys/kernel/random/boot_id", mark->boot, sizeof mark->boot) ||
        stat("/proc/self/ns/pid", &space) != 0)
        return false;
    mark->boot[strcspn(mark->boot, "\n")] = 0;
    mark->space = space.st_ino;
    mark->pid = (int)getpid();
    mark->start = start_of(mark->pid);
    return mark->start != 0;
}

/* Read once: whoever asks has a lease to look after, every two seconds. NULL where /proc does not
 * tell. A process that was forked has another pid. */
static const struct mark *own_mark(void)
{
    static struct mark own;
    if (own.start && own.pid == (int)getpid())
        return &own;
    return read_own(&own) ? &own : NULL;
}

void sl_process_mark(char ret_mark[SL_PROCESS_BYTES])
{
    const struct mark *own = own_mark();
    ret_mark[0] = 0;
    if (own)
        snprintf(ret_mark, SL_PROCESS_BYTES, "%s/%llu/%d/%llu", own->boot, own->space, own->pid,
                 own->start);
}

static bool parse(const char *text, struct mark *ret)
{
    char *end;
    size_t boot = strcspn(text, "/");
    if (boot >= sizeof ret->boot || !text[boot])
        return false;
    memcpy(ret->boot, text, boot);
    ret->boot[boot] = 0;
    ret->space = strtoull(text + boot + 1, &end, 10);
    if (*end != '/')
        return false;
    ret->pid = (int)strtol(end + 1, &end, 10);
    if (*end != '/' || ret->pid <= 0)
        return false;
    ret->start = strtoull(end + 1, &end, 10);
    return !*end;
}

bool sl_process_has_ended(const char *mark)
{
    const struct mark *own = own_mark();
    struct mark other;
    if (!own || !parse(mark, &other))
        return false;
    if (strcmp(own->boot, other.boot) != 0 || own->space != other.space)
        return false;
    if (other.pid == own->pid)
        return other.start != own->start;
    if (kill(other.pid, 0) != 0 && errno == ESRCH)
        return true;
    unsigned long long start = start_of(other.pid); /* 0: /proc hides it, so it is there */
    return start && start != other.start;
}
