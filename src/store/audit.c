/* The books of all runs: the journal says what was read, the ledger what became of it. Both are
 * walked side by side in the order of the runs' names, in short commands; neither must fit memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "mongo/fields.h"
#include "store/audit_ledger.h"
#include "store/run_document.h"

enum { PAGE_RUNS = 100, FEED_BYTES = SL_NAME_MAX + 16 };

/* Through the journal. */
struct journal {
    struct sl_store *store;
    const char *feed, *run;
    char after[SL_NAME_MAX];
    struct sl_store_rows rows;
    bool open;
    struct sl_run *next; /* the run to be given, when have */
    bool have;
};

/* --- the journal --- */

static int open_page(struct journal *journal, struct sl_err *err)
{
    bson_t *query = bson_new(), range, feeds;
    bson_t *by_id = BCON_NEW("_id", BCON_INT32(1));
    if (journal->open)
        sl_store_rows_done(&journal->rows);
    journal->open = false;
    BSON_APPEND_DOCUMENT_BEGIN(query, "_id", &range);
    BSON_APPEND_UTF8(&range, "$gt", journal->after);
    if (journal->run)
        BSON_APPEND_UTF8(&range, "$eq", journal->run);
    bson_append_document_end(query, &range);
    if (journal->feed) {
        char replay[FEED_BYTES];
        snprintf(replay, sizeof replay, "%s%s", SL_REPLAY_FEED_PREFIX, journal->feed);
        bson_t in;
        BSON_APPEND_DOCUMENT_BEGIN(query, "feed", &in);
        SL_ARRAY_BEGIN(&in, "$in", &feeds);
        BSON_APPEND_UTF8(&feeds, "0", journal->feed);
        BSON_APPEND_UTF8(&feeds, "1", replay);
        bson_append_array_end(&in, &feeds);
        bson_append_document_end(query, &in);
    }
    int rc = sl_store_find_many(journal->store,
                                &(struct sl_store_query){.database = journal->store->database,
                                                         .collection = "runs",
                                                         .filter = query,
                                                         .sort = by_id,
                                                         .limit = PAGE_RUNS},
                                &journal->rows, err);
    bson_destroy(query);
    bson_destroy(by_id);
    journal->open = rc == SL_OK;
    return rc;
}

/* Moves journal->next on. A reply may be cut before it is full, so the end is an empty page. */
static int next_run(struct journal *journal, struct sl_err *err)
{
    bson_t document;
    for (int pages = 0; pages < 2; pages++) {
        if (journal->open && sl_store_rows_next(&journal->rows, &document)) {
            int rc = sl_run_from_document(&document, journal->next, err);
            journal->have = rc == SL_OK;
            snprintf(journal->after, sizeof journal->after, "%s", journal->next->id);
            return rc;
        }
        int rc = pages ? SL_END : open_page(journal, err);
        if (rc == SL_END)
            break;
        if (rc != SL_OK)
            return rc;
    }
    journal->have = false;
    return SL_OK;
}

/* --- side by side --- */

static void add_to(struct sl_audit_run *audit, const struct sl_audit_part *part)
{
    if (!*audit->feed)
        snprintf(audit->feed, sizeof audit->feed, "%s", part->feed);
    audit->applied += part->applied;
    audit->stale += part->stale;
    audit->dead += part->dead;
    audit->booked += part->batches;
    if (part->last_ms > audit->last_ms)
        audit->last_ms = part->last_ms;
    if (!audit->first_ms || part->first_ms < audit->first_ms)
        audit->first_ms = part->first_ms;
}

/* Rows of one entity: what the journal says was read, and what became of them. Before a run is
 * published the ledger may be ahead of the journal. */
static void add_entity(struct sl_audit_run *audit, const struct sl_run_entity *entity,
                       const struct sl_audit_part *part)
{
    bool ahead = audit->state < SL_RUN_PUBLISHED || audit->state == SL_RUN_FAILED;
    bool cut_off = audit->state == SL_RUN_ABANDONED; /* the journal's counts say nothing */
    uint64_t dead = cut_off ? 0 : entity->dead;
    uint64_t read = entity->read, superseded = entity->superseded;
    if (cut_off || (ahead && part->read + dead > read)) {
        read = part->read + dead;
        superseded = part->superseded;
    }
    uint64_t accounted = dead + superseded + part->applied + part->stale + part->dead;
    audit->read += read;
    audit->superseded += superseded;
    audit->dead_on_arrival += dead;
    audit->batches += entity->batches;
    audit->unaccounted += read > accounted ? read - accounted : 0;
}

/* All parts of one attempt that the journal does not tell of. */
static int give_unknown(struct sl_audit_ledger *ledger, const struct sl_run *run, sl_audit_fn *take,
                        void *ctx, struct sl_err *err)
{
    struct sl_audit_run audit = {.attempt = (uint32_t)ledger->next.attempt};
    int64_t attempt = ledger->next.attempt;
    int rc = SL_OK;
    snprintf(audit.run, sizeof audit.run, "%s", ledger->next.run);
    if (run)
        snprintf(audit.feed, sizeof audit.feed, "%s", run->feed);
    audit.journaled = run != NULL;
    while (rc == SL_OK && ledger->have && ledger->next.attempt == attempt &&
           !strcmp(ledger->next.run, audit.run)) {
        add_to(&audit, &ledger->next);
        audit.read += ledger->next.read;
        audit.superseded += ledger->next.superseded;
        rc = sl_audit_ledger_next(ledger, err);
    }
    audit.batches = audit.booked;
    if (rc == SL_OK)
        take(ctx, &audit);
    return rc;
}

