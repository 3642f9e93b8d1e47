/* The configuration, with all that the program knows: a file is taken, or every problem has a place
 * and a text. No files are read but the configuration itself: inputs with ${file:…} are passed
 * over. */
#include <sys/mman.h>
#include <unistd.h>

#include "cli/registry.h"
#include "config/config.h"
#include "config/settings.h"

#include "fuzz.h"

/* Reading whatever path an input names would make runs differ, and block on devices. */
static bool names_a_file(const uint8_t *data, size_t size)
{
    return memmem(data, size, "file:", 5) || memmem(data, size, "\\u", 2);
}

static void check_problems(const struct sl_problems *problems)
{
    static FILE *nowhere;
    if (!nowhere)
        nowhere = fopen("/dev/null", "w");
    if (!nowhere) /* starving */
        return;
    for (unsigned i = 0; i < problems->count; i++)
        FUZZ_REQUIRE(problems->item[i].text && *problems->item[i].text);
    FUZZ_REQUIRE(problems->count + problems->dropped >= problems->errors);
    sl_problems_print(problems, nowhere);
}

/* Every time that a schedule gives lies behind the one that it was asked for. */
static void check_schedule(const struct sl_schedule *schedule)
{
    static const int64_t moments[] = {0, 951827696789, 1735689599999, 253402300799000};
    if (!schedule->every_ms && !schedule->minutes)
        return;
    for (size_t i = 0; i < sizeof moments / sizeof *moments; i++) {
        int64_t next = sl_schedule_next(schedule, moments[i]);
        FUZZ_REQUIRE(next == -1 || next > moments[i]);
    }
}

static void check_config(const struct sl_config *config)
{
    size_t entities = 0;
    for (size_t i = 0; i < config->feed_count; i++) {
        const struct sl_feed_config *feed = &config->feeds[i];
        check_schedule(&feed->schedule);
        entities += feed->entity_count;
        for (size_t j = 0; j < feed->entity_count; j++)
            FUZZ_REQUIRE(sl_config_route(config, feed->name, feed->entities[j].route));
    }
    FUZZ_REQUIRE(!sl_config_route(config, "vendors", "no such route"));
    FUZZ_REQUIRE(sl_config_entity_count(config) == entities);
}

static int parse(const uint8_t *data, size_t size)
{
    struct sl_config *config = NULL;
    struct sl_problems problems;
    sl_problems_init(&problems);
    int rc = sl_config_parse("sluice.jsonc", (const char *)data, size, &sl_registry_shape, &config,
                             &problems);
    if (rc == SL_OK) {
        FUZZ_REQUIRE(config && !problems.errors);
        check_config(config);
        sl_config_free(config);
    } else {
        FUZZ_REQUIRE(rc == SL_CONFIG && problems.errors && problems.count);
    }
    check_problems(&problems);
    sl_problems_done(&problems);
    return rc;
}

/* As a file: the same answer. The section of one command is read without the others. */
static void load(const uint8_t *data, size_t size, int expected)
{
    static int file = -1;
    static char path[40];
    struct sl_config *config = NULL;
    struct sl_problems problems;
    struct sl_settings settings = {0};
    const struct sl_config_section *ops = sl_registry_section("ops");
    if (file < 0) {
        file = memfd_create("sluice.jsonc", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    }
    FUZZ_REQUIRE(!ftruncate(file, 0) && pwrite(file, data, size, 0) == (ssize_t)size);
    sl_problems_init(&problems);
    FUZZ_REQUIRE(sl_config_load(path, &sl_registry_shape, &config, &problems) == expected);
    sl_config_free(config);
    check_problems(&problems);
    sl_problems_done(&problems);

    sl_problems_init(&problems);
    int rc = sl_config_load_section(size & 4 ? path : "/", ops, &settings.ops, &problems);
    FUZZ_REQUIRE(rc == SL_OK || problems.errors);
    sl_settings_done(ops->table, &settings.ops);
    check_problems(&problems);
    sl_problems_done(&problems);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (names_a_file(data, size))
        return 0;
    int rc = parse(data, size);
    if (size % 4 == 0) /* system calls cost more than the rest */
        load(data, size, rc);
    return 0;
}
