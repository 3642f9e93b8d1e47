/* The row of a dead letter, masked or revealed. */
#ifndef SL_CLI_LETTER_ROW_H
#define SL_CLI_LETTER_ROW_H

#include <stdio.h>

#include "flow/letter.h"

/* A few lines: how it is kept, then a column a line, or its text. */
void sl_letter_row_show(const struct sl_letter *letter, bool reveal, FILE *out);

/* Appends members of a JSON object: ,"row":{…} and so on. */
void sl_letter_row_json(const struct sl_letter *letter, bool reveal, struct sl_buf *out);

#endif
