/* Who of several processes should work on what: fair, with few moves, the same for all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "source/share_plan.h"

#include <cmocka.h>

enum { SETTLE_MS = 1000, OLD_MS = 5000 };

/* A scene: members and what they want, leases and who has them. */
struct scene {
    struct sl_members seen;
};

static void add_member(struct scene *scene, const char *name, int64_t age_ms, size_t leases)
{
    struct sl_members *seen = &scene->seen;
    seen->members = sl_realloc(seen->members, (seen->member_count + 1) * sizeof *seen->members);
    struct sl_member *member = &seen->members[seen->member_count++];
    *member = (struct sl_member){.age_ms = age_ms, .want_count = leases};
    snprintf(member->name, sizeof member->name, "%s", name);
    member->wants = sl_calloc(leases + 1, sizeof(char *));
    for (size_t i = 0; i < leases; i++) {
        char lease[32];
        snprintf(lease, sizeof lease, "feed:%02zu", i);
        member->wants[i] = sl_strdup(lease);
    }
}

static void hold(struct scene *scene, size_t first, size_t end, const char *holder)
{
    struct sl_members *seen = &scene->seen;
    for (size_t i = first; i < end; i++) {
        seen->holdings =
            sl_realloc(seen->holdings, (seen->holding_count + 1) * sizeof *seen->holdings);
        struct sl_holding *holding = &seen->holdings[seen->holding_count++];
        *holding = (struct sl_holding){.epoch = 1};
        snprintf(holding->lease, sizeof holding->lease, "feed:%02zu", i);
        snprintf(holding->holder, sizeof holding->holder, "%s", holder);
    }
}

static size_t gets(const struct sl_share_plan *plan, const char *member)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->count; i++)
        count += !strcmp(plan->items[i].wanted, member);
    return count;
}

static size_t moves(const struct sl_share_plan *plan)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->count; i++)
        count += plan->items[i].holder && strcmp(plan->items[i].holder, plan->items[i].wanted);
    return count;
}

/* What the plan leads to, as the next plan sees it. */
static void carry_out(struct scene *scene, const struct sl_share_plan *plan)
{
    scene->seen.holding_count = 0;
    for (size_t i = 0; i < plan->count; i++) {
        size_t number = (size_t)strtoul(plan->items[i].lease + 5, NULL, 10);
        hold(scene, number, number + 1, plan->items[i].wanted);
    }
}

static void one_alone_has_everything(void **state)
{
    (void)state;
    struct scene scene = {0};
    add_member(&scene, "a", 0, 5);
    struct sl_share_plan plan = sl_share_plan(&scene.seen, SETTLE_MS);
    assert_int_equal(plan.count, 5);
    assert_int_equal(gets(&plan, "a"), 5);
    assert_non_null(sl_share_plan_find(&plan, "feed:03"));
    assert_null(sl_share_plan_find(&plan, "feed:99"));
    sl_share_plan_done(&plan);
    sl_members_done(&scene.seen);
}

/* For every number of feeds and of processes, after each that comes and goes: nobody has more than
 * one more than another, no more moves than needed, and the next plan moves nothing. */
static void shares_are_fair_and_stay(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "c", "d"};
    for (size_t leases = 0; leases < 13; leases++) {
        struct scene scene = {0};
        for (size_t members = 1; members <= 4; members++) {
            add_member(&scene, names[members - 1], OLD_MS, leases);
            struct sl_share_plan plan = sl_share_plan(&scene.seen, SETTLE_MS);
            for (size_t i = 0; i < members; i++) {
                size_t got = gets(&plan, names[i]);
                assert_true(got == leases / members || got == leases / members + 1);
            }
            assert_true(moves(&plan) <= leases / members);
            carry_out(&scene, &plan);
            sl_share_plan_done(&plan);
            plan = sl_share_plan(&scene.seen, SETTLE_MS);
            assert_int_equal(moves(&plan), 0);
            sl_share_plan_done(&plan);
        }
        sl_members_done(&scene.seen);
    }
}

static void what_a_dead_one_had_is_shared_among_the_rest(void **state)
{
    (void)state;
    struct scene scene = {0};
    add_member(&scene, "b", OLD_MS, 9);
    add_member(&scene, "c", OLD_MS, 9);
    hold(&scene, 0, 3, "a");
    hold(&scene, 3, 6, "b");
    hold(&scene, 6, 9, "c");
    struct sl_share_plan plan = sl_share_plan(&scene.seen, SETTLE_MS);
    assert_int_equal(moves(&plan), 0); /* b and c keep theirs */
    assert_true(gets(&plan, "b") >= 4 && gets(&plan, "c") >= 4);
    assert_null(plan.items[0].holder);
    sl_share_plan_done(&plan);
    sl_members_done(&scene.seen);
}

static void one_that_has_just_begun_gets_what_nobody_has(void **state)
{
    (void)state;
    struct scene scene = {0};
    add_member(&scene, "a", OLD_MS, 6);
    add_member(&scene, "b", 10, 6);
    hold(&scene, 0, 4, "a");
    struct sl_share_plan plan = sl_share_plan(&scene.seen, SETTLE_MS);
    assert_int_equal(moves(&plan), 0);
    assert_int_equal(gets(&plan, "b"), 2);
    sl_share_plan_done(&plan);
    sl_members_done(&scene.seen);
}

static void nobody_gets_what_it_does_not_want(void **state)
{
    (void)state;
    struct scene scene = {0};
    add_member(&scene, "a", OLD_MS, 8);
    add_member(&scene, "b", OLD_MS, 1); /* its configuration has one feed */
    hold(&scene, 0, 8, "a");
    struct sl_share_plan plan = sl_share_plan(&scene.seen, SETTLE_MS);
    for (size_t i = 1; i < plan.count; i++)
        assert_string_equal(plan.items[i].wanted, "a");
    sl_share_plan_done(&plan);
    sl_members_done(&scene.seen);
}

static void the_order_of_what_is_seen_does_not_count(void **state)
{
    (void)state;
    struct scene one = {0}, other = {0};
    add_member(&one, "a", OLD_MS, 7);
    add_member(&one, "b", OLD_MS, 7);
    add_member(&other, "b", OLD_MS, 7);
    add_member(&other, "a", OLD_MS, 7);
    hold(&one, 0, 7, "a");
    hold(&other, 3, 7, "a");
    hold(&other, 0, 3, "a");
    struct sl_share_plan here = sl_share_plan(&one.seen, SETTLE_MS);
    struct sl_share_plan there = sl_share_plan(&other.seen, SETTLE_MS);
    assert_int_equal(moves(&here), 3);
    for (size_t i = 0; i < here.count; i++)
        assert_string_equal(here.items[i].wanted, there.items[i].wanted);
    sl_share_plan_done(&here);
    sl_share_plan_done(&there);
    sl_members_done(&one.seen);
    sl_members_done(&other.seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_alone_has_everything),
        cmocka_unit_test(shares_are_fair_and_stay),
        cmocka_unit_test(what_a_dead_one_had_is_shared_among_the_rest),
        cmocka_unit_test(one_that_has_just_begun_gets_what_nobody_has),
        cmocka_unit_test(nobody_gets_what_it_does_not_want),
        cmocka_unit_test(the_order_of_what_is_seen_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
