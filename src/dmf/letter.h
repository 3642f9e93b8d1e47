/* A dead letter of a package's row, typed anew by today's configuration. */
#ifndef SL_DMF_LETTER_H
#define SL_DMF_LETTER_H

#include "config/config.h"
#include "flow/letter.h"

/* Reads the letter's header and raw row as a file of the feed's entity. On SL_OK record has its op,
 * id and document, in arena. SL_REJECTED: the row still fails; *ret_code and why say how.
 * SL_CONFIG: the header does not fit the configuration. Does not suspend. */
int sl_dmf_letter_type(const struct sl_feed_config *feed, const struct sl_entity_config *entity,
                       const struct sl_letter *letter, struct sl_arena *arena,
                       struct sl_record *record, const char **ret_code, struct sl_err *why);

#endif
