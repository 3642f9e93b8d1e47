#include "source/amqp_pass.h"

#include <string.h>

#include "loop/fiber.h"

enum {
    PAUSE_MS = 250, /* a process that knows the feed has a place free in this time */
    TIMES = 40,     /* ten seconds: it may have to start first */
    FORGET_MS = 60 * 1000,
    NOBODYS_MS = 5 * 60 * 1000, /* until the feed's batches are passed on again */
};

/* --- which batches --- */

static uint64_t hash_text(uint64_t hash, const char *text)
{
    return hash * 31 + sl_hash(text, strlen(text));
}

static uint64_t hash_batch(const struct sl_origin *origin)
{
    uint64_t hash = hash_text(hash_text(hash_text(0, origin->feed), origin->entity), origin->run);
    return (hash * 31 + origin->attempt) * 31 + origin->number;
}

static bool is_nobodys(const struct sl_pass *pass, uint64_t feed, uint64_t now_ms)
{
    for (unsigned i = 0; i < SL_PASS_FEEDS; i++)
        if (pass->nobodys[i].feed == feed && now_ms < pass->nobodys[i].until_ms)
            return true;
    return false;
}

/* In the place of the one that ends first. */
static void note_nobodys(struct sl_pass *pass, uint64_t feed, uint64_t now_ms)
{
    unsigned at = 0;
    for (unsigned i = 1; i < SL_PASS_FEEDS; i++)
        if (pass->nobodys[i].until_ms < pass->nobodys[at].until_ms)
            at = i;
    pass->nobodys[at].feed = feed;
    pass->nobodys[at].until_ms = now_ms + NOBODYS_MS;
}

/* How often it was here, this time included; unknown ones take the place of the one that was seen
 * longest ago. */
static unsigned count_time(struct sl_pass *pass, uint64_t batch, uint64_t now_ms)
{
    unsigned at = 0;
    for (unsigned i = 0; i < SL_PASS_SEEN; i++) {
        if (pass->seen[i].batch == batch) {
            at = i;
            break;
        }
        if (pass->seen[i].seen_ms < pass->seen[at].seen_ms)
            at = i;
    }
    if (pass->seen[at].batch != batch || now_ms - pass->seen[at].seen_ms >= FORGET_MS)
        pass->seen[at].times = 0;
    pass->seen[at].batch = batch;
    pass->seen[at].seen_ms = now_ms;
    return ++pass->seen[at].times;
}

bool sl_pass_wanted(struct sl_pass *pass, const struct sl_origin *origin, uint64_t now_ms)
{
    uint64_t feed = hash_text(0, origin->feed);
    if (is_nobodys(pass, feed, now_ms))
        return false;
    if (count_time(pass, hash_batch(origin), now_ms) <= TIMES)
        return true;
    note_nobodys(pass, feed, now_ms);
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

/* As long as this process consumes, RabbitMQ may give it back what it has just returned: to others
 * it does when they are busy at that moment. */
static int stop(struct sl_pass *pass, struct sl_channel *channel, uint64_t deadline_ms,
                struct sl_err *err)
{
    int rc = sl_channel_stop_consuming(channel, deadline_ms, err);
    if (rc != SL_OK)
        return rc;
    pass->paused = true;
    pass->resume_ms = sl_deadline_in(PAUSE_MS);
    for (unsigned i = 0; i < pass->tag_count; i++)
        sl_channel_nack(channel, pass->tags[i], true);
    pass->tag_count = 0;
    return SL_OK;
}

int sl_pass_step(struct sl_pass *pass, struct sl_channel *channel, const char *queue,
                 uint64_t deadline_ms, struct sl_err *err)
{
    if (sl_pass_due_ms(pass) > sl_loop_now_ms())
        return SL_OK;
    if (!pass->paused)
        return stop(pass, channel, deadline_ms, err);
    pass->paused = false;
    return sl_channel_consume(channel, queue, deadline_ms, err);
}

void sl_pass_reset(struct sl_pass *pass)
{
    pass->tag_count = 0;
    pass->paused = false;
}
