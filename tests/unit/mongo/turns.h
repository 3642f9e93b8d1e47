/* The turn of the loop that worked longest. One watch in a program at a time. */
#ifndef SL_TEST_MONGO_TURNS_H
#define SL_TEST_MONGO_TURNS_H

#include <uv.h>

#include "cpu.h"
#include "loop/fiber.h"

static struct {
    uv_check_t begins;
    uv_prepare_t ends;
    double began_ms, longest_ms;
} turns;

static inline void on_turn_begins(uv_check_t *check)
{
    (void)check;
    turns.began_ms = cpu_ms();
}

static inline void on_turn_ends(uv_prepare_t *prepare)
{
    (void)prepare;
    double took_ms = cpu_ms() - turns.began_ms;
    if (took_ms > turns.longest_ms)
        turns.longest_ms = took_ms;
}

static inline void turns_watch(void)
{
    turns.longest_ms = 0;
    turns.began_ms = cpu_ms();
    uv_check_init(sl_loop(), &turns.begins);
    uv_check_start(&turns.begins, on_turn_begins); /* the one started last runs first */
    uv_prepare_init(sl_loop(), &turns.ends);
    uv_prepare_start(&turns.ends, on_turn_ends);
}

/* Ends the watch; gives the CPU time of the longest turn that is over. */
static inline double turns_longest_ms(void)
{
    uv_close((uv_handle_t *)&turns.begins, NULL);
    uv_close((uv_handle_t *)&turns.ends, NULL);
    return turns.longest_ms;
}

#endif
