/* The JSON tree: yajl finds the tokens, this file builds nodes from its events and knows their
 * places. yajl tells only where a token ends; where it begins follows from the end of the token
 * before, by stepping over blanks, commas, colons and comments. */
#include "format/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "base/mem.h"
#include "format/json_own.h"
#include "format/json_repeated.h"
#include "format/json_surrogates.h"
#include "format/yajl_memory.h"

enum { MAX_BYTES = 64 * 1024 * 1024 };

struct parse {
    struct sl_json_doc *doc;
    const char *name; /* for messages; may be NULL */
    bool comments;
    const char *const *skip;
    uint32_t skipping; /* 1: the value to come is skipped; n + 1: so is all until n are closed */
    const char *text;
    size_t size;
    yajl_handle yajl;
    size_t piece;               /* where in text the piece begins that yajl reads */
    size_t end;                 /* where the last token ended */
    bool finishing;             /* yajl's offsets no longer refer to text */
    size_t place_offset;        /* what place says is true of this offset */
    struct sl_json_place place; /* of the token last located */
    struct sl_json *open[SL_JSON_DEPTH_MAX];
    struct sl_json *last[SL_JSON_DEPTH_MAX]; /* the newest child of each */
    uint32_t depth;
    struct sl_str key;
    struct sl_json_place key_at;
    struct sl_err *err;
    bool failed; /* err is set already */
};

static size_t skip_comment(const char *text, size_t size, size_t at)
{
    const char *end;
    if (text[at + 1] == '/') {
        end = memchr(text + at, '\n', size - at);
        return end ? (size_t)(end - text) : size;
    }
    end = memmem(text + at + 2, size - at - 2, "*/", 2);
    return end ? (size_t)(end - text) + 2 : size;
}

/* Where the next token begins, punctuation stepped over when asked. */
static size_t token_start(const struct parse *p, size_t at, bool punctuation)
{
    while (at < p->size) {
        char c = p->text[at];
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r' ||
            (punctuation && (c == ',' || c == ':')))
            at++;
        else if (p->comments && c == '/' && at + 1 < p->size &&
                 (p->text[at + 1] == '/' || p->text[at + 1] == '*'))
            at = skip_comment(p->text, p->size, at);
        else
            break;
    }
    return at;
}

/* Moves place forward to offset; lines end at LF, columns count characters, not bytes. */
static struct sl_json_place locate(struct parse *p, size_t offset)
{
    for (; p->place_offset < offset; p->place_offset++) {
        unsigned char c = (unsigned char)p->text[p->place_offset];
        if (c == '\n') {
            p->place.line++;
            p->place.column = 1;
        } else if ((c & 0xc0) != 0x80) {
            p->place.column++;
        }
    }
    return p->place;
}

static int fail_at(struct parse *p, struct sl_json_place at, const char *text)
{
    p->failed = true;
    return sl_err_set(p->err, SL_REJECTED, "%s%s%u:%u: %s", p->name ? p->name : "",
                      p->name ? ":" : "", at.line, at.column, text);
}

/* How much of the text yajl has consumed. */
static size_t consumed_bytes(const struct parse *p)
{
    return p->finishing ? p->size : p->piece + yajl_get_bytes_consumed(p->yajl);
}

static int fail_utf8(struct parse *p, struct sl_json_place at, const char *what, const void *text,
                     size_t length)
{
    char why[80];
    snprintf(why, sizeof why, "this %s %s", what, sl_utf8_fault(text, length));
    return fail_at(p, at, why);
}

/* The place of the token whose event has just come; moves on past it. */
static struct sl_json_place next_token(struct parse *p)
{
    struct sl_json_place at = locate(p, token_start(p, p->end, true));
    p->end = consumed_bytes(p);
    return at;
}

static struct sl_json *add_node(struct parse *p, enum sl_json_kind kind)
{
    struct sl_json *node = sl_arena_alloc(&p->doc->arena, sizeof *node);
    *node = (struct sl_json){
        .kind = kind, .at = next_token(p), .key = p->key, .text = {"", 0}
    };
    node->key_at = p->key.length || p->key_at.line ? p->key_at : node->at;
    p->key = (struct sl_str){"", 0};
    p->key_at = (struct sl_json_place){0, 0};

    if (!p->depth) {
        p->doc->root = node;
        return node;
    }
    struct sl_json *parent = p->open[p->depth - 1];
    if (p->last[p->depth - 1])
        p->last[p->depth - 1]->next = node;
    else
        parent->first = node;
    p->last[p->depth - 1] = node;
    parent->count++;
    return node;
}

static bool set_text(struct parse *p, struct sl_json *node, const void *text, size_t length)
{
    if (node->kind == SL_JSON_TEXT && !sl_utf8_valid(text, length)) {
        fail_utf8(p, node->at, "text", text, length);
        return false;
    }
    node->text = (struct sl_str){sl_arena_text(&p->doc->arena, text, length), length};
    return true;
}

