/* One poll: pages from the socket through the parser into batches.
 *
 * Deletions are held back until the answer has ended, and an upsert in the same answer beats them:
 * it can only be a re-creation. Its version alone would not tell, when rows younger than it had
 * been read before (page after page of a full read, or after going back to an older link); so the
 * ids of such rows are remembered while the answer lasts, and those of rows that become dead
 * letters, which may be stored already. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "dataverse/dataverse_own.h"
#include "format/odata.h"
#include "source/idset.h"

enum {
    PIECE_BYTES = 32 * 1024,
    SLICE_IDS = 500, /* then others have their turn */
    STRANGERS_MAX = 1000,
    PAGE_TRIES = 10,      /* in a row, before the changes are asked for from their first page */
    LOOK_AGAIN_MS = 1000, /* whether it is worth waiting still */
};

struct poll {
    struct sl_dv_feed *feed;
    bool full;        /* part of a full read */
    int64_t offset;   /* of row versions, when the poll began */
    int64_t greatest; /* row version read before the poll began, with the offset */
    int64_t since_ms; /* wall clock: what it finds was not there before; 0: not known */
    struct sl_idset upserted, deleted;
    size_t held_bytes; /* by these two; counted in the environment, too */
    uint64_t rows;
    bool news;      /* of a column, which the table's description may know by now */
    bool not_taken; /* the service gave a row, and it could not be taken */
    char piece[PIECE_BYTES];
};

/* --- rows --- */

/* Whether what it reads is still wanted. */
static int go_on(const struct sl_dv_feed *feed, struct sl_err *err)
{
    if (feed->lost)
        return sl_err_set(err, SL_CLOSED, "a batch came back; its rows are read again");
    if (feed->epoch != sl_dataverse_epoch(feed->dataverse))
        return sl_err_set(err, SL_THROTTLED, "the source has another owner now");
    return SL_OK;
}

/* Room for one more row of this poll, or why the poll must end. Until the add that follows nothing
 * may suspend. */
static int open_batch(struct poll *poll, struct sl_batch **ret, struct sl_err *err)
{
    struct sl_dv_feed *feed = poll->feed;
    if (poll->news)
        return sl_err_set(err, SL_CLOSED,
                          "a column is new or has another type; asked again knowing it");
    const struct sl_journal_kind kind = {
        .lane = poll->full ? SL_LANE_BULK : SL_LANE_FAST,
        .seen = poll->full ? feed->at.reading : NULL,
    };
    int rc = sl_dv_same_offset(feed->counter, poll->offset, err);
    if (rc == SL_OK)
        rc = sl_journal_begin(feed->journal, &kind, err);
    if (rc == SL_OK)
        rc = sl_batcher_open(feed->batcher, ret, err);
    if (rc == SL_OK)
        rc = go_on(feed, err);
    if (rc != SL_OK)
        return rc;
    poll->rows++;
    feed->untouched = false;
    return SL_OK;
}

/* A column may have been dropped and made anew with another type. A value that does not fit the new
 * description either is the row's own fault; it must not make every poll begin anew. */
static void doubt_table(struct poll *poll)
{
    struct sl_dv_feed *feed = poll->feed;
    uint64_t now_ms = sl_loop_now_ms();
    if (poll->news || feed->doubting ||
        (feed->doubted_ms && now_ms - feed->doubted_ms < SL_DV_METADATA_AGAIN_MS))
        return;
    sl_log(SL_INFO, "a value is not of its column's type, the table's description is read again",
           SL_T("feed", feed->config->name));
    feed->doubting = true;
    feed->doubted_ms = now_ms;
    feed->table_known = false;
    poll->news = true;
}

/* All polls of the process share the memory for ids. Who needs it while others hold some gives up,
 * and what it held, and is tried again; who needs more than there is has its table read in full. */
static int count_held(struct poll *poll, struct sl_err *err)
{
    const struct sl_dataverse_env *env = &poll->feed->dataverse->env;
    uint64_t limit_bytes = env->config->limits.held_ids_bytes;
    size_t bytes = sl_idset_bytes(&poll->upserted) + sl_idset_bytes(&poll->deleted);
    *env->held_bytes += bytes - poll->held_bytes;
    poll->held_bytes = bytes;
    if (*env->held_bytes <= limit_bytes)
        return SL_OK;
    if (bytes > limit_bytes)
        return sl_err_set(err, SL_NOTFOUND,
                          "the ids of one answer take more than limits.held_ids (%llu KiB)",
                          (unsigned long long)limit_bytes / 1024);
    return sl_err_set(err, SL_THROTTLED,
                      "the ids of several answers take more than limits.held_ids (%llu KiB); tried "
                      "again when others are done",
                      (unsigned long long)limit_bytes / 1024);
}

