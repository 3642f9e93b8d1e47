/* The tables of the message's fields, and the checks that both forms share. */
#include "flow/envelope.h"

#include <string.h>

#include "base/clock.h"
#include "flow/state.h"
#include "format/extjson.h"

#define VERSION_MAX (1ll << 53)

#define IN_ENVELOPE(member) offsetof(struct sl_envelope, member)
#define IN_ROW(member) offsetof(struct sl_message_row, member)

static const struct sl_message_field envelope_fields[] = {
    {"sluice",       SL_FIELD_WHOLE,  IN_ENVELOPE(sluice),          true },
    {"feed",         SL_FIELD_NAME,   IN_ENVELOPE(feed),            true },
    {"entity",       SL_FIELD_NAME,   IN_ENVELOPE(entity),          true },
    {"database",     SL_FIELD_NAME,   IN_ENVELOPE(database),        false},
    {"collection",   SL_FIELD_NAME,   IN_ENVELOPE(collection),      false},
    {"run",          SL_FIELD_NAME,   IN_ENVELOPE(run),             true },
    {"file",         SL_FIELD_NAME,   IN_ENVELOPE(file),            false},
    {"attempt",      SL_FIELD_WHOLE,  IN_ENVELOPE(attempt),         true },
    {"batch",        SL_FIELD_WHOLE,  IN_ENVELOPE(batch),           true },
    {"last",         SL_FIELD_TRUTH,  IN_ENVELOPE(last),            false},
    {"batches",      SL_FIELD_WHOLE,  IN_ENVELOPE(batches),         false},
    {"full",         SL_FIELD_TRUTH,  IN_ENVELOPE(full),            false},
    {"seen",         SL_FIELD_NAME,   IN_ENVELOPE(full_read),       false},
    {"count",        SL_FIELD_WHOLE,  IN_ENVELOPE(count),           true },
    {"superseded",   SL_FIELD_WHOLE,  IN_ENVELOPE(superseded),      false},
    {"read_at",      SL_FIELD_MOMENT, IN_ENVELOPE(read_at_ms),      false},
    {"published_at", SL_FIELD_MOMENT, IN_ENVELOPE(published_at_ms), false},
    {"rows",         SL_FIELD_ROWS,   0,                            true },
};

static const struct sl_message_field row_fields[] = {
    {"op",             SL_FIELD_NAME,   IN_ROW(op),                true },
    {"id",             SL_FIELD_TEXT,   IN_ROW(id),                true },
    {"v",              SL_FIELD_WHOLE,  IN_ROW(v),                 true },
    {"changed_at",     SL_FIELD_MOMENT, IN_ROW(changed_at_ms),     false},
    {"line",           SL_FIELD_WHOLE,  IN_ROW(line),              false},
    {"doc",            SL_FIELD_DOC,    IN_ROW(doc),               false},
    {"letter_run",     SL_FIELD_NAME,   IN_ROW(letter_run),        false},
    {"letter_row",     SL_FIELD_WHOLE,  IN_ROW(letter_row),        false},
    {"letter_read_at", SL_FIELD_MOMENT, IN_ROW(letter_read_at_ms), false},
};

enum {
    ENVELOPE_FIELDS = sizeof envelope_fields / sizeof *envelope_fields,
    ROW_FIELDS = sizeof row_fields / sizeof *row_fields,
};

static const struct sl_message_field *find(const struct sl_message_field *fields, size_t count,
                                           struct sl_str name)
{
    for (size_t i = 0; i < count; i++)
        if (sl_str_is(name, fields[i].name))
            return &fields[i];
    return NULL;
}

const struct sl_message_field *sl_envelope_field(struct sl_str name)
{
    return find(envelope_fields, ENVELOPE_FIELDS, name);
}

const struct sl_message_field *sl_row_field(struct sl_str name)
{
    return find(row_fields, ROW_FIELDS, name);
}

void sl_message_mark(const struct sl_message_field *field, uint32_t *seen)
{
    bool in_row = field >= row_fields && field < row_fields + ROW_FIELDS;
    *seen |= 1u << (field - (in_row ? row_fields : envelope_fields));
}

