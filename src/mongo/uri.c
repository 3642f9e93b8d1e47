#include "mongo/uri.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "mongo/error.h"
#include "mongo/settings.h"
#include "mongo/srv.h"

struct limit {
    const char *option;
    int32_t value_ms;
};

/* The deadline of each command rules; these bound what happens inside it. A scan ends after
 * connectTimeoutMS, so an election is noticed soon. No command is allowed more than an hour. */
static const struct limit limits[] = {
    {MONGOC_URI_CONNECTTIMEOUTMS,         2000   },
    {MONGOC_URI_SERVERSELECTIONTIMEOUTMS, 5000   },
    {MONGOC_URI_SOCKETTIMEOUTMS,          3600000},
};

/* A connection that anybody could answer is not worth its encryption. */
static const char *const insecure[] = {
    MONGOC_URI_TLSINSECURE,
    MONGOC_URI_TLSALLOWINVALIDCERTIFICATES,
    MONGOC_URI_TLSALLOWINVALIDHOSTNAMES,
};

/* --- options that the driver does not know --- */

/* Names, while a URL is parsed: "a", "b". */
static struct sl_buf *unknown;

bool sl_mongo_uri_overhear(const char *message)
{
    static const char about[] = "Unsupported URI option ";
    if (!unknown || strncmp(message, about, strlen(about)) != 0)
        return false;
    sl_buf_printf(unknown, "%s%s", unknown->length ? ", " : "", message + strlen(about));
    return true;
}

#define ENCODE "user and password hold what must be written as %%40 (@), %%2F (/) or %%3F (?)"

/* Behind an "@" that nobody encoded, or before it, may be a part of the password: then no name is
 * told. */
static int check_known(const char *url, const struct sl_buf *names, struct sl_err *err)
{
    const char *options = strchr(url, '?');
    if (!names->length)
        return SL_OK;
    if (options && strchr(options, '@'))
        return sl_err_set(err, SL_CONFIG, "mongo.url: one of its options is unknown; or " ENCODE);
    return sl_err_set(err, SL_CONFIG, "mongo.url: unknown option %.200s", names->data);
}

/* --- what is asked for and not done here --- */

static int check_tls(const mongoc_uri_t *uri, struct sl_err *err)
{
    for (size_t i = 0; i < sizeof insecure / sizeof *insecure; i++)
        if (mongoc_uri_get_option_as_bool(uri, insecure[i], false))
            return sl_err_set(err, SL_CONFIG,
                              "mongo.url: %s=true is not supported: servers are always verified; "
                              "name the CA that signed their certificates in tlsCAFile",
                              insecure[i]);
    return SL_OK;
}

static int check_mechanism(const mongoc_uri_t *uri, struct sl_err *err)
{
    const char *mechanism = mongoc_uri_get_auth_mechanism(uri);
    if (!mechanism)
        return SL_OK;
    if (strcasecmp(mechanism, "GSSAPI") == 0 || strcasecmp(mechanism, "MONGODB-AWS") == 0)
        return sl_err_set(err, SL_CONFIG,
                          "mongo.url: authMechanism=%s is not supported: use SCRAM or "
                          "MONGODB-X509",
                          mechanism);
    struct sl_tls_options options;
    if (strcasecmp(mechanism, "MONGODB-X509") == 0 &&
        (!sl_mongo_uri_tls(uri, &options) || !options.certificate))
        return sl_err_set(err, SL_CONFIG,
                          "mongo.url: authMechanism=MONGODB-X509 needs tls=true and "
                          "tlsCertificateKeyFile, a PEM file with certificate and key");
    return SL_OK;
}

static void set_defaults(mongoc_uri_t *uri)
{
    if (!mongoc_uri_has_option(uri, MONGOC_URI_APPNAME))
        mongoc_uri_set_option_as_utf8(uri, MONGOC_URI_APPNAME, "sluice");
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (!mongoc_uri_has_option(uri, limits[i].option))
            mongoc_uri_set_option_as_int32(uri, limits[i].option, limits[i].value_ms);
    /* One look around, then an error: the caller decides how long to go on trying. */
    mongoc_uri_set_option_as_bool(uri, MONGOC_URI_SERVERSELECTIONTRYONCE, true);
}

