/* Dead letters against a real server: written, found, counted, removed only as they were read. */
#include "store/opened.h"

enum { LETTERS = 150, PAGE = 64 };

static const struct sl_origin origin = {.feed = "vendors",
                                        .entity = "VendorsV3",
                                        .run = "vendors-000042",
                                        .attempt = 2,
                                        .number = 9,
                                        .read_at_ms = 1795317000120};

static struct sl_dead raw_row(uint64_t number)
{
    return (struct sl_dead){.code = number % 3 ? "untypable" : "empty_key",
                            .reason = sl_str_of("why"),
                            .file = "Vendors.csv",
                            .line = (uint32_t)number + 1,
                            .row_number = number,
                            .row = sl_str_of("a,\"b\"\r\n"),
                            .header = sl_str_of("A,B"),
                            .versioned = true,
                            .version = (int64_t)number};
}

static void put(struct sl_state *state, const struct sl_dead *dead)
{
    struct sl_err err = {0};
    EXPECT_OK(state->type->dead_put(state, &origin, dead, 1, &err), &err);
}

/* --- finding --- */

static void walk(struct sl_state *state, const struct sl_letter_filter *filter, unsigned expected)
{
    struct sl_err err = {0};
    struct sl_letter page[PAGE];
    struct sl_letter_query query = {.filter = filter, .max = PAGE};
    struct sl_arena arena;
    unsigned seen = 0, count = 1;
    sl_arena_init(&arena, 4096);
    while (count) {
        EXPECT_OK(state->type->letters_find(state, &query, &arena, page, &count, &err), &err);
        for (unsigned i = 0; i < count; i++) {
            const struct sl_letter *letter = &page[i];
            EXPECT(letter->form == SL_ROW_RAW && !letter->cut && letter->versioned);
            EXPECT(sl_str_is(letter->row, "a,\"b\"\r\n") && sl_str_is(letter->header, "A,B"));
            EXPECT(sl_str_is(letter->name.run, origin.run) && !letter->name.key.length);
            EXPECT_INT(letter->name.row_number, letter->version);
            EXPECT_INT(letter->read_at_ms, origin.read_at_ms);
        }
        seen += count;
        if (count)
            query.after = page[count - 1].id;
    }
    EXPECT_INT(seen, expected);
    sl_arena_done(&arena);
}

static void do_find(struct sl_mongo *mongo)
{
    struct sl_err err = {0};
    struct sl_state *state = open_store(mongo);
    struct sl_letter_count counts[SL_LETTER_CODES_MAX];
    unsigned count = 0;
    const struct sl_letter_filter all = {0};
    for (uint64_t number = 1; number <= LETTERS; number++) {
        struct sl_dead dead = raw_row(number);
        put(state, &dead);
    }
    walk(state, &all, LETTERS);
    walk(state, &(struct sl_letter_filter){.feed = "vendors", .run = origin.run}, LETTERS);
    walk(state, &(struct sl_letter_filter){.code = "empty_key"}, LETTERS / 3);
    walk(state, &(struct sl_letter_filter){.entity = "Other"}, 0);
    walk(state, &(struct sl_letter_filter){.until_ms = 1795317000120}, 0);
    const struct sl_letter_name name = {
        .run = sl_str_of(origin.run), .entity = sl_str_of(origin.entity), .row_number = 7};
    walk(state, &(struct sl_letter_filter){.name = &name}, 1);
    EXPECT_OK(state->type->letters_count(state, &all, counts, &count, &err), &err);
    EXPECT_INT(count, 2);
    EXPECT(!strcmp(counts[0].code, "untypable") && counts[0].letters == LETTERS * 2 / 3);
    state->type->close(state);
}

static void test_find(void **state)
{
    (void)state;
    live(do_find);
}

/* --- one key, several versions --- */

static void do_newest(struct sl_mongo *mongo)
{
    static const struct {
        int64_t version, wanted; /* kept afterwards */
    } rows[] = {
        {5, 5},
        {3, 5},
        {5, 5},
        {7, 7},
        {6, 7},
    };
    const struct sl_letter_query two = {.filter = &(struct sl_letter_filter){0}, .max = 2};
    struct sl_err err = {0};
    struct sl_state *state = open_store(mongo);
    struct sl_arena arena;
    sl_arena_init(&arena, 4096);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sl_letter letters[2];
        unsigned count = 0;
        bson_t *row = BCON_NEW("rev", BCON_INT64(rows[i].version), "$price", BCON_UTF8("$v"));
        struct sl_dead dead = {
            .code = "refused",
            .id = sl_str_of("a"),
            .row_is_bson = true,
            .row = {(const char *)bson_get_data(row), row->len},
            .versioned = true,
            .version = rows[i].version
        };
        put(state, &dead);
        EXPECT_OK(state->type->letters_find(state, &two, &arena, letters, &count, &err), &err);
        EXPECT_INT(count, 1);
        EXPECT_INT(letters[0].version, rows[i].wanted);
        EXPECT(letters[0].form == SL_ROW_COLUMNS || letters[0].form == SL_ROW_BYTES);
        bson_destroy(row);
    }
    sl_arena_done(&arena);
    state->type->close(state);
}

static void test_newest(void **state)
{
    (void)state;
    live(do_newest);
}

/* --- removing --- */

static void do_remove(struct sl_mongo *mongo)
{
    struct sl_err err = {0};
    struct sl_state *state = open_store(mongo);
    const struct sl_letter_query full = {.filter = &(struct sl_letter_filter){0}, .max = 3};
    const struct sl_letter_query brief = {.filter = full.filter, .brief = true, .max = 3};
    const struct sl_letter_ref was = {.run = "vendors-000001", .row_number = 3, .read_at_ms = 5};
    struct sl_letter letters[3], again[3];
    struct sl_arena arena;
    unsigned count = 0;
    uint64_t removed = 0;
    sl_arena_init(&arena, 4096);
    for (uint64_t number = 1; number <= 2; number++) {
        struct sl_dead dead = raw_row(number);
        put(state, &dead);
    }
    EXPECT_OK(state->type->letters_find(state, &full, &arena, letters, &count, &err), &err);
    EXPECT_INT(count, 2);

    /* The first is written again, by a replay: it is another letter then, with the old name. */
    struct sl_dead dead = raw_row(9);
    struct sl_letter_ref same = {.run = origin.run, .row_number = 1, .read_at_ms = 77};
    dead.letter = &same;
    put(state, &dead);
    EXPECT_OK(state->type->letters_remove(state, letters, count, &removed, &err), &err);
    EXPECT_INT(removed, 1);
    EXPECT_OK(state->type->letters_find(state, &full, &arena, again, &count, &err), &err);
    EXPECT_INT(count, 1);
    EXPECT_INT(again[0].name.row_number, 1);
    EXPECT_INT(again[0].read_at_ms, 77);
    EXPECT(!strcmp(again[0].replay, origin.run));
    EXPECT_OK(state->type->letters_remove(state, again, 1, &removed, &err), &err);
    EXPECT_INT(removed, 1);

    dead.letter = &was; /* the name that it had is its name */
    put(state, &dead);
    EXPECT_OK(state->type->letters_find(state, &brief, &arena, again, &count, &err), &err);
    EXPECT(count == 1 && sl_str_is(again[0].name.run, was.run) && again[0].form == SL_ROW_NONE);
    sl_arena_done(&arena);
    state->type->close(state);
}

static void test_remove(void **state)
{
    (void)state;
    live(do_remove);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_newest),
        cmocka_unit_test(test_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
