/* A counter of row versions, and its mark: how new the rows are that may have been published
 * (docs/adr/0011-dataverse-versions.md). The environment counts the changes of its own tables, and
 * the database of Finance & Operations those that are shown as virtual tables; numbers of the two
 * do not compare. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "dataverse/dataverse_own.h"

/* Behind the source's name. No name has a colon. */
static const char OF_FO[] = ":mserp";

void sl_dv_counter_init(struct sl_dataverse_counter *counter, struct sl_dataverse *dataverse,
                        bool of_fo)
{
    counter->dataverse = dataverse;
    snprintf(counter->name, sizeof counter->name, "%.120s%s", dataverse->config->name,
             of_fo ? OF_FO : "");
}

void sl_dv_counter_done(struct sl_dataverse_counter *counter)
{
    free(counter->covered);
}

struct sl_dataverse_counter *sl_dv_counter_of(struct sl_dataverse *dataverse, const char *table)
{
    return &dataverse->counters[sl_dataverse_is_of_fo(table) ? SL_DV_OF_FO : SL_DV_OWN];
}

const char *sl_dv_counter_name(const struct sl_dataverse_counter *counter)
{
    return counter->name;
}

void sl_dv_cover(struct sl_dataverse_counter *counter, const char *collection)
{
    unsigned count = counter->covered_count++;
    counter->covered = sl_realloc(counter->covered, (count + 1) * sizeof *counter->covered);
    counter->covered[count] = collection;
}

static bool is_used(const struct sl_dataverse_counter *counter)
{
    return counter == &counter->dataverse->counters[SL_DV_OWN] || counter->covered_count;
}

/* --- a new owner --- */

/* Without a mark (the first start, or the state was lost) what is stored tells, unless it is none
 * of the service's versions. */
static int stored_greatest(const struct sl_dataverse_counter *counter, int64_t *ret,
                           struct sl_err *err)
{
    struct sl_state *state = counter->dataverse->env.state;
    int rc = SL_OK;
    *ret = 0;
    for (unsigned i = 0; i < counter->covered_count && rc == SL_OK; i++) {
        int64_t version = 0;
        rc = state->type->version_max(state, counter->covered[i], &version, err);
        if (version / 2 < SL_DV_NUMBER_END && version / 2 > *ret)
            *ret = version / 2;
    }
    return rc;
}

/* Raising the mark by nothing makes it ours: from then on an owner of old cannot raise it, and so
 * cannot publish what the mark as that write left it does not cover. */
int sl_dv_counter_take_up(struct sl_dataverse_counter *counter, int64_t epoch, struct sl_err *err)
{
    struct sl_state *state = counter->dataverse->env.state;
    const char *name = counter->name;
    struct sl_mark mark = {0};
    if (!is_used(counter))
        return SL_OK;
    int rc = state->type->mark_get(state, name, &mark, err);
    if (rc == SL_NOTFOUND)
        rc = stored_greatest(counter, &mark.value, err);
    if (rc == SL_OK)
        rc = state->type->mark_raise(state, name, mark.value, epoch, &mark, err);
    if (rc != SL_OK)
        return rc;
    counter->mark = mark.value;
    counter->offset = mark.offset;
    snprintf(counter->organisation, sizeof counter->organisation, "%s", mark.organisation);
    sl_dv_saw(counter, mark.value);
    return SL_OK;
}

/* --- whose it is --- */

bool sl_dv_counter_is_anothers(const struct sl_dataverse_counter *counter)
{
    return sl_dataverse_is_another(&counter->dataverse->remote, counter->organisation);
}

int sl_dv_counter_sign(struct sl_dataverse_counter *counter, struct sl_err *err)
{
    struct sl_dataverse *dataverse = counter->dataverse;
    struct sl_state *state = dataverse->env.state;
    char organisation[SL_ORGANISATION_BYTES];
    int64_t epoch = dataverse->epoch;
    if (!dataverse->remote.organisation)
        return SL_OK;
    snprintf(organisation, sizeof organisation, "%s", dataverse->remote.organisation);
    int rc = state->type->mark_sign(state, counter->name, organisation, epoch, err);
    if (rc == SL_REJECTED && dataverse->epoch == epoch)
        sl_dv_lose(dataverse);
    if (rc == SL_OK && dataverse->epoch == epoch)
        memcpy(counter->organisation, organisation, sizeof organisation);
    return rc;
}

