"""Every form that a package and its files may have, read into the same documents."""

import datetime
import itertools

from bson import Decimal128, Int64

from books import check_all, check_run, letters
from environment import Environment, csv_text, manifest, package
from feeds import (add_records, change_records, configure, feed, make_project, runs, trouble,
                   wait_run)
from truth import differences, documents

# --- packages of the simulator ---


def run_formats(sim, workspace, formats, count):
    """One feed and one collection for each {name: format}; gives the differences by name."""
    add_records(sim, count)
    for name, form in formats.items():
        make_project(sim, name, format=form)
    feeds = {name: feed(sim, name, collection=name, every="1h",
                        delimiter=form.get("delimiter", ","))
             for name, form in formats.items()}
    sluice = workspace.sluice(configure(workspace, sim, feeds))
    expected = documents(sim)
    wrong = {}
    for name, form in formats.items():
        check_run(workspace, wait_run(sluice, workspace, feed_name=name))
        upper = form.get("header_case") == "upper"
        want = {key: {column.upper() if upper else column: value
                      for column, value in document.items()}
                for key, document in expected.items()}
        found = differences(workspace.db[name], want)
        if found:
            wrong[name] = found
    return wrong


def test_encodings_and_line_ends_make_the_same_documents(sim, workspace):
    encodings = ("utf8", "utf8-bom", "utf16le", "utf16le-nobom")
    formats = {f"{encoding}-{newline}": {"encoding": encoding, "newline": newline}
               for encoding, newline in itertools.product(encodings, ("crlf", "lf", "cr"))}
    assert run_formats(sim, workspace, formats, 250) == {}


def test_quotes_delimiters_and_upper_case_headers_make_the_same_documents(sim, workspace):
    formats = {
        "quoted": {"quote": "all"},
        "upper": {"header_case": "upper"},
        "semicolon": {"delimiter": ";"},
        "tab": {"delimiter": "\t", "encoding": "utf16le"},
        "pipe": {"delimiter": "|", "quote": "all"},
    }
    assert run_formats(sim, workspace, formats, 250) == {}


def test_zips_of_every_shape_make_the_same_documents(sim, workspace):
    add_records(sim, 300)
    feeds = {}
    shapes = list(itertools.product((False, True), repeat=3))
    for last, descriptors, zip64 in shapes:
        name = f"z{last:d}{descriptors:d}{zip64:d}"
        make_project(sim, name)
        sim.post("switches", {"project": name, "manifest_last": last, "level": 6 * last,
                              "data_descriptors": descriptors, "force_zip64": zip64})
        feeds[name] = feed(sim, name, collection=name, every="1h")
    sluice = workspace.sluice(configure(workspace, sim, feeds))
    expected = documents(sim)
    for name in feeds:
        wait_run(sluice, workspace, feed_name=name)
        assert differences(workspace.db[name], expected) == [], name
    assert check_all(workspace) == len(shapes)


def test_every_way_to_say_no_changes_is_understood(sim, workspace):
    add_records(sim, 50)
    ways = ("header_only", "no_file", "no_url")
    feeds = {}
    for way in ways:
        make_project(sim, way)
        sim.post("switches", {"project": way, "zero_rows": way})
        feeds[way.replace("_", "-")] = feed(sim, way, collection=way, url_deadline="1s")
    sluice = workspace.sluice(configure(workspace, sim, feeds))
    expected = documents(sim)
    for way in ways:
        name = way.replace("_", "-")
        empty = wait_run(sluice, workspace, 2, name)
        assert check_run(workspace, empty)["read"] == 0
        assert differences(workspace.db[way], expected) == []
    # Nothing was taken for a loss, and changes that come later are seen.
    assert workspace.state["feeds"].count_documents({"suspect": {"$exists": True}}) == 0
    change_records(sim, 7)
    for way in ways:
        name = way.replace("_", "-")
        sluice.wait_for(lambda: sum(run["entities"][0]["read"] for run in
                                    runs(workspace, name, state="done")) >= 57, 30, f"{name}: 7")
        assert differences(workspace.db[way], documents(sim)) == []


# --- packages made by Python ---

COLUMNS = ["dataAreaId", "Code", "Name", "Amount", "Count", "Rate", "Active", "Since"]
TYPES = {"Amount": "decimal", "Count": "int", "Rate": "double", "Active": "bool", "Since": "date"}
ROWS = [
    ["USMF", "A-1", "plain", "1500.50", "7", "0.25", "Yes", "2026-11-22"],
    ["usmf", "A-2", 'with "quotes", a comma', "-0.001", "-12", "1e-3", "no",
     "2026-11-22T03:10:00Z"],
    ["usmf", "A-3", "two\nlines and\r\na third", "9999999999999999.99999999", "0", "-0.5", "TRUE",
     "2026-11-22 03:10:00"],
    ["usmf", "A-4", "", "", "", "", "", ""],
    ["usmf", "Ærø 東京 🚢", "Ωmega", "0", "9007199254740993", "3", "0", "1900-01-01"],
]


