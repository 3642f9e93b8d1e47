/* Dead letters for a person's eyes, and as JSON. The values of rows are shown only with reveal:
 * names and types of columns stay visible. */
#ifndef SL_CLI_LETTER_TEXT_H
#define SL_CLI_LETTER_TEXT_H

#include <stdio.h>

#include "flow/letter.h"
#include "source/unreadable.h"

#define SL_UNREADABLE_CODE "unreadable"
#define SL_UNREADABLE_ID "unreadable/"

/* A line of the list; the widths make columns. */
struct sl_letter_line {
    char *id, *code, *feed, *reason; /* heap */
    int64_t at_ms;                   /* 0: not known */
};
void sl_letter_line_done(struct sl_letter_line *line);
void sl_letter_line_of(const struct sl_letter *letter, struct sl_letter_line *ret);
void sl_letter_line_of_message(const struct sl_unreadable *message, struct sl_letter_line *ret);
void sl_letter_lines_print(const struct sl_letter_line *lines, size_t count, FILE *out);

/* One object a line: what the list shows, and with whole all that is known. */
void sl_letter_json(const struct sl_letter *letter, bool whole, bool reveal, FILE *out);
void sl_letter_json_of_message(const struct sl_unreadable *message, bool whole, bool reveal,
                               FILE *out);

/* All that is known of one. */
void sl_letter_show(const struct sl_letter *letter, bool reveal, FILE *out);
void sl_letter_show_message(const struct sl_unreadable *message, bool publishable, bool reveal,
                            FILE *out);

/* The table of reasons. */
void sl_letter_codes(bool json, FILE *out);

/* The reason without the value that it quotes; heap. */
char *sl_letter_masked_reason(const char *reason);

/* The letter's id, as the list prints it. */
void sl_letter_id(const struct sl_letter *letter, struct sl_buf *out);

#endif
