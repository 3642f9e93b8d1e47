#include "source/share_plan.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* What is known of a member while a plan is made. */
struct load {
    const struct sl_member *member;
    size_t holds, share; /* leases that it has; that it should have */
    size_t planned;      /* … that it gets so far */
};

struct planning {
    const struct sl_members *seen;
    struct sl_share_plan plan;
    struct load *loads; /* one a member, in their order */
};

/* --- names --- */

/* FNV-1a over both names, mixed: the weight of a pair. */
static uint64_t weight(const char *member, const char *lease)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (const char *at = member; *at; at++)
        hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
    hash = (hash ^ 0xff) * UINT64_C(0x100000001b3);
    for (const char *at = lease; *at; at++)
        hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
    hash = (hash ^ (hash >> 33)) * UINT64_C(0xff51afd7ed558ccd);
    return hash ^ (hash >> 33);
}

static int by_text(const void *key, const void *text)
{
    return strcmp(key, *(char *const *)text);
}

static bool wants(const struct sl_member *member, const char *lease)
{
    return member->want_count &&
           bsearch(lease, member->wants, member->want_count, sizeof(char *), by_text);
}

static int by_lease(const void *a, const void *b)
{
    return strcmp(((const struct sl_share_planned *)a)->lease,
                  ((const struct sl_share_planned *)b)->lease);
}

static int by_name(const void *key, const void *item)
{
    return strcmp(key, ((const struct sl_share_planned *)item)->lease);
}

/* All that anybody wants, each once. */
static struct sl_share_plan list_leases(const struct sl_members *seen)
{
    struct sl_share_plan plan = {0};
    size_t all = 0;
    for (size_t i = 0; i < seen->member_count; i++)
        all += seen->members[i].want_count;
    plan.items = sl_calloc(all + 1, sizeof *plan.items);
    for (size_t i = 0; i < seen->member_count; i++)
        for (size_t j = 0; j < seen->members[i].want_count; j++)
            plan.items[plan.count++].lease = seen->members[i].wants[j];
    qsort(plan.items, plan.count, sizeof *plan.items, by_lease);
    size_t kept = 0;
    for (size_t i = 0; i < plan.count; i++)
        if (!kept || strcmp(plan.items[kept - 1].lease, plan.items[i].lease) != 0)
            plan.items[kept++] = plan.items[i];
    plan.count = kept;
    return plan;
}

static struct load *load_of(const struct planning *planning, const char *member)
{
    for (size_t i = 0; i < planning->seen->member_count; i++)
        if (!strcmp(planning->seen->members[i].name, member))
            return &planning->loads[i];
    return NULL;
}

/* --- shares --- */

/* A holder that is not alive, or does not want what it holds, does not count. */
static void count_holdings(struct planning *planning)
{
    for (size_t i = 0; i < planning->seen->holding_count; i++) {
        const struct sl_holding *holding = &planning->seen->holdings[i];
        struct load *load = load_of(planning, holding->holder);
        struct sl_share_planned *item =
            bsearch(holding->lease, planning->plan.items, planning->plan.count,
                    sizeof *planning->plan.items, by_name);
        if (!load || !item || !wants(load->member, holding->lease))
            continue;
        item->holder = load->member->name;
        load->holds++;
    }
}

/* Those that hold most come first, so that what does not divide stays where it is. */
static int by_holds(const void *a, const void *b)
{
    const struct load *one = *(struct load *const *)a, *other = *(struct load *const *)b;
    if (one->holds != other->holds)
        return one->holds < other->holds ? 1 : -1;
    return strcmp(one->member->name, other->member->name);
}

static void share_out(struct planning *planning)
{
    size_t members = planning->seen->member_count;
    size_t each = planning->plan.count / members, more = planning->plan.count % members;
    struct load **order = sl_calloc(members, sizeof(void *));
    for (size_t i = 0; i < members; i++)
        order[i] = &planning->loads[i];
    qsort(order, members, sizeof(void *), by_holds);
    for (size_t i = 0; i < members; i++)
        order[i]->share = each + (i < more);
    free(order);
}

/* --- who gets what --- */

/* The best fitting of those that want it and are below their share; with any, of all that want it.
 * Young ones do not count for what somebody has. */
static struct load *best(const struct planning *planning, const struct sl_share_planned *item,
                         int64_t settle_ms, bool any)
{
    struct load *best = NULL;
    uint64_t greatest = 0;
    for (size_t i = 0; i < planning->seen->member_count; i++) {
        const struct sl_member *member = &planning->seen->members[i];
        struct load *load = &planning->loads[i];
        bool young = item->holder && member->age_ms < settle_ms;
        if (young || (!any && load->planned >= load->share) || !wants(member, item->lease))
            continue;
        uint64_t fits = weight(member->name, item->lease);
        if (!best || fits > greatest) {
            best = load;
            greatest = fits;
        }
    }
    return best;
}

static void give(struct sl_share_planned *item, struct load *load)
{
    item->wanted = load->member->name;
    load->planned++;
}

/* Each keeps what it holds, up to its share. */
static void keep(struct planning *planning)
{
    for (size_t i = 0; i < planning->plan.count; i++) {
        struct sl_share_planned *item = &planning->plan.items[i];
        struct load *load = item->holder ? load_of(planning, item->holder) : NULL;
        if (load && load->planned < load->share)
            give(item, load);
    }
}

static void place(struct planning *planning, int64_t settle_ms)
{
    for (size_t i = 0; i < planning->plan.count; i++) {
        struct sl_share_planned *item = &planning->plan.items[i];
        if (item->wanted)
            continue;
        struct load *load = best(planning, item, settle_ms, false);
        if (!load && item->holder) /* nobody else has room for it */
            load = load_of(planning, item->holder);
        if (!load)
            load = best(planning, item, settle_ms, true);
        give(item, load);
    }
}

struct sl_share_plan sl_share_plan(const struct sl_members *members, int64_t settle_ms)
{
    struct planning planning = {.seen = members, .plan = list_leases(members)};
    if (!members->member_count)
        return planning.plan;
    planning.loads = sl_calloc(members->member_count, sizeof *planning.loads);
    for (size_t i = 0; i < members->member_count; i++)
        planning.loads[i].member = &members->members[i];
    count_holdings(&planning);
    share_out(&planning);
    keep(&planning);
    place(&planning, settle_ms);
    free(planning.loads);
    return planning.plan;
}

void sl_share_plan_done(struct sl_share_plan *plan)
{
    free(plan->items);
    *plan = (struct sl_share_plan){0};
}

const struct sl_share_planned *sl_share_plan_find(const struct sl_share_plan *plan,
                                                  const char *lease)
{
    return plan->count ? bsearch(lease, plan->items, plan->count, sizeof *plan->items, by_name)
                       : NULL;
}
