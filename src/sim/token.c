/* The token endpoint: client credentials, and the error bodies with their AADSTS codes. Source:
 * "Microsoft identity platform", client credentials flow. The codes and statuses that no document
 * names are guesses of this simulator, listed in docs/SIMULATOR.md. */
#include "sim/token.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "sim/assertion.h"
#include "sim/clock.h"
#include "sim/form.h"
#include "sim/random.h"

#define TOKEN_BYTES SIM_TOKEN_BYTES
#define ASSERTION_BYTES 16384 /* longest one, and a NUL */
#define TOKEN_HEAD 34         /* hexadecimal serial, end and client */

static const struct aadsts {
    int code;
    unsigned status;
    const char *error;
    const char *text;
} aadsts[] = {
    {50013,   401, "invalid_client",          "The assertion was used before."                          },
    {50027,   401, "invalid_client",          "The assertion is no well-formed JWT."                    },
    {70003,   400, "unsupported_grant_type",  "The requested grant type is not supported."              },
    {70011,   400, "invalid_scope",           "The value of 'scope' is not valid."                      },
    {90002,   400, "invalid_request",         "Tenant not found."                                       },
    {90033,   503, "temporarily_unavailable", "A transient error has occurred. Try again."              },
    {500011,  400, "invalid_resource",        "The resource was not found in the tenant."               },
    {700016,  400, "unauthorized_client",     "Application not found in the directory."                 },
    {700021,  401, "invalid_client",          "The client assertion is of another application."         },
    {700023,  401, "invalid_client",          "The client assertion is for another audience."           },
    {700024,  401, "invalid_client",          "The client assertion is not within its valid time range."},
    {700027,  401, "invalid_client",          "The client assertion failed validation."                 },
    {700213,  401, "invalid_client",          "No matching federated identity record found."            },
    {900144,  400, "invalid_request",         "The body lacks one of its parameters."                   },
    {7000215, 401, "invalid_client",          "Invalid client secret provided."                         },
    {7000218, 401, "invalid_client",          "The body must hold a client_assertion or client_secret." },
    {7000222, 401, "invalid_client",          "The provided client secret keys have expired."           },
};

static unsigned answer_error(struct sim *sim, int64_t code, struct sim_text *out)
{
    struct aadsts unknown = {(int)code, 400, "invalid_request", "The request was refused."};
    const struct aadsts *found = &unknown;
    for (size_t i = 0; i < sizeof(aadsts) / sizeof(aadsts[0]); i++)
        if (aadsts[i].code == code)
            found = &aadsts[i];

    uint64_t trace = sim_mix(sim->secret + ++sim->token_serial);
    char now[40];
    sim_clock_iso(sim_clock_ms(), now, sizeof(now));
    char trace_id[48];
    snprintf(trace_id, sizeof(trace_id), "%08" PRIx32 "-0000-4000-8000-%012" PRIx64,
             (uint32_t)trace, trace >> 16);
    char description[512];
    snprintf(description, sizeof(description),
             "AADSTS%d: %s\r\nTrace ID: %s\r\nCorrelation ID: %s\r\nTimestamp: %s", found->code,
             found->text, trace_id, trace_id, now);
    sim_text_char(out, '{');
    sim_text_member(out, "error", found->error);
    sim_text_member(out, "error_description", description);
    sim_text_name(out, "error_codes");
    sim_text_printf(out, "[%d]", found->code);
    sim_text_member(out, "timestamp", now);
    sim_text_member(out, "trace_id", trace_id);
    sim_text_member(out, "correlation_id", trace_id);
    sim_text_char(out, '}');
    return found->status;
}

/* The scope is this server's root and /.default: 0, or the code of what is wrong with it. */
static int check_scope(const struct sim_token_request *request, const char *scope)
{
    static const char suffix[] = "/.default";
    size_t len = strlen(scope);
    if (len <= strlen(suffix) || strcmp(scope + len - strlen(suffix), suffix) != 0)
        return 70011;
    const char *host = strstr(scope, "://");
    if (!host)
        return 70011;
    host += 3;
    size_t host_len = len - (size_t)(host - scope) - strlen(suffix);
    bool ours = host_len == strlen(request->authority) &&
                strncasecmp(host, request->authority, host_len) == 0;
    return ours ? 0 : 500011;
}

int sim_token_find_client(const struct sim *sim, const char *id)
{
    for (unsigned i = 0; i < sim->options.client_count; i++)
        if (strcasecmp(id, sim->options.client_ids[i]) == 0)
            return (int)i;
    return -1;
}

