/* sluice alert test: does an alert reach those who should be told? */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/registry.h"
#include "config/config.h"
#include "config/settings.h"
#include "loop/dns.h"
#include "loop/fiber.h"
#include "ops/alert_targets.h"

/* What the configuration says of alerts and of calls, and nothing else of it. */
struct trying {
    struct sl_alert_settings alerts;
    struct sl_http_options http;
    unsigned tried, failed;
};

static bool load_one(const char *path, const char *name, void *ret)
{
    struct sl_problems problems;
    sl_problems_init(&problems);
    bool good = sl_config_load_section(path, sl_registry_section(name), ret, &problems) == SL_OK;
    sl_problems_print(&problems, stderr);
    sl_problems_done(&problems);
    return good;
}

static bool load(const char *path, struct trying *trying)
{
    const struct sl_alert_targets targets = sl_alert_targets_of(&trying->alerts);
    const char *about;
    struct sl_err err;
    if (!load_one(path, "alerts", &trying->alerts) || !load_one(path, "http", &trying->http))
        return false;
    if (!sl_alert_targets_wrong(&targets, &about, &err))
        return true;
    fprintf(stderr, "sluice: %s: alerts.%s\n", path, err.message);
    return false;
}

static void send_to(struct trying *trying, struct sl_http *http, unsigned target)
{
    const struct sl_alert_targets targets = sl_alert_targets_of(&trying->alerts);
    struct sl_alert_line line = {
        .kind = SL_ALERT_NOTICE,
        .change = SL_ALERT_IS_RAISED,
        .subject = (char *)"test",
        .title = (char *)"a test of alerts",
        .text = (char *)"Somebody ran sluice alert test. Nothing is wrong.",
        .raised_wall_ms = sl_wall_ms(),
    };
    const struct sl_alert_message message = {.lines = &line, .count = 1};
    char host[256] = "";
    struct sl_err err = {0};
    gethostname(host, sizeof host - 1);
    const struct sl_alert_sender sender = {SLUICE_VERSION, "none", host, (int)getpid()};
    if (!sl_alert_target_wanted(&targets, target))
        return;
    trying->tried++;
    int rc = sl_alert_target_send(http, &targets, target, &message, &sender, &err);
    trying->failed += rc != SL_OK;
    printf("%s  %s: %s\n", rc == SL_OK ? "ok  " : "FAIL", sl_alert_target_name(target),
           rc == SL_OK ? "it took the message" : err.message);
}

static void try_all(void *arg)
{
    struct trying *trying = arg;
    struct sl_err err = {0};
    trying->http.version = SLUICE_VERSION;
    struct sl_http *http = sl_http_new(&trying->http, &err);
    if (!http) {
        trying->failed++;
        printf("FAIL  http: %s\n", err.message);
        return;
    }
    for (unsigned i = 0; i < SL_ALERT_TARGETS; i++)
        send_to(trying, http, i);
    sl_http_free(http);
}

static int conclude(const struct trying *trying, const char *path)
{
    if (!trying->tried && !trying->failed) {
        fprintf(stderr,
                "sluice: %s tells nobody: neither alerts.mail nor alerts.webhook is there\n", path);
        return SL_EXIT_FAILED;
    }
    return trying->failed ? SL_EXIT_FAILED : SL_EXIT_OK;
}

int sl_cmd_alert(const struct sl_options *options)
{
    struct sl_err err;
    struct trying trying = {0};
    int status = SL_EXIT_FAILED;
    if (!options->topic || strcmp(options->topic, "test") != 0) {
        fputs("sluice: alert takes one word: test\n", stderr);
        return SL_EXIT_USAGE;
    }
    const char *path = sl_options_config(options, &err);
    if (!path) {
        fprintf(stderr, "sluice: %s\n", err.message);
        return SL_EXIT_FAILED;
    }
    if (load(path, &trying)) {
        sl_fiber_spawn("alert", try_all, &trying);
        sl_loop_run();
        status = conclude(&trying, path);
    }
    sl_settings_done(sl_alert_table, &trying.alerts);
    sl_settings_done(sl_http_table, &trying.http);
    sl_dns_close();
    sl_loop_close();
    return status;
}
