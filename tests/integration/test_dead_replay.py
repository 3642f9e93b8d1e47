"""Replaying dead letters: the row arrives with the version that it had, at any time, in any order, and
whatever happens to the replay; a newer document is not rolled back, a deleted one not brought back."""

import datetime
import json
import signal
import subprocess

import pika
import pytest

from books import letters
from cli import SANITIZER_ENV, audit, dead, dead_list, replay
from environment import Environment, csv_text, package
from feeds import wait_run
from process import build_dir, wait_until
from tables import Tables
from test_dead_letters import COLUMNS, LABEL, note_feed
from truth import exactly

DAY = datetime.timedelta(days=1)


@pytest.fixture
def notes(workspace):
    """Makes a sluice that has read one file of notes, and is ready for more."""
    environments = []

    def make(rows, validator=None, text=None, **changes):
        if validator:
            workspace.db.create_collection("notes", validator=validator)
        data = text.encode() if text else csv_text(COLUMNS, rows).encode()
        environment = Environment({"notes": package([(f"{LABEL}.csv", data)])})
        environments.append(environment)
        environment.__enter__()
        config = workspace.config(feeds={"notes": note_feed("notes")},
                                  sources={"fno": environment.source()}, **changes)
        sluice = workspace.sluice(config, ready_timeout_s=30)
        wait_run(sluice, workspace, feed_name="notes")
        return sluice
    yield make
    for environment in environments:
        environment.__exit__(None, None, None)


def allow(workspace):
    """Takes the validator away."""
    workspace.db.command("collMod", "notes", validator={})


def note(workspace, code):
    return workspace.db["notes"].find_one({"_id": f"usmf|{code}"})


ROWS = [["usmf", f"n-{i}", str(i), f"note {i}"] for i in range(20)]
ONLY_SMALL = {"Count": {"$lt": 17}}  # refuses n-17, n-18, n-19


def test_a_refused_row_is_replayed_with_its_own_version_and_its_letter_goes(notes, workspace):
    sluice = notes(ROWS, ONLY_SMALL)
    before = {letter["id"]: letter for letter in letters(workspace)}
    assert sorted(before) == ["usmf|n-17", "usmf|n-18", "usmf|n-19"]
    allow(workspace)
    sums, refused = replay(sluice)
    assert refused == []
    assert {name: sums[name] for name in ("found", "rows", "applied", "stale", "again", "removed")} \
        == {"found": 3, "rows": 3, "applied": 3, "stale": 0, "again": 0, "removed": 3}
    assert letters(workspace) == []
    first = note(workspace, "n-1")["_sluice"]["v"]
    for number in (17, 18, 19):
        found = note(workspace, f"n-{number}")
        stamp = found.pop("_sluice")
        assert stamp["v"] == before[found["_id"]]["v"] == first + number - 1
        assert (stamp["run"], stamp["feed"]) == (sums["run"], "notes")
        row = before[found.pop("_id")]["row"]
        assert exactly(found) == exactly(row)
    assert workspace.db["notes"].count_documents({}) == 20
    # The books of the replay are its own, and those of the run are what they were.
    lines = audit(sluice)
    assert set(lines) == {"notes-000001", sums["run"]}
    mine = lines[sums["run"]]
    assert (mine["feed"], mine["state"]) == ("replay:notes", "done")
    assert [mine[name] for name in ("read", "published", "confirmed", "applied", "stale", "dead",
                                    "unaccounted")] == [3, 3, 3, 3, 0, 0, 0]
    assert lines["notes-000001"]["dead"] == 3 and lines["notes-000001"]["unaccounted"] == 0


def test_a_replay_does_not_roll_back_a_newer_document_nor_bring_a_deleted_one_back(notes, workspace):
    sluice = notes(ROWS, ONLY_SMALL)
    version = {letter["id"]: letter["v"] for letter in letters(workspace)}
    allow(workspace)
    newer = {"_id": "usmf|n-17", "Note": "newer",
             "_sluice": {"v": version["usmf|n-17"] + 1, "feed": "notes", "run": "later"}}
    now = datetime.datetime.now(datetime.timezone.utc)
    gone = {"_id": "usmf|n-18", "_sluice": {"v": version["usmf|n-18"] + 1, "feed": "notes",
                                            "deleted": True, "at": now, "expires_at": now + DAY}}
    workspace.db["notes"].insert_many([newer, gone])
    sums, _ = replay(sluice)
    assert (sums["applied"], sums["stale"], sums["removed"]) == (1, 2, 3)
    assert note(workspace, "n-17") == newer
    found = note(workspace, "n-18")
    assert found["_sluice"]["deleted"] is True and set(found) == {"_id", "_sluice"}
    assert note(workspace, "n-19")["Note"] == "note 19"
    assert audit(sluice)[sums["run"]]["stale"] == 2


