/* Since when RabbitMQ takes no events, by which posts wait for it. */
#include "webhook/post.c" // NOLINT(bugprone-suspicious-include): it keeps that to itself

#include <stdlib.h>

#include "base/mem.h"
#include "dataverse/dataverse_own.h"
#include "loop/in_fiber.h"

enum { EPOCH = 3, CONCURRENCY = 8, DEADLINE_MS = 60 * 1000 };

struct rig {
    struct sl_dataverse_source_settings reader;
    struct sl_dataverse dataverse, *doorbell[2];
    struct sl_webhook_feed_settings settings;
    struct sl_webhook_feed feed;
    struct sl_webhook webhook;
    struct sl_webhook_row row;
    struct sl_webhook_event event;
    bool answered, queued;
    int rc;
};

/* A process that owns the environment and is connected, so that rows are read at once. */
static void set_up(struct rig *rig)
{
    static char table[] = "visit";
    rig->reader.budget.concurrency = CONCURRENCY;
    rig->dataverse = (struct sl_dataverse){.epoch = EPOCH,
                                           .owned_till_ms = sl_deadline_in(60 * 1000),
                                           .remote = {.settings = &rig->reader}};
    rig->doorbell[0] = &rig->dataverse;
    rig->settings = (struct sl_webhook_feed_settings){.table = table};
    rig->feed = (struct sl_webhook_feed){
        .webhook = &rig->webhook, .settings = &rig->settings, .epoch = EPOCH};
    rig->webhook = (struct sl_webhook){.doorbell = rig->doorbell,
                                       .feeds = &rig->feed,
                                       .epoch = EPOCH,
                                       .in.up = true,
                                       .out.up = true};
    rig->row = (struct sl_webhook_row){"visit", "60c4e274-0d87-4e11-80e5-00155db19e6d"};
    rig->event = (struct sl_webhook_event){
        .table = "visit", .asynchronous = true, .rows = &rig->row, .row_count = 1};
}

/* Gives the reading of the row, which is under way when the post comes. */
static struct sl_hook_job *begin_reading(struct rig *rig)
{
    const struct sl_hook_pair pair = {.row = rig->row};
    rig->webhook.running = CONCURRENCY; /* so that nobody is really asked */
    sl_hook_jobs_add(&rig->feed, &pair, 0, NULL);
    struct sl_hook_job *job = rig->webhook.first_due;
    rig->webhook.first_due = rig->webhook.last_due = NULL;
    rig->webhook.running = 1;
    return job;
}

static void run_post(void *arg)
{
    struct rig *rig = arg;
    struct sl_err err;
    rig->rc = take(&rig->webhook, &rig->event, &rig->queued, &err);
    rig->answered = true;
}

static void a_row_that_was_read_at_once(void *arg)
{
    struct rig *rig = arg;
    set_up(rig);
    struct sl_hook_job *job = begin_reading(rig);
    sl_fiber_spawn("post", run_post, rig);
    UNTIL(job->waiting);
    sl_hook_claims_end(&rig->webhook, job->waiting, true);
    job->waiting = NULL;
    UNTIL(rig->answered);
    EXPECT(rig->rc == SL_OK && !rig->queued);
    EXPECT(!rig->webhook.failing_since_ms);
    rig->webhook.first_due = job;
    sl_hook_jobs_drop(&rig->webhook);
}

/* The next one that must be queued has all of its time. */
static void test_a_row_that_was_read_at_once_is_no_failure_of_rabbitmq(void **state)
{
    (void)state;
    struct rig *rig = SL_NEW(struct rig);
    run_in_fiber(a_row_that_was_read_at_once, rig);
    free(rig);
}

static char told[800];
static unsigned times;

static void on_raise(enum sl_alert_kind kind, const char *subject, const char *title,
                     const char *text)
{
    times += kind == SL_ALERT_NOTICE && !strcmp(subject, "visits") && title[0];
    snprintf(told, sizeof told, "%s", text);
}

static void post_refused(struct rig *rig, int number)
{
    snprintf(rig->row.id, sizeof rig->row.id, "%08d-0d87-4e11-80e5-00155db19e6d", number);
    note_missed(&rig->feed, &rig->event);
}

static void post_again(struct rig *rig, int number)
{
    snprintf(rig->row.id, sizeof rig->row.id, "%08d-0d87-4e11-80e5-00155db19e6d", number);
    sl_hook_missed_taken(&rig->feed, &rig->event);
}

static void begin_missing(struct rig *rig)
{
    static const struct sl_alerter alerter = {.raise = on_raise};
    static const struct sl_feed_config config = {.name = "visits"};
    set_up(rig);
    rig->webhook.env.alerter = &alerter;
    rig->feed.config = &config;
    rig->settings.ledger_deadline_ms = DEADLINE_MS;
    times = 0;
}

