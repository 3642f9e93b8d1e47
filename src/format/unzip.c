/* Zip packages by libarchive. Three things it leaves to its caller are done here: damage that it
 * calls a warning (a wrong CRC or size) is an error; names are read in a UTF-8 locale whatever the
 * process has; and a streamed zip must end with its directory, which must count as many entries and
 * bytes as came by, because libarchive skips over what it does not recognise. */
#include "format/unzip.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "format/zip_tail.h"

enum { DISCARD_BYTES = 16 * 1024 };

struct sl_unzip {
    struct archive *archive;
    sl_unzip_read_fn read;
    sl_unzip_seek_fn seek; /* NULL: streaming */
    void *ctx;
    int64_t size, at; /* seekable: of the zip; where the next read begins */
    uint64_t inflated, max_inflated;
    uint64_t entries,
        told; /* what has come by: entries, and their bytes, which most headers tell */
    struct sl_zip_tail tail;
    char *name;
    bool opened, ended, in_entry;
    bool sized; /* the entry's header told its size: libarchive can skip it without inflating */
    bool callback_failed;
    bool in_locale; /* this thread has our locale at the moment */
    locale_t before;
};

/* Made once, and kept: each making reads files of the system. */
static locale_t utf8;

/* libarchive converts names through the thread's locale. Fibers share the thread, so it is put back
 * whenever the callback may suspend. */
static void enter_locale(struct sl_unzip *unzip)
{
    if (!utf8)
        return;
    unzip->before = uselocale(utf8);
    unzip->in_locale = true;
}

static void leave_locale(struct sl_unzip *unzip)
{
    if (unzip->in_locale)
        uselocale(unzip->before);
    unzip->in_locale = false;
}

/* The caller's read, outside our locale. */
static ssize_t call_read(struct sl_unzip *unzip, const void **ret_bytes)
{
    bool inside = unzip->in_locale;
    leave_locale(unzip);
    ssize_t size = unzip->callback_failed ? -1 : unzip->read(unzip->ctx, ret_bytes);
    if (inside)
        enter_locale(unzip);
    if (size < 0)
        unzip->callback_failed = true;
    else if (!unzip->seek)
        sl_zip_tail_add(&unzip->tail, *ret_bytes, (size_t)size);
    else
        unzip->at += size;
    return size;
}

static la_ssize_t on_read(struct archive *archive, void *ctx, const void **ret_bytes)
{
    ssize_t size = call_read(ctx, ret_bytes);
    if (size >= 0)
        return size;
    archive_set_error(archive, EIO, "the package's bytes do not come");
    return ARCHIVE_FATAL;
}

static la_int64_t on_seek(struct archive *archive, void *ctx, la_int64_t offset, int whence)
{
    struct sl_unzip *unzip = ctx;
    int64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? unzip->at : unzip->size;
    if (offset < -base || offset > unzip->size - base) {
        archive_set_error(archive, EINVAL, "it points outside of itself");
        return ARCHIVE_FATAL;
    }
    int64_t target = base + offset;
    if (target != unzip->at && unzip->seek(unzip->ctx, target) < 0) {
        unzip->callback_failed = true;
        archive_set_error(archive, EIO, "the package's bytes do not come");
        return ARCHIVE_FATAL;
    }
    unzip->at = target;
    return target;
}

static la_int64_t on_skip(struct archive *archive, void *ctx, la_int64_t count)
{
    struct sl_unzip *unzip = ctx;
    int64_t left = unzip->size - unzip->at, before = unzip->at;
    if (count > left)
        count = left;
    if (count <= 0 || on_seek(archive, ctx, count, SEEK_CUR) < 0)
        return 0;
    return unzip->at - before;
}

static struct sl_unzip *make(sl_unzip_read_fn read, sl_unzip_seek_fn seek, void *ctx,
                             uint64_t max_inflated_bytes)
{
    struct sl_unzip *unzip = SL_NEW(struct sl_unzip);
    unzip->read = read;
    unzip->seek = seek;
    unzip->ctx = ctx;
    unzip->max_inflated = max_inflated_bytes;
    if (!utf8)
        utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    unzip->archive = archive_read_new();
    if (!unzip->archive)
        sl_out_of_memory(0);
    return unzip;
}

struct sl_unzip *sl_unzip_new(sl_unzip_read_fn read, void *ctx, uint64_t max_inflated_bytes)
{
    struct sl_unzip *unzip = make(read, NULL, ctx, max_inflated_bytes);
    archive_read_support_format_zip_streamable(unzip->archive);
    return unzip;
}

struct sl_unzip *sl_unzip_new_seekable(sl_unzip_read_fn read, sl_unzip_seek_fn seek, void *ctx,
                                       int64_t size_bytes, uint64_t max_inflated_bytes)
{
    struct sl_unzip *unzip = make(read, seek, ctx, max_inflated_bytes);
    unzip->size = size_bytes;
    archive_read_support_format_zip_seekable(unzip->archive);
    archive_read_set_seek_callback(unzip->archive, on_seek);
    archive_read_set_skip_callback(unzip->archive, on_skip);
    return unzip;
}

void sl_unzip_free(struct sl_unzip *unzip)
{
    if (!unzip)
        return;
    archive_read_free(unzip->archive);
    sl_zip_tail_done(&unzip->tail);
    free(unzip->name);
    free(unzip);
}

/* What libarchive complains of, as our error. */
static int broken(struct sl_unzip *unzip, struct sl_err *err)
{
    unzip->ended = true;
    if (unzip->callback_failed)
        return sl_err_set(err, SL_CLOSED, "the package's bytes do not come");
    const char *text = archive_error_string(unzip->archive);
    if (!text || strstr(text, "Unrecognized archive format"))
        text = "it is truncated, or no zip at all";
    const char *where = unzip->in_entry && unzip->name ? unzip->name : NULL;
    return sl_err_set(err, SL_REJECTED, "broken zip%s%.80s%s: %s", where ? ", in '" : "",
                      where ? where : "", where ? "'" : "", text);
}