def test_letters_of_hundreds_of_feeds_are_found_at_once(notes, workspace):
    sluice = notes(ROWS[:18], ONLY_SMALL)
    letter = workspace.state["dead"].find_one()
    workspace.state["dead"].insert_many(
        {**letter, "_id": {**letter["_id"], "feed": f"gone-{i}"}, "feed": f"gone-{i}"}
        for i in range(300))
    allow(workspace)
    sums, refused = replay(sluice, status=1)
    assert len(refused) == 300 and sums["removed"] == 1
    assert all("does not name feed 'gone-" in one["refused"] for one in refused)


def test_a_row_that_is_refused_again_stays_the_same_letter_and_is_counted(notes, workspace):
    sluice = notes(ROWS, ONLY_SMALL)
    before = letters(workspace)
    sums, told = replay(sluice, status=1)
    assert (sums["rows"], sums["again"], sums["removed"]) == (3, 3, 0)
    assert {one["id"]: one["again"] for one in told} == \
        {one["id"]: one["reason"] for one in dead_list(sluice)}
    assert len(told) == 3 and all("Document failed validation" in one["again"] for one in told)
    after = letters(workspace)
    assert [one["_id"] for one in after] == [one["_id"] for one in before]
    for old, new in zip(before, after):
        assert new["replay"] == sums["run"] and new["at"] > old["at"]
        for name in ("op", "v", "read_at", "row", "id", "line", "file", "code"):
            assert new[name] == old[name], name
    line = audit(sluice)[sums["run"]]
    assert (line["read"], line["dead"], line["unaccounted"]) == (3, 3, 0)
    allow(workspace)
    sums, _ = replay(sluice)
    assert sums["removed"] == 3 and letters(workspace) == []


BAD = ("dataAreaId,Code,Count,Note\r\n"
       "usmf,good,1,fine\r\n"
       "usmf,b-1,many,\"a\r\n\"\"b\"\",c\"\r\n"
       "usmf,b-2,9,\r\n"
       "usmf,b-3,few,x,more\r\n"
       "usmf,,4,no key\r\n"
       "usmf,b-4,5,\"x\" y\r\n")


def test_a_raw_row_is_typed_anew_by_todays_configuration(notes, workspace):
    sluice = notes(None, text=BAD)
    before = {letter["line"]: letter for letter in letters(workspace)}
    assert {line: one["code"] for line, one in before.items()} == \
        {3: "untypable", 6: "wrong_columns", 7: "empty_key", 8: "bad_quotes"}
    assert {one["header"] for one in before.values()} == {"dataAreaId,Code,Count,Note"}
    entity = sluice.config["feeds"]["notes"]["entities"][LABEL]
    entity["types"] = {}
    sluice.write_config()
    sluice.reload()
    sums, told = replay(sluice, status=1)
    assert (sums["found"], sums["applied"], sums["again"], sums["removed"]) == (4, 1, 3, 1)
    assert {one["id"]: one["again"] for one in told} == \
        {one["id"]: one["reason"] for one in dead_list(sluice)}
    found = note(workspace, "b-1")
    assert (found["Count"], found["Note"]) == ("many", 'a\r\n"b",c')
    good = note(workspace, "good")["_sluice"]["v"]
    assert found["_sluice"]["v"] == before[3]["v"] == good + 1
    left = {letter["line"]: letter for letter in letters(workspace)}
    assert {line: one["code"] for line, one in left.items()} == \
        {6: "wrong_columns", 7: "empty_key", 8: "bad_quotes"}
    for line, one in left.items():
        assert one["replay"] == sums["run"] and one["_id"] == before[line]["_id"]
        assert one["row"] == before[line]["row"] and one["v"] == before[line]["v"]
    line = audit(sluice)[sums["run"]]
    assert (line["read"], line["published"], line["dead"], line["unaccounted"]) == (4, 1, 3, 0)
    # The key is another one now: the row without a Code has one, too.
    entity["key"] = ["dataAreaId", "Note"]
    sluice.write_config()
    sums, _ = replay(sluice, code="empty_key")
    assert sums["applied"] == 1
    assert workspace.db["notes"].find_one({"_id": "usmf|no key"})["_sluice"]["v"] == before[7]["v"]


