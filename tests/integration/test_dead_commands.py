"""sluice dead: what is listed and shown, masked and revealed, dropped, and how it fails."""

import datetime
import json
import subprocess
import time

import pika
import pytest

from books import letters
from cli import command, dead, dead_list, replay
from feeds import add_records, configure, feed, logged, make_project, wait_run
from process import free_port
from servers import wait_until

BAD = {"untypable": 6, "wrong_columns": 5, "empty_key": 4}


@pytest.fixture
def bad_rows(sim, workspace):
    """A sluice whose one run had fifteen bad rows, which the simulator makes on request."""
    add_records(sim, 200)
    make_project(sim)
    sim.post("switches", {"bad_rows": {**BAD, "every": 3}})
    sluice = workspace.sluice(configure(workspace, sim, {"vendors": feed(sim, every="1h")}),
                              ready_timeout_s=30)
    wait_run(sluice, workspace)
    return sluice


def publish(workspace, body, key="bulk.vendors.VendorsV3", content_type="application/json"):
    """A message straight to the queues, as somebody else's producer might."""
    with workspace.rabbit.publishing() as channel:
        channel.basic_publish(workspace.exchange, key, body, pika.BasicProperties(
            content_type=content_type, message_id="from-a-test", delivery_mode=2))


def wait_unreadable(workspace, count, timeout_s=20):
    wait_until(lambda: workspace.queue_depth("unreadable") == count, timeout_s, f"{count} unreadable")


def test_the_list_has_every_letter_with_an_id_that_can_be_pasted(bad_rows, workspace):
    listed = dead_list(bad_rows)
    stored = letters(workspace)
    assert len(listed) == len(stored) == 15
    for one in listed:
        assert one["feed"] == "vendors" and one["entity"] == "VendorsV3"
        assert all(c.isalnum() or c in "-_./=%" for c in one["id"]), one["id"]
        shown = dead(bad_rows, "show", one["id"], json=True)
        assert shown.status == 0 and shown.objects[0]["id"] == one["id"]
        assert dead(bad_rows, "show", id=one["id"]).status == 0
    text = dead(bad_rows, "list")
    assert text.status == 0
    lines = text.out.splitlines()
    assert lines[0].split() == ["ID", "CODE", "FEED", "AT", "REASON"]
    assert {line.split()[0] for line in lines[1:16]} == {one["id"] for one in listed}
    assert "15 dead letters: untypable 6, wrong_columns 5, empty_key 4" in text.out


def test_filters_choose_by_code_feed_entity_run_time_id_and_limit(bad_rows):
    def count(**filters):
        return len(dead_list(bad_rows, **filters))
    one = dead_list(bad_rows)[0]
    assert [count(code=code) for code in BAD] == list(BAD.values())
    assert count(feed="vendors") == 15
    assert (count(entity="VendorsV3"), count(entity="Other")) == (15, 0)
    assert (count(run="vendors-000001"), count(run="vendors-000002")) == (15, 0)
    assert (count(since="1h"), count(until="1h"), count(since="1ms")) == (15, 0, 0)
    assert count(since="2020-01-01", until="2100-01-01T00:00:00Z") == 15
    assert count(until=one["at"]) < 15
    assert (count(id=one["id"]), count(limit=4)) == (1, 4)
    assert "the newest 4 are shown, --limit shows more" in dead(bad_rows, "list", limit=4).out
    assert "the newest 4 of 15 letters are shown, --limit shows more" in dead(bad_rows, "list", limit=4, json=True).err
    assert dead(bad_rows, "list", limit=10000, json=True).err == ""


def test_values_of_rows_are_masked_unless_revealed(bad_rows, workspace):
    listed = {one["code"]: one["id"] for one in dead_list(bad_rows)}
    for code in BAD:
        letter, = (one for one in letters(workspace, code=code) if
                   listed[code].endswith(f"/{one['_id']['row']}"))
        cells = [cell for cell in letter["row"]["raw"].split(",") if len(cell) > 5]
        for as_json in ({}, {"json": True}):
            masked = dead(bad_rows, "show", listed[code], **as_json)
            assert masked.status == 0 and "VendorAccountNumber" in masked.out
            assert not [cell for cell in cells if cell in masked.out], masked.out
            revealed = dead(bad_rows, "show", listed[code], reveal=True, **as_json)
            assert cells[0] in revealed.out, revealed.out
        assert revealed.objects[0]["raw"] == letter["row"]["raw"]
    words = dead(bad_rows, "list", code="untypable").out
    for letter in letters(workspace, code="untypable"):
        value = letter["reason"].split("'")[3]
        assert value and f"'{value}'" not in words