static int open_archive(struct sl_unzip *unzip, struct sl_err *err)
{
    archive_read_set_read_callback(unzip->archive, on_read);
    archive_read_set_callback_data(unzip->archive, unzip);
    unzip->opened = true;
    enter_locale(unzip); /* libarchive remembers the locale of its first conversion */
    /* Names without the UTF-8 flag are taken for UTF-8 too, not for a DOS code page. */
    archive_read_set_format_option(unzip->archive, "zip", "hdrcharset", "UTF-8");
    int result = archive_read_open1(unzip->archive);
    leave_locale(unzip);
    return result == ARCHIVE_OK ? SL_OK : broken(unzip, err);
}

static int too_large(struct sl_unzip *unzip, struct sl_err *err)
{
    unzip->ended = true;
    return sl_err_set(err, SL_CONFIG, "the package inflates to more than %llu bytes",
                      (unsigned long long)unzip->max_inflated);
}

/* Reads the rest of an entry that libarchive could only skip by inflating it: it must count. */
static int skip_rest(struct sl_unzip *unzip, struct sl_err *err)
{
    char discard[DISCARD_BYTES];
    size_t size;
    int rc = SL_OK;
    while (rc == SL_OK)
        rc = sl_unzip_read(unzip, discard, sizeof discard, &size, err);
    return rc == SL_END ? SL_OK : rc;
}

/* All entries have come by: is the end of the file there, and does it agree? */
static int check_end(struct sl_unzip *unzip, struct sl_err *err)
{
    unzip->ended = true;
    if (unzip->seek)
        return SL_END;
    const void *bytes;
    ssize_t size;
    while ((size = call_read(unzip, &bytes)) > 0)
        ;
    if (size < 0)
        return broken(unzip, err);
    uint64_t listed;
    if (!sl_zip_tail_entries(&unzip->tail, &listed))
        return sl_err_set(err, SL_REJECTED, "broken zip: truncated, its directory is missing");
    if (listed != SL_ZIP_ENTRIES_UNKNOWN && listed != unzip->entries)
        return sl_err_set(err, SL_REJECTED, "broken zip: %llu entries found, but %llu are listed",
                          (unsigned long long)unzip->entries, (unsigned long long)listed);
    if (sl_zip_tail_inflated(&unzip->tail, &listed) && listed != unzip->told)
        return sl_err_set(err, SL_REJECTED, "broken zip: %llu bytes found, but %llu are listed",
                          (unsigned long long)unzip->told, (unsigned long long)listed);
    return SL_END;
}

static void take_name(struct sl_unzip *unzip, struct archive_entry *entry)
{
    const char *name = archive_entry_pathname_utf8(entry);
    if (!name)
        name = archive_entry_pathname(entry);
    free(unzip->name);
    unzip->name = sl_strdup(name ? name : "");
    if (!sl_utf8_valid(unzip->name, strlen(unzip->name)))
        for (char *at = unzip->name; *at; at++)
            if ((unsigned char)*at >= 0x80)
                *at = '?';
}

int sl_unzip_next(struct sl_unzip *unzip, struct sl_unzip_entry *ret, struct sl_err *err)
{
    int rc;
    if (unzip->ended)
        return unzip->callback_failed ? broken(unzip, err) : SL_END;
    if (!unzip->opened && (rc = open_archive(unzip, err)) != SL_OK)
        return rc;
    for (;;) {
        struct archive_entry *entry;
        if (unzip->in_entry && !unzip->sized && (rc = skip_rest(unzip, err)) != SL_OK)
            return rc;
        unzip->in_entry = false;
        enter_locale(unzip);
        int result = archive_read_next_header(unzip->archive, &entry);
        if (result == ARCHIVE_OK || result == ARCHIVE_WARN)
            take_name(unzip, entry); /* a warning is about a name that cannot be converted */
        leave_locale(unzip);
        if (result == ARCHIVE_EOF)
            return check_end(unzip, err);
        if (result != ARCHIVE_OK && result != ARCHIVE_WARN)
            return broken(unzip, err);

        unzip->entries++;
        if (archive_entry_is_encrypted(entry)) {
            unzip->ended = true;
            return sl_err_set(err, SL_REJECTED, "the package's file '%.80s' is encrypted",
                              unzip->name);
        }
        if (archive_entry_filetype(entry) != AE_IFREG)
            continue;
        unzip->in_entry = true;
        unzip->sized = archive_entry_size_is_set(entry);
        if (unzip->sized)
            unzip->told += (uint64_t)archive_entry_size(entry);
        ret->name = unzip->name;
        ret->size_bytes = unzip->sized ? archive_entry_size(entry) : -1;
        return SL_OK;
    }
}

int sl_unzip_read(struct sl_unzip *unzip, void *buf, size_t size, size_t *ret_size,
                  struct sl_err *err)
{
    if (!unzip->in_entry)
        return SL_END;
    la_ssize_t got = archive_read_data(unzip->archive, buf, size);
    if (got < 0)
        return broken(unzip, err);
    if (got == 0) {
        unzip->in_entry = false;
        return SL_END;
    }
    unzip->inflated += (uint64_t)got;
    if (!unzip->sized)
        unzip->told += (uint64_t)got;
    if (unzip->inflated > unzip->max_inflated)
        return too_large(unzip, err);
    *ret_size = (size_t)got;
    return SL_OK;
}
