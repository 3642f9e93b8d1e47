#include "http/assertion.h"

#include <inttypes.h>
#include <string.h>

#include <openssl/rand.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/metric.h"
#include "format/base64.h"
#include "http/oauth_settings.h"
#include "http/signer.h"

enum {
    LIFE_S = 5 * 60,
    ID_BYTES = 16,
    TOKEN_BYTES_MAX = 64 * 1024,
};

static void add_member(struct sl_buf *json, const char *name, const char *value)
{
    sl_buf_printf(json, "%s\"%s\":", json->length > 1 ? "," : "", name);
    sl_buf_add_json_text(json, value);
}

static void add_header(const struct sl_signer *signer, enum sl_signing by, struct sl_buf *out)
{
    struct sl_buf json, thumbprint;
    sl_buf_init(&json);
    sl_buf_init(&thumbprint);
    sl_signer_add_thumbprint(signer, by, &thumbprint);
    sl_buf_add_char(&json, '{');
    add_member(&json, "alg", by == SL_RS256 ? "RS256" : "PS256");
    add_member(&json, "typ", "JWT");
    add_member(&json, by == SL_RS256 ? "x5t" : "x5t#S256", thumbprint.data ? thumbprint.data : "");
    sl_buf_add_char(&json, '}');
    sl_base64url_encode(out, json.data, json.length);
    sl_buf_done(&thumbprint);
    sl_buf_done(&json);
}

static int add_claims(const char *client_id, const char *audience, int64_t now_s,
                      struct sl_buf *out, struct sl_err *err)
{
    uint8_t id[ID_BYTES];
    struct sl_buf json, id_text;
    if (RAND_bytes(id, sizeof id) != 1)
        return sl_err_set(err, SL_CLOSED, "the machine gives no random numbers");
    sl_buf_init(&json);
    sl_buf_init(&id_text);
    sl_hex_encode(&id_text, id, sizeof id);
    sl_buf_add_char(&json, '{');
    add_member(&json, "aud", audience);
    add_member(&json, "iss", client_id);
    add_member(&json, "sub", client_id);
    add_member(&json, "jti", id_text.data);
    sl_buf_printf(&json, ",\"nbf\":%" PRId64 ",\"iat\":%" PRId64 ",\"exp\":%" PRId64 "}", now_s,
                  now_s, now_s + LIFE_S);
    sl_base64url_encode(out, json.data, json.length);
    sl_buf_done(&id_text);
    sl_buf_done(&json);
    return SL_OK;
}

static int write_signed(const struct sl_signer *signer, const struct sl_oauth_settings *settings,
                        const char *audience, struct sl_buf *out, struct sl_err *err)
{
    int64_t now_ms = sl_wall_ms();
    size_t start = out->length;
    int rc = sl_signer_check_time(signer, now_ms, err);
    if (rc != SL_OK)
        return rc;
    add_header(signer, settings->algorithm, out);
    sl_buf_add_char(out, '.');
    rc = add_claims(settings->client_id, audience, now_ms / 1000, out, err);
    if (rc != SL_OK)
        return rc;
    struct sl_buf signature;
    sl_buf_init_secret(&signature);
    const struct sl_str content = {out->data + start, out->length - start};
    rc = sl_signer_sign(signer, settings->algorithm, content, &signature, err);
    sl_buf_add_char(out, '.');
    sl_buf_add(out, signature.data, signature.length);
    sl_buf_done(&signature);
    return rc;
}

static void note_end(const struct sl_signer *signer, const char *source)
{
    if (source)
        sl_metric_set(sl_gauge("auth_certificate_expires_seconds",
                               "When the certificate expires by which a source signs in, in "
                               "seconds since 1970.",
                               "source=\"%s\"", source),
                      sl_signer_end_ms(signer) / 1000);
}

int sl_assertion_sign(const struct sl_oauth_settings *settings, const char *audience,
                      struct sl_buf *out, struct sl_err *err)
{
    struct sl_signer *signer = NULL;
    int rc = sl_signer_load(settings->certificate_file, settings->key_file, &signer, err);
    if (rc == SL_OK) {
        note_end(signer, settings->source);
        rc = write_signed(signer, settings, audience, out, err);
    }
    sl_signer_free(signer);
    return rc;
}

/* Three parts in base64url, joined by dots. */
static bool is_jwt(struct sl_str text)
{
    static const char LETTERS[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t parts = 0, length = 0;
    for (size_t i = 0; i <= text.length; i++) {
        char c = i < text.length ? text.at[i] : '.';
        if (c == '.' && length) {
            parts++;
            length = 0;
        } else if (c != '.' && c && strchr(LETTERS, c)) {
            length++;
        } else {
            return false;
        }
    }
    return parts == 3;
}

int sl_assertion_read(const char *path, struct sl_buf *out, struct sl_err *err)
{
    struct sl_buf text;
    int rc = SL_OK;
    sl_buf_init_secret(&text);
    const char *wrong = sl_file_read(path, TOKEN_BYTES_MAX, &text);
    struct sl_str token = sl_buf_view(&text);
    while (token.length && strchr("\r\n", token.at[token.length - 1]))
        token.length--;
    if (wrong)
        rc = sl_err_set(err, SL_CONFIG, "cannot read the token file '%s': %s", path, wrong);
    else if (!is_jwt(token))
        rc = sl_err_set(err, SL_CONFIG,
                        "the token file '%s' does not hold a token (a JWT and nothing else)", path);
    else
        sl_buf_add(out, token.at, token.length);
    sl_buf_done(&text);
    return rc;
}