def test_a_raw_row_that_still_cannot_be_typed_has_the_new_reason(notes, workspace):
    sluice = notes(None, text=BAD)
    sluice.config["feeds"]["notes"]["entities"][LABEL]["types"] = {"Count": "bool"}
    sluice.write_config()
    one = dead_list(sluice, code="untypable")[0]["id"]
    tried = dead(sluice, "replay", code="untypable", dry_run=True)
    assert tried.status == 1
    assert f"{one} would fail again: column 'Count': a value is no bool" in tried.out
    sums, _ = replay(sluice, status=1, code="untypable")
    assert sums["again"] == 1
    letter, = letters(workspace, code="untypable")
    assert "is no bool" in letter["reason"]
    # A column that the old file lacks: nothing is changed, and it is told.
    sluice.config["feeds"]["notes"]["entities"][LABEL]["types"] = {"Later": "int"}
    sluice.write_config()
    sums, refused = replay(sluice, status=1, code="untypable")
    assert sums["refused"] == 1 and "no column 'Later'" in refused[0]["refused"]
    assert letters(workspace, code="untypable") == [letter]


def test_letters_that_cannot_be_replayed_say_what_to_do_and_stay(notes, workspace):
    sluice = notes(ROWS, ONLY_SMALL)
    dead_letters = workspace.state["dead"]
    ids = [one["_id"] for one in letters(workspace)]
    old = datetime.datetime.now(datetime.timezone.utc) - 31 * DAY
    dead_letters.update_one({"_id": ids[0]}, {"$set": {"read_at": old}})
    dead_letters.update_one({"_id": ids[1]}, {"$unset": {"op": 1, "v": 1, "read_at": 1}})
    dead_letters.update_one({"_id": ids[2]}, {"$set": {"row_cut": True}})
    extra = {"_id": {"run": "visits-000001", "entity": "visits", "row": "60c4e274"}, "row": 1}
    dead_letters.insert_one({**extra, "feed": "notes", "entity": LABEL.replace(" ", ""),
                             "code": "read_back", "reason": "403", "id": "60c4e274", "at": old})
    dead_letters.insert_one({"_id": {"run": "lost-000001", "entity": "X", "row": 1}, "feed": "lost",
                             "entity": "X", "code": "refused", "reason": "why", "id": "a", "at": old})
    allow(workspace)
    before = list(dead_letters.find().sort("_id", 1))
    sums, refused = replay(sluice, status=1)
    assert (sums["found"], sums["refused"], sums["removed"]) == (5, 5, 0)
    said = {one["id"].split("/")[0] + one["id"][-1]: one["refused"] for one in refused}
    texts = list(said.values())
    assert any("mongo.tombstone_ttl" in text and "sluice refresh" in text for text in texts)
    assert any("does not tell the row's version" in text for text in texts)
    assert any("only a part of the row" in text for text in texts)
    assert any("touch the row" in text for text in texts)
    assert any("does not name feed 'lost'" in text for text in texts)
    assert list(dead_letters.find().sort("_id", 1)) == before
    assert note(workspace, "n-17") is None


def test_a_replayed_row_that_arrives_too_late_is_not_written(notes, workspace):
    """The queue may hold it for longer than tombstones live: the applier looks again."""
    sluice = notes(ROWS, ONLY_SMALL)
    letter = letters(workspace)[0]
    allow(workspace)
    old = (datetime.datetime.now(datetime.timezone.utc) - 31 * DAY).isoformat()
    body = {"sluice": 1, "feed": "notes", "entity": letter["entity"], "run": "replay-late",
            "attempt": 1, "batch": 0, "last": False, "count": 1, "rows": [
                {"op": "upsert", "id": letter["id"], "v": letter["v"], "doc": {"Code": "late"},
                 "letter_run": letter["_id"]["run"], "letter_read_at": old}]}
    with workspace.rabbit.publishing() as channel:
        channel.basic_publish(
            workspace.exchange, f"bulk.notes.{letter['entity']}", json.dumps(body).encode(),
            pika.BasicProperties(content_type="application/json", delivery_mode=2))
    sluice.wait_for(lambda: letters(workspace, code="too_old"), 20, "the letter")
    after, = letters(workspace, code="too_old")
    assert after["_id"] == letter["_id"] and note(workspace, "n-17") is None


