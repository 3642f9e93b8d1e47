/* A small JSON tree, for API replies and the configuration: every node knows its line and column,
 * so that a complaint can point at it. Bounded in depth and size; keys are unique; texts are UTF-8.
 */
#ifndef SL_FORMAT_JSON_H
#define SL_FORMAT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum { SL_JSON_DEPTH_MAX = 64 };

enum sl_json_kind {
    SL_JSON_NULL,
    SL_JSON_BOOL,
    SL_JSON_NUMBER,
    SL_JSON_TEXT,
    SL_JSON_LIST,
    SL_JSON_MAP,
};

struct sl_json_place {
    uint32_t line;   /* from 1 */
    uint32_t column; /* from 1, in characters */
};

/* A value. Everything in it lives as long as its document. */
struct sl_json {
    enum sl_json_kind kind;
    bool truth;                  /* BOOL */
    uint32_t count;              /* LIST, MAP: how many children */
    struct sl_str key;           /* its key in the surrounding map, followed by NUL; else empty */
    struct sl_str text;          /* TEXT: decoded; NUMBER: as written; followed by NUL */
    const struct sl_json *first; /* LIST, MAP: children in order, walked by next */
    const struct sl_json *next;
    struct sl_json_place at;     /* where the value begins */
    struct sl_json_place key_at; /* where its key begins; where the value does when it has none */
};

struct sl_json_options {
    const char *name; /* put before "line:column" in messages: "sluice.jsonc"; may be NULL */
    bool comments;    /* allow // and block comments */
    size_t max_bytes; /* refuse longer texts; 0: 64 MiB */
    /* Members of objects that nobody will ask for: they must be JSON, but are not kept, nor is it
     * checked whether texts are UTF-8 and names differ. Ended by NULL; may be NULL. */
    const char *const *skip;
};

struct sl_json_doc;

/* Parses a whole text (a UTF-8 byte order mark is skipped). options may be NULL. Gives a document
 * to be freed with sl_json_free; text is not needed afterwards. Fails with SL_REJECTED and a
 * message "name:line:column: what was expected". Does not suspend. */
int sl_json_parse(const char *text, size_t size, const struct sl_json_options *options,
                  struct sl_json_doc **ret_doc, struct sl_err *err);

/* The same tree several times as fast, without places (all are 0:0) and without a word: SL_OK or
 * SL_REJECTED. It accepts nothing that sl_json_parse refuses, but refuses a few oddities that that
 * accepts (format/json_scan.h): read again with it what was refused. skip may be NULL. */
int sl_json_parse_quick(struct sl_str text, const char *const *skip, struct sl_json_doc **ret_doc);
void sl_json_free(struct sl_json_doc *doc);

/* Likewise, and wipes every text first: some are secrets. */
void sl_json_free_secret(struct sl_json_doc *doc);

/* The outermost value; lives as long as doc. */
const struct sl_json *sl_json_root(const struct sl_json_doc *doc);

/* The value of that key, or NULL; also NULL when node is NULL or no map, so that calls nest. */
const struct sl_json *sl_json_get(const struct sl_json *node, const char *key);

/* The text of a TEXT node, ended by NUL; NULL for any other node, or for NULL. A text that holds a
 * NUL itself is also NULL here: read node->text. */
const char *sl_json_text(const struct sl_json *node);

/* Reads a NUMBER that is a whole one within int64. False for anything else. */
bool sl_json_int(const struct sl_json *node, int64_t *ret);

/* The kind in words, for messages: "a text", "a number", "an object". */
const char *sl_json_kind_name(enum sl_json_kind kind);

#endif
