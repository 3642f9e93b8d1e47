/* A refresh of a table that somebody asked for: a full read and its sweep.
 *
 * The link from which the changes would have been read is kept until the sweep has deleted what the
 * full read did not bring. When it deletes nothing (tried only, or refused), the feed goes back to
 * that link: it brings the deletions that happened before the full read, which its own link does
 * not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "dataverse/dataverse_own.h"

/* No full read, no sweep: the feed follows the changes. */
static bool is_at_rest(const struct sl_dv_feed *feed)
{
    return feed->link && !feed->linked_full && !feed->at.reading[0] && !feed->at.sweeping[0];
}

bool sl_dv_refresh_is_due(const struct sl_dv_feed *feed)
{
    return feed->refresh_told;
}

static int save(struct sl_dv_feed *feed, struct sl_refresh *refresh, enum sl_refresh_state to,
                struct sl_err *err)
{
    struct sl_state *state = feed->dataverse->env.state;
    refresh->state = to;
    return state->type->refresh_save(state, refresh, feed->fence, err);
}

int sl_dv_refresh_counted(struct sl_dv_feed *feed, struct sl_refresh *refresh,
                          const struct sl_refresh_part *part, struct sl_err *err)
{
    snprintf(refresh->read, sizeof refresh->read, "%s", feed->at.sweeping);
    refresh->parts[0] = *part;
    refresh->part_count = 1;
    return save(feed, refresh, SL_REFRESH_SWEEPING, err);
}

static int end(struct sl_dv_feed *feed, struct sl_refresh *refresh, enum sl_refresh_state how,
               const char *why, struct sl_err *err)
{
    snprintf(refresh->note, sizeof refresh->note, "%s", why);
    int rc = save(feed, refresh, how, err);
    if (rc == SL_OK)
        sl_log(SL_INFO, "refresh ended", SL_T("feed", feed->config->name),
               SL_T("read", refresh->read), SL_T("how", sl_refresh_state_name(how)),
               SL_T("why", why));
    return rc;
}

/* Its full read was swept, or was not to be. */
static int conclude(struct sl_dv_feed *feed, struct sl_refresh *refresh, struct sl_err *err)
{
    const char *note = feed->at.note;
    return end(feed, refresh, note[0] ? SL_REFRESH_REFUSED : SL_REFRESH_DONE, note, err);
}

int sl_dv_refresh_look(struct sl_dv_feed *feed, struct sl_refresh *ret, bool *ret_asked,
                       struct sl_err *err)
{
    struct sl_state *state = feed->dataverse->env.state;
    *ret_asked = false;
    if (!feed->at.refresh)
        return SL_OK;
    int rc = state->type->refresh_get(state, feed->config->name, ret, err);
    if (rc == SL_NOTFOUND)
        return SL_OK;
    bool asked = rc == SL_OK && ret->number == feed->at.refresh && sl_refresh_is_open(ret);
    if (asked && ret->dry_run && !feed->at.kept) /* what it left, no link would bring any more */
        return end(
            feed, ret, SL_REFRESH_FAILED,
            "another full read came in between, and its sweep deletes: were the columns, the "
            "collection or the database changed? Try again",
            err);
    *ret_asked = asked;
    return rc;
}

static int begin(struct sl_dv_feed *feed, struct sl_refresh *refresh, struct sl_err *err)
{
    int rc = SL_OK;
    sl_dv_sweep_stop(feed);
    if (refresh->reset[0])
        rc = sl_dv_reset_versions(feed->dataverse, refresh->reset, err);
    if (rc != SL_OK)
        return rc;
    if (feed->lost)
        return sl_err_set(err, SL_CLOSED, "the feed goes back to an older link first");
    /* Not the newest: rows behind the safe one may be lost on their way, and nobody waits for them
     * any more. After a restore the old link belongs to another past. */
    const char *kept = refresh->reset[0] ? NULL : feed->at.safe;
    free(feed->at.kept);
    feed->at.kept = kept ? sl_strdup(kept) : NULL;
    feed->at.refresh = refresh->number;
    rc = sl_dv_begin_full(feed, "a refresh was asked for", err);
    if (rc != SL_OK)
        return rc;
    sl_dv_look_again(feed);
    snprintf(refresh->read, sizeof refresh->read, "%s", feed->at.reading);
    return save(feed, refresh, SL_REFRESH_READING, err);
}

/* A full read under way comes first, but after a restore it is worth nothing. */
static bool can_begin(const struct sl_dv_feed *feed, const struct sl_refresh *refresh)
{
    return sl_refresh_is_open(refresh) && feed->at.refresh != refresh->number &&
           !sl_refresh_is_stranded(refresh, feed->fence, true) &&
           (is_at_rest(feed) || refresh->reset[0]);
}

/* What is told every two seconds may be the one whose sweep is going on. */
bool sl_dv_refresh_waits(struct sl_dv_feed *feed)
{
    struct sl_state *state = feed->dataverse->env.state;
    struct sl_err err = {0};
    if (!feed->refresh_told)
        return false;
    struct sl_refresh *refresh = SL_NEW(struct sl_refresh);
    bool waits = state->type->refresh_get(state, feed->config->name, refresh, &err) == SL_OK &&
                 can_begin(feed, refresh);
    free(refresh);
    return waits;
}

bool sl_dv_reset_waits(struct sl_dv_feed *feed, const char *why)
{
    struct sl_state *state = feed->dataverse->env.state;
    struct sl_err err = {0};
    if (!feed->refresh_told)
        return false;
    struct sl_refresh *refresh = SL_NEW(struct sl_refresh);
    int rc = state->type->refresh_get(state, feed->config->name, refresh, &err);
    bool waits = rc == SL_OK && refresh->reset[0] && can_begin(feed, refresh);
    if (rc == SL_OK && !waits && sl_refresh_is_open(refresh))
        rc = end(feed, refresh, SL_REFRESH_FAILED, why, &err);
    feed->refresh_told = waits || (rc != SL_OK && rc != SL_NOTFOUND);
    free(refresh);
    return waits;
}

int sl_dv_refresh(struct sl_dv_feed *feed, struct sl_err *err)
{
    struct sl_state *state = feed->dataverse->env.state;
    struct sl_refresh *refresh = SL_NEW(struct sl_refresh);
    bool rested = is_at_rest(feed); /* else a sweep may end, and note more, during the question */
    feed->refresh_told = false;
    int rc = state->type->refresh_get(state, feed->config->name, refresh, err);
    bool open = rc == SL_OK && sl_refresh_is_open(refresh);
    bool begun = open && feed->at.refresh == refresh->number;
    if (open && sl_refresh_is_stranded(refresh, feed->fence, true))
        rc = sl_refresh_strand(state, refresh, err);
    else if (begun && rested && is_at_rest(feed))
        rc = conclude(feed, refresh, err);
    else if (open && (rested || refresh->reset[0]) && can_begin(feed, refresh))
        rc = begin(feed, refresh, err);
    free(refresh);
    if (rc == SL_NOTFOUND)
        return SL_OK;
    feed->refresh_told |= rc != SL_OK; /* again after the pause */
    return rc;
}

void sl_source_dataverse_refresh(struct sl_source *source)
{
    struct sl_dv_feed *feed = (struct sl_dv_feed *)source;
    feed->refresh_told = true;
    sl_wake_all(&feed->wake);
}
