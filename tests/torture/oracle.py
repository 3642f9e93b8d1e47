"""The oracle: compares what the sources know to be true with what MongoDB holds.

The truth of a collection is {_id: Row}. Nothing of sluice takes part, but its own books, which must
balance.
"""

import dataclasses

import books
from truth import exactly
from verdict import Finding


@dataclasses.dataclass(frozen=True)
class Row:
    """What a row must be. version is what `stored_version` of its truth reads from a document; None
    where nobody knows (of a deletion that took its version from sluice)."""

    version: object = None
    fields: dict = None
    deleted: bool = False


@dataclasses.dataclass(frozen=True)
class Truth:
    """Of one collection. column names the field by which a document's version is told; without it
    that is _sluice.v. ordered: the columns stand in the order of the source."""

    collection: str
    rows: dict
    column: str = None
    ordered: bool = False

    def stored_version(self, document):
        return document.get(self.column) if self.column else document["_sluice"].get("v")


def compare(database, truth):
    """The findings of one collection."""
    found = {one["_id"]: one for one in database[truth.collection].find()}
    problems = []
    for key, row in truth.rows.items():
        problem = _compare_row(truth, key, row, found.pop(key, None))
        if problem:
            problems.append(Finding(problem[0], truth.collection, key, *problem[1:]))
    problems += [Finding("wrong", truth.collection, key, truth.stored_version(document), None,
                         "was invented")
                 for key, document in found.items() if "deleted" not in document.get("_sluice", {})]
    return problems


def _compare_row(truth, key, row, document):
    """(kind, version stored, version true, note) of what is wrong with a document, or None."""
    if document is None:
        return None if row.deleted else ("lost", None, row.version, "is missing")
    stored = truth.stored_version(document)
    if "deleted" in document.get("_sluice", {}):
        if not row.deleted:
            return "lost", document["_sluice"]["v"], row.version, "is a tombstone"
        if set(document) != {"_id", "_sluice"}:
            return "wrong", stored, row.version, "is a tombstone that holds more than its key"
        return None
    if row.deleted:
        return "resurrected", stored, row.version, "lives, and was deleted"
    if stored != row.version:
        try:
            kind = "lost" if stored < row.version else "wrong"
        except TypeError:
            kind = "wrong"
        return kind, stored, row.version, "has another version"
    content = {name: value for name, value in document.items() if name not in ("_id", "_sluice")}
    have, want = exactly(content, truth.ordered), exactly(row.fields, truth.ordered)
    if have == want:
        return None
    pair = next((pair for pair in zip(have, want) if pair[0] != pair[1]), (len(have), len(want)))
    return "wrong", stored, row.version, f"has {pair[0]}, wants {pair[1]}"


class Books:
    """What sluice wrote down about its own work, in the state database.

    posted: feeds that rows are posted to. Their runs have no successor: one that was streaming when its
    process was killed is abandoned after an hour, for which nobody waits here; what was promised of
    its rows is known to the client that posted them.
    """

    def __init__(self, state, posted=()):
        self.state, self.posted = state, posted

    def open_runs(self, before):
        """Runs begun before a time, and not over. An abandoned one is: what was not confirmed of it is
        read again, in a run of its own."""
        runs = self.state["runs"].find({"created_at": {"$lt": before},
                                        "state": {"$nin": ["done", "failed", "abandoned"]}})
        return [run for run in runs
                if run["state"] != "streaming" or run["feed"] not in self.posted]

    def findings(self, before):
        """Of the runs that began before a time: done with sums that agree, or failed and followed by one
        that is done."""
        if self.state["runs"].estimated_document_count() > 1000:  # each is looked up in both
            for name in ("ledger", "dead"):
                self.state[name].create_index("_id.run")
        problems = [Finding("unaccounted", run["feed"], run["_id"], run["state"], "done",
                            run.get("error") or "is not done") for run in self.open_runs(before)]
        done, checked = {}, set()
        for run in self.state["runs"].find({"state": "done"}):
            checked.add((run["_id"], run["attempt"]))
            done[run["feed"]] = max(done.get(run["feed"], -1), run["number"])
            try:
                books.check_run(self, run, replayed=True)
            except AssertionError as error:
                problems.append(Finding("unaccounted", run["feed"], run["_id"], "done", "done",
                                        str(error).partition("\n")[0]))
        for run in self.state["runs"].find({"state": "failed", "created_at": {"$lt": before}}):
            if done.get(run["feed"], -1) < run["number"]:
                problems.append(Finding("unaccounted", run["feed"], run["_id"], "failed", "done",
                                        f"failed and was not followed: {run.get('error')}"))
        return problems + self._torn_batches(checked)

    def _torn_batches(self, checked):
        """Entries of the ledger that do not add up, but of those runs and attempts."""
        torn = self.state["ledger"].find({"$expr": {"$or": [
            {"$ne": ["$rows", {"$add": ["$applied", "$stale", "$dead"]}]},
            {"$ne": ["$read", {"$add": ["$rows", "$superseded"]}]}]}})
        return [Finding("unaccounted", entry["_id"]["entity"], entry["_id"]["run"], entry["rows"],
                        entry["read"], f"batch {entry['_id']['batch']} does not add up")
                for entry in torn
                if (entry["_id"]["run"], entry["_id"]["attempt"]) not in checked]


def check_returns(returns, deletions):
    """Documents that were deleted and came back: the source must have deleted the row between the two
    versions. returns: (collection, _id, version when it last lived, version with which it came back);
    deletions: {(collection, _id): [versions]}."""
    return [Finding("resurrected", collection, key, version, lived, "came back, and nobody had deleted it "
                    "between these versions")
            for collection, key, lived, version in returns
            if not any((lived or -1) < deletion < version
                       for deletion in deletions.get((collection, key), []))]
