#include "base/log.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"

static enum sl_level least = SL_INFO;
static enum sl_log_form chosen = SL_LOG_AUTO;

const char *const sl_level_names[] = {"debug", "info", "warn", "error", NULL};

void sl_log_setup(enum sl_level level, enum sl_log_form form)
{
    least = level;
    chosen = form;
}

const char *sl_log_text(const char *text)
{
    return text ? text : "";
}

static void as_json(struct sl_buf *line, enum sl_level level, const char *message,
                    const struct sl_field *fields)
{
    char now[SL_ISO_BYTES];
    sl_iso_format(sl_wall_ms(), now);
    sl_buf_printf(line, "{\"ts\":\"%s\",\"level\":\"%s\",\"msg\":", now, sl_level_names[level]);
    sl_buf_add_json_text(line, message);
    for (; fields->name; fields++) {
        sl_buf_printf(line, ",\"%s\":", fields->name);
        if (fields->text)
            sl_buf_add_json_text(line, fields->text);
        else
            sl_buf_printf(line, "%lld", (long long)fields->number);
    }
    sl_buf_add_text(line, "}\n");
}

static void as_text(struct sl_buf *line, enum sl_level level, const char *message,
                    const struct sl_field *fields)
{
    static const char *const colors[] = {"\033[2m", "", "\033[33m", "\033[31m"};
    char now[SL_ISO_BYTES];
    sl_iso_format(sl_wall_ms(), now);
    sl_buf_printf(line, "%.12s %s%-5s %s\033[0m", now + 11, colors[level], sl_level_names[level],
                  message);
    for (; fields->name; fields++) {
        sl_buf_printf(line, "  \033[2m%s=\033[0m", fields->name);
        if (!fields->text)
            sl_buf_printf(line, "%lld", (long long)fields->number);
        else
            sl_buf_add_json(line, fields->text, sl_str_of(fields->text).length);
    }
    sl_buf_add_char(line, '\n');
}

static void form(struct sl_buf *line, bool readable, enum sl_level level, const char *message,
                 const struct sl_field *fields)
{
    if (readable)
        as_text(line, level, message, fields);
    else
        as_json(line, level, message, fields);
}

/* Whoever reads the log may stand still, and would stop the loop once the pipe is full. */
static bool would_block(void)
{
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) == 0;
}

void sl_log_write(enum sl_level level, const char *message, const struct sl_field *fields)
{
    static int terminal = -1;
    static uint64_t dropped;
    if (level < least)
        return;
    if (would_block()) {
        dropped++;
        return;
    }
    if (terminal < 0)
        terminal = isatty(STDERR_FILENO);

    struct sl_buf line;
    sl_buf_init(&line);
    bool readable = chosen == SL_LOG_TEXT || (chosen == SL_LOG_AUTO && terminal);
    if (dropped)
        form(&line, readable, SL_WARN, "lines of the log are lost: nobody read it",
             (const struct sl_field[]){SL_N("lines", dropped), {0}});
    dropped = 0;
    form(&line, readable, level, message, fields);
    /* One write a line, so that lines of several processes do not mix. */
    ssize_t written = write(STDERR_FILENO, line.data, line.length);
    (void)written; /* a log that cannot be written has nowhere to complain */
    sl_buf_done(&line);
}
