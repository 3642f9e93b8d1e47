/* mongodb+srv: what DNS says about a cluster becomes the members' connection string, or an error;
 * and a real MongoDB is reached by the name of its cluster alone. */
#include "loop/name_server.h"
#include "mongo/live.h"

#include "mongo/srv.h"
#include "mongo/uri.h"

/* --- the string --- */

static void test_plain(void **state)
{
    static const struct {
        const char *url, *wanted; /* NULL: refused */
    } rows[] = {
        {"mongodb+srv://c.example.test/",                               "mongodb://c.example.test/"             },
        {"MongoDB+SRV://u:p%40@c.example.test/db?a=b",                  "mongodb://u:p%40@c.example.test/db?a=b"},
        {"mongodb+srv://c.example.test",                                "mongodb://c.example.test"              },
        {"mongodb+srv://u:secret@c.example.test:27017/",                NULL                                    },
        {"mongodb+srv://u:secret@a.example.test,b.example.test/",       NULL                                    },
        {"mongodb+srv://u:secret@/",                                    NULL                                    },
        {"mongodb+srv://u:sec/ret@c.example.test/",                     NULL                                    },
        {"mongodb+srv://u:secret@c.example.test/?srvMaxHosts=2",        NULL                                    },
        {"mongodb+srv://u:secret@c.example.test/?a=b&SRVSERVICENAME=x", NULL                                    },
        {"mongodb+srv://u:secret@c.example.test?directConnection=true", NULL                                    },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sl_err err = {0};
        struct sl_buf out;
        sl_buf_init(&out);
        assert_true(sl_srv_is(rows[i].url));
        int rc = sl_srv_plain(rows[i].url, &out, &err);
        assert_int_equal(rc, rows[i].wanted ? SL_OK : SL_CONFIG);
        if (rows[i].wanted)
            assert_string_equal(out.data, rows[i].wanted);
        else
            assert_null(strstr(err.message, "sec"));
        sl_buf_done(&out);
    }
    assert_false(sl_srv_is("mongodb://mongodb+srv://"));
}

/* --- what DNS says --- */

static const struct dns_row zone[] = {
    {"_mongodb._tcp.c.example.test",     ns_t_srv,   "a.example.test",                    27017},
    {"c.example.test",                   ns_t_txt,   "authSource=people&|replicaSet=rs7", 0    },
    {"_mongodb._tcp.bare.example.test",  ns_t_srv,   "B.Example.Test",                    2    },
    {"_mongodb._tcp.short.test",         ns_t_srv,   "a.short.test",                      3    },
    {"_mongodb._tcp.wide.test",          ns_t_srv,   "a.test",                            3    },
    {"_mongodb._tcp.away.example.test",  ns_t_srv,   "a.another.test",                    4    },
    {"_mongodb._tcp.like.example.test",  ns_t_srv,   "a.badexample.test",                 4    },
    {"_mongodb._tcp.top.example.test",   ns_t_srv,   "example.test",                      4    },
    {"_mongodb._tcp.sly.example.test",   ns_t_srv,   "evil:1,x.example.test",             4    },
    {"_mongodb._tcp.open.example.test",  ns_t_srv,   "a.example.test",                    5    },
    {"open.example.test",                ns_t_txt,   "replicaSet=rs0&tls=false",          0    },
    {"_mongodb._tcp.odd.example.test",   ns_t_srv,   "a.example.test",                    5    },
    {"odd.example.test",                 ns_t_txt,   "replicaSet=rs0/?tls",               0    },
    {"_mongodb._tcp.lb.example.test",    ns_t_srv,   "a.example.test",                    5    },
    {"lb.example.test",                  ns_t_txt,   "loadBalanced=true",                 0    },
    {"_mongodb._tcp.both.example.test",  ns_t_srv,   "a.example.test",                    5    },
    {"both.example.test",                ns_t_txt,   "replicaSet=rs0",                    0    },
    {"both.example.test",                ns_t_txt,   "replicaSet=rs1",                    0    },
    {"_mongodb._tcp.alias.example.test", ns_t_srv,   "a.example.test",                    5    },
    {"alias.example.test",               ns_t_cname, "lb.another.test",                   0    },
    {"_mongodb._tcp.wild.example.test",  ns_t_cname, "lb.another.test",                   0    },
    {NULL,                               0,          NULL,                                0    },
};

