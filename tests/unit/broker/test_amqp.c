/* The AMQP client against a scripted broker: each row is what the broker does and what must come of
 * it. What a real RabbitMQ does is tested with a real one. */
#include "broker/amqp.h"

#include <setjmp.h>
#include <stdarg.h>

#include "broker/fake_client.h"
#include "loop/fiber.h"

#include <cmocka.h>

enum { TIMEOUT_MS = 20000, SHORT_MS = 300 };

#define CONFIRM WAIT(0x0055000A)
#define CONFIRM_OK METHOD(1, "\0\x55\0\x0B")
#define PUBLISH WAIT(0x003C0028)
#define DELIVER METHOD(1, "\0\x3C\0\x3C\x06sluice\0\0\0\0\0\0\0\x07\x01\x01x\x01k")

static const struct step confirms_on[] = {CONFIRM, CONFIRM_OK, {0}};

/* --- the client, as a fiber --- */

struct client {
    struct fake_broker broker;
    uint64_t connect_ms, publish_ms;
    struct sl_channel *channel;
    int rc;
    struct sl_err err, why;
    struct sl_amqp_delivery delivery; /* its views are not valid any more */
    char body[BODY_MAX + 1];
    unsigned deliveries;
    bool cancelled, closed;
    char version[16];
    struct sl_waitlist changed;
};

static void on_delivery(void *ctx, const struct sl_amqp_delivery *delivery)
{
    struct client *client = ctx;
    client->delivery = *delivery;
    client->deliveries++;
    if (delivery->body)
        memcpy(client->body, delivery->body, delivery->size + 1);
    free(delivery->body);
    sl_wake_all(&client->changed);
}

static void on_cancel(void *ctx)
{
    struct client *client = ctx;
    client->cancelled = true;
    sl_wake_all(&client->changed);
}

static void on_close(void *ctx, const struct sl_err *why)
{
    struct client *client = ctx;
    client->closed = true;
    client->why = *why;
    sl_wake_all(&client->changed);
}

static const struct sl_channel_handler handler = {on_delivery, on_cancel, on_close};

static int publish(struct client *client, struct sl_amqp *amqp)
{
    uint64_t deadline_ms = sl_deadline_in(TIMEOUT_MS);
    int rc = sl_channel_open(amqp, NULL, NULL, deadline_ms, &client->channel, &client->err);
    if (rc == SL_OK)
        rc = sl_channel_confirm(client->channel, 2, 1000, deadline_ms, &client->err);
    if (rc != SL_OK)
        return rc;
    char *body = malloc(8000);
    memset(body, 'b', 8000);
    struct sl_publish message = {
        .exchange = "x",
        .routing_key = "k",
        .content_type = "text/plain",
        .message_id = "id",
        .body = {body, 8000}
    };
    rc = sl_channel_publish(client->channel, &message, sl_deadline_in(client->publish_ms),
                            &client->err);
    free(body); /* nobody may look at it any more */
    return rc;
}

static int consume(struct client *client, struct sl_amqp *amqp)
{
    uint64_t deadline_ms = sl_deadline_in(TIMEOUT_MS);
    int rc = sl_channel_open(amqp, &handler, client, deadline_ms, &client->channel, &client->err);
    if (rc == SL_OK)
        rc = sl_channel_consume(client->channel, "q", deadline_ms, &client->err);
    while (rc == SL_OK && !client->deliveries && !client->cancelled && !client->closed)
        rc = sl_wait(&client->changed, deadline_ms);
    return rc;
}

static bool by_certificate; /* how the client logs in */

static void run_client(struct client *client, int (*job)(struct client *, struct sl_amqp *))
{
    struct sl_amqp *amqp = fake_client(&client->broker, by_certificate);
    client->rc = sl_amqp_connect(amqp, sl_deadline_in(client->connect_ms), &client->err);
    snprintf(client->version, sizeof client->version, "%s", sl_amqp_server_version(amqp));
    if (client->rc == SL_OK && job)
        client->rc = job(client, amqp);
    sl_channel_free(client->channel);
    sl_amqp_free(amqp);
}

static void connect_fiber(void *arg)
{
    run_client(arg, NULL);
}

static void hurried_connect_fiber(void *arg)
{
    ((struct client *)arg)->connect_ms = SHORT_MS;
    run_client(arg, NULL);
}

static void publish_fiber(void *arg)
{
    run_client(arg, publish);
}

