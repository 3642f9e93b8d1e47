/* A row is stored when its version is greater than the stored one. Versions by order of arrival and
 * those of a column, or of two columns, have nothing to do with each other: where documents have
 * the ones and posts bring the others, posts would be confirmed and never stored. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "ingest/ingest_own.h"

#define UNKNOWN "it is not known yet whether versions of posts compare with those stored: "

enum { LOOK_AGAIN_MS = 15 * 1000, LOOK_SOON_MS = 1000, LOOK_MS = 10 * 1000 };

/* Whether all that is stored is behind what comes from now on, or there is nothing. */
static int is_passed(struct sl_ingest_feed *feed, bool *ret, struct sl_err *err)
{
    static const char *const nobody[] = {NULL};
    struct sl_state *state = feed->ingest->env.state;
    const char *collection = feed->config->entities[0].collection;
    char other[SL_NAME_MAX];
    int64_t stored, reach = feed->arrival ? sl_wall_ms() << SL_ARRIVAL_SEQUENCE_BITS : 1;
    *ret = false;
    int rc = feed->arrival ? SL_NOTFOUND
                           : state->type->stranger_find(state, collection, nobody,
                                                        sl_deadline_in(LOOK_MS), other, err);
    if (rc != SL_NOTFOUND)
        return rc;
    rc = state->type->version_max(state, collection, &stored, err);
    *ret = rc == SL_OK && stored < reach;
    return rc;
}

static void refuse(struct sl_ingest_feed *feed, const char *before, const char *by)
{
    char text[sizeof feed->misfit];
    snprintf(text, sizeof text,
             "the documents of collection '%.120s' have versions by %.100s, and posts now bring "
             "them by %.100s: they cannot be compared; go back, choose another collection, or drop "
             "that one and post its rows again",
             feed->config->entities[0].collection, before, by);
    if (strcmp(text, feed->misfit) != 0)
        sl_log(SL_ERROR, "posts are put off", SL_T("feed", feed->config->name),
               SL_T("error", text));
    memcpy(feed->misfit, text, sizeof text);
}

static int look(struct sl_ingest_feed *feed, struct sl_err *err)
{
    struct sl_state *state = feed->ingest->env.state;
    const char *collection = feed->config->entities[0].collection;
    char by[SL_NAME_MAX], before[SL_NAME_MAX];
    bool passed = true;
    sl_ingest_config_type.domain(NULL, feed->settings, by, sizeof by);
    int rc = state->type->version_line(state, collection, by, false, before, err);
    if (rc == SL_OK && strcmp(before, by) != 0) {
        rc = is_passed(feed, &passed, err);
        if (rc == SL_OK && passed)
            rc = state->type->version_line(state, collection, by, true, before, err);
        else if (rc == SL_OK)
            refuse(feed, before, by);
    }
    if (rc != SL_OK)
        return rc;
    feed->fits = passed;
    if (passed)
        feed->misfit[0] = '\0';
    return SL_OK;
}

/* What was known stays true while the state is away. */
static void note_unknown(struct sl_ingest_feed *feed, const struct sl_err *err)
{
    if (feed->fits || feed->misfit[0])
        return;
    snprintf(feed->misfit, sizeof feed->misfit, UNKNOWN "%s", err->message);
}

/* Whether posts came since the last time: else there is nothing to be wrong about. */
static bool has_news(const struct sl_ingest_feed *feed, uint64_t *looked_at)
{
    uint64_t now_at = feed->outcomes[SL_INGEST_ACCEPTED]->value;
    bool news = now_at != *looked_at || !feed->fits;
    *looked_at = now_at;
    return news;
}

/* Again and again, since another process may get another configuration. */
static void keep_looking(void *arg)
{
    struct sl_ingest_feed *feed = arg;
    uint64_t looked_at = 0;
    do {
        struct sl_err err = {0};
        if (has_news(feed, &looked_at) && look(feed, &err) != SL_OK)
            note_unknown(feed, &err);
        sl_wake_all(&feed->looked);
    } while (sl_fiber_sleep_beat(feed->fits ? LOOK_AGAIN_MS : LOOK_SOON_MS) == SL_OK);
}

const char *sl_ingest_line_misfit(struct sl_ingest_feed *feed)
{
    if (!feed->fits && !feed->misfit[0])
        sl_wait(&feed->looked, sl_deadline_in(SL_INGEST_PATIENCE_MS));
    if (feed->fits)
        return NULL;
    return feed->misfit[0] ? feed->misfit : UNKNOWN "MongoDB has not answered";
}

void sl_ingest_line_start(struct sl_ingest_feed *feed)
{
    feed->liner = sl_fiber_spawn_joinable("ingest.line", keep_looking, feed);
}

void sl_ingest_line_stop(struct sl_ingest_feed *feed)
{
    sl_fiber_cancel(feed->liner);
    sl_fiber_join(feed->liner);
    feed->liner = NULL;
}
