/* Dead letters on their way once more: each row that can be is published again with the version
 * that it had, as a run of its own, and its letter goes when the ledger has the row.
 *
 *     find ─► type ─► publish ─► wait for the ledger ─► remove the letters that did not come back
 *
 * Killed anywhere, or run twice at once, it is harmless: the letter is still there, or its row is
 * stored already and the guarded write finds it stale. docs/adr/0017-replay.md has the argument. */
#ifndef SL_REPLAY_REPLAY_H
#define SL_REPLAY_REPLAY_H

#include "config/config.h"
#include "flow/letter.h"
#include "flow/sink.h"
#include "flow/state.h"

enum { SL_REPLAY_RATE = 500 }; /* rows a second, unless somebody asks for another */

struct sl_replay_options {
    const struct sl_config *config;
    struct sl_state *state;
    struct sl_sink *sink; /* to RabbitMQ */
    uint64_t tombstone_ttl_ms;
    uint64_t rate;           /* rows a second, at least 1 */
    uint64_t limit;          /* letters at most; 0: all */
    uint64_t ledger_wait_ms; /* a ledger that stands still for so long ends the feed's replay */
    bool dry_run;            /* nothing is published, written or removed */
    /* A letter that cannot be replayed and stays as it is: why, and what to do instead. Must not
     * suspend. */
    void (*refused)(void *ctx, const struct sl_letter *letter, const char *why);
    /* One whose row failed again, with the new reason; likewise. */
    void (*again)(void *ctx, const struct sl_letter *letter, const char *reason);
    void *ctx;
};

struct sl_replay_result {
    uint64_t found;          /* letters that the filter let through */
    uint64_t refused;        /* left alone */
    uint64_t rows;           /* published; with dry_run: that would be */
    uint64_t applied, stale; /* of them, by the ledger */
    uint64_t again;          /* letters once more; with dry_run: those that still cannot be typed */
    uint64_t removed;        /* letters that are gone */
    char run[SL_NAME_MAX];   /* the newest run; "": there was none */
};

/* Replays what the filter lets through, each letter once. Suspends for as long as it
 * takes. ret is filled on a failure too; err must be given. Fails with a transient code when a peer
 * went away, the sink is full, or (SL_TIMEOUT, after the other feeds) a ledger stood still;
 * SL_CANCELED. */
int sl_replay(const struct sl_replay_options *options, const struct sl_letter_filter *filter,
              struct sl_replay_result *ret, struct sl_err *err);

#endif
