/* sluice doctor: is everything there that a run needs, and allowed? */
#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "base/metric.h"
#include "base/sandbox.h"
#include "cli/commands.h"
#include "cli/doctor.h"
#include "cli/load.h"
#include "cli/trial.h"
#include "loop/dns.h"
#include "loop/fiber.h"

enum { WHY_BYTES = 600 };

void sl_doctor_say(struct sl_doctor *doctor, enum sl_verdict verdict, const char *what,
                   const char *advice, const char *why, ...)
{
    static const char *const words[] = {"ok  ", "warn", "FAIL"};
    char text[WHY_BYTES];
    va_list args;
    va_start(args, why);
    vsnprintf(text, sizeof text, why, args);
    va_end(args);
    sl_text_clean(text);
    doctor->failed += verdict == SL_DOCTOR_FAIL;
    doctor->warned += verdict == SL_DOCTOR_WARN;
    printf("%s  %s: %s%s%s\n", words[verdict], what, text, advice ? " → " : "",
           advice ? advice : "");
    fflush(stdout); /* the next check may take its time */
}

bool sl_doctor_works(struct sl_doctor *doctor, int rc, const struct sl_err *err, const char *what,
                     const char *advice)
{
    bool away = rc == SL_CLOSED || rc == SL_TIMEOUT;
    if (rc != SL_OK)
        sl_doctor_say(doctor, SL_DOCTOR_FAIL, what, away ? advice : NULL, "%s", err->message);
    return rc == SL_OK;
}

static void examine(void *arg)
{
    struct sl_doctor *doctor = arg;
    struct sl_err err = {0};
    struct sl_http_options options = doctor->settings->http;
    options.version = SLUICE_VERSION;
    sl_doctor_broker(doctor);
    sl_doctor_mongo(doctor);
    doctor->http = sl_http_new(&options, &err);
    if (sl_doctor_works(doctor, doctor->http ? SL_OK : (int)err.code, &err, "http", NULL)) {
        if (sl_config_ingests(doctor->config))
            sl_doctor_sources(doctor);
        sl_doctor_alerts(doctor);
    }
    if (doctor->mongo_answers && sl_config_ingests(doctor->config))
        sl_doctor_feeds(doctor);
    sl_doctor_listeners(doctor);
    sl_http_free(doctor->http);
}

static void say_sandbox(struct sl_doctor *doctor)
{
    if (sl_sandbox_entered())
        sl_doctor_say(doctor, SL_DOCTOR_OK, "sandbox", NULL,
                      "no program can be started and no file written from inside sluice");
    else
        sl_doctor_say(doctor, SL_DOCTOR_WARN, "sandbox", "unset that variable",
                      "switched off by SLUICE_SANDBOX in the environment");
}

static int conclude(const struct sl_doctor *doctor)
{
    if (doctor->failed)
        printf("%u %s\n", doctor->failed, doctor->failed == 1 ? "thing fails" : "things fail");
    else
        printf("all is well%s\n", doctor->warned ? ", but see the warnings" : "");
    return doctor->failed ? SL_EXIT_FAILED : SL_EXIT_OK;
}

static int examine_config(const struct sl_config *config)
{
    struct sl_doctor doctor = {.config = config, .settings = config->settings};
    sl_doctor_say(&doctor, SL_DOCTOR_OK, "configuration", NULL, "sources %zu, feeds %zu%s",
                  config->source_count, config->feed_count,
                  sl_config_ingests(config) ? "" : "; role apply has nothing to do with sources");
    say_sandbox(&doctor);
    sl_fiber_spawn("doctor", examine, &doctor);
    sl_loop_run();
    sl_dns_close();
    sl_loop_close();
    sl_metric_free_all();
    return conclude(&doctor);
}

int sl_cmd_doctor(const struct sl_options *options)
{
    const char *path;
    int status = SL_EXIT_FAILED;
    const struct sl_config_shape shape = sl_trial_shape(&options->role);
    struct sl_config *config = sl_load_named(options, &shape, &path);
    if (config) {
        sl_log_setup(SL_ERROR, SL_LOG_AUTO); /* the lines on stdout say it all */
        status = examine_config(config);
        sl_config_free(config);
    } else if (path) {
        printf("FAIL  configuration: it cannot be used → mend what is said above\n");
    }
    return status;
}
