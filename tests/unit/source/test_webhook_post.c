/* Since when RabbitMQ takes no events, by which posts wait for it. */
#include "source/webhook_post.c" // NOLINT(bugprone-suspicious-include): it keeps that to itself

#include <stdlib.h>

#include "base/mem.h"
#include "loop/in_fiber.h"
#include "source/dataverse_own.h"

enum { EPOCH = 3, CONCURRENCY = 8 };

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_row_that_was_read_at_once_is_no_failure_of_rabbitmq)};
    return cmocka_run_group_tests(tests, NULL, loop_closes);
}
