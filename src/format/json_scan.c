/* The states are what may come next:
 *
 *     VALUE ──scalar──► AFTER ──,──► VALUE (in an array) or KEY (in an object)
 *       │ [ ► FIRST_VALUE (or ])       ▲
 *       │ { ► FIRST_KEY (or }) ─key:─► VALUE
 */
#include "format/json_scan.h"

#include <string.h>

#include "format/json_plain.h"

enum { VALUE, FIRST_VALUE, KEY, FIRST_KEY, AFTER };

void sl_json_scan_init(struct sl_json_scan *scan, struct sl_str text)
{
    *scan = (struct sl_json_scan){.at = text.at, .end = text.at + text.length, .expects = VALUE};
}

void sl_json_scan_done(struct sl_json_scan *scan)
{
    sl_buf_done(&scan->decoded);
}

/* --- texts --- */

static bool read_hex(const char *at, const char *end, unsigned *ret)
{
    unsigned value = 0;
    if (end - at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)at[i], lower = c | 0x20;
        if (c >= '0' && c <= '9')
            value = value << 4 | (unsigned)(c - '0');
        else if (lower >= 'a' && lower <= 'f')
            value = value << 4 | (unsigned)(lower - 'a' + 10);
        else
            return false;
    }
    *ret = value;
    return true;
}

static void add_utf8(struct sl_buf *out, unsigned c)
{
    char *at = sl_buf_reserve(out, 4);
    size_t size = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char heads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = size - 1; i; i--, c >>= 6)
        at[i] = (char)(0x80 | (c & 0x3f));
    at[0] = (char)(heads[size] | c);
    sl_buf_commit(out, size);
}

/* \u, at its first digit: returns where it ends, both halves of a surrogate pair read. */
static const char *take_digits(struct sl_json_scan *s, const char *at)
{
    unsigned c, low;
    if (!read_hex(at, s->end, &c))
        return NULL;
    at += 4;
    if (s->mute)
        return at;
    if (c >= 0xd800 && c < 0xe000) {
        if (c >= 0xdc00 || s->end - at < 6 || at[0] != '\\' || at[1] != 'u' ||
            !read_hex(at + 2, s->end, &low) || low < 0xdc00 || low >= 0xe000)
            return NULL;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        at += 6;
    }
    add_utf8(&s->decoded, c);
    return at;
}

/* Behind a backslash. */
static const char *take_escape(struct sl_json_scan *s, const char *at)
{
    static const char stands_for[128] = {
        ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
        ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t',
    };
    unsigned char c = at < s->end ? (unsigned char)*at : 0;
    if (c == 'u')
        return take_digits(s, at + 1);
    if (c >= sizeof stands_for || !stands_for[c])
        return NULL;
    if (!s->mute)
        sl_buf_add_char(&s->decoded, stands_for[c]);
    return at + 1;
}

/* A text that is not plain from its beginning to its end; at is where it stops to be. Returns where
 * the closing quote is. */
static const char *take_escaped(struct sl_json_scan *s, const char *begin, const char *at,
                                uint64_t *seen)
{
    sl_buf_clear(&s->decoded);
    while (at < s->end && *at == '\\') {
        if (!s->mute)
            sl_buf_add(&s->decoded, begin, (size_t)(at - begin));
        begin = at = take_escape(s, at + 1);
        if (!at)
            return NULL;
        at += sl_json_plain_run(at, (size_t)(s->end - at), seen);
    }
    if (!s->mute)
        sl_buf_add(&s->decoded, begin, (size_t)(at - begin));
    s->text = sl_buf_view(&s->decoded);
    return at;
}

/* Behind the opening quote: returns behind the closing one, or NULL. */
static const char *take_text(struct sl_json_scan *s, const char *begin)
{
    uint64_t seen = 0;
    const char *at = begin + sl_json_plain_run(begin, (size_t)(s->end - begin), &seen);
    if (at < s->end && *at == '"')
        s->text = (struct sl_str){begin, (size_t)(at - begin)};
    else
        at = take_escaped(s, begin, at, &seen);
    if (!at || at == s->end || *at != '"')
        return NULL;
    /* What \u stands for is valid, and cannot make anything valid that is not. */
    if (!s->mute && (seen & SL_JSON_TOPS) && !sl_utf8_valid(begin, (size_t)(at - begin)))
        return NULL;
    return at + 1;
}

/* --- numbers and words --- */

static const char *digits(const char *at, const char *end)
{
    const char *begin = at;
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at > begin ? at : NULL;
}

