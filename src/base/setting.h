/* A settings table: it tells the reader how to fill a struct, the checker what is allowed, and the
 * help what to print. One table a section of the configuration. */
#ifndef SL_BASE_SETTING_H
#define SL_BASE_SETTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a setting is, and the field that it fills. */
enum sl_setting_kind {
    SL_SET_TEXT,     /* char * */
    SL_SET_SECRET,   /* char *, never shown, never empty: NULL then */
    SL_SET_URL,      /* char *, has a scheme and a host; may hold a password, never shown whole */
    SL_SET_BOOL,     /* bool */
    SL_SET_INT,      /* int64_t, within minimum and maximum */
    SL_SET_DURATION, /* uint64_t milliseconds: "500ms", "5s", "10m", "8h", "7d" */
    SL_SET_SIZE,     /* uint64_t bytes: "64KiB", "1MiB", "5GB", or a plain number */
    SL_SET_CHOICE,   /* int: index into choices */
    SL_SET_LIST,     /* char **, ended by NULL: a list of texts (or one text) */
    SL_SET_SECTION,  /* an embedded struct, filled by its own table */
};

struct sl_setting {
    const char *name;
    enum sl_setting_kind kind;
    size_t offset;        /* of the field in the struct */
    const char *fallback; /* default, as it would be written; NULL: none (NULL, 0, false) */
    const char *help;     /* one sentence, with the unit */
    bool required;
    uint32_t only_for;     /* types that it is for, when the table has a "type": SL_TYPE bits of its
                            * choices; 0: all */
    uint32_t required_for; /* of these, the ones that cannot do without it */
    bool secret;           /* URL: as a whole, not by its password alone */
    int64_t minimum, maximum;   /* INT; DURATION and SIZE too; both 0: no bounds */
    const char *const *choices; /* CHOICE: ended by NULL; URL: the schemes, likewise (NULL: any) */
    const struct sl_setting *section; /* SECTION: its table, ended by a NULL name */
};

/* A bit of only_for and required_for: the choice at that place. */
#define SL_TYPE(choice) (UINT32_C(1) << (choice))

/* Units for minimum and maximum. */
#define SL_SECOND_MS INT64_C(1000)
#define SL_MINUTE_MS (60 * SL_SECOND_MS)
#define SL_HOUR_MS (60 * SL_MINUTE_MS)
#define SL_DAY_MS (24 * SL_HOUR_MS)
#define SL_KIB (INT64_C(1) << 10)
#define SL_MIB (INT64_C(1) << 20)
#define SL_GIB (INT64_C(1) << 30)

#endif
