/* The queue of posts: a heap by the time when each is due. */
#include "sim/dataverse/hook_own.h"

static bool is_before(const struct dv_post *a, const struct dv_post *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->serial < b->serial;
}

void dv_queue_push(struct dv_hooks *hooks, struct dv_post *post)
{
    if (hooks->queue_count == hooks->queue_capacity) {
        hooks->queue_capacity = hooks->queue_capacity ? hooks->queue_capacity * 2 : 256;
        hooks->queue = sim_realloc(hooks->queue, hooks->queue_capacity * sizeof(struct dv_post *));
    }
    size_t at = hooks->queue_count++;
    while (at > 0 && is_before(post, hooks->queue[(at - 1) / 2])) {
        hooks->queue[at] = hooks->queue[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    hooks->queue[at] = post;
}

struct dv_post *dv_queue_pop(struct dv_hooks *hooks, int64_t now_ms)
{
    if (hooks->queue_count == 0 || hooks->queue[0]->due_ms > now_ms)
        return NULL;
    struct dv_post *top = hooks->queue[0];
    struct dv_post *last = hooks->queue[--hooks->queue_count];
    size_t at = 0;
    for (;;) {
        size_t child = at * 2 + 1;
        if (child + 1 < hooks->queue_count &&
            is_before(hooks->queue[child + 1], hooks->queue[child]))
            child++;
        if (child >= hooks->queue_count || !is_before(hooks->queue[child], last))
            break;
        hooks->queue[at] = hooks->queue[child];
        at = child;
    }
    hooks->queue[at] = last;
    return top;
}

int64_t dv_queue_wait_ms(const struct dv_hooks *hooks, int64_t now_ms, int64_t most_ms)
{
    if (hooks->queue_count == 0)
        return most_ms;
    int64_t wait_ms = hooks->queue[0]->due_ms - now_ms;
    return wait_ms < 0 ? 0 : wait_ms < most_ms ? wait_ms : most_ms;
}
