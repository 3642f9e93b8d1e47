#include "cli/letter_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/letter_row.h"
#include "flow/dead_code.h"

enum { LABEL_WIDTH = 9 };

/* --- a letter's parts --- */

void sl_letter_id(const struct sl_letter *letter, struct sl_buf *out)
{
    sl_letter_name_format(&letter->name, out);
}

static char *id_of(const struct sl_letter *letter)
{
    struct sl_buf id;
    sl_buf_init(&id);
    sl_letter_id(letter, &id);
    return sl_buf_take(&id);
}

static char *id_of_message(const struct sl_unreadable *message)
{
    struct sl_buf id;
    sl_buf_init(&id);
    sl_buf_printf(&id, SL_UNREADABLE_ID "%016" PRIx64, message->hash);
    return sl_buf_take(&id);
}

static const char *why_of_message(const struct sl_unreadable *message)
{
    return *message->why ? message->why
                         : "it can be read, but the applier had no place for its feed and entity";
}

/* "column 'Count': 'many' is no int: …" without the word that the row has there. */
char *sl_letter_masked_reason(const char *reason)
{
    static const char before[] = "': '", after[] = "' is no ";
    const char *from = strstr(reason, before), *to = NULL;
    for (const char *at = from; at && (at = strstr(at, after)); at++)
        to = at; /* the last one: the value may hold such words, too */
    struct sl_buf out;
    sl_buf_init(&out);
    if (strncmp(reason, "column '", 8) != 0 || !from || !to || to < from + sizeof before - 1) {
        sl_buf_add_text(&out, reason);
    } else {
        sl_buf_add(&out, reason, (size_t)(from - reason) + 3);
        sl_buf_add_text(&out, "a value is no ");
        sl_buf_add_text(&out, to + sizeof after - 1);
    }
    return sl_buf_take(&out);
}

/* --- the list --- */

void sl_letter_line_done(struct sl_letter_line *line)
{
    free(line->id);
    free(line->code);
    free(line->feed);
    free(line->reason);
}

static char *clean(const char *text)
{
    char *copy = sl_strdup(text);
    sl_text_clean(copy);
    return copy;
}

void sl_letter_line_of(const struct sl_letter *letter, struct sl_letter_line *ret)
{
    *ret = (struct sl_letter_line){.id = id_of(letter),
                                   .code = clean(letter->code),
                                   .feed = clean(letter->feed),
                                   .reason = sl_letter_masked_reason(letter->reason),
                                   .at_ms = letter->at_ms};
    sl_text_clean(ret->reason);
}

void sl_letter_line_of_message(const struct sl_unreadable *message, struct sl_letter_line *ret)
{
    *ret = (struct sl_letter_line){.id = id_of_message(message),
                                   .code = sl_strdup(SL_UNREADABLE_CODE),
                                   .feed = clean(message->feed),
                                   .reason = clean(why_of_message(message)),
                                   .at_ms = message->published_at_ms};
}

static void time_text(int64_t at_ms, char out[SL_ISO_BYTES])
{
    snprintf(out, SL_ISO_BYTES, "-");
    if (at_ms)
        sl_iso_format(at_ms, out);
}

static int widest(const struct sl_letter_line *lines, size_t count, size_t offset, int width)
{
    for (size_t i = 0; i < count; i++) {
        char *text;
        memcpy(&text, (const char *)&lines[i] + offset, sizeof text);
        if ((int)strlen(text) > width)
            width = (int)strlen(text);
    }
    return width;
}

void sl_letter_lines_print(const struct sl_letter_line *lines, size_t count, FILE *out)
{
    int id = widest(lines, count, offsetof(struct sl_letter_line, id), 2);
    int code = widest(lines, count, offsetof(struct sl_letter_line, code), 4);
    int feed = widest(lines, count, offsetof(struct sl_letter_line, feed), 4);
    if (count)
        fprintf(out, "%-*s  %-*s  %-*s  %-24s  %s\n", id, "ID", code, "CODE", feed, "FEED", "AT",
                "REASON");
    for (size_t i = 0; i < count; i++) {
        char at[SL_ISO_BYTES];
        time_text(lines[i].at_ms, at);
        fprintf(out, "%-*s  %-*s  %-*s  %-24s  %s\n", id, lines[i].id, code, lines[i].code, feed,
                lines[i].feed, at, lines[i].reason);
    }
}

