/* Full reads that have overtaken what was read before them. A row of an older message that is not
 * stored was gone when the full read began, and must not come back: a sweep had nothing to bury. */
#ifndef SL_FLOW_OVERTAKEN_H
#define SL_FLOW_OVERTAKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "flow/record.h"

struct sl_state;
struct sl_origin;

enum {
    SL_OVERTAKEN_NAME_BYTES = 128,
    /* An applier does not write by what it asked for longer ago, unless its write had begun. */
    SL_OVERTAKEN_FRESH_MS = 5000,
};

/* What a feed's newest full read that was stored whole has overtaken. */
struct sl_overtake {
    char feed[SL_OVERTAKEN_NAME_BYTES];
    int64_t run;  /* runs up to this number */
    int64_t full; /* full reads of a smaller number */
};

struct sl_overtaken;

/* 42 of the feed's run "vendors-000042". Runs of posted rows, and of a feed that this one was once,
 * are numbered by themselves and not older than anything: INT64_MAX. */
int64_t sl_overtaken_run_number(const char *name, const char *feed);

/* What is known of all feeds; borrows state. Nothing is known before the first refresh. */
struct sl_overtaken *sl_overtaken_new(struct sl_state *state);
void sl_overtaken_free(struct sl_overtaken *overtaken);

/* Asks the state, unless that was done a moment ago. Suspends for two answers at most, and not when
 * it is called several times a second; fails as the state does, and then nothing may be written. A
 * write that asks has begun, and ends within write_ms of that however long the answer takes. */
int sl_overtaken_refresh(struct sl_overtaken *overtaken, struct sl_err *err);

/* Whether rows of a batch from origin may only change documents and not make any; letter: of a row
 * of it that is replayed, else NULL. Deletions always leave their tombstone. Does not suspend. */
bool sl_overtaken_has(const struct sl_overtaken *overtaken, const struct sl_origin *origin,
                      const struct sl_letter_ref *letter);

/* How long it takes until every applier knows, and what it was writing is in the database or never
 * will be: so long as what it knows may be old, a write may be under way (write_ms), and the server
 * may work on one that arrived at the end of that (write_ms at most, by maxTimeMS). */
uint64_t sl_overtaken_wait_ms(uint64_t write_ms);

/* Tells all appliers and waits so long. What is read afterwards with majority concern has all that
 * they wrote by what they knew before. */
int sl_overtaken_tell(struct sl_state *state, const struct sl_overtake *overtake, uint64_t write_ms,
                      struct sl_err *err);

#endif
