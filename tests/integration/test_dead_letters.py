"""Rows that cannot be delivered: each goes to the dead letters alone, and the rest arrives."""

import csv
import io

import pytest

from books import check_all, check_run, letters
from environment import Environment, csv_text, package
from feeds import (add_records, change_records, configure, feed, make_project,
                   trouble, wait_fresh_run, wait_run)
from test_formats import LABEL, run_environment
from truth import differences, documents, spoilt

COLUMNS = ["dataAreaId", "Code", "Count", "Note"]


def note_feed(name, **changes):
    return {"source": "fno", "definition_group": name, "legal_entity": "USMF", "every": "1h",
            "entities": {LABEL: {"collection": name, "key": ["dataAreaId", "Code"],
                                 "types": {"Count": "int"}}}, **changes}


def run_text(workspace, data, **changes):
    """Brings one file; gives its run."""
    with Environment({"notes": package([(f"{LABEL}.csv", data)])}) as environment:
        sluice = run_environment(workspace, environment, {"notes": note_feed("notes")}, **changes)
        return wait_run(sluice, workspace, feed_name="notes")


def codes(workspace):
    return {one["Code"] for one in workspace.db["notes"].find()}


def test_bad_rows_of_a_package_are_buried_alone_with_reason_file_and_line(sim, workspace):
    add_records(sim, 700)
    make_project(sim)
    sim.post("switches", {"bad_rows": {"untypable": 6, "wrong_columns": 5, "empty_key": 4}})
    bad = spoilt(sim, "Vendors")
    assert len(bad) == 15
    sluice = workspace.sluice(configure(workspace, sim, {"vendors": feed(sim, every="1h")}))
    run = wait_run(sluice, workspace)
    assert differences(workspace.db["vendors"], documents(sim, project="Vendors")) == []
    sums = check_run(workspace, run)
    assert (sums["read"], sums["applied"], sums["dead"]) == (700, 685, 15)

    found = {letter["_id"]["row"]: letter for letter in letters(workspace)}
    assert {row - 1: letter["code"] for row, letter in found.items()} == \
        {index: record["bad"] for index, record in bad.items()}
    for row, letter in found.items():
        assert letter["_id"] == {"run": run["_id"], "entity": "VendorsV3", "row": row}
        assert letter["feed"] == "vendors" and letter["file"] == "Vendors V3.csv"
        cells = next(csv.reader(io.StringIO(letter["row"]["raw"], newline="")))
        truth = list(bad[row - 1]["fields"].values())
        assert (cells == truth) == (letter["code"] != "wrong_columns")
        assert "2" in letter["reason"] if letter["code"] == "wrong_columns" else letter["reason"]
    assert sluice.metrics().value("sluice_rows_total", feed="vendors", stage="dead") == 15


def test_the_line_of_a_letter_is_the_physical_one(workspace):
    text = ("dataAreaId,Code,Count,Note\r\n"          # 1
            "usmf,good-1,1,fine\r\n"                  # 2
            'usmf,bad-1,many,"a\r\nb\r\nc"\r\n'       # 3 to 5
            'usmf,good-2,2,"x\ny"\r\n'                # 6, 7
            "usmf,bad-2,3\r\n"                        # 8
            "usmf,,4,no key\r\n"                      # 9
            "usmf,bad-3,5,one,more\r\n"               # 10
            "usmf,good-3,6,last\r\n")                 # 11
    run = run_text(workspace, text.encode())
    found = [(letter["line"], letter["code"], letter["row"]["raw"].rstrip("\r\n"))
             for letter in letters(workspace)]
    lines = text.split("\r\n")
    assert found == [(3, "untypable", 'usmf,bad-1,many,"a\r\nb\r\nc"'),
                     (8, "wrong_columns", "usmf,bad-2,3"), (9, "empty_key", "usmf,,4,no key"),
                     (10, "wrong_columns", "usmf,bad-3,5,one,more")]
    assert lines[0] == ",".join(COLUMNS) and codes(workspace) == {"good-1", "good-2", "good-3"}
    reasons = [letter["reason"] for letter in letters(workspace)]
    assert "'Count'" in reasons[0] and "many" in reasons[0]
    assert "3 columns" in reasons[1] and "4" in reasons[1]
    assert "'Code'" in reasons[2]
    assert check_run(workspace, run)["dead"] == 4


def test_bytes_that_are_not_utf8_are_buried_alone(workspace):
    data = (b"dataAreaId,Code,Count,Note\r\nusmf,a,1,fine\r\nusmf,b,2,\xff\xfe\r\n"
            b"usmf,\xc3,3,key\r\nusmf,d,4,cut \xe6\x9d\r\nusmf,e,5,\xe6\x9d\xb1\r\n"
            b"usmf,f,6,\xed\xa0\x80\r\nusmf,g,7,\xc0\xaf\r\n")
    run = run_text(workspace, data)
    assert codes(workspace) == {"a", "e"}
    found = letters(workspace)
    assert [letter["line"] for letter in found] == [3, 4, 5, 7, 8]
    assert {letter["code"] for letter in found} == {"bad_utf8"}
    assert bytes(found[0]["row"]["raw"]).startswith(b"usmf,b,2,\xff\xfe")
    assert check_run(workspace, run)["dead"] == 5


