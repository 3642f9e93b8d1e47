/* Events that were answered 503. The service posts each once more, here or to another process, and
 * then never again: when no event about a row came in time, an operator is told that it may be old.
 * Of the first ones the ids are kept; that there were more is noted, not how many rows. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "webhook/webhook_own.h"

enum { KEPT_MAX = 1000, PUT_OFF_MAX = 4, COUNTED_BYTES = SL_HOOK_ID_BYTES + 140 };

static uint32_t find(const struct sl_hook_missed *missed, const char *id)
{
    uint32_t i = 0;
    while (i < missed->count && strcmp(missed->ids[i], id) != 0)
        i++;
    return i;
}

static void note(struct sl_hook_missed *missed, const char *id)
{
    if (find(missed, id) < missed->count)
        return;
    if (missed->count == KEPT_MAX) {
        missed->more = true;
        return;
    }
    if (!missed->ids)
        missed->ids = sl_calloc(KEPT_MAX, sizeof *missed->ids);
    memcpy(missed->ids[missed->count++], id, sizeof *missed->ids);
}

/* Counted from the last miss, so that its retry has the time, but not for ever. */
static void put_off(struct sl_webhook_feed *feed)
{
    struct sl_hook_missed *missed = &feed->missed;
    uint64_t deadline_ms = feed->settings->ledger_deadline_ms;
    bool is_first = !missed->tell_ms;
    if (is_first)
        missed->latest_ms = sl_deadline_in(PUT_OFF_MAX * deadline_ms);
    missed->tell_ms = sl_deadline_in(deadline_ms);
    if (missed->tell_ms > missed->latest_ms)
        missed->tell_ms = missed->latest_ms;
    if (is_first)
        sl_books_stir(&feed->webhook->books);
}

void sl_hook_missed_note(struct sl_webhook_feed *feed, const struct sl_webhook_event *event)
{
    char id[SL_HOOK_ID_BYTES];
    for (uint32_t i = 0; i < sl_hook_pair_count(feed, event); i++) {
        const struct sl_hook_pair pair = sl_hook_pair_of(feed, event, i);
        sl_hook_pair_id(&pair, id);
        note(&feed->missed, id);
    }
    put_off(feed);
}

void sl_hook_missed_taken(struct sl_webhook_feed *feed, const struct sl_webhook_event *event)
{
    struct sl_hook_missed *missed = &feed->missed;
    char id[SL_HOOK_ID_BYTES];
    for (uint32_t i = 0; missed->count && i < sl_hook_pair_count(feed, event); i++) {
        const struct sl_hook_pair pair = sl_hook_pair_of(feed, event, i);
        sl_hook_pair_id(&pair, id);
        uint32_t at = find(missed, id);
        if (at < missed->count)
            memmove(missed->ids[at], missed->ids[--missed->count], sizeof *missed->ids);
    }
    if (!missed->count && !missed->more)
        missed->tell_ms = 0;
}

/* How many rows. */
static void count_rows(const struct sl_webhook_feed *feed, char ret[COUNTED_BYTES])
{
    const struct sl_hook_missed *missed = &feed->missed;
    char one[SL_HOOK_ID_BYTES + 16] = "", more[80] = "", rows[40] = "unknown how many";
    if (feed->missed_rows)
        snprintf(rows, sizeof rows, "%s%" PRIu64 " so far", feed->missed_more ? "at least " : "",
                 feed->missed_rows);
    if (missed->count)
        snprintf(one, sizeof one, ", one is %s", missed->ids[0]);
    if (feed->missed_more)
        snprintf(more, sizeof more, "; of more than %d at a time it is not noted which came again",
                 KEPT_MAX);
    snprintf(ret, COUNTED_BYTES, "%s%s%s", rows, one, more);
}

static void tell(const struct sl_webhook_feed *feed)
{
    const struct sl_webhook_feed_settings *settings = feed->settings;
    char rows[COUNTED_BYTES], text[COUNTED_BYTES + SL_TABLE_NAME_BYTES + 480];
    count_rows(feed, rows);
    snprintf(
        text, sizeof text,
        "Rows of %s %s may be old or missing (%s): their events were "
        "answered 503, because RabbitMQ did not take them, and none came since. Dataverse posts an "
        "event once more, which another process may have taken, and then never again. Change "
        "or touch these rows, so that events come again, or compare the table in full.",
        settings->table ? "table" : "relationship",
        settings->table ? settings->table : settings->relationship, rows);
    feed->webhook->env.alerter->raise(SL_ALERT_NOTICE, feed->config->name, "events may be lost",
                                      text);
}

void sl_hook_missed_tell(struct sl_webhook_feed *feed)
{
    struct sl_hook_missed *missed = &feed->missed;
    feed->missed_rows += missed->count;
    feed->missed_more |= missed->more;
    if (missed->count || missed->more)
        tell(feed);
    free(missed->ids);
    *missed = (struct sl_hook_missed){0};
}

void sl_hook_missed_tell_due(struct sl_webhook_feed *feed, uint64_t *wait_ms)
{
    if (feed->missed.tell_ms && sl_loop_now_ms() >= feed->missed.tell_ms)
        sl_hook_missed_tell(feed);
    if (feed->missed.tell_ms)
        sl_books_sooner(wait_ms, feed->missed.tell_ms);
}
