/* The message's fields, as a table that both forms are read by. Private to message*.c.
 *
 * A decoder hands over each value it meets under a known key; here it is checked and put in its
 * place, and at the end the whole is checked and becomes the batch's origin. */
#ifndef SL_FLOW_ENVELOPE_H
#define SL_FLOW_ENVELOPE_H

#include "base/size.h"
#include "flow/batch.h"

enum { SL_MESSAGE_VERSION = 1, SL_MESSAGE_BYTES_MAX = 64 * 1024 * 1024 };

struct sl_envelope {
    int64_t sluice, attempt, batch, batches, count, superseded;
    int64_t read_at_ms, published_at_ms;
    const char *feed, *entity, *database, *collection, *run, *file;
    const char *full_read; /* the field "seen" */
    bool last, full;
    uint32_t seen; /* bit i: field i of the table was there */
};

struct sl_message_row {
    const char *op;
    struct sl_str id, doc;
    int64_t v, changed_at_ms, line;
    bool sound; /* doc is checked, and has no field of sluice's own names */
    const char *letter_run;
    int64_t letter_row, letter_read_at_ms;
    uint32_t seen;
};

enum sl_field_kind {
    SL_FIELD_NAME,   /* a short text without NUL: const char * */
    SL_FIELD_TEXT,   /* any text: struct sl_str */
    SL_FIELD_WHOLE,  /* int64_t, not negative */
    SL_FIELD_TRUTH,  /* bool */
    SL_FIELD_MOMENT, /* int64_t wall clock ms: an ISO text in JSON, a date in BSON */
    SL_FIELD_DOC,    /* a document: struct sl_str of BSON */
    SL_FIELD_ROWS,   /* the array of rows */
};

struct sl_message_field {
    const char *name;
    enum sl_field_kind kind;
    size_t offset;
    bool required;
};

/* A value as a decoder found it. */
struct sl_message_value {
    enum { SL_VALUE_TEXT, SL_VALUE_WHOLE, SL_VALUE_TRUTH, SL_VALUE_MOMENT, SL_VALUE_OTHER } kind;
    struct sl_str text;
    int64_t whole; /* WHOLE, MOMENT */
    bool truth;
};

/* The field of that name, or NULL: unknown ones are passed over. */
const struct sl_message_field *sl_envelope_field(struct sl_str name);
const struct sl_message_field *sl_row_field(struct sl_str name);

/* Puts a value (not null) into the object (an envelope or a row) that the field belongs to; texts
 * are copied into the arena. Fails with SL_REJECTED. */
int sl_message_put(struct sl_arena *arena, const struct sl_message_field *field, void *object,
                   uint32_t *seen, const struct sl_message_value *value, struct sl_err *err);

/* Marks a field as there that the decoder filled itself (doc, rows). */
void sl_message_mark(const struct sl_message_field *field, uint32_t *seen);

/* Checks the row and appends it to the batch. */
int sl_message_add_row(struct sl_batch *batch, const struct sl_message_row *row,
                       struct sl_err *err);

/* Checks the envelope against the rows and makes it the batch's origin. */
int sl_message_finish(struct sl_batch *batch, const struct sl_envelope *envelope,
                      struct sl_err *err);

/* One slice of work between two breaths ends at the first of these. */
enum { SL_MESSAGE_SLICE_ROWS = SL_SIZE(256, 3), SL_MESSAGE_SLICE_BYTES = SL_SIZE(128 * 1024, 500) };

/* Lets other fibers run, when in one. SL_OK or SL_CANCELED. */
int sl_message_breathe(struct sl_err *err);

/* The two readers: bytes of a whole message into rows of batch and *ret. Of the BSON form the rows'
 * documents are views into bytes. */
int sl_message_read_json(struct sl_batch *batch, const char *bytes, size_t size,
                         struct sl_envelope *ret, struct sl_err *err);
int sl_message_read_bson(struct sl_batch *batch, const char *bytes, size_t size,
                         struct sl_envelope *ret, struct sl_err *err);

#endif
