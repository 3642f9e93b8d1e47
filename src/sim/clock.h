/* The simulator's clocks, and the three ways in which it writes a time. */
#ifndef SIM_CLOCK_H
#define SIM_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Milliseconds since 1970, UTC. */
int64_t sim_clock_ms(void);

/* Milliseconds of a clock that never jumps; its zero means nothing. */
int64_t sim_clock_steady_ms(void);

/* Writes at_ms as 2026-11-22T03:10:00Z, or with milliseconds (30 bytes are enough). */
void sim_clock_iso(int64_t at_ms, char *out, size_t size);
void sim_clock_iso_ms(int64_t at_ms, char *out, size_t size);

/* Reads what sim_clock_iso wrote. Returns -1 when it is none. */
int64_t sim_clock_parse(const char *iso);

/* Writes at_ms as HTTP does: Sun, 22 Nov 2026 03:10:00 GMT. */
void sim_clock_http(int64_t at_ms, char *out, size_t size);

#endif
