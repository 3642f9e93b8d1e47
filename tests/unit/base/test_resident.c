/* base/resident: pages that were only needed once are not held, and can be used again. */
#include "base/resident.h"

#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What is held of files, in KiB. */
static long held(void)
{
    char line[200];
    long size = -1;
    FILE *status = fopen("/proc/self/status", "r");
    assert_non_null(status);
    while (fgets(line, sizeof line, status))
        if (strncmp(line, "RssFile:", 8) == 0)
            size = strtol(line + 8, NULL, 10);
    fclose(status);
    return size;
}

/* Reads a byte of each page of the libraries' code; gives their sum. */
static int touch(struct dl_phdr_info *object, size_t size, void *ctx)
{
    enum { PAGE = 4096 };
    unsigned *sum = ctx;
    (void)size;
    if (!strstr(object->dlpi_name, ".so"))
        return 0;
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || part->p_flags & PF_W)
            continue;
        const unsigned char *at = (const unsigned char *)(object->dlpi_addr + part->p_vaddr);
        for (size_t offset = 0; offset < part->p_memsz; offset += PAGE)
            *sum += at[offset];
    }
    return 0;
}

static void test_release(void **state)
{
    unsigned before = 0, after = 0;
    (void)state;
    dl_iterate_phdr(touch, &before);
    long much = held();
    sl_resident_release();
    long less = held();
    dl_iterate_phdr(touch, &after);
    assert_true(much > 0 && less < much - 1024);
    assert_int_equal(after, before);
    assert_true(held() > less + 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_release)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
