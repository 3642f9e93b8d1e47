/* A text that grows, and the writing of JSON into it. */
#include "sim/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void die_without_memory(void)
{
    fputs("sluice-sim: out of memory\n", stderr);
    abort();
}

void *sim_alloc(size_t size)
{
    void *memory = calloc(1, size ? size : 1);
    if (!memory)
        die_without_memory();
    return memory;
}

void *sim_realloc(void *old, size_t size)
{
    void *memory = realloc(old, size ? size : 1);
    if (!memory)
        die_without_memory();
    return memory;
}

void sim_text_reserve(struct sim_text *text, size_t more)
{
    size_t needed = text->len + more + 1;
    if (needed <= text->cap)
        return;
    size_t cap = text->cap ? text->cap * 2 : 256;
    while (cap < needed)
        cap *= 2;
    text->data = sim_realloc(text->data, cap);
    text->cap = cap;
}

void sim_text_add(struct sim_text *text, const char *bytes, size_t len)
{
    sim_text_reserve(text, len);
    if (len)
        memcpy(text->data + text->len, bytes, len);
    text->len += len;
    text->data[text->len] = '\0';
}

void sim_text_puts(struct sim_text *text, const char *string)
{
    sim_text_add(text, string, strlen(string));
}

void sim_text_printf(struct sim_text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len > 0) {
        sim_text_reserve(text, (size_t)len);
        vsnprintf(text->data + text->len, (size_t)len + 1, format, again);
        text->len += (size_t)len;
    }
    va_end(again);
}

static bool is_plain(char c)
{
    return (unsigned char)c >= 0x20 && c != '"' && c != '\\';
}

static void add_escape(struct sim_text *text, char c)
{
    static const char hex[] = "0123456789abcdef";
    if (c == '"' || c == '\\') {
        sim_text_char(text, '\\');
        sim_text_char(text, c);
    } else if (c == '\n') {
        sim_text_add(text, "\\n", 2);
    } else if (c == '\r') {
        sim_text_add(text, "\\r", 2);
    } else if (c == '\t') {
        sim_text_add(text, "\\t", 2);
    } else {
        char escape[6] = {'\\', 'u', '0', '0', hex[(c >> 4) & 15], hex[c & 15]};
        sim_text_add(text, escape, sizeof(escape));
    }
}

void sim_text_json(struct sim_text *text, const char *bytes, size_t len)
{
    sim_text_reserve(text, len + 2);
    sim_text_char(text, '"');
    for (size_t i = 0; i < len;) {
        size_t span = 0;
        while (i + span < len && is_plain(bytes[i + span]))
            span++;
        sim_text_add(text, bytes + i, span);
        i += span;
        if (i < len)
            add_escape(text, bytes[i++]);
    }
    sim_text_char(text, '"');
}

void sim_text_name(struct sim_text *text, const char *name)
{
    if (text->len) {
        char before = text->data[text->len - 1];
        if (before != '{' && before != '[' && before != ',')
            sim_text_char(text, ',');
    }
    sim_text_json(text, name, strlen(name));
    sim_text_char(text, ':');
}

void sim_text_member(struct sim_text *text, const char *name, const char *value)
{
    sim_text_name(text, name);
    sim_text_json(text, value, strlen(value));
}

void sim_text_number(struct sim_text *text, const char *name, int64_t value)
{
    sim_text_name(text, name);
    sim_text_printf(text, "%" PRId64, value);
}

void sim_text_bool(struct sim_text *text, const char *name, bool value)
{
    sim_text_name(text, name);
    sim_text_puts(text, value ? "true" : "false");
}

void sim_text_xml(struct sim_text *text, const char *string)
{
    for (const char *c = string; *c; c++) {
        if (*c == '&')
            sim_text_puts(text, "&amp;");
        else if (*c == '<')
            sim_text_puts(text, "&lt;");
        else if (*c == '>')
            sim_text_puts(text, "&gt;");
        else if (*c == '"')
            sim_text_puts(text, "&quot;");
        else if (*c == '\'')
            sim_text_puts(text, "&apos;");
        else
            sim_text_char(text, *c);
    }
}

void sim_text_done(struct sim_text *text)
{
    free(text->data);
    *text = (struct sim_text){0};
}

void sim_copy(char *to, size_t size, const char *from)
{
    size_t len = strlen(from);
    if (len >= size)
        len = size - 1;
    memcpy(to, from, len);
    to[len] = '\0';
}
