/* Runs a target over files, folders of files, for builds without libFuzzer: replay [--starve] PATH
 * ... Prints how many inputs there were; none at all is an error. With --starve memory runs out, in
 * a few of them. */
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#include "fuzz.h"
#include "starve.h"

enum { STARVED_EACH = 10 }; /* of so many inputs one is run with too little memory */

static unsigned inputs, runs;
static bool starving;

static void run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(1);
    }
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    uint8_t *data = malloc(size ? size : 1);
    size_t got = fread(data, 1, size, file);
    fclose(file);
    if (!starving)
        LLVMFuzzerTestOneInput(data, got);
    else if (inputs % STARVED_EACH == 0)
        runs += starve(data, got);
    free(data);
    inputs++;
}

static void run_path(const char *path)
{
    struct dirent **entries;
    int count =
        scandir(path, &entries, NULL, alphasort); /* so that the same ones are starved everywhere */
    if (count < 0) {
        run_file(path);
        return;
    }
    for (int i = 0; i < count; i++) {
        char inner[4096];
        snprintf(inner, sizeof inner, "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.')
            run_path(inner);
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv)
{
    static const uint8_t nothing[1];
    starving = argc > 1 && !strcmp(argv[1], "--starve");
    if (!starving)
        LLVMFuzzerTestOneInput(nothing, 0);
    for (int i = 1 + starving; i < argc; i++)
        run_path(argv[i]);
    if (starving)
        printf("%u runs without enough memory\n", runs);
    printf("replayed %u inputs\n", inputs);
    return inputs ? 0 : 1;
}
