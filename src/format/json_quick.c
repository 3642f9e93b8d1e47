/* The JSON tree from a scan: no places, no complaints. */
#include "base/mem.h"
#include "format/json_own.h"
#include "format/json_repeated.h"
#include "format/json_scan.h"

struct build {
    struct sl_json_doc *doc;
    const char *const *skip;
    struct sl_json_scan scan;
    struct sl_json *open[SL_JSON_DEPTH_MAX];
    struct sl_json *last[SL_JSON_DEPTH_MAX]; /* the newest child of each */
    unsigned depth;
    struct sl_str key;
};

static struct sl_str keep(struct build *b)
{
    struct sl_str text = b->scan.text;
    return (struct sl_str){sl_arena_text(&b->doc->arena, text.at, text.length), text.length};
}

static struct sl_json *add_node(struct build *b, enum sl_json_kind kind)
{
    struct sl_json *node = sl_arena_alloc(&b->doc->arena, sizeof *node);
    *node = (struct sl_json){
        .kind = kind, .key = b->key, .text = {"", 0}
    };
    b->key = (struct sl_str){"", 0};
    if (!b->depth) {
        b->doc->root = node;
        return node;
    }
    struct sl_json *parent = b->open[b->depth - 1], *last = b->last[b->depth - 1];
    if (last)
        last->next = node;
    else
        parent->first = node;
    b->last[b->depth - 1] = node;
    parent->count++;
    return node;
}

static int open_level(struct build *b, enum sl_json_kind kind)
{
    struct sl_json *node = add_node(b, kind);
    b->open[b->depth] = node;
    b->last[b->depth++] = NULL;
    return SL_OK;
}

static int close_level(struct build *b)
{
    const struct sl_json *node = b->open[--b->depth];
    bool twice = node->kind == SL_JSON_MAP && node->count > 1 && sl_json_repeated(node);
    return twice ? SL_REJECTED : SL_OK;
}

static int take(struct build *b)
{
    switch (b->scan.event) {
    case SL_JSON_ON_KEY:
        if (sl_json_skipped(b->skip, b->scan.text))
            return sl_json_scan_skip(&b->scan);
        b->key = keep(b);
        return SL_OK;
    case SL_JSON_ON_MAP:
        return open_level(b, SL_JSON_MAP);
    case SL_JSON_ON_LIST:
        return open_level(b, SL_JSON_LIST);
    case SL_JSON_ON_MAP_END:
    case SL_JSON_ON_LIST_END:
        return close_level(b);
    case SL_JSON_ON_NULL:
        add_node(b, SL_JSON_NULL);
        return SL_OK;
    case SL_JSON_ON_BOOL:
        add_node(b, SL_JSON_BOOL)->truth = b->scan.text.at[0] == 't';
        return SL_OK;
    case SL_JSON_ON_NUMBER:
        add_node(b, SL_JSON_NUMBER)->text = keep(b);
        return SL_OK;
    case SL_JSON_ON_TEXT:
        add_node(b, SL_JSON_TEXT)->text = keep(b);
        return SL_OK;
    }
    return SL_REJECTED;
}

int sl_json_parse_quick(struct sl_str text, const char *const *skip, struct sl_json_doc **ret_doc)
{
    struct build b = {
        .doc = sl_json_doc_new(text.length), .skip = skip, .key = {"", 0}
    };
    int rc;
    sl_json_scan_init(&b.scan, text);
    while ((rc = sl_json_scan_next(&b.scan)) == SL_OK && (rc = take(&b)) == SL_OK)
        ;
    sl_json_scan_done(&b.scan);
    if (rc != SL_END) {
        sl_json_free(b.doc);
        return SL_REJECTED;
    }
    *ret_doc = b.doc;
    return SL_OK;
}