static void begin_run(struct sl_audit_run *audit, const struct sl_run *run)
{
    *audit = (struct sl_audit_run){.attempt = run->attempt,
                                   .journaled = true,
                                   .latest = true,
                                   .state = run->state,
                                   .full = run->full,
                                   .number = run->number,
                                   .created_ms = run->created_ms,
                                   .state_ms = run->state_ms};
    snprintf(audit->run, sizeof audit->run, "%s", run->id);
    snprintf(audit->feed, sizeof audit->feed, "%s", run->feed);
    snprintf(audit->error, sizeof audit->error, "%s", run->error);
}

/* Adds a part of the run's own attempt. met[i]: entity i has one. */
static void add_part(struct sl_audit_run *audit, const struct sl_run *run,
                     const struct sl_audit_part *part, bool met[SL_RUN_ENTITIES_MAX])
{
    add_to(audit, part);
    for (unsigned i = 0; i < run->entity_count; i++)
        if (!strcmp(run->entities[i].name, part->entity)) {
            add_entity(audit, &run->entities[i], part);
            met[i] = true;
        }
}

static void add_rest(struct sl_audit_run *audit, const struct sl_run *run,
                     const bool met[SL_RUN_ENTITIES_MAX])
{
    static const struct sl_audit_part nothing;
    for (unsigned i = 0; i < run->entity_count; i++)
        if (!met[i])
            add_entity(audit, &run->entities[i], &nothing);
}

/* Adds the run up by its ledger as it is now: it may have been booked and done since the slice was
 * read that lies beside it. */
static int count_again(struct sl_store *store, const struct sl_run *run, struct sl_audit_run *audit,
                       struct sl_err *err)
{
    struct sl_audit_ledger *ledger = SL_NEW(struct sl_audit_ledger);
    bool met[SL_RUN_ENTITIES_MAX] = {false};
    begin_run(audit, run);
    sl_audit_ledger_init(ledger, store, NULL, run->id);
    int rc = sl_audit_ledger_next(ledger, err);
    while (rc == SL_OK && ledger->have) {
        if (ledger->next.attempt == run->attempt)
            add_part(audit, run, &ledger->next, met);
        rc = sl_audit_ledger_next(ledger, err);
    }
    add_rest(audit, run, met);
    sl_audit_ledger_done(ledger);
    free(ledger);
    return rc;
}

/* The run that the journal is at, with its parts of the ledger. */
static int give_run(struct journal *journal, struct sl_audit_ledger *ledger, sl_audit_fn *take,
                    void *ctx, struct sl_err *err)
{
    struct sl_run *run = journal->next;
    struct sl_audit_run audit;
    bool met[SL_RUN_ENTITIES_MAX] = {false};
    int rc = SL_OK;
    begin_run(&audit, run);
    while (rc == SL_OK && ledger->have && !strcmp(ledger->next.run, run->id)) {
        if (ledger->next.attempt != run->attempt) {
            rc = give_unknown(ledger, run, take, ctx, err);
            continue;
        }
        add_part(&audit, run, &ledger->next, met);
        rc = sl_audit_ledger_next(ledger, err);
    }
    add_rest(&audit, run, met);
    if (rc == SL_OK && audit.unaccounted && run->state == SL_RUN_DONE)
        rc = count_again(journal->store, run, &audit, err);
    if (rc == SL_OK)
        take(ctx, &audit);
    return rc == SL_OK ? next_run(journal, err) : rc;
}

static int walk(struct journal *journal, struct sl_audit_ledger *ledger, sl_audit_fn *take,
                void *ctx, struct sl_err *err)
{
    int rc = next_run(journal, err);
    if (rc == SL_OK)
        rc = sl_audit_ledger_next(ledger, err);
    while (rc == SL_OK && (journal->have || ledger->have)) {
        bool ledger_first =
            !journal->have || (ledger->have && strcmp(ledger->next.run, journal->next->id) < 0);
        rc = ledger_first ? give_unknown(ledger, NULL, take, ctx, err)
                          : give_run(journal, ledger, take, ctx, err);
    }
    return rc;
}

int sl_store_audit(struct sl_state *state, const char *feed, const char *run, sl_audit_fn *take,
                   void *ctx, struct sl_err *err)
{
    struct sl_store *store = sl_store_of(state);
    struct journal journal = {
        .store = store, .feed = feed, .run = run, .next = SL_NEW(struct sl_run)};
    struct sl_audit_ledger *ledger = SL_NEW(struct sl_audit_ledger);
    sl_audit_ledger_init(ledger, store, feed, run);
    int rc = walk(&journal, ledger, take, ctx, err);
    sl_audit_ledger_done(ledger);
    if (journal.open)
        sl_store_rows_done(&journal.rows);
    free(journal.next);
    free(ledger);
    return rc == SL_OK ? rc : sl_err_wrap(err, "cannot read the books");
}
