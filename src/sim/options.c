/* The command line of sluice-sim. */
#include "sim/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help_text[] =
    "sluice-sim: a simulated Dynamics 365: Finance & Operations, and Dataverse.\n"
    "\n"
    "It answers the token endpoint, the four actions of the Data Management package API, the\n"
    "package downloads and the Dataverse Web API, over plain HTTP, posts to webhooks, and can be\n"
    "told to fail in every way that is known.\n"
    "\n"
    "Usage: sluice-sim [options]\n"
    "       sluice-sim load --help      an open-loop load generator\n"
    "       sluice-sim version\n"
    "\n"
    "  --listen HOST:PORT     where to listen; port 0 takes a free one   [127.0.0.1:8080]\n"
    "  --port-file FILE       writes the port there when ready\n"
    "  --seed N               the data follow from it                    [1]\n"
    "  --dir DIR              where packages are built and kept          [a temporary one]\n"
    "  --disk-mib N           packages kept at most, older ones are gone [32768]\n"
    "  --load FILE            control calls to begin with: [{\"path\":…, \"body\":{…}}, …]\n"
    "  --journal FILE         every change of a record or row is appended there\n"
    "  --tenant NAME          of the token endpoint                      [contoso.com]\n"
    "  --client-id ID         may be repeated, or ID,ID: several application users\n"
    "                         [11111111-2222-4333-8444-555555555555]\n"
    "  --client-secret TEXT   [sim-secret]\n"
    "  --identity-header TEXT [sim-identity-header]\n"
    "  --token-seconds N      life of a token                            [3600]\n"
    "  --help                 this text\n"
    "\n"
    "To begin with (docs/SIMULATOR.md tells the rest):\n"
    "  curl -d '{\"entity\":\"Vendors V3\",\"company\":\"USMF\",\"count\":1000}' "
    "http://127.0.0.1:8080/_sim/records\n"
    "  curl -d '{\"name\":\"VendorsExport\",\"company\":\"USMF\",\"entities\":[\"Vendors V3\"]}' "
    "http://127.0.0.1:8080/_sim/project\n"
    "  curl http://127.0.0.1:8080/_sim/switches\n";

enum {
    OPT_LISTEN = 256,
    OPT_PORT_FILE,
    OPT_SEED,
    OPT_DIR,
    OPT_DISK,
    OPT_LOAD,
    OPT_JOURNAL,
    OPT_TENANT,
    OPT_CLIENT_ID,
    OPT_CLIENT_SECRET,
    OPT_IDENTITY_HEADER,
    OPT_TOKEN_SECONDS,
    OPT_HELP,
};

static const struct option long_options[] = {
    {"listen",          required_argument, NULL, OPT_LISTEN         },
    {"port-file",       required_argument, NULL, OPT_PORT_FILE      },
    {"seed",            required_argument, NULL, OPT_SEED           },
    {"dir",             required_argument, NULL, OPT_DIR            },
    {"disk-mib",        required_argument, NULL, OPT_DISK           },
    {"load",            required_argument, NULL, OPT_LOAD           },
    {"journal",         required_argument, NULL, OPT_JOURNAL        },
    {"tenant",          required_argument, NULL, OPT_TENANT         },
    {"client-id",       required_argument, NULL, OPT_CLIENT_ID      },
    {"client-secret",   required_argument, NULL, OPT_CLIENT_SECRET  },
    {"identity-header", required_argument, NULL, OPT_IDENTITY_HEADER},
    {"token-seconds",   required_argument, NULL, OPT_TOKEN_SECONDS  },
    {"help",            no_argument,       NULL, OPT_HELP           },
    {NULL,              0,                 NULL, 0                  },
};

/* Reads text as a number from 0 to most. False, after saying so, when it is none. */
static bool read_number(const char *option, const char *text, uint64_t most, uint64_t *ret_number)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || number > most) {
        fprintf(stderr, "sluice-sim: --%s wants a number, not '%s'\n", option, text);
        return false;
    }
    *ret_number = number;
    return true;
}

static bool read_listen(struct sim_options *options, const char *text)
{
    const char *colon = strrchr(text, ':');
    uint64_t port;
    if (!colon || colon == text || (size_t)(colon - text) >= sizeof(options->host)) {
        fprintf(stderr, "sluice-sim: --listen wants HOST:PORT, not '%s'\n", text);
        return false;
    }
    if (!read_number("listen", colon + 1, UINT16_MAX, &port))
        return false;
    memcpy(options->host, text, (size_t)(colon - text));
    options->host[colon - text] = '\0';
    options->port = (uint16_t)port;
    return true;
}

/* Adds the ids of a list. The list is argv's own and is cut at its commas. */
static bool read_clients(struct sim_options *options, char *list)
{
    char *rest = NULL;
    for (char *id = strtok_r(list, ",", &rest); id; id = strtok_r(NULL, ",", &rest)) {
        if (options->client_count == SIM_CLIENTS_MAX) {
            fprintf(stderr, "sluice-sim: --client-id takes at most %d ids\n", SIM_CLIENTS_MAX);
            return false;
        }
        options->client_ids[options->client_count++] = id;
    }
    return true;
}

static bool read_one(struct sim_options *options, int option, char *text)
{
    uint64_t number = 0;
    bool ok = true;
    switch (option) {
    case OPT_LISTEN:
        return read_listen(options, text);
    case OPT_PORT_FILE:
        options->port_file = text;
        return true;
    case OPT_SEED:
        return read_number("seed", text, UINT64_MAX, &options->seed);
    case OPT_DIR:
        options->dir = text;
        return true;
    case OPT_DISK:
        ok = read_number("disk-mib", text, INT32_MAX, &number);
        options->disk_mib = (int64_t)number;
        return ok;
    case OPT_LOAD:
        options->load = text;
        return true;
    case OPT_JOURNAL:
        options->journal = text;
        return true;
    case OPT_TENANT:
        options->tenant = text;
        return true;
    case OPT_CLIENT_ID:
        return read_clients(options, text);
    case OPT_CLIENT_SECRET:
        options->client_secret = text;
        return true;
    case OPT_IDENTITY_HEADER:
        options->identity_header = text;
        return true;
    case OPT_TOKEN_SECONDS:
        ok = read_number("token-seconds", text, INT32_MAX, &number);
        options->token_seconds = (int64_t)number;
        return ok;
    default:
        return false; /* getopt has said why */
    }
}

int sim_options_read(struct sim_options *options, int argc, char **argv)
{
    *options = (struct sim_options){
        .host = "127.0.0.1",
        .port = 8080,
        .seed = 1,
        .tenant = "contoso.com",
        .client_secret = "sim-secret",
        .identity_header = "sim-identity-header",
        .token_seconds = 3600,
        .disk_mib = 32768,
    };
    int option;
    while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        if (option == OPT_HELP || option == 'h') {
            fputs(help_text, stdout);
            return 0;
        }
        if (!read_one(options, option, optarg)) {
            fputs("sluice-sim: --help lists the options\n", stderr);
            return 2;
        }
    }
    if (options->client_count == 0)
        options->client_ids[options->client_count++] = "11111111-2222-4333-8444-555555555555";
    if (optind == argc)
        return -1;
    if (strcmp(argv[optind], "version") == 0) {
        puts("sluice-sim " SLUICE_VERSION);
        return 0;
    }
    fprintf(stderr, "sluice-sim: '%s' is no command; --help lists the options\n", argv[optind]);
    return 2;
}
