"""Prints who includes whom among the folders of src/ and checks it: arrows.py SRC

The rule is read from SRC/CMakeLists.txt: "# row N" comments give the rows, a folder's link line
names what it may include. An executable may include all that it links, directly or not. Exit
status 1 when an include points to its own row or upward, is not in the link line, or closes a cycle.
"""

import pathlib
import re
import sys

ROW = re.compile(r"#\s*row\s+(\d+)")
LIBRARY = re.compile(r"sluice_folder\(\s*(\w+)([^)]*)\)")
PROGRAM = re.compile(r"file\(GLOB\s+(\w+)_sources.*?target_link_libraries\(([^)]*)\)", re.DOTALL)
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


def linked(words):
    return {word[3:] for word in words.split() if word.startswith("sl_")}


def closure(folders, links):
    seen = set()
    while folders:
        seen |= folders
        folders = set().union(*(links.get(folder, set()) for folder in folders)) - seen
    return seen


def read_rule(text):
    """Gives {folder: row} and {folder: folders it may include}."""
    rows, links, programs = {}, {}, {}
    parts = ROW.split(text)  # before, row, text, row, text ...
    for row, part in zip(parts[1::2], parts[2::2]):
        for name, words in LIBRARY.findall(part):
            rows[name], links[name] = int(row), linked(words)
        for name, words in PROGRAM.findall(part):
            rows[name], programs[name] = int(row), linked(words)
    for name, folders in programs.items():
        links[name] = closure(folders, links)
    return rows, links


def read_includes(src, folders):
    """Gives {(from, to): [file: include, ...]} and complaints about includes not of that form."""
    arrows, complaints = {}, []
    for path in sorted(src.glob("*/*.[ch]")):
        folder = path.parent.name
        for name in INCLUDE.findall(path.read_text(errors="replace")):
            target = name.split("/")[0]
            if "/" not in name or target not in folders or not (src / name).is_file():
                complaints.append(f'{path}: "{name}" is no file of src/ (write "folder/file.h")')
            elif target != folder:
                arrows.setdefault((folder, target), []).append(f'{path}: "{name}"')
    return arrows, complaints


def find_cycle(arrows):
    """Gives the folders of one cycle, in order, or nothing."""
    onward = {}
    for start, end in arrows:
        onward.setdefault(start, []).append(end)
    done = set()

    def visit(folder, way):
        if folder in way:
            return [*way[way.index(folder):], folder]
        if folder in done:
            return None
        done.add(folder)
        for target in onward.get(folder, []):
            if cycle := visit(target, [*way, folder]):
                return cycle
        return None

    return next((cycle for folder in sorted(onward) if (cycle := visit(folder, []))), None)


def check(rows, links, arrows):
    for (start, end), places in sorted(arrows.items()):
        if rows[end] >= rows[start]:
            reason = f"row {rows[start]} must not include row {rows[end]}"
        elif end not in links[start]:
            reason = f"the link line of {start} does not name sl_{end}"
        else:
            continue
        yield f"{start} -> {end}: {reason}"
        yield from (f"    {place}" for place in places)
    if cycle := find_cycle(arrows):
        yield "cycle: " + " -> ".join(cycle)


def main(src):
    rows, links = read_rule((src / "CMakeLists.txt").read_text())
    present = {path.name for path in src.iterdir() if path.is_dir()}
    complaints = [f"{src}/{name}: not in {src}/CMakeLists.txt" for name in sorted(present - set(rows))]
    arrows, malformed = read_includes(src, set(rows))
    arrows = {pair: places for pair, places in arrows.items() if pair[0] in rows}
    for row in sorted(set(rows.values()), reverse=True):
        for folder in sorted(name for name, where in rows.items() if where == row):
            targets = [f"{end} ({len(places)})"
                       for (start, end), places in sorted(arrows.items()) if start == folder]
            print(f"{row}  {folder:8} -> {'  '.join(targets) or '-'}")
    complaints += malformed + list(check(rows, links, arrows))
    if complaints:
        print("\n".join(complaints), file=sys.stderr)
        return 1
    return 0


sys.exit(main(pathlib.Path(sys.argv[1])))
