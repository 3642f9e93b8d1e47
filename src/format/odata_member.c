/* What a row's members mean: their names, control information, ids, versions, deletions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "format/number.h"
#include "format/odata_own.h"

enum { GUID_BYTES = 36 };

static const struct {
    const char *name;
    enum sl_odata_control control;
} controls[] = {
    {"@odata.etag",    SL_ODATA_ETAG   },
    {"@odata.context", SL_ODATA_CONTEXT},
    {"@odata.removed", SL_ODATA_REMOVED},
    {"@removed",       SL_ODATA_REMOVED},
    {"@odata.id",      SL_ODATA_LINK_ID},
};

/* Annotations that are kept. A dot in a field's name would be a path to MongoDB, so that the field
 * could be neither queried nor indexed. Two annotations of a column never have the same word. */
static const struct {
    const char *name, *word;
} annotations[] = {
    {"OData.Community.Display.V1.FormattedValue",           "formatted"},
    {"Microsoft.Dynamics.CRM.lookuplogicalname",            "table"    },
    {"Microsoft.Dynamics.CRM.associatednavigationproperty", "property" },
};

static const struct sl_column no_column = {
    .name = {"",   0},
      .key = {"\0", 2},
      .type = SL_TYPE_STRING
};

void sl_odata_row_maker_init(struct sl_odata_row_maker *maker,
                             const struct sl_odata_options *options,
                             const struct sl_odata_handler *handler, void *ctx)
{
    memset(maker, 0, sizeof *maker);
    maker->options = options;
    maker->handler = handler;
    maker->ctx = ctx;
    sl_columns_init(&maker->names);
    maker->members = sl_alloc(SL_ODATA_NAMES_MAX * sizeof *maker->members);
    maker->nameless.name = sl_str_of("");
    maker->nameless.column = &no_column;
    maker->nameless.control = SL_ODATA_IGNORED;
}

void sl_odata_row_maker_done(struct sl_odata_row_maker *maker)
{
    sl_columns_done(&maker->names);
    free(maker->members);
    sl_buf_done(&maker->doc);
    sl_buf_done(&maker->id);
    sl_buf_done(&maker->gone_id);
    sl_buf_done(&maker->link_id);
    sl_buf_done(&maker->key);
}

void sl_odata_row_begin(struct sl_odata_row_maker *maker)
{
    maker->row++;
    maker->member = &maker->first;
    maker->place = SL_ODATA_IN_ROW;
    sl_buf_clear(&maker->doc);
    sl_bson_begin_buf(&maker->writer, &maker->doc);
    maker->safe = sl_bson_size(&maker->writer);
    maker->full = maker->news = false;
    sl_buf_clear(&maker->id);
    sl_buf_clear(&maker->gone_id);
    sl_buf_clear(&maker->link_id);
    maker->has_etag = maker->deleted = maker->gone = false;
    maker->etag_version = maker->column_version = -1;
    maker->changed_at_ms = 0;
    maker->code = NULL;
    maker->depth = 0;
    maker->map_begins = maker->ignore_nested = false;
}

static unsigned roles_of(const struct sl_odata_options *options, struct sl_str name)
{
    if (!name.length)
        return 0;
    return (sl_str_is(name, options->id_column) ? SL_ODATA_ID : 0u) |
           (sl_str_is(name, options->version_column) ? SL_ODATA_VERSION : 0u) |
           (sl_str_is(name, options->changed_column) ? SL_ODATA_CHANGED : 0u) |
           (sl_str_is(name, "id") ? SL_ODATA_GONE_ID : 0u) |
           (sl_str_is(name, "reason") ? SL_ODATA_GONE_REASON : 0u);
}

static enum sl_odata_control control_of(struct sl_str name)
{
    if (!name.length || *name.at != '@')
        return SL_ODATA_FIELD;
    for (size_t i = 0; i < sizeof controls / sizeof *controls; i++)
        if (sl_str_is(name, controls[i].name))
            return controls[i].control;
    return SL_ODATA_IGNORED;
}

const char *sl_odata_annotation_word(struct sl_str annotation)
{
    for (size_t i = 0; i < sizeof annotations / sizeof *annotations; i++)
        if (sl_str_is(annotation, annotations[i].name))
            return annotations[i].word;
    return NULL;
}