def test_typed_rows_show_names_and_types(bad_rows, workspace):
    letter = {"_id": {"run": "vendors-000001", "entity": "VendorsV3", "row": "usmf|a b'$(x)"},
              "feed": "vendors", "entity": "VendorsV3", "code": "refused", "reason": "why",
              "id": "usmf|a b'$(x)", "at": datetime.datetime.now(datetime.timezone.utc),
              "row": {"Name": "a secret name", "Since": datetime.datetime(2020, 1, 1), "n": 7,
                      "\x1b[31mred": 1}}
    workspace.state["dead"].insert_one(letter)
    one, = dead_list(bad_rows, code="refused")
    assert all(c.isalnum() or c in "-_./=%" for c in one["id"])
    # As a shell takes it, without quotes.
    said = subprocess.run(f"echo {one['id']}", shell=True, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == one["id"]
    shown = dead(bad_rows, "show", one["id"], json=True).objects[0]
    assert shown["columns"] == {"Name": "string", "Since": "date", "n": "int", "\x1b[31mred": "int"}
    text = dead(bad_rows, "show", one["id"]).out
    assert "Since" in text and "date" in text and "a secret name" not in text
    assert "[31mred" in text and "\x1b" not in text  # anybody who may post names columns
    assert dead(bad_rows, "show", one["id"], json=True, reveal=True).objects[0]["row"]["n"] == \
        {"$numberInt": "7"}


def test_drop_needs_a_filter_says_how_many_and_drops_no_other(bad_rows, workspace):
    for verb in ("drop", "replay"):
        answer = dead(bad_rows, verb)
        assert answer.status == 2 and "--all" in answer.err
    assert dead(bad_rows, "drop", code="untypable", dry_run=True).out.startswith("6 letters and 0")
    assert len(letters(workspace)) == 15
    answer = dead(bad_rows, "drop", code="untypable")
    assert answer.status == 0 and "6 letters and 0 messages dropped" in answer.out
    assert {one["code"] for one in letters(workspace)} == {"wrong_columns", "empty_key"}
    assert dead(bad_rows, "drop", all=True, limit=2, json=True).objects == \
        [{"dry_run": False, "letters": 2, "messages": 0}]
    one = dead_list(bad_rows)[0]["id"]
    assert dead(bad_rows, "drop", id=one, json=True).objects[0]["letters"] == 1
    assert dead(bad_rows, "show", one).status == 1
    assert dead(bad_rows, "drop", all=True).status == 0
    assert letters(workspace) == [] and "0 dead letters" in dead(bad_rows, "list").out


def test_new_letters_end_at_a_time_and_those_of_before_stay(bad_rows, workspace):
    bad_rows.config["mongo"]["dead_ttl"] = "2h"
    bad_rows.write_config()
    bad_rows.restart(ready_timeout_s=30)
    publish(workspace, json.dumps({
        "sluice": 1, "feed": "vendors", "entity": "VendorsV3", "run": "another", "attempt": 1, "batch": 0,
        "count": 3, "rows": [{"op": "upsert", "id": f"usmf|{number}", "v": 5, "doc": {"_sluice": 1}}
                             for number in range(3)]}).encode())
    stored = workspace.state["dead"]
    wait_until(lambda: stored.count_documents({"expires_at": {"$exists": True}}) == 3, 30, "new letters")
    assert all(one["expires_at"] - one["at"] == datetime.timedelta(hours=2)
               for one in stored.find({"expires_at": {"$exists": True}}))
    assert len(dead_list(bad_rows)) == 18
    expiry = stored.index_information()["expiry"]  # by which MongoDB removes them
    assert expiry["key"] == [("expires_at", 1)] and expiry["expireAfterSeconds"] == 0


def test_a_feed_that_nobody_knows_is_refused_and_one_of_old_is_not(bad_rows, workspace):
    for verb in ("list", "replay", "drop"):
        for options in ({}, {"dry_run": True}, {"code": "unreadable"})[:1 if verb == "list" else 3]:
            answer = dead(bad_rows, verb, feed="vendor", **options)
            assert answer.status == 1 and not answer.out
            assert answer.err == \
                'sluice: the configuration has no feed "vendor": did you mean "vendors"?\n'
    assert dead(bad_rows, "list", feed="zzz").err == 'sluice: the configuration has no feed "zzz"\n'
    workspace.state["dead"].update_one({"code": "untypable"}, {"$set": {"feed": "vendor"}})
    old, = dead_list(bad_rows, feed="vendor")
    assert dead_list(bad_rows, feed="vendor", code="empty_key") == []
    refused = replay(bad_rows, status=1, feed="vendor")[1]
    assert [one["id"] for one in refused] == [old["id"]]
    assert "does not name feed 'vendor'" in refused[0]["refused"]
    assert "1 letter and" in dead(bad_rows, "drop", feed="vendor").out
    assert dead(bad_rows, "drop", feed="vendor").status == 1
    # Or messages that no letter tells of.
    publish(workspace, b"no JSON", "bulk.bygone.VendorsV3")
    wait_unreadable(workspace, 1)
    assert [one["feed"] for one in dead_list(bad_rows, feed="bygone")] == ["bygone"]
    assert "0 letters and 1 message" in dead(bad_rows, "drop", feed="bygone").out


# --- what cannot be read at all ---


def test_unreadable_messages_are_listed_shown_and_dropped_and_stay_in_order(bad_rows, workspace):
    bodies = [b"not JSON %d" % i for i in range(5)] + [b"\xff\xfe", b""]
    for body in bodies:
        publish(workspace, body)
    wait_unreadable(workspace, 7)
    listed = dead_list(bad_rows, code="unreadable")
    assert len(listed) == 7 and len({one["id"] for one in listed}) == 7
    assert all(one["feed"] == "vendors" and one["entity"] == "VendorsV3" for one in listed)
    assert [one["bytes"] for one in listed] == [len(body) for body in bodies]
    assert workspace.queue_depth("unreadable") == 7
    assert len(dead_list(bad_rows)) == 22
    third = listed[2]["id"]
    shown = dead(bad_rows, "show", third)
    assert shown.status == 0 and "malformed JSON" in shown.out and "not JSON 2" not in shown.out
    assert "not JSON 2" in dead(bad_rows, "show", third, reveal=True).out
    assert dead(bad_rows, "drop", id=third, dry_run=True, json=True).objects[0]["messages"] == 1
    assert workspace.queue_depth("unreadable") == 7
    assert dead(bad_rows, "drop", id=third, json=True).objects[0]["messages"] == 1
    wait_unreadable(workspace, 6)
    assert [one["id"] for one in dead_list(bad_rows, code="unreadable")] == \
        [one["id"] for one in listed if one["id"] != third]
    assert len(letters(workspace)) == 15
    sums, refused = replay(bad_rows, status=1, code="unreadable")
    assert sums["messages_left"] == 6 and "could not be read again" in refused[0]["refused"]
    assert dead(bad_rows, "drop", code="unreadable", json=True).objects[0]["messages"] == 6
    assert workspace.queue_depth("unreadable") == 0 and len(letters(workspace)) == 15
    with workspace.rabbit.connect() as connection:
        connection.channel().queue_delete(f"{workspace.exchange}.unreadable")
    assert dead_list(bad_rows, code="unreadable") == [] and workspace.queue_depth("unreadable") == 0


def test_looking_at_unreadable_messages_does_not_use_them_up(bad_rows, workspace):
    queue = f"{workspace.exchange}.unreadable"
    workspace.rabbit.ctl("set_policy", queue, f"^{queue}$", '{"delivery-limit": 5}', "--apply-to", "queues")
    try:
        for i in range(4):
            publish(workspace, b"not JSON %d" % i)
        wait_unreadable(workspace, 4)
        looks = [[one["id"] for one in dead_list(bad_rows, code="unreadable")] for _ in range(13)]
        assert len(set(looks[0])) == 4 and all(look == looks[0] for look in looks)
        assert workspace.queue_depth("unreadable") == 4
    finally:
        workspace.rabbit.ctl("clear_policy", queue)


def test_a_batch_that_had_no_place_is_published_again_when_it_has_one(sim, bad_rows, workspace):
    now = datetime.datetime.now(datetime.timezone.utc)

    def batch(run, published):
        return json.dumps({
            "sluice": 1, "feed": "later", "entity": "VendorsV3", "run": run, "attempt": 1, "batch": 0,
            "count": 1, "published_at": published.isoformat(),
            "rows": [{"op": "upsert", "id": run, "v": 5, "doc": {"a": 1}}]}).encode()
    publish(workspace, batch("old", now - datetime.timedelta(days=31)), "bulk.later.VendorsV3")
    publish(workspace, batch("new", now), "bulk.later.VendorsV3")
    wait_unreadable(workspace, 2, 40)  # another process may know the feed
    one = dead_list(bad_rows, code="unreadable", feed="later")[0]
    assert "no place" in one["reason"] and one["rows"] == 1
    assert replay(bad_rows, status=1, feed="later")[0]["messages"] == 0
    make_project(sim, "Later")
    config = bad_rows.config
    config["feeds"]["later"] = {**config["feeds"]["vendors"], "definition_group": "Later",
                                "every": "5h"}
    lives = len(logged(bad_rows, "running"))
    bad_rows.write_config()
    bad_rows.reload()
    bad_rows.wait_for(lambda: len(logged(bad_rows, "running")) > lives, 20, "the reload")
    bad_rows.wait_ready(20)
    sums, refused = replay(bad_rows, status=1, code="unreadable")
    assert (sums["messages"], sums["messages_left"]) == (1, 1)
    assert "mongo.tombstone_ttl" in refused[0]["refused"]
    bad_rows.wait_for(lambda: workspace.db["vendors"].find_one({"_id": "new"}), 20, "the row")
    assert not workspace.db["vendors"].find_one({"_id": "old"})
    assert workspace.queue_depth("unreadable") == 1


def test_an_event_whose_queue_is_gone_does_not_hold_up_those_behind_it(bad_rows, workspace):
    """A webhook source was taken away, and another one is still there."""
    with workspace.rabbit.publishing() as channel:
        channel.queue_declare(f"{workspace.exchange}.events.there", durable=True)
        for name in ("gone", "there"):
            channel.basic_publish(
                f"{workspace.exchange}.unreadable", f"{workspace.exchange}.events.{name}",
                json.dumps({"event": 1, "feed": "visits", "at": 1, "rows": []}).encode(),
                pika.BasicProperties(content_type="application/json", message_id=name, delivery_mode=2),
                mandatory=True)
    wait_unreadable(workspace, 2)
    sums, _ = replay(bad_rows, status=1, code="unreadable")
    assert (sums["messages"], sums["messages_left"]) == (1, 1)
    assert workspace.queue_depth("unreadable") == 1 and workspace.queue_depth("events.there") == 1


# --- how it fails ---


@pytest.mark.parametrize("words, said", [
    ([], "list, show, replay or drop"),
    (["lsit"], 'did you mean "list"'),
    (["list", "--code", "untypeable"], 'did you mean "untypable"'),
    (["list", "--since", "yesterday"], "2026-11-22T03:10:00Z"),
    (["list", "--limit", "0"], "a number from 1 on"),
    (["list", "--limit", "10001"], "dead list shows 10000 letters at most"),
    (["list", "--reveal"], "does not take --reveal"),
    (["drop", "--all", "--wait", "1m"], "does not take --wait"),
    (["show"], "needs the id"),
    (["show", "nonsense"], "no letter's id"),
    (["drop", "more"], "second word"),
    (["replay", "--all", "--rate", "fast"], "a number from 1 on"),
    (["list", "--cod", "x"], 'did you mean "--code"'),
])
def test_a_wrong_command_line_says_what_is_wrong(bad_rows, words, said):
    answer = command(bad_rows.config_path, "dead", *words)
    assert answer.status == 2 and said in answer.err, answer.err


@pytest.mark.parametrize("away", ["broker", "mongo"])
@pytest.mark.parametrize("words", [["dead", "list"], ["dead", "drop", "--all"], ["audit"],
                                   ["dead", "replay", "--all"]])
def test_a_peer_that_is_away_is_told_within_seconds_without_its_password(bad_rows, away, words):
    config = json.loads(bad_rows.config_path.read_text())
    scheme = {"broker": "amqp", "mongo": "mongodb"}[away]
    config[away]["url"] = f"{scheme}://user:hunter2-pass@127.0.0.1:{free_port()}/"
    path = bad_rows.config_path.with_name(f"away-{away}.jsonc")
    path.write_text(json.dumps(config))
    began = time.monotonic()
    answer = command(path, *words)
    if words == ["audit"] and away == "broker":
        assert answer.status == 0
        return
    assert answer.status == 1 and "sluice: " in answer.err and "127.0.0.1" in answer.err
    assert "hunter2" not in answer.out + answer.err
    assert words[1:2] != ["replay"] or answer.out == ""  # nobody looked, so nobody says "0 letters found"
    assert time.monotonic() - began < 20
