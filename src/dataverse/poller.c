/* What a table's feed does next: take over, begin a full read, wait for its time or a bell, poll,
 * end a run, sweep. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/log.h"
#include "base/metric.h"
#include "dataverse/dataverse_own.h"
#include "source/freshness.h"

enum {
    PAUSE_MIN_MS = 250,
    PAUSE_MAX_MS = 30 * 1000,
    OPERATOR_PAUSE_MS = 60 * 1000, /* after what only an operator can mend */
    STANDBY_LOOK_MS = 5000,
    INTERVAL_AGAIN_MS = 1000,
    VOID_MIN_MS = 1000,
    VOID_MAX_MS = 5 * 60 * 1000,
    REFUSED_INTERVALS = 50, /* one link, each time it was tried: then it is void */
    REFUSED_MIN_MS = 5000,
    REFUSED_MAX_MS = 60 * 1000,
    FAULTS_MAX_MS = 60 * 60 * 1000, /* the same, where it is called a fault of the service */
    BAD_REQUEST = 400,
    NOT_FOUND = 404,
};

/* --- the parts of a step --- */

static int take_over(struct sl_dv_feed *feed, struct sl_err *err)
{
    int64_t epoch;
    sl_dv_sweep_stop(feed);
    sl_journal_abandon(feed->journal); /* an open batch would hold credit until we own it again */
    while (!(epoch = sl_dataverse_epoch(feed->dataverse))) {
        sl_dv_trouble(feed, "");
        int rc = sl_dataverse_wait_owner(feed->dataverse, sl_deadline_in(STANDBY_LOOK_MS));
        if (rc == SL_CANCELED)
            return sl_err_set(err, SL_CANCELED, "cancelled");
    }
    feed->sight.trouble[0] = '\0'; /* what another one told while it was the owner is not known */
    int rc = sl_dv_identify(feed->dataverse, err);
    if (rc == SL_OK)
        rc = sl_dv_take_up(feed, epoch, err);
    if (rc == SL_OK)
        sl_dv_look_again(feed);
    return rc;
}

/* What a full read asks for. The links that follow from it are followed as they are. */
static void write_request(struct sl_dv_feed *feed)
{
    struct sl_buf query, prefer, shape;
    sl_buf_init(&query);
    sl_buf_add_text(&query, feed->table.entity_set);
    if (feed->table.select)
        sl_buf_printf(&query, "?$select=%s", feed->table.select);
    sl_buf_init(&prefer);
    sl_buf_printf(&prefer, "odata.track-changes,odata.maxpagesize=%lld",
                  (long long)feed->dataverse->settings->page_size);
    if (feed->settings->formatted_values)
        sl_buf_add_text(&prefer, ",odata.include-annotations=\""
                                 "OData.Community.Display.V1.FormattedValue,"
                                 "Microsoft.Dynamics.CRM.lookuplogicalname\"");
    free(feed->query);
    free(feed->prefer);
    free(feed->shape);
    feed->query = sl_buf_take(&query);
    feed->prefer = sl_buf_take(&prefer);
    sl_buf_init(&shape);
    sl_buf_add_text(&shape, feed->query);
    if (feed->settings->formatted_values) /* "@": their names once had dots */
        sl_buf_add_text(&shape, " with formatted values @");
    char *into = sl_dv_into(feed);
    sl_buf_add_text(&shape, into);
    free(into);
    feed->shape = sl_buf_take(&shape);
}

