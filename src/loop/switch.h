/* Changing stacks. On x86-64 it takes fifteen instructions (switch.S); elsewhere, and with
 * SL_SWITCH_BY_UCONTEXT (for a test), ucontext does it, with a system call a change that keeps a
 * signal mask which no fiber alters. */
#ifndef SL_LOOP_SWITCH_H
#define SL_LOOP_SWITCH_H

#include "loop/stack.h"

#if defined(__x86_64__) && !defined(SL_SWITCH_BY_UCONTEXT)
#define SL_SWITCH_BY_ASSEMBLER
/* What a suspended stack must keep lies on it. */
struct sl_context {
    void *sp;
};
#else
#include <ucontext.h>

struct sl_context {
    ucontext_t saved;
};
#endif

/* The first switch to context calls entry on stack. entry never returns. */
void sl_context_init(struct sl_context *context, struct sl_stack stack, void (*entry)(void));

/* Suspends the running stack as from and goes on with to. errno is not kept. */
void sl_context_switch(struct sl_context *from, const struct sl_context *to);

#endif
