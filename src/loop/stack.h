/* Fiber stacks: guarded, mapped lazily, a few kept for the next fiber. */
#ifndef SL_LOOP_STACK_H
#define SL_LOOP_STACK_H

#include <stddef.h>

struct sl_stack {
    char *base; /* lowest usable byte; the guard page lies below */
    size_t size;
};

/* Maps a stack, or takes a kept one. Never fails: no memory for a stack ends the program. */
struct sl_stack sl_stack_take(void);
/* Keeps the stack for the next one, or unmaps it. */
void sl_stack_give(struct sl_stack stack);
/* Unmaps the kept ones. */
void sl_stack_drop_all(void);

#endif
