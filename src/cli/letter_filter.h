/* What the command line says of dead letters, checked. */
#ifndef SL_CLI_LETTER_FILTER_H
#define SL_CLI_LETTER_FILTER_H

#include "cli/options.h"
#include "flow/letter.h"
#include "source/unreadable.h"

struct sl_letter_choice {
    struct sl_letter_filter filter; /* of MongoDB's */
    struct sl_letter_name name;     /* where filter.name points to */
    bool letters, messages;         /* whether it may concern letters, unreadable messages */
    bool filtered;                  /* it says which; else all are meant */
    uint64_t hash;                  /* of the one unreadable message; 0: any */
    uint64_t limit, rate, wait_ms;  /* 0: not said */
};

/* Fills ret from the options; texts stay theirs, or go into arena. SL_CONFIG: what is wrong. */
int sl_letter_choose(const struct sl_options *options, struct sl_arena *arena,
                     struct sl_letter_choice *ret, struct sl_err *err);

/* Whether the choice means this message. One without a time is in no span of time. */
bool sl_letter_chosen(const struct sl_letter_choice *choice, const struct sl_unreadable *message);

#endif
