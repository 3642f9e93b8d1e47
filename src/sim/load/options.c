/* The command line of sluice-sim load. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/load/load.h"

#define CHANGES_MOST 10000000

static const char help_text[] =
    "sluice-sim load: changes at an even pace, and how late each of them is.\n"
    "\n"
    "Usage: sluice-sim load --ingest URL [options]\n"
    "       sluice-sim load --sim URL --mongo URL [options]\n"
    "\n"
    "  --rate R            changes a second                                   [100]\n"
    "  --seconds S         for so long                                        [10]\n"
    "  --tables T          in turn in so many tables or feeds                 [1]\n"
    "  --ingest URL        posts rows to a feed of sluice: http://host:port/ingest/orders;\n"
    "                      with several tables {} in it stands for 0, 1, 2 …\n"
    "  --token-file FILE   the token that the feed's source asks for\n"
    "  --key COLUMN        the feed's key column                              [id]\n"
    "  --ca FILE           certificates to trust instead of the system's\n"
    "  --sim URL           changes rows of t000, t001 … in this running sluice-sim\n"
    "  --rows N            rows that each of those tables has at least        [100]\n"
    "  --mongo URL         looks there until each change can be read (a replica set); '$NAME' "
    "takes\n"
    "                      it from the environment\n"
    "  --database NAME     in this database                                   [d365]\n"
    "  --connections N     requests at one time, at most                      [64]\n"
    "  --timeout SECONDS   for an answer, and for the last change to be seen  [30]\n"
    "  --json FILE         writes all figures there\n"
    "  --hgrm FILE         writes the percentiles there, as HdrHistogram does\n"
    "  --help              this text\n"
    "\n"
    "The schedule is fixed beforehand, and latency counts from the moment when a change was meant\n"
    "to happen. The exit status is 1 when a change was not answered well, or not seen.\n";

enum {
    OPT_RATE = 256,
    OPT_SECONDS,
    OPT_TABLES,
    OPT_INGEST,
    OPT_TOKEN_FILE,
    OPT_KEY,
    OPT_CA,
    OPT_SIM,
    OPT_ROWS,
    OPT_MONGO,
    OPT_DATABASE,
    OPT_CONNECTIONS,
    OPT_TIMEOUT,
    OPT_JSON,
    OPT_HGRM,
    OPT_HELP,
};

static const struct option long_options[] = {
    {"rate",        required_argument, NULL, OPT_RATE       },
    {"seconds",     required_argument, NULL, OPT_SECONDS    },
    {"tables",      required_argument, NULL, OPT_TABLES     },
    {"ingest",      required_argument, NULL, OPT_INGEST     },
    {"token-file",  required_argument, NULL, OPT_TOKEN_FILE },
    {"key",         required_argument, NULL, OPT_KEY        },
    {"ca",          required_argument, NULL, OPT_CA         },
    {"sim",         required_argument, NULL, OPT_SIM        },
    {"rows",        required_argument, NULL, OPT_ROWS       },
    {"mongo",       required_argument, NULL, OPT_MONGO      },
    {"database",    required_argument, NULL, OPT_DATABASE   },
    {"connections", required_argument, NULL, OPT_CONNECTIONS},
    {"timeout",     required_argument, NULL, OPT_TIMEOUT    },
    {"json",        required_argument, NULL, OPT_JSON       },
    {"hgrm",        required_argument, NULL, OPT_HGRM       },
    {"help",        no_argument,       NULL, OPT_HELP       },
    {NULL,          0,                 NULL, 0              },
};

static bool refuse(const char *text)
{
    fprintf(stderr, "sluice-sim load: %s\n", text);
    return false;
}

/* A number from least to most, perhaps with a fraction. */
static bool read_number(const char *option, const char *text, double least, double most,
                        double *ret)
{
    char *end;
    double number = strtod(text, &end);
    bool plain = text[strspn(text, "0123456789.")] == '\0';
    if (!*text || *end || !plain || !(number >= least && number <= most)) {
        fprintf(stderr, "sluice-sim load: --%s wants a number from %g to %g, not '%s'\n", option,
                least, most, text);
        return false;
    }
    *ret = number;
    return true;
}

