/* A name server that knows what a table says, in a thread of its own on a loopback port, by UDP and
 * TCP; c-ares asks it and nobody else. Source of the format: RFC 1035, RFC 2782. */
#ifndef SL_TESTS_LOOP_NAME_SERVER_H
#define SL_TESTS_LOOP_NAME_SERVER_H

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/dns_own.h"

struct dns_row {
    const char *name; /* NULL: the end */
    int type;         /* ns_t_a, ns_t_srv, ns_t_txt, ns_t_cname */
    const char *text; /* address; host; text, its parts separated by | */
    uint16_t port;    /* of SRV */
};

static struct {
    const struct dns_row *_Atomic rows; /* NULL: it answers nobody */
    _Atomic unsigned questions;
    int udp, tcp, quit[2];
    uint16_t port;
    pthread_t thread;
} dns_server;

struct dns_message {
    uint8_t bytes[8192];
    size_t size;
};

static void dns_put(struct dns_message *out, const void *bytes, size_t size)
{
    memcpy(out->bytes + out->size, bytes, size);
    out->size += size;
}

static void dns_put16(struct dns_message *out, unsigned value)
{
    dns_put(out, (uint8_t[]){(uint8_t)(value >> 8), (uint8_t)value}, 2);
}

static void dns_put_text(struct dns_message *out, const char *text, char separator)
{
    for (const char *part = text;; part++) {
        size_t length = strcspn(part, (char[]){separator, 0});
        uint8_t size = (uint8_t)length;
        dns_put(out, &size, 1);
        dns_put(out, part, length);
        part += length;
        if (!*part)
            return;
    }
}

static void dns_put_row(struct dns_message *out, const struct dns_row *row)
{
    dns_put16(out, 0xc00c); /* the name of the question */
    dns_put16(out, (unsigned)row->type);
    dns_put16(out, ns_c_in);
    dns_put(out, (uint8_t[4]){0}, 4); /* to live: newer c-ares would keep it */
    size_t length_at = out->size;
    dns_put16(out, 0);
    if (row->type == ns_t_a) {
        struct in_addr address;
        inet_pton(AF_INET, row->text, &address);
        dns_put(out, &address, sizeof address);
    } else if (row->type == ns_t_cname) {
        dns_put_text(out, row->text, '.');
        dns_put(out, "", 1);
    } else if (row->type == ns_t_txt) {
        dns_put_text(out, row->text, '|');
    } else {
        dns_put16(out, 0);
        dns_put16(out, 5);
        dns_put16(out, row->port);
        dns_put_text(out, row->text, '.');
        dns_put(out, "", 1);
    }
    unsigned length = (unsigned)(out->size - length_at - 2);
    out->bytes[length_at] = (uint8_t)(length >> 8);
    out->bytes[length_at + 1] = (uint8_t)length;
}

/* Reads the question's name; how many bytes it takes. */
static size_t dns_read_name(const uint8_t *at, char out[256])
{
    size_t from = 0, to = 0;
    for (size_t length; (length = at[from]) > 0; from += 1 + length) {
        memcpy(out + to, at + from + 1, length);
        to += length;
        out[to++] = '.';
    }
    out[to ? to - 1 : 0] = 0;
    return from + 1;
}

static void dns_answer(const uint8_t *question, size_t limit, struct dns_message *out)
{
    char name[256];
    size_t name_size = dns_read_name(question + 12, name), question_size = name_size + 4;
    int type = question[12 + name_size] << 8 | question[12 + name_size + 1];
    unsigned found = 0, named = 0;
    *out = (struct dns_message){.size = 12};
    memcpy(out->bytes, question, 2);
    dns_put(out, question + 12, question_size);
    for (const struct dns_row *row = dns_server.rows; row->name; row++) {
        bool is_named = strcasecmp(row->name, name) == 0;
        named += is_named;
        if (is_named && (row->type == type || row->type == ns_t_cname)) {
            dns_put_row(out, row);
            found++;
        }
    }
    bool cut = out->size > limit;
    if (cut)
        out->size = 12 + question_size;
    const uint8_t head[] = {cut ? 0x86 : 0x84,       named ? 0x80 : 0x83, 0, 1, 0,
                            cut ? 0 : (uint8_t)found};
    memcpy(out->bytes + 2, head, sizeof head);
}

static void dns_serve_udp(void)
{
    uint8_t question[512];
    struct dns_message answer;
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    ssize_t n =
        recvfrom(dns_server.udp, question, sizeof question, 0, (struct sockaddr *)&from, &size);
    dns_server.questions++;
    if (n < 17 || !dns_server.rows)
        return;
    dns_answer(question, 512, &answer);
    (void)sendto(dns_server.udp, answer.bytes, answer.size, 0, (struct sockaddr *)&from, size);
}

static void dns_serve_tcp(void)
{
    uint8_t question[514];
    struct dns_message answer, framed = {.size = 0};
    int fd = accept(dns_server.tcp, NULL, NULL);
    if (recv(fd, question, sizeof question, 0) > 18 && dns_server.rows) {
        dns_answer(question + 2, sizeof answer.bytes, &answer);
        dns_put16(&framed, (unsigned)answer.size);
        dns_put(&framed, answer.bytes, answer.size);
        (void)send(fd, framed.bytes, framed.size, MSG_NOSIGNAL);
    }
    close(fd);
}

static void *dns_serve(void *arg)
{
    (void)arg;
    for (;;) {
        struct pollfd fds[] = {
            {.fd = dns_server.udp,     .events = POLLIN},
            {.fd = dns_server.tcp,     .events = POLLIN},
            {.fd = dns_server.quit[0], .events = POLLIN},
        };
        poll(fds, 3, -1);
        if (fds[2].revents)
            return NULL;
        if (fds[0].revents)
            dns_serve_udp();
        if (fds[1].revents)
            dns_serve_tcp();
    }
}

/* The loop's resolver asks it and nobody else. */
static int dns_server_rule(void)
{
    char server[32];
    snprintf(server, sizeof server, "127.0.0.1:%u", (unsigned)dns_server.port);
    ares_channel *channel = sl_dns_channel();
    return channel ? ares_set_servers_ports_csv(*channel, server) : -1;
}

/* A cmocka setup for the group, and its teardown. */
static inline int dns_server_start(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int tries = 0;
    do { /* until the port that TCP was given is free for UDP, too */
        address.sin_port = 0;
        dns_server.tcp = socket(AF_INET, SOCK_STREAM, 0);
        dns_server.udp = socket(AF_INET, SOCK_DGRAM, 0);
        if (bind(dns_server.tcp, (struct sockaddr *)&address, size) || listen(dns_server.tcp, 8))
            return -1;
        getsockname(dns_server.tcp, (struct sockaddr *)&address, &size);
        if (bind(dns_server.udp, (struct sockaddr *)&address, size) == 0)
            break;
        close(dns_server.tcp);
        close(dns_server.udp);
    } while (++tries < 20);
    dns_server.port = ntohs(address.sin_port);
    if (pipe(dns_server.quit))
        return -1;
    return pthread_create(&dns_server.thread, NULL, dns_serve, NULL) || dns_server_rule();
}

static inline int dns_server_stop(void **state)
{
    (void)state;
    if (write(dns_server.quit[1], "", 1) != 1)
        return -1;
    pthread_join(dns_server.thread, NULL);
    close(dns_server.udp);
    close(dns_server.tcp);
    close(dns_server.quit[0]);
    close(dns_server.quit[1]);
    return 0;
}

#endif
