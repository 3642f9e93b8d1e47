/* What full reads have overtaken: how old an answer of the state may be, and
 * what it means for a message. */
#include "flow/overtaken.h"

#include <stdlib.h>
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

/* --- what is overtaken --- */

static int tell_three(struct sl_state *state, struct sl_overtake **ret, size_t *ret_count,
                      struct sl_err *err)
{
    static const struct sl_overtake told[] = {
        {"vendors",    7, 3},
        {"vendors-eu", 1, 0},
        {"zones",      0, 0},
    };
    (void)state, (void)err;
    *ret = malloc(sizeof told);
    memcpy(*ret, told, sizeof told);
    *ret_count = sizeof told / sizeof *told;
    return SL_OK;
}

static const struct sl_state_type three_type = {.overtakes = tell_three};

static const struct {
    const char *what, *feed, *run, *seen;
    bool overtaken;
} cases[] = {
    {"an older run",                   "vendors",    "vendors-000006",    NULL,                  true },
    {"the run that a full read ended", "vendors",    "vendors-000007",    NULL,                  true },
    {"a newer run",                    "vendors",    "vendors-000008",    NULL,                  false},
    {"the only run of a feed",         "vendors-eu", "vendors-eu-000001", NULL,                  true },
    {"another feed's run",             "vendors",    "vendors-eu-000001", NULL,                  false},
    {"a run named alike",              "vendors",    "vendors_000001",    NULL,                  false},
    {"a run of posted rows",           "vendors",    "posts-000001",      NULL,                  false},
    {"a run with more to its name",    "vendors",    "vendors-000001x",   NULL,                  false},
    {"a feed never read in full",      "accounts",   "accounts-000001",   NULL,                  false},
    {"before the first run",           "zones",      "zones-000001",      NULL,                  false},
    {"an older full read",             "vendors",    "vendors-000008",    "vendors-full-000002", true },
    {"the full read itself",           "vendors",    "vendors-000008",    "vendors-full-000003", false},
    {"a newer full read",              "vendors",    "vendors-000008",    "vendors-full-000004", false},
    {"a full read that is its run",    "vendors",    "vendors-000008",    "vendors-000008",      false},
    {"a full read without a number",   "vendors",    "vendors-000008",    "full",                false},
};

static void judge(void *arg)
{
    (void)arg;
    struct sl_state state = {.type = &three_type};
    struct sl_overtaken *overtaken = sl_overtaken_new(&state);
    const struct sl_origin early = {.feed = "vendors", .run = "vendors-000001"};
    EXPECT(!sl_overtaken_has(overtaken, &early, NULL)); /* nothing is known yet */
    REQUIRE(sl_overtaken_refresh(overtaken, NULL) == SL_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct sl_origin origin = {
            .feed = cases[i].feed, .run = cases[i].run, .seen = cases[i].seen};
        expect_at(sl_overtaken_has(overtaken, &origin, NULL) == cases[i].overtaken, cases[i].what,
                  __FILE__, __LINE__);
    }
    sl_overtaken_free(overtaken);
}

static void older_runs_and_older_full_reads_are_overtaken(void **state)
{
    (void)state;
    run_in_fiber(judge, NULL);
}

static void judge_letters(void *arg)
{
    (void)arg;
    struct sl_state state = {.type = &three_type};
    struct sl_overtaken *overtaken = sl_overtaken_new(&state);
    REQUIRE(sl_overtaken_refresh(overtaken, NULL) == SL_OK);
    const struct sl_origin replay = {
        .feed = "vendors", .run = "replay-000001", .seen = "vendors-full-000002"};
    EXPECT(sl_overtaken_has(overtaken, &replay, &(struct sl_letter_ref){.run = "vendors-000007"}));
    EXPECT(!sl_overtaken_has(overtaken, &replay, &(struct sl_letter_ref){.run = "vendors-000008"}));
    sl_overtaken_free(overtaken);
}

static void a_replayed_row_is_as_old_as_its_letter(void **state)
{
    (void)state;
    run_in_fiber(judge_letters, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slow_answer_is_good_for_who_asked),
        cmocka_unit_test(who_asks_often_asks_the_state_once),
        cmocka_unit_test(older_runs_and_older_full_reads_are_overtaken),
        cmocka_unit_test(a_replayed_row_is_as_old_as_its_letter),
    };
    return cmocka_run_group_tests(tests, NULL, loop_closes);
}