def test_letters_of_a_table_win_only_where_nothing_newer_has_come(sim, workspace):
    """The whole way: changed, deleted and left alone in Dataverse while the letters lie there."""
    scene = Tables(sim, workspace, {"account": 60})
    changed, deleted, alone = sorted(scene.expected())[:3]
    workspace.db.command("collMod", "account", validator={"$or": [
        {"_sluice.deleted": True}, {"_id": {"$nin": [changed, deleted, alone]}}]})
    sluice = scene.sluice()
    sluice.wait_for(lambda: len(letters(workspace)) == 3, 30, "the letters")
    assert {one["code"] for one in letters(workspace)} == {"refused"}
    workspace.db.command("collMod", "account", validator={})
    scene.change(ids=[changed])
    scene.delete(ids=[deleted])
    sluice.wait_for(lambda: changed in scene.live() and deleted in scene.tombstones(), 20, "the news")
    before = scene.live() | scene.tombstones()
    sums, _ = replay(sluice)
    assert (sums["applied"], sums["stale"], sums["removed"]) == (1, 2, 3)
    after = scene.live() | scene.tombstones()
    assert {one: after[one] for one in (changed, deleted)} == \
        {one: before[one] for one in (changed, deleted)}
    scene.wait_followed()
    assert scene.differences() == [] and deleted in scene.tombstones()
    scene.check_versions()
    assert audit(sluice)[sums["run"]]["unaccounted"] == 0


def test_a_row_that_a_full_read_did_not_see_any_more_is_not_brought_back(sim, workspace):
    """No tombstone tells of it: it was never stored, and its deletion never seen."""
    scene = Tables(sim, workspace, {"account": 60})
    gone, still = sorted(scene.expected())[:2]
    workspace.db.command("collMod", "account", validator={"_id": {"$nin": [gone, still]}})
    sluice = scene.sluice()
    sluice.wait_for(lambda: len(letters(workspace)) == 2, 30, "the letters")
    scene.wait_books_closed()
    assert sluice.stop() == 0
    scene.delete(ids=[gone])
    sim.dataverse("expire", table="account")
    sluice.start(ready_timeout_s=30)
    sluice.wait_for(lambda: len(letters(workspace)) == 3, 30, "the letter of the full read")
    scene.wait_books_closed()
    workspace.db.command("collMod", "account", validator={})
    # What came before is told by runs: clocks may have been put right meanwhile.
    workspace.state["checkpoints"].update_one({"_id": "feed:account"}, [
        {"$set": {"full_at": {"$add": ["$full_at", 2 * 3600 * 1000]}}}])
    sums, refused = replay(sluice, status=1)
    assert (sums["applied"], sums["removed"], sums["refused"]) == (1, 1, 2)
    assert all("was read in full after it" in one["refused"] for one in refused)
    scene.wait_followed()
    assert still in scene.live() and gone not in scene.live()
    # As long as the application user does not see all of the table, nobody knows.
    assert sluice.stop() == 0
    workspace.state["checkpoints"].update_one({"_id": "feed:account"}, {"$set": {"partial": True}})
    _, unknown = replay(sluice, status=1, all=True, dry_run=True)
    assert len(unknown) == 2
    assert all("out of the application user's sight" in one["refused"] and "drop" not in one["refused"]
               for one in unknown)


def test_a_deletion_that_mongodb_refused_is_replayed_as_one(sim, workspace):
    scene = Tables(sim, workspace, {"account": 30})
    one = sorted(scene.expected())[0]
    workspace.db.command("collMod", "account", validator={"_sluice.deleted": {"$exists": False}})
    sluice = scene.sluice()
    scene.wait_followed()
    scene.delete(ids=[one])
    sluice.wait_for(lambda: letters(workspace), 20, "the letter")
    letter, = letters(workspace)
    assert (letter["op"], letter["id"], "row" in letter) == ("delete", one, False)
    assert dead(sluice, "show", dead_list(sluice)[0]["id"]).out.count("delete, version") == 1
    workspace.db.command("collMod", "account", validator={})
    assert replay(sluice)[0]["applied"] == 1
    assert scene.tombstones() == {one: letter["v"]}
    scene.wait_followed()


def test_a_broker_that_blocks_publishing_is_told_and_waited_for(own_rabbit, workspace, notes):
    sluice = notes(ROWS, ONLY_SMALL)
    allow(workspace)
    own_rabbit.ctl("set_vm_memory_high_watermark", "0.00001")
    process = start_replay(sluice)
    assert any(b"blocks publishing" in line for line in process.stderr)
    own_rabbit.ctl("set_vm_memory_high_watermark", "absolute", "1GB")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and b"3 replayed" in out
    assert letters(workspace) == []


def start_replay(sluice, *more):
    return subprocess.Popen([build_dir() / "src/sluice", "dead", "replay", "--all", "-c",
                             sluice.config_path, *more], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=SANITIZER_ENV)


