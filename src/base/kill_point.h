/* Kill points: a build with SLUICE_KILL_POINTS can end itself, as kill -9 would, at the N-th
 * durable step, so that a test can try every one of them. In other builds nothing is left of it.
 *
 *     SLUICE_KILL_AT=17     end at the 17th step
 *     SLUICE_KILL_AT=ack    … at the first one whose name begins so
 *     SLUICE_KILL_LOG=FILE  append the name of each step that is passed */
#ifndef SL_BASE_KILL_POINT_H
#define SL_BASE_KILL_POINT_H

/* Stands before the request and after the answer of everything that others remember. step says
 * what, target of what (may be NULL); both are texts for people. */
#ifdef SLUICE_KILL_POINTS
enum { SL_KILL_POINTS = 1 };
void sl_kill_point(const char *step, const char *target);
#else
enum { SL_KILL_POINTS = 0 };
static inline void sl_kill_point(const char *step, const char *target)
{
    (void)step, (void)target;
}
#endif

#endif
