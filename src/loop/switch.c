#include "loop/switch.h"

#ifdef SL_SWITCH_BY_ASSEMBLER

#include <stdint.h>
#include <string.h>

void sl_context_init(struct sl_context *context, struct sl_stack stack, void (*entry)(void))
{
    enum { REGISTERS = 6 }; /* as sl_context_switch takes them off the stack */
    uintptr_t top = ((uintptr_t)stack.base + stack.size) & ~(uintptr_t)15;
    /* entry finds the stack as after a call, from nowhere: debuggers stop there. */
    uintptr_t frame[REGISTERS + 2] = {[REGISTERS] = (uintptr_t)entry};
    context->sp = (void *)(top - sizeof frame);
    memcpy(context->sp, frame, sizeof frame);
}

#else

void sl_context_init(struct sl_context *context, struct sl_stack stack, void (*entry)(void))
{
    getcontext(&context->saved);
    context->saved.uc_stack.ss_sp = stack.base;
    context->saved.uc_stack.ss_size = stack.size;
    context->saved.uc_link = NULL;
    makecontext(&context->saved, entry, 0);
}

void sl_context_switch(struct sl_context *from, const struct sl_context *to)
{
    swapcontext(&from->saved, &to->saved);
}

#endif
