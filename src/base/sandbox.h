/* What this process may ask of the kernel: a list of system calls (seccomp), so that code that an
 * attacker brought in could neither start a program nor write a file (ADR 24). */
#ifndef SL_BASE_SANDBOX_H
#define SL_BASE_SANDBOX_H

#include <stdbool.h>

#include "base/err.h"

/* Enters the sandbox; there is no way back, for children and threads neither. What is not on the
 * list fails with EPERM and is told on stderr, once for each call; a thread or process that would
 * be made fails alike and is not told. Never opens a file for writing afterwards.
 * SLUICE_SANDBOX=off in the environment leaves it out. Fails with SL_CONFIG where the kernel does
 * not let us, naming that switch. */
int sl_sandbox_enter(struct sl_err *err);

/* True once this process is in its sandbox. */
bool sl_sandbox_entered(void);

#endif
