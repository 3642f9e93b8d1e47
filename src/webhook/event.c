#include "webhook/event.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"
#include "format/json.h"

enum { ASYNCHRONOUS = 1 }; /* "Mode": of the step; 0 is synchronous */

static const char NO_GUID[] = "00000000-0000-0000-0000-000000000000";

/* --- texts --- */

bool sl_guid_read(struct sl_str text, char ret[SL_GUID_BYTES])
{
    char guid[SL_GUID_BYTES];
    const size_t length = sizeof guid - 1;
    if (text.length == length + 2 && text.at[0] == '{' && text.at[length + 1] == '}')
        text = (struct sl_str){text.at + 1, length};
    if (text.length != length)
        return false;
    for (size_t i = 0; i < length; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        unsigned char c = (unsigned char)text.at[i];
        if (dash ? c != '-' : !isxdigit(c))
            return false;
        guid[i] = (char)tolower(c);
    }
    guid[length] = '\0';
    memcpy(ret, guid, sizeof guid);
    return true;
}

static int no_event(const struct sl_json *at, const char *what, struct sl_err *err)
{
    return sl_err_set(err, SL_REJECTED, "no event of Dataverse: %u:%u: %s", at->at.line,
                      at->at.column, what);
}

/* The parser's message may quote a key: where it is says enough. */
static int no_json(const struct sl_err *malformed, struct sl_err *err)
{
    size_t place = strspn(malformed->message, "0123456789:");
    return sl_err_set(err, SL_REJECTED, "no event of Dataverse: %.*s no JSON that can be read",
                      (int)place, malformed->message);
}

static bool is_null(const struct sl_json *node)
{
    return !node || node->kind == SL_JSON_NULL;
}

/* Names are of letters, digits and '_' (and '.' in a message's); others could not be asked for. */
static bool copy_name(struct sl_str name, bool lower, char ret[SL_TABLE_NAME_BYTES])
{
    if (name.length >= SL_TABLE_NAME_BYTES)
        return false;
    for (size_t i = 0; i < name.length; i++) {
        unsigned char c = (unsigned char)name.at[i];
        if (!isalnum(c) && c != '_' && (lower || c != '.'))
            return false;
        ret[i] = (char)(lower ? tolower(c) : c);
    }
    ret[name.length] = '\0';
    return true;
}

/* A member of root, else the hint; "" when there is neither. */
static int read_name(const struct sl_json *root, const char *member, const char *hint, bool lower,
                     char ret[SL_TABLE_NAME_BYTES], struct sl_err *err)
{
    const struct sl_json *node = sl_json_get(root, member);
    struct sl_str text = sl_str_of(hint);
    if (!is_null(node) && node->kind != SL_JSON_TEXT)
        return no_event(node, "a name that is no text", err);
    if (!is_null(node) && node->text.length)
        text = node->text;
    if (!copy_name(text, lower, ret))
        return no_event(is_null(node) ? root : node, "a name that cannot be one", err);
    return SL_OK;
}

/* "/Date(1790000123000+0000)/" or ISO 8601; the offset of the first does not change the instant. */
static int64_t read_moment(const struct sl_json *node)
{
    static const char OPEN[] = "/Date(";
    const char *text = sl_json_text(node);
    int64_t ms = 0;
    if (!text)
        return 0;
    if (strncmp(text, OPEN, strlen(OPEN)) != 0)
        return sl_iso_parse(text, strlen(text), &ms) ? ms : 0;
    const char *digits = text + strlen(OPEN);
    size_t count = strspn(digits, "0123456789");
    bool whole = count && count <= 15 && (digits[count] == ')' || strchr("+-", digits[count]));
    return whole ? strtoll(digits, NULL, 10) : 0;
}

/* --- parameters --- */

