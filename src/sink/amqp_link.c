#include "sink/amqp_link.h"

#include "base/log.h"
#include "base/metric.h"

enum {
    ASK_EVERY_MS = 200,   /* for a queue's length, while publishing */
    ASK_SELDOM_MS = 2000, /* while what we have published since is next to nothing */
    ASK_AGAIN_MS = 25,    /* when only our own publishing has filled it since */
    LITTLE_PART = 8,      /* of what a queue may hold: next to nothing */
    ASK_TIMEOUT_MS = 10000,
    CLOSE_TIMEOUT_MS = 800, /* three connections may hang, and an end has ten seconds */
};

void sl_amqp_link_init(struct sl_amqp_link *link, const struct sl_broker *broker)
{
    *link = (struct sl_amqp_link){.broker = broker};
    link->amqp = sl_broker_amqp(broker, "sluice publisher");
    for (unsigned i = 0; i < SL_LANES; i++) {
        struct sl_backlog *lane = &link->lanes[i];
        lane->link = link;
        sl_topology_queue(broker->settings, sl_lane_name((enum sl_lane)i), lane->queue);
        lane->gauge = sl_gauge("broker_backlog_messages", "Messages waiting in the queue.",
                               "queue=\"%s\"", lane->queue);
    }
}

/* --- opening --- */

static void free_channels(struct sl_amqp_link *link)
{
    sl_channel_free(link->publish);
    sl_channel_free(link->watch);
    link->publish = link->watch = NULL;
}

static void stop_asking(struct sl_backlog *lane)
{
    if (lane->asker)
        sl_fiber_cancel(lane->asker);
    while (lane->asker)
        sl_wait(&lane->changed, SL_FOREVER);
}

void sl_amqp_link_done(struct sl_amqp_link *link)
{
    sl_fiber_shield(true);
    for (unsigned i = 0; i < SL_LANES; i++)
        stop_asking(&link->lanes[i]);
    free_channels(link);
    sl_amqp_close(link->amqp, sl_deadline_in(CLOSE_TIMEOUT_MS));
    sl_fiber_shield(false);
    sl_amqp_free(link->amqp);
}

bool sl_amqp_link_ready(const struct sl_amqp_link *link)
{
    return !link->opening && !link->doubtful && link->publish &&
           sl_channel_is_open(link->publish) && link->watch && sl_channel_is_open(link->watch);
}

static int try_open(struct sl_amqp_link *link, struct sl_err *err)
{
    const struct sl_broker_settings *settings = link->broker->settings;
    uint64_t deadline_ms = sl_deadline_in(settings->connect_timeout_ms);
    free_channels(link);
    sl_amqp_close(link->amqp, sl_deadline_in(CLOSE_TIMEOUT_MS));
    link->doubtful = false;

    int rc = sl_amqp_connect(link->amqp, deadline_ms, err);
    if (rc == SL_OK)
        rc = sl_topology_declare(link->amqp, settings, deadline_ms, err);
    if (rc == SL_OK)
        rc = sl_channel_open(link->amqp, NULL, NULL, deadline_ms, &link->publish, err);
    if (rc == SL_OK)
        rc = sl_channel_confirm(link->publish, (unsigned)settings->window,
                                (size_t)settings->window_bytes, deadline_ms, err);
    if (rc == SL_OK)
        rc = sl_channel_open(link->amqp, NULL, NULL, deadline_ms, &link->watch, err);
    if (rc != SL_OK)
        link->doubtful = true;
    return rc;
}

/* Opens as the only one; everybody else who needs the link waits for what comes of it. */
static int open_alone(struct sl_amqp_link *link, struct sl_err *err)
{
    struct sl_err own = {0};
    link->opening = true;
    int rc = try_open(link, &own);
    link->opening = false;
    link->openings++;
    if (rc == SL_OK) {
        if (link->failures)
            sl_log(SL_INFO, "publishing again", SL_T("server", link->broker->address.host));
        link->failures = 0;
        link->trouble = (struct sl_err){0};
    } else if (rc != SL_CANCELED) {
        link->failures++;
        link->retry_ms = sl_deadline_in(sl_broker_backoff_ms(link->failures));
        link->trouble = own;
    }
    sl_wake_all(&link->changed);
    if (rc != SL_OK && err)
        *err = own;
    return rc;
}

int sl_amqp_link_open(struct sl_amqp_link *link, uint64_t deadline_ms, struct sl_err *err)
{
    unsigned before = link->openings;
    while (!sl_amqp_link_ready(link)) {
        if (link->openings != before && link->trouble.code != SL_OK) { /* another one tried */
            if (err)
                *err = link->trouble;
            return link->trouble.code;
        }
        uint64_t now_ms = sl_loop_now_ms();
        bool early = link->failures && now_ms < link->retry_ms;
        if (!link->opening && !early)
            return open_alone(link, err);

        uint64_t until_ms =
            !link->opening && link->retry_ms < deadline_ms ? link->retry_ms : deadline_ms;
        int rc = sl_wait(&link->changed, until_ms);
        if (rc == SL_CANCELED)
            return sl_err_set(err, rc, "cancelled while connecting to RabbitMQ");
        if (rc == SL_TIMEOUT && sl_loop_now_ms() >= deadline_ms) {
            if (link->trouble.code == SL_OK)
                return sl_err_set(err, SL_TIMEOUT, "RabbitMQ: no connection in time");
            if (err)
                *err = link->trouble;
            return link->trouble.code;
        }
    }
    return SL_OK;
}

