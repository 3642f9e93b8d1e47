/* ops/alert_book with a clock of its own: groups, repetitions, rate, conditions, ends. */
#include "ops/alert_book.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE };

static const struct sl_alert_rules usual = {
    .group_ms = 30 * SECOND, .repeat_ms = 4 * HOUR, .max_per_hour = 10};

static struct sl_alert_book *book;
static uint64_t clock_ms;

static struct sl_alert_time now(void)
{
    return (struct sl_alert_time){clock_ms, 1700000000000 + (int64_t)clock_ms};
}

static int begin(void **state)
{
    (void)state;
    clock_ms = 1000 * SECOND;
    book = sl_alert_book_new();
    sl_alert_book_rule(book, &usual);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    sl_alert_book_free(book);
    return 0;
}

static bool raise_titled(enum sl_alert_kind kind, const char *subject, const char *title,
                         const char *text)
{
    return sl_alert_book_raise(book, kind, subject, title, text, now());
}

static bool raise_as(enum sl_alert_kind kind, const char *subject, const char *text)
{
    return raise_titled(kind, subject, "title", text);
}

static bool raise_run(const char *subject, const char *text)
{
    return raise_as(SL_ALERT_RUN_FAILED, subject, text);
}

static bool clear_run(const char *subject)
{
    return sl_alert_book_clear(book, SL_ALERT_RUN_FAILED, subject, now());
}

static enum sl_alert_look look(enum sl_alert_look how)
{
    const struct sl_alert_condition condition = {.kind = SL_ALERT_LAG,
                                                 .subject = "account",
                                                 .look = how,
                                                 .hold_ms = MINUTE,
                                                 .clear_ms = 2 * MINUTE,
                                                 .title = "late",
                                                 .text = "so late"};
    return sl_alert_book_observe(book, &condition, now());
}

/* In how many seconds a message is due; -1: never. */
static int due_s(void)
{
    uint64_t due_ms = sl_alert_book_due(book, false, now());
    if (due_ms == UINT64_MAX)
        return -1;
    return due_ms <= clock_ms ? 0 : (int)((due_ms - clock_ms + SECOND - 1) / SECOND);
}

/* "vendors+ account! customers-(2)": raised, still raised, over, raised and over (*), and how many
 * repetitions were held back. */
static void expect_message(const char *wanted)
{
    static const char signs[] = {
        [SL_ALERT_IS_RAISED] = '+', [SL_ALERT_STILL_RAISED] = '!', [SL_ALERT_IS_OVER] = '-'};
    struct sl_alert_message message;
    char text[400] = "";
    size_t used = 0;
    sl_alert_book_take(book, &message, now());
    for (size_t i = 0; i < message.count; i++) {
        const struct sl_alert_line *line = &message.lines[i];
        bool both = line->change == SL_ALERT_IS_RAISED && line->over_wall_ms;
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s%c", i ? " " : "",
                                 line->subject, both ? '*' : signs[line->change]);
    }
    if (message.held_back)
        snprintf(text + used, sizeof text - used, "(%u)", message.held_back);
    sl_alert_message_done(&message);
    assert_string_equal(text, wanted);
}

/* Time goes on to when the message is due, and it is taken. */
static void expect_due(int seconds, const char *wanted)
{
    assert_int_equal(due_s(), seconds);
    clock_ms += (uint64_t)seconds * SECOND;
    expect_message(wanted);
}

static void test_one_window_is_one_message(void **state)
{
    (void)state;
    assert_int_equal(due_s(), -1);
    assert_true(raise_run("vendors", "one"));
    clock_ms += 20 * SECOND;
    assert_true(raise_run("customers", "one"));
    assert_false(raise_run("customers", "one")); /* no news */
    assert_true(raise_as(SL_ALERT_OPERATOR, "vendors", "another kind"));
    expect_due(10, "vendors+ customers+ vendors+");
    expect_due(4 * HOUR / SECOND + 30, "vendors! customers! vendors!");
}