/* --- versions anew --- */

int64_t sl_dv_offset(const struct sl_dataverse_counter *counter)
{
    return counter->offset;
}

int sl_dv_same_offset(const struct sl_dataverse_counter *counter, int64_t offset,
                      struct sl_err *err)
{
    if (offset == counter->offset && offset != SL_DV_NO_OFFSET)
        return SL_OK;
    return sl_err_set(err, SL_CLOSED, "source '%s' begins its versions anew; it is asked again",
                      counter->name);
}

static int wait_raised(struct sl_dataverse_counter *counter, struct sl_err *err)
{
    while (counter->raising)
        if (sl_wait(&counter->raised, SL_FOREVER) == SL_CANCELED)
            return sl_err_set(err, SL_CANCELED, "cancelled");
    return SL_OK;
}

/* Makes every version from now on greater than all before and than `above`, once for each name.
 * From here on nothing is read by the old offset, so that `greatest` covers all that ever was. When
 * the write fails nobody knows the offset, and nothing is read until it is tried again. */
static int reset(struct sl_dataverse_counter *counter, const char *name, int64_t above,
                 struct sl_err *err)
{
    struct sl_dataverse *dataverse = counter->dataverse;
    struct sl_state *state = dataverse->env.state;
    int64_t offset;
    int rc = wait_raised(counter, err);
    if (rc != SL_OK)
        return rc;
    int64_t before = counter->offset;
    int64_t value = above > counter->greatest ? above : counter->greatest;
    int64_t epoch = dataverse->epoch;
    if (value >= SL_DV_NUMBER_END / 2)
        return sl_err_set(err, SL_CONFIG,
                          "the versions of source '%s' cannot be reset: %" PRId64
                          " is too near to the greatest version there can be",
                          counter->name, value);
    counter->raising = true;
    counter->offset = SL_DV_NO_OFFSET;
    sl_dv_saw(counter, value);
    rc = state->type->mark_reset(state, counter->name, name, value, epoch, &offset, err);
    counter->raising = false;
    if (rc == SL_REJECTED && dataverse->epoch == epoch)
        sl_dv_lose(dataverse);
    if (rc == SL_OK && dataverse->epoch == epoch) {
        counter->offset = offset;
        if (value > counter->mark)
            counter->mark = value;
        if (offset != before)
            sl_log(SL_WARN, "versions begin anew", SL_T("source", counter->name),
                   SL_N("offset", offset));
    }
    sl_wake_all(&counter->raised);
    return rc;
}

int sl_dv_reset_versions(struct sl_dataverse *dataverse, const char *name, struct sl_err *err)
{
    int rc = SL_OK;
    for (unsigned i = 0; i < SL_DV_COUNTERS && rc == SL_OK; i++) {
        struct sl_dataverse_counter *counter = &dataverse->counters[i];
        if (!is_used(counter))
            continue;
        rc = reset(counter, name, 0, err);
        if (rc == SL_OK)
            rc = sl_dv_counter_sign(counter, err);
    }
    return rc;
}

/* --- the mark --- */

int64_t sl_dv_greatest(const struct sl_dataverse_counter *counter)
{
    return counter->greatest;
}

void sl_dv_saw(struct sl_dataverse_counter *counter, int64_t version)
{
    if (version > counter->greatest)
        counter->greatest = version;
}

/* One write serves all who wait: it raises the mark to what was read so far. */
static int raise_once(struct sl_dataverse_counter *counter, struct sl_err *err)
{
    struct sl_dataverse *dataverse = counter->dataverse;
    struct sl_state *state = dataverse->env.state;
    int64_t value = counter->greatest, epoch = dataverse->epoch;
    counter->raising = true;
    int rc = state->type->mark_raise(state, counter->name, value, epoch, NULL, err);
    counter->raising = false;
    if (rc == SL_OK && dataverse->epoch == epoch && value > counter->mark)
        counter->mark = value;
    if (rc == SL_REJECTED && dataverse->epoch == epoch)
        sl_dv_lose(dataverse);
    sl_wake_all(&counter->raised);
    return rc;
}