/* The table's columns, read at the start and again when a row has one that was not known. */
static int know_table(struct sl_dv_feed *feed, struct sl_err *err)
{
    uint64_t now_ms = sl_loop_now_ms();
    bool again = feed->table_stale && now_ms - feed->table_read_ms >= SL_DV_METADATA_AGAIN_MS;
    if (feed->table_known && !again)
        return SL_OK;
    struct sl_dataverse_table table = {0};
    int rc = sl_dataverse_table_read(&feed->dataverse->remote, feed->settings->table,
                                     feed->settings->select,
                                     feed->table_known ? SL_STEADY : SL_PATIENT, &table, err);
    if (rc == SL_NOTFOUND) /* of the table, not of a link */
        rc = err->code = SL_CONFIG;
    if (rc == SL_OK)
        rc = sl_dataverse_table_check(&table, err);
    if (rc != SL_OK) {
        feed->refused_at_ms = 0; /* the link is not tried meanwhile */
        sl_dataverse_table_done(&table);
        return rc;
    }
    sl_dataverse_table_done(&feed->table);
    feed->table = table;
    feed->table_known = true;
    feed->table_stale = false;
    feed->table_read_ms = now_ms;
    write_request(feed);
    sl_dv_look_again(feed);
    return SL_OK;
}

/* With other columns than before, or for another collection or database, the table must be read
 * from its beginning. */
static int begin_full_if_needed(struct sl_dv_feed *feed, struct sl_err *err)
{
    const char *shape = feed->at.query;
    bool other = shape && strcmp(shape, feed->shape) != 0;
    if (feed->link && other)
        return sl_dv_begin_full(
            feed, "the configuration asks for other columns, collection or database", err);
    /* The service may count pages, not rows: the place would be another one. */
    if (feed->link && feed->linked_full && feed->at.page_rows &&
        feed->at.page_rows != feed->dataverse->settings->page_size)
        return sl_dv_begin_full(feed, "the configuration asks for another page_size", err);
    /* One that gave rows already and has no link is begun anew, under another name: what it saw and
     * is gone by now would not be missed. */
    if (!feed->link && (other || !feed->untouched))
        return sl_dv_begin_full(feed, NULL, err);
    return SL_OK;
}

static uint64_t due_ms(const struct sl_dv_feed *feed)
{
    if (!feed->base_ms || feed->linked_full)
        return 0;
    return feed->base_ms + sl_budget_interval_ms(feed->dataverse->remote.budget, &feed->member);
}

/* Its span is over, however far the next poll is. */
static bool run_is_due(const struct sl_dv_feed *feed)
{
    return !feed->linked_full && sl_journal_is_due(feed->journal);
}

static bool poll_is_due(const struct sl_dv_feed *feed)
{
    return feed->rung || sl_loop_now_ms() >= due_ms(feed);
}

static bool must_act(const struct sl_dv_feed *feed)
{
    return feed->lost || feed->rung || feed->sight.news || run_is_due(feed) ||
           sl_dv_sweep_is_due(feed) || sl_dv_refresh_is_due(feed) ||
           feed->epoch != sl_dataverse_epoch(feed->dataverse);
}

/* Until the next poll is due, or something else is to be done. The budget is asked again and again:
 * an interval that a full read made long is short when that has ended. */
static int wait_for_work(struct sl_dv_feed *feed, struct sl_err *err)
{
    uint64_t due;
    while (!must_act(feed) && sl_loop_now_ms() < (due = due_ms(feed))) {
        uint64_t again = sl_next_beat(INTERVAL_AGAIN_MS);
        int rc = sl_wait(&feed->wake, due < again ? due : again);
        if (rc == SL_CANCELED)
            return sl_err_set(err, SL_CANCELED, "cancelled");
    }
    return SL_OK;
}

static int end_run(struct sl_dv_feed *feed, struct sl_err *err)
{
    char *mark = sl_dv_mark(feed);
    int rc = sl_journal_end(feed->journal, mark, err);
    free(mark);
    return rc;
}

/* A full read costs more than a while without changes: what passes is waited for. */
static uint64_t patience_of(const struct sl_dv_feed *feed, int rc)
{
    uint64_t patience_ms = REFUSED_INTERVALS * feed->settings->every_ms;
    if (rc != SL_REJECTED)
        return FAULTS_MAX_MS;
    if (patience_ms < REFUSED_MIN_MS)
        return REFUSED_MIN_MS;
    return patience_ms < REFUSED_MAX_MS ? patience_ms : REFUSED_MAX_MS;
}

