"""The reasons of dead letters: every code that the source uses is in the table, and in the docs."""

import re

from cli import command
from process import ROOT

# Where a code is written down: handed to a function that buries a row, put where one is looked for, or
# given back as one.
USES = [
    r'\bcode = "(\w+)"', r'\bret_code = "(\w+)"', r'\bdead_code = "(\w+)"',
    r'\bbury\((?:[^()"]|\([^()]*\))*"(\w+)"', r'\breject\((?:[^()"]|\([^()]*\))*"(\w+)"',
    r'spoil\(\w+,\s*"(\w+)"', r'\brefuse\("(\w+)", ret_code', r'#define SL_UNREADABLE_CODE "(\w+)"',
]
GIVEN = {"sink/mongo_command.c": r'\n +return (?:[^;"]*\? )?"(\w+)"',
         "format/odata_row.c": r'\n +return "(\w+)"'}


def used():
    found = {}
    for path in sorted((ROOT / "src").rglob("*.[ch]")):
        name = str(path.relative_to(ROOT / "src"))
        if name.startswith("sim/") or name == "flow/dead_code.c":
            continue
        text = path.read_text()
        for pattern in [*USES, *([GIVEN[name]] if name in GIVEN else [])]:
            for code in re.findall(pattern, text):
                found.setdefault(code, name)
    return found


def table(tmp_path):
    answer = command(tmp_path / "none.jsonc", "dead", "list", codes=True, json=True)
    assert answer.status == 0, answer.err
    return {row["code"]: row for row in answer.objects}


def test_every_code_of_the_source_is_in_the_table_and_none_is_made_up(tmp_path):
    assert used().keys() == table(tmp_path).keys()


def test_the_docs_have_the_same_table(tmp_path):
    rows = {}
    for line in (ROOT / "docs/DEAD_LETTERS.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and re.fullmatch(r"`\w+`", cells[0]):
            rows[cells[0].strip("`")] = [cell.replace("`", "") for cell in cells[1:]]
    assert rows == {code: [row["meaning"], row["by"], row["advice"]]
                    for code, row in table(tmp_path).items()}
