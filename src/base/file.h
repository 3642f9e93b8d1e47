/* Small files that are read whole: keys, certificates, tokens. */
#ifndef SL_BASE_FILE_H
#define SL_BASE_FILE_H

#include <stddef.h>

#include "base/str.h"

/* Appends the content of the regular file at path, or of what a link there leads to, to out
 * (sl_buf_init_secret when it is one). Blocks on the disk, not on a pipe. Returns NULL, or what is
 * wrong in words that go on from "cannot read PATH: "; they live until the next call. */
const char *sl_file_read(const char *path, size_t most_bytes, struct sl_buf *out);

#endif
