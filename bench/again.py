"""Loads over documents that are there already: each row is stored before, in an older state and of an older version, so
that each has to be written again, and the guard decides about every one.
"""

from bson import Int64

from prepared import OLD, older, stretch_ends
from report import AGAIN
from servers import ServerError
from stage import COLLECTION, DATABASE
from systems import LimitSystem

LOOK_AT = 10  # ends of stretches that are asked for at once


class Again:
    """A system, on a collection that is filled before the clock starts."""

    def __init__(self, system):
        self.system, self.name = system, system.name + AGAIN
        self.exact, self.cell = system.exact, system.cell

    def round(self, stage, rows, documents, tell=None):
        fill(stage, rows, documents)
        stage.renewed = Renewed(stage.documents, rows, documents)
        return self.system.round(stage, rows, documents, tell)


def fill(stage, rows, documents):
    """The same for every system: what an earlier load by sluice would leave, its index and its counter of versions
    included. Nothing of it is left to be written when it ends."""
    stage.documents.create_index("_sluice.expires_at", name="sluice_tombstones", expireAfterSeconds=0, sparse=True)
    stage.state["counters"].insert_one({"_id": f"{DATABASE}.{COLLECTION}", "value": Int64(0)})
    LimitSystem(2, "insert").round(stage, rows, older(stage, documents))
    stage.client.admin.command("fsync")
    old = stage.documents.count_documents(OLD)
    if old != rows:
        raise ServerError(f"{old:,} of {rows:,} older documents are there")


class Renewed:
    """How many rows have been written again, told by the last one of each thousand, which is the last of a message of the
    pipeline's, too. Those that were seen are not asked for again, so a look costs next to nothing."""

    def __init__(self, collection, rows, documents):
        self.collection, self.rows = collection, rows
        self.waiting = stretch_ends(documents)
        self.all = len(self.waiting)

    def __call__(self):
        while self.waiting:
            asked = self.waiting[:LOOK_AT]
            old = {one["_id"] for one in self.collection.find({"_id": {"$in": asked}, **OLD}, {"_id": 1})}
            self.waiting = [*(one for one in asked if one in old), *self.waiting[LOOK_AT:]]
            if old:
                break
        return self.rows * (self.all - len(self.waiting)) // self.all