static void consume_fiber(void *arg)
{
    run_client(arg, consume);
}

static void run(struct client *client, void (*fiber)(void *), const struct step *const *scripts)
{
    *client = (struct client){.connect_ms = TIMEOUT_MS, .publish_ms = TIMEOUT_MS};
    memcpy(client->broker.steps, scripts, sizeof client->broker.steps);
    fake_start(&client->broker);
    sl_fiber_spawn("test", fiber, client);
    sl_loop_run();
    fake_stop(&client->broker);
    assert_null(strstr(client->err.message, "hunter2"));
    assert_false(client->broker.noisy);
}

struct row {
    const char *name;
    enum sl_code code;
    const char *message; /* a part of it */
    struct step script[6];
};

static void expect(const struct row *row, int code, const char *message)
{
    if (code != (int)row->code || !strstr(message, row->message))
        fail_msg("%s: %s '%s', not %s '%s'", row->name, sl_code_name(code), message,
                 sl_code_name(row->code), row->message);
}

/* --- connecting --- */

static const struct row connects[] = {
    {"login",                     SL_OK,      "",                                                       {START, START_OK, TUNE, OPEN, OPEN_OK}},
    {"wrong password",
     SL_CONFIG,                               "login of user 'guest' (vhost '/') was refused",
     {START, START_OK, METHOD(0, "\0\x0A\0\x32\x01\x93\x02no\0\0\0\0")}                                                                       },
    {"wrong vhost",
     SL_CONFIG,                               "user 'guest', vhost '/': the vhost was refused: 530 no",
     {START, START_OK, TUNE, OPEN, METHOD(0, "\0\x0A\0\x32\x02\x12\x02no\0\0\0\0")}                                                           },
    {"closed for another reason",
     SL_CLOSED,                               "320 bye",
     {START, START_OK,
      METHOD(0, "\0\x0A\0\x32\x01\x40\x03"
                "bye\0\0\0\0")}                                                                                                               },
    {"no PLAIN",
     SL_CONFIG,                               "login by password",
     {METHOD(0, "\0\x0A\0\x0A\0\x09\0\0\0\0\0\0\0\x08XPLAIN X\0\0\0\x05"
                "en_US")}                                                                                                                     },
    {"HTTP server",               SL_CLOSED,  "does not speak AMQP 0-9-1",                              {RAW("HTTP/1.1 400 Bad\r\n\r\n")}     },
    {"another version",           SL_CLOSED,  "another AMQP version",                                   {RAW("AMQP\3\1\0\0")}                 },
    {"frames too small",
     SL_CLOSED,                               "too small",
     {START, START_OK, METHOD(0, "\0\x0A\0\x1E\0\0\0\0\x0F\xFF\0\0")}                                                                         },
    {"tune before start",         SL_CLOSED,  "unexpected AMQP_CONNECTION_TUNE_METHOD",                 {TUNE}                                },
    {"content on channel 0",      SL_CLOSED,  "content on channel 0",                                   {BODY(0, "x")}                        },
    {"channel not open",          SL_CLOSED,  "channel 9",                                              {METHOD(9, "\0\x14\0\x0B\0\0\0\0")}   },
    {"cut in the handshake",      SL_CLOSED,  "",                                                       {START, START_OK, CUT}                },
    {"silence",                   SL_TIMEOUT, "did not answer in time",                                 {START}                               },
};

static void connecting(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof connects / sizeof *connects; i++) {
        struct client client;
        run(&client, connects[i].code == SL_TIMEOUT ? hurried_connect_fiber : connect_fiber,
            (const struct step *const[4]){connects[i].script});
        expect(&connects[i], client.rc, client.err.message);
        if (client.rc == SL_OK)
            assert_string_equal(client.version, "9a");
    }
}

static const struct row certificate_logins[] = {
    {"offered",
     SL_OK,     "",
     {METHOD(0, "\0\x0A\0\x0A\0\x09\0\0\0\0\0\0\0\x0EPLAIN EXTERNAL\0\0\0\x05"
                "en_US"),
      START_OK, TUNE, OPEN, OPEN_OK}},
    {"not offered",
     SL_CONFIG, "the server does not offer login by certificate (EXTERNAL)",
     {START}                        },
};