/* The value of a parameter: in a list of {"key":…,"value":…}, or, plainer, in an object. */
static const struct sl_json *parameter(const struct sl_json *root, const char *name)
{
    const struct sl_json *list = sl_json_get(root, "InputParameters");
    if (list && list->kind == SL_JSON_MAP)
        return sl_json_get(list, name);
    if (!list || list->kind != SL_JSON_LIST)
        return NULL;
    for (const struct sl_json *at = list->first; at; at = at->next) {
        const char *key = sl_json_text(sl_json_get(at, "key"));
        if (key && !strcmp(key, name))
            return sl_json_get(at, "value");
    }
    return NULL;
}

/* The rows of a list of entities or of references to such, or of a collection that holds it. */
static const struct sl_json *members_of(const struct sl_json *node)
{
    if (node && node->kind == SL_JSON_MAP)
        node = sl_json_get(node, "Entities");
    return node && node->kind == SL_JSON_LIST ? node->first : NULL;
}

/* --- rows --- */

/* Adds a row, unless the id is missing or the empty one. table is used when the row has none. */
static int add_row(struct sl_webhook_event *event, const struct sl_json *id,
                   const struct sl_json *name, const char *table, struct sl_err *err)
{
    struct sl_webhook_row row = {0};
    if (is_null(id))
        return SL_OK;
    if (id->kind != SL_JSON_TEXT || !sl_guid_read(id->text, row.id))
        return no_event(id, "an id that is no GUID", err);
    if (!strcmp(row.id, NO_GUID))
        return SL_OK;
    struct sl_str text =
        name && name->kind == SL_JSON_TEXT && name->text.length ? name->text : sl_str_of(table);
    if (!copy_name(text, true, row.table))
        return no_event(id, "a row of a table that cannot be one", err);
    if (!(event->row_count & (event->row_count - 1))) /* at powers of two: make room */
        event->rows =
            sl_realloc(event->rows, sizeof row * (event->row_count ? event->row_count * 2 : 1));
    event->rows[event->row_count++] = row;
    return SL_OK;
}

/* An entity, or a reference to one: both have these two. */
static int add_entity(struct sl_webhook_event *event, const struct sl_json *entity,
                      const char *table, struct sl_err *err)
{
    return add_row(event, sl_json_get(entity, "Id"), sl_json_get(entity, "LogicalName"), table,
                   err);
}

static int add_entities(struct sl_webhook_event *event, const struct sl_json *first,
                        const char *table, struct sl_err *err)
{
    int rc = SL_OK;
    for (const struct sl_json *at = first; at && rc == SL_OK; at = at->next)
        rc = add_entity(event, at, table, err);
    return rc;
}

/* The row that the message is about: the target, whose table is named with it, or the primary one.
 */
static int add_target(struct sl_webhook_event *event, const struct sl_json *root,
                      struct sl_err *err)
{
    int rc = add_entity(event, parameter(root, "Target"), event->table, err);
    if (rc == SL_OK && !event->row_count)
        rc = add_row(event, sl_json_get(root, "PrimaryEntityId"), NULL, event->table, err);
    return rc;
}

static int read_association(struct sl_webhook_event *event, const struct sl_json *root,
                            struct sl_err *err)
{
    const struct sl_json *relationship = parameter(root, "Relationship");
    const struct sl_json *role = sl_json_get(relationship, "PrimaryEntityRole");
    int64_t number = 0;
    int rc = SL_OK;
    if (relationship && relationship->kind == SL_JSON_MAP)
        rc = read_name(relationship, "SchemaName", NULL, false, event->relationship, err);
    if (rc == SL_OK)
        rc = add_target(event, root, err);
    if (rc != SL_OK || !event->row_count)
        return rc; /* without a target the related ones say nothing */
    event->target_referenced = (sl_json_int(role, &number) && number == 1) ||
                               (sl_json_text(role) && !strcmp(sl_json_text(role), "Referenced"));
    return add_entities(event, members_of(parameter(root, "RelatedEntities")), "", err);
}

