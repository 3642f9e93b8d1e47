#include "source/amqp_pass.h"

#include <string.h>

#include "loop/fiber.h"

enum {
    PAUSE_MS = 500,
    ALONE_MS = 10 * 1000,  /* nobody else consumes: a process that knows it may just start */
    OTHERS_MS = 60 * 1000, /* others do: one that knows it may be slow */
    RETURNS_ALONE = 2,
    RETURNS = 4,
    SEEN_MS = 30 * 1000,        /* others consume no more that were not seen for so long */
    GONE_MS = 15 * 60 * 1000,   /* somebody took the witness */
    NOBODYS_MS = 5 * 60 * 1000, /* until batches of the kind are passed on again */
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

/* Of a kind that was not seen before: in the place of the one that was seen longest ago. */
static struct sl_pass_kind *find(struct sl_pass *pass, uint64_t name)
{
    struct sl_pass_kind *oldest = pass->kinds;
    for (unsigned i = 0; i < SL_PASS_KINDS; i++) {
        struct sl_pass_kind *kind = &pass->kinds[i];
        if (kind->name == name && kind->seen_ms)
            return kind;
        if (kind->seen_ms < oldest->seen_ms)
            oldest = kind;
    }
    *oldest = (struct sl_pass_kind){.name = name};
    return oldest;
}

static bool is_nobodys(const struct sl_pass *pass, const struct sl_pass_kind *kind, uint64_t now_ms)
{
    bool others = pass->others_ms && now_ms - pass->others_ms < SEEN_MS;
    return kind->times > (others ? RETURNS : RETURNS_ALONE) &&
           now_ms - kind->since_ms >= (others ? OTHERS_MS : ALONE_MS);
}

bool sl_pass_wanted(struct sl_pass *pass, const struct sl_origin *origin, uint64_t now_ms)
{
    uint64_t name = hash_text(hash_text(0, origin->feed), origin->entity);
    uint64_t batch = hash_batch(origin, name);
    struct sl_pass_kind *kind = find(pass, name);
    if (now_ms < kind->nobodys_until_ms)
        return false;
    if (!kind->times || now_ms - kind->seen_ms >= GONE_MS)
        *kind = (struct sl_pass_kind){.name = name, .witness = batch, .since_ms = now_ms};
    if (batch != kind->witness)
        return true;
    kind->seen_ms = now_ms;
    kind->times++;
    if (!is_nobodys(pass, kind, now_ms))
        return true;
    kind->nobodys_until_ms = now_ms + NOBODYS_MS;
    kind->times = 0; /* then there is another witness */
    return false;
}

/* --- giving back --- */

void sl_pass_on(struct sl_pass *pass, struct sl_channel *channel, uint64_t tag)
{
    if (pass->paused || pass->tag_count == SL_PASS_TAGS)
        sl_channel_nack(channel, tag, true);
    else
        pass->tags[pass->tag_count++] = tag;
}

uint64_t sl_pass_due_ms(const struct sl_pass *pass)
{
    if (pass->tag_count)
        return 0;
    return pass->paused ? pass->resume_ms : SL_FOREVER;
}

/* While this process consumes, RabbitMQ may give it back what it has just returned, and some
 * versions do so whenever the others are busy. */
static int stop(struct sl_pass *pass, struct sl_channel *channel, const char *queue,
                uint64_t deadline_ms, struct sl_err *err)
{
    struct sl_queue_state state = {0};
    int rc = sl_channel_stop_consuming(channel, deadline_ms, err);
    if (rc != SL_OK)
        return rc;
    pass->paused = true;
    pass->resume_ms = sl_deadline_in(PAUSE_MS);
    for (unsigned i = 0; i < pass->tag_count; i++)
        sl_channel_nack(channel, pass->tags[i], true);
    pass->tag_count = 0;
    rc = sl_channel_queue_state(channel, queue, deadline_ms, &state, err);
    if (state.consumers)
        pass->others_ms = sl_loop_now_ms();
    return rc;
}

int sl_pass_step(struct sl_pass *pass, struct sl_channel *channel, const char *queue,
                 uint64_t deadline_ms, struct sl_err *err)
{
    if (sl_pass_due_ms(pass) > sl_loop_now_ms())
        return SL_OK;
    if (!pass->paused)
        return stop(pass, channel, queue, deadline_ms, err);
    pass->paused = false;
    return sl_channel_consume(channel, queue, deadline_ms, err);
}

void sl_pass_reset(struct sl_pass *pass)
{
    pass->tag_count = 0;
    pass->paused = false;
}