/* The service finds the request wrong. That means that something has changed since: a column is
 * gone, the table is called otherwise, or a page was left for too long. The table's description
 * tells the first two, and of a link reading all is what helps otherwise. */
static int judge_refusal(struct sl_dv_feed *feed, int rc, struct sl_err *err)
{
    uint64_t now_ms = sl_loop_now_ms();
    bool refused = (rc == SL_REJECTED && err->cause >= 300 && err->cause < 500) ||
                   (rc == SL_CONFIG && err->cause == NOT_FOUND); /* of the path, not of a link */
    feed->table_known = !refused;
    bool counts = feed->link && (refused || (rc == SL_CLOSED && err->cause == BAD_REQUEST));
    if (counts && feed->refused_at_ms)
        feed->refused_ms += now_ms - feed->refused_at_ms;
    feed->refused_at_ms = counts ? now_ms : 0;
    if (counts && feed->refused_ms >= patience_of(feed, rc))
        rc = err->code = SL_NOTFOUND;
    return rc;
}

static int poll(struct sl_dv_feed *feed, struct sl_err *err)
{
    bool reading = feed->linked_full;
    enum sl_urgency urgency = reading ? SL_PATIENT : feed->rung ? SL_URGENT : SL_STEADY;
    uint64_t rows = 0, now_ms = sl_loop_now_ms(), due = due_ms(feed);
    /* Intervals are counted from when a poll was due, unless that is long ago or it came early. */
    bool on_time = due && now_ms >= due && now_ms - due < feed->settings->every_ms &&
                   now_ms - due < due - feed->base_ms;
    feed->base_ms = on_time ? due : now_ms;
    feed->rung = false; /* a bell from here on asks for another poll */
    int rc = sl_dv_poll(feed, urgency, &rows, err);
    feed->polls++;
    feed->rows += rows;
    if (rc != SL_OK) {
        feed->base_ms = 0; /* tried again after the pause, whatever the interval */
        /* A column is new, or of another type: at once, knowing it. */
        return feed->table_known ? judge_refusal(feed, rc, err) : SL_OK;
    }
    feed->doubting = false;
    if (feed->lost)
        return SL_OK; /* what was read leads nowhere */
    if (reading) {
        feed->reading_rows += rows;
    } else {
        feed->voided = 0;
        sl_fresh_until(&feed->fresh, feed->config->name, feed->link_asked_ms);
        sl_budget_polled(feed->dataverse->remote.budget, &feed->member, urgency == SL_URGENT, rows,
                         now_ms);
    }

    bool read = reading && !feed->linked_full; /* to its end */
    if (read)
        feed->base_ms = 0; /* what changed meanwhile waits, and its bells were not heeded */
    if (read && !sl_journal_is_open(feed->journal))
        rc = sl_dv_open_full(feed, err); /* an empty table, or one that ended with its last run */
    if (rc == SL_OK && (read || sl_journal_is_due(feed->journal)))
        rc = end_run(feed, err);
    return rc == SL_OK ? sl_dv_save_idle(feed, err) : rc;
}

