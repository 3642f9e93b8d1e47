/* A dead letter as it is kept: what names it, why it is one, and its row. flow/state.h finds them,
 * docs/STATE.md tells what each field means. */
#ifndef SL_FLOW_LETTER_H
#define SL_FLOW_LETTER_H

#include "base/arena.h"
#include "base/err.h"
#include "flow/record.h"

/* What makes a letter the same letter. */
struct sl_letter_name {
    struct sl_str run, entity;
    uint64_t row_number; /* 0 with a key: the key stands for it */
    struct sl_str key;   /* empty: the number counts; else maybe no UTF-8 */
};

enum sl_row_form {
    SL_ROW_NONE,    /* nothing of the row is kept: it was deleted, or never read */
    SL_ROW_COLUMNS, /* a BSON document of its columns */
    SL_ROW_BYTES,   /* the same as bytes that may be no BSON */
    SL_ROW_RAW,     /* text, as its file had it */
};

/* All views live in the arena that it was read into; texts are never NULL. */
struct sl_letter {
    struct sl_letter_name name;
    struct sl_str id; /* the name as stored, BSON */
    const char *feed, *entity, *code, *reason, *file;
    const char *replay; /* the run that brought it here once more; "": none */
    struct sl_str key;  /* of the row, as far as it is known */
    uint32_t line;
    int64_t at_ms;      /* wall clock, when the letter was written */
    int64_t read_at_ms; /* when its row was read; 0: not known */
    bool versioned;     /* op and version are known */
    enum sl_op op;
    int64_t version, changed_at_ms;
    enum sl_row_form form;
    bool cut; /* only a part of the row is kept */
    struct sl_str row, header;
};

/* Which letters. Texts are borrowed; NULL, 0: any. */
struct sl_letter_filter {
    const char *code, *feed, *entity, *run;
    int64_t since_ms, until_ms;        /* wall clock: written at since or later, before until */
    const struct sl_letter_name *name; /* this one alone */
};

/* Which of them to read, and how. */
struct sl_letter_query {
    const struct sl_letter_filter *filter;
    struct sl_str after; /* the id of a letter: go on behind it; empty: from the start */
    bool newest;         /* the newest ones first, not in the order of names; without after */
    bool brief;          /* without their rows */
    unsigned max;
};

/* The name as one word that a shell takes as it is, "vendors-000042/VendorsV3/17", and with a key
 * "vendors-000042/VendorsV3/=usmf%7CV-1001": what is not a letter, digit, '-', '_' or '.' is
 * percent-encoded. Appends it to out. */
void sl_letter_name_format(const struct sl_letter_name *name, struct sl_buf *out);

/* The way back; views go into arena. False when the text is no such word. */
bool sl_letter_name_parse(const char *text, struct sl_arena *arena, struct sl_letter_name *ret);

#endif