static void test_the_end_is_told_if_the_beginning_was(void **state)
{
    (void)state;
    raise_run("vendors", "one");
    expect_due(30, "vendors+");
    assert_true(sl_alert_book_is_raised(book, SL_ALERT_RUN_FAILED, "vendors"));
    assert_true(clear_run("vendors"));
    assert_false(clear_run("vendors"));
    assert_false(clear_run("unknown"));
    expect_due(30, "vendors-");
    assert_int_equal(due_s(), -1);

    clock_ms += 5 * HOUR; /* over before it was told: one line says both */
    raise_run("vendors", "two");
    clock_ms += 5 * SECOND;
    clear_run("vendors");
    expect_due(25, "vendors*");
    assert_int_equal(due_s(), -1);
}

static void test_nothing_is_told_twice_within_repeat(void **state)
{
    (void)state;
    raise_run("vendors", "one");
    expect_due(30, "vendors+");
    clock_ms += MINUTE;
    raise_run("vendors", "two"); /* another failure of what is raised: counted */
    assert_int_equal(due_s(), 4 * HOUR / SECOND - 60 + 30);
    clear_run("vendors");
    expect_due(30, "vendors-(1)");

    raise_run("vendors", "three"); /* comes back too soon: held back … */
    assert_int_equal(due_s(), 4 * HOUR / SECOND - 90 + 30);
    clear_run("vendors"); /* … and over before it was told */
    assert_int_equal(due_s(), -1);

    raise_run("vendors", "four"); /* held back, and lasts */
    expect_due(4 * HOUR / SECOND - 90 + 30, "vendors+(2)");
}

static void test_what_comes_back_within_the_window_has_not_ended(void **state)
{
    (void)state;
    raise_run("vendors", "one");
    expect_due(30, "vendors+");
    clear_run("vendors");
    clock_ms += 10 * SECOND;
    raise_run("vendors", "two");
    expect_due(4 * HOUR / SECOND - 10 + 30, "vendors!(1)");
}

static void test_no_more_messages_than_the_rate_allows(void **state)
{
    static const struct sl_alert_rules two = {
        .group_ms = 0, .repeat_ms = 4 * HOUR, .max_per_hour = 2};
    struct sl_alert_message message;
    (void)state;
    sl_alert_book_rule(book, &two);
    raise_run("a", "one");
    expect_due(0, "a+");
    clock_ms += 10 * MINUTE;
    raise_run("b", "one");
    expect_due(0, "b+");
    raise_run("c", "one");
    clock_ms += MINUTE;
    raise_run("d", "one");
    assert_int_equal(due_s(), 49 * 60);
    clock_ms += 49 * MINUTE;
    sl_alert_book_take(book, &message, now());
    assert_int_equal(message.count, 2);
    assert_int_equal(message.waited_ms, 50 * MINUTE);
    sl_alert_message_done(&message);
    raise_run("e", "one");
    expect_due(10 * 60, "e+");
}

static void test_a_notice_ends_by_itself(void **state)
{
    (void)state;
    raise_as(SL_ALERT_NOTICE, "vendors", "run 1");
    expect_due(30, "vendors+");
    assert_int_equal(due_s(), -1); /* not said again … */
    assert_true(sl_alert_book_is_raised(book, SL_ALERT_NOTICE, "vendors"));
    assert_false(raise_as(SL_ALERT_NOTICE, "vendors", "run 1"));
    raise_as(SL_ALERT_NOTICE, "vendors", "run 2"); /* … but another one is, in time */
    expect_due(4 * HOUR / SECOND + 30, "vendors+(1)");
    clock_ms += 5 * HOUR;
    raise_run("other", "one");
    expect_due(30, "other+");
    assert_false(sl_alert_book_is_raised(book, SL_ALERT_NOTICE, "vendors"));
}

/* They are about other rows: none takes another's place, or waits for it. */
static void test_notices_of_one_feed_are_told_each(void **state)
{
    struct sl_alert_message message;
    (void)state;
    raise_titled(SL_ALERT_NOTICE, "visits", "rows read back may be lost", "one");
    raise_titled(SL_ALERT_NOTICE, "visits", "events may be lost", "two");
    raise_titled(SL_ALERT_NOTICE, "visits", "events may be lost", "three");
    assert_int_equal(sl_alert_book_count(book, SL_ALERT_NOTICE), 2);
    clock_ms += 30 * SECOND;
    sl_alert_book_take(book, &message, now());
    assert_int_equal(message.count, 2);
    assert_string_equal(message.lines[0].text, "one");
    assert_string_equal(message.lines[1].text, "three");
    assert_int_equal(message.lines[0].earlier, 0);
    assert_int_equal(message.lines[1].earlier, 1);            /* "two" */
    sl_alert_book_failed(book, &message, 10 * MINUTE, now()); /* and nobody took them */
    sl_alert_message_done(&message);
    expect_due(10 * MINUTE / SECOND + 30, "visits+ visits+");
    raise_titled(SL_ALERT_NOTICE, "visits", "associations may be missing", "four");
    expect_due(30, "visits+");
    /* Of another kind there is one a subject. */
    raise_titled(SL_ALERT_RUN_FAILED, "visits", "run failed", "one");
    raise_titled(SL_ALERT_RUN_FAILED, "visits", "run is late", "two");
    expect_due(30, "visits+");
}