def test_a_quote_that_never_closes_is_buried_and_what_came_before_arrives(workspace):
    data = b'dataAreaId,Code,Count,Note\r\nusmf,a,1,fine\r\nusmf,b,2,"never ends\r\nusmf,c,3,x\r\n'
    run = run_text(workspace, data)
    assert codes(workspace) == {"a"}
    letter, = letters(workspace)
    assert (letter["code"], letter["line"]) == ("unclosed_quote", 3)
    assert check_run(workspace, run) | {"rows": 1} == \
        {"read": 2, "rows": 1, "applied": 1, "stale": 0, "dead": 1, "superseded": 0}


def test_rows_that_an_unqualified_quote_swallowed_are_in_its_letter(workspace):
    swallowed = 'usmf,K1,1,"Foo\r\nusmf,K2,2,bar\r\nusmf,K3,3,"Baz'
    text = (f'dataAreaId,Code,Count,Note\r\n{swallowed}\r\nusmf,K4,4,5" pipe\r\n'
            'usmf,K5,5,"Best" shop\r\nusmf,K6,6,"5"" pipe"\r\n')
    run = run_text(workspace, text.encode())
    found = {one["Code"]: one["Note"] for one in workspace.db["notes"].find()}
    assert found == {"K4": '5" pipe', "K6": '5" pipe'}, "these two alone can be told"
    assert [(one["code"], one["line"], one["row"]) for one in letters(workspace)] == \
        [("bad_quotes", 2, {"raw": swallowed}),
         ("bad_quotes", 6, {"raw": 'usmf,K5,5,"Best" shop'})]
    assert {one["reason"] for one in letters(workspace)} == \
        {"text follows the closing quote of cell 4"}
    check_run(workspace, run)


def test_without_the_text_qualifier_what_cannot_be_told_is_buried_and_the_rest_is_right(
        sim, workspace):
    add_records(sim, 400)
    make_project(sim)
    sim.post("switches", {"unquoted": True})
    sluice = workspace.sluice(configure(workspace, sim, {"vendors": feed(sim, every="1h")}))
    run = wait_run(sluice, workspace)
    stored = {one["_id"] for one in workspace.db["vendors"].find({}, {"_id": 1})}
    expected = {key: one for key, one in documents(sim).items() if key in stored}
    assert 0 < len(stored) < 400 and len(expected) == len(stored)
    assert differences(workspace.db["vendors"], expected) == []
    assert check_run(workspace, run)["dead"] >= 400 - len(stored)


def test_numbers_at_their_limits_pass_and_beyond_them_are_buried(workspace):
    good = ["9223372036854775807", "-9223372036854775808", "0", "-0", "007"]
    bad = ["9223372036854775808", "-9223372036854775809", "1.5", "1,5", "0x10", "--1", "1e3", "１"]
    rows = [["usmf", f"good-{i}", cell, ""] for i, cell in enumerate(good)]
    rows += [["usmf", f"bad-{i}", cell, ""] for i, cell in enumerate(bad)]
    run = run_text(workspace, csv_text(COLUMNS, rows).encode())
    found = {one["Code"]: one["Count"] for one in workspace.db["notes"].find()}
    assert found == {f"good-{i}": int(cell) for i, cell in enumerate(good)}
    assert [letter["code"] for letter in letters(workspace)] == ["untypable"] * len(bad)
    check_run(workspace, run)


def test_rows_that_mongodb_refuses_are_buried_alone(workspace):
    workspace.db.create_collection("notes", validator={"Count": {"$lt": 900}})
    workspace.db["notes"].create_index("Note", unique=True)
    rows = [["usmf", f"n-{i}", str(i), f"note {i if i % 100 else 0}"] for i in range(1000)]
    run = run_text(workspace, csv_text(COLUMNS, rows).encode())
    sums = check_run(workspace, run)
    found = letters(workspace)
    # 100 are beyond the validator's limit (900 among them), 8 repeat the note of row 0.
    assert sums["dead"] == len(found) == 108 and sums["applied"] == 892
    assert {letter["code"] for letter in found} == {"refused"}
    by_reason = {word: [letter for letter in found if word in letter["reason"].lower()]
                 for word in ("validat", "duplicate key")}
    assert (len(by_reason["validat"]), len(by_reason["duplicate key"])) == (100, 8)
    for letter in found:
        code = letter["row"]["Code"]
        assert letter["id"] == f"usmf|{code}" == letter["_id"]["row"]
        assert letter["line"] == int(code[2:]) + 2 and letter["file"] == f"{LABEL}.csv"
        assert letter["row"] == {"dataAreaId": "usmf", "Code": code, "Count": int(code[2:]),
                                 "Note": letter["row"]["Note"]}
    assert workspace.db["notes"].count_documents({}) == 892


