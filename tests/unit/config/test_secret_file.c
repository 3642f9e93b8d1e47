/* config/secret_file: when a file that holds a secret is worth a warning. */
#include "config/secret_file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { NOBODY = 65534, SOMEBODY = 12345 };

static char folder[] = "/tmp/sluice-secret-XXXXXX";

static const char *at(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void make(const char *name, mode_t mode)
{
    int fd = open(at(name), O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void link_to(const char *target, const char *name)
{
    assert_int_equal(symlink(target, at(name)), 0);
}

static int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    chmod(folder, 0755); /* a user without privileges looks, too */
    mkdir(at("secrets"), 0755);
    mkdir(at("secrets/..2026"), 0755);
    return 0;
}

static int tear_down(void **state)
{
    char command[160];
    (void)state;
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

static void expect(const char *name, const char *word)
{
    char doubt[SL_DOUBT_BYTES] = "";
    bool doubtful = sl_secret_file_doubt(at(name), doubt);
    assert_int_equal(doubtful, word != NULL);
    if (word && (!strstr(doubt, word) || !strstr(doubt, at(name))))
        fail_msg("%s: %s", name, doubt);
}

static void modes_tell_who_may_read(void **state)
{
    static const struct {
        const char *name, *word;
        mode_t mode;
    } rows[] = {
        {"own",        NULL,                                  0600},
        {"read-only",  NULL,                                  0400},
        {"group",      "chmod g-r",                           0640},
        {"everybody",  "every user of this machine may read", 0644},
        {"others",     "every user of this machine may read", 0604},
        {"group-may",  "may change",                          0620},
        {"others-may", "may change",                          0602},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        make(rows[i].name, rows[i].mode);
        expect(rows[i].name, rows[i].word);
    }
    expect("none", NULL); /* opening it says that */
}

static void links_may_not_leave_their_folder(void **state)
{
    char away[128];
    (void)state;
    make("outside", 0600);
    make("secrets/..2026/token", 0600);
    make("secrets/plain", 0600);
    snprintf(away, sizeof away, "%s/outside", folder);
    link_to("..2026", "secrets/..data"); /* as Kubernetes does it */
    link_to("..data/token", "secrets/token");
    link_to(away, "secrets/away");
    link_to("../outside", "secrets/up");
    link_to("nowhere", "secrets/dangling");
    link_to("secrets", "secrets-too"); /* the folder itself may be one */
    expect("secrets/plain", NULL);
    expect("secrets/token", NULL);
    expect("secrets-too/plain", NULL);
    expect("secrets/dangling", NULL);
    expect("secrets/away", "out of its folder");
    expect("secrets/up", "out of its folder");
}

/* Only root can give files away; without that, the one case that any user has. */
static void owners_may_change_them(void **state)
{
    static const char *const of_root = "/etc/passwd";
    char doubt[SL_DOUBT_BYTES];
    (void)state;
    assert_true(sl_secret_file_doubt(of_root, doubt)); /* readable by all */
    if (geteuid() != 0)
        return;
    make("theirs", 0600);
    assert_int_equal(chown(at("theirs"), SOMEBODY, SOMEBODY), 0);
    expect("theirs", "belongs to another user (12345)");

    make("by-group", 0640); /* root's, read by way of the group */
    assert_int_equal(chown(at("by-group"), 0, NOBODY), 0);
    make("mine", 0600);
    assert_int_equal(chown(at("mine"), NOBODY, NOBODY), 0);
    assert_int_equal(seteuid(NOBODY), 0);
    expect("by-group", NULL);
    expect("mine", NULL);
    expect("theirs", "belongs to another user");
    assert_int_equal(seteuid(0), 0);
}

/* systemd gives them to the unit's user, and to root alone who tries the unit's configuration. */
static void credentials_are_the_affair_of_the_service_manager(void **state)
{
    char credentials[128];
    (void)state;
    mkdir(at("credentials"), 0755);
    mkdir(at("credentials/deeper"), 0755);
    mkdir(at("credentials-not"), 0755);
    make("credentials/key", 0644);
    make("credentials/deeper/key", 0644);
    make("credentials-not/key", 0644);
    expect("credentials/key", "every user of this machine may read");
    snprintf(credentials, sizeof credentials, "%s", at("credentials"));
    setenv("CREDENTIALS_DIRECTORY", credentials, 1);
    expect("credentials/key", NULL);
    expect("credentials/deeper/key", "every user of this machine may read");
    expect("credentials-not/key", "every user of this machine may read");
    unsetenv("CREDENTIALS_DIRECTORY");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modes_tell_who_may_read),
        cmocka_unit_test(links_may_not_leave_their_folder),
        cmocka_unit_test(credentials_are_the_affair_of_the_service_manager),
        cmocka_unit_test(owners_may_change_them),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
