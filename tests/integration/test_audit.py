"""sluice audit: the books of every kind of feed, and how it tells what is missing, late or left."""

import datetime
import json
import threading
import urllib.request

from cli import audit, command
from feeds import add_records, change_records, configure, feed, make_project, wait_fresh_run, wait_run
from process import free_port
from servers import wait_until
from tables import Tables

COUNTS = ("read", "published", "confirmed", "applied", "stale", "superseded", "dead", "unaccounted")


def counts(line):
    return [line[name] for name in COUNTS]


def ago(**span):
    return datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(**span)


def check_sums(lines):
    for line in lines.values():
        assert line["read"] == line["applied"] + line["stale"] + line["superseded"] + line["dead"] \
            + line["unaccounted"], line


def packages(sim, workspace, bad=0):
    add_records(sim, 300)
    make_project(sim)
    if bad:
        sim.post("switches", {"bad_rows": {"untypable": bad}})
    sluice = workspace.sluice(configure(workspace, sim, {"vendors": feed(sim, every="1h")}),
                              ready_timeout_s=30)
    wait_run(sluice, workspace)
    return sluice


def test_the_books_of_packages_are_added_up(sim, workspace):
    sluice = packages(sim, workspace, bad=7)
    line = audit(sluice)["vendors-000001"]
    assert counts(line) == [300, 293, 293, 293, 0, 0, 7, 0]
    assert (line["state"], line["ok"], line["attempt"]) == ("done", True, 1)
    text = command(sluice.config_path, "audit")
    assert text.status == 0 and "Every row of every run that has ended is accounted for" in text.out
    head, row, total = [part.split() for part in text.out.splitlines()[:3]]
    assert head == ["RUN", "STATE", *(name.upper() for name in COUNTS)]
    assert row == ["vendors-000001", "done", *map(str, counts(line))]
    assert total[0] == "total" and total[1:] == row[2:]


def test_a_feed_or_a_run_is_chosen_and_an_unknown_one_is_told(sim, workspace):
    sluice = packages(sim, workspace)
    change_records(sim, 10)
    sluice.config["feeds"]["vendors"]["every"] = "1s"
    sluice.write_config()
    sluice.reload()
    wait_fresh_run(sluice, workspace)
    assert set(audit(sluice, "vendors", run="vendors-000001")) == {"vendors-000001"}
    assert len(audit(sluice, "vendors")) >= 2
    for words, options in ((["others"], {}), ([], {"run": "vendors-999999"})):
        answer = command(sluice.config_path, "audit", *words, **options)
        assert answer.status == 1 and "nothing is known" in answer.err


def test_a_feed_that_had_no_run_yet_is_in_order(sim, workspace):
    sluice = workspace.sluice(configure(workspace, sim), start=False)
    for words in ([], ["vendors"]):
        answer = command(sluice.config_path, "audit", *words)
        assert (answer.status, answer.out, answer.err) == (0, "There was no run yet.\n", "")


def test_rows_that_no_ledger_tells_of_are_unaccounted(sim, workspace):
    sluice = packages(sim, workspace, bad=7)
    workspace.state["ledger"].update_one({}, {"$inc": {"applied": -5}})
    line = audit(sluice, status=1)["vendors-000001"]
    assert line["unaccounted"] == 5 and not line["ok"] and "sluice refresh" in line["note"]
    text = command(sluice.config_path, "audit")
    assert text.status == 1 and "1 run with rows that are not accounted for" in text.out
    workspace.state["ledger"].delete_many({})
    assert audit(sluice, status=1)["vendors-000001"]["unaccounted"] == 293
    # So old that its ledger is forgotten: it was done only when all was accounted for.
    workspace.state["runs"].update_one({}, {"$set": {"created_at": ago(days=40)}})
    line = audit(sluice)["vendors-000001"]
    assert line["unaccounted"] == 0 and "forgotten" in line["note"]