def moment(*parts):
    return datetime.datetime(*parts)


EXPECTED = {
    "usmf|A-1": ["USMF", "A-1", "plain", Decimal128("1500.50"), Int64(7), 0.25, True,
                 moment(2026, 11, 22)],
    "usmf|A-2": ["usmf", "A-2", 'with "quotes", a comma', Decimal128("-0.001"), Int64(-12), 0.001,
                 False, moment(2026, 11, 22, 3, 10)],
    "usmf|A-3": ["usmf", "A-3", "two\nlines and\r\na third",
                 Decimal128("9999999999999999.99999999"), Int64(0), -0.5, True,
                 moment(2026, 11, 22, 3, 10)],
    "usmf|A-4": ["usmf", "A-4", ""],
    "usmf|Ærø 東京 🚢": ["usmf", "Ærø 東京 🚢", "Ωmega", Decimal128("0"),
                     Int64(9007199254740993), 3.0, False, moment(1900, 1, 1)],
}
EXPECTED = {key: dict(zip(COLUMNS, values)) for key, values in EXPECTED.items()}

LABEL = "Ship codes"
TEXT = csv_text(COLUMNS, ROWS)


def xml(**options):
    return [("Manifest.xml", manifest({f"{LABEL}.csv": LABEL}, **options)),
            ("PackageHeader.xml", b"<DataManagementPackageHeader />")]


def python_packages():
    """{name: zip}: each must give EXPECTED."""
    data = [(f"{LABEL}.csv", TEXT.encode())]
    utf16 = [(f"{LABEL}.csv", TEXT.encode("utf-16"))]
    renamed = {"export-7.txt": LABEL}
    return {
        "manifest-first": package(xml() + data),
        "manifest-last": package(data + xml()),
        "manifest-utf8": package(xml(encoding="utf-8") + data),
        "no-manifest": package(data),
        "stored": package(xml() + data, stored=True),
        "stored-utf16": package(utf16 + xml(), stored=True),
        "descriptors": package(data + xml(), data_descriptors=True),
        "utf16": package(xml() + utf16),
        "bom": package([(f"{LABEL}.csv", TEXT.encode("utf-8-sig"))] + xml()),
        "other-name": package([("export-7.txt", TEXT.encode()),
                               ("Manifest.xml", manifest(renamed))]),
        "other-name-last": package([("Manifest.xml", manifest(renamed)),
                                    ("export-7.txt", TEXT.encode())]),
        "lower-case": package([(f"{LABEL.lower()}.CSV", TEXT.encode())]),
        "no-last-newline": package([(f"{LABEL}.csv", TEXT.rstrip("\r\n").encode())]),
        "unnamed-file": package(data + [("Readme.txt", b"nobody asked for this"),
                                        ("Other entity.csv", b"a,b\r\n1,2\r\n")] + xml()),
        "empty-other-file": package([("Empty.csv", b"")] + data),
    }


def code_feed(name, collection=None, **changes):
    return {"source": "fno", "definition_group": name, "legal_entity": "USMF", "every": "1h",
            "entities": {LABEL: {"collection": collection or name, "key": ["dataAreaId", "Code"],
                                 "types": TYPES}}, **changes}


def run_environment(workspace, environment, feeds, **changes):
    config = workspace.config(feeds=feeds, sources={"fno": environment.source()}, **changes)
    return workspace.sluice(config)


def test_packages_made_by_python_make_the_same_documents(workspace):
    packages = python_packages()
    with Environment(packages) as environment:
        sluice = run_environment(workspace, environment, {name: code_feed(name)
                                                          for name in packages})
        for name in packages:
            check_run(workspace, wait_run(sluice, workspace, feed_name=name))
            assert differences(workspace.db[name], EXPECTED) == [], name
        assert environment.problems == []
        assert len(environment.exports) == len(packages)
        passed_over = {line["file"] for line in sluice.log_lines()
                       if line["msg"] == "file passed over"}
        assert passed_over == {"Readme.txt", "Other entity.csv", "Empty.csv"}
    assert sluice.stop() == 0


def test_a_configured_encoding_wins_over_the_guess(workspace):
    text = csv_text(["dataAreaId", "Code"], [["usmf", "東京" * 40], ["usmf", "京都"]])
    packages = {"u16": package([(f"{LABEL}.csv", text.encode("utf-16-le"))])}
    feeds = {"u16": code_feed("u16", file_encoding="utf16le")}
    del feeds["u16"]["entities"][LABEL]["types"]
    with Environment(packages) as environment:
        sluice = run_environment(workspace, environment, feeds)
        wait_run(sluice, workspace, feed_name="u16")
    found = {one["_id"] for one in workspace.db["u16"].find()}
    assert found == {"usmf|" + "東京" * 40, "usmf|京都"}