static bool read_count(const char *option, const char *text, double least, double most,
                       uint64_t *ret)
{
    double number;
    if (!read_number(option, text, least, most, &number))
        return false;
    *ret = (uint64_t)number;
    return (double)*ret == number || refuse("counts are whole numbers");
}

static bool read_one(struct load_options *options, int option, const char *text)
{
    double seconds;
    switch (option) {
    case OPT_RATE:
        return read_number("rate", text, 0.01, 1000000, &options->rate);
    case OPT_SECONDS:
        return read_number("seconds", text, 0.001, 604800, &options->seconds);
    case OPT_TABLES:
        return read_count("tables", text, 1, 1000, &options->tables);
    case OPT_ROWS:
        return read_count("rows", text, 1, 10000000, &options->rows);
    case OPT_CONNECTIONS:
        return read_count("connections", text, 1, 10000, &options->connections);
    case OPT_TIMEOUT:
        if (!read_number("timeout", text, 0.001, 86400, &seconds))
            return false;
        options->timeout_ms = (uint64_t)ceil(seconds * 1000);
        return true;
    case OPT_INGEST:
        options->ingest = text;
        return true;
    case OPT_TOKEN_FILE:
        options->token_file = text;
        return true;
    case OPT_KEY:
        options->key = text;
        return true;
    case OPT_CA:
        options->ca = text;
        return true;
    case OPT_SIM:
        options->sim = text;
        return true;
    case OPT_MONGO: /* from the environment: a password in the command line is everybody's */
        options->mongo = *text == '$' ? getenv(text + 1) : text;
        if (!options->mongo)
            return refuse("--mongo names a variable that is not set");
        return true;
    case OPT_DATABASE:
        options->database = text;
        return true;
    case OPT_JSON:
        options->json = text;
        return true;
    case OPT_HGRM:
        options->hgrm = text;
        return true;
    default:
        return false; /* getopt has said why */
    }
}

static bool is_url(const char *text)
{
    return !strncmp(text, "http://", 7) || !strncmp(text, "https://", 8);
}

/* What only all options together tell. */
static bool check(struct load_options *options)
{
    const char *target = options->ingest ? options->ingest : options->sim;
    if (!options->ingest == !options->sim)
        return refuse("where to: --ingest URL, or --sim URL with --mongo URL");
    if (!target || !is_url(target))
        return refuse("--ingest and --sim want a URL, http:// or https://");
    if (options->ingest && options->tables > 1 && !strstr(options->ingest, "{}"))
        return refuse("with several tables {} in the URL of --ingest stands for their numbers");
    if (options->sim && !options->mongo)
        return refuse("what is changed by --sim comes by sluice: --mongo URL tells where to look");
    double count = floor(options->rate * options->seconds + 0.5);
    if (count < 1 || count > CHANGES_MOST)
        return refuse("rate and seconds together make 1 to 10,000,000 changes");
    options->count = (uint64_t)count;
    return true;
}

int load_options_read(struct load_options *options, int argc, char **argv)
{
    *options = (struct load_options){
        .rate = 100,
        .seconds = 10,
        .tables = 1,
        .rows = 100,
        .key = "id",
        .database = "d365",
        .connections = 64,
        .timeout_ms = 30000,
    };
    int option;
    bool good = true;
    while (good && (option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        if (option == OPT_HELP || option == 'h') {
            fputs(help_text, stdout);
            return 0;
        }
        good = read_one(options, option, optarg);
    }
    if (good && optind < argc)
        good = refuse("it takes options alone");
    if (good && check(options))
        return -1;
    fputs("sluice-sim load: --help lists the options\n", stderr);
    return 2;
}
