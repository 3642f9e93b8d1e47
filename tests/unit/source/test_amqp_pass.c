/* Batches of an unknown feed: how long they are passed on, as the queue brings them, and what
 * RabbitMQ is told meanwhile. */
#include "source/amqp_pass.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/fake_methods.h"
#include "base/metric.h"
#include "loop/dns.h"
#include "loop/fiber.h"

enum { PAUSE_MS = 550, PREFETCH = 3, MINUTE_MS = 60 * 1000, TIMEOUT_MS = 10 * 1000 };

static struct sl_origin batch_of(const char *entity, uint32_t number)
{
    return (struct sl_origin){.feed = "vendors",
                              .entity = entity,
                              .run = "vendors-000001",
                              .attempt = 1,
                              .number = number};
}

/* --- how long --- */

/* A queue of batches of one kind, to whose end goes what is returned; every PAUSE_MS this process
 * is given PREFETCH of them, and another one takes some for good. */
struct scene {
    struct sl_pass pass;
    uint64_t now_ms;
    const char *entity;
    uint32_t queue[1024];        /* a ring */
    uint32_t first, count, next; /* next: the number of the next batch that comes */
    bool others;                 /* consume, whatever they take */
    unsigned taken_each;
    uint32_t full; /* it is kept so full; 0: nothing comes */
};

static void put(struct scene *scene, uint32_t number)
{
    scene->queue[(scene->first + scene->count++) % 1024] = number;
}

static uint32_t take(struct scene *scene)
{
    uint32_t number = scene->queue[scene->first % 1024];
    scene->first++;
    scene->count--;
    return number;
}

/* False: a batch was nobody's. */
static bool one_pause(struct scene *scene)
{
    while (scene->count < scene->full)
        put(scene, scene->next++);
    if (scene->others)
        scene->pass.others_ms = scene->now_ms;
    for (unsigned i = 0; i < PREFETCH && scene->count; i++) {
        struct sl_origin batch = batch_of(scene->entity, take(scene));
        if (!sl_pass_wanted(&scene->pass, &batch, scene->now_ms))
            return false;
        put(scene, batch.number);
    }
    for (unsigned i = 0; i < scene->taken_each && scene->count; i++)
        take(scene);
    scene->now_ms += PAUSE_MS;
    return true;
}

static uint64_t passed_on_for_ms(struct scene *scene, uint64_t most_ms)
{
    uint64_t begun_ms = scene->now_ms;
    while (scene->now_ms - begun_ms < most_ms && one_pause(scene))
        ;
    return scene->now_ms - begun_ms;
}

/* However many wait. */
static void a_process_alone_soon_finds_that_nobody_knows_it(void **state)
{
    (void)state;
    for (uint32_t count = 1; count <= 300; count = count * 2 + 1) {
        struct scene scene = {.now_ms = 1000, .entity = "V", .full = count};
        uint64_t round_ms = (count / PREFETCH + 1) * PAUSE_MS;
        assert_in_range(passed_on_for_ms(&scene, 10 * MINUTE_MS), 10 * 1000,
                        10 * 1000 + 3 * round_ms);
        /* The others of the kind need not wait as long. */
        assert_int_equal(passed_on_for_ms(&scene, MINUTE_MS), 0);
        /* Other kinds do, and some minutes later so does this one: somebody may know it by then. */
        scene.entity = "W";
        assert_true(passed_on_for_ms(&scene, 10 * MINUTE_MS) >= 10 * 1000);
        scene.entity = "V";
        scene.now_ms += 6 * MINUTE_MS;
        assert_true(passed_on_for_ms(&scene, 10 * MINUTE_MS) >= 10 * 1000);
    }
}

static void beside_others_it_takes_a_minute(void **state)
{
    (void)state;
    struct scene scene = {.now_ms = 1000, .entity = "V", .full = 64, .others = true};
    assert_in_range(passed_on_for_ms(&scene, 10 * MINUTE_MS), MINUTE_MS, 2 * MINUTE_MS);
}

/* As many come as another process takes: for a day no witness comes back for a minute. */
static void what_others_take_is_passed_on_for_ever(void **state)
{
    (void)state;
    static const uint32_t full[] = {1, 3, 16, 64};
    for (unsigned i = 0; i < sizeof full / sizeof *full; i++) {
        struct scene scene = {.now_ms = 1000,
                              .entity = "V",
                              .full = full[i],
                              .others = true,
                              .taken_each = full[i] < 4 ? 1 : 4};
        assert_true(passed_on_for_ms(&scene, 24 * 60 * MINUTE_MS) >= 24 * 60 * MINUTE_MS);
    }
}

static void as_many_kinds_as_are_remembered_are_judged_each(void **state)
{
    (void)state;
    struct sl_pass pass = {0};
    uint64_t now_ms = 1000;
    char entity[16];
    unsigned judged = 0;
    for (unsigned round = 0; round < 60; round++, now_ms += PAUSE_MS)
        for (unsigned i = 0; i < SL_PASS_KINDS; i++) {
            snprintf(entity, sizeof entity, "E%u", i);
            struct sl_origin batch = batch_of(entity, 0);
            judged += !sl_pass_wanted(&pass, &batch, now_ms);
        }
    assert_true(judged >= SL_PASS_KINDS * 30);
}

/* --- what RabbitMQ is told --- */

#define DECLARE WAIT(0x0032000A)
#define DECLARE_OK(consumers) METHOD(1, "\0\x32\0\x0B\x01q\0\0\0\0\0\0\0" consumers)
#define NACK WAIT(0x003C0078)

