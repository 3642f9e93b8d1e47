/* The state in memory, that other tests build on, keeps the promises of the store. */
#include "flow/memory_state.h"
#include "loop/in_fiber.h"

#include "flow/state_checks.h"

static void do_promises(void *arg)
{
    (void)arg;
    struct memory memory = {0};
    struct memory_state one = memory_state(&memory, "one"), two = memory_state(&memory, "two");
    check_checkpoints(&one.state, &two.state);
    check_marks(&one.state, &two.state);
    check_resets(&one.state, &two.state);
    check_suspects(&one.state, &two.state);
    check_refreshes(&one.state, &two.state);
    check_overtakes(&one.state, &two.state);
    check_clock(&one.state, &two.state);
    check_unsettled(&one.state, &two.state);
    check_runs_open(&one.state, &two.state);
    check_runs_expire(&one.state, &two.state);
    check_leases(&one.state, &two.state);
    check_renewals(&one.state, &two.state);
    check_ledger(&one.state);
    memory_free(&memory);
}

static void it_keeps_the_promises_of_the_store(void **state)
{
    (void)state;
    run_in_fiber(do_promises, NULL);
}

static void do_sweep(void *arg)
{
    (void)arg;
    struct memory memory = {0};
    struct memory_state self = memory_state(&memory, "one");
    struct sl_arena arena;
    struct sl_str ids[3];
    struct sl_err err;
    const struct sl_unseen of = {"c", "f", "new", 5};
    uint64_t unseen, live;
    int64_t version;
    unsigned count;
    memory_document_put(&memory, "c", "f", "d", 5, "old", false);
    memory_document_put(&memory, "c", "f", "a", 5, "", false);
    memory_document_put(&memory, "c", "f", "b", 5, "new", false);
    memory_document_put(&memory, "c", "f", "newer", 6, "", false);
    memory_document_put(&memory, "c", "f", "grave", 7, "", true);
    memory_document_put(&memory, "c", "g", "c", 5, "", false);
    memory_document_put(&memory, "x", "f", "c", 9, "", false);
    memory_document_put(&memory, "c", "f", "e", 5, "new", false);
    memory_document_put(&memory, "c", "f", "e", 5, "old", false); /* changed */
    sl_arena_init(&arena, 4096);
    const struct sl_state_type *type = self.state.type;
    EXPECT(type->unseen_count(&self.state, &of, &unseen, &live, &err) == SL_OK);
    EXPECT(unseen == 3 && live == 5);
    EXPECT(type->unseen_ids(&self.state, &of, "", 2, &arena, ids, &count, &err) == SL_OK);
    EXPECT(count == 2 && sl_str_is(ids[0], "a") && sl_str_is(ids[1], "d"));
    EXPECT(type->unseen_ids(&self.state, &of, ids[1].at, 2, &arena, ids, &count, &err) == SL_OK);
    EXPECT(count == 1 && sl_str_is(ids[0], "e"));
    EXPECT(type->version_max(&self.state, "c", &version, &err) == SL_OK && version == 7);
    sl_arena_done(&arena);
    memory_free(&memory);
}

static void it_finds_what_a_full_read_did_not_see(void **state)
{
    (void)state;
    run_in_fiber(do_sweep, NULL);
}

static void do_fail(void *arg)
{
    (void)arg;
    struct memory memory = {0};
    struct memory_state self = memory_state(&memory, "one");
    struct sl_err err;
    self.spared = 1;
    self.failing = 2;
    static const int wanted[] = {SL_OK, SL_CLOSED, SL_CLOSED, SL_OK};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        EXPECT(self.state.type->ping(&self.state, &err) == wanted[i]);
    self.away = true;
    EXPECT(self.state.type->mark_raise(&self.state, "s", 1, 1, NULL, &err) == SL_CLOSED);
    EXPECT(!memory.entries && self.calls == 5);
}

static void it_fails_as_told(void **state)
{
    (void)state;
    run_in_fiber(do_fail, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_keeps_the_promises_of_the_store),
        cmocka_unit_test(it_finds_what_a_full_read_did_not_see),
        cmocka_unit_test(it_fails_as_told),
    };
    return cmocka_run_group_tests(tests, NULL, loop_closes);
}
