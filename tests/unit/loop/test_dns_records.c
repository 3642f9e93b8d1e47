/* SRV and TXT records: those that are there, none, several, too many for a datagram, a name server
 * that does not answer. */
#include "loop/name_server.h"

#include "base/clock.h"
#include "loop/dns.h"
#include "loop/in_fiber.h"

#define LONG "a-long-name-so-that-few-of-them-fit-into-a-datagram.members.example.test"

static const struct dns_row rows[] = {
    {"_db._tcp.two.example.test",  ns_t_srv, "a.example.test", 27017},
    {"_db._tcp.two.example.test",  ns_t_srv, "b.example.test", 27018},
    {"_db._tcp.many.example.test", ns_t_srv, "1." LONG,        1    },
    {"_db._tcp.many.example.test", ns_t_srv, "2." LONG,        2    },
    {"_db._tcp.many.example.test", ns_t_srv, "3." LONG,        3    },
    {"_db._tcp.many.example.test", ns_t_srv, "4." LONG,        4    },
    {"_db._tcp.many.example.test", ns_t_srv, "5." LONG,        5    },
    {"_db._tcp.many.example.test", ns_t_srv, "6." LONG,        6    },
    {"two.example.test",           ns_t_txt, "set=rs0",        0    },
    {"parts.example.test",         ns_t_txt, "set=|rs|0",      0    },
    {"several.example.test",       ns_t_txt, "a=1",            0    },
    {"several.example.test",       ns_t_txt, "b=2",            0    },
    {"address.example.test",       ns_t_a,   "127.0.0.1",      0    },
    {NULL,                         0,        NULL,             0    },
};

static void look_services_up(void *arg)
{
    (void)arg;
    struct sl_services found;
    struct sl_err err = {0};
    REQUIRE(sl_dns_services("_db._tcp.two.example.test", sl_deadline_in(5000), &found, &err) ==
            SL_OK);
    REQUIRE(found.count == 2);
    unsigned first = found.item[0].port == 27017 ? 0 : 1;
    EXPECT(!strcmp(found.item[first].host, "a.example.test"));
    EXPECT(found.item[1 - first].port == 27018 &&
           !strcmp(found.item[1 - first].host, "b.example.test"));

    REQUIRE(sl_dns_services("_db._tcp.many.example.test", sl_deadline_in(5000), &found, &err) ==
            SL_OK);
    EXPECT(found.count == 6); /* by TCP */
    unsigned ports = 0;
    for (size_t i = 0; i < found.count; i++)
        ports |= 1u << found.item[i].port;
    EXPECT(ports == 0x7e);

    EXPECT(sl_dns_services("_db._tcp.none.example.test", sl_deadline_in(5000), &found, &err) ==
           SL_NOTFOUND);
    EXPECT(strstr(err.message, "_db._tcp.none.example.test"));
    EXPECT(sl_dns_services("address.example.test", sl_deadline_in(5000), &found, &err) ==
           SL_NOTFOUND);
}

static void services_are_found(void **state)
{
    (void)state;
    dns_server.rows = rows;
    run_in_fiber(look_services_up, NULL);
}

static void look_texts_up(void *arg)
{
    (void)arg;
    static const struct {
        const char *name;
        int rc;
        const char *text; /* of the record, or of the message */
    } wanted[] = {
        {"two.example.test",     SL_OK,       "set=rs0"                     },
        {"parts.example.test",   SL_OK,       "set=rs0"                     },
        {"several.example.test", SL_CLOSED,   "several TXT records"         },
        {"address.example.test", SL_NOTFOUND, "no such records for address."},
        {"none.example.test",    SL_NOTFOUND, "no such records for none."   },
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        struct sl_err err = {0};
        struct sl_buf text;
        sl_buf_init(&text);
        int rc = sl_dns_text(wanted[i].name, sl_deadline_in(5000), &text, &err);
        EXPECT(rc == wanted[i].rc);
        const char *said = rc == SL_OK ? text.data : err.message;
        if (!EXPECT(strstr(said, wanted[i].text)))
            fprintf(stderr, "  %s\n", said);
        sl_buf_done(&text);
    }
}

static void texts_are_found(void **state)
{
    (void)state;
    dns_server.rows = rows;
    run_in_fiber(look_texts_up, NULL);
}

struct question {
    uint64_t patience_ms;
    int rc;
};

static void ask_in_vain(void *arg)
{
    struct question *question = arg;
    struct sl_services found;
    struct sl_err err = {0};
    question->rc = sl_dns_services("_db._tcp.two.example.test",
                                   sl_deadline_in(question->patience_ms), &found, &err);
    EXPECT(err.code == (enum sl_code)question->rc);
}

static bool ends_in_time(void)
{
    struct question question = {300, SL_OK};
    uint64_t start = sl_now_ms();
    ask_in_vain(&question);
    EXPECT(question.rc == SL_TIMEOUT);
    return sl_now_ms() - start < 2000;
}

static void wait_in_vain(void *arg)
{
    (void)arg;
    EXPECT(ends_in_time() || ends_in_time()); /* the machine may stand still in one */

    struct question question = {60000, SL_OK};
    struct sl_fiber *fiber = sl_fiber_spawn_joinable("lookup", ask_in_vain, &question);
    sl_fiber_sleep(20);
    sl_fiber_cancel(fiber);
    sl_fiber_join(fiber);
    EXPECT(question.rc == SL_CANCELED);
}

/* Their answers come, if ever, when nobody waits any more: at the latest when the resolver ends. */
static void silence_has_an_end(void **state)
{
    (void)state;
    dns_server.rows = NULL;
    run_in_fiber(wait_in_vain, NULL);
}

static int close_all(void **state)
{
    sl_dns_close();
    return dns_server_stop(state) || loop_closes(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(services_are_found),
        cmocka_unit_test(texts_are_found),
        cmocka_unit_test(silence_has_an_end),
    };
    return cmocka_run_group_tests(tests, dns_server_start, close_all);
}