def test_a_stored_version_that_is_no_number_is_refused_and_not_overwritten(sim, workspace):
    add_records(sim, 20)
    key = sorted(documents(sim))[3]
    workspace.db["vendors"].insert_one({"_id": key, "_sluice": {"v": "zzz"}, "mine": True})
    make_project(sim)
    sluice = workspace.sluice(configure(workspace, sim, {"vendors": feed(sim, every="1h")}))
    assert check_run(workspace, wait_run(sluice, workspace))["dead"] == 1
    letter, = letters(workspace)
    assert letter["code"] == "refused" and letter["id"] == key
    assert workspace.db["vendors"].find_one({"_id": key})["mine"] is True


def test_a_column_with_a_reserved_name_makes_dead_letters_and_not_a_crash(workspace):
    text = csv_text(["dataAreaId", "Code", "Count", "_sluice"], [["usmf", "a", "1", "x"]])
    run = run_text(workspace, text.encode())
    assert [letter["code"] for letter in letters(workspace)] == ["reserved_column"]
    assert check_run(workspace, run)["dead"] == 1


def test_large_rows_pass_and_too_large_ones_are_buried(workspace):
    small, large, huge = "s" * (300 << 10), "å" * (1 << 20), "h" * (5 << 20)
    rows = [["usmf", f"n-{i}", str(i), f"note {i}"] for i in range(30)]
    rows[5][3] = rows[6][3] = small
    rows[10][3] = large
    rows[20][3] = huge
    run = run_text(workspace, csv_text(COLUMNS, rows).encode())
    sums = check_run(workspace, run)
    assert (sums["applied"], sums["dead"]) == (29, 1)
    found = {one["Code"]: one["Note"] for one in workspace.db["notes"].find()}
    assert found == {row[1]: row[3] for row in rows if row[3] != huge}
    letter, = letters(workspace)
    assert (letter["code"], letter["line"]) == ("too_large", 22)
    assert len(letter["row"]["raw"]) <= 64 << 10
    # The row of 2 MiB travels alone.
    assert 1 in {entry["rows"] for entry in workspace.state["ledger"].find()}


def test_a_large_row_that_mongodb_refuses_leaves_an_excerpt(workspace):
    workspace.db.create_collection("notes", validator={"Count": {"$ne": 2}})
    rows = [["usmf", f"n-{i}", str(i), "x" * (200 << 10)] for i in range(4)]
    run_text(workspace, csv_text(COLUMNS, rows).encode())
    letter, = letters(workspace)
    assert letter["row"]["Code"] == "n-2" and "Note" not in letter["row"]
    assert letter["row_bytes"] > 200 << 10


@pytest.mark.parametrize("content", ["json", "bson"])
def test_big_cells_of_the_simulator_arrive_by_either_content(sim, workspace, content):
    add_records(sim, 100)
    make_project(sim)
    sim.post("switches", {"big_rows": {"rows": 4, "bytes": 300000}})
    sluice = workspace.sluice(configure(workspace, sim, broker={"content": content}))
    wait_run(sluice, workspace)
    expected = documents(sim)
    assert sum(len(one["Notes"].encode()) >= 300000 for one in expected.values()) == 4
    assert differences(workspace.db["vendors"], expected) == []
    check_all(workspace)


def test_a_row_that_becomes_good_again_arrives(sim, workspace):
    add_records(sim, 50)
    make_project(sim)
    sim.post("switches", {"project": "Vendors", "bad_rows": {"untypable": 3}})
    sluice = workspace.sluice(configure(workspace, sim))
    wait_run(sluice, workspace)
    assert len(letters(workspace)) == 3
    sim.post("switches", {"project": "Vendors", "bad_rows": {"untypable": 0}})
    change_records(sim, 50)
    wait_fresh_run(sluice, workspace)
    assert differences(workspace.db["vendors"], documents(sim)) == []
    check_all(workspace)


def test_bad_rows_in_every_batch_go_on_through_a_memory_alarm(sim, own_rabbit, workspace):
    add_records(sim, 3000)
    make_project(sim)
    sim.post("switches", {"bad_rows": {"untypable": 300, "every": 10}})
    own_rabbit.ctl("set_vm_memory_high_watermark", "0.00001")
    sluice = workspace.sluice(configure(workspace, sim, limits={"batch_rows": 100}))
    sluice.wait_for(lambda: "blocks publishing" in trouble(sluice), 30, "the alarm's word")
    assert workspace.db["vendors"].count_documents({}) == 0
    own_rabbit.ctl("set_vm_memory_high_watermark", "absolute", "1GB")
    run = wait_run(sluice, workspace)
    assert check_run(workspace, run)["dead"] == 300 == len(letters(workspace))
    assert run["attempt"] == 1 and run["entities"][0]["batches"] >= 30
    assert differences(workspace.db["vendors"], documents(sim, project="Vendors")) == []
    sluice.wait_ready(10)
