/* Files that hold secrets: who else may read or exchange them. */
#ifndef SL_CONFIG_SECRET_FILE_H
#define SL_CONFIG_SECRET_FILE_H

#include <stdbool.h>

enum { SL_DOUBT_BYTES = 512 };

/* Looks at the file at path, which may be a symbolic link. False when there is nothing to say, or
 * no such file. True when others than its owner and root may read or change it, it belongs to
 * another user, or the link leads out of its folder, where others may exchange what it leads to:
 * out is a sentence for an operator. A root-owned file that is read by way of its group is fine,
 * and so are links within a folder, as Kubernetes makes them. Who may read a file right in
 * $CREDENTIALS_DIRECTORY is the service manager's affair: false. */
bool sl_secret_file_doubt(const char *path, char out[SL_DOUBT_BYTES]);

#endif
