/* Values as people write them: durations, sizes and URLs. */
#ifndef SL_CONFIG_VALUE_H
#define SL_CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads "500ms", "5s", "10m", "8h", "7d": a whole number and a unit. */
bool sl_duration_parse(const char *text, uint64_t *ret_ms);

/* Reads "64KiB", "1MiB", "5GB", "100" (bytes): a whole number and perhaps a unit, in any case. */
bool sl_size_parse(const char *text, uint64_t *ret_bytes);

/* Writes a duration or size in its largest whole unit: "5m", "1MiB". */
enum { SL_VALUE_BYTES = 32 };
void sl_duration_format(uint64_t ms, char out[SL_VALUE_BYTES]);
void sl_size_format(uint64_t bytes, char out[SL_VALUE_BYTES]);

/* Says what is wrong with a URL, or NULL: it needs a scheme of schemes (ended by NULL; NULL: any),
 * "://", and a host. Where schemes names "https" but not "http", plain "http" is for this machine
 * alone (127.0.0.0/8, ::1, localhost); likewise with every scheme and its form ending in s. The
 * answer, in out, never holds any part of the URL but its scheme. */
const char *sl_url_check(const char *url, const char *const *schemes, char *out, size_t size);

/* Where in a URL its password begins (scheme://user:password@host), or NULL: it has none. */
const char *sl_url_password(const char *url);

#endif