static const char *take_number(struct sl_json_scan *s, const char *begin)
{
    const char *at = begin + (*begin == '-');
    at = at < s->end && *at == '0' ? at + 1 : digits(at, s->end);
    if (at && at < s->end && *at == '.')
        at = digits(at + 1, s->end);
    if (at && at < s->end && (*at | 0x20) == 'e') {
        at++;
        if (at < s->end && (*at == '+' || *at == '-'))
            at++;
        at = digits(at, s->end);
    }
    if (at)
        s->text = (struct sl_str){begin, (size_t)(at - begin)};
    return at;
}

static const char *take_word(struct sl_json_scan *s, const char *at, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(s->end - at) < length || memcmp(at, word, length) != 0)
        return NULL;
    s->text = (struct sl_str){word, length};
    return at + length;
}

/* --- structure --- */

static const char *blanks(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    return at;
}

static int fault(struct sl_json_scan *s)
{
    s->at = s->end;
    s->expects = VALUE; /* which will never come */
    return SL_REJECTED;
}

static int give(struct sl_json_scan *s, enum sl_json_event event, const char *at, int expects)
{
    if (!at)
        return fault(s);
    s->event = event;
    s->at = at;
    s->expects = expects;
    return SL_OK;
}

static int open_level(struct sl_json_scan *s, bool list, const char *at)
{
    if (s->depth == SL_JSON_DEPTH_MAX)
        return fault(s);
    uint64_t bit = UINT64_C(1) << s->depth++;
    s->lists = list ? s->lists | bit : s->lists & ~bit;
    s->text = (struct sl_str){"", 0};
    return list ? give(s, SL_JSON_ON_LIST, at + 1, FIRST_VALUE)
                : give(s, SL_JSON_ON_MAP, at + 1, FIRST_KEY);
}

static bool in_list(const struct sl_json_scan *s)
{
    return s->lists >> (s->depth - 1) & 1;
}

static int close_level(struct sl_json_scan *s, const char *at)
{
    bool list = in_list(s);
    if (*at != (list ? ']' : '}'))
        return fault(s);
    s->depth--;
    s->text = (struct sl_str){"", 0};
    return give(s, list ? SL_JSON_ON_LIST_END : SL_JSON_ON_MAP_END, at + 1, AFTER);
}

static int take_value(struct sl_json_scan *s, const char *at)
{
    switch (*at) {
    case '"':
        return give(s, SL_JSON_ON_TEXT, take_text(s, at + 1), AFTER);
    case '{':
        return open_level(s, false, at);
    case '[':
        return open_level(s, true, at);
    case 't':
        return give(s, SL_JSON_ON_BOOL, take_word(s, at, "true"), AFTER);
    case 'f':
        return give(s, SL_JSON_ON_BOOL, take_word(s, at, "false"), AFTER);
    case 'n':
        at = take_word(s, at, "null");
        s->text.length = 0;
        return give(s, SL_JSON_ON_NULL, at, AFTER);
    default:
        return give(s, SL_JSON_ON_NUMBER, take_number(s, at), AFTER);
    }
}

static int take_key(struct sl_json_scan *s, const char *at)
{
    at = at < s->end && *at == '"' ? take_text(s, at + 1) : NULL;
    if (at)
        at = blanks(at, s->end);
    return give(s, SL_JSON_ON_KEY, at && at < s->end && *at == ':' ? at + 1 : NULL, VALUE);
}

int sl_json_scan_next(struct sl_json_scan *scan)
{
    const char *at = blanks(scan->at, scan->end);
    if (at == scan->end)
        return scan->expects == AFTER && !scan->depth ? SL_END : fault(scan);
    if (scan->expects == AFTER) {
        if (!scan->depth)
            return fault(scan);
        if (*at != ',')
            return close_level(scan, at);
        at = blanks(at + 1, scan->end);
        scan->expects = in_list(scan) ? VALUE : KEY;
        if (at == scan->end)
            return fault(scan);
    }
    if ((scan->expects == FIRST_VALUE && *at == ']') || (scan->expects == FIRST_KEY && *at == '}'))
        return close_level(scan, at);
    if (scan->expects == KEY || scan->expects == FIRST_KEY)
        return take_key(scan, at);
    return take_value(scan, at);
}

int sl_json_scan_skip(struct sl_json_scan *scan)
{
    unsigned depth = scan->depth;
    int rc;
    scan->mute = true;
    do
        rc = sl_json_scan_next(scan);
    while (rc == SL_OK && scan->depth > depth);
    scan->mute = false;
    return rc == SL_END ? SL_REJECTED : rc;
}
