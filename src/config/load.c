/* The file as a whole: text, JSON, the top level, and the end of it all. */
#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "config/reader.h"
#include "config/secret_file.h"
#include "config/settings.h"

enum { FILE_MAX_BYTES = 4 * 1024 * 1024, SECTIONS_MAX = 32 };

/* The top level as a table: the file's own keys and the shape's sections, which fill other structs.
 */
struct top {
    struct sl_setting sections[SECTIONS_MAX + 1];
};

static void make_top(const struct sl_config_shape *shape, struct top *ret)
{
    size_t count = 0;
    for (const struct sl_config_section *section = shape->sections; section->name; section++) {
        if (count == SECTIONS_MAX)
            abort(); /* more sections than anybody has written */
        ret->sections[count++] = (struct sl_setting){
            .name = section->name,
            .kind = SL_SET_SECTION,
            .offset = section->offset,
            .help = section->help,
            .required = section->required,
            .section = section->table,
        };
    }
    ret->sections[count] = (struct sl_setting){0};
}

static void read_top(struct sl_config *config, const struct sl_json *root,
                     struct sl_problems *problems)
{
    static const char *const others[] = {"sources", "feeds", "$schema", NULL};
    static const struct sl_path where = {0};
    struct top top;
    make_top(config->shape, &top);
    struct sl_part parts[] = {
        {sl_config_top_table, config          },
        {top.sections,        config->settings},
        {NULL,                NULL            }
    };
    sl_fill(root, &where, parts, others, problems);
    if (config->shape->role)
        config->role = *config->shape->role;
    if (root->kind != SL_JSON_MAP)
        return;

    const struct sl_json *sources = sl_json_get(root, "sources"),
                         *feeds = sl_json_get(root, "feeds");
    if (sources)
        sl_config_read_sources(config, sources, problems);
    else
        sl_fill_missing(root, &where, "sources", problems);
    if (feeds)
        sl_config_read_feeds(config, feeds, problems);
    else
        sl_fill_missing(root, &where, "feeds", problems);
    config->json = root;
    sl_config_check(config, problems);
    config->json = NULL;
    for (size_t i = 0; i < config->source_count; i++)
        config->sources[i].json = NULL;
    for (size_t i = 0; i < config->feed_count; i++)
        config->feeds[i].json = NULL;
}

/* Moves "12:9: message" of a failed parse into the list. */
static void add_parse_error(struct sl_problems *problems, const char *message)
{
    char *end, *after = NULL;
    unsigned long line = strtoul(message, &end, 10);
    unsigned long column = *end == ':' ? strtoul(end + 1, &after, 10) : 0;
    if (line && column && !strncmp(after, ": ", 2))
        sl_problem_error(problems, (unsigned)line, (unsigned)column, "%s", after + 2);
    else
        sl_problem_error(problems, 0, 0, "%s", message);
}

const char *sl_config_shown_path(const char *path)
{
    return strncmp(path, "./", 2) ? path : path + 2;
}

static void name_file(struct sl_problems *problems, const char *file)
{
    free(problems->file);
    problems->file = sl_strdup(sl_config_shown_path(file));
}

/* As some editors and shells of Windows write it. */
static bool is_utf16(const char *text, size_t length)
{
    return length >= 2 &&
           (!memcmp(text, "\xff\xfe", 2) || !memcmp(text, "\xfe\xff", 2) || !text[0] != !text[1]);
}

/* Parses text; NULL after a complaint. */
static struct sl_json_doc *parse_json(const char *file, const char *text, size_t length,
                                      struct sl_problems *problems)
{
    struct sl_json_options options = {.comments = true, .max_bytes = FILE_MAX_BYTES};
    struct sl_json_doc *doc;
    struct sl_err err;
    name_file(problems, file);
    if (is_utf16(text, length)) {
        sl_problem_error(problems, 0, 0, "the file is in UTF-16: save it as UTF-8");
        return NULL;
    }
    if (sl_json_parse(text, length, &options, &doc, &err) == SL_OK)
        return doc;
    add_parse_error(problems, err.message);
    return NULL;
}

int sl_config_parse(const char *file, const char *text, size_t length,
                    const struct sl_config_shape *shape, struct sl_config **ret,
                    struct sl_problems *problems)
{
    struct sl_json_doc *doc = parse_json(file, text, length, problems);
    if (!doc)
        return SL_CONFIG;
    struct sl_config *config = SL_NEW(struct sl_config);
    config->shape = shape;
    config->settings = sl_calloc(1, shape->settings_bytes);
    read_top(config, sl_json_root(doc), problems);
    sl_json_free_secret(doc);
    sl_problems_sort(problems);
    if (problems->errors) {
        sl_config_free(config);
        return SL_CONFIG;
    }
    *ret = config;
    return SL_OK;
}

