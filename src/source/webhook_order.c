/* Which reading of a row is the newer one: by the row's own version, or, when it has none, by the
 * order of asking. Versions of the two kinds do not compare (those by order are far above), so a
 * collection keeps the kind that its first row had: the checkpoint remembers it, and where that is
 * lost, what is stored tells. docs/adr/0013-read-back.md */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "source/webhook_own.h"

enum { ORDER_TIMEOUT_MS = 10 * 1000 };

static const char BY_ARRIVAL[] = "order of asking", BY_VERSION[] = "row versions";

/* "row versions in d365.visits" */
static char *kind_text(const struct sl_webhook_feed *feed, bool by_arrival)
{
    struct sl_buf text;
    sl_buf_init(&text);
    sl_buf_printf(&text, "%s in %s.%s", by_arrival ? BY_ARRIVAL : BY_VERSION,
                  feed->webhook->env.database, feed->config->entities[0].collection);
    return sl_buf_take(&text);
}

static bool says(const struct sl_checkpoint *at, const struct sl_webhook_feed *feed,
                 bool by_arrival)
{
    char *text = kind_text(feed, by_arrival);
    bool equal = at->query && !strcmp(at->query, text);
    free(text);
    return equal;
}

/* Whether the collection holds versions by order of asking. */
static int look(struct sl_webhook_feed *feed, const struct sl_checkpoint *at, bool *ret,
                struct sl_err *err)
{
    struct sl_state *state = feed->webhook->env.state;
    int64_t greatest = 0;
    int rc = SL_OK;
    *ret = says(at, feed, true);
    if (*ret || says(at, feed, false))
        return SL_OK;
    rc = state->type->version_max(state, feed->config->entities[0].collection, &greatest, err);
    *ret = greatest / 2 >= SL_DATAVERSE_NUMBER_END;
    return rc;
}

static int remember(struct sl_webhook_feed *feed, struct sl_checkpoint *at, bool by_arrival,
                    struct sl_err *err)
{
    struct sl_state *state = feed->webhook->env.state;
    struct sl_dataverse *reader = sl_hook_reader(feed->webhook);
    if (says(at, feed, by_arrival))
        return SL_OK;
    free(at->query);
    at->query = kind_text(feed, by_arrival);
    int64_t epoch = at->fence_base + sl_dataverse_epoch(reader);
    int rc = state->type->checkpoint_save(state, feed->config->name, at, epoch, err);
    if (rc == SL_REJECTED) /* asked for again, by the new owner */
        rc = err->code = SL_CLOSED;
    return rc;
}

static int settle(struct sl_webhook_feed *feed, const struct sl_hook_table *table,
                  struct sl_err *err)
{
    struct sl_state *state = feed->webhook->env.state;
    struct sl_checkpoint at = {0};
    bool versionless = !sl_columns_find(&table->it.columns, sl_str_of(SL_HOOK_VERSION_COLUMN));
    bool stored = false;
    int rc = state->type->checkpoint_load(state, feed->config->name, &at, err);
    if (rc == SL_OK || rc == SL_NOTFOUND)
        rc = look(feed, &at, &stored, err);
    if (rc == SL_OK)
        rc = remember(feed, &at, versionless || stored, err);
    sl_checkpoint_done(&at);
    if (rc != SL_OK)
        return rc;
    feed->order_known = true;
    feed->by_arrival = versionless || stored;
    if (feed->by_arrival)
        sl_log(SL_INFO,
               versionless ? "the rows of this table have no version; the last one read counts"
                           : "the rows of this table have versions by now, its documents have not; "
                             "the last one read still counts",
               SL_T("feed", feed->config->name), SL_T("table", table->name));
    return SL_OK;
}

int sl_hook_order_settle(struct sl_webhook_feed *feed, const struct sl_hook_table *table,
                         struct sl_err *err)
{
    if (feed->order_known)
        return SL_OK;
    int rc = sl_mutex_lock(&feed->settling, SL_FOREVER, err);
    if (rc != SL_OK)
        return rc;
    if (!feed->order_known) /* else the one before has found out */
        rc = settle(feed, table, err);
    sl_mutex_unlock(&feed->settling);
    return rc;
}

int sl_hook_order_take(struct sl_webhook *webhook, int64_t *ret, struct sl_err *err)
{
    if (!webhook->arrival)
        webhook->arrival = sl_arrival_join(webhook->env.state);
    return sl_arrival_take(webhook->arrival, 1, sl_deadline_in(ORDER_TIMEOUT_MS), ret, err);
}
