/* The certificate and the key of a server: read from PEM files, and read again when they change.
 * Handshakes in progress keep the pair that they began with, so a pair counts its users. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "http/server_own.h"

enum {
    CHAIN_MOST = 16,
    FILE_BYTES_MOST = 1024 * 1024,
    LOOK_EVERY_MS = 5000,
    LOOK_LEAST_MS = 1000, /* between two looks, when handshakes ask for them */
    KEY_ID_BYTES = 64,
    HANDSHAKES_A_TURN = 1, /* begun in a loop turn: a signature takes a millisecond or more */
};

/* TLS 1.2 and 1.3, with forward secrecy. */
const char sl_server_tls_priorities[] = "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA";

struct sl_tls_pair {
    unsigned users;
    gnutls_pcert_st chain[CHAIN_MOST];
    unsigned chain_length;
    gnutls_privkey_t key;
};

/* What tells one state of the two files from another. */
struct stamp {
    struct {
        dev_t device;
        ino_t inode;
        off_t size_bytes;
        struct timespec changed; /* the file, or who may read it */
    } of[2];
};

struct sl_server_tls {
    char *listener, *certificate, *key;
    struct sl_tls_pair *pair;
    struct stamp loaded, told; /* the files' as the pair was read; as a bad one was last logged */
    uint64_t looked_ms;
    uv_timer_t *timer;
    unsigned begun; /* handshakes in this loop turn */
    struct sl_metric *expires;
};

/* --- files --- */

static void take_stamp(const struct sl_server_tls *tls, struct stamp *ret)
{
    const char *const paths[] = {tls->certificate, tls->key};
    memset(ret, 0, sizeof *ret); /* its padding is compared too */
    for (int i = 0; i < 2; i++) {
        struct stat status;
        if (stat(paths[i], &status))
            continue;
        ret->of[i].device = status.st_dev;
        ret->of[i].inode = status.st_ino;
        ret->of[i].size_bytes = status.st_size;
        ret->of[i].changed = status.st_ctim;
    }
}

/* Reads it into text (sl_buf_done), and gives it as GnuTLS wants it. */
static int read_file(const char *path, const char *what, struct sl_buf *text, gnutls_datum_t *ret,
                     struct sl_err *err)
{
    sl_buf_init_secret(text);
    const char *wrong = sl_file_read(path, FILE_BYTES_MOST, text);
    if (wrong) {
        sl_buf_done(text);
        return sl_err_set(err, SL_CONFIG, "cannot read the %s '%s': %s", what, path, wrong);
    }
    *ret = (gnutls_datum_t){(unsigned char *)text->data, (unsigned)text->length};
    return SL_OK;
}

/* --- the pair --- */

static void free_pair(struct sl_tls_pair *pair)
{
    for (unsigned i = 0; i < pair->chain_length; i++)
        gnutls_pcert_deinit(&pair->chain[i]);
    if (pair->key)
        gnutls_privkey_deinit(pair->key); /* overwrites its numbers */
    free(pair);
}

void sl_tls_pair_drop(struct sl_tls_pair *pair)
{
    if (pair && !--pair->users)
        free_pair(pair);
}

static int load_chain(struct sl_tls_pair *pair, const char *path, struct sl_err *err)
{
    struct sl_buf text;
    gnutls_datum_t file;
    unsigned length = CHAIN_MOST;
    if (read_file(path, "certificate", &text, &file, err) != SL_OK)
        return SL_CONFIG;
    int rc = gnutls_pcert_list_import_x509_raw(pair->chain, &length, &file, GNUTLS_X509_FMT_PEM,
                                               GNUTLS_X509_CRT_LIST_SORT);
    sl_buf_done(&text);
    if (rc < 0)
        return sl_err_set(err, SL_CONFIG, "cannot use the certificate '%s': %s", path,
                          gnutls_strerror(rc));
    pair->chain_length = length;
    return SL_OK;
}

