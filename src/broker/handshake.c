/* Channel 0: login, tuning, alarms and the end of a connection (AMQP 0-9-1, section 2.2.4).
 *
 *   header ► start ► start-ok ► tune ► tune-ok, open ► open-ok … close ► close-ok */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/amqp_own.h"

enum { HEARTBEAT_MAX_S = 65535 };

static int put(struct sl_amqp *amqp, amqp_method_number_t id, void *decoded, struct sl_err *err)
{
    return sl_codec_put_method(&amqp->codec, amqp->stream, 0, id, decoded, err);
}

/* --- start: log in --- */

static amqp_table_entry_t text_entry(const char *key, const char *text)
{
    amqp_table_entry_t entry = {.key = sl_codec_bytes(key)};
    entry.value.kind = AMQP_FIELD_KIND_UTF8;
    entry.value.value.bytes = sl_codec_bytes(text);
    return entry;
}

static amqp_table_entry_t true_entry(const char *key)
{
    amqp_table_entry_t entry = {.key = sl_codec_bytes(key)};
    entry.value.kind = AMQP_FIELD_KIND_BOOLEAN;
    entry.value.value.boolean = 1;
    return entry;
}

static bool has_word(struct sl_str list, const char *word)
{
    size_t length = strlen(word);
    while (list.length >= length) {
        const char *space = memchr(list.at, ' ', list.length);
        size_t size = space ? (size_t)(space - list.at) : list.length;
        if (size == length && !memcmp(list.at, word, length))
            return true;
        if (!space)
            break;
        list.at += size + 1;
        list.length -= size + 1;
    }
    return false;
}

static void note_version(struct sl_amqp *amqp, const amqp_table_t *properties)
{
    amqp->version[0] = 0;
    for (int i = 0; i < properties->num_entries; i++) {
        const amqp_table_entry_t *entry = &properties->entries[i];
        if (!sl_str_is(sl_codec_view(entry->key), "version") ||
            entry->value.kind != AMQP_FIELD_KIND_UTF8)
            continue;
        struct sl_str text = sl_codec_view(entry->value.value.bytes);
        size_t size = text.length < sizeof amqp->version ? text.length : sizeof amqp->version - 1;
        memcpy(amqp->version, text.at, size);
        amqp->version[size] = 0;
    }
}

/* SASL PLAIN (RFC 4616): NUL user NUL password. */
static void add_login(const struct sl_amqp_address *address, struct sl_buf *out)
{
    sl_buf_add_char(out, 0);
    sl_buf_add_text(out, address->user);
    sl_buf_add_char(out, 0);
    sl_buf_add_text(out, address->password);
}

static int check_mechanism(const struct sl_amqp *amqp, struct sl_str offered, struct sl_err *err)
{
    if (has_word(offered, amqp->options.by_certificate ? "EXTERNAL" : "PLAIN"))
        return SL_OK;
    if (amqp->options.by_certificate)
        return sl_err_set(err, SL_CONFIG,
                          "the server does not offer login by certificate (EXTERNAL): enable "
                          "rabbitmq_auth_mechanism_ssl there and add EXTERNAL to auth_mechanisms, "
                          "or name a user in broker.url");
    return sl_err_set(err, SL_CONFIG, "the server does not offer login by password (PLAIN)");
}

