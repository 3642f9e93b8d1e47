/* The verbs of sluice dead; all suspend and give an exit status. */
#ifndef SL_CLI_DEAD_H
#define SL_CLI_DEAD_H

#include "cli/letter_filter.h"
#include "cli/letter_text.h"
#include "cli/session.h"

enum { SL_DEAD_LIST = 100, SL_DEAD_LIST_MAX = 10000 }; /* letters listed */

struct sl_dead_command {
    struct sl_session *session;
    struct sl_letter_choice choice;
    bool json;
};

int sl_dead_list(struct sl_dead_command *command);   /* dead_list.c */
int sl_dead_show(struct sl_dead_command *command);   /* dead_list.c */
int sl_dead_drop(struct sl_dead_command *command);   /* dead_drop.c */
int sl_dead_replay(struct sl_dead_command *command); /* dead_replay.c */

/* Tells on stderr of messages that nobody has looked at, and what to do. found: messages that were
 * meant; one that is named by its id is all. Gives whether there was something to tell. */
bool sl_dead_tell_left(const struct sl_dead_command *command, uint64_t left, uint64_t found,
                       const char *advice); /* cmd_dead.c */

/* "letter" or "letters", "message" or "messages". */
static inline const char *sl_dead_plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

#endif
