/* What a test's thread has worked: steady also on a busy machine, where wall time is not. */
#ifndef SL_TEST_CPU_H
#define SL_TEST_CPU_H

#include <time.h>

static inline double cpu_ms(void)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (double)used.tv_sec * 1000 + (double)used.tv_nsec / 1e6;
}

#endif
