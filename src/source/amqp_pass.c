#include "source/amqp_pass.h"

#include <string.h>

#include "loop/fiber.h"

enum {
    KEEP_MS = 100,              /* at first */
    KEEP_LONG_MS = 500,         /* later: each return is a write of RabbitMQ's */
    ALONE_MS = 10 * 1000,       /* nobody else consumes: a process that knows it may just start */
    OTHERS_MS = 60 * 1000,      /* others do, and one that knows it may be slow */
    RETURNS = 4,                /* of the witness */
    IDLE_MS = 60 * 1000,        /* without a batch of it: then it begins anew */
    GONE_MS = 15 * 60 * 1000,   /* somebody took the witness */
    NOBODYS_MS = 5 * 60 * 1000, /* until its batches are passed on again */
    LOOK_EVERY_MS = 5 * 1000,
    LOOK_TIMEOUT_MS = 5 * 1000,
    LOOK_HOLDS_MS = 15 * 1000,
};

/* --- which batches --- */

static uint64_t hash_text(uint64_t hash, const char *text)
{
    return hash * 31 + sl_hash(text, strlen(text));
}

static uint64_t hash_batch(const struct sl_origin *origin, uint64_t name)
{
    return (hash_text(name, origin->run) * 31 + origin->attempt) * 31 + origin->number;
}

static bool is_idle(const struct sl_pass_kind *kind, uint64_t now_ms)
{
    return !kind->seen_ms || now_ms - kind->seen_ms >= IDLE_MS;
}

/* In the place of one of which nothing comes any more, or else that is judged: who waits for a
 * judgement is not forgotten. NULL: there is no place, until one is judged. */
static struct sl_pass_kind *find(struct sl_pass *pass, uint64_t name, uint64_t now_ms)
{
    struct sl_pass_kind *idle = NULL, *judged = NULL;
    for (unsigned i = 0; i < SL_PASS_KINDS; i++) {
        struct sl_pass_kind *kind = &pass->kinds[i];
        if (kind->seen_ms && kind->name == name)
            return kind;
        if (is_idle(kind, now_ms))
            idle = kind;
        else if (now_ms < kind->nobodys_until_ms)
            judged = kind;
    }
    struct sl_pass_kind *place = idle ? idle : judged;
    if (place)
        *place = (struct sl_pass_kind){.name = name};
    return place;
}

/* Whether the batch is the witness, and how often that one came. */
static bool is_back(struct sl_pass_kind *kind, uint64_t batch, uint64_t now_ms)
{
    if (!kind->witness || now_ms - kind->witness_seen_ms >= GONE_MS) {
        kind->witness = batch;
        kind->witness_since_ms = now_ms;
        kind->witness_times = 0;
    }
    if (batch != kind->witness)
        return false;
    kind->witness_seen_ms = now_ms;
    return ++kind->witness_times > RETURNS;
}

static bool is_nobodys(const struct sl_pass *pass, struct sl_pass_kind *kind, uint64_t batch,
                       uint64_t now_ms)
{
    bool looked = pass->looked_ms && now_ms - pass->looked_ms < LOOK_HOLDS_MS;
    bool back = is_back(kind, batch, now_ms);
    if (looked && !pass->others)
        return now_ms - kind->since_ms >= ALONE_MS;
    return back && now_ms - kind->witness_since_ms >= OTHERS_MS;
}

uint64_t sl_pass_keep_ms(struct sl_pass *pass, const struct sl_origin *origin, uint64_t now_ms)
{
    uint64_t name = hash_text(hash_text(0, origin->feed), origin->entity);
    struct sl_pass_kind *kind = find(pass, name, now_ms);
    if (!kind)
        return KEEP_LONG_MS;
    bool judged = now_ms < kind->nobodys_until_ms;
    if (!judged && (kind->nobodys_until_ms || is_idle(kind, now_ms)))
        *kind = (struct sl_pass_kind){.name = name, .since_ms = now_ms};
    kind->seen_ms = now_ms;
    if (judged)
        return 0;
    if (is_nobodys(pass, kind, hash_batch(origin, name), now_ms)) {
        kind->nobodys_until_ms = now_ms + NOBODYS_MS;
        return 0;
    }
    return now_ms - kind->since_ms < ALONE_MS ? KEEP_MS : KEEP_LONG_MS;
}

/* --- giving back --- */

void sl_pass_on(struct sl_pass *pass, struct sl_channel *channel, uint64_t tag, uint64_t due_ms)
{
    unsigned at = pass->tag_count;
    if (at == SL_PASS_TAGS) {
        sl_channel_nack(channel, tag, true);
        return;
    }
    for (; at && pass->tags[at - 1].due_ms > due_ms; at--)
        pass->tags[at] = pass->tags[at - 1];
    pass->tags[at] = (struct sl_pass_tag){tag, due_ms};
    pass->tag_count++;
}

static uint64_t look_due_ms(const struct sl_pass *pass)
{
    return pass->looked_ms ? pass->looked_ms + LOOK_EVERY_MS : 0;
}

uint64_t sl_pass_due_ms(const struct sl_pass *pass)
{
    if (!pass->tag_count)
        return SL_FOREVER;
    uint64_t look_ms = look_due_ms(pass), tag_ms = pass->tags[0].due_ms;
    return look_ms < tag_ms ? look_ms : tag_ms;
}

static void give_back(struct sl_pass *pass, struct sl_channel *channel)
{
    unsigned count = 0;
    while (count < pass->tag_count && pass->tags[count].due_ms <= sl_loop_now_ms())
        sl_channel_nack(channel, pass->tags[count++].tag, true);
    pass->tag_count -= count;
    memmove(pass->tags, pass->tags + count, pass->tag_count * sizeof *pass->tags);
}

/* This process is one of the consumers. */
static int look(struct sl_pass *pass, struct sl_channel *channel, const char *queue)
{
    struct sl_queue_state state = {0};
    int rc = sl_channel_queue_state(channel, queue, sl_deadline_in(LOOK_TIMEOUT_MS), &state, NULL);
    pass->others = rc != SL_OK || state.consumers != 1;
    pass->looked_ms = sl_loop_now_ms();
    return rc == SL_CANCELED ? rc : SL_OK;
}

int sl_pass_step(struct sl_pass *pass, struct sl_channel *channel, const char *queue)
{
    give_back(pass, channel);
    if (pass->tag_count && look_due_ms(pass) <= sl_loop_now_ms())
        return look(pass, channel, queue);
    return SL_OK;
}

void sl_pass_reset(struct sl_pass *pass)
{
    pass->tag_count = 0;
    pass->looked_ms = 0;
    for (unsigned i = 0; i < SL_PASS_KINDS; i++)
        if (!pass->kinds[i].nobodys_until_ms)
            pass->kinds[i].seen_ms = 0;
}
