/* Batches of an unknown entity: how long they are passed on, as the queue brings them, and what
 * RabbitMQ is told. */
#include "source/amqp_pass.h"

#include <stdio.h>

#include "broker/fake_client.h"
#include "loop/in_fiber.h"

enum { PREFETCH = 3, MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS, TIMEOUT_MS = 20 * 1000 };

static struct sl_origin batch_of(const char *entity, uint32_t number)
{
    return (struct sl_origin){.feed = "vendors",
                              .entity = entity,
                              .run = "vendors-000001",
                              .attempt = 1,
                              .number = number};
}

/* --- how long --- */

/* A queue of batches of one entity, to whose end goes what is returned: this process is given
 * PREFETCH of them, keeps them, and gives them back; another one takes some for good meanwhile. */
struct scene {
    struct sl_pass pass;
    uint64_t now_ms;
    const char *entity;
    uint32_t queue[1024];        /* a ring */
    uint32_t first, count, next; /* next: the number of the next batch that comes */
    bool others;                 /* consume, whatever they take */
    unsigned taken_per_s;
    uint32_t full; /* it is kept so full */
};

static void put(struct scene *scene, uint32_t number)
{
    scene->queue[(scene->first + scene->count++) % 1024] = number;
}

static uint32_t take(struct scene *scene)
{
    uint32_t number = scene->queue[scene->first++ % 1024];
    scene->count--;
    return number;
}

/* Either process is the next one to be given something. False: a batch was nobody's. */
static bool one_round(struct scene *scene)
{
    uint32_t kept[PREFETCH], count = 0;
    uint64_t keep_ms = 0;
    while (scene->count < scene->full)
        put(scene, scene->next++);
    scene->pass.others = scene->others;
    scene->pass.looked_ms = scene->now_ms;
    unsigned others = (scene->taken_per_s + 1) / 2;
    for (unsigned mine = PREFETCH; scene->count && mine + others;) {
        if ((unsigned)rand() % (mine + others) >= mine) {
            take(scene);
            others--;
            continue;
        }
        mine--;
        struct sl_origin batch = batch_of(scene->entity, kept[count++] = take(scene));
        keep_ms = sl_pass_keep_ms(&scene->pass, &batch, scene->now_ms);
        if (!keep_ms)
            return false;
    }
    for (uint32_t i = 0; i < count; i++)
        put(scene, kept[i]);
    scene->now_ms += keep_ms ? keep_ms : 500;
    return true;
}

static uint64_t passed_on_for_ms(struct scene *scene, uint64_t most_ms)
{
    uint64_t begun_ms = scene->now_ms;
    while (scene->now_ms - begun_ms < most_ms && one_round(scene))
        ;
    return scene->now_ms - begun_ms;
}

/* However many wait. */
static void a_process_alone_waits_ten_seconds_for_others(void **state)
{
    (void)state;
    for (uint32_t count = 1; count <= 1000; count = count * 2 + 1) {
        struct scene scene = {.now_ms = 1000, .entity = "V", .full = count};
        assert_in_range(passed_on_for_ms(&scene, HOUR_MS), 10 * 1000, 11 * 1000);
        /* What comes then need not wait. */
        assert_int_equal(passed_on_for_ms(&scene, HOUR_MS), 0);
        scene.now_ms += 4 * MINUTE_MS;
        assert_int_equal(passed_on_for_ms(&scene, HOUR_MS), 0);
        /* Other entities do, and some minutes later so does this one: somebody may know it now. */
        scene.entity = "W";
        assert_in_range(passed_on_for_ms(&scene, HOUR_MS), 10 * 1000, 11 * 1000);
        scene.entity = "V";
        scene.now_ms += 2 * MINUTE_MS;
        assert_in_range(passed_on_for_ms(&scene, HOUR_MS), 10 * 1000, 11 * 1000);
    }
}

/* Now and then one comes, and another process was there to take it. */
static void batches_long_apart_do_not_add_up(void **state)
{
    (void)state;
    struct sl_pass pass = {0};
    uint64_t now_ms = 1000;
    for (uint32_t number = 0; number < 1000; number++, now_ms += 2 * MINUTE_MS) {
        struct sl_origin batch = batch_of("V", number);
        pass.looked_ms = now_ms;
        assert_true(sl_pass_keep_ms(&pass, &batch, now_ms) > 0);
    }
}

/* Nothing is judged by what was seen before an outage. */
static void an_outage_begins_it_anew(void **state)
{
    (void)state;
    struct scene scene = {.now_ms = 1000, .entity = "V", .full = 3};
    assert_true(passed_on_for_ms(&scene, 9000) >= 9000);
    sl_pass_reset(&scene.pass);
    scene.now_ms += 30 * 1000;
    assert_in_range(passed_on_for_ms(&scene, HOUR_MS), 10 * 1000, 11 * 1000);
    sl_pass_reset(&scene.pass);
    assert_int_equal(passed_on_for_ms(&scene, HOUR_MS), 0); /* a judgement stays */
}

static void beside_others_it_takes_a_minute(void **state)
{
    (void)state;
    for (uint32_t count = 1; count <= 64; count++) {
        struct scene scene = {.now_ms = 1000, .entity = "V", .full = count, .others = true};
        assert_in_range(passed_on_for_ms(&scene, HOUR_MS), MINUTE_MS, 2 * MINUTE_MS);
        assert_int_equal(passed_on_for_ms(&scene, HOUR_MS), 0);
    }
}

