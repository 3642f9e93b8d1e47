/* ops/notify: what a service manager hears. */
#include "ops/notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

/* A manager that listens at name, "@…" or a path. */
static int listen_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", name);
    if (*name == '@')
        address.sun_path[0] = 0;
    assert_int_equal(bind(fd, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
                     0);
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

static const char *hear(int fd)
{
    static char text[256];
    ssize_t length = recv(fd, text, sizeof text - 1, 0);
    text[length < 0 ? 0 : length] = 0;
    return text;
}

static void test_told(void **state)
{
    char path[64], abstract[64];
    snprintf(path, sizeof path, "/tmp/sluice-notify-%d", (int)getpid());
    snprintf(abstract, sizeof abstract, "@sluice-notify-%d", (int)getpid());
    const char *const names[] = {path, abstract};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        int fd = listen_at(names[i]);
        sl_notify("READY=1");
        assert_string_equal(hear(fd), "READY=1");
        sl_notify_reloading();
        static const char reloading[] = "RELOADING=1\nMONOTONIC_USEC=";
        const char *heard = hear(fd);
        assert_memory_equal(heard, reloading, sizeof reloading - 1);
        assert_true(strtoull(heard + sizeof reloading - 1, NULL, 10) > 0);
        close(fd);
    }
    unlink(path);
}

static void test_nobody_listens(void **state)
{
    char longer[200];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    const char *const names[] = {"", "@", "/tmp/there is no such socket", longer, "@nobody's"};
    int next = dup(STDERR_FILENO);
    (void)state;
    close(next);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        setenv("NOTIFY_SOCKET", names[i], 1);
        sl_notify("READY=1");
    }
    unsetenv("NOTIFY_SOCKET");
    sl_notify("READY=1");
    assert_int_equal(dup(STDERR_FILENO), next); /* no descriptor is left open */
    close(next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_told),
        cmocka_unit_test(test_nobody_listens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
