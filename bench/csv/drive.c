#include "drive.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

static double cpu_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static const char *map(const char *path, size_t *ret_size)
{
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &about) != 0 || about.st_size == 0) {
        fprintf(stderr, "bench-csv: cannot read %s, or it is empty\n", path);
        return NULL;
    }
    *ret_size = (size_t)about.st_size;
    void *data = mmap(NULL, *ret_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    return data == MAP_FAILED ? NULL : data;
}

int main(int argc, char **argv)
{
    size_t size;
    long passes = argc < 3 ? 0 : strtol(argv[2], NULL, 10);
    if (passes < 1 || argc > 4) {
        fprintf(stderr, "usage: bench-csv-NAME FILE PASSES [WAY]\n");
        return 2;
    }
    const char *data = map(argv[1], &size), *way = argc == 4 ? argv[3] : NULL;
    if (!data)
        return EXIT_FAILURE;
    struct tally first = {.hash = 0xcbf29ce484222325u, .hashing = true};
    if (!drive_parse(data, size, way, &first))
        return EXIT_FAILURE;
    printf("{\"rows\": %llu, \"cells\": %llu, \"bytes\": %llu, \"hash\": \"%016llx\", \"cpu_s\": [",
           (unsigned long long)first.rows, (unsigned long long)first.cells,
           (unsigned long long)first.bytes, (unsigned long long)first.hash);
    for (long pass = 0; pass < passes; pass++) {
        struct tally tally = {0};
        double begin = cpu_s();
        if (!drive_parse(data, size, way, &tally) || tally.bytes != first.bytes)
            return EXIT_FAILURE;
        printf("%s%.6f", pass ? ", " : "", cpu_s() - begin);
    }
    printf("]}\n");
    return EXIT_SUCCESS;
}
