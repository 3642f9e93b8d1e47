/* The switches: one table, and the looking up, taking and setting of its values. */
#include "sim/switches.h"

#include <stdio.h>
#include <string.h>

#include "sim/text.h"

/* A row of the table, by what the switch takes. */
#define FLAG(which, name, value, help) [which] = {name, SWITCH_BOOL, value, NULL, NULL, help}
#define NUMBER(which, name, value, help) [which] = {name, SWITCH_NUMBER, value, NULL, NULL, help}
#define CHOICE(which, name, value, words, help) [which] = {name, SWITCH_TEXT, 0, value, words, help}
#define ANY_TEXT(which, name, help) [which] = {name, SWITCH_TEXT, 0, "", NULL, help}

const struct sim_switch_row sim_switch_rows[SW_COUNT] = {
    NUMBER(SW_EXPORT_MS, "export_ms", 50, "how long an export takes at least"),
    NUMBER(SW_QUEUE_MS, "queue_ms", 0,
           "how long a job stays NotRun before it reads the data and moves the watermark"),
    NUMBER(SW_LEVEL, "level", 1, "deflate level of packages, 0 to 9"),
    FLAG(SW_MANIFEST_LAST, "manifest_last", true,
         "the two XML files come last in the package; off: first"),
    FLAG(SW_DATA_DESCRIPTORS, "data_descriptors", false,
         "sizes stand behind each file in the zip, not before it"),
    FLAG(SW_FORCE_ZIP64, "force_zip64", false, "zip64 fields even where nobody needs them"),
    FLAG(SW_NESTED_VALUE, "nested_value", false,
         "answers {\"value\":{\"value\":…}} as the documentation shows it"),
    NUMBER(SW_ID_UNKNOWN_POLLS, "id_unknown_polls", 0,
           "the first N status polls of an execution do not find it"),
    NUMBER(SW_URL_EMPTY_POLLS, "url_empty_polls", 0,
           "the first N requests for a ready package's URL get an empty one"),
    NUMBER(SW_SAS_SECONDS, "sas_seconds", 1800, "life of a download URL"),
    NUMBER(SW_SAS_EXPIRED_NEXT, "sas_expired_next", 0,
           "the next N download URLs have expired already"),
    FLAG(SW_SYNCHRONOUS_EXPORT, "synchronous_export", false,
         "ExportToPackage answers only when the job has ended"),
    FLAG(SW_REWRITE_EXECUTION_ID, "rewrite_execution_id", false,
         "the server makes an id of its own from the caller's"),
    FLAG(SW_PARALLEL_FAILS, "parallel_fails", false,
         "a second export of a busy project fails with DMF2025"),
    CHOICE(SW_ZERO_ROWS, "zero_rows", "header_only", "header_only no_file no_url",
           "what an export without rows looks like"),
    FLAG(SW_UNQUOTED, "unquoted", false, "cells that hold the delimiter stand unquoted"),
    CHOICE(SW_FINAL_STATUS, "final_status", "Succeeded",
           "Succeeded PartiallySucceeded Failed Canceled",
           "how executions end; a partial one lacks every tenth row"),
    NUMBER(SW_FAIL_NEXT, "fail_next", -1,
           "final_status is for the next N executions (-1: all); alone it means Failed"),
    FLAG(SW_FAILED_MOVES_WATERMARK, "failed_moves_watermark", false,
         "a failed or cancelled job has moved the watermark all the same"),
    CHOICE(SW_WATERMARK_SCOPE, "watermark_scope", "company", "project company",
           "project: an export of one company moves the watermark of all"),
    FLAG(SW_BLOB_GONE, "blob_gone", false, "downloads answer 404 BlobNotFound"),
    NUMBER(SW_HTTP_429_NEXT, "http_429_next", 0, "the next N actions are throttled"),
    NUMBER(SW_HTTP_500_NEXT, "http_500_next", 0, "the next N actions fail inside"),
    NUMBER(SW_HTTP_503_NEXT, "http_503_next", 0, "the next N actions find the service away"),
    NUMBER(SW_RETRY_AFTER, "retry_after", 2,
           "seconds named by Retry-After with 429 and 503 (-1: no such header)"),
    NUMBER(SW_DELAY_MS, "delay_ms", 0, "time added to each token and action call"),
    NUMBER(SW_BLOB_503_NEXT, "blob_503_next", 0, "the next N downloads get 503 ServerBusy"),
    NUMBER(SW_TRUNCATE_DOWNLOAD_AT, "truncate_download_at", 0,
           "body bytes after which truncate_next closes the connection"),
    NUMBER(SW_TRUNCATE_NEXT, "truncate_next", 0, "the next N downloads break off in the body"),
    NUMBER(SW_CORRUPT_ZIP_NEXT, "corrupt_zip_next", 0,
           "the next N packages have flipped bytes in their first data file"),
    NUMBER(SW_TRUNCATED_ZIP_NEXT, "truncated_zip_next", 0,
           "the next N packages end too early, without a central directory"),
    NUMBER(SW_SLOW_BODY_BYTES_PER_S, "slow_body_bytes_per_s", 0,
           "downloads are no faster than this (0: as fast as can be)"),
    FLAG(SW_NO_RANGES, "no_ranges", false, "downloads ignore Range and x-ms-range"),
    FLAG(SW_URL_HTTP, "url_http", false,
         "the download URL is plain http and names a host that is not this one"),
    ANY_TEXT(SW_REDIRECT_DOWNLOAD_TO, "redirect_download_to",
             "downloads answer 302 with this address"),
    NUMBER(SW_BAD_UNTYPABLE, "bad_rows.untypable", 0,
           "N records have words where numbers, dates and booleans belong"),
    NUMBER(SW_BAD_WRONG_COLUMNS, "bad_rows.wrong_columns", 0,
           "N records have a cell too many or too few"),
    NUMBER(SW_BAD_EMPTY_KEY, "bad_rows.empty_key", 0, "N records have an empty key cell"),
    NUMBER(SW_BAD_EVERY, "bad_rows.every", 7, "one record in so many may be bad"),
    NUMBER(SW_BIG_ROWS, "big_rows.rows", 0, "N records have one huge text cell"),
    NUMBER(SW_BIG_BYTES, "big_rows.bytes", 100000, "size of the huge text cells"),
    NUMBER(SW_TOKEN_ERROR, "token_error", 0,
           "the token endpoint answers this AADSTS code (0: works)"),
    NUMBER(SW_TOKEN_SECONDS, "token_seconds", 3600, "life of a token"),
    FLAG(SW_TOKEN_STRING_NUMBERS, "token_string_numbers", false, "expires_in is a string"),
};