/* The answer holds the row itself: a deletion of it, in the same answer, came before. */
static int note_alive(struct poll *poll, struct sl_str id, struct sl_err *err)
{
    if (poll->full)
        return SL_OK;
    sl_idset_add(&poll->upserted, id);
    return count_held(poll, err);
}

static int bury(void *ctx, struct sl_str id, const char *code, const char *reason,
                struct sl_str raw_doc, struct sl_err *err)
{
    struct poll *poll = ctx;
    struct sl_batch *batch;
    if (!strcmp(code, "untypable"))
        doubt_table(poll);
    int rc = id.length ? note_alive(poll, id, err) : SL_OK;
    if (rc == SL_OK)
        rc = open_batch(poll, &batch, err);
    if (rc != SL_OK)
        return rc;
    struct sl_dead dead = {
        .code = code,
        .reason = sl_batch_keep(batch, sl_str_of(reason)),
        .id = sl_batch_keep(batch, id),
        .row = sl_batch_keep(batch, raw_doc),
        .row_is_bson = true,
    };
    if (!id.length) /* the key cannot tell it from the next one */
        dead.row_number = ++poll->feed->nameless;
    return sl_batcher_add_dead(poll->feed->batcher, &dead, err);
}

/* When the row was changed, by our clock; 0: not known. What the system changes by itself, such as
 * rollup columns, leaves modifiedon as it was: a change that the earlier poll did not find has come
 * after it. */
static int64_t changed_at(const struct poll *poll, int64_t theirs_ms)
{
    int64_t ours_ms = theirs_ms - sl_clock_offset_ms(&poll->feed->dataverse->remote.offset);
    if (!theirs_ms)
        return 0;
    return ours_ms < poll->since_ms ? poll->since_ms : ours_ms;
}

/* What changes after a full read has begun is newer than all that was known then, and its sweep
 * goes by that. If it is not, what is known is not of this counter: the environment was restored,
 * or is another one. It is journaled before the row is published, which the sweep would take for
 * gone. */
static int compare_with_floor(const struct poll *poll, int64_t version, struct sl_err *err)
{
    struct sl_dv_feed *feed = poll->feed;
    struct sl_checkpoint *at = &feed->at;
    bool to_be_swept = at->reading[0] || at->sweeping[0];
    if (poll->full || !to_be_swept || at->behind || sl_dv_row_version(version) > at->floor)
        return SL_OK;
    at->behind = true;
    int rc = sl_dv_save(feed, err);
    at->behind = rc == SL_OK; /* else the row comes again */
    return rc;
}

static int upsert(struct poll *poll, const struct sl_odata_row *row, struct sl_err *err)
{
    struct sl_dv_feed *feed = poll->feed;
    struct sl_batch *batch;
    if (row->version < 0)
        return bury(poll, row->id, "no_version", "the row came without a version (etag)", row->doc,
                    err);
    if (row->version >= SL_DV_NUMBER_END)
        return bury(poll, row->id, "bad_version", "the row's version (etag) is beyond all reason",
                    row->doc, err);
    int rc = sl_dv_same_offset(feed->counter, poll->offset, err);
    if (rc != SL_OK)
        return rc;
    int64_t version = row->version + poll->offset;
    if (version <= poll->greatest)
        rc = note_alive(poll, row->id, err);
    sl_dv_saw(feed->counter, version);
    if (rc == SL_OK)
        rc = compare_with_floor(poll, version, err);
    if (rc == SL_OK)
        rc = open_batch(poll, &batch, err);
    if (rc != SL_OK)
        return rc;
    const struct sl_record record = {
        .op = SL_UPSERT,
        .id = sl_batch_keep(batch, row->id),
        .version = sl_dv_row_version(version),
        .changed_at_ms = changed_at(poll, row->changed_at_ms),
        .doc = sl_batch_keep(batch, row->doc),
    };
    return sl_batcher_add(feed->batcher, &record, err);
}

static int take_row(void *ctx, const struct sl_odata_row *row, struct sl_err *err)
{
    struct poll *poll = ctx;
    if (!row->deleted)
        return upsert(poll, row, err);
    sl_idset_add(&poll->deleted, row->id);
    return count_held(poll, err);
}

/* A row with a new column must not be stored before the column's type is known: the same version
 * would not be stored again. A name that is still unknown then, its value speaks for itself. */
