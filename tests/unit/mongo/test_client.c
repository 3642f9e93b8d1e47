/* The client against a real server: commands, errors, many fibers, a server that stands still. */
#include "mongo/live.h"

#include <dirent.h>
#include <dlfcn.h>
#include <signal.h>

/* --- ordinary work --- */

static void do_commands(struct sl_mongo *mongo)
{
    struct sl_err err = {0};
    bson_t document;
    EXPECT_OK(sl_mongo_ping(mongo, sl_deadline_in(10000), &err), &err);
    live_run(mongo, live_data,
             "{\"insert\": \"c\", \"documents\": [{\"_id\": \"a\", \"n\": {\"x\": 7}}, {\"_id\": "
             "\"b\"}]}",
             NULL);

    bson_t *find = BCON_NEW("find", "c", "sort", "{", "_id", BCON_INT32(1), "}");
    if (EXPECT_OK(sl_mongo_first(mongo, live_data, find, &document, sl_deadline_in(10000), &err),
                  &err)) {
        EXPECT_INT(sl_field_int64(&document, "n.x", -1), 7);
        EXPECT_INT(sl_field_int64(&document, "n.y", -1), -1);
        bson_destroy(&document);
    }
    bson_destroy(find);

    find = BCON_NEW("find", "c", "filter", "{", "_id", "nobody", "}");
    EXPECT_INT(sl_mongo_first(mongo, live_data, find, &document, sl_deadline_in(10000), &err),
               SL_NOTFOUND);
    bson_destroy(find);
}

static void test_commands(void **state)
{
    (void)state;
    live(do_commands);
}

static void expect_failure(struct sl_mongo *mongo, const char *json, int wanted, int cause,
                           const char *part)
{
    struct sl_err err = {0};
    bson_t reply, *command = bson_new_from_json((const uint8_t *)json, -1, NULL);
    int rc = sl_mongo_write(mongo, live_data, command, &reply, sl_deadline_in(10000), &err);
    EXPECT_INT(rc, wanted);
    EXPECT_INT(err.cause, cause);
    if (!EXPECT(strstr(err.message, part) != NULL))
        fprintf(stderr, "  message: %s\n", err.message);
    EXPECT(strstr(err.message, "4711") == NULL); /* no value of a row */
    bson_destroy(&reply);
    bson_destroy(command);
}

static void do_failures(struct sl_mongo *mongo)
{
    live_run(mongo, live_data, "{\"insert\": \"c\", \"documents\": [{\"_id\": 4711}]}", NULL);
    expect_failure(mongo, "{\"nonsense\": 1}", SL_CONFIG, 59, "no such command");
    expect_failure(mongo, "{\"insert\": \"c\", \"documents\": [{\"_id\": 4711}]}", SL_REJECTED,
                   11000, "index: _id_");
    expect_failure(
        mongo,
        "{\"findAndModify\": \"c\", \"query\": {\"_id\": 1}, \"upsert\": true, \"update\": "
        "{\"$set\": {\"_id\": 4711}}}",
        SL_REJECTED, 66, "_id");
    expect_failure(
        mongo,
        "{\"insert\": \"c\", \"documents\": [{\"_id\": 1}], \"writeConcern\": {\"w\": 9, "
        "\"wtimeout\": 1}}",
        SL_CLOSED, 100, "MongoDB insert");
    live_run(mongo, live_data, "{\"ping\": 1}", NULL);
}

static void test_failures(void **state)
{
    (void)state;
    live(do_failures);
}

/* --- many fibers, few clients --- */

struct crowd {
    struct sl_mongo *mongo;
    struct sl_waitlist done;
    int left, good;
};

static void one_of_crowd(void *arg)
{
    struct crowd *crowd = arg;
    struct sl_err err = {0};
    for (int i = 0; i < 5; i++)
        crowd->good += EXPECT_OK(sl_mongo_ping(crowd->mongo, sl_deadline_in(20000), &err), &err);
    if (--crowd->left == 0)
        sl_wake_all(&crowd->done);
}

