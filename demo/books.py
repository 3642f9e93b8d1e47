"""What sluice wrote down about its own work: the journal of runs, the ledger, the dead letters."""

import dataclasses

import data


@dataclasses.dataclass
class Books:
    runs: int
    read: int
    applied: int
    stale: int
    superseded: int
    dead: int
    letters: int  # documents in `dead`

    @property
    def balanced(self):
        accounted = self.applied + self.stale + self.superseded + self.dead
        return self.read == accounted and self.letters == self.dead


def read(state):
    """Adds up the newest attempt of every run."""
    journal = list(state["runs"].find({}, {"attempt": 1, "entities": 1}))
    entities = [entity for run in journal for entity in run["entities"]]
    attempts = {(run["_id"], run["attempt"]) for run in journal}
    ledger = state["ledger"].aggregate([{"$group": {
        "_id": {"run": "$_id.run", "attempt": "$_id.attempt"},
        **{name: {"$sum": f"${name}"} for name in ("applied", "stale", "dead")}}}])
    sums = [one for one in ledger if (one["_id"]["run"], one["_id"]["attempt"]) in attempts]

    def total(rows, name):
        return sum(row[name] for row in rows)

    return Books(
        runs=len(journal),
        read=total(entities, "read"),
        applied=total(sums, "applied"),
        stale=total(sums, "stale"),
        superseded=total(entities, "superseded"),
        # Those found while reading are in the journal, those that MongoDB refused in the ledger.
        dead=total(entities, "dead") + total(sums, "dead"),
        letters=state["dead"].count_documents({}))


def runs_done(state, since=None):
    """True when every feed has finished a run; with since (a datetime): one begun after that.

    The runs of a feed follow one another, so nothing older is open then.
    """
    begun = {"created_at": {"$gt": since}} if since else {}
    return all(state["runs"].find_one({"feed": entity.feed, "state": "done", **begun})
               for entity in data.ENTITIES)


def failures(state):
    """Messages of runs that failed."""
    return [f"{run['_id']}: {run['error']}" for run in state["runs"].find({"state": "failed"})]


def table_done(state, read):
    """True when so many rows of the Dataverse table stand in runs, and all of these are done."""
    runs = list(state["runs"].find({"feed": data.ACCOUNTS}))
    journaled = sum(entity["read"] for run in runs for entity in run["entities"])
    return journaled >= read and all(run["state"] != "published" for run in runs)


def letters(state, limit):
    """Some dead letters, oldest first."""
    return list(state["dead"].find().sort("at", 1).limit(limit))