/* The set that answers for a switch; NULL when neither has it. */
static struct sim_switch_value *find_value(struct sim_switch_view view, enum sim_switch which)
{
    if (view.own && view.own->values[which].set)
        return &view.own->values[which];
    if (view.all->values[which].set)
        return &view.all->values[which];
    return NULL;
}

int64_t sim_switch_number(struct sim_switch_view view, enum sim_switch which)
{
    const struct sim_switch_value *value = find_value(view, which);
    return value ? value->number : sim_switch_rows[which].number;
}

const char *sim_switch_text(struct sim_switch_view view, enum sim_switch which)
{
    const struct sim_switch_value *value = find_value(view, which);
    return value ? value->text : sim_switch_rows[which].text;
}

bool sim_switch_take(struct sim_switch_view view, enum sim_switch which)
{
    struct sim_switch_value *value = find_value(view, which);
    int64_t left = value ? value->number : sim_switch_rows[which].number;
    if (left > 0 && value)
        value->number--;
    return left != 0;
}

void sim_switch_assign(struct sim_switch_set *set, enum sim_switch which, int64_t number)
{
    set->values[which].set = true;
    set->values[which].number = number;
}

static bool is_choice(const char *choices, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = choices; len && *at;) {
        size_t span = strcspn(at, " ");
        if (span == len && memcmp(at, word, len) == 0)
            return true;
        at += span;
        at += *at == ' ';
    }
    return false;
}

