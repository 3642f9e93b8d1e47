"""What others can see of a process from the outside: its memory, as root or a debugger would read it."""

import pathlib


def _readable(pid):
    """(start, end, name) of the memory that may be read, the kernel's own pages left out."""
    for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, rights, _, _, inode, *name = line.split(maxsplit=5)
        start, end = (int(number, 16) for number in span.split("-"))
        name = name[0] if name else ""
        if rights.startswith("r") and name not in ("[vvar]", "[vsyscall]", "[vvar_vclock]"):
            yield start, end, name


def _pages(pid):
    """Memory that is there, piece by piece: what was never touched is left out, and the shadow of a
    sanitizer, terabytes of address space, is mostly that."""
    page = 4096
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory, \
            open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pagemap:
        for start, end, name in _readable(pid):
            if end - start > 1 << 34:
                continue  # shadow
            present, first = _present(pagemap, start // page, (end - start) // page), None
            for number, there in enumerate([*present, False]):
                if there and first is None:
                    first = number
                elif not there and first is not None:
                    at, size = start + first * page, (number - first) * page
                    memory.seek(at)
                    try:
                        yield at, name, memory.read(size)
                    except OSError:
                        pass  # unmapped meanwhile
                    first = None


def _present(pagemap, first, count):
    pagemap.seek(first * 8)
    raw = pagemap.read(count * 8)
    return [raw[i * 8 + 7] & 0xC0 != 0 for i in range(len(raw) // 8)]  # present, or in the swap


def copies(pid, secret):
    """[(address, name of the mapping, what stands around it)] of each copy of secret, a text or bytes, in the
    memory."""
    found, needle = [], secret.encode() if isinstance(secret, str) else secret
    for start, name, data in _pages(pid):
        at = data.find(needle)
        while at >= 0:
            around = data[max(0, at - 40):at + len(needle) + 24]
            found.append((hex(start + at), name, around))
            at = data.find(needle, at + 1)
    return found
