/* sluice run: the configuration, the gateway, and the signals that end or reload it. */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/metric.h"
#include "cli/commands.h"
#include "cli/gateway.h"
#include "cli/registry.h"
#include "loop/dns.h"
#include "loop/fiber.h"

enum {
    DRAIN_MS = 9000,                 /* SIGTERM drains within 10 s … */
    GIVE_UP_S = 10,                  /* … and if a library should hang, it ends all the same */
    REUSED_BYTES = 32 * 1024 * 1024, /* smaller freed memory is kept for the next batch */
};

struct running {
    const struct sl_options *options;
    const char *path;
    struct sl_config *config;
    struct sl_fiber *fiber;
    bool end, reload;
    int status;
};

/* Only what a signal handler may do. Nothing is lost: the journal and the broker hold it. */
static void give_up(int number)
{
    (void)number;
    static const char text[] = "sluice: did not end in time; what was in flight will come again\n";
    ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
    (void)written;
    _exit(SL_EXIT_FAILED);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct running *running = handle->data;
    if (number == SIGHUP) {
        running->reload = true;
    } else if (running->end) {
        /* Asked twice: the journal and the broker hold everything that matters. */
        _exit(SL_EXIT_FAILED);
    } else {
        running->end = true;
        alarm(GIVE_UP_S);
    }
    sl_fiber_wake(running->fiber);
}

static struct sl_config *load(const struct running *running)
{
    struct sl_config *config = NULL;
    struct sl_problems problems;
    sl_problems_init(&problems);
    int rc = sl_config_load(running->path, &sl_registry_shape, &config, &problems);
    sl_problems_print(&problems, stderr);
    sl_problems_done(&problems);
    if (rc != SL_OK)
        return NULL;
    if (running->options->role >= 0)
        config->role = running->options->role;
    int level = running->options->log_level >= 0 ? running->options->log_level : config->log.level;
    sl_log_setup((enum sl_level)level, (enum sl_log_form)config->log.form);
    return config;
}

/* Waits for a signal. SIGHUP gives the new configuration when it is good; a bad one is told, and
 * nothing changes. NULL: the end. */
static struct sl_config *wait_for_change(struct running *running)
{
    while (!running->end) {
        if (running->reload) {
            running->reload = false;
            struct sl_config *config = load(running);
            if (config)
                return config;
            sl_log(SL_ERROR, "configuration not reloaded: it has the problems above",
                   SL_T("file", running->path));
        }
        sl_fiber_park(SL_FOREVER);
    }
    return NULL;
}

/* One life of the gateway. True when it is to be started again, with another configuration. */
static bool live(struct running *running)
{
    struct sl_err err = {0};
    struct sl_gateway *gateway = sl_gateway_start(running->config, &err);
    if (!gateway) {
        sl_log(SL_ERROR, "cannot start", SL_T("error", err.message));
        running->status = SL_EXIT_FAILED;
        return false;
    }
    sl_log(SL_INFO, "running", SL_T("version", SLUICE_VERSION), SL_T("config", running->path),
           SL_N("feeds", running->config->feed_count));

    struct sl_config *next = wait_for_change(running);
    sl_log(SL_INFO, next ? "reloading" : "ending: finishing what is in flight");
    sl_gateway_stop(gateway, sl_deadline_in(DRAIN_MS));
    if (!next)
        return false;
    sl_config_free(running->config);
    running->config = next;
    return true;
}

static void run(void *arg)
{
    struct running *running = arg;
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    uv_signal_t signals[3];
    for (size_t i = 0; i < 3; i++) {
        uv_signal_init(sl_loop(), &signals[i]);
        signals[i].data = running;
        uv_signal_start(&signals[i], on_signal, numbers[i]);
    }
    while (live(running))
        ;
    for (size_t i = 0; i < 3; i++)
        uv_close((uv_handle_t *)&signals[i], NULL);
    sl_fiber_sleep(0); /* the closed handles live on this stack until the loop has turned */
    sl_fiber_yield();
}

int sl_cmd_run(const struct sl_options *options)
{
    struct sl_err err;
    struct running running = {.options = options, .path = sl_options_config(options, &err)};
    if (!running.path) {
        fprintf(stderr, "sluice: %s\n", err.message);
        return SL_EXIT_FAILED;
    }
    running.config = load(&running);
    if (!running.config)
        return SL_EXIT_FAILED;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGALRM, give_up);
    /* Message-sized buffers come and go all the time. By default glibc maps and unmaps each of them
     * anew, which was a fifth of the CPU time of a bulk run; credit bounds how many there are. */
    mallopt(M_MMAP_THRESHOLD, REUSED_BYTES);
    mallopt(M_TRIM_THRESHOLD, REUSED_BYTES);
    mallopt(M_ARENA_MAX, 1);
    running.fiber = sl_fiber_spawn("main", run, &running);
    sl_loop_run();

    sl_config_free(running.config);
    sl_dns_close();
    sl_loop_close();
    sl_metric_free_all();
    if (running.status == SL_EXIT_OK)
        sl_log(SL_INFO, "ended in order");
    return running.status;
}