static void do_crowd(struct sl_mongo *mongo)
{
    struct crowd crowd = {.mongo = mongo, .left = 40};
    for (int i = 0; i < 40; i++)
        sl_fiber_spawn("crowd", one_of_crowd, &crowd);
    while (crowd.left)
        sl_wait(&crowd.done, SL_FOREVER);
    EXPECT_INT(crowd.good, 200);
}

static void test_crowd(void **state)
{
    (void)state;
    live(do_crowd);
}

/* --- a server that stands still --- */

static pid_t server_pid(struct sl_mongo *mongo)
{
    bson_t reply;
    live_run(mongo, "admin", "{\"serverStatus\": 1}", &reply);
    pid_t pid = (pid_t)sl_field_int64(&reply, "pid", 0);
    bson_destroy(&reply);
    return pid;
}

/* Whether every thread of the process stands still: a thread notices SIGSTOP in its own time. */
static bool all_stopped(pid_t pid)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    bool stopped = tasks != NULL;
    for (const struct dirent *task; stopped && (task = readdir(tasks));) {
        if (task->d_name[0] == '.')
            continue;
        char stat_path[sizeof path + sizeof task->d_name + 8];
        snprintf(stat_path, sizeof stat_path, "%s/%s/stat", path, task->d_name);
        FILE *stat = fopen(stat_path, "r");
        if (!stat)
            continue; /* it has ended */
        const char *state = fgets(line, sizeof line, stat) ? strrchr(line, ')') : NULL;
        stopped = !state || state[2] == 'T';
        fclose(stat);
    }
    if (tasks)
        closedir(tasks);
    return stopped;
}

static void stop_server(pid_t pid)
{
    kill(pid, SIGSTOP);
    for (int tries = 0; !all_stopped(pid) && tries < 5000; tries++)
        usleep(1000);
    EXPECT(all_stopped(pid));
}

/* The longest time for which the loop stood still meanwhile. */
static uint64_t ping_a_stopped(struct sl_mongo *mongo, pid_t pid)
{
    struct sl_err err = {0};
    stop_server(pid);
    sl_loop_delay_watch(5);
    live_worst_delay_ms();

    uint64_t start_ms = sl_loop_now_ms();
    EXPECT_INT(sl_mongo_ping(mongo, sl_deadline_in(600), &err), SL_TIMEOUT);
    uint64_t took_ms = sl_loop_now_ms() - start_ms;
    EXPECT(took_ms >= 550 && took_ms < 5000);

    /* A new connection is accepted by the kernel, and nobody answers on it. */
    start_ms = sl_loop_now_ms();
    EXPECT_INT(sl_mongo_ping(mongo, sl_deadline_in(600), &err), SL_TIMEOUT);
    EXPECT(sl_loop_now_ms() - start_ms < 5000);
    kill(pid, SIGCONT);

    EXPECT_OK(sl_mongo_ping(mongo, sl_deadline_in(20000), &err), &err);
    return live_worst_delay_ms();
}

static void do_standstill(struct sl_mongo *mongo)
{
    uint64_t worst_ms = UINT64_MAX;
    pid_t pid = server_pid(mongo);
    if (!EXPECT(pid > 1))
        return;
    /* A blocking wait would be 600; the machine may stand still in one. */
    for (int tries = 0; tries < 3 && worst_ms >= 400; tries++)
        worst_ms = ping_a_stopped(mongo, pid);
    if (!EXPECT(worst_ms < 400))
        fprintf(stderr, "  the loop stood still for %llu ms\n", (unsigned long long)worst_ms);
}

static void test_standstill(void **state)
{
    (void)state;
    live(do_standstill);
}

/* --- cancelling --- */

struct patient {
    struct sl_mongo *mongo;
    int rc;
    uint64_t ended_ms;
};

