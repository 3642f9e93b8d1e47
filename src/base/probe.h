/* Probes for bpftrace, perf and SystemTap: a no-op instruction each, until somebody attaches
 * (docs/PERFORMANCE.md tells which there are). A build without <sys/sdt.h> has none.
 *
 * Source: the USDT format of SystemTap, "UserSpaceProbeImplementation" in its wiki. */
#ifndef SL_BASE_PROBE_H
#define SL_BASE_PROBE_H

#if __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
#define SL_PROBE1(name, a) DTRACE_PROBE1(sluice, name, a)
#define SL_PROBE6(name, a, b, c, d, e, f) DTRACE_PROBE6(sluice, name, a, b, c, d, e, f)
#else
#define SL_PROBE1(name, a) ((void)(a))
#define SL_PROBE6(name, a, b, c, d, e, f)                                                          \
    ((void)(a), (void)(b), (void)(c), (void)(d), (void)(e), (void)(f))
#endif

#endif