/* It counted as told while it was sent, and then nobody took it. */
static void test_a_notice_that_came_while_a_message_failed_is_told_soon(void **state)
{
    struct sl_alert_message message;
    (void)state;
    raise_as(SL_ALERT_NOTICE, "visits", "one");
    raise_as(SL_ALERT_NOTICE, "visits", "two");
    clock_ms += 30 * SECOND;
    sl_alert_book_take(book, &message, now());
    clock_ms += SECOND; /* it is being sent */
    raise_as(SL_ALERT_NOTICE, "visits", "three");
    sl_alert_book_failed(book, &message, 10 * MINUTE, now());
    sl_alert_message_done(&message);
    assert_int_equal(due_s(), 10 * 60 + 30);
    clock_ms += 10 * MINUTE + 30 * SECOND;
    sl_alert_book_take(book, &message, now());
    assert_int_equal(message.count, 1);
    assert_string_equal(message.lines[0].text, "three");
    assert_int_equal(message.lines[0].earlier, 2);
    sl_alert_message_done(&message);
}

static void test_a_condition_must_last(void **state)
{
    (void)state;
    assert_int_equal(look(SL_ALERT_GOOD), SL_ALERT_UNKNOWN);
    assert_int_equal(look(SL_ALERT_BAD), SL_ALERT_UNKNOWN);
    clock_ms += 59 * SECOND;
    assert_int_equal(look(SL_ALERT_BAD), SL_ALERT_UNKNOWN);
    assert_int_equal(look(SL_ALERT_GOOD), SL_ALERT_UNKNOWN); /* counting begins anew */
    clock_ms += 2 * SECOND;
    assert_int_equal(look(SL_ALERT_BAD), SL_ALERT_UNKNOWN);
    clock_ms += 30 * SECOND;
    assert_int_equal(look(SL_ALERT_UNKNOWN), SL_ALERT_UNKNOWN); /* no news changes nothing */
    clock_ms += 30 * SECOND;
    assert_int_equal(look(SL_ALERT_BAD), SL_ALERT_BAD);
    assert_int_equal(look(SL_ALERT_BAD), SL_ALERT_UNKNOWN);
    assert_int_equal(sl_alert_book_count(book, SL_ALERT_LAG), 1);
    expect_due(30, "account+");
}

static void test_a_condition_does_not_flap(void **state)
{
    (void)state;
    look(SL_ALERT_BAD);
    clock_ms += MINUTE;
    assert_int_equal(look(SL_ALERT_BAD), SL_ALERT_BAD);
    expect_due(30, "account+");
    for (int i = 0; i < 20; i++) { /* well for a moment, ill for a moment */
        clock_ms += 30 * SECOND;
        assert_int_equal(look(i % 2 ? SL_ALERT_BAD : SL_ALERT_GOOD), SL_ALERT_UNKNOWN);
    }
    assert_int_equal(look(SL_ALERT_GOOD), SL_ALERT_UNKNOWN);
    clock_ms += 119 * SECOND;
    assert_int_equal(look(SL_ALERT_GOOD), SL_ALERT_UNKNOWN);
    clock_ms += SECOND;
    assert_int_equal(look(SL_ALERT_GOOD), SL_ALERT_GOOD);
    assert_int_equal(sl_alert_book_count(book, SL_ALERT_LAG), 0);
    expect_due(30, "account-");
}

static void take_and_fail(void)
{
    struct sl_alert_message message;
    sl_alert_book_take(book, &message, now());
    sl_alert_book_failed(book, &message, 10 * MINUTE, now());
    sl_alert_message_done(&message);
}

