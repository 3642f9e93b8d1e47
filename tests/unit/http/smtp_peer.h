/* A small SMTP server on http/peer.h: takes mail, or refuses at the step it is told to. */
#ifndef SL_TEST_HTTP_SMTP_PEER_H
#define SL_TEST_HTTP_SMTP_PEER_H

#include "http/peer.h"

struct smtp_server {
    const char *refuse;  /* a command ("RCPT"), or NULL */
    const char *refusal; /* "550 no such user" */
    const char *offer;   /* extension in the answer to EHLO ("AUTH PLAIN"), or NULL */
    atomic_uint mails;   /* taken */
    char commands[2048]; /* every command line, as it came */
    char message[16384]; /* the last mail as it came, without the last dot */
};

static inline bool smtp_line(struct peer_link *link, char *line, size_t size)
{
    for (size_t used = 0; used + 1 < size; used++) {
        if (recv(link->fd, line + used, 1, 0) <= 0)
            return false;
        line[used + 1] = 0;
        if (line[used] == '\n')
            return true;
    }
    return false;
}

static inline void smtp_note(struct smtp_server *server, const char *line)
{
    strncat(server->commands, line, sizeof server->commands - strlen(server->commands) - 1);
}

static inline bool smtp_take_login(struct peer_link *link, struct smtp_server *server)
{
    char line[1024];
    peer_say(link, "334 \r\n");
    if (!smtp_line(link, line, sizeof line))
        return false;
    smtp_note(server, line);
    return peer_say(link, "235 welcome\r\n");
}

static inline bool smtp_take_message(struct peer_link *link, struct smtp_server *server)
{
    char line[2048];
    peer_say(link, "354 go on\r\n");
    server->message[0] = 0;
    while (smtp_line(link, line, sizeof line)) {
        if (!strcmp(line, ".\r\n")) {
            atomic_fetch_add(&server->mails, 1);
            return peer_say(link, "250 taken\r\n");
        }
        strncat(server->message, line, sizeof server->message - strlen(server->message) - 1);
    }
    return false;
}

static inline bool smtp_answer(struct peer_link *link, struct smtp_server *server, const char *line)
{
    char text[256];
    if (server->refuse && !strncasecmp(line, server->refuse, strlen(server->refuse))) {
        snprintf(text, sizeof text, "%s\r\n", server->refusal);
        return peer_say(link, text);
    }
    if (!strncasecmp(line, "EHLO", 4)) {
        snprintf(text, sizeof text, "250%stest\r\n%s%s%s", server->offer ? "-" : " ",
                 server->offer ? "250 " : "", server->offer ? server->offer : "",
                 server->offer ? "\r\n" : "");
        return peer_say(link, text);
    }
    if (!strncasecmp(line, "DATA", 4))
        return smtp_take_message(link, server);
    if (!strncasecmp(line, "AUTH", 4))
        return smtp_take_login(link, server);
    if (!strncasecmp(line, "QUIT", 4))
        return peer_say(link, "221 bye\r\n") && false;
    return peer_say(link, "250 ok\r\n");
}

/* For peer_start, with a struct smtp_server as ctx. */
static inline void smtp_serve(struct peer_link *link)
{
    struct smtp_server *server = link->peer->ctx;
    char line[1024];
    peer_say(link, "220 test ESMTP\r\n");
    do {
        if (!smtp_line(link, line, sizeof line))
            return;
        smtp_note(server, line);
    } while (smtp_answer(link, server, line));
}

#endif