def test_a_header_that_cannot_be_read_keeps_the_package_until_the_encoding_is_told(workspace):
    text = csv_text(["会社番号", "仕入先番号"], [["usmf", "V-1"], ["usmf", "V-2"]])
    feeds = {"u16": code_feed("u16")}
    feeds["u16"]["entities"] = {LABEL: {"collection": "u16", "key": ["会社番号", "仕入先番号"]}}
    packages = {"u16": package([(f"{LABEL}.csv", text.encode("utf-16-le"))])}
    with Environment(packages) as environment:
        sluice = run_environment(workspace, environment, feeds)
        sluice.wait_for(lambda: "file_encoding" in trouble(sluice), 20, "what to do in /readyz")
        sluice.config["feeds"]["u16"]["file_encoding"] = "utf16le"
        sluice.write_config()
        sluice.reload()
        run = wait_run(sluice, workspace, feed_name="u16")
        assert len(environment.exports) == 1 and run["number"] == 1
    assert {one["_id"] for one in workspace.db["u16"].find()} == {"usmf|V-1", "usmf|V-2"}


def test_utf16_is_told_by_the_header_whatever_the_rows_begin_with(workspace):
    text = csv_text(["dataAreaId", "Code"], [["usmf", "一番"], ["usmf", "x" * 40]])
    packages = {"u16": package([(f"{LABEL}.csv", text.encode("utf-16-le"))])}
    feeds = {"u16": code_feed("u16")}
    del feeds["u16"]["entities"][LABEL]["types"]
    with Environment(packages) as environment:
        sluice = run_environment(workspace, environment, feeds)
        wait_run(sluice, workspace, feed_name="u16")
    assert {one["_id"] for one in workspace.db["u16"].find()} == {"usmf|一番", "usmf|" + "x" * 40}


def test_a_file_of_zero_bytes_and_a_file_of_only_a_header_bring_nothing(workspace):
    packages = {"zero": package([(f"{LABEL}.csv", b"")] + xml()),
                "header": package([(f"{LABEL}.csv", csv_text(COLUMNS, []).encode())] + xml()),
                "nothing": package(xml())}
    with Environment(packages) as environment:
        sluice = run_environment(workspace, environment, {name: code_feed(name)
                                                          for name in packages})
        for name in packages:
            run = wait_run(sluice, workspace, feed_name=name)
            assert check_run(workspace, run)["read"] == 0
        assert environment.problems == []
    assert workspace.state["feeds"].count_documents({"suspect": {"$exists": True}}) == 0


def test_key_parts_with_bars_and_backslashes_stay_apart(workspace):
    rows = [["USMF", "a|b", "c"], ["USMF", "a", "b|c"], ["usmf", "a\\", "|c"], ["usmf", "a\\|", "c"],
            ["Usmf", "A", "C"], ["usmf", "a", "c"], ["usmf", " a ", "c "]]
    text = csv_text(["dataAreaId", "Left", "Right"], rows)
    packages = {"keys": package([(f"{LABEL}.csv", text.encode())])}
    one = code_feed("keys")
    one["entities"] = {LABEL: {"collection": "keys", "key": ["DATAAREAID", "left", "Right"]}}
    with Environment(packages) as environment:
        sluice = run_environment(workspace, environment, {"keys": one})
        run = wait_run(sluice, workspace, feed_name="keys")
    assert check_run(workspace, run)["applied"] == len(rows)
    found = {one["_id"]: [one["dataAreaId"], one["Left"], one["Right"]]
             for one in workspace.db["keys"].find()}
    escaped = [[part.replace("\\", "\\\\").replace("|", "\\|") for part in
                (company.lower(), left, right)] for company, left, right in rows]
    assert found == dict(zip(map("|".join, escaped), rows))


def test_a_key_that_comes_twice_counts_its_older_row_as_superseded_or_stale(workspace):
    rows = [["usmf", f"K-{i % 400}", str(i)] for i in range(1000)]
    text = csv_text(["dataAreaId", "Code", "Serial"], rows)
    packages = {"twice": package([(f"{LABEL}.csv", text.encode())])}
    one = code_feed("twice")
    one["entities"][LABEL]["types"] = {"Serial": "int"}
    with Environment(packages) as environment:
        # Batches of 500 rows: some repetitions are in one batch, some in another.
        sluice = run_environment(workspace, environment, {"twice": one}, limits={"batch_rows": 500},
                                 mongo={"writers": 1})
        run = wait_run(sluice, workspace, feed_name="twice")
    sums = check_run(workspace, run)
    assert sums["read"] == 1000 and sums["superseded"] > 0
    assert letters(workspace) == []
    found = {one["_id"]: one["Serial"] for one in workspace.db["twice"].find()}
    newest = {f"usmf|{code}": int(serial) for _, code, serial in rows}
    assert found == newest
