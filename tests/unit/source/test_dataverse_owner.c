/* Who waits for the lease of a Dataverse source. */
#include "source/dataverse.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "flow/memory_state.h"
#include "loop/in_fiber.h"

/* A renewal is trusted for three seconds less than this, and the next one comes after a third. */
enum { LEASE_MS = 3200, BEFORE_THE_NEXT_LOOK_MS = 4000 };

/* It is ours all the time, and its keeper comes late: whoever waited goes on with its renewal. */
static void a_renewal_that_came_late(void *arg)
{
    (void)arg;
    static char url[] = "https://crm.example/", tenant[] = "contoso.com", id[] = "1",
                secret[] = "s";
    struct memory memory = {0};
    struct memory_state state = memory_state(&memory, "one");
    struct sl_dataverse_source_settings settings = {
        .url = url,
        .auth = {.tenant = tenant, .client_id = id, .client_secret = secret},
        .request_timeout_ms = 5000,
        .page_size = 5000,
        .budget = { 6000, 1200000,                       300000,                      52, 80},
    };
    const struct sl_source_config source = {.name = "crm", .settings = &settings};
    const struct sl_http_options options = {0};
    struct sl_http *http = sl_http_new(&options, NULL);
    const struct sl_dataverse_env env = {.http = http, .state = &state.state};
    struct sl_err err = {0};
    state.state.lease_ms = LEASE_MS;
    struct sl_dataverse *dataverse = sl_dataverse_new(&env, &source, &err);
    REQUIRE(dataverse != NULL);
    UNTIL(sl_dataverse_epoch(dataverse) == 1);
    UNTIL(!sl_dataverse_epoch(dataverse));
    uint64_t deadline_ms = sl_deadline_in(BEFORE_THE_NEXT_LOOK_MS);
    EXPECT(sl_dataverse_wait_owner(dataverse, deadline_ms) == SL_OK);
    EXPECT(sl_dataverse_epoch(dataverse) == 1);
    sl_dataverse_free(dataverse);
    sl_http_free(http);
    memory_free(&memory);
}

static void test_a_renewal_that_came_late(void **state)
{
    (void)state;
    sl_log_setup(SL_ERROR, SL_LOG_TEXT);
    run_in_fiber(a_renewal_that_came_late, NULL);
}

static int end_all(void **state)
{
    sl_metric_free_all();
    return loop_closes(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_renewal_that_came_late)};
    return cmocka_run_group_tests(tests, NULL, end_all);
}
