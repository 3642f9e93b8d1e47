/* Requests to the Web API of Dataverse, all of them reads: within the budget of the application
 * user, with its token, and never to another host than the configured one.
 *
 * Facts: "Compose HTTP requests and handle errors", "Service protection API limits" and "Use change
 * tracking" of Microsoft's Dataverse documentation. */
#ifndef SL_DATAVERSE_API_H
#define SL_DATAVERSE_API_H

#include "base/err.h"
#include "dataverse/budget.h"
#include "dataverse/clock_offset.h"
#include "dataverse/settings.h"
#include "format/json.h"
#include "http/client.h"
#include "http/oauth.h"
#include "http/url.h"

/* One environment as one application user sees it; shared by all that reads from it. */
struct sl_dataverse_remote {
    const char *name;                                    /* of the source; borrowed */
    struct sl_http *http;                                /* borrowed */
    const struct sl_dataverse_source_settings *settings; /* borrowed */
    struct sl_oauth *oauth;
    struct sl_budget *budget;
    struct sl_clock_offset offset;  /* of the service's clock */
    struct sl_url base;             /* where the token may go */
    char *user;                     /* the application user's id; NULL: nobody has asked yet */
    char *organisation;             /* … and the environment's; NULL: that, or it was not told */
    struct sl_dataverse_away *away; /* tables that were not available, each once; private */
    uint64_t answered_ms;           /* loop clock: last answer that shows a service at work */
};

/* Does not suspend. Fails with SL_CONFIG; then nothing has to be freed. */
int sl_dataverse_remote_init(struct sl_dataverse_remote *remote, struct sl_http *http,
                             const char *name, const struct sl_dataverse_source_settings *settings,
                             struct sl_err *err);

/* No request is under way. A zeroed remote is fine. */
void sl_dataverse_remote_done(struct sl_dataverse_remote *remote);

/* What to GET: link or path. */
struct sl_dataverse_get {
    const char *link;   /* whole, as the service gave it, and followed as it is */
    const char *path;   /* below /api/data/v9.2/, escaped: "accounts?$select=name" */
    bool row;           /* path names one row: SL_NOTFOUND only when the service says it is gone */
    const char *table;  /* whose rows these are: "account"; NULL: no table's */
    const char *prefer; /* the header Prefer; NULL: none */
    enum sl_urgency urgency;
};

/* Sends the request and waits for the headers of the answer, in its turn (sl_budget_take); both
 * suspend. SL_OK: the answer is a 200 and JSON; gives its stream (sl_dataverse_close) and its head
 * (sl_http_response_done). err must be given. Fails with
 *   SL_NOTFOUND   there is no such row or table, the link has expired, or it leads to another
 *                 host, and then nothing was sent;
 *   SL_THROTTLED  429, and 503 of the whole service, as it seems: everybody waits in the next call
 *                 already; 503 of a table: it is not asked before the time is over;
 *   SL_CONFIG     an operator must act: login (cause 401), privilege (403), change tracking;
 *   SL_REJECTED   the service refuses this request;
 *   SL_CLOSED, SL_TIMEOUT, SL_CANCELED.
 * The message begins with what was asked, without its query: "accounts: …". */
int sl_dataverse_open(struct sl_dataverse_remote *remote, const struct sl_dataverse_get *get,
                      struct sl_http_stream **ret, struct sl_http_response *ret_head,
                      struct sl_err *err);

/* How an answer comes. Only patience_ms is set by its reader, the rest zeroed. */
struct sl_dataverse_pace {
    uint64_t patience_ms;
    uint64_t waited_ms, stretch_ms; /* private */
    size_t stretch_bytes;
};

/* Reads on as sl_http_read does, bounded by progress and by total: the time spent waiting for the
 * service may not exceed patience_ms for 16 KiB (or the rest of the answer), nor ten times that for
 * all of it. Pauses of the reader do not count. Else SL_TIMEOUT, and the stream is to be closed. */
int sl_dataverse_read(struct sl_http_stream *stream, struct sl_dataverse_pace *pace, void *buf,
                      size_t size, size_t *ret_size, struct sl_err *err);

/* Closes a stream of sl_dataverse_open, read or not, and lets the next one have its turn. */
void sl_dataverse_close(struct sl_dataverse_remote *remote, struct sl_http_stream *stream);

/* The same for a small answer, read whole (at most 16 MiB): gives the document (sl_json_free). An
 * answer that is broken off or malformed is SL_CLOSED. */
int sl_dataverse_read_json(struct sl_dataverse_remote *remote, const struct sl_dataverse_get *get,
                           struct sl_json_doc **ret, struct sl_err *err);

#endif
