/* sluice-sim: a simulated Dynamics 365, to try and to test sluice with.
 * It shares no code with sluice's own reading of packages. docs/SIMULATOR.md tells how to use it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "sim/control.h"
#include "sim/http.h"
#include "sim/load/load.h"
#include "sim/options.h"
#include "sim/sim.h"

/* Writes the port so that no reader ever sees half of it. */
static bool write_port_file(const struct sim *sim)
{
    const char *file = sim->options.port_file;
    char part[1024];
    snprintf(part, sizeof(part), "%s.part", file);
    FILE *stream = fopen(part, "we");
    bool ok = stream != NULL;
    if (ok) {
        ok = fprintf(stream, "%u\n", sim->options.port) > 0;
        ok = fclose(stream) == 0 && ok;
        ok = ok && rename(part, file) == 0;
    }
    if (!ok)
        fprintf(stderr, "sluice-sim: cannot write %s: %s\n", file, strerror(errno));
    return ok;
}

static bool start(struct sim *sim)
{
    if (sim->options.load && !sim_control_load(sim, sim->options.load))
        return false;
    if (!sim_http_start(sim))
        return false;
    if (sim->options.port_file && !write_port_file(sim))
        return false;
    printf("sluice-sim listening on http://%s\n", sim->authority);
    fflush(stdout);
    return true;
}

static void stop(struct sim *sim)
{
    sim_lock(sim);
    sim->stopping = true;
    atomic_store(&sim->cancel, true);
    pthread_cond_broadcast(&sim->wake);
    sim_unlock(sim);
    sim_http_stop(sim);
    sim_done(sim);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "load") == 0)
        return load_main(argc - 1, argv + 1);
    struct sim_options options;
    int status = sim_options_read(&options, argc, argv);
    if (status >= 0)
        return status;

    /* Blocked before the first thread starts, so that only sigwait below sees them. */
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    signal(SIGPIPE, SIG_IGN);

    static struct sim sim;
    if (!sim_init(&sim, &options))
        return 1;
    bool started = start(&sim);
    if (started) {
        int received;
        sigwait(&ends, &received);
    }
    stop(&sim);
    return started ? 0 : 1;
}
