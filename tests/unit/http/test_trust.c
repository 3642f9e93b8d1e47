/* The certificates that are trusted: those of the file that is named, else of the system's bundle,
 * and no others, such as lie beside it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/x509_vfy.h>

#include "http/trust.h"

#include <cmocka.h>

static const char BUNDLE[] = "/etc/ssl/certs/ca-certificates.crt";

static int count(const X509_STORE *store)
{
    return sk_X509_OBJECT_num(X509_STORE_get0_objects((X509_STORE *)(uintptr_t)store));
}

static void test_they_are_read_at_the_start(void **state)
{
    struct sl_err err = {0};
    (void)state;
    X509_STORE *named = sl_trust_load(BUNDLE, &err), *system = sl_trust_load(NULL, &err);
    assert_non_null(named);
    assert_non_null(system);
    assert_true(count(named) > 5);
    assert_int_equal(count(system), count(named));
    X509_STORE_free(named);
    X509_STORE_free(system);
}

static void test_a_file_without_any_is_refused(void **state)
{
    struct sl_err err = {0};
    (void)state;
    assert_null(sl_trust_load("/dev/null", &err));
    assert_int_equal(err.code, SL_CONFIG);
    assert_null(sl_trust_load("/there/is/none", &err));
    assert_int_equal(err.code, SL_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_they_are_read_at_the_start),
        cmocka_unit_test(test_a_file_without_any_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
