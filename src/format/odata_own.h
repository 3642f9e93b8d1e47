/* The inside of odata: one row, made of the events between its { and }. */
#ifndef SL_FORMAT_ODATA_OWN_H
#define SL_FORMAT_ODATA_OWN_H

#include "format/json_stream.h"
#include "format/odata.h"

enum {
    SL_ODATA_NAMES_MAX = 4096,      /* different member names in one answer's rows */
    SL_ODATA_NAME_BYTES_MAX = 1024, /* of one of them */
};

/* What a member of a row is good for, besides being a field. */
enum sl_odata_role {
    SL_ODATA_ID = 1,
    SL_ODATA_VERSION = 2,
    SL_ODATA_CHANGED = 4,
    SL_ODATA_GONE_ID = 8,      /* "id" of a deletion */
    SL_ODATA_GONE_REASON = 16, /* its "reason" */
};

/* Names that begin with '@' are control information. */
enum sl_odata_control {
    SL_ODATA_FIELD, /* no control information */
    SL_ODATA_ETAG,
    SL_ODATA_CONTEXT,
    SL_ODATA_REMOVED,
    SL_ODATA_LINK_ID, /* the row's own address */
    SL_ODATA_IGNORED,
};

/* A name that rows have: looked up once, found again by following next. */
struct sl_odata_member {
    struct sl_str name;
    const struct sl_column *column; /* how it is stored; NULL: control information */
    bool known;                     /* the column is one of options.columns, */
    bool typed;                     /* … and has a type */
    bool annotation;                /* "x@…": no surprise */
    bool reported;                  /* as an unknown column */
    enum sl_odata_control control;
    unsigned roles;
    uint64_t row;                 /* the last one that had it */
    struct sl_odata_member *next; /* what followed it there */
};

struct sl_odata_entry {
    struct sl_odata_member *member; /* stays where it is */
};

enum sl_odata_place {
    SL_ODATA_IN_ROW,    /* among the row's members */
    SL_ODATA_IN_NESTED, /* in an object or array that is kept */
    SL_ODATA_IN_SKIP,   /* in one that is not */
    SL_ODATA_ROW_DONE,
};

struct sl_odata_row_maker {
    const struct sl_odata_options *options;
    const struct sl_odata_handler *handler;
    void *ctx;

    struct sl_columns names;         /* of all members; index leads into members */
    struct sl_odata_entry *members;  /* SL_ODATA_NAMES_MAX of them */
    struct sl_odata_member first;    /* before the row's first member */
    struct sl_odata_member nameless; /* one whose name cannot be taken */
    uint64_t row;                    /* counts, from 1 */

    /* Of the current row. */
    struct sl_odata_member *member; /* whose value comes next */
    enum sl_odata_place place, back;
    unsigned skipped; /* open objects and arrays that are skipped */
    struct sl_bson_writer writer;
    struct sl_buf doc;
    size_t safe;  /* where the last field ends that raw_doc has room for */
    size_t field; /* where the current one begins */
    bool full;    /* nothing is added any more */
    bool news;    /* it has unknown columns to report */
    struct sl_buf id, gone_id, link_id;
    bool has_etag, deleted, gone;
    int64_t etag_version, column_version, changed_at_ms;
    const char *code; /* of what is wrong with it; NULL: nothing */
    char reason[SL_ERR_TEXT_BYTES];

    /* Inside a nested value. */
    unsigned depth;
    uint64_t in_array;  /* bit d: the one at depth d + 1 is an array */
    bool map_begins;    /* its first key comes next */
    bool ignore_nested; /* the next value is control information's */
    struct sl_buf key;
};

void sl_odata_row_maker_init(struct sl_odata_row_maker *maker,
                             const struct sl_odata_options *options,
                             const struct sl_odata_handler *handler, void *ctx);
void sl_odata_row_maker_done(struct sl_odata_row_maker *maker);

/* A row's { has come. */
void sl_odata_row_begin(struct sl_odata_row_maker *maker);

/* The row's next event; cut: its text has lost its end. At the row's } it goes to the handler, and
 * place is SL_ODATA_ROW_DONE. Fails with what the handler returns, or with SL_REJECTED. */
int sl_odata_row_event(struct sl_odata_row_maker *maker, enum sl_json_event event,
                       struct sl_str text, bool cut, struct sl_err *err);

/* The member of that name. NULL when there are too many. */
struct sl_odata_member *sl_odata_member_of(struct sl_odata_row_maker *maker, struct sl_str name);

/* The row is bad; the first reason counts. */
void sl_odata_row_spoil(struct sl_odata_row_maker *maker, const char *code, const char *reason);

/* The word that stands behind '@' in the document for an annotation, such as "formatted"; NULL: it
 * is left out. annotation is the name's part behind '@'. */
const char *sl_odata_annotation_word(struct sl_str annotation);

/* Control information, and members with a role. */
void sl_odata_row_control(struct sl_odata_row_maker *maker, enum sl_json_kind kind,
                          struct sl_str text);
void sl_odata_row_role(struct sl_odata_row_maker *maker, enum sl_json_kind kind,
                       struct sl_str text);

/* The row is complete: to the handler with it. */
int sl_odata_row_finish(struct sl_odata_row_maker *maker, struct sl_err *err);

#endif
