/* What full reads have overtaken: how old an answer of the state may be. */
#include "flow/overtaken.h"

#include <string.h>

#include "flow/state.h"
#include "loop/in_fiber.h"

enum { SLOW_MS = SL_OVERTAKEN_FRESH_MS + 200, LATE_MS = 500 };

/* It knows nothing. */
struct slow_state {
    struct sl_state state;
    uint64_t answer_ms; /* each takes so long */
    unsigned asked;
    int rc;
};

static int answer(struct sl_state *state, struct sl_overtake **ret, size_t *ret_count,
                  struct sl_err *err)
{
    struct slow_state *self = (struct slow_state *)state;
    self->asked++;
    if (sl_fiber_sleep(self->answer_ms) != SL_OK)
        return sl_err_set(err, SL_CANCELED, "cancelled");
    if (self->rc != SL_OK)
        return sl_err_set(err, self->rc, "the state is away");
    *ret = NULL;
    *ret_count = 0;
    return SL_OK;
}

static const struct sl_state_type slow_type = {.overtakes = answer};

struct asker {
    struct sl_overtaken *overtaken;
    struct sl_err err;
    int rc;
    bool over;
};

static void refresh(void *arg)
{
    struct asker *asker = arg;
    asker->rc = sl_overtaken_refresh(asker->overtaken, &asker->err);
    asker->over = true;
}

static void take_a_slow_answer(void *arg)
{
    (void)arg;
    struct slow_state state = {.state.type = &slow_type, .answer_ms = SLOW_MS};
    struct sl_overtaken *overtaken = sl_overtaken_new(&state.state);
    struct asker first = {.overtaken = overtaken}, second = first;
    struct sl_fiber *one = sl_fiber_spawn_joinable("first", refresh, &first);
    sl_fiber_sleep(LATE_MS);
    struct sl_fiber *two = sl_fiber_spawn_joinable("second", refresh, &second);
    sl_fiber_sleep(SLOW_MS - LATE_MS - 100);
    EXPECT(!first.over && !second.over && state.asked == 1);
    UNTIL(first.over);
    sl_fiber_sleep(100);
    EXPECT(!second.over && state.asked == 2); /* that answer is too old for who came later */
    UNTIL(second.over);
    EXPECT(first.rc == SL_OK && second.rc == SL_OK);
    sl_fiber_end(&one);
    sl_fiber_end(&two);
    sl_overtaken_free(overtaken);
}

static void a_slow_answer_is_good_for_who_asked(void **state)
{
    (void)state;
    run_in_fiber(take_a_slow_answer, NULL);
}

static void ask_often(void *arg)
{
    (void)arg;
    struct slow_state state = {.state.type = &slow_type, .rc = SL_CLOSED};
    struct sl_overtaken *overtaken = sl_overtaken_new(&state.state);
    struct sl_err err = {0};
    EXPECT(sl_overtaken_refresh(overtaken, &err) == SL_CLOSED);
    EXPECT(!strcmp(err.message, "the state is away"));
    state.rc = SL_OK;
    for (int i = 0; i < 5; i++)
        EXPECT(sl_overtaken_refresh(overtaken, &err) == SL_OK);
    EXPECT(state.asked == 2);
    sl_overtaken_free(overtaken);
}

static void who_asks_often_asks_the_state_once(void **state)
{
    (void)state;
    run_in_fiber(ask_often, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slow_answer_is_good_for_who_asked),
        cmocka_unit_test(who_asks_often_asks_the_state_once),
    };
    return cmocka_run_group_tests(tests, NULL, loop_closes);
}
