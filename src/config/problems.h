/* What is wrong with a file, and where: a list, so that a person can mend all of it at once. */
#ifndef SL_CONFIG_PROBLEMS_H
#define SL_CONFIG_PROBLEMS_H

#include <stdbool.h>
#include <stdio.h>

enum { SL_PROBLEMS_MAX = 20 };

struct sl_problem {
    unsigned line, column; /* from 1; line 0: the file as a whole */
    bool warning;          /* the file can be used all the same */
    char *text;
};

struct sl_problems {
    char *file; /* as it is shown; NULL until something was read */
    struct sl_problem item[SL_PROBLEMS_MAX];
    unsigned count;                      /* items present */
    unsigned errors;                     /* found, the dropped ones included */
    unsigned dropped;                    /* found after the list was full */
    unsigned secret_line, secret_column; /* the first secret that is written in the file; 0: none */
};

void sl_problems_init(struct sl_problems *problems);
void sl_problems_done(struct sl_problems *problems);

/* Adds an error, or a warning, at line and column. Control characters in it become spaces. The same
 * text at the same place is kept once. */
void sl_problem_error(struct sl_problems *problems, unsigned line, unsigned column,
                      const char *format, ...) __attribute__((format(printf, 4, 5)));
void sl_problem_warning(struct sl_problems *problems, unsigned line, unsigned column,
                        const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Sorts by place; what is said of one place stays in its order. */
void sl_problems_sort(struct sl_problems *problems);

/* Prints "sluice.jsonc:12:9: unknown key …", one a line; warnings say so. */
void sl_problems_print(const struct sl_problems *problems, FILE *out);

#endif