struct client {
    struct fake_broker broker;
    struct sl_pass pass;
    int rc;
    struct sl_err err;
    struct sl_channel *channel;
};

/* While the consumer is being stopped. */
static void pass_another_on(void *arg)
{
    struct client *client = arg;
    if (sl_fiber_sleep(30) == SL_OK)
        sl_pass_on(&client->pass, client->channel, 9);
}

/* Passes one on, pauses, and consumes again. */
static int pass_one_on(struct client *client, struct sl_amqp *amqp)
{
    struct sl_pass *pass = &client->pass;
    uint64_t deadline_ms = sl_deadline_in(TIMEOUT_MS);
    int rc = sl_channel_open(amqp, NULL, NULL, deadline_ms, &client->channel, &client->err);
    struct sl_channel *channel = client->channel;
    if (rc == SL_OK)
        rc = sl_channel_consume(channel, "q", deadline_ms, &client->err);
    assert_int_equal(sl_pass_due_ms(pass), SL_FOREVER);
    sl_pass_on(pass, channel, 7);
    assert_int_equal(sl_pass_due_ms(pass), 0);
    sl_fiber_spawn("another", pass_another_on, client);
    if (rc == SL_OK)
        rc = sl_pass_step(pass, channel, "q", deadline_ms, &client->err);
    if (rc == SL_OK) {
        assert_true(pass->paused && !pass->tag_count);
        sl_pass_on(pass, channel, 8); /* at once: nothing is waited for */
        assert_true(!pass->tag_count && sl_pass_due_ms(pass) == pass->resume_ms);
        rc = sl_pass_step(pass, channel, "q", deadline_ms, &client->err); /* too early */
        assert_true(pass->paused);
    }
    if (rc == SL_OK)
        rc =
            sl_fiber_sleep(pass->resume_ms - sl_loop_now_ms()) == SL_CANCELED ? SL_CANCELED : SL_OK;
    if (rc == SL_OK)
        rc = sl_pass_step(pass, channel, "q", deadline_ms, &client->err);
    return rc;
}

static void client_fiber(void *arg)
{
    struct client *client = arg;
    struct sl_amqp_address address = {.host = (char *)"127.0.0.1",
                                      .port = client->broker.port,
                                      .user = (char *)"guest",
                                      .password = (char *)"guest",
                                      .vhost = (char *)"/"};
    struct sl_amqp_options options = {.address = &address, .max_body_bytes = 1000};
    struct sl_amqp *amqp = sl_amqp_new(&options);
    client->rc = sl_amqp_connect(amqp, sl_deadline_in(TIMEOUT_MS), &client->err);
    if (client->rc == SL_OK)
        client->rc = pass_one_on(client, amqp);
    sl_channel_free(client->channel);
    sl_amqp_free(amqp);
}

static void run(struct client *client, const struct step *passing)
{
    const struct step *const scripts[4] = {log_in, open_channel, consuming, passing};
    memcpy(client->broker.steps, scripts, sizeof scripts);
    fake_start(&client->broker);
    sl_fiber_spawn("test", client_fiber, client);
    sl_loop_run();
    fake_stop(&client->broker);
    assert_false(client->broker.noisy);
}

/* Nothing is given back before the consumer has stopped, and nothing is taken before the pause. */
static void what_is_passed_on_goes_back_when_the_consumer_has_stopped(void **state)
{
    (void)state;
    static const struct step passing[] = {
        STOP, QUIET, STOP_OK, NACK,       NACK, DECLARE, DECLARE_OK("\x01"),
        NACK, QUIET, CONSUME, CONSUME_OK, {0}};
    struct client client = {0};
    run(&client, passing);
    assert_int_equal(client.rc, SL_OK);
    assert_true(client.pass.others_ms && !client.pass.paused);
}

static void whether_others_consume_is_seen(void **state)
{
    (void)state;
    static const struct step passing[] = {STOP,    STOP_OK,    DECLARE, DECLARE_OK("\0"),
                                          CONSUME, CONSUME_OK, {0}};
    struct client client = {0};
    run(&client, passing);
    assert_int_equal(client.rc, SL_OK);
    assert_false(client.pass.others_ms);
}

static void a_connection_that_is_lost_meanwhile_is_told(void **state)
{
    (void)state;
    static const struct step before[] = {STOP, CUT, {0}},
                             after[] = {STOP, STOP_OK, DECLARE, CUT, {0}};
    const struct step *const scripts[] = {before, after};
    for (unsigned i = 0; i < 2; i++) {
        struct client client = {0};
        run(&client, scripts[i]);
        assert_int_equal(client.rc, SL_CLOSED);
        sl_pass_reset(&client.pass);
        assert_int_equal(sl_pass_due_ms(&client.pass), SL_FOREVER);
    }
}

static int end_all(void **state)
{
    (void)state;
    sl_dns_close();
    sl_metric_free_all();
    return sl_loop_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_alone_soon_finds_that_nobody_knows_it),
        cmocka_unit_test(beside_others_it_takes_a_minute),
        cmocka_unit_test(what_others_take_is_passed_on_for_ever),
        cmocka_unit_test(as_many_kinds_as_are_remembered_are_judged_each),
        cmocka_unit_test(what_is_passed_on_goes_back_when_the_consumer_has_stopped),
        cmocka_unit_test(whether_others_consume_is_seen),
        cmocka_unit_test(a_connection_that_is_lost_meanwhile_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, end_all);
}
