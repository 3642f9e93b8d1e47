/* Whether the application user sees the whole table. Where he does not, the service answers 200
 * with the rows that he may see, and says nothing; so his right is asked for when the table's
 * description was read, when somebody asks for a full read, before a sweep deletes, and now and
 * then. The feed goes on with what it gets. What it lacks is brought by a full read as soon as he
 * sees all; until one has begun, `partial` of the checkpoint keeps sweeps from deleting rows that
 * are there and were not shown. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "dataverse/dataverse_own.h"

enum {
    PART_AGAIN_MS = 15 * 1000,    /* somebody may be mending it */
    READING_AGAIN_MS = 60 * 1000, /* a right that is narrow meanwhile leaves a hole */
    WELL_AGAIN_MS = 3600 * 1000,  /* roles change */
    FAILED_AGAIN_MS = 15 * 1000,  /* the service could not be asked */
    PAUSE_MS = 2000,              /* between two tables: they share the budget with the polls */
    AT_ONCE = 8,                  /* so many at the start without it */
};

/* --- the question --- */

static uint64_t again_ms(const struct sl_dv_feed *feed, bool part)
{
    if (part || feed->at.partial)
        return PART_AGAIN_MS;
    return feed->linked_full ? READING_AGAIN_MS : WELL_AGAIN_MS;
}

static void keep(struct sl_dv_feed *feed, const struct sl_dataverse_reach *reach,
                 const char *privilege)
{
    struct sl_dv_sight *sight = &feed->sight;
    sight->reach = reach->reach;
    if (reach->reach == SL_REACH_UNTOLD) { /* nothing follows: what was told before stays */
        sight->again_ms = sl_deadline_in(again_ms(feed, sight->trouble[0]));
        return;
    }
    sight->again_ms = sl_deadline_in(again_ms(feed, reach->reach == SL_REACH_PART));
    char text[SL_ERR_TEXT_BYTES];
    sl_dataverse_reach_tell(privilege, reach, text);
    if (!strcmp(text, sight->trouble) && feed->at.partial == (text[0] != '\0'))
        return;
    memcpy(sight->trouble, text, sizeof text);
    sight->news = true;
    sl_wake_all(&feed->wake);
}

/* SL_OK also when the service will not tell. */
static int ask(struct sl_dv_feed *feed, struct sl_err *err)
{
    struct sl_dataverse_reach reach = {0};
    char *privilege = feed->table.read_privilege; /* which may be read anew meanwhile */
    int rc = SL_OK;
    privilege = privilege ? sl_strdup(privilege) : NULL;
    if (privilege)
        rc = sl_dataverse_reach_ask(&feed->dataverse->remote, privilege, &reach, err);
    if (rc != SL_OK && rc != SL_CANCELED && sl_dataverse_reach_is_refused(err))
        rc = SL_OK;
    if (rc == SL_OK)
        keep(feed, &reach, privilege);
    free(privilege);
    return rc;
}

int sl_dv_look_now(struct sl_dv_feed *feed, bool *ret_part, struct sl_err *err)
{
    int rc = ask(feed, err);
    if (rc != SL_OK)
        return rc;
    if (feed->at.partial && feed->sight.reach == SL_REACH_WHOLE)
        return sl_err_set(err, SL_CLOSED, "the table is read again, since all of it can be seen");
    *ret_part = feed->at.partial || feed->sight.reach == SL_REACH_PART;
    return SL_OK;
}

/* --- one fiber for all tables --- */

void sl_dv_look_again(struct sl_dv_feed *feed)
{
    feed->sight.wanted = true;
    sl_wake_all(&feed->dataverse->look);
}

/* The first that somebody waits for, else the one that is due first. NULL: none is known, or this
 * process does not own the source. */
static struct sl_dv_feed *next_due(const struct sl_dataverse *dataverse)
{
    struct sl_dv_feed *first = NULL;
    if (!sl_dataverse_epoch(dataverse))
        return NULL;
    for (struct sl_dv_feed *feed = dataverse->feeds; feed; feed = feed->next) {
        const struct sl_dv_sight *sight = &feed->sight;
        if (!feed->table.name || feed->epoch != dataverse->epoch)
            continue;
        if (sight->wanted)
            return feed;
        if (sight->again_ms && (!first || sight->again_ms < first->sight.again_ms))
            first = feed;
    }
    return first;
}

static void look(struct sl_dv_feed *feed)
{
    struct sl_err err = {0};
    feed->sight.wanted = false;
    if (ask(feed, &err) != SL_OK)
        feed->sight.again_ms = sl_deadline_in(FAILED_AGAIN_MS);
}

static void run(void *arg)
{
    struct sl_dataverse *dataverse = arg;
    unsigned at_once = AT_ONCE;
    while (!sl_fiber_cancelled()) {
        struct sl_dv_feed *feed = next_due(dataverse);
        if (feed && (feed->sight.wanted || sl_loop_now_ms() >= feed->sight.again_ms)) {
            look(feed);
            if (at_once)
                at_once--;
            else
                sl_fiber_sleep(PAUSE_MS);
        } else
            sl_wait(&dataverse->look, feed ? feed->sight.again_ms : SL_FOREVER);
    }
}

void sl_dv_look_start(struct sl_dataverse *dataverse)
{
    dataverse->looker = sl_fiber_spawn_joinable("dv.look", run, dataverse);
}

void sl_dv_look_stop(struct sl_dataverse *dataverse)
{
    sl_fiber_end(&dataverse->looker);
}

/* --- what follows from the answer --- */

static int sees_part(struct sl_dv_feed *feed, struct sl_err *err)
{
    if (feed->at.partial)
        return SL_OK;
    feed->at.partial = true;
    int rc = sl_dv_save(feed, err);
    feed->at.partial = rc == SL_OK;
    return rc;
}

/* Rows that he sees from now on have not changed: only a full read brings them. */
static int sees_all(struct sl_dv_feed *feed, struct sl_err *err)
{
    if (!feed->at.partial)
        return SL_OK;
    sl_dv_sweep_stop(feed); /* from here to the save nothing else must journal it */
    feed->at.partial = false;
    int rc = sl_dv_begin_full(feed, "the application user sees all of the table now", err);
    feed->at.partial = rc != SL_OK;
    return rc;
}

int sl_dv_heed_sight(struct sl_dv_feed *feed, struct sl_err *err)
{
    if (!feed->sight.news)
        return SL_OK;
    feed->sight.news = false;
    sl_dataverse_reach_announce(feed->dataverse->env.alerter, feed->config->name,
                                feed->sight.trouble);
    int rc = feed->sight.trouble[0] ? sees_part(feed, err) : sees_all(feed, err);
    feed->sight.news |= rc != SL_OK; /* again after the pause */
    return rc;
}