/* --- JSON --- */

static void json_text(struct sl_buf *out, const char *name, struct sl_str text)
{
    sl_buf_printf(out, ",\"%s\":\"", name);
    sl_buf_add_json(out, text.at, text.length);
    sl_buf_add_char(out, '"');
}

static void json_time(struct sl_buf *out, const char *name, int64_t at_ms)
{
    char text[SL_ISO_BYTES];
    if (!at_ms)
        return;
    sl_iso_format(at_ms, text);
    sl_buf_printf(out, ",\"%s\":\"%s\"", name, text);
}

static void json_head(struct sl_buf *out, char *id, const char *code, const char *feed,
                      const char *entity, char *reason)
{
    sl_buf_add_text(out, "{\"id\":");
    sl_buf_add_json_text(out, id);
    json_text(out, "code", sl_str_of(code));
    json_text(out, "feed", sl_str_of(feed));
    json_text(out, "entity", sl_str_of(entity));
    json_text(out, "reason", sl_str_of(reason));
    free(id);
    free(reason);
}

static void print_line(struct sl_buf *line, FILE *out)
{
    sl_buf_add_text(line, "}\n");
    fwrite(line->data, 1, line->length, out);
    sl_buf_done(line);
}

static char *reason_of(const struct sl_letter *letter, bool reveal)
{
    return reveal ? sl_strdup(letter->reason) : sl_letter_masked_reason(letter->reason);
}

void sl_letter_json(const struct sl_letter *letter, bool whole, bool reveal, FILE *out)
{
    const struct sl_dead_code *code = sl_dead_code_find(letter->code);
    struct sl_buf line;
    sl_buf_init(&line);
    json_head(&line, id_of(letter), letter->code, letter->feed, letter->entity,
              reason_of(letter, reveal));
    json_text(&line, "run", letter->name.run);
    json_text(&line, "key", letter->key);
    if (*letter->file)
        json_text(&line, "file", sl_str_of(letter->file));
    if (letter->line)
        sl_buf_printf(&line, ",\"line\":%u", letter->line);
    json_time(&line, "at", letter->at_ms);
    json_time(&line, "read_at", letter->read_at_ms);
    json_time(&line, "changed_at", letter->changed_at_ms);
    if (letter->versioned)
        sl_buf_printf(&line, ",\"op\":\"%s\",\"v\":%" PRId64,
                      letter->op == SL_DELETE ? "delete" : "upsert", letter->version);
    if (*letter->replay)
        json_text(&line, "replay", sl_str_of(letter->replay));
    if (whole && code)
        json_text(&line, "advice", sl_str_of(code->advice));
    if (whole)
        sl_letter_row_json(letter, reveal, &line);
    print_line(&line, out);
}

void sl_letter_json_of_message(const struct sl_unreadable *message, bool whole, bool reveal,
                               FILE *out)
{
    struct sl_buf line;
    sl_buf_init(&line);
    json_head(&line, id_of_message(message), SL_UNREADABLE_CODE, message->feed, message->entity,
              sl_strdup(why_of_message(message)));
    json_text(&line, "routing_key", sl_str_of(message->routing_key));
    json_text(&line, "message_id", sl_str_of(message->message_id));
    json_text(&line, "content_type", sl_str_of(message->content_type));
    sl_buf_printf(&line, ",\"bytes\":%zu", message->size);
    if (message->batch)
        sl_buf_printf(&line, ",\"rows\":%u", message->batch->count);
    json_time(&line, "at", message->published_at_ms);
    if (whole && reveal)
        json_text(&line, "body", message->body);
    print_line(&line, out);
}

/* --- one --- */

