/* Listening addresses as people write them: "127.0.0.1:9464", "[::1]:9464", "localhost:0", ":8080".
 */
#ifndef SL_HTTP_LISTEN_H
#define SL_HTTP_LISTEN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"

/* Reads "host:port". host is an IPv4 address, an IPv6 address in brackets, "localhost" (127.0.0.1),
 * or nothing or "*" (every IPv4 and IPv6 address); names are not resolved. Fails with SL_CONFIG. */
int sl_listen_parse(const char *text, struct sockaddr_storage *ret, socklen_t *ret_length,
                    struct sl_err *err);

/* Whether two such addresses are in each other's way: the same port, and an address that is both's.
 * What cannot be read is in nobody's way, and neither is port 0. */
bool sl_listen_overlap(const char *a, const char *b);

/* Whether only programs of this machine reach that address. What cannot be read reaches nobody. */
bool sl_listen_is_local(const char *text);

/* Gives a non-blocking listening socket and the port it really has (for port 0). Does not suspend.
 * Fails with SL_CONFIG, naming the address, when it is taken or not this machine's. */
int sl_listen_open(const char *text, int *ret_fd, uint16_t *ret_port, struct sl_err *err);

/* Keeps a listening socket, whose clients wait meanwhile, for the next sl_listen_open of the same
 * address; one of an address that is in its way closes it. Takes the socket; text is copied. */
void sl_listen_keep(const char *text, int fd);

/* Closes what nobody has opened again. */
void sl_listen_drop_kept(void);

#endif