/* --- parsing --- */

/* Part of a password was taken for the end of the names of the servers. */
static bool is_cut_in_password(const char *text)
{
    const char *names = strstr(text, "://");
    const char *slash = names ? strchr(names + 3, '/') : NULL;
    return slash && strchr(slash, '@');
}

/* The driver's part. */
static mongoc_uri_t *read_text(const char *text, struct sl_err *err)
{
    bson_error_t error = {0};
    struct sl_buf names;
    sl_buf_init_secret(&names);
    unknown = &names;
    mongoc_uri_t *uri = mongoc_uri_new_with_error(text, &error);
    unknown = NULL;
    if (!uri) {
        sl_mongo_mask(error.message);
        sl_err_set(err, SL_CONFIG,
                   is_cut_in_password(text) ? "mongo.url: %s: " ENCODE : "mongo.url: %s",
                   error.message);
    } else if (check_known(text, &names, err) != SL_OK) {
        mongoc_uri_destroy(uri);
        uri = NULL;
    }
    sl_buf_done(&names);
    return uri;
}

static mongoc_uri_t *parse(const char *text, bool tls, struct sl_err *err)
{
    mongoc_uri_t *uri = read_text(text, err);
    if (!uri)
        return NULL;
    if (tls && !mongoc_uri_has_option(uri, MONGOC_URI_TLS))
        mongoc_uri_set_option_as_bool(uri, MONGOC_URI_TLS, true);
    if (check_tls(uri, err) != SL_OK || check_mechanism(uri, err) != SL_OK) {
        mongoc_uri_destroy(uri);
        return NULL;
    }
    set_defaults(uri);
    return uri;
}

mongoc_uri_t *sl_mongo_uri_new(const char *url, struct sl_err *err)
{
    if (!sl_srv_is(url))
        return parse(url, false, err);
    mongoc_uri_t *uri = NULL;
    struct sl_buf plain;
    sl_buf_init_secret(&plain);
    if (sl_srv_plain(url, &plain, err) == SL_OK)
        uri = parse(plain.data, true, err);
    sl_buf_done(&plain);
    return uri;
}

mongoc_uri_t *sl_mongo_uri_find(const mongoc_uri_t *uri, uint64_t deadline_ms, struct sl_err *err)
{
    mongoc_uri_t *found = NULL;
    struct sl_buf text;
    sl_buf_init_secret(&text);
    if (sl_srv_find(mongoc_uri_get_string(uri), deadline_ms, &text, err) == SL_OK)
        found = parse(text.data, true, err);
    sl_buf_done(&text);
    return found;
}

bool sl_mongo_uri_tls(const mongoc_uri_t *uri, struct sl_tls_options *ret_options)
{
    if (!mongoc_uri_get_tls(uri))
        return false;
    const char *pem = mongoc_uri_get_option_as_utf8(uri, MONGOC_URI_TLSCERTIFICATEKEYFILE, NULL);
    *ret_options = (struct sl_tls_options){
        .ca_file = mongoc_uri_get_option_as_utf8(uri, MONGOC_URI_TLSCAFILE, NULL),
        .certificate = pem,
        .key = pem,
        .password =
            mongoc_uri_get_option_as_utf8(uri, MONGOC_URI_TLSCERTIFICATEKEYFILEPASSWORD, NULL),
    };
    return true;
}

char *sl_mongo_key_file(const char *url)
{
    struct sl_tls_options options;
    mongoc_uri_t *uri = sl_mongo_uri_new(url, NULL);
    bool has = uri && sl_mongo_uri_tls(uri, &options) && options.key;
    char *file = has ? sl_strdup(options.key) : NULL;
    mongoc_uri_destroy(uri);
    return file;
}

void sl_mongo_uri_strip_tls(mongoc_uri_t *uri, const char *subject)
{
    const char *mechanism = mongoc_uri_get_auth_mechanism(uri);
    bool by_certificate = mechanism && strcasecmp(mechanism, "MONGODB-X509") == 0;
    if (by_certificate && subject && !mongoc_uri_get_username(uri))
        mongoc_uri_set_username(uri, subject);
    mongoc_uri_set_option_as_bool(uri, MONGOC_URI_TLS, false); /* outweighs the other options */
}