static void look_up(void *arg)
{
    static const struct {
        const char *plain, *wanted; /* the string, or a part of the message */
    } rows[] = {
        {"mongodb://u:p@c.example.test/",
         "mongodb://u:p@a.example.test:27017/?authSource=people&replicaSet=rs7&"          },
        {"mongodb://u:p@c.example.test?w=1",
         "mongodb://u:p@a.example.test:27017/?authSource=people&replicaSet=rs7&w=1"       },
        {"mongodb://bare.example.test/db?a=b",    "mongodb://B.Example.Test:2/db?a=b"     },
        {"mongodb://short.test/",                 "mongodb://a.short.test:3/?"            },
        {"mongodb://wide.test/",                  "another domain's"                      },
        {"mongodb://u:secret@away.example.test/", "DNS names a.another.test as a member"  },
        {"mongodb://u:secret@like.example.test/", "another domain's"                      },
        {"mongodb://u:secret@top.example.test/",  "another domain's"                      },
        {"mongodb://u:secret@sly.example.test/",  "another domain's"                      },
        {"mongodb://u:secret@open.example.test/", "the TXT record of the cluster open"    },
        {"mongodb://u:secret@odd.example.test/",  "the TXT record of the cluster odd"     },
        {"mongodb://u:secret@lb.example.test/",   "the TXT record of the cluster lb"      },
        {"mongodb://u:secret@both.example.test/", "several TXT records"                   },
        {"mongodb://u:secret@none.example.test/", "DNS knows no cluster none.example.test"},
        {"mongodb://alias.example.test/",         "mongodb://a.example.test:5/?"          },
        {"mongodb://u:secret@wild.example.test/", "DNS knows no cluster wild.example.test"},
    };
    (void)arg;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sl_err err = {0};
        struct sl_buf out;
        sl_buf_init(&out);
        int rc = sl_srv_find(rows[i].plain, sl_deadline_in(5000), &out, &err);
        bool good = strncmp(rows[i].wanted, "mongodb://", 10) == 0;
        EXPECT_INT(rc, good ? SL_OK : SL_CLOSED);
        const char *said = rc == SL_OK ? out.data : err.message;
        if (!EXPECT(good ? !strcmp(said, rows[i].wanted) : strstr(said, rows[i].wanted) != NULL))
            fprintf(stderr, "  %s\n", said);
        EXPECT(rc == SL_OK || !strstr(err.message, "secret"));
        sl_buf_done(&out);
    }
}

static void run(void (*body)(void *))
{
    failures = 0;
    sl_fiber_spawn("test", body, NULL);
    sl_loop_run();
    assert_int_equal(failures, 0);
}

static void test_find(void **state)
{
    (void)state;
    dns_server.rows = zone;
    run(look_up);
}

static void compare_uris(void *arg)
{
    (void)arg;
    struct sl_err err = {0};
    mongoc_uri_t *cluster =
        sl_mongo_uri_new("mongodb+srv://u:p@c.example.test/?replicaSet=mine", &err);
    EXPECT(mongoc_uri_get_tls(cluster)); /* unless it says otherwise */
    mongoc_uri_t *found = sl_mongo_uri_find(cluster, sl_deadline_in(5000), &err);
    if (EXPECT(found != NULL)) {
        EXPECT(mongoc_uri_get_tls(found));
        EXPECT(!strcmp(mongoc_uri_get_hosts(found)->host_and_port, "a.example.test:27017"));
        EXPECT(!strcmp(mongoc_uri_get_replica_set(found), "mine")); /* what is written counts */
        EXPECT(!strcmp(mongoc_uri_get_auth_source(found), "people"));
        EXPECT(!strcmp(mongoc_uri_get_password(found), "p"));
    }
    mongoc_uri_destroy(found);
    mongoc_uri_destroy(cluster);

    cluster = sl_mongo_uri_new("mongodb+srv://bare.example.test/?tls=false", &err);
    found = sl_mongo_uri_find(cluster, sl_deadline_in(5000), &err);
    EXPECT(found && !mongoc_uri_get_tls(found));
    mongoc_uri_destroy(found);
    mongoc_uri_destroy(cluster);
}

static void test_uris(void **state)
{
    (void)state;
    dns_server.rows = zone;
    run(compare_uris);
}

/* --- a cluster --- */

static struct dns_row cluster[4];
static char member[64];

static uint16_t live_port(void)
{
    mongoc_uri_t *uri = mongoc_uri_new(live_url());
    uint16_t port = mongoc_uri_get_hosts(uri)->port;
    mongoc_uri_destroy(uri);
    return port;
}