/* Returns when the mark has come to version. */
static int raise_mark(struct sl_dataverse_counter *counter, int64_t version, struct sl_err *err)
{
    const struct sl_dataverse *dataverse = counter->dataverse;
    int64_t epoch = dataverse->epoch; /* one that was lost and won again is another one */
    sl_dv_saw(counter, version);
    for (;;) {
        int rc;
        if (!epoch || dataverse->epoch != epoch)
            return sl_err_set(err, SL_REJECTED, "source '%s' has another owner now",
                              dataverse->config->name);
        if (version <= counter->mark)
            return SL_OK;
        if (counter->raising)
            rc = sl_wait(&counter->raised, SL_FOREVER);
        else
            rc = raise_once(counter, err);
        if (rc == SL_CANCELED)
            return sl_err_set(err, SL_CANCELED, "cancelled");
        if (rc != SL_OK)
            return sl_err_wrap(err, "cannot raise the mark of source '%s'", counter->name);
    }
}

int sl_dv_clear(struct sl_dataverse_counter *counter, int64_t epoch, const struct sl_batch *batch,
                struct sl_err *err)
{
    int64_t greatest = 0;
    if (epoch != counter->dataverse->epoch)
        return sl_err_set(err, SL_REJECTED, "source '%s' had another owner meanwhile",
                          counter->dataverse->config->name);
    for (uint32_t i = 0; i < batch->count; i++)
        if (batch->records[i].op == SL_UPSERT && batch->records[i].version > greatest)
            greatest = batch->records[i].version;
    return raise_mark(counter, greatest / 2, err);
}

void sl_dv_counter_status(const struct sl_dataverse_counter *counter, struct sl_buf *buf)
{
    int64_t offset = counter->offset == SL_DV_NO_OFFSET ? 0 : counter->offset;
    const char *prefix = counter == &counter->dataverse->counters[SL_DV_OWN] ? "" : "mserp_";
    if (is_used(counter))
        sl_buf_printf(buf, ",\"%smark\":%" PRId64 ",\"%sversion_offset\":%" PRId64, prefix,
                      counter->mark, prefix, offset);
}

/* --- what another source has read --- */

static bool is_alien(const struct sl_dataverse_counter *counter, const char *name)
{
    bool of_fo = counter == &counter->dataverse->counters[SL_DV_OF_FO];
    return *name && (strchr(name, OF_FO[0]) != NULL) != of_fo;
}

/* Our versions must be above what is stored, and above what is on its way. Of another source's
 * reading of our own counter it is the offset that ours may lack; numbers of the other counter, or
 * of another organisation, say nothing of ours, so that ours begin above all of them. In both cases
 * by one write: between two, a row might be read as older than its deletion. */
int sl_dv_rise_above(struct sl_dataverse_counter *counter, const char *before, int64_t stored,
                     bool *ret_elsewhere, struct sl_err *err)
{
    struct sl_state *state = counter->dataverse->env.state;
    struct sl_mark theirs = {0};
    char name[2 * SL_NAME_MAX];
    int rc = *before ? state->type->mark_get(state, before, &theirs, err) : SL_OK;
    if (rc != SL_OK && rc != SL_NOTFOUND)
        return rc;
    *ret_elsewhere = sl_dataverse_is_another(&counter->dataverse->remote, theirs.organisation);
    int64_t above = stored / 2 > theirs.value ? stored / 2 : theirs.value;
    int64_t least = is_alien(counter, before) || *ret_elsewhere ? above : theirs.offset;
    if (!least || least <= counter->offset)
        return raise_mark(counter, above, err);
    snprintf(name, sizeof name, "%s %" PRId64, before, least);
    return reset(counter, name, above, err);
}

void sl_dataverse_sign(const char *reader, const char *feed, struct sl_checkpoint *at)
{
    if (at->source[0])
        sl_log(SL_INFO, "feed moved to another source", SL_T("feed", feed),
               SL_T("from", at->source), SL_T("to", reader));
    at->fence_base = at->epoch;
    snprintf(at->source, sizeof at->source, "%s", reader);
}
