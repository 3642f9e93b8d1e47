/* sluice carries the changes of Dynamics 365 through RabbitMQ into MongoDB. */
#include <stdio.h>
#include <sys/resource.h>

#include "base/hide.h"
#include "base/sandbox.h"
#include "cli/commands.h"
#include "cli/options.h"

/* 1,024, as most have it, is for programs that know select() alone; a listener may have more
 * connections. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* A full disk, or a reader that is gone: whoever asked has not been told all. */
static int finish(int status)
{
    fflush(stdout);
    if (!ferror(stdout))
        return status;
    fputs("sluice: not all of its output could be written\n", stderr);
    return status == SL_EXIT_OK ? SL_EXIT_FAILED : status;
}

int main(int argc, char **argv)
{
    struct sl_options options;
    struct sl_err err;

    if (sl_options_parse(argc, argv, &options, &err) != SL_OK) {
        fprintf(stderr, "sluice: %s; sluice --help lists the commands\n", err.message);
        return SL_EXIT_USAGE;
    }
    raise_file_limit();
    if (sl_hide(&err) != SL_OK || sl_sandbox_enter(&err) != SL_OK) {
        fprintf(stderr, "sluice: %s\n", err.message);
        return SL_EXIT_FAILED;
    }
    return finish(options.command->run(&options));
}
