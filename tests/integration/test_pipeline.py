"""The way of the data: from an export package through RabbitMQ into MongoDB, and nothing else."""

import datetime

from bson import Int64

from books import check_all, check_run
from feeds import (CUSTOMERS, PRODUCTS, VENDORS, add_records, begin, change_records, configure,
                   entity, feed, make_project, runs, wait_fresh_run, wait_run)
from truth import differences, documents


def now():
    return datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)


def test_a_full_package_and_then_increments_arrive_field_by_field(sim, workspace):
    began = now()
    sluice = begin(workspace, sim, 1500)
    first = wait_run(sluice, workspace)
    assert differences(workspace.db["vendors"], documents(sim)) == []
    assert check_run(workspace, first)["applied"] == 1500

    changed = change_records(sim, 40)
    add_records(sim, 10)
    wait_fresh_run(sluice, workspace)
    assert differences(workspace.db["vendors"], documents(sim)) == []
    increments = runs(workspace, number={"$gt": 1}, state="done")
    assert sum(check_run(workspace, run)["read"] for run in increments) == 50

    again = {one["_id"]: one["_sluice"] for one in workspace.db["vendors"].find()}
    untouched = [key for key in again if again[key]["run"] == "vendors-000001"]
    assert len(untouched) == 1500 - 40 and not set(untouched) & set(changed)
    for mark in again.values():
        assert type(mark["v"]) is Int64 and mark["feed"] == "vendors"
        assert began.replace(microsecond=0) <= mark["at"] <= now()
    newest = max(mark["v"] for mark in again.values() if mark["run"] == "vendors-000001")
    assert all(again[key]["v"] > newest for key in changed)
    assert sluice.stop() == 0


def test_runs_that_are_not_the_newest_are_forgotten_with_their_ledger(sim, workspace):
    sluice = begin(workspace, sim, 10)
    wait_run(sluice, workspace, 3)
    assert sluice.stop() == 0
    *older, newest = runs(workspace)
    assert "expires_at" not in newest
    for run in older:
        assert datetime.timedelta(days=29) < run["expires_at"] - now() <= datetime.timedelta(days=30)


def test_every_entity_of_a_package_goes_to_its_own_collection(sim, workspace):
    places = {VENDORS: "vendors", CUSTOMERS: "customers", PRODUCTS: "products"}
    counts = {VENDORS: 300, CUSTOMERS: 500, PRODUCTS: 200}
    for label, count in counts.items():
        add_records(sim, count, label)
    make_project(sim, "All", places)
    one = feed(sim, "All", entities={label: entity(sim, label, collection)
                                     for label, collection in places.items()})
    sluice = workspace.sluice(configure(workspace, sim, {"all": one}))
    run = wait_run(sluice, workspace, feed_name="all")
    for label, collection in places.items():
        assert differences(workspace.db[collection], documents(sim, label)) == []
    assert {one["name"]: one["read"] for one in run["entities"]} == \
        {label.replace(" ", ""): count for label, count in counts.items()}
    change_records(sim, 5, PRODUCTS)
    wait_fresh_run(sluice, workspace, "all")
    assert differences(workspace.db["products"], documents(sim, PRODUCTS)) == []
    assert check_all(workspace) >= 2


def test_two_companies_share_one_collection(sim, workspace):
    feeds = {}
    for company in ("USMF", "DEMF"):
        add_records(sim, 400, company=company)
        make_project(sim, company, company=company)
        feeds[company.lower()] = feed(sim, company, company=company)
    sluice = workspace.sluice(configure(workspace, sim, feeds))
    for name in feeds:
        wait_run(sluice, workspace, feed_name=name)
    change_records(sim, 30, company="DEMF")
    wait_fresh_run(sluice, workspace, "demf")

    expected = documents(sim) | documents(sim, company="DEMF")
    assert len(expected) == 800
    assert differences(workspace.db["vendors"], expected) == []
    for name in feeds:
        of_feed = workspace.db["vendors"].find({"_sluice.feed": name})
        assert {one["_id"].split("|")[0] for one in of_feed} == {name}
    # One counter serves the collection: no version was given twice.
    versions = [one["_sluice"]["v"] for one in workspace.db["vendors"].find()]
    assert len(set(versions)) == 800
    assert check_all(workspace) >= 3


def test_several_feeds_run_at_the_same_time(sim, workspace):
    places = {VENDORS: "vendors", CUSTOMERS: "customers", PRODUCTS: "products"}
    sim.post("switches", {"export_ms": 700})
    for label, name in places.items():
        add_records(sim, 300, label)
        make_project(sim, name, [label])
    feeds = {name: feed(sim, name, label, name) for label, name in places.items()}
    sluice = workspace.sluice(configure(workspace, sim, feeds))
    sluice.wait_for(lambda: sim.get("stats")["jobs_running"] == 3, 20, "three exports side by side")
    for label, name in places.items():
        wait_run(sluice, workspace, feed_name=name)
        assert differences(workspace.db[name], documents(sim, label)) == []
    check_all(workspace)


def test_runs_into_one_collection_take_their_snapshots_one_after_the_other(sim, workspace):
    sim.post("switches", {"export_ms": 300})
    feeds = {}
    for number in range(3):
        make_project(sim, f"P{number}")
        feeds[f"f{number}"] = feed(sim, f"P{number}")
    add_records(sim, 50)
    sluice = workspace.sluice(configure(workspace, sim, feeds))
    most = 0

    def all_have_run():
        nonlocal most
        most = max(most, sim.get("stats")["jobs_running"])
        return workspace.state["runs"].count_documents({"state": "done"}) >= 6
    sluice.wait_for(all_have_run, 60, "six runs")
    assert most == 1
    assert differences(workspace.db["vendors"], documents(sim)) == []
    counters = [run["entities"][0]["counter"] for run in workspace.state["runs"].find()
                if run["state"] != "planned"]
    assert len(set(counters)) == len(counters)
    check_all(workspace)


def test_rows_that_a_newer_package_overtook_are_stale(sim, workspace):
    """Two processes read, a third one writes; the package that was read first arrives last."""
    add_records(sim, 300)
    for name in ("Slow", "Quick"):
        make_project(sim, name)
    feeds = {"slow": feed(sim, "Slow", every="1h"), "quick": feed(sim, "Quick", every="1h")}
    workspace.sluice(configure(workspace, sim, feeds, role="apply"), "apply")
    sim.post("switches", {"project": "Slow", "blob_503_next": -1})
    slow = workspace.sluice(
        configure(workspace, sim, {"slow": feeds["slow"]}, role="ingest"), "ingest-slow")
    slow.wait_for(lambda: runs(workspace, "slow", state="streaming"), 30, "the slow one's download")
    change_records(sim, 300)
    quick = workspace.sluice(
        configure(workspace, sim, {"quick": feeds["quick"]}, role="ingest"), "ingest-quick")
    wait_run(quick, workspace, feed_name="quick")
    sim.post("switches", {"project": "Slow", "blob_503_next": 0})
    assert check_run(workspace, wait_run(slow, workspace, feed_name="slow"))["stale"] > 0
    assert differences(workspace.db["vendors"], documents(sim)) == []
