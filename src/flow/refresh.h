/* A full refresh of a feed: what was asked for, and what became of it. It is kept in the state, so
 * that any process may ask, and whoever owns the feed does it.
 *
 *     asked ──full read begun──► reading ──all of it is stored──► sweeping ──► done
 *                                   └──► failed                      └──────► refused */
#ifndef SL_FLOW_REFRESH_H
#define SL_FLOW_REFRESH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum sl_refresh_state {
    SL_REFRESH_ASKED,
    SL_REFRESH_READING,
    SL_REFRESH_SWEEPING,
    SL_REFRESH_DONE,
    SL_REFRESH_REFUSED, /* all was read, but what it did not bring was not deleted */
    SL_REFRESH_FAILED,  /* it was not read */
};
const char *sl_refresh_state_name(enum sl_refresh_state state);

enum { SL_REFRESH_NAME_BYTES = 128, SL_REFRESH_PARTS_MAX = 64 };

/* A collection that the feed fills. Numbers are known once it is swept. */
struct sl_refresh_part {
    char collection[SL_REFRESH_NAME_BYTES];
    int64_t floor;         /* documents of a greater version are newer than the read */
    bool partial;          /* it brought changes only: what it did not bring may be alive */
    uint64_t live, unseen; /* documents of the feed; those of them that the read did not bring */
};

struct sl_refresh {
    char feed[SL_REFRESH_NAME_BYTES];
    int64_t number; /* of the feed's refreshes */
    enum sl_refresh_state state;
    bool dry_run; /* tell what would be deleted, delete nothing */
    bool force;   /* delete however many there are */
    char
        reset[SL_REFRESH_NAME_BYTES]; /* versions begin anew, once for each name; "": they do not */
    char read[SL_REFRESH_NAME_BYTES]; /* name of the full read; "": not begun */
    char note[SL_ERR_TEXT_BYTES];     /* why it was refused or failed; "" */
    int64_t asked_ms, state_ms;       /* wall clock */
    char database[SL_REFRESH_NAME_BYTES]; /* of the parts; "": not known */
    struct sl_refresh_part parts[SL_REFRESH_PARTS_MAX];
    unsigned part_count;
    int64_t epoch; /* as stored; refresh_save does not look at it */
};

/* Whether it has not come to an end. */
static inline bool sl_refresh_is_open(const struct sl_refresh *refresh)
{
    return refresh->state < SL_REFRESH_DONE;
}

/* What the full reads of a table's feed are called: "accounts-full-000003". A run of packages is
 * "vendors-000003". */
#define SL_TABLE_READ "%.90s-full-"

/* Whether it is open and was begun as the feed was of the other kind (packages, or a table), under
 * a greater epoch than the owner of today: theirs do not compare. */
bool sl_refresh_is_stranded(const struct sl_refresh *refresh, int64_t epoch, bool table);

/* Such a one has failed, whoever began it. Suspends; fails as refresh_save. */
struct sl_state;
int sl_refresh_strand(struct sl_state *state, struct sl_refresh *refresh, struct sl_err *err);

#endif