/* Whether the token belongs to a value that is skipped. */
static bool skips(struct parse *p)
{
    if (!p->skipping)
        return false;
    next_token(p);
    if (p->skipping == 1) /* it is the value itself */
        p->skipping = 0;
    return true;
}

bool sl_json_skipped(const char *const *skip, struct sl_str key)
{
    for (; skip && *skip; skip++)
        if (sl_str_is(key, *skip))
            return true;
    return false;
}

static int on_null(void *ctx)
{
    if (!skips(ctx))
        add_node(ctx, SL_JSON_NULL);
    return 1;
}

static int on_bool(void *ctx, int truth)
{
    if (skips(ctx))
        return 1;
    add_node(ctx, SL_JSON_BOOL)->truth = truth != 0;
    return 1;
}

static int on_number(void *ctx, const char *text, size_t length)
{
    return skips(ctx) || set_text(ctx, add_node(ctx, SL_JSON_NUMBER), text, length);
}

static int on_text(void *ctx, const unsigned char *text, size_t length)
{
    return skips(ctx) || set_text(ctx, add_node(ctx, SL_JSON_TEXT), text, length);
}

static int too_deep(struct parse *p, struct sl_json_place at)
{
    fail_at(p, at, "nested too deep (64 levels at most)");
    return 0;
}

static int open_node(struct parse *p, enum sl_json_kind kind)
{
    if (p->skipping) {
        struct sl_json_place at = next_token(p);
        return p->depth + p->skipping++ > SL_JSON_DEPTH_MAX ? too_deep(p, at) : 1;
    }
    struct sl_json *node = add_node(p, kind);
    if (p->depth == SL_JSON_DEPTH_MAX)
        return too_deep(p, node->at);
    p->open[p->depth] = node;
    p->last[p->depth++] = NULL;
    return 1;
}

static int on_map(void *ctx)
{
    return open_node(ctx, SL_JSON_MAP);
}

static int on_list(void *ctx)
{
    return open_node(ctx, SL_JSON_LIST);
}

static int on_key(void *ctx, const unsigned char *text, size_t length)
{
    struct parse *p = ctx;
    struct sl_json_place at = next_token(p);
    if (p->skipping)
        return 1;
    if (!sl_utf8_valid((const char *)text, length)) {
        fail_utf8(p, at, "key", text, length);
        return 0;
    }
    p->skipping = sl_json_skipped(p->skip, (struct sl_str){(const char *)text, length});
    if (p->skipping)
        return 1;
    p->key_at = at;
    p->key.at = sl_arena_text(&p->doc->arena, (const char *)text, length);
    p->key.length = length;
    return 1;
}

static int on_end(void *ctx)
{
    struct parse *p = ctx;
    next_token(p);
    if (p->skipping) {
        if (--p->skipping == 1)
            p->skipping = 0;
        return 1;
    }
    const struct sl_json *node = p->open[--p->depth];
    if (node->kind != SL_JSON_MAP || node->count < 2)
        return 1;
    const struct sl_json *twice = sl_json_repeated(node);
    if (!twice)
        return 1;
    char text[96];
    snprintf(text, sizeof text, "the key \"%.40s\" appears twice in this object", twice->key.at);
    fail_at(p, twice->key_at, text);
    return 0;
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_bool,
    .yajl_number = on_number,
    .yajl_string = on_text,
    .yajl_start_map = on_map,
    .yajl_map_key = on_key,
    .yajl_end_map = on_end,
    .yajl_start_array = on_list,
    .yajl_end_array = on_end,
};

/* What yajl 2.1 says (its own words are part of its interface), and what to tell a person. */
static const struct {
    const char *theirs, *ours;
} texts[] = {
    {"invalid object key",       "expected a key in double quotes, or }"                   },
    {"separated by a colon",     "expected ':' after the key"                              },
    {"I expect ',' or '}'",      "expected ',' or '}' after the value"                     },
    {"I expect ',' or ']'",      "expected ',' or ']' after the value"                     },
    {"trailing garbage",         "expected the end of the text after the value"            },
    {"unallowed token",          "expected a value (text, number, object, array, "
                        "true, false or null)"                      },
    {"comments are not enabled", "expected a value; comments are not allowed here"         },
    {"comment found",            "expected a value; comments are not allowed here"         },
    {"may not",                  "a text has a '\\' before a character that needs none"    },
    {"invalid character inside", "a text holds a control character (write \\n, \\t …)"   },
    {"non-hex",                  "expected four hexadecimal digits after \\u"              },
    {"after the exponent",       "expected a digit after the exponent"                     },
    {"after the decimal point",  "expected a digit after the decimal point"                },
    {"after the minus",          "expected a digit after the minus sign"                   },
    {"invalid char in json",     "expected a value, a key in double quotes, or punctuation"},
    {"invalid string in json",   "expected a value (unquoted text is none)"                },
};