static void wait_long(void *arg)
{
    struct patient *patient = arg;
    bson_t reply;
    bson_t *command =
        BCON_NEW("find", "slow", "filter", "{", "$where", "sleep(30000) || true", "}");
    patient->rc =
        sl_mongo_command(patient->mongo, live_data, command, &reply, sl_deadline_in(25000), NULL);
    patient->ended_ms = sl_loop_now_ms();
    bson_destroy(&reply);
    bson_destroy(command);
}

static void do_cancel(struct sl_mongo *mongo)
{
    struct patient patient = {.mongo = mongo};
    live_run(mongo, live_data, "{\"insert\": \"slow\", \"documents\": [{\"_id\": 1}]}", NULL);
    struct sl_fiber *fiber = sl_fiber_spawn_joinable("patient", wait_long, &patient);
    sl_fiber_sleep(300);
    uint64_t cancelled_ms = sl_loop_now_ms();
    sl_fiber_cancel(fiber);
    sl_fiber_join(fiber);
    EXPECT_INT(patient.rc, SL_CANCELED);
    EXPECT(patient.ended_ms - cancelled_ms < 10000); /* it would have waited for 25 s */
}

static void test_cancel(void **state)
{
    (void)state;
    live(do_cancel);
}

/* --- the driver's own sleeps --- */

/* Before 1.26 the driver's exported function is replaced; the dynamic linker must find ours first.
 */
static void do_usleep(void *arg)
{
    (void)arg;
#if !MONGOC_CHECK_VERSION(1, 26, 0)
    void (*driver_usleep)(int64_t usec);
    void *symbol = dlsym(RTLD_DEFAULT, "_mongoc_usleep");
    if (!EXPECT(symbol != NULL))
        return;
    memcpy(&driver_usleep, &symbol, sizeof driver_usleep);
    sl_loop_delay_watch(5);
    sl_fiber_sleep(20);
    uint64_t worst_ms = UINT64_MAX;
    for (int tries = 0; tries < 3 && worst_ms >= 350; tries++) { /* as above */
        live_worst_delay_ms();
        uint64_t start_ms = sl_loop_now_ms();
        driver_usleep(400000);
        EXPECT(sl_loop_now_ms() - start_ms >= 399);
        worst_ms = live_worst_delay_ms();
    }
    EXPECT(worst_ms < 350); /* it would be 400 */
    sl_loop_delay_watch(0);
#endif
}

static void test_usleep(void **state)
{
    (void)state;
    failures = 0;
    sl_fiber_spawn("usleep", do_usleep, NULL);
    sl_loop_run();
    assert_int_equal(sl_loop_close(), 0);
    sl_metric_free_all();
    assert_int_equal(failures, 0);
}

/* --- nobody there --- */

static void try_absent(void *arg)
{
    (void)arg;
    struct sl_err err = {0};
    struct sl_mongo_settings settings = {.url = "mongodb://user:secret@127.0.0.1:1/?replicaSet=rs0",
                                         .max_clients = 2};
    struct sl_mongo *mongo = sl_mongo_new(&settings, &err);
    uint64_t start_ms = sl_loop_now_ms();
    EXPECT_INT(sl_mongo_ping(mongo, sl_deadline_in(20000), &err), SL_CLOSED);
    EXPECT(sl_loop_now_ms() - start_ms < 15000);
    EXPECT(strstr(err.message, "127.0.0.1:1") != NULL);
    EXPECT(strstr(err.message, "secret") == NULL);
    sl_mongo_free(mongo);
}

static void test_absent(void **state)
{
    (void)state;
    failures = 0;
    sl_fiber_spawn("absent", try_absent, NULL);
    sl_loop_run();
    assert_int_equal(sl_loop_close(), 0);
    assert_int_equal(failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands), cmocka_unit_test(test_failures),
        cmocka_unit_test(test_crowd),    cmocka_unit_test(test_standstill),
        cmocka_unit_test(test_cancel),   cmocka_unit_test(test_absent),
        cmocka_unit_test(test_usleep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