static int refuse(struct sl_err *err, const struct sl_message_field *field, const char *wanted)
{
    return sl_err_set(err, SL_REJECTED, "'%s' should be %s", field->name, wanted);
}

static int put_text(struct sl_arena *arena, const struct sl_message_field *field, char *place,
                    struct sl_str text, struct sl_err *err)
{
    if (!sl_utf8_valid(text.at, text.length))
        return refuse(err, field, "valid UTF-8");
    if (field->kind == SL_FIELD_NAME) {
        if (text.length >= (size_t)SL_NAME_MAX * 2 || memchr(text.at, 0, text.length))
            return refuse(err, field, "a short text without NUL");
        const char *name = sl_arena_text(arena, text.at, text.length);
        memcpy(place, &name, sizeof name);
        return SL_OK;
    }
    if (text.length > SL_ID_BYTES_MAX)
        return refuse(err, field, "a text of at most 1 MiB");
    struct sl_str copy = {sl_arena_text(arena, text.at, text.length), text.length};
    memcpy(place, &copy, sizeof copy);
    return SL_OK;
}

static int put_moment(const struct sl_message_field *field, char *place,
                      const struct sl_message_value *value, struct sl_err *err)
{
    int64_t wall_ms = value->whole;
    if (value->kind == SL_VALUE_TEXT) {
        if (!sl_iso_parse(value->text.at, value->text.length, &wall_ms))
            return refuse(err, field, "a moment as 2026-11-22T03:10:00.120Z");
    } else if (value->kind != SL_VALUE_MOMENT) {
        return refuse(err, field, "a moment");
    }
    if (!sl_extjson_has_moment(wall_ms)) /* of the year 0, say */
        wall_ms = 0;                     /* not known: JSON could not say it either */
    memcpy(place, &wall_ms, sizeof wall_ms);
    return SL_OK;
}

int sl_message_put(struct sl_arena *arena, const struct sl_message_field *field, void *object,
                   uint32_t *seen, const struct sl_message_value *value, struct sl_err *err)
{
    char *place = (char *)object + field->offset;
    int rc = SL_OK;
    switch (field->kind) {
    case SL_FIELD_NAME:
    case SL_FIELD_TEXT:
        if (value->kind != SL_VALUE_TEXT)
            return refuse(err, field, "a text");
        rc = put_text(arena, field, place, value->text, err);
        break;
    case SL_FIELD_WHOLE:
        if (value->kind != SL_VALUE_WHOLE || value->whole < 0)
            return refuse(err, field, "a whole number, not negative");
        memcpy(place, &value->whole, sizeof value->whole);
        break;
    case SL_FIELD_TRUTH:
        if (value->kind != SL_VALUE_TRUTH)
            return refuse(err, field, "true or false");
        memcpy(place, &value->truth, sizeof value->truth);
        break;
    case SL_FIELD_MOMENT:
        rc = put_moment(field, place, value, err);
        break;
    case SL_FIELD_DOC:
        return refuse(err, field, "an object");
    case SL_FIELD_ROWS:
        return refuse(err, field, "an array");
    }
    if (rc == SL_OK)
        sl_message_mark(field, seen);
    if (rc == SL_OK && field == &envelope_fields[0] && value->whole != SL_MESSAGE_VERSION)
        return sl_err_set(err, SL_REJECTED,
                          "message of version %lld, but this sluice reads version %d: upgrade it",
                          (long long)value->whole, SL_MESSAGE_VERSION);
    return rc;
}

static int check_required(const struct sl_message_field *fields, size_t count, uint32_t seen,
                          struct sl_err *err)
{
    for (size_t i = 0; i < count; i++)
        if (fields[i].required && !(seen >> i & 1))
            return sl_err_set(err, SL_REJECTED, "'%s' is missing", fields[i].name);
    return SL_OK;
}

static const struct sl_letter_ref *letter_of(struct sl_batch *batch,
                                             const struct sl_message_row *row)
{
    if (!row->letter_run)
        return NULL;
    struct sl_letter_ref *letter = sl_arena_alloc(&batch->arena, sizeof *letter);
    *letter = (struct sl_letter_ref){.run = row->letter_run,
                                     .row_number = (uint64_t)row->letter_row,
                                     .read_at_ms = row->letter_read_at_ms};
    return letter;
}

