#include "config/secret_file.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Writes to out where path leads when that is outside the folder in which path lies. */
static bool leads_away(const char *path, char out[PATH_MAX])
{
    char folder[PATH_MAX], real_folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0'; /* of "/a" it is "/" */
    else
        snprintf(folder, sizeof folder, ".");
    if (!realpath(path, out) || !realpath(folder, real_folder))
        return false;
    size_t length = strlen(real_folder);
    if (length == 1) /* everything lies in "/" */
        return false;
    return strncmp(out, real_folder, length) != 0 || out[length] != '/';
}

/* Does it lie in the folder of credentials? */
static bool is_credential(const char *path)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    size_t length = folder ? strlen(folder) : 0;
    return length && !strncmp(path, folder, length) && path[length] == '/' &&
           !strchr(path + length + 1, '/');
}

bool sl_secret_file_doubt(const char *path, char out[SL_DOUBT_BYTES])
{
    struct stat about;
    char target[PATH_MAX];
    if (is_credential(path) || stat(path, &about) != 0)
        return false;
    bool own = about.st_uid == geteuid();
    if (about.st_mode & S_IROTH)
        snprintf(out, SL_DOUBT_BYTES,
                 "every user of this machine may read \"%s\"; chmod o-r hides it", path);
    else if (about.st_mode & (S_IWOTH | S_IWGRP))
        snprintf(out, SL_DOUBT_BYTES,
                 "others than its owner may change \"%s\"; chmod go-w forbids it", path);
    else if (own && about.st_mode & S_IRGRP)
        snprintf(out, SL_DOUBT_BYTES, "the group of \"%s\" may read it; chmod g-r hides it", path);
    else if (!own && about.st_uid != 0)
        snprintf(out, SL_DOUBT_BYTES,
                 "\"%s\" belongs to another user (%u), who may change it; chown gives it to root "
                 "or to the user of sluice",
                 path, (unsigned)about.st_uid);
    else if (leads_away(path, target))
        snprintf(out, SL_DOUBT_BYTES,
                 "\"%.200s\" is a link out of its folder, to \"%.200s\"; name that file itself",
                 path, target);
    else
        return false;
    return true;
}
