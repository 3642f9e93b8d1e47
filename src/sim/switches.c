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
    FLAG(SW_UNKNOWN_TRANSLATED, "unknown_translated", false,
         "that an execution is not known is told in another language"),
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
    NUMBER(SW_EXPORT_ERROR_NEXT, "export_error_next", 0,
           "the next N exports start, yet their answer is an error"),
    FLAG(SW_PARALLEL_FAILS, "parallel_fails", false,
         "a second export of a busy project fails with DMF2025"),
    CHOICE(SW_ZERO_ROWS, "zero_rows", "header_only", "header_only no_file no_url",
           "what an export without rows looks like"),
    FLAG(SW_UNQUOTED, "unquoted", false,
         "the text qualifier is off: cells stand as they are, whatever they hold"),
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
    ANY_TEXT(SW_SETS_ABSENT, "sets_absent", "the entity sets named in it are not there: 404"),
    ANY_TEXT(SW_SETS_FORBIDDEN, "sets_forbidden", "those named in it may not be read: 403"),
    NUMBER(SW_BLOB_503_NEXT, "blob_503_next", 0, "the next N downloads get 503 ServerBusy"),
    NUMBER(SW_BLOB_404_NEXT, "blob_404_next", 0,
           "the next N downloads get a bare 404 from somebody who is not the store"),
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
    CHOICE(
        SW_TOKEN_LIE, "token_lie", "none", "none html no_token negative_life huge_life",
        "the token endpoint answers 200 with something else than a token, or a life that is none"),

    NUMBER(SW_IDENTITY_STATUS, "identity_status", 0,
           "the managed identity endpoint answers this HTTP status (0: works)"),
    NUMBER(SW_IDENTITY_NEXT, "identity_next", -1,
           "identity_status is for the next N requests (-1: all)"),

    FLAG(SW_DV_MODIFIED_MS, "dv_modified_ms", false,
         "modifiedon has milliseconds, not whole seconds"),
    NUMBER(SW_DV_CLOCK_SKEW_MS, "dv_clock_skew_ms", 0,
           "the service's clock is so far ahead (below 0: behind), in Date, rows and events"),
    FLAG(SW_DV_REPORT_BOTH, "dv_report_both", true,
         "a row deleted and created again is told as a row and as a deletion, in one answer"),
    FLAG(SW_DV_DELETIONS_FIRST, "dv_deletions_first", false, "deletions come before the rows"),
    FLAG(SW_DV_BOTH_LINKS, "dv_both_links", false, "a page with a nextLink has a deltaLink too"),
    FLAG(SW_DV_DELTA_PAGED, "dv_delta_paged", true, "answers to delta links come in pages too"),
    FLAG(
        SW_DV_PAGES_COUNTED, "dv_pages_counted", false,
        "a nextLink of a full read knows its page's number and no row: with another maxpagesize it "
        "leads elsewhere"),
    NUMBER(SW_DV_TOKEN_SECONDS, "dv_token_seconds", 0, "life of a delta token (0: without end)"),
    NUMBER(SW_DV_EXPIRED_STATUS, "dv_expired_status", 400, "HTTP status of 0x80044352"),
    FLAG(SW_DV_EXPIRED_CODELESS, "dv_expired_codeless", false,
         "that a token has expired is told in words alone, with an empty code"),
    FLAG(SW_DV_NO_ORG_READ, "dv_no_org_read", false,
         "the application users may not read the whole organisation's rows"),
    FLAG(SW_DV_USER_DISABLED, "dv_user_disabled", false, "the application users are disabled"),
    CHOICE(
        SW_DV_READ_DEPTH, "dv_read_depth", "global", "basic local deep global untold",
        "how far their privilege to read reaches; below global they see part of the rows, and 200"),
    NUMBER(SW_DV_ORGANISATION, "dv_organisation", 0,
           "WhoAmI answers as another organisation, of this number (0: as the seed's)"),
    NUMBER(SW_DV_LIMIT_REQUESTS, "dv_limit_requests", 6000, "requests of a user in a window"),
    NUMBER(SW_DV_LIMIT_EXECUTION_MS, "dv_limit_execution_ms", 1200000,
           "execution time of a user in a window"),
    NUMBER(SW_DV_LIMIT_WINDOW_MS, "dv_limit_window_ms", 300000, "the sliding window"),
    NUMBER(SW_DV_LIMIT_CONCURRENCY, "dv_limit_concurrency", 52, "requests of a user at one time"),
    NUMBER(SW_DV_RETRY_AFTER, "dv_retry_after", 0,
           "seconds named by Retry-After (0: until the limit is free again; -1: no such header)"),
    NUMBER(SW_DV_429_NEXT, "dv_429_next", 0, "the next N requests are throttled"),
    CHOICE(SW_DV_429_CODE, "dv_429_code", "0x80072322", "0x80072322 0x80072321 0x80072326",
           "the code of dv_429_next: requests, execution time, concurrency"),
    NUMBER(SW_DV_503_NEXT, "dv_503_next", 0, "the next N requests find the service away"),
    NUMBER(SW_DV_500_NEXT, "dv_500_next", 0, "the next N requests fail inside"),
    NUMBER(SW_DV_DELAY_MS, "dv_delay_ms", 0, "time that each request takes"),
    NUMBER(SW_DV_COST_MS, "dv_cost_ms", 0,
           "execution time that each request is charged with on top of its own"),
    NUMBER(SW_DV_SLOW_BODY, "dv_slow_body", 0,
           "bodies come with so many bytes a second (0: as fast as can be)"),
    ANY_TEXT(SW_DV_NEXT_LINK_HOST, "dv_next_link_host", "nextLinks lead to this HOST:PORT"),
    NUMBER(SW_DV_REDIRECT_NEXT, "dv_redirect_next", 0, "the next N requests are redirected"),
    ANY_TEXT(SW_DV_REDIRECT_TO, "dv_redirect_to", "where dv_redirect_next leads"),
    NUMBER(SW_DV_MALFORMED_NEXT, "dv_malformed_next", 0, "the next N bodies are broken JSON"),
    NUMBER(SW_DV_CUT_BODY_NEXT, "dv_cut_body_next", 0, "the next N bodies break off half way"),
    NUMBER(SW_DV_HTML_NEXT, "dv_html_next", 0, "the next N bodies are a sign-in page, with 200"),
    NUMBER(SW_DV_WRONG_TYPE_NEXT, "dv_wrong_type_next", 0,
           "in the next N pages with rows one has a word where a number or boolean belongs"),
    NUMBER(SW_DV_NO_ID_NEXT, "dv_no_id_next", 0,
           "in the next N pages with rows one is without its id"),
    NUMBER(SW_DV_HUGE_TEXT_NEXT, "dv_huge_text_next", 0,
           "in the next N pages with rows one has a huge text"),
    NUMBER(SW_DV_HUGE_TEXT_BYTES, "dv_huge_text_bytes", 8388608, "size of a huge text"),

    NUMBER(SW_HOOK_DELAY_MIN_MS, "hook_delay_ms.min", 0, "a webhook post waits at least so long"),
    NUMBER(SW_HOOK_DELAY_MAX_MS, "hook_delay_ms.max", 0, "and at most so long"),
    NUMBER(SW_HOOK_DISORDER, "hook_disorder", 0,
           "and on top of that a random time up to so many milliseconds, against the order"),
    NUMBER(SW_HOOK_LOSE_PERCENT, "hook_lose_percent", 0, "so many posts are never sent"),
    NUMBER(SW_HOOK_DOUBLE_PERCENT, "hook_double_percent", 0, "so many posts are sent twice"),
    NUMBER(SW_HOOK_ROLLBACK_PERCENT, "hook_rollback_percent", 0,
           "with so many posts comes another one, of a change that was rolled back"),
    NUMBER(SW_HOOK_OVERSIZE, "hook_oversize", 0,
           "percent of posts that are said to be too large and come without their rows"),
    NUMBER(SW_HOOK_RETRY_MS, "hook_retry_ms", 500,
           "time before the one retry that 502, 503 and 504 get"),
    NUMBER(SW_HOOK_TIMEOUT_MS, "hook_timeout_ms", 60000, "time that a receiver has to answer"),
    FLAG(SW_HOOK_VERIFY, "hook_verify", true, "the certificates of receivers are verified"),
    ANY_TEXT(SW_HOOK_CA, "hook_ca", "file with the certificates that are trusted for that"),
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
