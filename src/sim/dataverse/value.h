/* What stands in a cell of a Dataverse row. It follows from seed, table, row number, column and
 * revision alone, so that nothing needs to be stored and every witness can be told the truth. Needs
 * no lock. */
#ifndef SIM_DATAVERSE_VALUE_H
#define SIM_DATAVERSE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/dataverse/table.h"

#define DV_TEXT_SIZE 1024

struct dv_value {
    bool null;
    int64_t number;          /* integers, options, booleans; milliseconds since 1970 of a time */
    uint64_t hash;           /* what the value was made from: for labels and names */
    char text[DV_TEXT_SIZE]; /* of texts, GUIDs, several options; the digits of decimals, doubles */
    size_t len;
};

/* Makes the value of one column of one row. */
void dv_value_make(const struct dv_image *image, const struct dv_column *column,
                   struct dv_value *value);

/* True when the change that made this revision touched the column (an event carries those only). */
bool dv_value_changed(const struct dv_image *image, const struct dv_column *column);

/* Writes what a person is shown for the value: a label, an amount with its currency, a name.
 * Returns its length; 0 when such a column has no formatted value. */
size_t dv_value_label(const struct dv_column *column, const struct dv_value *value, char *out,
                      size_t size);

#endif
