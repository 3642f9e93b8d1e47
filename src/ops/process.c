/* What the kernel knows of this process, under the names that Prometheus clients use. */
#include "ops/prometheus.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"

static void add(struct sl_buf *buf, const char *name, const char *kind, const char *help,
                double value)
{
    sl_buf_printf(buf, "# HELP process_%s %s\n# TYPE process_%s %s\nprocess_%s %.17g\n", name, help,
                  name, kind, name, value);
}

/* Field number (from 1) of a /proc file of one line, or 0. Fields after the name in parentheses of
 * /proc/self/stat are counted right because no program here has blanks in its name. */
static double field_of(const char *path, unsigned number)
{
    char line[1024], *saved = NULL;
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    char *got = fgets(line, sizeof line, file);
    fclose(file);
    char *field = got ? strtok_r(line, " ", &saved) : NULL;
    while (field && --number)
        field = strtok_r(NULL, " ", &saved);
    return field ? strtod(field, NULL) : 0;
}

static double cpu_seconds(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static double open_files(void)
{
    DIR *directory = opendir("/proc/self/fd");
    double count = 0;
    if (!directory)
        return 0;
    while (readdir(directory))
        count++;
    closedir(directory);
    return count - 3; /* ".", ".." and the directory itself */
}

static double max_files(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    return (double)limit.rlim_cur;
}

/* Field 22 of stat is the start in clock ticks since boot. */
static double start_seconds(void)
{
    double uptime = field_of("/proc/uptime", 1);
    double started = field_of("/proc/self/stat", 22) / (double)sysconf(_SC_CLK_TCK);
    return (double)sl_wall_ms() / 1000.0 - uptime + started;
}

void sl_prometheus_process(struct sl_buf *buf)
{
    add(buf, "resident_memory_bytes", "gauge", "Resident memory size in bytes.",
        field_of("/proc/self/statm", 2) * (double)sysconf(_SC_PAGESIZE));
    add(buf, "cpu_seconds_total", "counter", "User and system CPU time spent in seconds.",
        cpu_seconds());
    add(buf, "open_fds", "gauge", "Open file descriptors.", open_files());
    add(buf, "max_fds", "gauge", "Most file descriptors that may be open.", max_files());
    add(buf, "start_time_seconds", "gauge", "Start time since the Unix epoch in seconds.",
        start_seconds());
}