/* The annotation's column: as it is named, stored as "column@word". at points to the '@'. */
static const struct sl_column *stored_as(struct sl_odata_row_maker *m,
                                         const struct sl_column *named, const char *at)
{
    const char *end = named->name.at + named->name.length;
    const char *word = sl_odata_annotation_word((struct sl_str){at + 1, (size_t)(end - at - 1)});
    struct sl_column *column = sl_arena_alloc(&m->names.arena, sizeof *column);
    *column = *named;
    column->keep = word != NULL;
    if (word) {
        struct sl_buf name;
        sl_buf_init(&name);
        sl_buf_add(&name, named->name.at, (size_t)(at + 1 - named->name.at));
        sl_buf_add_text(&name, word);
        column->key = sl_bson_key_make(&m->names.arena, sl_buf_view(&name));
        sl_buf_done(&name);
    }
    return column;
}

/* A name that has not been seen before. */
static struct sl_odata_member *learn(struct sl_odata_row_maker *m, struct sl_str name)
{
    if (m->names.count == SL_ODATA_NAMES_MAX)
        return NULL;
    const struct sl_column *named = sl_columns_add(&m->names, name, SL_TYPE_STRING, true);
    const struct sl_column *known = sl_columns_find(m->options->columns, name);
    enum sl_odata_control control = control_of(name);
    const char *at =
        control == SL_ODATA_FIELD ? memchr(named->name.at, '@', named->name.length) : NULL;
    struct sl_odata_member *member = sl_arena_alloc(&m->names.arena, sizeof *member);
    *member = (struct sl_odata_member){
        .name = named->name,
        .column = known ? known
                  : at  ? stored_as(m, named, at)
                        : named,
        .known = known != NULL,
        .typed = known && !known->any,
        .annotation = at || control != SL_ODATA_FIELD,
        .control = control,
        .roles = roles_of(m->options, name),
    };
    m->members[named->index].member = member;
    return member;
}

static struct sl_odata_member *refuse_name(struct sl_odata_row_maker *m, const char *code,
                                           const char *why)
{
    sl_odata_row_spoil(m, code, why);
    return &m->nameless;
}

static struct sl_odata_member *look_up(struct sl_odata_row_maker *m, struct sl_str name)
{
    if (name.length > SL_ODATA_NAME_BYTES_MAX)
        return refuse_name(m, "untypable", "a column's name is longer than 1024 bytes");
    const struct sl_column *named = sl_columns_find(&m->names, name);
    if (named)
        return m->members[named->index].member;
    if (memchr(name.at, 0, name.length))
        return refuse_name(m, "untypable", "a column's name holds a NUL");
    if (!sl_utf8_valid(name.at, name.length)) {
        char why[80];
        snprintf(why, sizeof why, "a column's name %s", sl_utf8_fault(name.at, name.length));
        return refuse_name(m, "bad_utf8", why);
    }
    return learn(m, name);
}

struct sl_odata_member *sl_odata_member_of(struct sl_odata_row_maker *maker, struct sl_str name)
{
    struct sl_odata_member *before = maker->member, *member = before->next;
    if (!member || !sl_str_equal(member->name, name)) {
        member = look_up(maker, name);
        if (!member)
            return NULL;
        before->next = member;
    }
    if (member == &maker->nameless)
        return member;
    if (member->row == maker->row && member->control == SL_ODATA_FIELD) {
        char reason[SL_ERR_TEXT_BYTES];
        snprintf(reason, sizeof reason, "column '%.80s' appears twice", member->name.at);
        return refuse_name(maker, "untypable", reason);
    }
    member->row = maker->row;
    if (!member->known && !member->annotation && !member->reported)
        maker->news = true;
    return member;
}

/* The number of W/"n"; -1 when it is none. */
static int64_t etag_number(struct sl_str text)
{
    int64_t number;
    if (text.length < 4 || memcmp(text.at, "W/\"", 3) || text.at[text.length - 1] != '"' ||
        sl_int64_parse(text.at + 3, text.length - 4, &number) != SL_NUMBER_OK || number < 0)
        return -1;
    return number;
}

static bool ends_with(struct sl_str text, const char *end)
{
    size_t length = strlen(end);
    return text.length >= length && !memcmp(text.at + text.length - length, end, length);
}