def test_a_ledger_longer_than_one_command_reads_is_added_up(sim, workspace):
    sluice = packages(sim, workspace)
    entries, entities = 30_000, []
    run = workspace.state["runs"].find_one()
    for name in ("A", "B"):  # the second slice of the ledger ends within B
        workspace.state["ledger"].insert_many([
            {"_id": {"run": "vendors-000000", "attempt": 1, "entity": name, "batch": i},
             "feed": "vendors", "read": 3, "rows": 2, "applied": 1, "stale": 1, "dead": 0,
             "superseded": 1, "last": False, "at": run["created_at"]} for i in range(entries)])
        entities.append({"name": name, "read": 3 * entries, "dead": 0, "superseded": entries,
                         "batches": entries, "finished": True, "counter": 1})
    run.update(_id="vendors-000000", number=0, entities=entities)
    workspace.state["runs"].insert_one(run)
    lines = audit(sluice)
    assert counts(lines["vendors-000000"]) == \
        [6 * entries, 4 * entries, 4 * entries, 2 * entries, 2 * entries, 2 * entries, 0, 0]
    assert counts(lines["vendors-000001"]) == [300, 300, 300, 300, 0, 0, 0, 0]
    workspace.state["ledger"].delete_one({"_id.entity": "B", "_id.batch": 12345})
    assert audit(sluice, status=1)["vendors-000000"]["unaccounted"] == 2


def test_a_run_that_ends_while_the_books_are_read_is_accounted_for(sim, workspace):
    """Its ledger is read before it is there, its run when it is done."""
    sluice = packages(sim, workspace)
    assert sluice.stop() == 0
    run = workspace.state["runs"].find_one()
    entry = workspace.state["ledger"].find_one()

    def done(number):
        identity = f"vendors-{number:06}"
        workspace.state["ledger"].insert_one({**entry, "_id": {**entry["_id"], "run": identity}})
        workspace.state["runs"].insert_one({**run, "_id": identity, "number": number})

    for number in range(2, 130):
        done(number)
    workspace.client.admin.command(
        "configureFailPoint", "failCommand", mode={"skip": 1},  # the second page of the runs
        data={"failCommands": ["find"], "namespace": f"{workspace.state_database}.runs",
              "blockConnection": True, "blockTimeMS": 2000})
    late = threading.Timer(1, done, [130])
    late.start()
    try:
        lines = audit(sluice)
    finally:
        workspace.client.admin.command("configureFailPoint", "failCommand", mode="off")
        late.join()
    assert len(lines) == 130 and not any(line["unaccounted"] for line in lines.values())


def test_a_run_under_way_is_no_failure_until_its_ledger_is_late(sim, workspace):
    sluice = packages(sim, workspace)
    assert sluice.stop() == 0
    now = ago()
    workspace.state["runs"].update_one({}, {"$set": {"state": "published", "state_at": now}})
    workspace.state["ledger"].update_one({}, {"$inc": {"applied": -5}})
    line = audit(sluice)["vendors-000001"]
    assert (line["state"], line["unaccounted"], line["ok"]) == ("published", 5, True)
    old = ago(minutes=61)
    workspace.state["runs"].update_one({}, {"$set": {"state_at": old}})
    workspace.state["ledger"].update_many({}, {"$set": {"at": old}})
    line = audit(sluice, status=1)["vendors-000001"]
    assert not line["ok"] and "ledger_deadline" in line["note"]


def test_a_run_that_failed_counts_until_a_full_one_has_read_its_rows_again(sim, workspace):
    sluice = packages(sim, workspace)
    assert sluice.stop() == 0
    workspace.state["runs"].update_one({}, {"$set": {"state": "failed"}})
    workspace.state["ledger"].delete_many({})
    assert not audit(sluice, status=1)["vendors-000001"]["ok"]
    run = workspace.state["runs"].find_one()
    run.update(_id="vendors-000002", number=2, state="done", full=True, entities=[])
    workspace.state["runs"].insert_one(run)
    # Done with an error: it did not bring all.
    workspace.state["runs"].update_one({"number": 2}, {"$set": {"error": "changes only"}})
    assert not audit(sluice, status=1)["vendors-000001"]["ok"]
    workspace.state["runs"].update_one({"number": 2}, {"$set": {"error": ""}})
    for options in ({}, {"run": "vendors-000001"}):
        line = audit(sluice, **options)["vendors-000001"]
        assert line["ok"] and "read its rows again" in line["note"]


