#include "config/names.h"

#include <string.h>

const char *sl_name_wrong(struct sl_str name)
{
    static const char ALLOWED[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    if (!name.length)
        return "must not be empty";
    if (name.length > SL_CONFIG_NAME_MAX)
        return "is longer than 120 bytes";
    for (size_t i = 0; i < name.length; i++)
        if (!memchr(ALLOWED, name.at[i], sizeof ALLOWED - 1))
            return "may hold letters (a-z), digits, '_', '-' and '.' only";
    return NULL;
}

const char *sl_entity_name_wrong(struct sl_str name)
{
    size_t blanks = 0;
    if (name.length > SL_CONFIG_NAME_MAX)
        return "is longer than 120 bytes";
    for (size_t i = 0; i < name.length; i++) {
        unsigned char c = (unsigned char)name.at[i];
        if (c < 0x20 || c == 0x7f || strchr("\"'`\\", c))
            return "must not hold quotes, backslashes or control characters";
        blanks += c == ' ';
    }
    return blanks == name.length ? "must not be empty" : NULL;
}

/* MongoDB manual, "Naming Restrictions"; the database's name takes part of the 255 bytes. */
const char *sl_collection_wrong(const char *name)
{
    if (!*name)
        return "must not be empty";
    if (strlen(name) > SL_CONFIG_NAME_MAX)
        return "is longer than 120 bytes";
    if (strchr(name, '$'))
        return "must not hold '$': MongoDB keeps it for itself";
    if (*name == '.')
        return "must not begin with '.': MongoDB takes no such name";
    if (!strncmp(name, "system.", 7))
        return "must not begin with \"system.\": MongoDB keeps that for itself";
    if (strstr(name, ".system."))
        return "must not hold \".system.\": MongoDB keeps that for itself";
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f || *c == '"' || *c == '\\')
            return "must not hold quotes, backslashes or control characters";
    return NULL;
}

/* Without a name it would be RabbitMQ's own one; queues, of sources too, have its name in theirs.
 */
const char *sl_exchange_wrong(const char *name)
{
    if (!*name)
        return "must not be empty";
    if (strlen(name) > SL_CONFIG_NAME_MAX)
        return "is longer than 120 bytes";
    if (!strncmp(name, "amq.", 4))
        return "must not begin with \"amq.\": RabbitMQ keeps that for itself";
    return NULL;
}
