#include "ops/alert_text.h"

#include <string.h>

#include "base/clock.h"

static size_t count_of(const struct sl_alert_message *message, enum sl_alert_change change)
{
    size_t count = 0;
    for (size_t i = 0; i < message->count; i++)
        count += message->lines[i].change == change;
    return count;
}

/* --- for people --- */

static const char *const headings[] = {[SL_ALERT_IS_RAISED] = "Raised",
                                       [SL_ALERT_STILL_RAISED] = "Still raised",
                                       [SL_ALERT_IS_OVER] = "Over"};

static void add_count(struct sl_buf *buf, const struct sl_alert_message *message,
                      enum sl_alert_change change, const char *word, const char **comma)
{
    size_t count = count_of(message, change);
    if (!count)
        return;
    sl_buf_printf(buf, "%s%zu %s", *comma, count, word);
    *comma = ", ";
}

void sl_alert_subject(struct sl_buf *buf, const struct sl_alert_message *message)
{
    static const char *const ends[] = {[SL_ALERT_IS_RAISED] = "",
                                       [SL_ALERT_STILL_RAISED] = ", still",
                                       [SL_ALERT_IS_OVER] = ", over"};
    const char *comma = "";
    sl_buf_add_text(buf, "sluice: ");
    if (message->count == 1) {
        const struct sl_alert_line *line = message->lines;
        bool over = line->change == SL_ALERT_IS_RAISED && line->over_wall_ms;
        sl_buf_printf(buf, "%s (%s)%s", line->title, line->subject,
                      over ? ", and over" : ends[line->change]);
        return;
    }
    add_count(buf, message, SL_ALERT_IS_RAISED, "raised", &comma);
    add_count(buf, message, SL_ALERT_STILL_RAISED, "still raised", &comma);
    add_count(buf, message, SL_ALERT_IS_OVER, "over", &comma);
}

/* "2026-11-22 03:10:00 UTC": seconds are enough. */
static void add_time(struct sl_buf *buf, int64_t wall_ms)
{
    char iso[SL_ISO_BYTES];
    sl_iso_format(wall_ms, iso);
    sl_buf_printf(buf, "%.10s %.8s UTC", iso, iso + 11);
}

static void add_line(struct sl_buf *buf, const struct sl_alert_line *line)
{
    sl_buf_printf(buf, "  %s: %s (%s, since ", line->subject, line->title,
                  sl_alert_kind_name(line->kind));
    add_time(buf, line->raised_wall_ms);
    if (line->over_wall_ms) {
        sl_buf_add_text(buf, ", over since ");
        add_time(buf, line->over_wall_ms);
    }
    sl_buf_add_text(buf, ")\n");
    if (line->change != SL_ALERT_IS_OVER && line->text[0])
        sl_buf_printf(buf, "  %s\n", line->text);
    if (line->earlier)
        sl_buf_printf(buf, "  No message has told %u earlier one%s like it; the log has %s.\n",
                      line->earlier, line->earlier == 1 ? "" : "s",
                      line->earlier == 1 ? "it" : "them");
    sl_buf_add_char(buf, '\n');
}

static void add_section(struct sl_buf *buf, const struct sl_alert_message *message,
                        enum sl_alert_change change)
{
    if (!count_of(message, change))
        return;
    sl_buf_printf(buf, "%s:\n\n", headings[change]);
    for (size_t i = 0; i < message->count; i++)
        if (message->lines[i].change == change)
            add_line(buf, &message->lines[i]);
}

static void add_held_back(struct sl_buf *buf, const struct sl_alert_message *message)
{
    if (message->held_back)
        sl_buf_printf(buf, "%u repetition%s since the last message %s held back; the log has %s.\n",
                      message->held_back, message->held_back == 1 ? "" : "s",
                      message->held_back == 1 ? "was" : "were",
                      message->held_back == 1 ? "it" : "them");
    if (message->waited_ms)
        sl_buf_printf(buf, "This message waited %llu min, because of alerts.max_per_hour.\n",
                      (unsigned long long)(message->waited_ms + 59999) / 60000);
}

void sl_alert_text(struct sl_buf *buf, const struct sl_alert_message *message,
                   const struct sl_alert_sender *sender)
{
    add_section(buf, message, SL_ALERT_IS_RAISED);
    add_section(buf, message, SL_ALERT_STILL_RAISED);
    add_section(buf, message, SL_ALERT_IS_OVER);
    add_held_back(buf, message);
    sl_buf_printf(buf, "-- \nsluice %s, role %s, on %s, process %d\n", sender->version,
                  sender->role, sender->host, sender->pid);
}