static void name_members(const char *host)
{
    snprintf(member, sizeof member, "%s", host);
    const struct dns_row rows[] = {
        {"_mongodb._tcp.db.example.test", ns_t_srv, member,      live_port()},
        {member,                          ns_t_a,   "127.0.0.1", 0          },
    };
    memcpy(cluster, rows, sizeof rows);
    dns_server.rows = cluster;
}

static int ping(struct sl_mongo *mongo, uint64_t time_ms, struct sl_err *err)
{
    return sl_mongo_ping(mongo, sl_deadline_in(time_ms), err);
}

static void ping_too(void *arg)
{
    struct sl_err err = {0};
    EXPECT_OK(ping(arg, 20000, &err), &err);
}

static void meet_cluster(void *arg)
{
    (void)arg;
    struct sl_mongo_settings settings = live_settings();
    settings.url = (char *)(uintptr_t) "mongodb+srv://db.example.test/?tls=false";
    struct sl_err err = {0};

    dns_server.rows = NULL; /* away: nothing fails but the command */
    struct sl_mongo *mongo = sl_mongo_new(&settings, &err);
    if (!EXPECT(mongo != NULL))
        return;
    EXPECT_INT(ping(mongo, 200, &err), SL_TIMEOUT);
    EXPECT(strstr(err.message, "_mongodb._tcp.db.example.test"));
    dns_server.rows = zone;
    EXPECT_INT(ping(mongo, 5000, &err), SL_CLOSED);
    EXPECT(strstr(err.message, "DNS knows no cluster db.example.test"));

    sl_fiber_sleep(600); /* the answer is that of the last question for so long */
    name_members("a.example.test");
    unsigned before = dns_server.questions;
    struct sl_fiber *others[3];
    for (size_t i = 0; i < 3; i++)
        others[i] = sl_fiber_spawn_joinable("ping", ping_too, mongo);
    EXPECT_OK(ping(mongo, 20000, &err), &err);
    for (size_t i = 0; i < 3; i++)
        sl_fiber_join(others[i]);
    /* SRV, TXT; A and AAAA of the member, perhaps more than once: what is one answer is asked once
     */
    EXPECT(dns_server.questions - before <= 2 + 8);

    dns_server.rows = NULL; /* who is connected needs no DNS */
    EXPECT_OK(ping(mongo, 5000, &err), &err);
    sl_mongo_free(mongo);
}

/* The cluster has moved: its members have other names. */
static void follow_cluster(void *arg)
{
    (void)arg;
    static const struct dns_row old[] = {
        {"_mongodb._tcp.db.example.test", ns_t_srv, "gone.example.test", 1},
        {"gone.example.test",             ns_t_a,   "127.0.0.1",         0},
        {NULL,                            0,        NULL,                0},
    };
    struct sl_mongo_settings settings = live_settings();
    settings.url = (char *)(uintptr_t) "mongodb+srv://db.example.test/?tls=false";
    struct sl_err err = {0};
    struct sl_mongo *mongo = sl_mongo_new(&settings, &err);
    if (!EXPECT(mongo != NULL))
        return;
    dns_server.rows = old;
    EXPECT_INT(ping(mongo, 10000, &err), SL_CLOSED);
    dns_server.rows = NULL; /* nobody says better: the old ones are tried again */
    sl_fiber_sleep(2100);
    EXPECT_INT(ping(mongo, 10000, &err), SL_CLOSED);
    EXPECT(strstr(err.message, "gone.example.test") || strstr(err.message, "refused"));
    name_members("new.example.test");
    int rc = SL_CLOSED;
    for (uint64_t end_ms = sl_deadline_in(20000); rc != SL_OK && sl_loop_now_ms() < end_ms;) {
        sl_fiber_sleep(100);
        rc = ping(mongo, 5000, &err);
    }
    EXPECT_OK(rc, &err);
    sl_mongo_free(mongo);
}

static void test_moved_cluster(void **state)
{
    (void)state;
    run(follow_cluster);
}

static void test_cluster(void **state)
{
    (void)state;
    run(meet_cluster);
}

static int close_all(void **state)
{
    sl_dns_close();
    return sl_loop_close() || dns_server_stop(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),         cmocka_unit_test(test_find),
        cmocka_unit_test(test_uris),          cmocka_unit_test(test_cluster),
        cmocka_unit_test(test_moved_cluster),
    };
    return cmocka_run_group_tests(tests, dns_server_start, close_all);
}
