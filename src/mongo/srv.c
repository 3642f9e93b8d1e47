#include "mongo/srv.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "loop/dns.h"

#define SRV_SCHEME "mongodb+srv://"
#define SCHEME "mongodb://"

/* --- a connection string and its parts --- */

struct parts {
    struct sl_str login; /* with its @, or empty */
    struct sl_str hosts;
    struct sl_str database; /* with its /, or empty */
    struct sl_str options;  /* without the ? */
};

/* url without its scheme. A view into it. */
static struct parts parts_of(const char *url)
{
    size_t authority = strcspn(url, "/?"), login = authority;
    const char *rest = url + authority;
    size_t database = strcspn(rest, "?");
    while (login && url[login - 1] != '@')
        login--;
    return (struct parts){
        .login = {url,         login            },
        .hosts = {url + login, authority - login},
        .database = {rest,        database         },
        .options = sl_str_of(rest[database] ? rest + database + 1 : ""),
    };
}

/* Takes the next "name=value" off options; false at the end. */
static bool next_option(struct sl_str *options, struct sl_str *ret_name, struct sl_str *ret_value)
{
    while (options->length) {
        const char *end = memchr(options->at, '&', options->length);
        size_t length = end ? (size_t)(end - options->at) : options->length;
        const char *equals = memchr(options->at, '=', length);
        size_t name = equals ? (size_t)(equals - options->at) : length;
        *ret_name = (struct sl_str){options->at, name};
        *ret_value = (struct sl_str){options->at + name + (equals ? 1 : 0),
                                     length - name - (equals ? 1 : 0)};
        options->at += length + (end ? 1 : 0);
        options->length -= length + (end ? 1 : 0);
        if (length)
            return true;
    }
    return false;
}

bool sl_srv_is(const char *url)
{
    return strncasecmp(url, SRV_SCHEME, strlen(SRV_SCHEME)) == 0;
}

int sl_srv_plain(const char *url, struct sl_buf *out, struct sl_err *err)
{
    static const char *const refused[] = {"srvMaxHosts", "srvServiceName", "directConnection"};
    struct parts parts = parts_of(url + strlen(SRV_SCHEME));
    if (!parts.hosts.length || memchr(parts.hosts.at, ',', parts.hosts.length) ||
        memchr(parts.hosts.at, ':', parts.hosts.length))
        return sl_err_set(err, SL_CONFIG,
                          "mongo.url: mongodb+srv:// is followed by the name of one cluster, "
                          "without a port: DNS knows its members");
    struct sl_str options = parts.options, name, value;
    while (next_option(&options, &name, &value))
        for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
            if (sl_str_equal_nocase(name, sl_str_of(refused[i])))
                return sl_err_set(err, SL_CONFIG,
                                  "mongo.url: %s is not supported with mongodb+srv://", refused[i]);
    sl_buf_add_text(out, SCHEME);
    sl_buf_add_text(out, url + strlen(SRV_SCHEME));
    return SL_OK;
}

/* --- what DNS says --- */

static bool is_made_of(struct sl_str text, const char *also)
{
    for (size_t i = 0; i < text.length; i++)
        if (!isalnum((unsigned char)text.at[i]) && !strchr(also, text.at[i]))
            return false;
    return text.length > 0;
}

/* Whoever can put records into the cluster's domain, and nobody else, may name its members. */
static bool is_of(const char *member, const char *cluster)
{
    const char *dot = strchr(cluster, '.');
    const char *domain = dot && strchr(dot + 1, '.') ? dot + 1 : cluster;
    size_t member_length = strlen(member), length = strlen(domain);
    return is_made_of(sl_str_of(member), "-_.") && member_length > length + 1 &&
           member[member_length - length - 1] == '.' &&
           strcasecmp(member + member_length - length, domain) == 0;
}

static void strip_last_dot(char *name)
{
    size_t length = strlen(name);
    if (length && name[length - 1] == '.')
        name[length - 1] = 0;
}

static int add_members(const char *cluster, uint64_t deadline_ms, struct sl_buf *out,
                       struct sl_err *err)
{
    struct sl_services members;
    char name[SL_HOST_BYTES + 16];
    snprintf(name, sizeof name, "_mongodb._tcp.%s", cluster);
    int rc = sl_dns_services(name, deadline_ms, &members, err);
    if (rc == SL_NOTFOUND)
        return sl_err_set(err, SL_CLOSED, "DNS knows no cluster %s (it has no SRV record %s)",
                          cluster, name);
    for (size_t i = 0; rc == SL_OK && i < members.count; i++) {
        char *host = members.item[i].host;
        strip_last_dot(host);
        if (!is_of(host, cluster))
            return sl_err_set(err, SL_CLOSED,
                              "DNS names %s as a member of the cluster %s, which is another "
                              "domain's: it is not asked",
                              host, cluster);
        sl_buf_printf(out, "%s%s:%u", i ? "," : "", host, (unsigned)members.item[i].port);
    }
    return rc;
}

/* A TXT record may name the set and where users are kept, and nothing else. */
static int add_options_of(const struct sl_buf *text, const char *cluster, struct sl_buf *out,
                          struct sl_err *err)
{
    struct sl_str options = sl_buf_view(text), name, value;
    while (next_option(&options, &name, &value)) {
        if ((!sl_str_equal_nocase(name, sl_str_of("authSource")) &&
             !sl_str_equal_nocase(name, sl_str_of("replicaSet"))) ||
            !is_made_of(value, "-_.$%"))
            return sl_err_set(err, SL_CLOSED,
                              "the TXT record of the cluster %s says more than authSource and "
                              "replicaSet: that is not supported",
                              cluster);
        sl_buf_printf(out, SL_STR_FORMAT "=" SL_STR_FORMAT "&", SL_STR_ARGS(name),
                      SL_STR_ARGS(value));
    }
    return SL_OK;
}

static int add_options(const char *cluster, uint64_t deadline_ms, struct sl_buf *out,
                       struct sl_err *err)
{
    struct sl_buf text;
    sl_buf_init(&text);
    int rc = sl_dns_text(cluster, deadline_ms, &text, err);
    if (rc == SL_OK)
        rc = add_options_of(&text, cluster, out, err);
    sl_buf_done(&text);
    return rc == SL_NOTFOUND ? SL_OK : rc;
}

int sl_srv_find(const char *plain, uint64_t deadline_ms, struct sl_buf *out, struct sl_err *err)
{
    struct parts parts = parts_of(plain + strlen(SCHEME));
    char cluster[SL_HOST_BYTES];
    if (parts.hosts.length >= sizeof cluster)
        return sl_err_set(err, SL_CLOSED, "the cluster's name is longer than DNS allows");
    snprintf(cluster, sizeof cluster, SL_STR_FORMAT, SL_STR_ARGS(parts.hosts));

    sl_buf_add_text(out, SCHEME);
    sl_buf_add(out, parts.login.at, parts.login.length);
    int rc = add_members(cluster, deadline_ms, out, err);
    sl_buf_add(out, parts.database.at, parts.database.length);
    sl_buf_add_text(out, parts.database.length ? "?" : "/?");
    if (rc == SL_OK)
        rc = add_options(cluster, deadline_ms, out, err);
    sl_buf_add(out, parts.options.at, parts.options.length);
    return rc;
}