/* Where yajl stopped: the token it did not want, or the character inside one. */
static size_t error_offset(struct parse *p, bool premature)
{
    if (premature)
        return p->size;
    size_t consumed = consumed_bytes(p);
    size_t at = token_start(p, p->end, false);
    while (at < p->size && at + 1 < consumed && (p->text[at] == ',' || p->text[at] == ':'))
        at = token_start(p, at + 1, false);
    return at > p->size ? p->size : at;
}

/* A closing bracket behind a comma: what editors let pass in JSON with comments. *offset moves to
 * the comma. */
static bool is_last_comma(const struct parse *p, size_t *offset)
{
    size_t comma = token_start(p, p->end, false);
    char behind = *offset < p->size ? p->text[*offset] : '\0';
    bool is = comma < *offset && p->text[comma] == ',' && (behind == '}' || behind == ']') &&
              token_start(p, comma + 1, false) == *offset;
    if (is)
        *offset = comma;
    return is;
}

static int fail_yajl(struct parse *p)
{
    if (p->failed)
        return SL_REJECTED;
    unsigned char *theirs = yajl_get_error(p->yajl, 0, NULL, 0);
    const char *ours = theirs ? (const char *)theirs : "no valid JSON";
    size_t start = token_start(p, p->end, true);
    bool open_text = p->finishing && start < p->size && p->text[start] == '"';
    bool premature = open_text || (theirs && strstr((const char *)theirs, "premature EOF"));

    for (size_t i = 0; theirs && i < sizeof texts / sizeof *texts; i++)
        if (strstr((const char *)theirs, texts[i].theirs)) {
            ours = texts[i].ours;
            break;
        }
    if (premature)
        ours = p->depth || open_text ? "the text ends inside an object, an array or a text"
                                     : "no value here";
    size_t offset = error_offset(p, premature);
    if (!premature && is_last_comma(p, &offset))
        ours = "nothing follows this comma: take it away";
    int rc = fail_at(p, locate(p, offset), ours);
    if (theirs)
        yajl_free_error(p->yajl, theirs);
    return rc;
}

static bool feed(struct parse *p, struct sl_str bytes)
{
    if (yajl_parse(p->yajl, (const unsigned char *)bytes.at, bytes.length) != yajl_status_ok)
        return false;
    p->piece += bytes.length;
    return true;
}

static int run(struct parse *p)
{
    struct sl_json_surrogates surrogates = {0};
    struct sl_str piece;
    size_t skip = p->size >= 3 && !memcmp(p->text, "\xef\xbb\xbf", 3) ? 3 : 0;
    p->text += skip;
    p->size -= skip;
    struct sl_str left = {p->text, p->size};
    while (sl_json_surrogates_next(&surrogates, &left, &piece))
        if (!feed(p, piece))
            return fail_yajl(p);
    if (!feed(p, sl_json_surrogates_rest(&surrogates)))
        return fail_yajl(p);
    p->finishing = true;
    if (!feed(p, sl_str_of("\n")) || yajl_complete_parse(p->yajl) != yajl_status_ok)
        return fail_yajl(p);
    return SL_OK;
}

struct sl_json_doc *sl_json_doc_new(size_t size)
{
    struct sl_json_doc *doc = SL_NEW(struct sl_json_doc);
    sl_arena_init(&doc->arena, size < 4096 ? 4096 : 65536);
    return doc;
}

int sl_json_parse(const char *text, size_t size, const struct sl_json_options *options,
                  struct sl_json_doc **ret_doc, struct sl_err *err)
{
    struct parse p = {.text = text, .size = size, .err = err};
    p.name = options ? options->name : NULL;
    p.comments = options && options->comments;
    p.skip = options ? options->skip : NULL;
    p.place = (struct sl_json_place){1, 1};
    p.key = (struct sl_str){"", 0};
    size_t most = options && options->max_bytes ? options->max_bytes : MAX_BYTES;
    if (size > most)
        return sl_err_set(err, SL_REJECTED, "JSON of %zu bytes, but only %zu are accepted", size,
                          most);

    p.doc = sl_json_doc_new(size);
    p.yajl = yajl_alloc(&callbacks, sl_yajl_memory(), &p);
    yajl_config(p.yajl, yajl_allow_comments, p.comments);
    yajl_config(p.yajl, yajl_dont_validate_strings, 1); /* done here, more strictly */
    int rc = run(&p);
    yajl_free(p.yajl);
    if (rc != SL_OK) {
        sl_json_free(p.doc);
        return rc;
    }
    *ret_doc = p.doc;
    return SL_OK;
}

void sl_json_free(struct sl_json_doc *doc)
{
    if (!doc)
        return;
    sl_arena_done(&doc->arena);
    free(doc);
}

const struct sl_json *sl_json_root(const struct sl_json_doc *doc)
{
    return doc->root;
}