int sl_message_add_row(struct sl_batch *batch, const struct sl_message_row *row, struct sl_err *err)
{
    int rc = check_required(row_fields, ROW_FIELDS, row->seen, err);
    if (rc != SL_OK)
        return sl_err_wrap(err, "row %u", batch->count);
    bool upsert = !strcmp(row->op, "upsert");
    if (!upsert && strcmp(row->op, "delete") != 0)
        return sl_err_set(err, SL_REJECTED, "row %u: 'op' is neither upsert nor delete",
                          batch->count);
    if (!row->id.length || row->v > VERSION_MAX || row->line > UINT32_MAX)
        return sl_err_set(err, SL_REJECTED, "row %u: 'id' is empty, or 'v' or 'line' too large",
                          batch->count);
    if (upsert && !row->doc.length)
        return sl_err_set(err, SL_REJECTED, "row %u: an upsert needs a 'doc'", batch->count);

    struct sl_record *record = sl_batch_add(batch);
    record->op = upsert ? SL_UPSERT : SL_DELETE;
    record->id = row->id;
    record->version = row->v;
    record->changed_at_ms = row->changed_at_ms;
    record->line = (uint32_t)row->line;
    record->letter = letter_of(batch, row);
    if (upsert) {
        record->doc = row->doc;
        record->sound = row->sound;
    }
    batch->bytes += record->id.length + record->doc.length;
    return SL_OK;
}

/* The full read that the rows belong to. A message that does not name it is of a sluice for which
 * each full read was one run. */
static const char *full_read_of(const struct sl_envelope *envelope)
{
    if (envelope->full_read && *envelope->full_read)
        return envelope->full_read;
    return envelope->full ? envelope->run : NULL;
}

/* Such names are written into metrics and logs as they are. */
static bool is_plain(const char *name)
{
    for (const char *at = name; *at; at++)
        if ((unsigned char)*at < ' ' || *at == '"' || *at == '\\' || *at == 0x7f)
            return false;
    return *name;
}

int sl_message_finish(struct sl_batch *batch, const struct sl_envelope *envelope,
                      struct sl_err *err)
{
    int rc = check_required(envelope_fields, ENVELOPE_FIELDS, envelope->seen, err);
    if (rc != SL_OK)
        return rc;
    if (envelope->count != batch->count)
        return sl_err_set(err, SL_REJECTED, "'count' is %lld, but there are %u rows",
                          (long long)envelope->count, batch->count);
    if (envelope->attempt > UINT32_MAX || envelope->batch > UINT32_MAX ||
        envelope->superseded > UINT32_MAX || envelope->batches > UINT32_MAX)
        return sl_err_set(err, SL_REJECTED, "a number of the envelope is too large");
    if (!is_plain(envelope->feed) || !is_plain(envelope->entity) || !is_plain(envelope->run))
        return sl_err_set(err, SL_REJECTED,
                          "'feed', 'entity' or 'run' is empty, or holds a quote, a backslash or a "
                          "control character");

    if (!envelope->database != !envelope->collection ||
        (envelope->collection && (!*envelope->database || !*envelope->collection)))
        return sl_err_set(err, SL_REJECTED,
                          "'database' and 'collection' belong together, and neither is empty");

    batch->origin = (struct sl_origin){
        .feed = envelope->feed,
        .entity = envelope->entity,
        .database = envelope->database,
        .collection = envelope->collection,
        .run = envelope->run,
        .file = envelope->file,
        .attempt = (uint32_t)envelope->attempt,
        .number = (uint32_t)envelope->batch,
        .last = envelope->last,
        .batches = envelope->batches,
        .full = envelope->full,
        .seen = full_read_of(envelope),
        .read_at_ms = envelope->read_at_ms,
        .lane = batch->origin.lane, /* told by the queue, not by the message */
    };
    batch->superseded = (uint32_t)envelope->superseded;
    batch->published_at_us = sl_us_of_ms(envelope->published_at_ms);
    return SL_OK;
}

int sl_message_breathe(struct sl_err *err)
{
    if (sl_fiber_self() && sl_fiber_yield() != SL_OK)
        return sl_err_set(err, SL_CANCELED, "stopped while coding a message");
    return SL_OK;
}