static void events_that_were_answered_503(void *arg)
{
    struct rig *rig = arg;
    uint64_t wait_ms = SL_FOREVER;
    begin_missing(rig);
    post_refused(rig, 1);
    post_refused(rig, 2);
    post_refused(rig, 2);
    post_refused(rig, 3);
    post_again(rig, 1); /* the retry of the first one */
    sl_hook_missed_tell_due(&rig->feed, &wait_ms);
    EXPECT(!times && wait_ms == rig->feed.missed.tell_ms);
    rig->feed.missed.tell_ms = sl_loop_now_ms();
    sl_hook_missed_tell_due(&rig->feed, &wait_ms);
    EXPECT(times == 1 && strstr(told, "table visit") && strstr(told, "2 so far") &&
           strstr(told, "0000000"));
    EXPECT(!rig->feed.missed.tell_ms);

    post_refused(rig, 4); /* and the retry is taken */
    post_again(rig, 4);
    sl_hook_missed_tell(&rig->feed);
    EXPECT(times == 1);

    for (int i = 0; i < 1000; i++)
        post_refused(rig, i);
    sl_hook_missed_tell(&rig->feed); /* one for all of them, and none is left */
    sl_hook_missed_tell(&rig->feed);
    EXPECT(times == 2 && strstr(told, "(1002 so far, one is "));
}

/* With so many, retries of the last ones cannot be told from others: nothing is made of their
 * number, and they are told all the same. */
static void too_many_that_were_answered_503(void *arg)
{
    struct rig *rig = arg;
    begin_missing(rig);
    for (int i = 0; i < 1500; i++)
        post_refused(rig, i);
    for (int i = 0; i < 1000; i++)
        post_again(rig, i);
    sl_hook_missed_tell(&rig->feed);
    EXPECT(times == 1 && strstr(told, "(unknown how many; of more than 1000 at a time"));

    for (int i = 0; i < 1500; i++)
        post_refused(rig, i);
    for (int i = 0; i < 1500; i++)
        if (i != 7)
            post_again(rig, i);
    sl_hook_missed_tell(&rig->feed);
    EXPECT(times == 2 && strstr(told, "(at least 1 so far, one is 00000007-"));
}

/* A retry has its time after each of them, but people are told some day. */
static void events_that_are_answered_503_for_long(void *arg)
{
    struct rig *rig = arg;
    struct sl_hook_missed *missed = &rig->feed.missed;
    uint64_t wait_ms = SL_FOREVER;
    begin_missing(rig);
    post_refused(rig, 1);
    uint64_t latest_ms = missed->latest_ms;
    EXPECT(latest_ms == missed->tell_ms + 3 * DEADLINE_MS);
    missed->tell_ms = sl_loop_now_ms();
    post_refused(rig, 2);
    EXPECT(missed->tell_ms >= sl_loop_now_ms() + DEADLINE_MS && missed->latest_ms == latest_ms);
    missed->latest_ms = sl_loop_now_ms();
    post_refused(rig, 3);
    sl_hook_missed_tell_due(&rig->feed, &wait_ms);
    EXPECT(times == 1 && strstr(told, "(3 so far"));

    post_refused(rig, 4);
    post_again(rig, 4); /* counted anew from the next one */
    EXPECT(!missed->tell_ms);
    sl_hook_missed_tell(&rig->feed);
}

static void test_events_that_no_retry_brought_are_told_together(void **state)
{
    (void)state;
    struct rig *rig = SL_NEW(struct rig);
    run_in_fiber(events_that_were_answered_503, rig);
    free(rig);
}

static void test_too_many_events_that_no_retry_brought_are_told(void **state)
{
    (void)state;
    struct rig *rig = SL_NEW(struct rig);
    run_in_fiber(too_many_that_were_answered_503, rig);
    free(rig);
}

static void test_events_that_no_retry_brought_have_time_and_are_told_some_day(void **state)
{
    (void)state;
    struct rig *rig = SL_NEW(struct rig);
    run_in_fiber(events_that_are_answered_503_for_long, rig);
    free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_row_that_was_read_at_once_is_no_failure_of_rabbitmq),
        cmocka_unit_test(test_events_that_no_retry_brought_are_told_together),
        cmocka_unit_test(test_too_many_events_that_no_retry_brought_are_told),
        cmocka_unit_test(test_events_that_no_retry_brought_have_time_and_are_told_some_day)};
    return cmocka_run_group_tests(tests, NULL, loop_closes);
}
