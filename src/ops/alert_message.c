/* What is to be told of a book, and when. */
#include <stdlib.h>

#include "base/mem.h"
#include "ops/alert_book_own.h"

enum { HOUR_MS = 3600 * 1000 };

/* When the first thing is to be told. */
static uint64_t first_news_ms(const struct sl_alert_book *book)
{
    uint64_t first_ms = UINT64_MAX;
    for (const struct sl_alert *alert = book->first; alert; alert = alert->next) {
        if (alert->tell_ms < first_ms)
            first_ms = alert->tell_ms;
        if (alert->tell_over_ms < first_ms)
            first_ms = alert->tell_over_ms;
    }
    return first_ms;
}

/* When one more message is within the rate. */
static uint64_t allowed_ms(const struct sl_alert_book *book)
{
    uint64_t most = (uint64_t)book->rules.max_per_hour;
    if (book->sent_count < most)
        return 0;
    return book->sent_ms[(book->sent_count - most) % SL_ALERT_PER_HOUR_MAX] + HOUR_MS;
}

uint64_t sl_alert_book_due(const struct sl_alert_book *book, bool hurry, struct sl_alert_time now)
{
    uint64_t first_ms = first_news_ms(book), allowed = allowed_ms(book);
    if (first_ms == UINT64_MAX)
        return UINT64_MAX;
    if (hurry)
        return first_ms <= now.ms ? 0 : UINT64_MAX;
    uint64_t due_ms = first_ms + book->rules.group_ms;
    return due_ms > allowed ? due_ms : allowed;
}

void sl_alert_book_hurry(struct sl_alert_book *book, struct sl_alert_time now)
{
    for (struct sl_alert *alert = book->first; alert; alert = alert->next)
        if (sl_alert_never_ends(alert) && alert->tell_ms != UINT64_MAX)
            alert->tell_ms = now.ms;
}

static void add_line(struct sl_alert_message *message, const struct sl_alert *alert,
                     enum sl_alert_change change, bool news)
{
    message->lines = sl_realloc(message->lines, (message->count + 1) * sizeof *message->lines);
    message->lines[message->count++] = (struct sl_alert_line){
        .kind = alert->kind,
        .change = change,
        .subject = sl_strdup(alert->subject),
        .title = sl_strdup(alert->title),
        .text = sl_strdup(alert->text),
        .raised_wall_ms = alert->raised_wall_ms,
        .over_wall_ms = sl_alert_is_up(alert) ? 0 : alert->over_wall_ms,
        .earlier = alert->untold,
        .news = news,
    };
}

static void told(const struct sl_alert_book *book, struct sl_alert *alert, uint64_t now_ms)
{
    alert->told = alert->ever_told = true;
    alert->told_ms = now_ms;
    alert->tell_ms = UINT64_MAX;
    alert->untold = 0;
    if (sl_alert_is_up(alert) && !sl_alert_never_ends(alert))
        alert->tell_ms = now_ms + book->rules.repeat_ms;
}

/* Adds all that change in this way, and marks them as told. */
static void take_change(struct sl_alert_book *book, enum sl_alert_change change,
                        struct sl_alert_message *message, uint64_t now_ms)
{
    for (struct sl_alert *alert = book->first; alert; alert = alert->next) {
        bool raised = alert->tell_ms <= now_ms, over = alert->tell_over_ms <= now_ms;
        bool wanted = change == SL_ALERT_IS_OVER        ? over
                      : change == SL_ALERT_STILL_RAISED ? raised && alert->told
                                                        : raised && !alert->told;
        if (!wanted)
            continue;
        add_line(message, alert, change, change == SL_ALERT_IS_RAISED);
        if (change != SL_ALERT_IS_OVER)
            told(book, alert, now_ms);
        if (over)
            alert->tell_over_ms = UINT64_MAX; /* one line says both */
    }
}

/* What is over, told, and may be told of anew at any time needs no place. */
static void tidy(struct sl_alert_book *book, uint64_t now_ms)
{
    struct sl_alert **at = &book->first;
    while (*at) {
        struct sl_alert *alert = *at;
        bool past = !alert->ever_told || now_ms >= alert->told_ms + book->rules.repeat_ms;
        bool silent = alert->tell_ms == UINT64_MAX && alert->tell_over_ms == UINT64_MAX;
        if ((alert->phase != CALM && !sl_alert_never_ends(alert)) || !past || !silent) {
            at = &alert->next;
            continue;
        }
        *at = alert->next;
        sl_alert_free(alert);
    }
}

void sl_alert_book_take(struct sl_alert_book *book, struct sl_alert_message *ret,
                        struct sl_alert_time now)
{
    uint64_t group_end_ms = first_news_ms(book) + book->rules.group_ms;
    *ret = (struct sl_alert_message){.held_back = book->held_back};
    if (allowed_ms(book) > group_end_ms && now.ms > group_end_ms)
        ret->waited_ms = now.ms - group_end_ms;
    take_change(book, SL_ALERT_IS_RAISED, ret, now.ms);
    take_change(book, SL_ALERT_STILL_RAISED, ret, now.ms);
    take_change(book, SL_ALERT_IS_OVER, ret, now.ms);
    book->held_back = 0;
    book->sent_ms[book->sent_count++ % SL_ALERT_PER_HOUR_MAX] = now.ms;
    tidy(book, now.ms);
}

/* Another notice came while the message was sent. It waits as if somebody had seen this one. */
static void tell_sooner(struct sl_alert *alert, const struct sl_alert_line *line, uint64_t at_ms)
{
    alert->untold += line->earlier + 1;
    if (at_ms < alert->tell_ms)
        alert->tell_ms = at_ms;
}

/* Puts back what a line said, unless something newer is known. */
static void put_back(struct sl_alert_book *book, const struct sl_alert_line *line, uint64_t at_ms)
{
    struct sl_alert *alert = sl_alert_find(book, line->kind, line->subject, line->title);
    if (!alert && !line->over_wall_ms)
        return; /* forgotten: nobody would tell of its end */
    if (!alert)
        alert = sl_alert_find_or_make(book, line->kind, line->subject, line->title);
    if (alert->raised_wall_ms && alert->raised_wall_ms != line->raised_wall_ms) {
        tell_sooner(alert, line, at_ms);
        return;
    }
    alert->untold += line->earlier;
    if (line->change != SL_ALERT_IS_OVER && (sl_alert_is_up(alert) || line->news)) {
        alert->tell_ms = at_ms;
        alert->told = !line->news;
    }
    if (!alert->raised_wall_ms) {
        alert->raised_wall_ms = line->raised_wall_ms;
        sl_alert_put_words(alert, line->title, line->text);
    }
    if (line->over_wall_ms && !sl_alert_is_up(alert)) {
        alert->over_wall_ms = line->over_wall_ms;
        alert->tell_over_ms = at_ms;
    }
    alert->ever_told = alert->told;
}

void sl_alert_book_failed(struct sl_alert_book *book, const struct sl_alert_message *message,
                          uint64_t again_ms, struct sl_alert_time now)
{
    for (size_t i = 0; i < message->count; i++)
        put_back(book, &message->lines[i], now.ms + again_ms);
    book->held_back += message->held_back;
    if (book->sent_count)
        book->sent_count--; /* it does not count: none was sent */
}

void sl_alert_message_done(struct sl_alert_message *message)
{
    for (size_t i = 0; i < message->count; i++) {
        free(message->lines[i].subject);
        free(message->lines[i].title);
        free(message->lines[i].text);
    }
    free(message->lines);
    *message = (struct sl_alert_message){0};
}