static int step(struct sl_dv_feed *feed, struct sl_err *err)
{
    int rc = SL_OK;
    if (!feed->epoch || feed->epoch != sl_dataverse_epoch(feed->dataverse))
        rc = take_over(feed, err);
    if (rc == SL_OK && feed->lost) {
        sl_dv_sweep_stop(feed);
        feed->lost = false;
        sl_journal_abandon(feed->journal);
        sl_dv_go_back(feed);
    }
    if (rc == SL_OK)
        rc = sl_dv_check_identity(feed, err);
    if (rc == SL_OK)
        rc = know_table(feed, err);
    if (rc == SL_OK)
        rc = sl_dv_heed_sight(feed, err);
    if (rc == SL_OK)
        rc = begin_full_if_needed(feed, err);
    if (rc == SL_OK)
        rc = wait_for_work(feed, err);
    if (rc != SL_OK || feed->lost || feed->sight.news ||
        feed->epoch != sl_dataverse_epoch(feed->dataverse))
        return rc;
    if (sl_dv_refresh_is_due(feed))
        return sl_dv_refresh(feed, err);
    if (sl_dv_sweep_is_due(feed))
        return sl_dv_sweep(feed, err);
    rc = sl_mutex_lock(&feed->adding, SL_FOREVER, err);
    if (rc != SL_OK)
        return rc;
    if (!feed->lost && feed->epoch == sl_dataverse_epoch(feed->dataverse))
        rc = poll_is_due(feed) ? poll(feed, err) : run_is_due(feed) ? end_run(feed, err) : SL_OK;
    sl_mutex_unlock(&feed->adding);
    return rc;
}

/* --- the fiber --- */

/* The link leads nowhere any more: what happened since is known only by reading all. A service that
 * gives void links again and again is asked less and less often. */
static int void_link(struct sl_dv_feed *feed, struct sl_err *err)
{
    char why[SL_ERR_TEXT_BYTES];
    snprintf(why, sizeof why, "%s", err->message);
    if (feed->voided++ &&
        sl_fiber_sleep(sl_backoff_after(feed->voided, VOID_MIN_MS, VOID_MAX_MS)) != SL_OK)
        return sl_err_set(err, SL_CANCELED, "cancelled");
    sl_counter("full_reads_total", "Full reads begun because a link was void.", "feed=\"%s\"",
               feed->config->name)
        ->value++;
    feed->table_known = false; /* new columns make links void */
    sl_dv_doubt_identity(feed->dataverse);
    return sl_dv_begin_full(feed, why, err);
}

uint64_t sl_dv_pause_ms(const struct sl_err *err, uint64_t *pause_ms)
{
    uint64_t wait_ms = *pause_ms ? *pause_ms : PAUSE_MIN_MS;
    *pause_ms = sl_backoff_next(wait_ms, PAUSE_MAX_MS);
    return err->retry_after_ms ? err->retry_after_ms : wait_ms;
}

void sl_dv_works(struct sl_dv_feed *feed)
{
    sl_dataverse_reach_works(feed->dataverse->env.alerter, feed->config->name, feed->sight.trouble,
                             feed->trouble[0]);
    sl_dv_trouble(feed, "");
}

void sl_dv_run(void *arg)
{
    struct sl_dv_feed *feed = arg;
    uint64_t pause_ms = 0;
    for (;;) {
        struct sl_err err = {0};
        uint64_t polls = feed->polls;
        int rc = step(feed, &err);
        if (rc == SL_OK && feed->polls == polls)
            continue; /* what goes well without the service tells nothing of it */
        if (rc == SL_OK) {
            pause_ms = 0;
            sl_dv_works(feed);
            continue;
        }
        feed->base_ms = 0; /* the next poll tells whether it works again, whatever has failed */
        if (rc == SL_NOTFOUND && feed->link)
            rc = void_link(feed, &err);
        if (rc == SL_CANCELED)
            return;
        if (rc == SL_CONFIG && strcmp(feed->trouble, err.message) != 0)
            feed->dataverse->env.alerter->raise(SL_ALERT_OPERATOR, feed->config->name,
                                                "feed needs an operator", err.message);
        sl_dv_trouble(feed, err.message);
        uint64_t wait_ms = sl_dv_pause_ms(&err, &pause_ms);
        if (rc == SL_CONFIG && !err.retry_after_ms)
            wait_ms = OPERATOR_PAUSE_MS;
        if (sl_fiber_sleep(wait_ms) != SL_OK)
            return;
    }
}