/* --- waiting for one's turn --- */

static bool is_full(const struct sl_amqp_link *link, const struct sl_backlog *lane)
{
    return lane->messages + lane->published >= link->broker->settings->max_backlog;
}

/* What we have published since we know is next to nothing. */
static bool is_quiet(const struct sl_amqp_link *link, const struct sl_backlog *lane)
{
    uint32_t most = (uint32_t)link->broker->settings->max_backlog;
    return lane->asked_ms && !is_full(link, lane) && lane->published < most / LITTLE_PART;
}

static uint64_t ask_due_ms(const struct sl_amqp_link *link, const struct sl_backlog *lane)
{
    uint32_t most = (uint32_t)link->broker->settings->max_backlog;
    bool full = is_full(link, lane);
    bool by_us = full && lane->messages < most && lane->published > lane->unconfirmed;
    uint64_t every_ms = by_us ? ASK_AGAIN_MS : is_quiet(link, lane) ? ASK_SELDOM_MS : ASK_EVERY_MS;
    return lane->asked_ms ? lane->asked_ms + every_ms : 0;
}

static int ask(struct sl_amqp_link *link, struct sl_backlog *lane, struct sl_err *err)
{
    struct sl_queue_state state = {0};
    uint32_t known = lane->published - lane->unconfirmed; /* the broker may not count the others */
    unsigned before = link->openings;
    lane->asking = true;
    int rc = sl_channel_queue_state(link->watch, lane->queue, sl_deadline_in(ASK_TIMEOUT_MS),
                                    &state, err);
    lane->asking = false;
    lane->told = rc == SL_OK;
    lane->asked_ms = sl_loop_now_ms();
    if (rc == SL_OK) {
        lane->messages = state.messages;
        lane->consumers = state.consumers;
        lane->published -= known;
        sl_metric_set(lane->gauge, state.messages);
    } else if (rc != SL_CANCELED && !link->opening && link->openings == before &&
               !sl_amqp_blocked(link->amqp)) {
        link->doubtful = true; /* the queue is gone, or the broker hangs */
    }
    sl_wake_all(&lane->changed);
    return rc == SL_CANCELED ? rc : SL_OK;
}

static void run_asker(void *arg)
{
    struct sl_backlog *lane = arg;
    if (sl_amqp_link_ready(lane->link))
        ask(lane->link, lane, NULL);
    lane->asker = NULL;
    sl_wake_all(&lane->changed);
}

static int wait_unblocked(struct sl_amqp_link *link, struct sl_err *err)
{
    int rc = sl_amqp_wait_unblocked(link->amqp, SL_FOREVER);
    return rc == SL_OK ? rc : sl_err_set(err, rc, "cancelled while RabbitMQ blocks publishing");
}

int sl_amqp_link_wait_turn(struct sl_amqp_link *link, enum sl_lane which, uint64_t deadline_ms,
                           struct sl_err *err)
{
    struct sl_backlog *lane = &link->lanes[which];
    for (;;) {
        int rc = wait_unblocked(link, err);
        if (rc != SL_OK)
            return rc;
        if (!sl_amqp_link_ready(link))
            return sl_err_set(err, SL_CLOSED, "the connection to RabbitMQ was lost");
        uint64_t due_ms = ask_due_ms(link, lane);
        bool asking = lane->asking || lane->asker, due = !asking && sl_loop_now_ms() >= due_ms;
        if (due && is_quiet(link, lane)) { /* nobody need wait for the answer */
            lane->asker = sl_fiber_spawn("backlog", run_asker, lane);
        } else if (due) {
            rc = ask(link, lane, err);
            if (rc != SL_OK)
                return rc;
            continue;
        }
        if (!is_full(link, lane)) {
            lane->published++;
            lane->unconfirmed++;
            return SL_OK;
        }
        if (sl_loop_now_ms() >= deadline_ms)
            return sl_err_set(err, SL_THROTTLED, "queue '%s' is full: %u messages are in it",
                              lane->queue, lane->messages);
        rc = sl_wait(&lane->changed, asking || due_ms > deadline_ms ? deadline_ms : due_ms);
        if (rc == SL_CANCELED)
            return sl_err_set(err, rc, "cancelled while queue '%s' is full", lane->queue);
    }
}

void sl_amqp_link_end_turn(struct sl_amqp_link *link, enum sl_lane lane)
{
    link->lanes[lane].unconfirmed--;
    sl_wake_all(&link->lanes[lane].changed); /* there is something to ask for */
}

int sl_amqp_link_look(struct sl_amqp_link *link, enum sl_lane which, struct sl_queue_state *ret,
                      struct sl_err *err)
{
    struct sl_backlog *lane = &link->lanes[which];
    while (lane->asking || lane->asker)
        if (sl_wait(&lane->changed, SL_FOREVER) == SL_CANCELED)
            return sl_err_set(err, SL_CANCELED, "cancelled");
    if (!sl_amqp_link_ready(link))
        return sl_err_set(err, SL_CLOSED, "the connection to RabbitMQ was lost");
    if (ask(link, lane, err) == SL_CANCELED)
        return SL_CANCELED;
    if (!lane->told || !sl_amqp_link_ready(link)) /* also when RabbitMQ blocks the connection */
        return sl_err_set(err, SL_CLOSED, "RabbitMQ does not tell of queue '%s'", lane->queue);
    *ret = (struct sl_queue_state){lane->messages, lane->consumers};
    return SL_OK;
}