static void certificates_log_in_where_they_may(void **state)
{
    (void)state;
    by_certificate = true;
    for (size_t i = 0; i < sizeof certificate_logins / sizeof *certificate_logins; i++) {
        struct client client;
        run(&client, connect_fiber, (const struct step *const[4]){certificate_logins[i].script});
        expect(&certificate_logins[i], client.rc, client.err.message);
    }
    by_certificate = false;
}

/* --- publishing --- */

#define RETURN METHOD(1, "\0\x3C\0\x32\x01\x38\x08NO_ROUTE\x01x\x01k")
#define RETURN_HEADER HEADER(1, "\0\x3C\0\0\0\0\0\0\0\0\0\x04\0\x80\x02id")
#define ACK METHOD(1, "\0\x3C\0\x50\0\0\0\0\0\0\0\x01\0")
#define CLOSE_404 METHOD(1, "\0\x14\0\x28\x01\x94\x02no\0\x3C\0\x28")

static const struct row publishes[] = {
    {"confirmed",                    SL_OK,     "",                                                         {PUBLISH, ACK}                                          },
    {"confirmed with all before",
     SL_OK,                                     "",
     {PUBLISH, METHOD(1, "\0\x3C\0\x50\0\0\0\0\0\0\0\x01\x01")}                                                                                                     },
    {"all confirmed",                SL_OK,     "",                                                         {PUBLISH, METHOD(1, "\0\x3C\0\x50\0\0\0\0\0\0\0\0\x01")}},
    {"nacked",                       SL_CLOSED, "basic.nack",                                               {PUBLISH, METHOD(1, "\0\x3C\0\x78\0\0\0\0\0\0\0\x01\0")}},
    {"unroutable",
     SL_NOTFOUND,                               "no queue takes routing key 'k' of exchange 'x': NO_ROUTE",
     {PUBLISH, RETURN, RETURN_HEADER, BODY(1, "bbbb"), ACK}                                                                                                         },
    {"another message returned",
     SL_OK,                                     "",
     {PUBLISH, RETURN, HEADER(1, "\0\x3C\0\0\0\0\0\0\0\0\0\0\0\x80\x02no"), ACK}                                                                                    },
    {"confirm of what was not sent",
     SL_CLOSED,                                 "message 9, which was not published",
     {PUBLISH, METHOD(1, "\0\x3C\0\x50\0\0\0\0\0\0\0\x09\0")}                                                                                                       },
    {"channel closed",               SL_CLOSED, "RabbitMQ closed the channel: 404 no",                      {PUBLISH, CLOSE_404}                                    },
    {"connection closed",
     SL_CLOSED,                                 "320 bye",
     {PUBLISH, METHOD(0, "\0\x0A\0\x32\x01\x40\x03"
                         "bye\0\0\0\0")}                                                                                                                            },
    {"connection cut",               SL_CLOSED, "",                                                         {PUBLISH, CUT}                                          },
    {"confirmed before it was sent", SL_CLOSED, "was not published",                                        {ACK}                                                   },
};

static void publishing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof publishes / sizeof *publishes; i++) {
        struct client client;
        run(&client, publish_fiber,
            (const struct step *const[4]){log_in, open_channel, confirms_on, publishes[i].script});
        expect(&publishes[i], client.rc, client.err.message);
    }
}

static void blocked_connection_holds_messages_back(void **state)
{
    (void)state;
    static const struct step script[] = {CONFIRM,
                                         METHOD(0, "\0\x0A\0\x3C\x03low"),
                                         CONFIRM_OK,
                                         QUIET,
                                         METHOD(0, "\0\x0A\0\x3D"),
                                         PUBLISH,
                                         ACK,
                                         {0}};
    struct client client;
    run(&client, publish_fiber, (const struct step *const[4]){log_in, open_channel, script});
    assert_int_equal(client.rc, SL_OK);
    assert_int_equal(sl_metric_sum("broker_blocked", ""), 0);
}

static void short_publish_fiber(void *arg)
{
    ((struct client *)arg)->publish_ms = 50;
    run_client(arg, publish);
}

static void unanswered_publish_times_out(void **state)
{
    (void)state;
    static const struct step script[] = {CONFIRM, CONFIRM_OK, {0}};
    struct client client;
    run(&client, short_publish_fiber, (const struct step *const[4]){log_in, open_channel, script});
    assert_int_equal(client.rc, SL_TIMEOUT);
}

static void free_channel_fiber(void *arg)
{
    struct client *client = arg;
    sl_channel_free(client->channel);
    client->channel = NULL;
}

