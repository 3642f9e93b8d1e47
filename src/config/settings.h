/* Fills, checks and frees a struct as its settings table (base/setting.h) says. */
#ifndef SL_CONFIG_SETTINGS_H
#define SL_CONFIG_SETTINGS_H

#include "base/err.h"
#include "base/setting.h"

/* Puts every fallback of table into the zeroed struct. A fallback that cannot be read, or is out of
 * its bounds, is a mistake in the table and ends the program with a message. */
void sl_settings_default(const struct sl_setting *table, void *ret);

/* Frees what the struct's fields own, texts wiped first; the pointers become NULL. */
void sl_settings_done(const struct sl_setting *table, void *settings);

/* Reads text as the setting's kind into its field, freeing what was there. A text, secret or choice
 * is taken as it is (but an empty secret is none: NULL), a list becomes this one text. Fails with
 * SL_CONFIG and a message that goes on from the setting's name ("needs a duration such as …") and
 * never holds the text. */
int sl_setting_read(const struct sl_setting *setting, void *settings, const char *text,
                    struct sl_err *err);

/* Empties a list, and appends one more text to it. */
void sl_setting_clear(const struct sl_setting *setting, void *settings);
void sl_setting_append(const struct sl_setting *setting, void *settings, const char *text);

/* The field of a setting: *(uint64_t *)sl_setting_field(…). */
void *sl_setting_field(const struct sl_setting *setting, void *settings);

/* "text", "duration" …, for help. */
const char *sl_setting_kind_name(enum sl_setting_kind kind);

#endif