static bool apply_one(struct sim_switch_set *set, const char *name, yajl_val json, char *problem,
                      size_t size)
{
    int which = 0;
    while (which < SW_COUNT && strcmp(sim_switch_rows[which].name, name) != 0)
        which++;
    if (which == SW_COUNT) {
        snprintf(problem, size, "there is no switch '%s'; GET /_sim/switches lists them", name);
        return false;
    }

    const struct sim_switch_row *row = &sim_switch_rows[which];
    struct sim_switch_value value = {.set = true};
    if (YAJL_IS_NULL(json)) {
        value.set = false;
    } else if (row->kind == SWITCH_BOOL && (YAJL_IS_TRUE(json) || YAJL_IS_FALSE(json))) {
        value.number = YAJL_IS_TRUE(json);
    } else if (row->kind == SWITCH_NUMBER && YAJL_IS_INTEGER(json)) {
        value.number = YAJL_GET_INTEGER(json);
    } else if (row->kind == SWITCH_TEXT && YAJL_IS_STRING(json)) {
        const char *text = YAJL_GET_STRING(json);
        if (row->choices && !is_choice(row->choices, text)) {
            snprintf(problem, size, "switch '%s' is one of: %s", name, row->choices);
            return false;
        }
        sim_copy(value.text, sizeof(value.text), text);
    } else {
        static const char *const kinds[] = {"true or false", "a whole number", "a string"};
        snprintf(problem, size, "switch '%s' takes %s", name, kinds[row->kind]);
        return false;
    }
    set->values[which] = value;
    return true;
}

static bool apply_group(struct sim_switch_set *set, const char *group, yajl_val object,
                        char *problem, size_t size)
{
    for (size_t i = 0; i < object->u.object.len; i++) {
        char name[128];
        snprintf(name, sizeof(name), "%s.%s", group, object->u.object.keys[i]);
        if (!apply_one(set, name, object->u.object.values[i], problem, size))
            return false;
    }
    return true;
}

/* null for a group, such as "bad_rows", clears all its members. */
static bool clear_group(struct sim_switch_set *set, const char *group)
{
    size_t len = strlen(group);
    bool found = false;
    for (int which = 0; which < SW_COUNT; which++) {
        const char *name = sim_switch_rows[which].name;
        if (strncmp(name, group, len) == 0 && name[len] == '.') {
            set->values[which] = (struct sim_switch_value){0};
            found = true;
        }
    }
    return found;
}

bool sim_switch_apply(struct sim_switch_set *set, yajl_val object, char *problem, size_t size)
{
    struct sim_switch_set changed = *set;
    for (size_t i = 0; i < object->u.object.len; i++) {
        const char *name = object->u.object.keys[i];
        yajl_val value = object->u.object.values[i];
        if (strcmp(name, "project") == 0 || strcmp(name, "revoke_tokens") == 0)
            continue;
        if (YAJL_IS_NULL(value) && clear_group(&changed, name))
            continue;
        bool ok = YAJL_IS_OBJECT(value) ? apply_group(&changed, name, value, problem, size)
                                        : apply_one(&changed, name, value, problem, size);
        if (!ok)
            return false;
    }
    *set = changed;
    return true;
}

static void add_value(struct sim_text *out, const char *name, enum sim_switch_kind kind,
                      int64_t number, const char *text)
{
    if (kind == SWITCH_BOOL)
        sim_text_bool(out, name, number != 0);
    else if (kind == SWITCH_NUMBER)
        sim_text_number(out, name, number);
    else
        sim_text_member(out, name, text);
}

void sim_switch_describe(const struct sim_switch_set *set, struct sim_text *out)
{
    sim_text_char(out, '{');
    for (int which = 0; which < SW_COUNT; which++) {
        const struct sim_switch_row *row = &sim_switch_rows[which];
        const struct sim_switch_value *value = &set->values[which];
        sim_text_name(out, row->name);
        sim_text_char(out, '{');
        add_value(out, "value", row->kind, value->set ? value->number : row->number,
                  value->set ? value->text : row->text);
        add_value(out, "default", row->kind, row->number, row->text);
        if (row->choices)
            sim_text_member(out, "choices", row->choices);
        sim_text_member(out, "help", row->help);
        sim_text_char(out, '}');
    }
    sim_text_char(out, '}');
}

void sim_switch_list_own(const struct sim_switch_set *set, struct sim_text *out)
{
    sim_text_char(out, '{');
    for (int which = 0; which < SW_COUNT; which++) {
        const struct sim_switch_row *row = &sim_switch_rows[which];
        const struct sim_switch_value *value = &set->values[which];
        if (value->set)
            add_value(out, row->name, row->kind, value->number, value->text);
    }
    sim_text_char(out, '}');
}