/* More than the kernel takes at once: most of the message waits when its channel goes. */
static int publish_on_a_freed_channel(struct client *client, struct sl_amqp *amqp)
{
    enum { BYTES = 16 * 1024 * 1024 };
    uint64_t deadline_ms = sl_deadline_in(TIMEOUT_MS);
    int rc = sl_channel_open(amqp, NULL, NULL, deadline_ms, &client->channel, &client->err);
    if (rc == SL_OK)
        rc = sl_channel_confirm(client->channel, 2, 1000, deadline_ms, &client->err);
    if (rc != SL_OK)
        return rc;
    char *body = malloc(BYTES);
    memset(body, 'b', BYTES);
    struct sl_publish message = {
        .exchange = "x",
        .routing_key = "k",
        .content_type = "text/plain",
        .message_id = "id",
        .body = {body, BYTES}
    };
    sl_fiber_spawn("free", free_channel_fiber, client);
    rc = sl_channel_publish(client->channel, &message, deadline_ms, &client->err);
    free(body); /* nobody may look at it any more */
    sl_amqp_close(amqp, deadline_ms);
    client->closed = sl_loop_now_ms() < deadline_ms;
    return rc;
}

static void freed_channel_fiber(void *arg)
{
    run_client(arg, publish_on_a_freed_channel);
}

static void freed_channel_leaves_whole_frames(void **state)
{
    (void)state;
    static const struct step script[] = {
        CONFIRM, CONFIRM_OK, WAIT(0x000A0032), METHOD(0, "\0\x0A\0\x33"), {0}};
    struct client client;
    run(&client, freed_channel_fiber, (const struct step *const[4]){log_in, open_channel, script});
    assert_int_equal(client.rc, SL_CLOSED);
    assert_true(client.closed);
}

static int close_behind_a_freed_channel(struct client *client, struct sl_amqp *amqp)
{
    uint64_t deadline_ms = sl_deadline_in(TIMEOUT_MS);
    int rc = sl_channel_open(amqp, NULL, NULL, deadline_ms, &client->channel, &client->err);
    sl_channel_free(client->channel);
    client->channel = NULL;
    sl_amqp_close(amqp, deadline_ms);
    return rc;
}

static void close_fiber(void *arg)
{
    run_client(arg, close_behind_a_freed_channel);
}

/* What comes for the channel while the connection is being closed does not end the wait for the
 * server's close-ok: acks on other channels count only then. */
static void freed_channel_does_not_cut_the_close_short(void **state)
{
    (void)state;
    static const struct step script[] = {
        WAIT(0x000A0032), METHOD(1, "\0\x14\0\x29"), QUIET, METHOD(0, "\0\x0A\0\x33"), {0}};
    struct client client;
    run(&client, close_fiber, (const struct step *const[4]){log_in, open_channel, script});
    assert_int_equal(client.rc, SL_OK);
}

/* --- consuming --- */

#define HEADER_5 HEADER(1, "\0\x3C\0\0\0\0\0\0\0\0\0\x05\x80\0\x04text")
#define HEADER_2000 HEADER(1, "\0\x3C\0\0\0\0\0\0\0\0\x07\xD0\0\0")

static const struct row breaks[] = {
    {"body longer than announced",
     SL_CLOSED,                               "longer than announced",
     {DELIVER, HEADER_5, BODY(1, "123456")}                                                                       },
    {"body without a header",      SL_CLOSED, "a body frame out of order",        {DELIVER, BODY(1, "1")}         },
    {"header alone",               SL_CLOSED, "a header frame out of order",      {HEADER_5}                      },
    {"method inside a message",
     SL_CLOSED,                               "a method inside a message",
     {DELIVER, HEADER_5, CONSUME_OK}                                                                              },
    {"reply that nobody awaits",   SL_CLOSED, "unexpected AMQP_BASIC_CONSUME_OK", {CONSUME_OK}                    },
    {"channel not open",           SL_CLOSED, "channel 2",                        {METHOD(2, "\0\x3C\0\x15\x01s")}},
    {"heartbeat on a channel",     SL_CLOSED, "heartbeat",                        {RAW("\x08\0\x01\0\0\0\0\xCE")} },
    {"broken frame",               SL_CLOSED, "lacks its end byte",               {RAW("\x08\0\0\0\0\0\0\xCD")}   },
    {"acknowledged too late",
     SL_CLOSED,                               "406 late",
     {METHOD(1, "\0\x14\0\x28\x01\x96\x04late\0\0\0\0")}                                                          },
};