static void label(const char *name, FILE *out)
{
    fprintf(out, "%-*s ", LABEL_WIDTH, name);
}

static void show_text(const char *name, const char *text, FILE *out)
{
    char *shown = clean(text);
    label(name, out);
    fprintf(out, "%s\n", shown);
    free(shown);
}

static void show_taken(const char *name, char *text, FILE *out)
{
    show_text(name, text, out);
    free(text);
}

static void show_time(const char *name, int64_t at_ms, FILE *out)
{
    char text[SL_ISO_BYTES];
    if (!at_ms)
        return;
    sl_iso_format(at_ms, text);
    show_text(name, text, out);
}

static void show_code(const char *code, FILE *out)
{
    const struct sl_dead_code *known = sl_dead_code_find(code);
    label("code", out);
    fprintf(out, "%s%s%s\n", code, known ? ": " : "", known ? known->meaning : "");
    if (known)
        show_text("to do", known->advice, out);
}

void sl_letter_show(const struct sl_letter *letter, bool reveal, FILE *out)
{
    show_taken("id", id_of(letter), out);
    show_code(letter->code, out);
    show_taken("reason", reason_of(letter, reveal), out);
    show_text("feed", letter->feed, out);
    show_text("entity", letter->entity, out);
    show_taken("run", sl_strndup(letter->name.run.at, letter->name.run.length), out);
    if (letter->key.length)
        show_taken("key", sl_strndup(letter->key.at, letter->key.length), out);
    if (*letter->file) {
        show_text("file", letter->file, out);
        label("line", out);
        fprintf(out, "%u\n", letter->line);
    }
    show_time("at", letter->at_ms, out);
    show_time("read", letter->read_at_ms, out);
    show_time("changed", letter->changed_at_ms, out);
    if (letter->versioned) {
        label("change", out);
        fprintf(out, "%s, version %" PRId64 "\n", letter->op == SL_DELETE ? "delete" : "upsert",
                letter->version);
    }
    if (*letter->replay)
        show_text("replayed", letter->replay, out);
    sl_letter_row_show(letter, reveal, out);
}

void sl_letter_show_message(const struct sl_unreadable *message, bool publishable, bool reveal,
                            FILE *out)
{
    show_taken("id", id_of_message(message), out);
    show_code(SL_UNREADABLE_CODE, out);
    show_text("reason", why_of_message(message), out);
    show_text("feed", message->feed, out);
    show_text("entity", message->entity, out);
    show_text("route", message->routing_key, out);
    show_text("message", message->message_id, out);
    show_text("type", message->content_type, out);
    show_time("published", message->published_at_ms, out);
    label("body", out);
    fprintf(out, "%zu bytes", message->size);
    if (message->batch)
        fprintf(out, ", %u rows", message->batch->count);
    fputs(reveal ? ":\n" : " (--reveal shows them)\n", out);
    if (reveal) {
        char *body = sl_strndup(message->body.at, message->body.length);
        sl_text_clean(body);
        fprintf(out, "%s\n", body);
        free(body);
    }
    if (!publishable)
        show_text("note",
                  sl_unreadable_is_large(message)
                      ? "it cannot be replayed before broker.max_message is raised"
                      : "it cannot be replayed: sluice could not read it again either",
                  out);
}

void sl_letter_codes(bool json, FILE *out)
{
    for (const struct sl_dead_code *one = sl_dead_codes; one->code; one++) {
        if (!json) {
            fprintf(out, "%-16s %s\n%-16s found by the %s; to do: %s\n", one->code, one->meaning,
                    "", one->by, one->advice);
            continue;
        }
        struct sl_buf line;
        sl_buf_init(&line);
        sl_buf_add_text(&line, "{\"code\":");
        sl_buf_add_json_text(&line, one->code);
        json_text(&line, "meaning", sl_str_of(one->meaning));
        json_text(&line, "by", sl_str_of(one->by));
        json_text(&line, "advice", sl_str_of(one->advice));
        print_line(&line, out);
    }
}
