/* The switches: every way in which the simulator can be made to misbehave.
 * One table names them all (switches.c). A value is looked up in the project's own set first, then
 * in the set for everybody, then in the table. All calls want the simulator's lock held. */
#ifndef SIM_SWITCHES_H
#define SIM_SWITCHES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <yajl/yajl_tree.h>

struct sim_text;

enum sim_switch {
    SW_EXPORT_MS,
    SW_QUEUE_MS,
    SW_LEVEL,
    SW_MANIFEST_LAST,
    SW_DATA_DESCRIPTORS,
    SW_FORCE_ZIP64,
    SW_NESTED_VALUE,
    SW_ID_UNKNOWN_POLLS,
    SW_UNKNOWN_TRANSLATED,
    SW_URL_EMPTY_POLLS,
    SW_SAS_SECONDS,
    SW_SAS_EXPIRED_NEXT,
    SW_SYNCHRONOUS_EXPORT,
    SW_REWRITE_EXECUTION_ID,
    SW_EXPORT_ERROR_NEXT,
    SW_PARALLEL_FAILS,
    SW_ZERO_ROWS,
    SW_UNQUOTED,
    SW_FINAL_STATUS,
    SW_FAIL_NEXT,
    SW_FAILED_MOVES_WATERMARK,
    SW_WATERMARK_SCOPE,
    SW_BLOB_GONE,
    SW_HTTP_429_NEXT,
    SW_HTTP_500_NEXT,
    SW_HTTP_503_NEXT,
    SW_RETRY_AFTER,
    SW_DELAY_MS,
    SW_SETS_ABSENT,
    SW_SETS_FORBIDDEN,
    SW_BLOB_503_NEXT,
    SW_BLOB_404_NEXT,
    SW_TRUNCATE_DOWNLOAD_AT,
    SW_TRUNCATE_NEXT,
    SW_CORRUPT_ZIP_NEXT,
    SW_TRUNCATED_ZIP_NEXT,
    SW_SLOW_BODY_BYTES_PER_S,
    SW_NO_RANGES,
    SW_URL_HTTP,
    SW_REDIRECT_DOWNLOAD_TO,
    SW_BAD_UNTYPABLE,
    SW_BAD_WRONG_COLUMNS,
    SW_BAD_EMPTY_KEY,
    SW_BAD_EVERY,
    SW_BIG_ROWS,
    SW_BIG_BYTES,
    SW_TOKEN_ERROR,
    SW_TOKEN_SECONDS,
    SW_TOKEN_STRING_NUMBERS,
    SW_TOKEN_LIE,
    SW_IDENTITY_STATUS,
    SW_IDENTITY_NEXT,
    SW_DV_MODIFIED_MS,
    SW_DV_CLOCK_SKEW_MS,
    SW_DV_REPORT_BOTH,
    SW_DV_DELETIONS_FIRST,
    SW_DV_BOTH_LINKS,
    SW_DV_DELTA_PAGED,
    SW_DV_PAGES_COUNTED,
    SW_DV_TOKEN_SECONDS,
    SW_DV_EXPIRED_STATUS,
    SW_DV_EXPIRED_CODELESS,
    SW_DV_NO_ORG_READ,
    SW_DV_USER_DISABLED,
    SW_DV_READ_DEPTH,
    SW_DV_ORGANISATION,
    SW_DV_LIMIT_REQUESTS,
    SW_DV_LIMIT_EXECUTION_MS,
    SW_DV_LIMIT_WINDOW_MS,
    SW_DV_LIMIT_CONCURRENCY,
    SW_DV_RETRY_AFTER,
    SW_DV_429_NEXT,
    SW_DV_429_CODE,
    SW_DV_503_NEXT,
    SW_DV_500_NEXT,
    SW_DV_DELAY_MS,
    SW_DV_COST_MS,
    SW_DV_SLOW_BODY,
    SW_DV_NEXT_LINK_HOST,
    SW_DV_REDIRECT_NEXT,
    SW_DV_REDIRECT_TO,
    SW_DV_MALFORMED_NEXT,
    SW_DV_CUT_BODY_NEXT,
    SW_DV_HTML_NEXT,
    SW_DV_WRONG_TYPE_NEXT,
    SW_DV_NO_ID_NEXT,
    SW_DV_HUGE_TEXT_NEXT,
    SW_DV_HUGE_TEXT_BYTES,
    SW_HOOK_DELAY_MIN_MS,
    SW_HOOK_DELAY_MAX_MS,
    SW_HOOK_DISORDER,
    SW_HOOK_LOSE_PERCENT,
    SW_HOOK_DOUBLE_PERCENT,
    SW_HOOK_ROLLBACK_PERCENT,
    SW_HOOK_OVERSIZE,
    SW_HOOK_RETRY_MS,
    SW_HOOK_TIMEOUT_MS,
    SW_HOOK_VERIFY,
    SW_HOOK_CA,
    SW_COUNT
};

enum sim_switch_kind { SWITCH_BOOL, SWITCH_NUMBER, SWITCH_TEXT };

struct sim_switch_row {
    const char *name;
    enum sim_switch_kind kind;
    int64_t number;      /* the default of a bool or number */
    const char *text;    /* the default of a text */
    const char *choices; /* of a text: its words, separated by spaces; NULL: anything */
    const char *help;
};

struct sim_switch_value {
    bool set;
    int64_t number;
    char text[256];
};

struct sim_switch_set {
    struct sim_switch_value values[SW_COUNT];
};

/* Who asks: the set for everybody, and the project's own (NULL when there is no project). */
struct sim_switch_view {
    struct sim_switch_set *all;
    struct sim_switch_set *own;
};

extern const struct sim_switch_row sim_switch_rows[SW_COUNT];

int64_t sim_switch_number(struct sim_switch_view view, enum sim_switch which);
const char *sim_switch_text(struct sim_switch_view view, enum sim_switch which);

/* Takes one from a counter ("the next N"). True while there was one to take; -1 never runs out. */
bool sim_switch_take(struct sim_switch_view view, enum sim_switch which);

/* Sets a number by hand, for options of the command line. */
void sim_switch_assign(struct sim_switch_set *set, enum sim_switch which, int64_t number);

/* Applies a JSON object: {"delay_ms": 20, "bad_rows": {"untypable": 3}, "zero_rows": null}.
 * null gives a switch its default back; the members "project" and "revoke_tokens" are passed over.
 * Nothing is applied when anything is wrong: returns false with the reason in problem. */
bool sim_switch_apply(struct sim_switch_set *set, yajl_val object, char *problem, size_t size);

/* Adds {"name":{"value":…,"default":…,"help":"…"},…}, or, of a project's set, {"name":value,…} with
 * what is set there only. */
void sim_switch_describe(const struct sim_switch_set *set, struct sim_text *out);
void sim_switch_list_own(const struct sim_switch_set *set, struct sim_text *out);

#endif
