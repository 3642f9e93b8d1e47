#include "config/substitute.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

enum { FILE_MAX_BYTES = 64 * 1024, NAME_MAX_BYTES = 256 };

static int add_variable(const char *name, struct sl_buf *out, struct sl_err *err)
{
    static const char LETTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    if (!*name || name[strspn(name, LETTERS)])
        return sl_err_set(
            err, SL_CONFIG,
            "a \"${…}\" in it is neither ${VARIABLE}, ${file:/path} nor "
            "${credential:name} (write $$ for a dollar sign)"); /* not shown: it may be part of a
                                                                   password */
    const char *value = getenv(name);
    if (!value)
        return sl_err_set(err, SL_CONFIG, "the environment variable %s is not set", name);
    if (!sl_utf8_valid(value, strlen(value)))
        return sl_err_set(err, SL_CONFIG, "the environment variable %s is not UTF-8", name);
    sl_buf_add_text(out, value);
    return SL_OK;
}

/* Reads the open file into out. */
static int read_all(int fd, const char *path, struct sl_buf *out, struct sl_err *err)
{
    size_t start = out->length;
    for (;;) {
        char *room = sl_buf_reserve(out, 4096);
        ssize_t got = read(fd, room, 4096);
        if (got < 0)
            return sl_err_set(err, SL_CONFIG, "cannot read \"%s\": %s", path, strerror(errno));
        if (got == 0)
            break;
        sl_buf_commit(out, (size_t)got);
        if (out->length - start > FILE_MAX_BYTES)
            return sl_err_set(err, SL_CONFIG, "\"%s\" is larger than 64 KiB: not a value", path);
    }
    if (out->length > start && out->data[out->length - 1] == '\n')
        out->data[--out->length] = '\0';
    if (out->length > start && out->data[out->length - 1] == '\r')
        out->data[--out->length] = '\0';
    if (memchr(out->data + start, '\0', out->length - start) ||
        !sl_utf8_valid(out->data + start, out->length - start))
        return sl_err_set(err, SL_CONFIG, "\"%s\" does not hold text in UTF-8", path);
    return SL_OK;
}

static int add_file(const char *path, struct sl_buf *out, struct sl_substituted *ret,
                    struct sl_err *err)
{
    if (*path != '/')
        return sl_err_set(err, SL_CONFIG, "\"${file:%s}\" needs an absolute path", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not stop us */
    if (fd < 0)
        return sl_err_set(err, SL_CONFIG, "cannot open \"%s\": %s", path, strerror(errno));
    struct stat about;
    int rc = SL_OK;
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode))
        rc = sl_err_set(err, SL_CONFIG, "\"%s\" is not a regular file", path);
    else
        rc = read_all(fd, path, out, err);
    close(fd);
    if (rc == SL_OK && !*ret->doubt)
        sl_secret_file_doubt(path, ret->doubt);
    return rc;
}

static int add_credential(const char *name, struct sl_buf *out, struct sl_substituted *ret,
                          struct sl_err *err)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    char path[PATH_MAX];
    if (!folder || *folder != '/')
        return sl_err_set(err, SL_CONFIG,
                          "there is no credential \"%s\": CREDENTIALS_DIRECTORY is not set, as "
                          "systemd does for a unit with LoadCredential=",
                          name);
    if (!*name || *name == '.' || strchr(name, '/'))
        return sl_err_set(err, SL_CONFIG, "\"%s\" is not the name of a credential", name);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return add_file(path, out, ret, err);
}

/* The inside of a ${…}. */
static int add_outside(const char *name, struct sl_buf *out, struct sl_substituted *ret,
                       struct sl_err *err)
{
    static const char FILE_IS[] = "file:", CREDENTIAL_IS[] = "credential:";
    ret->outside = true;
    if (!strncmp(name, FILE_IS, sizeof FILE_IS - 1))
        return add_file(name + sizeof FILE_IS - 1, out, ret, err);
    if (!strncmp(name, CREDENTIAL_IS, sizeof CREDENTIAL_IS - 1))
        return add_credential(name + sizeof CREDENTIAL_IS - 1, out, ret, err);
    return add_variable(name, out, err);
}

int sl_substitute(struct sl_str text, struct sl_buf *out, struct sl_substituted *ret,
                  struct sl_err *err)
{
    const char *at = text.at, *end = text.at + text.length;
    *ret = (struct sl_substituted){0};
    sl_buf_add(out, "", 0); /* so that even an empty value has its NUL */
    while (at < end) {
        const char *dollar = memchr(at, '$', (size_t)(end - at));
        if (!dollar || dollar + 1 == end) {
            sl_buf_add(out, at, (size_t)(end - at));
            break;
        }
        sl_buf_add(out, at, (size_t)(dollar - at));
        at = dollar + 2;
        if (dollar[1] == '$') {
            sl_buf_add_char(out, '$');
            continue;
        }
        if (dollar[1] != '{') { /* a dollar sign that means itself */
            at = dollar + 1;
            sl_buf_add_char(out, '$');
            continue;
        }
        const char *close_brace = memchr(at, '}', (size_t)(end - at));
        if (!close_brace)
            return sl_err_set(err, SL_CONFIG,
                              "a \"${\" in it has no \"}\" (write $$ for a dollar sign)");
        char name[NAME_MAX_BYTES];
        if ((size_t)(close_brace - at) >= sizeof name)
            return sl_err_set(err, SL_CONFIG, "the name between \"${\" and \"}\" is too long");
        memcpy(name, at, (size_t)(close_brace - at));
        name[close_brace - at] = '\0';
        int rc = add_outside(name, out, ret, err);
        if (rc != SL_OK)
            return rc;
        at = close_brace + 1;
    }
    return SL_OK;
}
