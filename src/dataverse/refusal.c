#include "dataverse/refusal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "format/json.h"

enum {
    THROTTLED_MS = 30 * 1000, /* when the service names no time */
    AWAY_MS = 5 * 1000,
    FORBIDDEN = 403,
    TOKEN_REFUSED = 401,
    TEXT_BYTES = 200, /* of the service's own words */
};

/* The error in a body, {"error":{"code":"0x…","message":"…"}}. */
struct told {
    bool json; /* there is one */
    char code[24];
    char text[TEXT_BYTES + 1];
};

static void copy(char *out, size_t size, const char *text)
{
    size_t length = text ? sl_utf8_cut(text, strlen(text), size - 1) : 0;
    if (length)
        memcpy(out, text, length);
    out[length] = 0;
    sl_text_clean(out);
}

static void read_error(struct sl_str body, struct told *ret)
{
    struct sl_json_doc *doc = NULL;
    memset(ret, 0, sizeof *ret);
    if (sl_json_parse(body.at, body.length, NULL, &doc, NULL) != SL_OK)
        return;
    const struct sl_json *error = sl_json_get(sl_json_root(doc), "error");
    ret->json = error && error->kind == SL_JSON_MAP;
    copy(ret->code, sizeof ret->code, sl_json_text(sl_json_get(error, "code")));
    copy(ret->text, sizeof ret->text, sl_json_text(sl_json_get(error, "message")));
    sl_json_free(doc);
}

static bool is(const struct told *told, const char *code)
{
    return !strcasecmp(told->code, code);
}

/* Which status comes with it is not documented, and any code may be left out. */
static bool token_expired(const struct told *told)
{
    return is(told, "0x80044352") || (!told->code[0] && strcasestr(told->text, "version stamp") &&
                                      strcasestr(told->text, "expired"));
}

/* The code to count a throttle by: only known ones, since it becomes a label. */
static const char *throttle_of(int status, const struct told *told)
{
    static const char *const codes[] = {"0x80072322", "0x80072321", "0x80072326"};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (is(told, codes[i]))
            return codes[i];
    if (token_expired(told))
        return NULL;
    if (status == 429)
        return "429";
    return status == 503 ? "503" : NULL;
}

static int throttled(const struct sl_dataverse_refusal *refusal, const char *code,
                     struct sl_err *err)
{
    uint32_t wait_ms = refusal->head->retry_after_ms;
    bool away = !strcmp(code, "503");
    if (!wait_ms)
        wait_ms = away ? AWAY_MS : THROTTLED_MS;
    sl_err_set(err, SL_THROTTLED, "%s: the service %s (%s); asked again after %u s", refusal->asked,
               away ? "is not available" : "throttles this application user", code,
               (wait_ms + 999) / 1000);
    err->retry_after_ms = wait_ms;
    return SL_THROTTLED;
}

static int redirected(const struct sl_dataverse_refusal *refusal, struct sl_err *err)
{
    if (refusal->link)
        return sl_err_set(err, SL_REJECTED,
                          "%s: the link is redirected (%d), which is not followed", refusal->asked,
                          refusal->head->status);
    return sl_err_set(err, SL_CONFIG,
                      "%s: the service redirects (%d), which is not followed: is the source's url "
                      "that of the environment?",
                      refusal->asked, refusal->head->status);
}

static bool lacks_privilege(const struct told *told)
{
    return is(told, "0x80040220") || strcasestr(told->text, "privilege") ||
           strcasestr(told->text, "SecLib");
}

static int forbidden(const struct sl_dataverse_refusal *refusal, const struct told *told,
                     struct sl_err *err)
{
    if (refusal->head->status == FORBIDDEN && !told->json)
        return sl_err_set(err, SL_CLOSED, "%s: 403, and what answers is not the Web API",
                          refusal->asked);
    if (!lacks_privilege(told))
        return sl_err_set(err, SL_CONFIG,
                          "%s: the service does not accept the token (%d): is the client id an "
                          "enabled application user of this environment? %s %s",
                          refusal->asked, refusal->head->status, told->code, told->text);
    return sl_err_set(err, SL_CONFIG,
                      "%s: give the application user a security role with organisation-wide read "
                      "on this table; the service says: %d %s %s",
                      refusal->asked, refusal->head->status, told->code, told->text);
}