def test_two_replays_at_once_are_as_one(notes, workspace):
    rows = [["usmf", f"n-{i}", str(i), "x"] for i in range(400)]
    sluice = notes(rows, {"Count": {"$lt": 0}})
    assert len(letters(workspace)) == 400
    allow(workspace)
    # So slow that there is something left for the one that starts later.
    both = [start_replay(sluice, "--rate", "80") for _ in range(2)]
    for one in both:
        out, err = one.communicate(timeout=60)
        assert one.returncode == 0, (out, err)
    assert letters(workspace) == [] and workspace.db["notes"].count_documents({}) == 400
    lines = [line for line in audit(sluice).values() if line["feed"] == "replay:notes"]
    assert len(lines) == 2
    assert sum(line["applied"] for line in lines) == 400
    assert all(line["read"] == line["applied"] + line["stale"] for line in lines)


def test_a_replay_killed_in_the_middle_is_made_good_by_the_next(notes, workspace):
    rows = [["usmf", f"n-{i}", str(i), "x"] for i in range(300)]
    sluice = notes(rows, {"Count": {"$lt": 0}})
    allow(workspace)
    for number, kill_after in enumerate((0, 64, 150), 1):
        process = start_replay(sluice, "--rate", "30")  # 10 s: it is not over before it is killed
        wait_until(lambda: workspace.state["runs"].count_documents({"feed": "replay:notes"}) == number,
                   20, "the replay")
        wait_until(lambda: workspace.db["notes"].count_documents({}) >= kill_after, 20, "its rows")
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        process.stderr.close()
    assert len(letters(workspace)) > 0
    sums, _ = replay(sluice, all=True, rate=5000)
    assert sums["found"] == sums["removed"] and letters(workspace) == []
    assert workspace.db["notes"].count_documents({}) == 300
    lines = audit(sluice)
    killed = [line for line in lines.values() if line["state"] in ("streaming", "interrupted")]
    assert len(killed) == 3 and all(line["ok"] for line in killed)


def test_rows_that_nobody_applies_keep_their_letters_and_arrive_later(notes, workspace):
    sluice = notes(ROWS, ONLY_SMALL)
    allow(workspace)
    assert sluice.stop() == 0
    answer = dead(sluice, "replay", all=True, wait="2s")
    assert answer.status == 1 and "nobody has applied them" in answer.err
    assert len(letters(workspace)) == 3
    sluice.start(30)
    sluice.wait_for(lambda: workspace.db["notes"].count_documents({}) == 20, 20, "the rows")
    sums, _ = replay(sluice)
    assert (sums["stale"], sums["removed"]) == (3, 3) and letters(workspace) == []
    assert audit(sluice)


def test_a_full_queue_that_nobody_empties_ends_a_replay_in_time(notes, workspace):
    sluice = notes(ROWS, ONLY_SMALL, broker={"max_backlog": 10})
    allow(workspace)
    assert sluice.stop() == 0
    with workspace.rabbit.publishing() as channel:
        for number in range(10):
            channel.basic_publish("", f"{workspace.exchange}.bulk", b"%d" % number,
                                  pika.BasicProperties(delivery_mode=2))
    answer = dead(sluice, "replay", all=True, wait="5s", timeout_s=30)
    assert answer.status == 1 and f"'{workspace.exchange}.bulk' is full: 10 messages" in answer.err
    assert f"sluice: waiting: queue '{workspace.exchange}.bulk' is full" in answer.err, "not in silence"
    assert "nobody has applied" in answer.err and "--wait" in answer.err
    assert len(letters(workspace)) == 3 and workspace.queue_depth("bulk") == 10


def test_filters_limit_and_dry_run_say_which_letters_are_replayed(notes, workspace):
    sluice = notes(ROWS, ONLY_SMALL)
    allow(workspace)
    sums, _ = replay(sluice, all=True, dry_run=True)
    assert (sums["found"], sums["rows"], sums["removed"]) == (3, 3, 0)
    assert len(letters(workspace)) == 3 and note(workspace, "n-17") is None
    assert not workspace.state["runs"].find_one({"feed": "replay:notes"})
    one = dead_list(sluice)[0]["id"]
    assert replay(sluice, id=one)[0]["removed"] == 1
    for filters in ({"code": "untypable"}, {"since": "1ms"}, {"until": "1h"},
                    {"run": "notes-000002"}, {"entity": "Other"}):
        assert replay(sluice, **filters)[0]["found"] == 0, filters
    assert replay(sluice, all=True, limit=1)[0]["removed"] == 1
    assert replay(sluice, feed="notes", code="refused", since="1h", run="notes-000001")[0][
        "removed"] == 1
    assert letters(workspace) == []