def test_a_run_that_was_never_done_is_not_excused_by_its_age(sim, workspace):
    sluice = packages(sim, workspace)
    assert sluice.stop() == 0
    workspace.state["ledger"].delete_many({})
    for state in ("published", "failed"):
        workspace.state["runs"].update_one({}, {"$set": {
            "state": state, "created_at": ago(days=40), "state_at": ago(days=39)}})
        line = audit(sluice, status=1)["vendors-000001"]
        assert line["unaccounted"] == 300 and not line["ok"] and "forgotten" not in line["note"]


def test_runs_of_a_killed_process_are_told(sim, workspace):
    scene = Tables(sim, workspace, {"account": 150}, run_span="1h")
    sluice = scene.sluice()
    scene.wait_followed()
    sim.dataverse("change", table="account", count=20)

    def cut_off():
        return [name for name, line in audit(sluice).items()
                if line["state"] == "streaming" and line["applied"] >= 20]

    wait_until(cut_off, 20, "a run under way")
    sluice.kill()
    [name] = cut_off()
    check_sums(audit(sluice))
    sluice.config["feeds"]["account"]["run_span"] = "300ms"  # what it reads again is a run, too
    sluice.write_config()
    sluice.start(30)
    scene.check_nothing_lost()
    wait_until(lambda: audit(sluice)[name]["state"] == "abandoned", 20, "its successor's word")
    line = audit(sluice)[name]
    assert line["ok"] and line["unaccounted"] == 0 and line["applied"] >= 20
    # Killed even sooner, a run is in the ledger alone.
    workspace.state["runs"].delete_one({"_id": name})
    workspace.state["ledger"].update_many({"_id.run": name}, {"$set": {"at": ago(hours=2)}})
    line = audit(sluice)[name]
    assert (line["state"], line["journaled"], line["ok"]) == ("left", False, True)
    assert line["feed"] == "account" and line["unaccounted"] == 0
    check_sums(audit(sluice))


def test_the_books_of_tables_and_posts_are_added_up_too(sim, workspace):
    scene = Tables(sim, workspace, {"account": 120, "contact": 60})
    config = scene.config()
    listen = f"127.0.0.1:{free_port()}"
    config["sources"]["posts"] = {"type": "ingest", "token": "posting", "listen": listen}
    config["feeds"]["orders"] = {"source": "posts", "collection": "orders", "key": "id",
                                 "run_span": "300ms"}
    sluice = workspace.sluice(config, ready_timeout_s=30)
    scene.wait_followed()
    sim.dataverse("change", table="account", count=30)
    request = urllib.request.Request(
        f"http://{listen}/ingest/orders", json.dumps([{"id": i, "n": i} for i in range(25)])
        .encode(), {"Content-Type": "application/json", "Authorization": "Bearer posting"})
    with urllib.request.urlopen(request, timeout=20) as response:
        assert response.status == 202

    def settled():
        lines = audit(sluice)
        by_feed = dict.fromkeys(("account", "contact", "orders"), 0)
        for line in lines.values():
            by_feed[line["feed"]] += line["applied"]
        return lines if all(line["state"] == "done" for line in lines.values()) and \
            by_feed["account"] >= 150 and by_feed["contact"] >= 60 and by_feed["orders"] == 25 else None
    check_sums(wait_until(settled, 30, "the rows of all, in runs that are done"))
    assert {line["feed"] for line in audit(sluice, "orders").values()} == {"orders"}
