#include "config/nearest.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { WORD_MAX = 63 };

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static int fold(char c)
{
    return tolower((unsigned char)c);
}

unsigned sl_edit_distance(const char *a, const char *b, unsigned limit)
{
    size_t a_length = strlen(a), b_length = strlen(b);
    if (a_length > WORD_MAX || b_length > WORD_MAX)
        return strcasecmp(a, b) == 0 ? 0 : limit + 1;

    /* rows[i % 3][j]: the distance between the first i letters of a and the first j of b */
    unsigned rows[3][WORD_MAX + 1];
    for (size_t j = 0; j <= b_length; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a_length; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i - 1) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_length; j++) {
            unsigned changed = above[j - 1] + (fold(a[i - 1]) != fold(b[j - 1]));
            row[j] = least(changed, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) &&
                fold(a[i - 2]) == fold(b[j - 1]))
                row[j] = least(row[j], above2[j - 2] + 1);
        }
    }
    return least(rows[a_length % 3][b_length], limit + 1);
}

void sl_nearest_init(struct sl_nearest *nearest, const char *word)
{
    /* A third of the letters may be wrong: more is a different word. */
    unsigned allowed = (unsigned)(strlen(word) + 2) / 3;
    *nearest = (struct sl_nearest){word, NULL, allowed + 1};
}

void sl_nearest_offer(struct sl_nearest *nearest, const char *candidate)
{
    unsigned distance = sl_edit_distance(nearest->word, candidate, nearest->distance);
    if (distance >= nearest->distance)
        return;
    nearest->best = candidate;
    nearest->distance = distance;
}

char *sl_nearest_hint(const struct sl_nearest *nearest, char *out, size_t size)
{
    if (nearest->best)
        snprintf(out, size, ": did you mean \"%s\"?", nearest->best);
    else
        out[0] = '\0';
    return out;
}
