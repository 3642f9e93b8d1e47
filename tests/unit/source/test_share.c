/* Sharing with other processes: who sleeps under a lease that another one shall have is woken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "flow/memory_state.h"
#include "loop/in_fiber.h"
#include "source/share.h"

#include <cmocka.h>

enum { LEASE_MS = 300, OLD_MS = 60 * 1000, SHARED = 2 };

static const char *const leases[SHARED] = {"feed:a", "feed:b"};
static bool two_is_there;

static void add_member(struct sl_members *seen, const char *name)
{
    struct sl_member *member = &seen->members[seen->member_count++];
    *member = (struct sl_member){.age_ms = OLD_MS, .want_count = SHARED};
    snprintf(member->name, sizeof member->name, "%s", name);
    member->wants = sl_calloc(SHARED, sizeof(char *));
    for (size_t i = 0; i < SHARED; i++)
        member->wants[i] = sl_strdup(leases[i]);
}

/* "one" holds both; "two" wants them as well, as soon as it is there. */
static int beat(struct sl_state *state, const char *const *wants, size_t count, uint64_t ttl_ms,
                struct sl_members *ret, struct sl_err *err)
{
    (void)state, (void)wants, (void)count, (void)ttl_ms, (void)err;
    struct sl_members seen = {.members = sl_calloc(2, sizeof *seen.members),
                              .holdings = sl_calloc(SHARED, sizeof *seen.holdings),
                              .holding_count = SHARED};
    for (size_t i = 0; i < SHARED; i++) {
        seen.holdings[i].epoch = 1;
        snprintf(seen.holdings[i].lease, sizeof seen.holdings[i].lease, "%s", leases[i]);
        snprintf(seen.holdings[i].holder, sizeof seen.holdings[i].holder, "one");
    }
    add_member(&seen, "one");
    if (two_is_there)
        add_member(&seen, "two");
    *ret = seen;
    return SL_OK;
}

static void wakes_who_must_give(void *arg)
{
    struct memory memory = {0};
    struct memory_state one = memory_state(&memory, "one");
    struct sl_state_type type = *one.state.type;
    struct sl_waitlist wake = {0};
    struct sl_lease held[SHARED] = {0};
    (void)arg;
    type.member_beat = beat;
    one.state.type = &type;
    one.state.lease_ms = LEASE_MS;
    struct sl_share *share = sl_share_new(&one.state, leases, SHARED);
    for (size_t i = 0; i < SHARED; i++) {
        snprintf(held[i].name, sizeof held[i].name, "%s", leases[i]);
        held[i].held = true;
        sl_share_watch(share, &held[i], &wake);
    }
    EXPECT(sl_wait(&wake, sl_deadline_in(LEASE_MS)) == SL_TIMEOUT); /* alone, it keeps both */
    two_is_there = true;
    EXPECT(sl_wait(&wake, sl_deadline_in(5000)) == SL_OK);
    EXPECT(sl_share_must_give(share, &held[0]) != sl_share_must_give(share, &held[1]));

    for (size_t i = 0; i < SHARED; i++)
        sl_share_watch(share, &held[i], NULL);
    EXPECT(sl_wait(&wake, sl_deadline_in(LEASE_MS)) == SL_TIMEOUT); /* nobody asks any more */
    sl_share_free(share);
    memory_free(&memory);
}

static void test_who_must_give_a_lease_is_woken(void **state)
{
    (void)state;
    run_in_fiber(wakes_who_must_give, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_who_must_give_a_lease_is_woken)};
    return cmocka_run_group_tests(tests, NULL, loop_closes);
}
