#include "mongo/uri.h"

#include <string.h>
#include <strings.h>

#include "mongo/error.h"

struct limit {
    const char *option;
    int32_t value_ms;
};

/* The deadline of each command rules; these bound what happens inside it. A scan ends after
 * connectTimeoutMS, so an election is noticed soon. */
static const struct limit limits[] = {
    {MONGOC_URI_CONNECTTIMEOUTMS,         2000 },
    {MONGOC_URI_SERVERSELECTIONTIMEOUTMS, 5000 },
    {MONGOC_URI_SOCKETTIMEOUTMS,          60000},
};

static bool refuse(const char *url, const mongoc_uri_t *uri, struct sl_err *err)
{
    if (strncasecmp(url, "mongodb+srv:", 12) == 0) {
        sl_err_set(err, SL_CONFIG,
                   "mongo.url: mongodb+srv is not supported: name the members instead, as in "
                   "mongodb://host1:27017,host2:27017/?replicaSet=rs0&tls=true");
        return true;
    }
    const char *mechanism = uri ? mongoc_uri_get_auth_mechanism(uri) : NULL;
    if (mechanism &&
        (strcasecmp(mechanism, "GSSAPI") == 0 || strcasecmp(mechanism, "MONGODB-AWS") == 0)) {
        sl_err_set(err, SL_CONFIG,
                   "mongo.url: authMechanism=%s is not supported: use SCRAM or MONGODB-X509",
                   mechanism);
        return true;
    }
    return false;
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

mongoc_uri_t *sl_mongo_uri_new(const char *url, struct sl_err *err)
{
    if (refuse(url, NULL, err))
        return NULL;

    bson_error_t error = {0};
    mongoc_uri_t *uri = mongoc_uri_new_with_error(url, &error);
    if (!uri) {
        sl_mongo_mask(error.message);
        sl_err_set(err, SL_CONFIG, "mongo.url: %s", error.message);
        return NULL;
    }
    if (refuse(url, uri, err)) {
        mongoc_uri_destroy(uri);
        return NULL;
    }
    set_defaults(uri);
    return uri;
}

bool sl_mongo_uri_tls(const mongoc_uri_t *uri, mongoc_ssl_opt_t *ret_tls)
{
    /* The driver keeps two switches behind `internal`: skip revocation checks altogether, and skip
     * asking OCSP responders, which it would do with a blocking connection. Unchanged since 1.17.
     */
    static bool switches[2] = {false, true};

    if (!mongoc_uri_get_tls(uri))
        return false;
    bool insecure = mongoc_uri_get_option_as_bool(uri, MONGOC_URI_TLSINSECURE, false);
    *ret_tls = (mongoc_ssl_opt_t){
        .pem_file = mongoc_uri_get_option_as_utf8(uri, MONGOC_URI_TLSCERTIFICATEKEYFILE, NULL),
        .pem_pwd =
            mongoc_uri_get_option_as_utf8(uri, MONGOC_URI_TLSCERTIFICATEKEYFILEPASSWORD, NULL),
        .ca_file = mongoc_uri_get_option_as_utf8(uri, MONGOC_URI_TLSCAFILE, NULL),
        .weak_cert_validation =
            mongoc_uri_get_option_as_bool(uri, MONGOC_URI_TLSALLOWINVALIDCERTIFICATES, insecure),
        .allow_invalid_hostname =
            mongoc_uri_get_option_as_bool(uri, MONGOC_URI_TLSALLOWINVALIDHOSTNAMES, insecure),
        .internal = switches,
    };
    return true;
}
