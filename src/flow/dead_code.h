/* Why a row became a dead letter: the table that the command line and docs/DEAD_LETTERS.md share.
 * A code that is used anywhere has its row here (tests/integration/test_dead_codes.py looks). */
#ifndef SL_FLOW_DEAD_CODE_H
#define SL_FLOW_DEAD_CODE_H

struct sl_dead_code {
    const char *code;
    const char *meaning; /* what is wrong */
    const char *by;      /* who found it: "source", "sink", "queue"; some of them */
    const char *advice;  /* what to do */
};

extern const struct sl_dead_code sl_dead_codes[]; /* ended by a NULL code */

/* The row of that code, or NULL. */
const struct sl_dead_code *sl_dead_code_find(const char *code);

#endif
