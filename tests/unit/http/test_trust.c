/* The certificates that are trusted: those of the file that is named, else of the system's bundle,
 * and no others, such as lie beside it. */
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "certificate.h"
#include "harness.h"
#include "http/trust.h"

static const char BUNDLE[] = "/etc/ssl/certs/ca-certificates.crt";

static int count(X509_STORE *store)
{
    return sk_X509_OBJECT_num(X509_STORE_get0_objects(store));
}

/* The system's are read while others have their turn. */
static void read_both(void *arg)
{
    X509_STORE *named = NULL, *system = NULL;
    unsigned *turns = arg;
    *turns = 0;
    EXPECT_INT(sl_trust_load(BUNDLE, &named, NULL), SL_OK);
    EXPECT_INT(*turns, 0);
    EXPECT_INT(sl_trust_load(NULL, &system, NULL), SL_OK);
    EXPECT(*turns > 2);
    EXPECT(count(named) > 5);
    EXPECT_INT(count(system), count(named));
    *turns = UINT_MAX;
    X509_STORE_free(named);
    X509_STORE_free(system);
}

static void count_turns(void *arg)
{
    unsigned *turns = arg;
    while (*turns != UINT_MAX) {
        ++*turns;
        sl_fiber_yield();
    }
}

static void test_named_at_once_and_the_systems_by_and_by(void **state)
{
    unsigned turns;
    (void)state;
    sl_fiber_spawn("read", read_both, &turns);
    run_fiber(count_turns, &turns);
}

static void be_cancelled(void *arg)
{
    X509_STORE *store = NULL;
    (void)arg;
    sl_fiber_cancel(sl_fiber_self());
    EXPECT_INT(sl_trust_load(NULL, &store, NULL), SL_CANCELED);
    EXPECT(!store);
}

static void test_cancelled_while_reading(void **state)
{
    (void)state;
    run_fiber(be_cancelled, NULL);
}

/* Writes a file of a certificate, its key, once more as "trusted", and that last one without its
 * end when it is to be damaged. */
static void write_mixture(const char *path, bool damaged)
{
    struct pair pair = make_pair("one", 0), other = make_pair("other", 0);
    FILE *file = fopen(path, "w");
    fputs("Words before are not read.\n", file);
    PEM_write_X509(file, pair.certificate);
    PEM_write_PrivateKey(file, pair.key, NULL, NULL, 0, NULL, NULL);
    PEM_write_X509_AUX(file, other.certificate);
    if (damaged)
        assert_int_equal(fflush(file) || ftruncate(fileno(file), ftell(file) - 60), 0);
    fclose(file);
    free_pair(pair);
    free_pair(other);
}

static void test_certificates_among_other_things(void **state)
{
    char path[] = "/tmp/sluice-test-trust-XXXXXX";
    X509_STORE *store = NULL;
    (void)state;
    close(mkstemp(path));
    write_mixture(path, false);
    assert_int_equal(sl_trust_load(path, &store, NULL), SL_OK);
    assert_int_equal(count(store), 2);
    X509_STORE_free(store);
    unlink(path);
}

static void test_what_cannot_be_read_is_refused(void **state)
{
    char damaged[] = "/tmp/sluice-test-trust-XXXXXX", key[] = "/tmp/sluice-test-trust-XXXXXX";
    const char *const files[] = {"/dev/null", "/there/is/none", "/", damaged, key};
    struct pair pair = make_pair("one", 0);
    X509_STORE *store = NULL;
    (void)state;
    close(mkstemp(damaged));
    write_mixture(damaged, true);
    close(mkstemp(key));
    write_key(pair.key, key);
    free_pair(pair);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct sl_err err = {0};
        assert_int_equal(sl_trust_load(files[i], &store, &err), SL_CONFIG);
        assert_non_null(strstr(err.message, files[i]));
        assert_null(store);
    }
    unlink(damaged);
    unlink(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_named_at_once_and_the_systems_by_and_by),
        cmocka_unit_test(test_cancelled_while_reading),
        cmocka_unit_test(test_certificates_among_other_things),
        cmocka_unit_test(test_what_cannot_be_read_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
