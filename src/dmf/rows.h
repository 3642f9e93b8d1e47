/* One data file's rows into records: the header is matched with the configuration once, then every
 * row goes cell by cell straight into BSON. */
#ifndef SL_DMF_ROWS_H
#define SL_DMF_ROWS_H

#include "base/arena.h"
#include "config/config.h"
#include "flow/batcher.h"
#include "format/csv.h"

/* After what stays wrong until somebody acts: the same package will say the same. */
enum { SL_DMF_MISFIT_PAUSE_MS = 5 * 60 * 1000 };

struct sl_rows;

/* file lives as long as the result. counter is the version base of this run. */
struct sl_rows *sl_rows_new(const struct sl_entity_config *entity, const char *file,
                            int64_t counter);
void sl_rows_free(struct sl_rows *rows);

/* Takes what the CSV parser gave: the header first, then rows, good or bad. Suspends as the batcher
 * does. Fails with SL_CONFIG when the header lacks a configured column, is broken or names a column
 * twice, with SL_CANCELED; a bad row is no failure but a dead letter. */
int sl_rows_take(struct sl_rows *rows, struct sl_batcher *batcher, enum sl_csv_result result,
                 const struct sl_csv_row *row, struct sl_err *err);

/* Whether the header came: a file without one tells nothing, not even that it has no rows. */
bool sl_rows_begun(const struct sl_rows *rows);

/* The two steps of it, for one row at a time. The header fails as above. The row fails with
 * SL_REJECTED, *ret_code is the dead letter's code then and why the reason; else record has its
 * op, id and document, in the arena. Neither suspends. */
int sl_rows_header(struct sl_rows *rows, const struct sl_csv_row *header, struct sl_err *err);
int sl_rows_type(const struct sl_rows *rows, struct sl_arena *arena, const struct sl_csv_row *row,
                 struct sl_record *record, const char **ret_code, struct sl_err *why);

#endif
