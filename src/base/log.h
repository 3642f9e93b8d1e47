/* The log: one JSON object a line on stderr, or a readable form when stderr is a terminal.
 * Messages are constant texts; what varies goes into fields, so that logs can be searched. */
#ifndef SL_BASE_LOG_H
#define SL_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum sl_level { SL_DEBUG, SL_INFO, SL_WARN, SL_ERROR };
extern const char *const sl_level_names[]; /* "debug" …, ended by NULL */

struct sl_field {
    const char *name; /* NULL ends a list */
    const char *text; /* NULL: the field is the number */
    int64_t number;
};

/* A text field (NULL is written as ""), and a number field. */
#define SL_T(name, text) ((struct sl_field){name, sl_log_text(text), 0})
#define SL_N(name, number) ((struct sl_field){name, NULL, (int64_t)(number)})

/* sl_log(SL_INFO, "package published", SL_T("feed", feed), SL_N("rows", rows)); never suspends, and
 * never waits: while nobody reads a pipe that is full, lines are lost, and the next one says how
 * many. */
#define sl_log(level, message, ...)                                                                \
    sl_log_write(level, message, &((const struct sl_field[]){{0}, ##__VA_ARGS__, {0}})[1])

void sl_log_write(enum sl_level level, const char *message, const struct sl_field *fields);
const char *sl_log_text(const char *text);

/* Lines below level are dropped; "auto" form is readable on a terminal and JSON elsewhere. */
enum sl_log_form { SL_LOG_AUTO, SL_LOG_JSON, SL_LOG_TEXT };
void sl_log_setup(enum sl_level level, enum sl_log_form form);

#endif
