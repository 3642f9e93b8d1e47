#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE_BYTES = 4096 };

static const char *read_all(int fd, size_t most_bytes, struct sl_buf *out)
{
    for (size_t total = 0;;) {
        char *room = sl_buf_reserve(out, PIECE_BYTES);
        ssize_t got = read(fd, room, PIECE_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return strerror(errno);
        if (got == 0)
            return NULL;
        total += (size_t)got;
        sl_buf_commit(out, (size_t)got);
        if (total > most_bytes)
            return "it is too large";
    }
}

const char *sl_file_read(const char *path, size_t most_bytes, struct sl_buf *out)
{
    struct stat about;
    const char *wrong = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return strerror(errno);
    if (fstat(fd, &about) != 0)
        wrong = strerror(errno);
    else if (!S_ISREG(about.st_mode))
        wrong = "it is not a regular file";
    else
        wrong = read_all(fd, most_bytes, out);
    close(fd);
    return wrong;
}