void sl_odata_row_control(struct sl_odata_row_maker *maker, enum sl_json_kind kind,
                          struct sl_str text)
{
    switch (maker->member->control) {
    case SL_ODATA_ETAG:
        maker->has_etag = true;
        maker->etag_version = kind == SL_JSON_TEXT ? etag_number(text) : -1;
        break;
    case SL_ODATA_CONTEXT:
        maker->deleted |= kind == SL_JSON_TEXT && ends_with(text, "$deletedEntity");
        break;
    case SL_ODATA_REMOVED:
        maker->deleted |= kind != SL_JSON_NULL;
        break;
    case SL_ODATA_LINK_ID:
        sl_buf_clear(&maker->link_id);
        if (kind == SL_JSON_TEXT)
            sl_buf_add(&maker->link_id, text.at, text.length);
        break;
    default:
        break;
    }
}

void sl_odata_row_role(struct sl_odata_row_maker *maker, enum sl_json_kind kind, struct sl_str text)
{
    unsigned roles = maker->member->roles;
    bool is_text = kind == SL_JSON_TEXT;
    int64_t number;
    if (roles & SL_ODATA_ID && is_text && sl_utf8_valid(text.at, text.length))
        sl_buf_add(&maker->id, text.at, text.length);
    if (roles & SL_ODATA_GONE_ID && is_text)
        sl_buf_add(&maker->gone_id, text.at, text.length);
    if (roles & SL_ODATA_GONE_REASON)
        maker->gone = is_text && sl_str_is(text, "deleted");
    if (roles & SL_ODATA_VERSION && (is_text || kind == SL_JSON_NUMBER) &&
        sl_int64_parse(text.at, text.length, &number) == SL_NUMBER_OK && number >= 0)
        maker->column_version = number;
    if (roles & SL_ODATA_CHANGED && is_text && sl_iso_parse(text.at, text.length, &number))
        maker->changed_at_ms = number;
}

static bool is_guid(const char *at)
{
    for (int i = 0; i < GUID_BYTES; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        char c = at[i];
        bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (dash ? c != '-' : !digit)
            return false;
    }
    return true;
}

/* The last GUID in a text that may be an address, in lower case there; empty when there is none. */
static struct sl_str last_guid(struct sl_buf *text)
{
    for (size_t at = text->length; at-- > 0;) {
        if (text->length - at < GUID_BYTES || !is_guid(text->data + at))
            continue;
        char *guid = text->data + at;
        for (int i = 0; i < GUID_BYTES; i++)
            if (guid[i] >= 'A' && guid[i] <= 'F')
                guid[i] = (char)(guid[i] - 'A' + 'a');
        return (struct sl_str){guid, GUID_BYTES};
    }
    return (struct sl_str){"", 0};
}

static struct sl_str row_id(struct sl_odata_row_maker *m)
{
    if (!m->deleted) {
        if (m->id.length == GUID_BYTES)
            last_guid(&m->id); /* for its lower case */
        return sl_buf_view(&m->id);
    }
    struct sl_str guid = last_guid(&m->gone_id);
    if (!guid.length)
        guid = last_guid(&m->link_id);
    return guid.length ? guid : last_guid(&m->id);
}

static void report_unknown(struct sl_odata_row_maker *m)
{
    for (uint32_t i = 0; i < m->names.count; i++) {
        struct sl_odata_member *member = m->members[i].member;
        if (member->row != m->row || member->known || member->annotation || member->reported)
            continue;
        member->reported = true;
        if (m->handler->unknown_column)
            m->handler->unknown_column(m->ctx, member->name);
    }
}

int sl_odata_row_finish(struct sl_odata_row_maker *maker, struct sl_err *err)
{
    maker->deleted |= maker->gone && maker->gone_id.length && !maker->has_etag && !maker->id.length;
    struct sl_odata_row row = {
        .deleted = maker->deleted,
        .id = row_id(maker),
        .version = maker->etag_version >= 0 ? maker->etag_version : maker->column_version,
        .changed_at_ms = maker->changed_at_ms,
    };
    if (!row.id.length)
        sl_odata_row_spoil(maker, "empty_key",
                           row.deleted ? "a deletion without the id of a row"
                                       : "the row has no value in its id column");
    if (!row.deleted && maker->news)
        report_unknown(maker);
    row.doc = sl_bson_end(&maker->writer);
    if (maker->code && !(row.deleted && row.id.length))
        return maker->handler->bad(maker->ctx, row.id, maker->code, maker->reason, row.doc, err);
    if (row.deleted)
        row.doc = (struct sl_str){"", 0};
    return maker->handler->row(maker->ctx, &row, err);
}