static int on_start(struct sl_amqp *amqp, const amqp_connection_start_t *start, struct sl_err *err)
{
    bool by_certificate = amqp->options.by_certificate;
    int checked = check_mechanism(amqp, sl_codec_view(start->mechanisms), err);
    if (checked != SL_OK)
        return checked;
    note_version(amqp, &start->server_properties);

    amqp_table_entry_t can[] = {
        true_entry("publisher_confirms"),           true_entry("connection.blocked"),
        true_entry("consumer_cancel_notify"),       true_entry("basic.nack"),
        true_entry("authentication_failure_close"),
    };
    amqp_table_entry_t about[] = {
        text_entry("product", "sluice"),
        text_entry("connection_name", amqp->options.name),
        {.key = sl_codec_bytes("capabilities")},
    };
    about[2].value.kind = AMQP_FIELD_KIND_TABLE;
    about[2].value.value.table = (amqp_table_t){sizeof can / sizeof *can, can};

    struct sl_buf login;
    sl_buf_init_secret(&login);
    if (!by_certificate) /* else the server takes the name from the certificate */
        add_login(amqp->options.address, &login);
    amqp_connection_start_ok_t reply = {
        .client_properties = {sizeof about / sizeof *about, about     },
        .mechanism = sl_codec_bytes(by_certificate ? "EXTERNAL" : "PLAIN"),
        .response = {login.length,                 login.data},
        .locale = sl_codec_bytes("en_US"),
    };
    int rc = put(amqp, AMQP_CONNECTION_START_OK_METHOD, &reply, err);
    sl_wipe(amqp->codec.scratch.data, amqp->codec.scratch.length);
    sl_buf_done(&login);
    amqp->state = SL_AMQP_LOGIN;
    return rc;
}

/* --- tune: sizes and heartbeat --- */

/* The smaller of two limits, where 0 means none. */
static uint64_t smaller(uint64_t a, uint64_t b)
{
    if (!a || !b)
        return a + b;
    return a < b ? a : b;
}

static int on_tune(struct sl_amqp *amqp, const amqp_connection_tune_t *tune, struct sl_err *err)
{
    amqp->frame_max = (size_t)smaller(tune->frame_max, SL_FRAME_SIZE_MAX);
    amqp->channel_max = (uint16_t)smaller(tune->channel_max, SL_CHANNELS_MAX);
    if (amqp->frame_max < SL_FRAME_SIZE_MIN)
        return sl_err_set(err, SL_CLOSED, "the server wants frames of %zu bytes, too small",
                          amqp->frame_max);
    amqp->reader.frame_max = amqp->frame_max;

    uint64_t wanted_s = (amqp->options.heartbeat_ms + 999) / 1000;
    uint64_t heartbeat_s = wanted_s ? smaller(wanted_s, tune->heartbeat) : 0;
    if (heartbeat_s > HEARTBEAT_MAX_S)
        heartbeat_s = HEARTBEAT_MAX_S;
    amqp->heartbeat_ms = heartbeat_s * 1000;

    amqp_connection_tune_ok_t reply = {.channel_max = amqp->channel_max,
                                       .frame_max = (uint32_t)amqp->frame_max,
                                       .heartbeat = (uint16_t)heartbeat_s};
    int rc = put(amqp, AMQP_CONNECTION_TUNE_OK_METHOD, &reply, err);
    if (rc != SL_OK)
        return rc;
    amqp_connection_open_t open = {.virtual_host = sl_codec_bytes(amqp->options.address->vhost)};
    amqp->state = SL_AMQP_OPENING;
    return put(amqp, AMQP_CONNECTION_OPEN_METHOD, &open, err);
}

/* --- close --- */

int sl_amqp_server_said(struct sl_err *err, enum sl_code code, const char *what,
                        uint16_t reply_code, amqp_bytes_t reply_text)
{
    struct sl_str text = sl_codec_view(reply_text);
    sl_err_set(err, code, "%s: %u " SL_STR_FORMAT, what, reply_code, SL_STR_ARGS(text));
    if (err)
        err->cause = reply_code;
    return code;
}

static int refuse_login(const struct sl_amqp *amqp, struct sl_err *err)
{
    const struct sl_amqp_address *address = amqp->options.address;
    if (amqp->options.by_certificate)
        return sl_err_set(err, SL_CONFIG,
                          "login by the certificate of '%s' (vhost '%s') was refused: RabbitMQ "
                          "needs a user of that name (see its setting ssl_cert_login_from)",
                          sl_tls_subject(amqp->options.tls), address->vhost);
    return sl_err_set(err, SL_CONFIG,
                      "login of user '%s' (vhost '%s') was refused: check user and password in "
                      "broker.url",
                      address->user, address->vhost);
}

