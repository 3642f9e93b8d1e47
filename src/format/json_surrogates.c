#include "format/json_surrogates.h"

#include <string.h>

enum { PAIR = SL_JSON_SURROGATES_BYTES, HALF = 6 };

/* What judge finds instead of bytes that may pass as they are. */
enum { LONE = -1, CUT = 0 };

static const struct sl_str second_half = {"\\udc00", HALF};

/* Whether the byte could stand there in a pair; whether digits are some is yajl's affair. */
static bool fits(size_t place, char c)
{
    static const char *const choices[PAIR] = {
        "\\", "u", "dD", "89abAB", NULL, NULL, "\\", "u", "dD", "cdefCDEF",
    };
    return !choices[place] || (c && strchr(choices[place], c));
}

/* From a backslash on: LONE: half a pair; CUT: what it is cannot be told yet; else how many bytes
 * are well. */
static int judge(const char *at, size_t size)
{
    size_t fit = 0;
    while (fit < PAIR && fit < size && fits(fit, at[fit]))
        fit++;
    if (fit == PAIR)
        return PAIR;
    if (fit == size)
        return CUT;
    return fit >= HALF ? LONE : (int)fit + 1;
}

static struct sl_str cut_off(struct sl_str *bytes, size_t size)
{
    struct sl_str front = {bytes->at, size};
    *bytes = (struct sl_str){bytes->at + size, bytes->length - size};
    return front;
}

/* The piece that begins with what is held. */
static bool next_held(struct sl_json_surrogates *s, struct sl_str *bytes, struct sl_str *ret_piece)
{
    int found;
    while ((found = judge(s->held, s->held_bytes)) == CUT) {
        if (!bytes->length)
            return false;
        s->held[s->held_bytes++] = *cut_off(bytes, 1).at;
    }
    if (found == LONE) { /* what made it one may be the beginning of another */
        s->held_bytes -= HALF;
        memmove(s->held, s->held + HALF, s->held_bytes);
        *ret_piece = second_half;
        return true;
    }
    *ret_piece = (struct sl_str){s->held, s->held_bytes};
    s->held_bytes = 0;
    return true;
}

bool sl_json_surrogates_next(struct sl_json_surrogates *surrogates, struct sl_str *bytes,
                             struct sl_str *ret_piece)
{
    if (surrogates->held_bytes)
        return next_held(surrogates, bytes, ret_piece);
    if (!bytes->length)
        return false;
    const char *at = bytes->at, *end = at + bytes->length;
    int found = PAIR;
    while ((at = memchr(at, '\\', (size_t)(end - at))) &&
           (found = judge(at, (size_t)(end - at))) > CUT)
        at += found;
    size_t before = (size_t)((at ? at : end) - bytes->at);
    if (!before && found == LONE) {
        cut_off(bytes, HALF);
        *ret_piece = second_half;
        return true;
    }
    *ret_piece = cut_off(bytes, before);
    if (at && found == CUT) {
        surrogates->held_bytes = bytes->length;
        memcpy(surrogates->held, cut_off(bytes, bytes->length).at, surrogates->held_bytes);
    }
    return before > 0;
}

struct sl_str sl_json_surrogates_rest(const struct sl_json_surrogates *surrogates)
{
    return (struct sl_str){surrogates->held, surrogates->held_bytes};
}
