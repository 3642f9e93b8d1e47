/* DNS by c-ares, on the loop: no thread, no blocking call. Who the name servers are is read anew
 * whenever /etc/resolv.conf has changed. */
#ifndef SL_LOOP_DNS_H
#define SL_LOOP_DNS_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/str.h"

enum {
    SL_ADDRESSES_MAX = 8,
    SL_SERVICES_MAX = 32,
    SL_HOST_BYTES = 256, /* of a name in DNS, NUL included */
};

struct sl_addresses {
    size_t count;
    struct {
        struct sockaddr_storage address;
        socklen_t length;
    } item[SL_ADDRESSES_MAX];
};

struct sl_services {
    size_t count;
    struct sl_service {
        char host[SL_HOST_BYTES];
        uint16_t port;
    } item[SL_SERVICES_MAX];
};

/* Resolves host (a name or a literal IPv4/IPv6 address, without brackets) for port; /etc/hosts is
 * honoured. Suspends the fiber, at most until deadline_ms; literals and cached answers do not
 * suspend. Answers are kept for their time to live, at most 60 s. Fails with SL_CLOSED (no such
 * name, server failure), SL_TIMEOUT or SL_CANCELED. */
int sl_dns_resolve(const char *host, uint16_t port, uint64_t deadline_ms, struct sl_addresses *ret,
                   struct sl_err *err);

/* The SRV records of name (RFC 2782), the first SL_SERVICES_MAX of them, in no order. Suspends, at
 * most until deadline_ms; nothing is kept. SL_NOTFOUND when there is none, else as sl_dns_resolve.
 */
int sl_dns_services(const char *name, uint64_t deadline_ms, struct sl_services *ret,
                    struct sl_err *err);

/* Appends the one TXT record of name, its parts joined, to out. As sl_dns_services; SL_CLOSED when
 * there are several. */
int sl_dns_text(const char *name, uint64_t deadline_ms, struct sl_buf *out, struct sl_err *err);

/* Writes the numeric form ("10.0.0.1" or "2001:db8::1") of an address. */
void sl_address_text(const struct sockaddr *address, char *out, size_t size);

/* Frees the resolver, at the end of the program. */
void sl_dns_close(void);

#endif
