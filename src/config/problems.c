#include "config/problems.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

void sl_problems_init(struct sl_problems *problems)
{
    *problems = (struct sl_problems){0};
}

void sl_problems_done(struct sl_problems *problems)
{
    for (unsigned i = 0; i < problems->count; i++)
        free(problems->item[i].text);
    free(problems->file);
    sl_problems_init(problems);
}

static bool known(const struct sl_problems *problems, unsigned line, unsigned column,
                  const char *text)
{
    for (unsigned i = 0; i < problems->count; i++) {
        const struct sl_problem *item = &problems->item[i];
        if (item->line == line && item->column == column && !strcmp(item->text, text))
            return true;
    }
    return false;
}

static void add(struct sl_problems *problems, bool warning, unsigned line, unsigned column,
                const char *format, va_list args) __attribute__((format(printf, 5, 0)));

static void add(struct sl_problems *problems, bool warning, unsigned line, unsigned column,
                const char *format, va_list args)
{
    char text[512];
    vsnprintf(text, sizeof text, format, args);
    sl_text_clean(text);
    if (known(problems, line, column, text))
        return;
    problems->errors += !warning;
    if (problems->count == SL_PROBLEMS_MAX) {
        problems->dropped++;
        return;
    }
    problems->item[problems->count++] = (struct sl_problem){line, column, warning, sl_strdup(text)};
}

void sl_problem_error(struct sl_problems *problems, unsigned line, unsigned column,
                      const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(problems, false, line, column, format, args);
    va_end(args);
}

void sl_problem_warning(struct sl_problems *problems, unsigned line, unsigned column,
                        const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(problems, true, line, column, format, args);
    va_end(args);
}

static bool stands_before(const struct sl_problem *a, const struct sl_problem *b)
{
    return a->line != b->line ? a->line < b->line : a->column < b->column;
}

void sl_problems_sort(struct sl_problems *problems)
{
    struct sl_problem *item = problems->item;
    for (unsigned i = 1; i < problems->count; i++) {
        struct sl_problem moved = item[i];
        unsigned j = i;
        for (; j > 0 && stands_before(&moved, &item[j - 1]); j--)
            item[j] = item[j - 1];
        item[j] = moved;
    }
}

void sl_problems_print(const struct sl_problems *problems, FILE *out)
{
    for (unsigned i = 0; i < problems->count; i++) {
        const struct sl_problem *item = &problems->item[i];
        fprintf(out, "%s:", problems->file ? problems->file : "configuration");
        if (item->line)
            fprintf(out, "%u:%u:", item->line, item->column);
        fprintf(out, " %s%s\n", item->warning ? "warning: " : "", item->text);
    }
    if (problems->dropped)
        fprintf(out, "%s: and %u more\n", problems->file ? problems->file : "configuration",
                problems->dropped);
}
