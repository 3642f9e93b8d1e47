/* sluice run: the configuration, the gateway, and the signals that end or reload it. */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/metric.h"
#include "base/sandbox.h"
#include "cli/commands.h"
#include "cli/gateway.h"
#include "cli/load.h"
#include "cli/trial.h"
#include "http/listen.h"
#include "loop/dns.h"
#include "loop/fiber.h"
#include "ops/alert.h"
#include "ops/notify.h"

enum {
    DRAIN_MS = 9000,                 /* SIGTERM drains within 10 s … */
    GIVE_UP_S = 10,                  /* … and if a library should hang, it ends all the same */
    REUSED_BYTES = 32 * 1024 * 1024, /* smaller freed memory is kept for the next batch */
};

struct running {
    const struct sl_options *options;
    const char *path;
    struct sl_config_shape shape;
    struct sl_config *config;
    struct sl_config *before; /* until config has shown that it works; NULL: there was none */
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
        sl_alert_hurry(); /* a reload may be under way, whose stop is the last one then */
        alarm(GIVE_UP_S);
    }
    sl_fiber_wake(running->fiber);
}

static void set_up_log(const struct running *running)
{
    const struct sl_config_log *log = &running->config->log;
    int level = running->options->log_level >= 0 ? running->options->log_level : log->level;
    sl_log_setup((enum sl_level)level, (enum sl_log_form)log->form);
}

/* A reload asked for while sluice starts would end it, as long as nobody listens for the signal. */
static void hold_reload(bool on)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigprocmask(on ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

/* The new configuration, when it can be used; what is wrong with it is told. */
static struct sl_config *reload(const struct running *running)
{
    struct sl_err err = {0};
    struct sl_config *config = sl_load(running->path, &running->shape);
    if (!config)
        sl_log(SL_ERROR, "configuration not reloaded: it has the problems above",
               SL_T("file", running->path));
    if (!config || sl_trial_addresses(running->config, config, &err) == SL_OK)
        return config;
    sl_log(SL_ERROR, "configuration not reloaded", SL_T("file", running->path),
           SL_T("error", err.message));
    sl_config_free(config);
    return NULL;
}

/* Waits for a signal. SIGHUP gives the new configuration when it is good; a bad one changes
 * nothing. NULL: the end. */
static struct sl_config *wait_for_change(struct running *running)
{
    while (!running->end) {
        if (running->reload) {
            running->reload = false;
            struct sl_config *config = reload(running);
            if (config)
                return config;
        }
        sl_fiber_park(SL_FOREVER);
    }
    return NULL;
}

/* What only a start can tell, as a login that RabbitMQ refuses: the old one worked. */
static bool go_back(struct running *running, const struct sl_err *err)
{
    sl_log(SL_ERROR,
           running->before ? "cannot start as configured anew, going back" : "cannot start",
           SL_T("error", err->message));
    if (!running->before) {
        running->status = SL_EXIT_FAILED;
        return false;
    }
    sl_config_free(running->config);
    running->config = running->before;
    running->before = NULL;
    return true;
}

/* One life of the gateway. True when it is to be started again, with another configuration. */
static bool live(struct running *running)
{
    struct sl_err err = {0};
    set_up_log(running);
    struct sl_gateway *gateway = sl_gateway_start(running->config, &err);
    if (!gateway)
        return go_back(running, &err);
    sl_config_free(running->before);
    running->before = NULL;
    sl_listen_drop_kept();
    sl_log(SL_INFO, "running", SL_T("version", SLUICE_VERSION), SL_T("config", running->path),
           SL_N("feeds", running->config->feed_count),
           SL_T("sandbox", sl_sandbox_entered() ? "on" : "off"));
    sl_notify("READY=1");

    struct sl_config *next = wait_for_change(running);
    sl_log(SL_INFO, next ? "reloading" : "ending: finishing what is in flight");
    if (next)
        sl_notify_reloading();
    else
        sl_notify("STOPPING=1");
    sl_gateway_stop(gateway, sl_deadline_in(DRAIN_MS), next != NULL);
    if (!next)
        return false;
    sl_metric_free_gauges(); /* of feeds that are gone, they would stand still */
    running->before = running->config;
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
    hold_reload(false);
    while (live(running) && !running->end)
        ;
    for (size_t i = 0; i < 3; i++)
        uv_close((uv_handle_t *)&signals[i], NULL);
    sl_fiber_sleep(0); /* the closed handles live on this stack until the loop has turned */
    sl_fiber_yield();
}

int sl_cmd_run(const struct sl_options *options)
{
    struct sl_err err;
    struct running running = {.options = options,
                              .path = sl_options_config(options, &err),
                              .shape = sl_trial_shape(&options->role)};
    if (!running.path) {
        fprintf(stderr, "sluice: %s\n", err.message);
        return SL_EXIT_FAILED;
    }
    hold_reload(true);
    running.config = sl_load(running.path, &running.shape);
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
    sl_config_free(running.before);
    sl_gateway_end();
    sl_alert_end();
    sl_dns_close();
    sl_loop_close();
    sl_metric_free_all();
    if (running.status == SL_EXIT_OK)
        sl_log(SL_INFO, "ended in order");
    return running.status;
}