static void broken_deliveries_end_the_connection(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
        struct client client;
        run(&client, consume_fiber,
            (const struct step *const[4]){log_in, open_channel, consuming, breaks[i].script});
        assert_true(client.closed);
        assert_int_equal(client.deliveries, 0);
        expect(&breaks[i], client.why.code, client.why.message);
    }
}

static void delivery_in_pieces_is_whole(void **state)
{
    (void)state;
    static const struct step script[] = {DELIVER,     HEADER_5,       BODY(1, "he"),
                                         BODY(1, ""), BODY(1, "llo"), {0}};
    struct client client;
    run(&client, consume_fiber,
        (const struct step *const[4]){log_in, open_channel, consuming, script});
    assert_int_equal(client.deliveries, 1);
    assert_string_equal(client.body, "hello");
    assert_true(client.delivery.redelivered);
    assert_int_equal(client.delivery.tag, 7);
    assert_int_equal(client.delivery.content_type.length, 4);
}

static void returns_are_read_from_the_header(void **state)
{
    (void)state;
    static const struct step script[] = {DELIVER,
                                         HEADER(1, "\0\x3C\0\0\0\0\0\0\0\0\0\x01\x20\0"
                                                   "\0\0\0\x1A\x10x-delivery-count"
                                                   "l\0\0\0\0\0\0\0\x06"),
                                         BODY(1, "1"),
                                         {0}};
    struct client client;
    run(&client, consume_fiber,
        (const struct step *const[4]){log_in, open_channel, consuming, script});
    assert_int_equal(client.deliveries, 1);
    assert_int_equal(client.delivery.returns, 6);
}

static void oversize_delivery_comes_without_its_body(void **state)
{
    (void)state;
    static char big[2001];
    memset(big, 'x', 2000);
    const struct step script[] = {
        DELIVER, HEADER_2000, {STEP_BODY, 0, 1, big, 2000},
          {0       }
    };
    struct client client;
    run(&client, consume_fiber,
        (const struct step *const[4]){log_in, open_channel, consuming, script});
    assert_int_equal(client.deliveries, 1);
    assert_true(client.delivery.oversize);
    assert_int_equal(client.delivery.size, 2000);
    assert_null(client.delivery.body);
}

static void cancelled_consumer_is_told(void **state)
{
    (void)state;
    static const struct step script[] = {METHOD(1, "\0\x3C\0\x1E\x06sluice\x01"), {0}};
    struct client client;
    run(&client, consume_fiber,
        (const struct step *const[4]){log_in, open_channel, consuming, script});
    assert_true(client.cancelled);
    assert_false(client.closed);
}

/* Frames that are mostly right: whatever the mixture, the client ends in order. */
static void random_frames_do_no_harm(void **state)
{
    (void)state;
    static const struct step some[] = {DELIVER,   HEADER_5, BODY(1, "hello"), BODY(1, "he"),
                                       CLOSE_404, RETURN,   RETURN_HEADER,    HEADER_2000,
                                       ACK,       OPEN_OK,  CHANNEL_OPEN_OK,  CONSUME_OK};
    srand(20261122);
    for (int round = 0; round < 60; round++) {
        struct step script[12] = {0};
        int count = rand() % 10;
        for (int i = 0; i < count; i++)
            script[i] = some[(size_t)rand() % (sizeof some / sizeof *some)];
        script[count] = (struct step)CUT;
        struct client client;
        run(&client, consume_fiber,
            (const struct step *const[4]){log_in, open_channel, consuming, script});
        assert_true(client.closed || client.deliveries || client.rc != SL_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connecting),
        cmocka_unit_test(certificates_log_in_where_they_may),
        cmocka_unit_test(publishing),
        cmocka_unit_test(blocked_connection_holds_messages_back),
        cmocka_unit_test(unanswered_publish_times_out),
        cmocka_unit_test(freed_channel_leaves_whole_frames),
        cmocka_unit_test(freed_channel_does_not_cut_the_close_short),
        cmocka_unit_test(broken_deliveries_end_the_connection),
        cmocka_unit_test(delivery_in_pieces_is_whole),
        cmocka_unit_test(returns_are_read_from_the_header),
        cmocka_unit_test(oversize_delivery_comes_without_its_body),
        cmocka_unit_test(cancelled_consumer_is_told),
        cmocka_unit_test(random_frames_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, fake_clients_end);
}
