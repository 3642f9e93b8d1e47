/* JSON of API replies and of the configuration: every node is in place, of bounded depth, its keys
 * unique and its texts UTF-8. */
#include "format/encoding.h"
#include "format/json.h"

#include "fuzz.h"

static bool places = true;

static unsigned walk(const struct sl_json *node, unsigned depth)
{
    unsigned count = 0, nodes = 1;
    int64_t number;
    FUZZ_REQUIRE(!places == !node->at.line && !places == !node->at.column);
    FUZZ_REQUIRE(depth <= SL_JSON_DEPTH_MAX);
    FUZZ_REQUIRE(*sl_json_kind_name(node->kind));
    if (node->kind == SL_JSON_TEXT || node->kind == SL_JSON_NUMBER) {
        FUZZ_REQUIRE(node->text.at[node->text.length] == '\0');
        FUZZ_REQUIRE(sl_utf8_valid(node->text.at, node->text.length));
        sl_json_text(node);
        sl_json_int(node, &number);
    }
    for (const struct sl_json *child = node->first; child; child = child->next, count++) {
        if (node->kind == SL_JSON_MAP && !memchr(child->key.at, 0, child->key.length))
            FUZZ_REQUIRE(sl_json_get(node, child->key.at) == child);
        nodes += walk(child, depth + 1);
    }
    FUZZ_REQUIRE(count == node->count);
    return nodes;
}

static void require_same(const struct sl_json *a, const struct sl_json *b)
{
    FUZZ_REQUIRE(a->kind == b->kind && a->truth == b->truth && a->count == b->count);
    FUZZ_REQUIRE(sl_str_equal(a->key, b->key) && sl_str_equal(a->text, b->text));
    for (a = a->first, b = b->first; a; a = a->next, b = b->next)
        require_same(a, b);
}

/* What can be read quickly reads the same with places. */
static void read_quickly(struct sl_str text, const char *const *skip)
{
    const struct sl_json_options options = {.skip = skip};
    struct sl_json_doc *quick, *placed;
    if (sl_json_parse_quick(text, skip, &quick) != SL_OK)
        return;
    FUZZ_REQUIRE(sl_json_parse(text.at, text.length, &options, &placed, NULL) == SL_OK);
    require_same(sl_json_root(quick), sl_json_root(placed));
    places = false;
    walk(sl_json_root(quick), 0);
    places = true;
    sl_json_free(quick);
    sl_json_free(placed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    uint8_t choice = fuzz_byte(&input);
    static const char *const skip[] = {"skip", "s", NULL};
    struct sl_json_options options = {.name = choice & 2 ? "file.jsonc" : NULL,
                                      .comments = choice & 1,
                                      .max_bytes = choice & 4 ? 1000 : 0,
                                      .skip = choice & 8 ? skip : NULL};
    struct sl_json_doc *doc;
    struct sl_err err = {0};
    read_quickly((struct sl_str){(const char *)input.at, input.left}, options.skip);
    int rc = sl_json_parse((const char *)input.at, input.left, &options, &doc, &err);
    if (rc != SL_OK) {
        FUZZ_REQUIRE(rc == SL_REJECTED && *err.message);
        return 0;
    }
    FUZZ_REQUIRE(walk(sl_json_root(doc), 0) <= input.left);
    if (choice & 32)
        sl_json_free_secret(doc);
    else
        sl_json_free(doc);
    return 0;
}