/* One row, or, of messages such as UpdateMultiple, many. */
static int read_rows(struct sl_webhook_event *event, const struct sl_json *root, struct sl_err *err)
{
    int rc = add_row(event, sl_json_get(root, "PrimaryEntityId"), NULL, event->table, err);
    if (rc == SL_OK && !event->row_count)
        rc = add_target(event, root, err);
    if (rc == SL_OK)
        rc = add_entities(event, members_of(parameter(root, "Targets")), event->table, err);
    return rc;
}

/* --- the event --- */

bool sl_webhook_event_associates(const struct sl_webhook_event *event)
{
    return !strcmp(event->message, "Associate") || !strcmp(event->message, "Disassociate");
}

static int read_event(const struct sl_json *root, const struct sl_webhook_hints *hints,
                      struct sl_webhook_event *event, struct sl_err *err)
{
    static const char *const moments[] = {"OperationCreatedOn", "EventTimeIso8601", "EventTime"};
    int64_t mode = 0;
    if (root->kind != SL_JSON_MAP)
        return no_event(root, "no object", err);
    int rc = read_name(root, "MessageName", hints->message, false, event->message, err);
    if (rc == SL_OK && !event->message[0])
        rc = no_event(root, "no MessageName", err);
    if (rc == SL_OK)
        rc = read_name(root, "PrimaryEntityName", hints->table, true, event->table, err);
    if (rc != SL_OK)
        return rc;
    if (!strcmp(event->table, "none"))
        event->table[0] = '\0';
    event->oversize = hints->size_exceeded && strcasecmp(hints->size_exceeded, "false") != 0;
    event->asynchronous = sl_json_int(sl_json_get(root, "Mode"), &mode) && mode == ASYNCHRONOUS;
    for (size_t i = 0; i < sizeof moments / sizeof *moments && !event->at_ms; i++)
        event->at_ms = read_moment(sl_json_get(root, moments[i]));
    return sl_webhook_event_associates(event) ? read_association(event, root, err)
                                              : read_rows(event, root, err);
}

/* Nearly all can be read quickly. What cannot, or is no event, is read once more with its places,
 * to tell where it is wrong. */
static int read_body(struct sl_str body, const char *const *skip,
                     const struct sl_webhook_hints *hints, struct sl_webhook_event *event,
                     struct sl_err *err)
{
    const struct sl_json_options placed = {.skip = skip};
    struct sl_json_doc *doc;
    struct sl_err malformed;
    if (sl_json_parse_quick(body, skip, &doc) == SL_OK) {
        int rc = read_event(sl_json_root(doc), hints, event, NULL);
        sl_json_free(doc);
        if (rc == SL_OK)
            return rc;
        sl_webhook_event_done(event);
    }
    if (sl_json_parse(body.at, body.length, &placed, &doc, &malformed) != SL_OK)
        return no_json(&malformed, err);
    int rc = read_event(sl_json_root(doc), hints, event, err);
    sl_json_free(doc);
    return rc;
}

int sl_webhook_event_read(struct sl_str body, const struct sl_webhook_hints *hints,
                          struct sl_webhook_event *ret, struct sl_err *err)
{
    /* The columns that have changed, and what plug-ins pass on: most of an event, and never asked
     * for. */
    static const char *const unread[] = {
        "Attributes",
        "FormattedValues",
        "KeyAttributes",
        "ExtensionData",
        "SharedVariables",
        "OutputParameters",
        "ParentContext",
        "PreEntityImages",
        "PostEntityImages",
        "OwningExtension",
        NULL,
    };
    struct sl_webhook_event event = {0};
    int rc = read_body(body, unread, hints, &event, err);
    if (rc == SL_OK)
        *ret = event;
    else
        sl_webhook_event_done(&event);
    return rc;
}

void sl_webhook_event_done(struct sl_webhook_event *event)
{
    free(event->rows);
    memset(event, 0, sizeof *event);
}
