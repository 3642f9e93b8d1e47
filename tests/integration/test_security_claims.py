"""docs/SECURITY.md names a test for each of its claims: the tests are there."""

import re

from process import ROOT

PAGE = ROOT / "docs/SECURITY.md"
FOLDERS = {"unit": ROOT / "tests/unit", "fuzz": ROOT / "tests/fuzz"}


def claims():
    """(claim, what is said of its test) of each row of the tables of claims."""
    page = PAGE.read_text()
    part = page[page.index("## Claims"):page.index("## Where copies")]
    for line in part.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 2 and cells[1] != "test" and not set(cells[1]) <= {"-"}:
            yield cells


def place_of(name, last):
    """The file or folder of that name. One without a folder lies beside the last named, or here."""
    first, _, rest = name.partition("/")
    if rest or name.endswith("/"):
        return FOLDERS[first] / rest
    beside = last.parent / name if last else None
    return beside if beside and beside.exists() else ROOT / "tests/integration" / name


def missing(claim, said):
    """What the row names and is not there."""
    words, files = re.findall(r"`([^`]+)`", said), []
    for word in words:
        if "/" in word or word.endswith((".py", ".c")):
            files.append(place_of(word, files[-1] if files else None))
            if not files[-1].exists():
                yield f"{word} ({claim[:60]})"
        elif not any(word in file.read_text() for file in files[-1:] if file.is_file()):
            yield f"{word} in {files[-1] if files else 'nothing'} ({claim[:60]})"
    if not files and "every integration test" not in said:
        yield f"a test of: {claim[:60]}"


def test_every_claim_names_a_test_that_is_there():
    found = list(claims())
    assert len(found) >= 25
    assert [name for claim, said in found for name in missing(claim, said)] == []
