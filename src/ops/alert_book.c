#include "ops/alert_book.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ops/alert_book_own.h"

struct sl_alert_book *sl_alert_book_new(void)
{
    return SL_NEW(struct sl_alert_book);
}

void sl_alert_free(struct sl_alert *alert)
{
    free(alert->subject);
    free(alert->title);
    free(alert->text);
    free(alert);
}

void sl_alert_book_free(struct sl_alert_book *book)
{
    if (!book)
        return;
    while (book->first) {
        struct sl_alert *alert = book->first;
        book->first = alert->next;
        sl_alert_free(alert);
    }
    free(book);
}

void sl_alert_book_rule(struct sl_alert_book *book, const struct sl_alert_rules *rules)
{
    book->rules = *rules;
}

/* Each title of a notice is another loss, which must not be forgotten over the next one. */
static bool is_same(const struct sl_alert *alert, enum sl_alert_kind kind, const char *subject,
                    const char *title)
{
    if (alert->kind != kind || strcmp(alert->subject, subject) != 0)
        return false;
    return !title || !sl_alert_never_ends(alert) || !strcmp(alert->title, title);
}

struct sl_alert *sl_alert_find(const struct sl_alert_book *book, enum sl_alert_kind kind,
                               const char *subject, const char *title)
{
    struct sl_alert *alert = book->first;
    while (alert && !is_same(alert, kind, subject, title))
        alert = alert->next;
    return alert;
}

struct sl_alert *sl_alert_find_or_make(struct sl_alert_book *book, enum sl_alert_kind kind,
                                       const char *subject, const char *title)
{
    struct sl_alert *alert = sl_alert_find(book, kind, subject, title);
    if (alert)
        return alert;
    struct sl_alert **end = &book->first;
    while (*end)
        end = &(*end)->next;
    *end = alert = SL_NEW(struct sl_alert);
    alert->kind = kind;
    alert->subject = sl_strdup(subject);
    alert->title = sl_strdup(title);
    alert->text = sl_strdup("");
    alert->tell_ms = alert->tell_over_ms = UINT64_MAX;
    return alert;
}

/* --- raised and over --- */

/* True when the words differ from those before. */
bool sl_alert_put_words(struct sl_alert *alert, const char *title, const char *text)
{
    bool same = !strcmp(alert->title, title) && !strcmp(alert->text, text);
    if (same)
        return false;
    char *old_title = alert->title, *old_text = alert->text;
    alert->title = sl_strdup(title);
    alert->text = sl_strdup(text);
    free(old_title);
    free(old_text);
    return true;
}

/* A raising begins. One that comes back before its end was told goes on as if it had not ended. */
static void begin(struct sl_alert_book *book, struct sl_alert *alert, struct sl_alert_time now)
{
    alert->phase = RAISED;
    if (alert->tell_over_ms != UINT64_MAX) {
        alert->tell_over_ms = UINT64_MAX;
        book->held_back++;
        if (alert->told)
            alert->tell_ms = alert->told_ms + book->rules.repeat_ms;
        return;
    }
    alert->raised_wall_ms = now.wall_ms;
    alert->told = false;
    alert->tell_ms = now.ms;
    if (alert->ever_told && now.ms < alert->told_ms + book->rules.repeat_ms) {
        alert->tell_ms = alert->told_ms + book->rules.repeat_ms;
        book->held_back++;
    }
}

static void end(struct sl_alert *alert, struct sl_alert_time now)
{
    bool to_be_told = !alert->told && alert->tell_ms <= now.ms;
    alert->phase = CALM;
    alert->over_wall_ms = now.wall_ms;
    if (alert->told || to_be_told)
        alert->tell_over_ms = now.ms;
    if (!to_be_told) /* held back until it was over: nobody needs to know */
        alert->tell_ms = UINT64_MAX;
}

bool sl_alert_book_raise(struct sl_alert_book *book, enum sl_alert_kind kind, const char *subject,
                         const char *title, const char *text, struct sl_alert_time now)
{
    struct sl_alert *alert = sl_alert_find_or_make(book, kind, subject, title);
    bool waits = alert->tell_ms != UINT64_MAX;
    bool fresh = sl_alert_put_words(alert, title, text);
    alert->untold += fresh && waits && sl_alert_never_ends(alert);
    if (sl_alert_is_up(alert) && !(fresh && alert->told && sl_alert_never_ends(alert))) {
        alert->phase = RAISED;
        book->held_back += fresh && alert->told;
        return fresh;
    }
    begin(book, alert, now);
    return true;
}

