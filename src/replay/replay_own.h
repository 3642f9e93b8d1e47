/* Inside of a replay: replay.c has the letters and the books, row.c makes rows of letters. */
#ifndef SL_REPLAY_REPLAY_OWN_H
#define SL_REPLAY_REPLAY_OWN_H

#include "replay/replay.h"

enum sl_replay_fate {
    SL_REPLAY_ROW,     /* the record is ready */
    SL_REPLAY_AGAIN,   /* it still cannot be: the dead row says why */
    SL_REPLAY_REFUSED, /* it cannot be replayed, why says what to do */
};

/* What is made of a letter: that which its fate names. */
struct sl_replay_row {
    enum sl_replay_fate fate;
    struct sl_record record;
    struct sl_dead dead;
    char why[400];
};

/* Makes of the letter a record or a dead row of entity; views lie in the letter's arena or in
 * arena. feed and entity are NULL when the configuration does not name them. Does not suspend. */
void sl_replay_make_row(const struct sl_replay_options *options, const struct sl_feed_config *feed,
                        const struct sl_entity_config *entity, const struct sl_letter *letter,
                        struct sl_arena *arena, struct sl_replay_row *ret);

#endif
