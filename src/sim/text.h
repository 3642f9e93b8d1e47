/* A text that grows, and the writing of JSON into it.
 * Memory that runs out ends the simulator: it has nothing better to do. */
#ifndef SIM_TEXT_H
#define SIM_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct sim_text {
    char *data; /* always followed by a NUL once anything was added */
    size_t len;
    size_t cap;
};

/* calloc and realloc that never fail. The caller frees. */
void *sim_alloc(size_t size);
void *sim_realloc(void *old, size_t size);

/* Makes room for more bytes behind the text and its NUL. */
void sim_text_reserve(struct sim_text *text, size_t more);

void sim_text_add(struct sim_text *text, const char *bytes, size_t len);
void sim_text_puts(struct sim_text *text, const char *string);
void sim_text_printf(struct sim_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Adds bytes as a JSON string with its quotes. The bytes are UTF-8. */
void sim_text_json(struct sim_text *text, const char *bytes, size_t len);

/* Adds `"name":`, after a comma when something precedes it in the object. */
void sim_text_name(struct sim_text *text, const char *name);

/* Adds `"name":"value"`, `"name":number`, `"name":true`, with the comma. */
void sim_text_member(struct sim_text *text, const char *name, const char *value);
void sim_text_number(struct sim_text *text, const char *name, int64_t value);
void sim_text_bool(struct sim_text *text, const char *name, bool value);

/* Adds string with the five characters of XML escaped. */
void sim_text_xml(struct sim_text *text, const char *string);

/* Frees the bytes; the text is empty and may be used again. */
void sim_text_done(struct sim_text *text);

/* Copies a string into an array of size bytes, cut where it is too long. */
void sim_copy(char *to, size_t size, const char *from);

static inline void sim_text_clear(struct sim_text *text)
{
    text->len = 0;
}

static inline void sim_text_char(struct sim_text *text, char c)
{
    if (text->len + 1 >= text->cap)
        sim_text_reserve(text, 1);
    text->data[text->len++] = c;
    text->data[text->len] = '\0';
}

#endif