static void note_column(void *ctx, struct sl_str name)
{
    struct poll *poll = ctx;
    struct sl_dv_feed *feed = poll->feed;
    char text[SL_NAME_MAX];
    if (feed->strangers.count >= STRANGERS_MAX || !sl_idset_add(&feed->strangers, name)) {
        feed->table_stale = true;
        return;
    }
    snprintf(text, sizeof text, SL_STR_FORMAT, SL_STR_ARGS(name));
    sl_log(SL_INFO, "a column is new, the table's description is read again",
           SL_T("feed", feed->config->name), SL_T("column", text));
    poll->news = true;
    feed->table_known = false;
}

static const struct sl_odata_handler handler = {
    .row = take_row,
    .bad = bury,
    .unknown_column = note_column,
};

/* The deletions of the answer, now that it is known whole. */
static int give_deletions(struct poll *poll, struct sl_err *err)
{
    struct sl_idset_walk walk = {0};
    struct sl_str id;
    int rc = SL_OK;
    for (uint32_t i = 1; rc == SL_OK && sl_idset_next(&poll->deleted, &walk, &id); i++) {
        struct sl_batch *batch = NULL;
        if (i % SLICE_IDS == 0 && sl_fiber_yield() != SL_OK)
            return sl_err_set(err, SL_CANCELED, "cancelled");
        if (sl_idset_has(&poll->upserted, id))
            continue;
        rc = open_batch(poll, &batch, err);
        if (rc != SL_OK)
            return rc;
        const struct sl_record record = {
            .op = SL_DELETE,
            .id = sl_batch_keep(batch, id),
            .version = sl_dv_deletion_version(poll->greatest),
        };
        rc = sl_batcher_add(poll->feed->batcher, &record, err);
    }
    return rc;
}

/* --- pages --- */

static int read_rows(struct poll *poll, struct sl_http_stream *stream, struct sl_odata *parser,
                     struct sl_err *err)
{
    struct sl_dataverse_pace pace = {.patience_ms =
                                         poll->feed->dataverse->settings->request_timeout_ms};
    for (;;) {
        size_t size;
        int rc = sl_dataverse_read(stream, &pace, poll->piece, sizeof poll->piece, &size, err);
        if (rc == SL_END)
            return sl_odata_end(parser, err);
        if (rc == SL_OK) {
            rc = sl_odata_feed(parser, poll->piece, size, err);
            poll->not_taken = rc != SL_OK && rc != SL_REJECTED;
        }
        if (rc != SL_OK)
            return rc;
        if (size == sizeof poll->piece && sl_fiber_yield() != SL_OK)
            return sl_err_set(err, SL_CANCELED, "cancelled");
    }
}

/* An answer that makes no sense is not the row's fault: it is asked for again. */
static int read_answer(struct poll *poll, struct sl_http_stream *stream, struct sl_odata *parser,
                       struct sl_err *err)
{
    int rc = read_rows(poll, stream, parser, err);
    if (rc == SL_REJECTED)
        err->code = SL_CLOSED, rc = SL_CLOSED;
    return rc == SL_OK ? rc : sl_err_wrap(err, "%s", poll->feed->settings->table);
}

/* Where an answer ended. */
struct links {
    char *next, *delta; /* NULL: none; the caller frees */
};

/* Asks for link (NULL: the first page of a full read) and takes the rows of the answer. */
static int read_page(struct poll *poll, const char *link, enum sl_urgency urgency,
                     struct links *ret, struct sl_err *err)
{
    struct sl_dv_feed *feed = poll->feed;
    struct sl_dataverse_remote *remote = &feed->dataverse->remote;
    const struct sl_dataverse_get get = {
        .link = link,
        .path = link ? NULL : feed->query,
        .table = feed->settings->table,
        .prefer = feed->prefer,
        .urgency = urgency,
    };
    const struct sl_odata_options options = {
        .columns = &feed->table.columns,
        .id_column = feed->table.id_column,
        .version_column = "versionnumber",
        .changed_column = feed->table.has_modified ? "modifiedon" : NULL,
        .max_row_bytes = feed->dataverse->env.config->limits.max_row_bytes,
    };
    struct sl_http_stream *stream;
    struct sl_http_response head;
    int rc = sl_dataverse_open(remote, &get, &stream, &head, err);
    if (rc != SL_OK)
        return rc;
    sl_http_response_done(&head);
    struct sl_odata *parser = sl_odata_new(&options, &handler, poll);
    rc = read_answer(poll, stream, parser, err);
    sl_dataverse_close(remote, stream);
    const char *next = sl_odata_next_link(parser), *delta = sl_odata_delta_link(parser);
    if (rc == SL_OK && !next && !delta)
        rc = sl_err_set(err, SL_CLOSED,
                        "%s: the answer ends without a link; does the table have "
                        "change tracking?",
                        feed->settings->table);
    if (rc == SL_OK) {
        ret->next = next ? sl_strdup(next) : NULL;
        ret->delta = delta && !next ? sl_strdup(delta) : NULL;
    }
    sl_odata_free(parser);
    return rc;
}

