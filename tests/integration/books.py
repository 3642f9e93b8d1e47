"""Checks what sluice wrote down about its own work: journal, ledger, dead letters."""

COUNTS = ("read", "rows", "applied", "stale", "dead", "superseded")


def entries(workspace, run):
    """The ledger of a run's last attempt: {entity: [entry, ...]}, in the order of the batches."""
    query = {"_id.run": run["_id"], "_id.attempt": run["attempt"]}
    found = {}
    for entry in workspace.state["ledger"].find(query).sort("_id.batch", 1):
        found.setdefault(entry["_id"]["entity"], []).append(entry)
    return found


def sums(workspace, run):
    """{count: number} over all entities: read and superseded of the journal, dead of both books."""
    ledger = [entry for batches in entries(workspace, run).values() for entry in batches]
    total = {name: sum(entry[name] for entry in ledger) for name in COUNTS}
    total["read"] = sum(one["read"] for one in run["entities"])
    total["dead"] += sum(one["dead"] for one in run["entities"])
    return total


def check_run(workspace, run, replayed=False):
    """Asserts that a finished run's books balance, entity by entity; gives its sums. replayed: letters of
    rows that MongoDB refused may be gone."""
    assert run["state"] == "done", run
    ledger = entries(workspace, run)
    for entity in run["entities"]:
        batches = ledger.pop(entity["name"], [])
        assert [entry["_id"]["batch"] for entry in batches] == list(range(entity["batches"]))
        ends = not run["feed"].startswith("replay:")  # a replay does not know its last batch
        assert [entry["last"] for entry in batches] == [False] * (len(batches) - ends) + \
            [True] * (ends and bool(batches))
        for entry in batches:
            assert entry["rows"] == entry["applied"] + entry["stale"] + entry["dead"], entry
            assert entry["read"] == entry["rows"] + entry["superseded"], entry
        booked = {name: sum(entry[name] for entry in batches) for name in COUNTS}
        assert booked["superseded"] == entity["superseded"]
        assert entity["read"] == booked["read"] + entity["dead"], entity
    assert not ledger, f"the ledger knows entities that the run does not: {ledger}"
    total = sums(workspace, run)
    assert total["read"] == (total["applied"] + total["stale"] + total["superseded"]
                             + total["dead"]), total
    found = sum(one["dead"] for one in run["entities"])  # by the source; these are not replayed
    of_source = {"_id.run": run["_id"], "code": {"$ne": "refused"}}
    letters = workspace.state["dead"].count_documents(of_source if replayed else
                                                      {"_id.run": run["_id"]})
    wanted = found if replayed else total["dead"]
    assert letters == wanted, f"{letters} letters, {wanted} dead rows"
    return total


def check_all(workspace):
    """check_run of every run that is done; gives how many there are."""
    done = list(workspace.state["runs"].find({"state": "done"}))
    for run in done:
        check_run(workspace, run)
    return len(done)


def unknown_runs(workspace):
    """Runs in the ledger that the journal does not know."""
    return sorted(set(workspace.state["ledger"].distinct("_id.run"))
                  - set(workspace.state["runs"].distinct("_id")))


def letters(workspace, **query):
    """The dead letters, in the order of their lines."""
    return list(workspace.state["dead"].find(query).sort([("line", 1), ("_id", 1)]))
