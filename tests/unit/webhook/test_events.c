/* When the queue of events is to be consumed. */
#include "webhook/webhook_own.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include "dataverse/dataverse_own.h"

#include <cmocka.h>

static const struct {
    const char *name;
    int64_t epoch; /* the environment's, 0: another's */
    bool up;       /* the link, since epoch 3 */
    bool broken;   /* a feed */
    bool wanted;
} rows[] = {
    {"another's environment",                                             0, false, false, false},
    {"ours",                                                              3, false, false, true },
    {"ours, and a feed is to be taken up anew",                           3, false, true,  true },
    {"up",                                                                3, true,  false, true },
    {"lost",                                                              0, true,  false, false},
    {"ours again in another epoch",                                       4, true,  false, false},
    {"ours again in the same epoch, before anybody saw that it was lost", 3, true,  true,  false},
};

static void test_wanted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sl_dataverse dataverse = {.epoch = rows[i].epoch,
                                         .owned_till_ms = sl_deadline_in(60 * 1000)};
        struct sl_dataverse *doorbell[] = {&dataverse, NULL};
        struct sl_webhook_feed whole = {.epoch = 3}, feed = {.next = &whole};
        struct sl_webhook webhook = {.doorbell = doorbell, .feeds = &feed, .epoch = 3};
        webhook.in.up = rows[i].up;
        whole.broken = rows[i].broken;
        if (sl_hook_in_type.wanted(&webhook) != rows[i].wanted)
            fail_msg("%s", rows[i].name);
    }
    assert_int_equal(sl_loop_close(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_wanted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