bool sl_alert_book_clear(struct sl_alert_book *book, enum sl_alert_kind kind, const char *subject,
                         struct sl_alert_time now)
{
    struct sl_alert *alert = sl_alert_find(book, kind, subject, NULL);
    bool raised = alert && sl_alert_is_up(alert);
    if (raised)
        end(alert, now);
    return raised;
}

/* --- conditions --- */

static enum sl_alert_look observe_bad(struct sl_alert_book *book,
                                      const struct sl_alert_condition *condition,
                                      struct sl_alert_time now)
{
    struct sl_alert *alert =
        sl_alert_find_or_make(book, condition->kind, condition->subject, condition->title);
    if (alert->phase == CALM) {
        alert->phase = PENDING;
        alert->since_ms = now.ms;
    }
    if (alert->phase == FADING)
        alert->phase = RAISED;
    if (alert->phase == PENDING && now.ms - alert->since_ms < condition->hold_ms)
        return SL_ALERT_UNKNOWN;
    sl_alert_put_words(alert, condition->title, condition->text);
    if (alert->phase == RAISED)
        return SL_ALERT_UNKNOWN;
    begin(book, alert, now);
    return SL_ALERT_BAD;
}

static enum sl_alert_look observe_good(struct sl_alert *alert, uint64_t clear_ms,
                                       struct sl_alert_time now)
{
    if (alert->phase == PENDING)
        alert->phase = CALM;
    if (alert->phase == RAISED) {
        alert->phase = FADING;
        alert->since_ms = now.ms;
    }
    if (alert->phase != FADING || now.ms - alert->since_ms < clear_ms)
        return SL_ALERT_UNKNOWN;
    end(alert, now);
    return SL_ALERT_GOOD;
}

enum sl_alert_look sl_alert_book_observe(struct sl_alert_book *book,
                                         const struct sl_alert_condition *condition,
                                         struct sl_alert_time now)
{
    if (condition->look == SL_ALERT_BAD)
        return observe_bad(book, condition, now);
    struct sl_alert *alert = sl_alert_find(book, condition->kind, condition->subject, NULL);
    if (!alert || condition->look == SL_ALERT_UNKNOWN)
        return SL_ALERT_UNKNOWN;
    return observe_good(alert, condition->clear_ms, now);
}

bool sl_alert_book_keep(struct sl_alert_book *book, sl_alert_keep *keep, void *ctx)
{
    struct sl_alert **at = &book->first;
    bool forgotten = false;
    while (*at) {
        struct sl_alert *alert = *at;
        if (keep(ctx, alert->kind, alert->subject)) {
            at = &alert->next;
            continue;
        }
        *at = alert->next;
        sl_alert_free(alert);
        forgotten = true;
    }
    return forgotten;
}

/* --- for people --- */

bool sl_alert_book_is_raised(const struct sl_alert_book *book, enum sl_alert_kind kind,
                             const char *subject)
{
    const struct sl_alert *alert = sl_alert_find(book, kind, subject, NULL);
    return alert && sl_alert_is_up(alert);
}

unsigned sl_alert_book_count(const struct sl_alert_book *book, enum sl_alert_kind kind)
{
    unsigned count = 0;
    for (const struct sl_alert *alert = book->first; alert; alert = alert->next)
        count += alert->kind == kind && sl_alert_is_up(alert);
    return count;
}

void sl_alert_book_status(const struct sl_alert_book *book, bool has_targets, struct sl_buf *buf)
{
    const char *comma = "";
    sl_buf_add_char(buf, '[');
    for (const struct sl_alert *alert = book->first; alert; alert = alert->next) {
        char since[SL_ISO_BYTES];
        if (!sl_alert_is_up(alert))
            continue;
        sl_iso_format(alert->raised_wall_ms, since);
        sl_buf_printf(buf, "%s{\"kind\":\"%s\",\"subject\":", comma,
                      sl_alert_kind_name(alert->kind));
        sl_buf_add_json_text(buf, alert->subject);
        sl_buf_add_text(buf, ",\"title\":");
        sl_buf_add_json_text(buf, alert->title);
        sl_buf_add_text(buf, ",\"text\":");
        sl_buf_add_json_text(buf, alert->text);
        sl_buf_printf(buf, ",\"since\":\"%s\",\"told\":%s}", since,
                      has_targets && alert->told ? "true" : "false");
        comma = ",";
    }
    sl_buf_add_char(buf, ']');
}