static void test_what_nobody_took_is_told_again(void **state)
{
    (void)state;
    raise_run("vendors", "one");
    raise_run("customers", "one");
    clock_ms += 30 * SECOND;
    take_and_fail();
    clear_run("customers"); /* while it was not told */
    expect_due(630, "vendors+");

    clear_run("vendors");
    clock_ms += 30 * SECOND;
    take_and_fail();
    expect_due(630, "vendors-");
    assert_int_equal(due_s(), -1);
}

static void test_what_failed_counts_against_no_rate(void **state)
{
    static const struct sl_alert_rules one = {
        .group_ms = 0, .repeat_ms = 4 * HOUR, .max_per_hour = 1};
    (void)state;
    sl_alert_book_rule(book, &one);
    raise_run("vendors", "one");
    take_and_fail();
    expect_due(600, "vendors+");
}

static void test_raised_anew_while_its_message_fails(void **state)
{
    struct sl_alert_message message;
    (void)state;
    raise_run("vendors", "one");
    clock_ms += 30 * SECOND;
    sl_alert_book_take(book, &message, now());
    clear_run("vendors");
    clock_ms += SECOND;
    raise_run("vendors", "two");
    sl_alert_book_failed(book, &message, 10 * MINUTE, now());
    sl_alert_message_done(&message);
    expect_due(630, "vendors+(1)");
}

static bool is_vendors(void *ctx, enum sl_alert_kind kind, const char *subject)
{
    (void)ctx, (void)kind;
    return !strcmp(subject, "vendors");
}

static void test_what_was_forgotten_while_its_message_failed_is_not_told(void **state)
{
    struct sl_alert_message message;
    (void)state;
    raise_run("vendors", "one");
    raise_run("customers", "one");
    clock_ms += 30 * SECOND;
    sl_alert_book_take(book, &message, now());
    sl_alert_book_keep(book, is_vendors, NULL);
    sl_alert_book_failed(book, &message, 10 * MINUTE, now());
    sl_alert_message_done(&message);
    expect_due(630, "vendors+");
}

static void test_in_a_hurry_nothing_waits(void **state)
{
    (void)state;
    assert_int_equal(sl_alert_book_due(book, true, now()), UINT64_MAX);
    raise_run("vendors", "one");
    assert_int_equal(sl_alert_book_due(book, true, now()), 0);
    expect_message("vendors+");
    assert_int_equal(sl_alert_book_due(book, true, now()), UINT64_MAX);
}

static void test_what_is_not_kept_is_forgotten(void **state)
{
    (void)state;
    raise_run("vendors", "one");
    raise_run("customers", "one");
    sl_alert_book_keep(book, is_vendors, NULL);
    assert_false(sl_alert_book_is_raised(book, SL_ALERT_RUN_FAILED, "customers"));
    expect_due(30, "vendors+");
}

static void test_status(void **state)
{
    struct sl_buf buf;
    (void)state;
    sl_buf_init(&buf);
    raise_run("vendors", "a \"text\"");
    look(SL_ALERT_BAD); /* not raised yet */
    sl_alert_book_status(book, true, &buf);
    assert_string_equal(buf.data,
                        "[{\"kind\":\"run_failed\",\"subject\":\"vendors\",\"title\":\"title\","
                        "\"text\":\"a \\\"text\\\"\",\"since\":\"2023-11-14T22:30:00.000Z\","
                        "\"told\":false}]");
    sl_buf_done(&buf);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_one_window_is_one_message),
        CASE(test_the_end_is_told_if_the_beginning_was),
        CASE(test_nothing_is_told_twice_within_repeat),
        CASE(test_what_comes_back_within_the_window_has_not_ended),
        CASE(test_no_more_messages_than_the_rate_allows),
        CASE(test_a_notice_ends_by_itself),
        CASE(test_notices_of_one_feed_are_told_each),
        CASE(test_a_notice_that_came_while_a_message_failed_is_told_soon),
        CASE(test_a_condition_must_last),
        CASE(test_a_condition_does_not_flap),
        CASE(test_what_nobody_took_is_told_again),
        CASE(test_what_failed_counts_against_no_rate),
        CASE(test_raised_anew_while_its_message_fails),
        CASE(test_what_was_forgotten_while_its_message_failed_is_not_told),
        CASE(test_in_a_hurry_nothing_waits),
        CASE(test_what_is_not_kept_is_forgotten),
        CASE(test_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
