/* The ledger, added up by entity and attempt, in the order of _id: run, attempt, entity. Walked in
 * slices, so that no command outlasts its time limit however long the ledger is. */
#ifndef SL_STORE_AUDIT_LEDGER_H
#define SL_STORE_AUDIT_LEDGER_H

#include "store/store_own.h"

/* The ledger's sums of one entity in one attempt. */
struct sl_audit_part {
    char run[SL_NAME_MAX], entity[SL_NAME_MAX], feed[SL_NAME_MAX];
    int64_t attempt, first_ms, last_ms;
    uint64_t batches, read, applied, stale, dead, superseded;
};

/* Through the ledger. */
struct sl_audit_ledger {
    struct sl_store *store;
    const char *feed, *run;
    bson_t after; /* the _id of the last entry that was added up; empty: none */
    bson_t reply; /* of the present slice */
    bson_iter_t at;
    bool open, last; /* there is a slice; none follows it */
    /* The part to be given, and the one behind it: the next slice may go on with next. */
    struct sl_audit_part next, beyond;
    bool have, have_beyond;
};

/* feed and run are borrowed; NULL: any. */
void sl_audit_ledger_init(struct sl_audit_ledger *ledger, struct sl_store *store, const char *feed,
                          const char *run);
void sl_audit_ledger_done(struct sl_audit_ledger *ledger);

/* Moves ledger->next on; ledger->have tells whether there is one. */
int sl_audit_ledger_next(struct sl_audit_ledger *ledger, struct sl_err *err);

#endif