/* --- for programs --- */

static void add_member(struct sl_buf *buf, const char *name, const char *value)
{
    sl_buf_printf(buf, "\"%s\":", name);
    sl_buf_add_json_text(buf, value);
    sl_buf_add_char(buf, ',');
}

static void add_when(struct sl_buf *buf, const char *name, int64_t wall_ms)
{
    char iso[SL_ISO_BYTES];
    sl_iso_format(wall_ms, iso);
    if (wall_ms)
        sl_buf_printf(buf, "\"%s\":\"%s\"", name, iso);
    else
        sl_buf_printf(buf, "\"%s\":null", name);
}

static void add_alert(struct sl_buf *buf, const struct sl_alert_line *line)
{
    static const char *const words[] = {[SL_ALERT_IS_RAISED] = "raised",
                                        [SL_ALERT_STILL_RAISED] = "still_raised",
                                        [SL_ALERT_IS_OVER] = "over"};
    sl_buf_add_char(buf, '{');
    add_member(buf, "kind", sl_alert_kind_name(line->kind));
    add_member(buf, "subject", line->subject);
    add_member(buf, "change", words[line->change]);
    add_member(buf, "title", line->title);
    add_member(buf, "text", line->text);
    sl_buf_printf(buf, "\"earlier\":%u,", line->earlier);
    add_when(buf, "since", line->raised_wall_ms);
    sl_buf_add_char(buf, ',');
    add_when(buf, "until", line->over_wall_ms);
    sl_buf_add_char(buf, '}');
}

/* Subject and text. */
static void add_all(struct sl_buf *text, const struct sl_alert_message *message,
                    const struct sl_alert_sender *sender)
{
    sl_alert_subject(text, message);
    sl_buf_add_text(text, "\n\n");
    sl_alert_text(text, message, sender);
}

static void add_full(struct sl_buf *buf, const struct sl_alert_message *message,
                     const struct sl_alert_sender *sender)
{
    sl_buf_add_text(buf, ",\"sender\":{");
    add_member(buf, "version", sender->version);
    add_member(buf, "role", sender->role);
    add_member(buf, "host", sender->host);
    sl_buf_printf(buf, "\"pid\":%d},\"held_back\":%u,\"alerts\":[", sender->pid,
                  message->held_back);
    for (size_t i = 0; i < message->count; i++) {
        if (i)
            sl_buf_add_char(buf, ',');
        add_alert(buf, &message->lines[i]);
    }
    sl_buf_add_char(buf, ']');
}

/* A block for each line, since a card runs lines of one block together. */
static void add_card(struct sl_buf *buf, char *text)
{
    char *rest = text;
    bool first = true;
    sl_buf_add_text(buf, "{\"type\":\"message\",\"attachments\":[{\"contentType\":"
                         "\"application/vnd.microsoft.card.adaptive\",\"content\":{"
                         "\"type\":\"AdaptiveCard\",\"version\":\"1.4\",\"body\":[");
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        if (!*line)
            continue;
        sl_buf_add_text(buf, first ? "" : ",");
        sl_buf_add_text(buf, "{\"type\":\"TextBlock\",\"wrap\":true,");
        sl_buf_add_text(buf, first ? "\"weight\":\"Bolder\",\"text\":" : "\"text\":");
        sl_buf_add_json_text(buf, line);
        sl_buf_add_char(buf, '}');
        first = false;
    }
    sl_buf_add_text(buf, "]}}]}");
}

void sl_alert_json(struct sl_buf *buf, const struct sl_alert_message *message,
                   const struct sl_alert_sender *sender, enum sl_alert_body body)
{
    struct sl_buf text;
    sl_buf_init(&text);
    add_all(&text, message, sender);
    if (body == SL_ALERT_BODY_TEAMS) {
        add_card(buf, text.data);
    } else {
        sl_buf_add_text(buf, "{\"text\":");
        sl_buf_add_json_text(buf, text.data);
        if (body == SL_ALERT_BODY_FULL)
            add_full(buf, message, sender);
        sl_buf_add_char(buf, '}');
    }
    sl_buf_done(&text);
}
