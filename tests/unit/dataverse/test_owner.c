/* Who waits for the lease of a Dataverse source, and what its owner knows of those before. */
#include "dataverse/dataverse_own.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "flow/memory_state.h"
#include "loop/in_fiber.h"

/* A renewal is trusted for three seconds less than this, and the next one comes after a third. */
enum { LEASE_MS = 3200, BEFORE_THE_NEXT_LOOK_MS = 4000 };

struct rig {
    struct memory memory;
    struct memory_state state;
    struct sl_dataverse_source_settings settings;
    struct sl_source_config source;
    struct sl_http *http;
    struct sl_dataverse *dataverse;
};

static void set_up(struct rig *rig)
{
    static char url[] = "https://crm.example/", tenant[] = "contoso.com", id[] = "1",
                secret[] = "s";
    rig->state = memory_state(&rig->memory, "one");
    rig->state.state.lease_ms = LEASE_MS;
    rig->settings = (struct sl_dataverse_source_settings){
        .url = url,
        .auth = {.tenant = tenant, .client_id = id, .client_secret = secret},
        .request_timeout_ms = 5000,
        .page_size = 5000,
        .budget = { 6000, 1200000,                       300000,                      52, 80},
    };
    rig->source = (struct sl_source_config){.name = "crm", .settings = &rig->settings};
}

static void start(struct rig *rig)
{
    const struct sl_http_options options = {0};
    struct sl_err err = {0};
    rig->http = sl_http_new(&options, NULL);
    const struct sl_dataverse_env env = {.http = rig->http, .state = &rig->state.state};
    rig->dataverse = sl_dataverse_new(&env, &rig->source, &err);
    UNTIL(rig->dataverse && sl_dataverse_epoch(rig->dataverse) == 1);
}

static void tear_down(struct rig *rig)
{
    sl_dataverse_free(rig->dataverse);
    sl_http_free(rig->http);
    memory_free(&rig->memory);
}

/* It is ours all the time, and its keeper comes late: whoever waited goes on with its renewal. */
static void a_renewal_that_came_late(void *arg)
{
    struct rig *rig = arg;
    set_up(rig);
    start(rig);
    UNTIL(!sl_dataverse_epoch(rig->dataverse));
    uint64_t deadline_ms = sl_deadline_in(BEFORE_THE_NEXT_LOOK_MS);
    EXPECT(sl_dataverse_wait_owner(rig->dataverse, deadline_ms) == SL_OK);
    EXPECT(sl_dataverse_epoch(rig->dataverse) == 1);
    tear_down(rig);
}

static int mark_of_old(struct sl_state *state, const char *source, struct sl_mark *ret,
                       struct sl_err *err)
{
    (void)state, (void)source, (void)err;
    *ret = (struct sl_mark){.value = 5, .offset = 0};
    return SL_OK;
}

/* Questions are answered by a server that has been outvoted, writes by the new one. */
static void what_was_read_before_is_told_by_the_write(void *arg)
{
    struct rig *rig = arg;
    struct sl_err err;
    int64_t offset;
    set_up(rig);
    struct sl_state *state = &rig->state.state;
    struct sl_state_type type = *state->type;
    EXPECT(type.mark_reset(state, "crm", "a restore", 700, 0, &offset, &err) == SL_OK);
    EXPECT(type.mark_raise(state, "crm", 1000, 0, NULL, &err) == SL_OK);
    type.mark_get = mark_of_old;
    state->type = &type;
    start(rig);
    const struct sl_dataverse_counter *counter = sl_dv_counter_of(rig->dataverse, "account");
    EXPECT(sl_dv_greatest(counter) == 1000 && sl_dv_offset(counter) == 701);
    tear_down(rig);
}

static void run_case(void (*fn)(void *))
{
    struct rig *rig = calloc(1, sizeof *rig);
    run_in_fiber(fn, rig);
    free(rig);
}

static void test_a_renewal_that_came_late(void **state)
{
    (void)state;
    run_case(a_renewal_that_came_late);
}

static void test_what_was_read_before_is_told_by_the_write(void **state)
{
    (void)state;
    run_case(what_was_read_before_is_told_by_the_write);
}

static int end_all(void **state)
{
    sl_metric_free_all();
    return loop_closes(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_renewal_that_came_late),
        cmocka_unit_test(test_what_was_read_before_is_told_by_the_write),
    };
    sl_log_setup(SL_ERROR, SL_LOG_TEXT);
    return cmocka_run_group_tests(tests, NULL, end_all);
}
