#include "base/resident.h"

#include <link.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Only what was never written: the rest would come back as it is in the file. The program itself is
 * left alone, since a debugger's or a tracer's breakpoints lie in its pages. */
static int release(struct dl_phdr_info *object, size_t size, void *ctx)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    (void)size, (void)ctx;
    if (!object->dlpi_name || !object->dlpi_name[0])
        return 0;
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || part->p_flags & PF_W)
            continue;
        uintptr_t from = object->dlpi_addr + part->p_vaddr, to = from + part->p_memsz;
        from &= ~(page - 1);
        to = (to + page - 1) & ~(page - 1);
        madvise((void *)from, to - from, MADV_DONTNEED); /* refused for the kernel's own pages */
    }
    return 0;
}

void sl_resident_release(void)
{
    dl_iterate_phdr(release, NULL);
}
