/* Tells the service manager how far this process is, as sd_notify(3) does. */
#ifndef SL_OPS_NOTIFY_H
#define SL_OPS_NOTIFY_H

/* Sends state ("READY=1", "STOPPING=1") to the socket that NOTIFY_SOCKET in the environment names;
 * without it nobody wants to know. Neither waits nor fails: a manager that does not listen is not
 * our trouble. */
void sl_notify(const char *state);

/* "RELOADING=1" with the time that systemd wants to be told with it; READY=1 follows. */
void sl_notify_reloading(void);

#endif