/* Reads the open file into text. Returns what is wrong, or NULL. */
static const char *read_all(int fd, struct sl_buf *text)
{
    struct stat about;
    if (fstat(fd, &about) != 0)
        return strerror(errno);
    if (S_ISDIR(about.st_mode))
        return "it is a directory";
    while (text->length <= FILE_MAX_BYTES) {
        char *room = sl_buf_reserve(text, 65536);
        ssize_t got = read(fd, room, 65536);
        if (got <= 0)
            return got < 0 ? strerror(errno) : NULL;
        sl_buf_commit(text, (size_t)got);
    }
    return "it is larger than 4 MiB";
}

/* Reads the file into text (sl_buf_done). False after a complaint. */
static bool read_file(const char *path, struct sl_buf *text, struct sl_problems *problems)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    sl_buf_init_secret(text);
    const char *wrong = fd < 0 ? strerror(errno) : read_all(fd, text);
    if (fd >= 0)
        close(fd);
    if (wrong) {
        name_file(problems, path);
        sl_problem_error(problems, 0, 0, "cannot read the configuration: %s", wrong);
    }
    return !wrong;
}

/* A secret that stands in the file itself makes the file one. */
static void doubt_file(const char *path, struct sl_problems *problems)
{
    char doubt[SL_DOUBT_BYTES];
    if (problems->secret_line && sl_secret_file_doubt(path, doubt))
        sl_problem_warning(problems, problems->secret_line, problems->secret_column,
                           "a secret is written here, and %s", doubt);
}

int sl_config_load(const char *path, const struct sl_config_shape *shape, struct sl_config **ret,
                   struct sl_problems *problems)
{
    struct sl_buf text;
    int rc = SL_CONFIG;
    if (read_file(path, &text, problems))
        rc = sl_config_parse(path, text.data, text.length, shape, ret, problems);
    doubt_file(path, problems);
    sl_problems_sort(problems);
    sl_buf_done(&text);
    return rc;
}

int sl_config_load_section(const char *path, const struct sl_config_section *section, void *ret,
                           struct sl_problems *problems)
{
    static const struct sl_path top = {0};
    const struct sl_path where = {NULL, section->name};
    const struct sl_part parts[] = {
        {section->table, ret },
        {NULL,           NULL}
    };
    struct sl_buf text;
    struct sl_json_doc *doc = NULL;
    if (read_file(path, &text, problems))
        doc = parse_json(path, text.data, text.length, problems);
    sl_buf_done(&text);
    if (!doc)
        return SL_CONFIG;
    const struct sl_json *root = sl_json_root(doc), *node = sl_json_get(root, section->name);
    if (!sl_fill_expect_map(root, &top, problems) || !node)
        sl_settings_default(section->table, ret);
    else
        sl_fill(node, &where, parts, NULL, problems);
    sl_json_free_secret(doc);
    return problems->errors ? SL_CONFIG : SL_OK;
}

void sl_config_free(struct sl_config *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < config->feed_count; i++)
        sl_config_free_feed(&config->feeds[i]);
    for (size_t i = 0; i < config->source_count; i++)
        sl_config_free_source(&config->sources[i]);
    for (const struct sl_config_section *section = config->shape->sections; section->name;
         section++)
        sl_settings_done(section->table, (char *)config->settings + section->offset);
    sl_settings_done(sl_config_top_table, config);
    free(config->feeds);
    free(config->sources);
    free(config->settings);
    free(config);
}

const struct sl_entity_config *sl_config_route(const struct sl_config *config, const char *feed,
                                               const char *route)
{
    for (size_t i = 0; i < config->feed_count; i++) {
        const struct sl_feed_config *candidate = &config->feeds[i];
        if (strcmp(candidate->name, feed) != 0)
            continue;
        for (size_t j = 0; j < candidate->entity_count; j++)
            if (!strcmp(candidate->entities[j].route, route))
                return &candidate->entities[j];
    }
    return NULL;
}

const char *sl_config_collection(const void *config, const char *feed, const char *route)
{
    const struct sl_entity_config *entity = sl_config_route(config, feed, route);
    return entity ? entity->collection : NULL;
}

size_t sl_config_entity_count(const struct sl_config *config)
{
    size_t count = 0;
    for (size_t i = 0; i < config->feed_count; i++)
        count += config->feeds[i].entity_count;
    return count;
}