/* A page of a full read: the next one may come after other work. */
static int poll_page(struct poll *poll, enum sl_urgency urgency, struct sl_err *err)
{
    struct sl_dv_feed *feed = poll->feed;
    struct links links = {0};
    int rc = read_page(poll, feed->link, urgency, &links, err);
    if (rc == SL_OK)
        sl_dv_move_to(feed, links.next ? links.next : links.delta, links.next != NULL);
    free(links.next);
    free(links.delta);
    return rc;
}

/* Waits before a page is asked for again, as long as that is worth anything. */
static int pause_poll(struct sl_dv_feed *feed, uint64_t *pause_ms, struct sl_err *err)
{
    uint64_t until_ms = sl_deadline_in(sl_dv_pause_ms(err, pause_ms));
    sl_dv_trouble(feed, err->message);
    sl_batcher_flush(feed->batcher); /* the rows so far need not wait, too */
    while (sl_loop_now_ms() < until_ms) {
        uint64_t again_ms = sl_next_beat(LOOK_AGAIN_MS);
        if (sl_wait(&feed->wake, again_ms < until_ms ? again_ms : until_ms) == SL_CANCELED)
            return sl_err_set(err, SL_CANCELED, "cancelled");
        int rc = go_on(feed, err);
        if (rc == SL_OK && sl_dv_refresh_waits(feed))
            rc = sl_err_set(err, SL_CLOSED, "a refresh comes first");
        if (rc != SL_OK)
            return rc;
    }
    return SL_OK;
}

/* A page after the first. Hundreds may have been read and deletions be held, so a failure that may
 * pass does not end the poll. What the page gave before it failed, it gives once more: the same
 * rows in the same versions, or newer ones. */
static int read_further(struct poll *poll, const char *link, enum sl_urgency urgency,
                        struct links *ret, struct sl_err *err)
{
    uint64_t pause_ms = 0;
    for (unsigned tries = 1;; tries++) {
        int rc = read_page(poll, link, urgency, ret, err);
        if (rc == SL_OK && tries > 1)
            sl_dv_works(poll->feed);
        if (rc == SL_OK || poll->not_taken || poll->news)
            return rc;
        /* Left for too long? Whether tracking leads on is for the first link to tell. */
        if (tries > 1 && (rc == SL_NOTFOUND || rc == SL_REJECTED)) {
            err->cause = 0;
            return err->code = SL_CLOSED;
        }
        if (!sl_code_transient(rc) || tries == PAGE_TRIES)
            return rc;
        rc = pause_poll(poll->feed, &pause_ms, err);
        if (rc != SL_OK)
            return rc;
    }
}

/* All pages of the changes: only their end leads on, since deletions are held until then. */
static int poll_changes(struct poll *poll, enum sl_urgency urgency, struct sl_err *err)
{
    struct sl_dv_feed *feed = poll->feed;
    char *link = sl_strdup(feed->link);
    struct links links = {0};
    int64_t now_ms = sl_wall_ms();
    poll->since_ms = feed->link_asked_ms <= now_ms ? feed->link_asked_ms : 0; /* a clock set back */
    int rc = read_page(poll, link, urgency, &links, err);
    while (rc == SL_OK && links.next) {
        free(link);
        link = links.next;
        links = (struct links){0};
        rc = read_further(poll, link, urgency, &links, err);
    }
    free(link);
    if (rc == SL_OK)
        rc = give_deletions(poll, err);
    if (rc == SL_OK) {
        sl_dv_move_to(feed, links.delta, false);
        feed->link_asked_ms = now_ms;
    }
    free(links.delta);
    return rc;
}

int sl_dv_poll(struct sl_dv_feed *feed, enum sl_urgency urgency, uint64_t *ret_rows,
               struct sl_err *err)
{
    struct poll *poll = sl_alloc(sizeof *poll);
    memset(poll, 0, offsetof(struct poll, piece)); /* the piece is filled by reading */
    poll->feed = feed;
    poll->full = feed->linked_full;
    poll->greatest = sl_dv_greatest(feed->counter);
    poll->offset = sl_dv_offset(feed->counter);
    int rc = poll->full ? poll_page(poll, urgency, err) : poll_changes(poll, urgency, err);
    if (!poll->full)
        sl_batcher_flush(feed->batcher);
    *ret_rows = poll->rows;
    *feed->dataverse->env.held_bytes -= poll->held_bytes;
    sl_idset_done(&poll->upserted);
    sl_idset_done(&poll->deleted);
    free(poll);
    return rc;
}
