/* sluice-sim load: the command from its beginning to its end. */
#include "sim/load/load.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>

#define TOKEN_MOST 4096

/* The first line of the file. */
static char *read_token(const char *path)
{
    char line[TOKEN_MOST] = "";
    FILE *file = fopen(path, "re");
    bool good = file && fgets(line, sizeof(line), file);
    line[strcspn(line, "\r\n")] = '\0';
    if (!good || !*line)
        fprintf(stderr, "sluice-sim load: no token in %s: %s\n", path,
                file ? "it is empty" : strerror(errno));
    if (file)
        fclose(file);
    return *line ? strdup(line) : NULL;
}

/* Of no other run, so that its documents are new ones. */
static void name_run(struct load_run *run)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(run->name, sizeof(run->name), "L%llx",
             (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
}

static int run_load(struct load_run *run)
{
    const struct load_options *options = run->options;
    struct load_seen *seen = NULL;
    if (options->mongo && !(seen = load_seen_start(options)))
        return 1;
    bool driven = load_drive(run);
    bool whole = !seen || load_seen_end(seen, run, driven ? options->timeout_ms : 0);
    if (!driven)
        return 1;
    int status = load_report(run);
    return whole ? status : 1;
}

int load_main(int argc, char **argv)
{
    struct load_options options;
    int status = load_options_read(&options, argc, argv);
    if (status >= 0)
        return status;
    signal(SIGPIPE, SIG_IGN);
    struct load_run run = {.options = &options};
    name_run(&run);
    if (options.token_file && !(run.token = read_token(options.token_file)))
        return 1;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    run.changes = sim_alloc(options.count * sizeof(*run.changes));
    status = run_load(&run);
    free(run.changes);
    free(run.token);
    curl_global_cleanup();
    return status;
}