static int load_key(struct sl_tls_pair *pair, const char *path, struct sl_err *err)
{
    struct sl_buf text;
    gnutls_datum_t file;
    if (read_file(path, "key", &text, &file, err) != SL_OK)
        return SL_CONFIG;
    int rc = gnutls_privkey_init(&pair->key);
    if (rc >= 0)
        rc = gnutls_privkey_import_x509_raw(pair->key, &file, GNUTLS_X509_FMT_PEM, NULL, 0);
    sl_buf_done(&text);
    if (rc < 0)
        return sl_err_set(
            err, SL_CONFIG,
            "cannot use the key '%s': %s; it must be in PEM form, without a passphrase", path,
            gnutls_strerror(rc));
    return SL_OK;
}

static bool same_key(gnutls_pubkey_t a, gnutls_pubkey_t b)
{
    unsigned char id[2][KEY_ID_BYTES];
    size_t length[2] = {sizeof id[0], sizeof id[1]};
    return gnutls_pubkey_get_key_id(a, 0, id[0], &length[0]) >= 0 &&
           gnutls_pubkey_get_key_id(b, 0, id[1], &length[1]) >= 0 && length[0] == length[1] &&
           !memcmp(id[0], id[1], length[0]);
}

static bool belong_together(const struct sl_tls_pair *pair)
{
    gnutls_pubkey_t public_key;
    if (gnutls_pubkey_init(&public_key) < 0)
        return false;
    bool equal = gnutls_pubkey_import_privkey(public_key, pair->key, 0, 0) >= 0 &&
                 same_key(public_key, pair->chain[0].pubkey);
    gnutls_pubkey_deinit(public_key);
    return equal;
}

static int load(const char *certificate, const char *key, struct sl_tls_pair **ret,
                struct sl_err *err)
{
    struct sl_tls_pair *pair = SL_NEW(struct sl_tls_pair);
    pair->users = 1;
    int rc = load_chain(pair, certificate, err);
    if (rc == SL_OK)
        rc = load_key(pair, key, err);
    if (rc == SL_OK && !belong_together(pair))
        rc = sl_err_set(err, SL_CONFIG, "the key '%s' does not belong to the certificate '%s'", key,
                        certificate);
    if (rc == SL_OK)
        *ret = pair;
    else
        free_pair(pair);
    return rc;
}

int sl_http_server_check_tls(const char *certificate, const char *key, struct sl_err *err)
{
    struct sl_tls_pair *pair;
    int rc = load(certificate, key, &pair, err);
    if (rc == SL_OK)
        sl_tls_pair_drop(pair);
    return rc;
}

/* --- changes --- */

static void use(struct sl_server_tls *tls, struct sl_tls_pair *pair)
{
    gnutls_x509_crt_t leaf;
    sl_tls_pair_drop(tls->pair);
    tls->pair = pair;
    if (gnutls_pcert_export_x509(&pair->chain[0], &leaf) < 0)
        return;
    sl_metric_set(tls->expires, gnutls_x509_crt_get_expiration_time(leaf));
    gnutls_x509_crt_deinit(leaf);
}

/* Once for each state of the files, which are read again all the same: it may be no fault of
 * theirs. */
static void tell_bad(struct sl_server_tls *tls, const struct stamp *stamp, const struct sl_err *why)
{
    if (!memcmp(stamp, &tls->told, sizeof *stamp))
        return;
    tls->told = *stamp;
    sl_log(SL_ERROR, "new certificate not used, the old one stays", SL_T("listener", tls->listener),
           SL_T("reason", why->message));
}

static void look(struct sl_server_tls *tls)
{
    struct stamp stamp;
    struct sl_tls_pair *pair;
    struct sl_err err = {0};
    tls->looked_ms = sl_loop_now_ms();
    take_stamp(tls, &stamp);
    if (!memcmp(&stamp, &tls->loaded, sizeof stamp))
        return;
    if (load(tls->certificate, tls->key, &pair, &err) != SL_OK) {
        tell_bad(tls, &stamp, &err);
        return;
    }
    tls->loaded = stamp;
    use(tls, pair);
    sl_log(SL_INFO, "new certificate in use", SL_T("listener", tls->listener),
           SL_T("certificate", tls->certificate));
}

static void on_timer(uv_timer_t *timer)
{
    look(timer->data);
}