static void what_others_take_is_passed_on_for_ever(void **state)
{
    (void)state;
    srand(20261201);
    for (uint32_t count = 1; count <= 64; count++) {
        struct scene scene = {
            .now_ms = 1000, .entity = "V", .full = count, .others = true, .taken_per_s = 10};
        assert_true(passed_on_for_ms(&scene, 4 * HOUR_MS) >= 4 * HOUR_MS);
    }
}

/* They go round in the queue: each has to wait, and none for ever. */
static void more_entities_than_can_be_remembered_are_judged_all_the_same(void **state)
{
    (void)state;
    enum { COUNT = 3 * SL_PASS_KINDS };
    struct sl_pass pass = {0};
    bool judged[COUNT] = {0};
    char entity[16];
    unsigned left = COUNT;
    for (uint64_t now_ms = 1000; left; now_ms += 500) {
        assert_true(now_ms < 5 * MINUTE_MS);
        pass.looked_ms = now_ms;
        for (unsigned i = 0; i < COUNT; i++) {
            snprintf(entity, sizeof entity, "E%u", i);
            struct sl_origin batch = batch_of(entity, 0);
            if (judged[i] || sl_pass_keep_ms(&pass, &batch, now_ms))
                continue;
            assert_true(now_ms > 10 * 1000);
            judged[i] = true;
            left--;
        }
    }
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
    uint64_t kept_ms;
};

/* Passes two on, and does what is due until nothing is. */
static int pass_two_on(struct client *client, struct sl_channel *channel)
{
    struct sl_pass *pass = &client->pass;
    uint64_t begun_ms = sl_loop_now_ms(), due_ms;
    int rc = SL_OK;
    EXPECT(sl_pass_due_ms(pass) == SL_FOREVER);
    sl_pass_on(pass, channel, 8, begun_ms + 200);
    sl_pass_on(pass, channel, 7, begun_ms + 50);
    EXPECT(pass->tags[0].tag == 7);
    while (rc == SL_OK && (due_ms = sl_pass_due_ms(pass)) != SL_FOREVER) {
        uint64_t now_ms = sl_loop_now_ms();
        rc = due_ms > now_ms ? sl_fiber_sleep(due_ms - now_ms) : SL_OK;
        if (rc == SL_OK)
            rc = sl_pass_step(pass, channel, "q");
    }
    client->kept_ms = sl_loop_now_ms() - begun_ms;
    return rc;
}

static void client_fiber(void *arg)
{
    struct client *client = arg;
    struct sl_amqp *amqp = fake_client(&client->broker, false);
    struct sl_channel *channel = NULL;
    uint64_t deadline_ms = sl_deadline_in(TIMEOUT_MS);
    int rc = sl_amqp_connect(amqp, deadline_ms, &client->err);
    if (rc == SL_OK)
        rc = sl_channel_open(amqp, NULL, NULL, deadline_ms, &channel, &client->err);
    if (rc == SL_OK)
        rc = sl_channel_consume(channel, "q", deadline_ms, &client->err);
    client->rc = rc == SL_OK ? pass_two_on(client, channel) : rc;
    sl_channel_free(channel);
    sl_amqp_free(amqp);
}

static void run(struct client *client, const struct step *passing)
{
    const struct step *const scripts[4] = {log_in, open_channel, consuming, passing};
    memcpy(client->broker.steps, scripts, sizeof scripts);
    fake_start(&client->broker);
    run_in_fiber(client_fiber, client);
    fake_stop(&client->broker);
    assert_int_equal(client->rc, SL_OK);
    assert_true(client->kept_ms >= 200);
    assert_int_equal(client->pass.tag_count, 0);
}

static void what_is_kept_goes_back_in_time_and_others_are_looked_for(void **state)
{
    (void)state;
    static const struct step alone[] = {DECLARE, DECLARE_OK("\1"), NACK, NACK, {0}};
    static const struct step others[] = {DECLARE, DECLARE_OK("\2"), NACK, NACK, {0}};
    struct client client = {0};
    run(&client, alone);
    assert_true(client.pass.looked_ms && !client.pass.others);
    client = (struct client){0};
    run(&client, others);
    assert_true(client.pass.looked_ms && client.pass.others);
}

/* Nobody is judged then. */
static void a_look_that_fails_finds_others(void **state)
{
    (void)state;
    static const struct step cut[] = {DECLARE, CUT, {0}};
    struct client client = {0};
    run(&client, cut);
    assert_true(client.pass.looked_ms && client.pass.others);
    sl_pass_on(&client.pass, NULL, 9, 1);
    sl_pass_reset(&client.pass);
    assert_int_equal(sl_pass_due_ms(&client.pass), SL_FOREVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_alone_waits_ten_seconds_for_others),
        cmocka_unit_test(batches_long_apart_do_not_add_up),
        cmocka_unit_test(an_outage_begins_it_anew),
        cmocka_unit_test(beside_others_it_takes_a_minute),
        cmocka_unit_test(what_others_take_is_passed_on_for_ever),
        cmocka_unit_test(more_entities_than_can_be_remembered_are_judged_all_the_same),
        cmocka_unit_test(what_is_kept_goes_back_in_time_and_others_are_looked_for),
        cmocka_unit_test(a_look_that_fails_finds_others),
    };
    return cmocka_run_group_tests(tests, NULL, fake_clients_end);
}
