#include "cli/session.h"

#include <stdio.h>

#include "base/log.h"
#include "base/metric.h"
#include "cli/load.h"
#include "loop/dns.h"
#include "loop/fiber.h"
#include "mongo/client.h"
#include "store/store.h"

enum { PING_MS = 5000 };

struct running {
    struct sl_session session;
    int (*work)(struct sl_session *session);
    int status;
};

int sl_session_fail(const struct sl_err *err)
{
    fflush(stdout);
    fprintf(stderr, "sluice: %s\n", err->message);
    return SL_EXIT_FAILED;
}

struct sl_state *sl_session_state(struct sl_session *session)
{
    struct sl_err err = {0};
    const struct sl_mongo_settings *settings = &session->settings->mongo;
    if (session->state)
        return session->state;
    session->mongo = sl_mongo_new(settings, &err);
    if (session->mongo && sl_mongo_ping(session->mongo, sl_deadline_in(PING_MS), &err) == SL_OK)
        session->state = sl_store_new(session->mongo, settings, &err);
    if (!session->state)
        sl_session_fail(&err);
    return session->state;
}

struct sl_broker *sl_session_broker(struct sl_session *session)
{
    struct sl_err err = {0};
    if (!session->broker)
        session->broker = sl_broker_new(&session->settings->broker, &err);
    if (!session->broker)
        sl_session_fail(&err);
    return session->broker;
}

static void run(void *arg)
{
    struct running *running = arg;
    struct sl_session *session = &running->session;
    running->status = running->work(session);
    if (session->state)
        session->state->type->close(session->state);
    sl_mongo_free(session->mongo);
    sl_broker_free(session->broker);
}

int sl_session_run(const struct sl_options *options, int (*work)(struct sl_session *session))
{
    struct running running = {.session.options = options, .work = work};
    struct sl_config *config = sl_load_named(options, &sl_registry_shape, NULL);
    if (!config)
        return SL_EXIT_FAILED;
    running.session.config = config;
    running.session.settings = config->settings;
    sl_log_setup(SL_ERROR, SL_LOG_AUTO); /* what there is to say is printed */
    sl_fiber_spawn("command", run, &running);
    sl_loop_run();
    sl_dns_close();
    sl_loop_close();
    sl_metric_free_all();
    sl_config_free(config);
    return running.status;
}