/* --- sessions --- */

static bool is_progress(ssize_t moved)
{
    return moved >= 0 || (errno != EAGAIN && errno != EINTR);
}

static ssize_t pull(gnutls_transport_ptr_t at, void *bytes, size_t size)
{
    struct sl_link *link = at;
    if (!link->pair && link->server->tls->begun >= HANDSHAKES_A_TURN) {
        link->server->moved = true; /* in the next turn it will */
        errno = EINTR;
        return -1;
    }
    ssize_t got = recv(link->fd, bytes, size, MSG_DONTWAIT);
    if (is_progress(got))
        link->server->moved = true;
    return got;
}

static ssize_t push(gnutls_transport_ptr_t at, const void *bytes, size_t size)
{
    struct sl_link *link = at;
    ssize_t sent = send(link->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (is_progress(sent))
        link->server->moved = true;
    return sent;
}

void sl_server_tls_turn(struct sl_server_tls *tls)
{
    tls->begun = 0;
}

void sl_server_tls_attach(struct sl_link *link)
{
    gnutls_session_t session =
        MHD_get_connection_info(link->connection, MHD_CONNECTION_INFO_GNUTLS_SESSION)->tls_session;
    gnutls_transport_set_ptr(session, link);
    gnutls_transport_set_pull_function(session, pull);
    gnutls_transport_set_push_function(session, push);
}

/* GnuTLS asks it once a handshake, when the client has said hello. */
static int choose_pair(gnutls_session_t session, const gnutls_datum_t *authorities,
                       int authority_count, const gnutls_pk_algorithm_t *algorithms,
                       int algorithm_count, gnutls_pcert_st **chain, unsigned *chain_length,
                       gnutls_privkey_t *key)
{
    struct sl_link *link = sl_link_of(gnutls_session_get_ptr(session));
    struct sl_server_tls *tls = link->server->tls;
    (void)authorities, (void)authority_count, (void)algorithms, (void)algorithm_count;
    if (sl_loop_now_ms() - tls->looked_ms >= LOOK_LEAST_MS)
        look(tls);
    if (!link->pair) {
        link->pair = tls->pair;
        link->pair->users++;
        tls->begun++;
    }
    *chain = link->pair->chain;
    *chain_length = link->pair->chain_length;
    *key = link->pair->key;
    return 0;
}

void *sl_server_tls_callback(void)
{
    return (void *)(uintptr_t)choose_pair;
}

struct sl_server_tls *sl_server_tls_new(const char *listener, const char *certificate,
                                        const char *key, struct sl_err *err)
{
    if (!key) {
        sl_err_set(err, SL_CONFIG, "the certificate '%s' has no key beside it", certificate);
        return NULL;
    }
    struct sl_tls_pair *pair;
    struct sl_server_tls *tls = SL_NEW(struct sl_server_tls);
    tls->listener = sl_strdup(listener);
    tls->certificate = sl_strdup(certificate);
    tls->key = sl_strdup(key);
    take_stamp(tls, &tls->loaded); /* before the files are read: a change meanwhile is seen */
    tls->told = tls->loaded;
    tls->looked_ms = sl_loop_now_ms();
    if (load(tls->certificate, tls->key, &pair, err) != SL_OK) {
        sl_server_tls_free(tls);
        return NULL;
    }
    tls->expires = sl_gauge("http_certificate_expires_seconds",
                            "When the listener's certificate expires, in seconds since 1970.",
                            "listener=\"%s\"", listener);
    use(tls, pair);
    tls->timer = sl_alloc(sizeof *tls->timer);
    uv_timer_init(sl_loop(), tls->timer);
    tls->timer->data = tls;
    uv_timer_start(tls->timer, on_timer, LOOK_EVERY_MS, LOOK_EVERY_MS);
    return tls;
}

void sl_server_tls_free(struct sl_server_tls *tls)
{
    if (!tls)
        return;
    if (tls->timer)
        uv_close((uv_handle_t *)tls->timer, sl_handle_free);
    sl_tls_pair_drop(tls->pair);
    free(tls->listener);
    free(tls->certificate);
    free(tls->key);
    free(tls);
}