/* By assertion or by secret: 0, or the code of what is wrong with it. */
static int check_proof(struct sim *sim, const struct sim_token_request *request, const char *client)
{
    char assertion[ASSERTION_BYTES];
    char type[128];
    char secret[256];
    sim_form_value(request->form, request->form_len, "client_assertion", assertion,
                   sizeof(assertion));
    sim_form_value(request->form, request->form_len, "client_assertion_type", type, sizeof(type));
    sim_form_value(request->form, request->form_len, "client_secret", secret, sizeof(secret));
    if (!*assertion && !*secret)
        return 7000218;
    if (!*assertion)
        return strcmp(secret, sim->options.client_secret) == 0 ? 0 : 7000215;
    if (strcmp(type, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer") != 0)
        return 900144;
    return sim_assertion_check(sim, request, client, assertion);
}

static int check_request(struct sim *sim, const struct sim_token_request *request)
{
    char grant[64];
    char client[128];
    char scope[512];
    sim_form_value(request->form, request->form_len, "grant_type", grant, sizeof(grant));
    sim_form_value(request->form, request->form_len, "client_id", client, sizeof(client));
    sim_form_value(request->form, request->form_len, "scope", scope, sizeof(scope));
    if (strcasecmp(request->tenant, sim->options.tenant) != 0)
        return 90002;
    if (!*grant || !*client || !*scope)
        return 900144;
    if (strcmp(grant, "client_credentials") != 0)
        return 70003;
    if (sim_token_find_client(sim, client) < 0)
        return 700016;
    int wrong = check_proof(sim, request, client);
    return wrong ? wrong : check_scope(request, scope);
}

/* Writes the token of this serial, end and client: TOKEN_BYTES and a NUL. */
static void make_token(const struct sim *sim, uint64_t serial, uint64_t end_ms, unsigned client,
                       char *out)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    snprintf(out, TOKEN_HEAD + 1, "%016" PRIx64 "%016" PRIx64 "%02x", serial, end_ms, client & 255);
    uint64_t state = sim->secret ^ sim_mix(serial) ^ sim_mix(end_ms + 1) ^ sim_mix(client + 2);
    for (size_t i = TOKEN_HEAD; i < TOKEN_BYTES; i++)
        out[i] = letters[sim_random(&state) >> 58];
    out[TOKEN_BYTES] = '\0';
}

void sim_token_issue(struct sim *sim, unsigned client, int64_t seconds,
                     char out[SIM_TOKEN_BYTES + 1])
{
    make_token(sim, ++sim->token_serial, (uint64_t)(sim_clock_ms() + seconds * 1000), client, out);
    sim->stats.tokens_issued++;
}

/* An answer that says 200 and cannot be used, as the switch wants it. False when it wants none. */
static bool lie(const char *which, const char *token, struct sim_text *out)
{
    if (strcmp(which, "html") == 0)
        sim_text_puts(out, "<!DOCTYPE html><html><body>Sign in to your account</body></html>");
    else if (strcmp(which, "no_token") == 0)
        sim_text_puts(out, "{\"token_type\":\"Bearer\",\"expires_in\":3599}");
    else if (strcmp(which, "negative_life") == 0)
        sim_text_printf(
            out, "{\"token_type\":\"Bearer\",\"expires_in\":-3599,\"access_token\":\"%s\"}", token);
    else if (strcmp(which, "huge_life") == 0)
        sim_text_printf(out,
                        "{\"token_type\":\"Bearer\",\"expires_in\":99999999999999999999,"
                        "\"access_token\":\"%s\"}",
                        token);
    return out->len > 0;
}

unsigned sim_token_answer(struct sim *sim, const struct sim_token_request *request,
                          struct sim_text *out)
{
    struct sim_switch_view view = sim_switch_view(sim, NULL);
    int64_t code = sim_switch_number(view, SW_TOKEN_ERROR);
    if (code == 0)
        code = check_request(sim, request);
    if (code != 0)
        return answer_error(sim, code, out);

    int64_t seconds = sim_switch_number(view, SW_TOKEN_SECONDS);
    char token[TOKEN_BYTES + 1];
    char id[128];
    sim_form_value(request->form, request->form_len, "client_id", id, sizeof(id));
    sim_token_issue(sim, (unsigned)sim_token_find_client(sim, id), seconds, token);
    if (lie(sim_switch_text(view, SW_TOKEN_LIE), token, out))
        return 200;
    /* The real service names one second less than the life it was asked for. */
    int64_t named = seconds > 1 ? seconds - 1 : seconds;
    const char *quote = sim_switch_number(view, SW_TOKEN_STRING_NUMBERS) ? "\"" : "";
    sim_text_printf(out,
                    "{\"token_type\":\"Bearer\",\"expires_in\":%s%" PRId64
                    "%s,\"ext_expires_in\":%s%" PRId64 "%s,\"access_token\":\"%s\"}",
                    quote, named, quote, quote, named, quote, token);
    return 200;
}

static bool read_hex16(const char *text, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (int i = 0; i < 16; i++) {
        int digit = sim_hex_value(text[i]);
        if (digit < 0)
            return false;
        value = value << 4 | (uint64_t)digit;
    }
    *ret_value = value;
    return true;
}

/* Reads what a token says of itself. False when it is none that this simulator has made. */
static bool read_token(const struct sim *sim, const char *header, uint64_t *ret_serial,
                       int64_t *ret_end_ms, int *ret_client)
{
    uint64_t end_ms;
    if (!header || strncasecmp(header, "Bearer ", 7) != 0)
        return false;
    const char *token = header + 7;
    if (strlen(token) != TOKEN_BYTES || !read_hex16(token, ret_serial) ||
        !read_hex16(token + 16, &end_ms))
        return false;
    int client = sim_hex_value(token[32]) * 16 + sim_hex_value(token[33]);
    if (client < 0 || client >= (int)sim->options.client_count)
        return false;
    char expected[TOKEN_BYTES + 1];
    make_token(sim, *ret_serial, end_ms, (unsigned)client, expected);
    *ret_end_ms = (int64_t)end_ms;
    *ret_client = client;
    return strcmp(token, expected) == 0;
}

int sim_token_client(struct sim *sim, const char *header)
{
    uint64_t serial;
    int64_t end_ms;
    int client;
    bool valid = read_token(sim, header, &serial, &end_ms, &client) &&
                 serial > sim->token_revoked && end_ms > sim_clock_ms();
    return valid ? client : -1;
}

bool sim_token_is_valid(struct sim *sim, const char *header)
{
    return sim_token_client(sim, header) >= 0;
}

void sim_token_note_stranger(struct sim *sim, const char *header)
{
    uint64_t serial;
    int64_t end_ms;
    int client;
    if (header && !read_token(sim, header, &serial, &end_ms, &client))
        sim->stats.bearer_foreign++;
}