/* During the handshake a close says that login or vhost is refused: an operator must act. */
static int on_close(struct sl_amqp *amqp, const amqp_connection_close_t *close, struct sl_err *err)
{
    const struct sl_amqp_address *address = amqp->options.address;
    enum sl_amqp_state state = amqp->state;
    amqp_connection_close_ok_t reply = {0};
    put(amqp, AMQP_CONNECTION_CLOSE_OK_METHOD, &reply, NULL); /* leaves when the stream closes */

    if (state == SL_AMQP_LOGIN && close->reply_code == AMQP_ACCESS_REFUSED) {
        refuse_login(amqp, err);
        err->cause = close->reply_code;
        return SL_CONFIG;
    }
    if (state == SL_AMQP_OPENING &&
        (close->reply_code == AMQP_NOT_ALLOWED || close->reply_code == AMQP_ACCESS_REFUSED)) {
        sl_amqp_server_said(err, SL_CONFIG, "the vhost was refused", close->reply_code,
                            close->reply_text);
        return sl_err_wrap(err, "user '%s', vhost '%s'",
                           amqp->options.by_certificate ? sl_tls_subject(amqp->options.tls)
                                                        : address->user,
                           address->vhost);
    }
    return sl_amqp_server_said(err, SL_CLOSED, "the server closed the connection",
                               close->reply_code, close->reply_text);
}

/* --- alarms --- */

static void note_blocked(struct sl_amqp *amqp, struct sl_str reason)
{
    size_t size = reason.length < SL_SHORT_MAX ? reason.length : SL_SHORT_MAX;
    memcpy(amqp->blocked_reason, reason.at, size);
    amqp->blocked_reason[size] = 0;
    sl_amqp_set_blocked(amqp, true);
    sl_log(SL_WARN, "RabbitMQ blocks publishing", SL_T("connection", amqp->options.name),
           SL_T("reason", amqp->blocked_reason));
}

static void note_unblocked(struct sl_amqp *amqp)
{
    sl_amqp_set_blocked(amqp, false);
    sl_log(SL_INFO, "RabbitMQ takes messages again", SL_T("connection", amqp->options.name));
    for (unsigned i = 1; i <= SL_CHANNELS_MAX; i++)
        if (amqp->channels[i])
            sl_publish_pump(amqp->channels[i]);
    sl_wake_all(&amqp->changed);
}

static int while_open(struct sl_amqp *amqp, const struct sl_method *method, struct sl_err *err)
{
    if (method->id == AMQP_CONNECTION_BLOCKED_METHOD) {
        const amqp_connection_blocked_t *blocked = method->decoded;
        note_blocked(amqp, sl_codec_view(blocked->reason));
        return SL_OK;
    }
    if (method->id == AMQP_CONNECTION_UNBLOCKED_METHOD) {
        note_unblocked(amqp);
        return SL_OK;
    }
    return sl_err_set(err, SL_CLOSED, "unexpected %s", amqp_method_name(method->id));
}

int sl_amqp_handshake(struct sl_amqp *amqp, const struct sl_method *method, struct sl_err *err)
{
    if (method->id == AMQP_CONNECTION_CLOSE_METHOD)
        return on_close(amqp, method->decoded, err);
    if (amqp->state == SL_AMQP_CLOSING)
        return method->id == AMQP_CONNECTION_CLOSE_OK_METHOD
                   ? sl_err_set(err, SL_CLOSED, "the connection was closed by its owner")
                   : SL_OK;
    if (amqp->state == SL_AMQP_STARTING && method->id == AMQP_CONNECTION_START_METHOD)
        return on_start(amqp, method->decoded, err);
    if (amqp->state == SL_AMQP_LOGIN && method->id == AMQP_CONNECTION_TUNE_METHOD)
        return on_tune(amqp, method->decoded, err);
    if (amqp->state == SL_AMQP_OPENING && method->id == AMQP_CONNECTION_OPEN_OK_METHOD) {
        amqp->state = SL_AMQP_OPEN;
        sl_wake_all(&amqp->changed);
        return SL_OK;
    }
    if (amqp->state == SL_AMQP_OPEN)
        return while_open(amqp, method, err);
    return sl_err_set(err, SL_CLOSED, "unexpected %s during the handshake",
                      amqp_method_name(method->id));
}
