/* What was asked of the simulator and what it gave. */
#include "sim/stats.h"

#include <stdlib.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <linux/tcp.h> /* bytes_acked: netinet/tcp.h does not have it */

#include "sim/clock.h"

uint64_t sim_socket_acked(int socket)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);
    if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return 0;
    return info.tcpi_bytes_acked;
}

void sim_stats_request(struct sim_stats *stats, const char *action, unsigned status)
{
    unsigned i = 0;
    while (i < stats->request_rows &&
           (stats->requests[i].status != status || strcmp(stats->requests[i].action, action) != 0))
        i++;
    if (i == SIM_STAT_ROWS)
        return;
    if (i == stats->request_rows) {
        stats->requests[i].action = action;
        stats->requests[i].status = status;
        stats->requests[i].count = 0;
        stats->request_rows++;
    }
    stats->requests[i].count++;
}

/* Body bytes that have left so far. The kernel's number includes the response's head. */
static uint64_t sent_bytes(const struct sim_download *download)
{
    if (!download->by_kernel)
        return atomic_load(&download->given);
    uint64_t acked = sim_socket_acked(download->socket);
    uint64_t sent = acked > download->acked_before ? acked - download->acked_before : 0;
    return sent < download->length ? sent : download->length;
}

void sim_stats_download_begin(struct sim_stats *stats, struct sim_download *download)
{
    download->previous = NULL;
    download->next = stats->downloads;
    if (download->next)
        download->next->previous = download;
    stats->downloads = download;
}

void sim_stats_download_end(struct sim_stats *stats, struct sim_download *download, bool completed)
{
    stats->bytes_served += completed ? download->length : sent_bytes(download);
    if (completed)
        stats->downloads_completed++;
    else
        stats->downloads_broken++;
    if (download->previous)
        download->previous->next = download->next;
    else
        stats->downloads = download->next;
    if (download->next)
        download->next->previous = download->previous;
    free(download);
}

static void describe_requests(const struct sim_stats *stats, struct sim_text *out)
{
    sim_text_name(out, "requests");
    sim_text_char(out, '{');
    for (unsigned i = 0; i < stats->request_rows; i++) {
        bool seen = false;
        for (unsigned j = 0; j < i && !seen; j++)
            seen = strcmp(stats->requests[j].action, stats->requests[i].action) == 0;
        if (seen)
            continue;
        sim_text_name(out, stats->requests[i].action);
        sim_text_char(out, '{');
        for (unsigned j = i; j < stats->request_rows; j++) {
            if (strcmp(stats->requests[j].action, stats->requests[i].action) != 0)
                continue;
            sim_text_puts(out, out->data[out->len - 1] == '{' ? "" : ",");
            sim_text_printf(out, "\"%u\":%llu", stats->requests[j].status,
                            (unsigned long long)stats->requests[j].count);
        }
        sim_text_char(out, '}');
    }
    sim_text_char(out, '}');
}

void sim_stats_describe(const struct sim_stats *stats, struct sim_text *out)
{
    describe_requests(stats, out);
    uint64_t moving = 0;
    int64_t now_ms = sim_clock_steady_ms();
    sim_text_name(out, "downloads");
    sim_text_char(out, '[');
    for (const struct sim_download *d = stats->downloads; d; d = d->next) {
        uint64_t sent = sent_bytes(d);
        moving += sent;
        sim_text_puts(out, d == stats->downloads ? "{" : ",{");
        sim_text_member(out, "execution", d->execution);
        sim_text_number(out, "offset", (int64_t)d->offset);
        sim_text_number(out, "length", (int64_t)d->length);
        sim_text_number(out, "sent", (int64_t)sent);
        sim_text_number(out, "age_ms", now_ms - d->started_ms);
        sim_text_char(out, '}');
    }
    sim_text_char(out, ']');
    sim_text_number(out, "tokens_issued", (int64_t)stats->tokens_issued);
    sim_text_number(out, "bytes_served", (int64_t)(stats->bytes_served + moving));
    sim_text_number(out, "ranges_served", (int64_t)stats->ranges_served);
    sim_text_number(out, "downloads_completed", (int64_t)stats->downloads_completed);
    sim_text_number(out, "downloads_broken", (int64_t)stats->downloads_broken);
    sim_text_number(out, "bearer_leaked", (int64_t)stats->bearer_leaked);
    sim_text_number(out, "bearer_foreign", (int64_t)stats->bearer_foreign);
    sim_text_number(out, "packages_built", (int64_t)stats->packages_built);
    sim_text_number(out, "packages_reused", (int64_t)stats->packages_reused);
}

void sim_stats_clear(struct sim_stats *stats)
{
    struct sim_download *downloads = stats->downloads;
    *stats = (struct sim_stats){.downloads = downloads};
}
