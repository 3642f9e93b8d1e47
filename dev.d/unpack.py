"""Takes the one file whose name ends in SUFFIX out of a zip: unpack.py ARCHIVE SUFFIX TARGET."""

import os
import shutil
import sys
import zipfile


def unpack(archive, suffix, target):
    with zipfile.ZipFile(archive) as members:
        names = [name for name in members.namelist() if name.endswith(suffix)]
        if len(names) != 1:
            sys.exit(f"{archive}: {len(names)} files end in '{suffix}', one was expected")
        part = f"{target}.part"
        with members.open(names[0]) as source, open(part, "wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)
    os.chmod(part, 0o755)
    os.replace(part, target)  # a reader sees the whole program or none


unpack(*sys.argv[1:4])