/* Part of the path is unknown, and not a row. */
static bool names_a_segment(const struct told *told)
{
    return is(told, "0x80060888") || is(told, "0x8006088a") ||
           strcasestr(told->text, "not found for the segment");
}

/* By the codes for an id and for a key; a virtual table's provider may have others. */
static bool names_a_row(const struct told *told)
{
    return is(told, "0x80040217") || is(told, "0x80060891") ||
           strcasestr(told->text, "does not exist");
}

/* 404 and 410. A deletion is concluded from it, so it must be the service that says so. */
static int gone(const struct sl_dataverse_refusal *refusal, const struct told *told,
                struct sl_err *err)
{
    int status = refusal->head->status;
    bool html = strstr(refusal->head->content_type, "html") != NULL;
    if (html || (!refusal->link && !told->json))
        return sl_err_set(err, SL_CLOSED, "%s: %d, and what answers is not the Web API",
                          refusal->asked, status);
    if (refusal->link)
        return sl_err_set(err, SL_REJECTED, "%s: %d %s %s", refusal->asked, status, told->code,
                          told->text);
    if (names_a_segment(told))
        return sl_err_set(err, SL_CONFIG, "%s: there is no such table or relationship: %s",
                          refusal->asked, told->text);
    if (refusal->row && !names_a_row(told))
        return sl_err_set(err, SL_CLOSED, "%s: %d, which does not say that the row is gone: %s %s",
                          refusal->asked, status, told->code, told->text);
    return sl_err_set(err, SL_NOTFOUND, "%s: %d %s %s", refusal->asked, status, told->code,
                      told->text);
}

/* A plug-in, or the provider of a virtual table, has failed: by its own fault or another's, and
 * with 400 as often as with 500. */
static bool is_a_fault(const struct told *told)
{
    static const char *const codes[] = {"0x80040265", "0x80040224", "0x80040216", "0x80044150",
                                        "0x80044151"};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (is(told, codes[i]))
            return true;
    return false;
}

/* That it is off for the table, as it seems: for an operator. Of a link it may be the token in it
 * that is wrong ("The change tracking token is not valid."): the table's description tells. */
static int not_tracked(const struct sl_dataverse_refusal *refusal, const struct told *told,
                       struct sl_err *err)
{
    if (refusal->link)
        return sl_err_set(err, SL_REJECTED, "%s: the service refuses the link: %d %s %s",
                          refusal->asked, refusal->head->status, told->code, told->text);
    return sl_err_set(err, SL_CONFIG, "%s: turn on change tracking of this table: %s %s",
                      refusal->asked, told->code, told->text);
}

static int classify(const struct sl_dataverse_refusal *refusal, const struct told *told,
                    struct sl_err *err)
{
    int status = refusal->head->status;
    if (token_expired(told))
        return sl_err_set(err, SL_NOTFOUND,
                          "%s: the change tracking token has expired; the table is read again",
                          refusal->asked);
    if (status >= 300 && status < 400)
        return redirected(refusal, err);
    if (status == TOKEN_REFUSED || status == FORBIDDEN || is(told, "0x80040220"))
        return forbidden(refusal, told, err);
    if (status == 404 || status == 410)
        return gone(refusal, told, err);
    if (strcasestr(told->text, "change tracking") && !(refusal->link && status >= 500))
        return not_tracked(refusal, told, err);
    if (status == 408 || status >= 500 || is_a_fault(told))
        return sl_err_set(err, SL_CLOSED, "%s: the service answered %d %s %s", refusal->asked,
                          status, told->code, told->text);
    if (!told->json) /* a gateway in between, which may let the next one through */
        return sl_err_set(err, SL_CLOSED, "%s: %d, and what answers is not the Web API",
                          refusal->asked, status);
    return sl_err_set(err, SL_REJECTED, "%s: the service refuses: %d %s %s", refusal->asked, status,
                      told->code, told->text);
}

int sl_dataverse_refuse(const struct sl_dataverse_refusal *refusal, const char **ret_throttle,
                        struct sl_err *err)
{
    struct told told;
    read_error(refusal->body, &told);
    *ret_throttle = throttle_of(refusal->head->status, &told);
    if (*ret_throttle)
        throttled(refusal, *ret_throttle, err);
    else
        classify(refusal, &told, err);
    err->cause = refusal->head->status;
    if (err->cause == FORBIDDEN && !lacks_privilege(&told)) /* the user, and not the table */
        err->cause = TOKEN_REFUSED;
    return (int)err->code;
}
