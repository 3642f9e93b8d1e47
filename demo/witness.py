"""The independent reader: compares every document with what the simulator says the record is.

Nothing of sluice is used. Of a data project the simulator's truth is text, cell by cell; the types
are those that the simulator gives its columns, so a column that the configuration forgot shows as a
difference. Of a table the truth has its types with it, and tells which rows were deleted.
"""

import dataclasses
import datetime
import itertools
import json

from bson import Decimal128, Int64
from bson.json_util import CANONICAL_JSON_OPTIONS, loads

import data

CHUNK = 1000
LIVE = {"_sluice.deleted": {"$exists": False}}
SHOWN = 3  # differences told in full
_READ = CANONICAL_JSON_OPTIONS.with_options(tz_aware=False)

_CONVERT = {
    "int": Int64,
    "decimal": Decimal128,
    "double": float,
    "bool": {"Yes": True, "No": False}.__getitem__,
    "date": datetime.datetime.fromisoformat,  # without a zone: UTC, which is how pymongo reads it
}


@dataclasses.dataclass
class Verdict:
    records: int = 0    # in the simulator, those deleted left out
    deleted: int = 0    # there once: a tombstone, or nothing, must be in MongoDB
    bad: int = 0        # spoilt on purpose: they must have a dead letter
    missing: int = 0
    different: int = 0
    unburied: int = 0   # spoilt and without a dead letter
    invented: int = 0   # documents that no record stands for, or no longer
    examples: list = dataclasses.field(default_factory=list)

    @property
    def lost(self):
        return self.missing + self.different + self.unburied

    def note(self, text):
        if len(self.examples) < SHOWN:
            self.examples.append(text)


def compare(world):
    """Reads every record and every document once. Nothing may change meanwhile."""
    verdict = Verdict()
    columns = world.sim.get("entities")
    for entity in data.ENTITIES:
        types = columns[entity.label]["columns"]
        convert = {name: _CONVERT[kind] for name, kind in types.items() if kind != "string"}
        _compare_entity(world, entity, convert, verdict)
    _compare_table(world, verdict)
    return verdict


def _compare_entity(world, entity, convert, verdict):
    collection = world.documents[entity.feed]
    truth = world.sim.truth(entity.label, data.COMPANY, project=entity.project)
    found = bad = 0
    while chunk := list(itertools.islice(truth, CHUNK)):
        keys = [record["key"] for record in chunk]
        documents = {one["_id"]: one for one in collection.find({"_id": {"$in": keys}})}
        found += len(documents)
        for record in chunk:
            verdict.records += 1
            if "bad" in record:
                bad += 1
            else:
                _compare_record(record, documents.get(record["key"]), convert, verdict)
    verdict.bad += bad
    verdict.invented += collection.count_documents({}) - found
    buried = world.state["dead"].count_documents({"_id.run": f"{entity.feed}-000001"})
    verdict.unburied += max(bad - buried, 0)


def table_is_level(world):
    """A quick look: the table's living rows are there in their newest version, and no others."""
    rows = map(json.loads, world.sim.lines(f"dv/truth?table={data.TABLE}&fields=0"))
    wanted = {row["id"]: 2 * row["versionnumber"] for row in rows if "deleted" not in row}
    found = world.documents[data.ACCOUNTS].find(LIVE, {"_sluice.v": 1})
    return {one["_id"]: one["_sluice"]["v"] for one in found} == wanted


def _compare_table(world, verdict):
    collection = world.documents[data.ACCOUNTS]
    documents = {one["_id"]: one for one in collection.find(LIVE)}
    for line in world.sim.lines(f"dv/truth?table={data.TABLE}"):
        row = loads(line, json_options=_READ)
        if row.get("deleted"):
            verdict.deleted += 1
            continue
        verdict.records += 1
        _compare_fields(row["id"], documents.pop(row["id"], None), row["fields"], sorted, verdict)
    verdict.invented += len(documents)
    for key in documents:
        verdict.note(f"{key} is in MongoDB and not in Dynamics 365")


def _compare_record(record, document, convert, verdict):
    expected = _expected(record["fields"], convert)
    _compare_fields(record["key"], document, expected, list, verdict)


def _compare_fields(key, document, expected, order, verdict):
    """order is list when the columns must stand in theirs, else sorted."""
    if document is None:
        verdict.missing += 1
        verdict.note(f"{key} is in Dynamics 365 and not in MongoDB")
        return
    document.pop("_id")
    document.pop("_sluice", None)
    if _all_exactly(document, order) != _all_exactly(expected, order):
        verdict.different += 1
        names = [name for name in {**expected, **document}
                 if _exactly((name, expected.get(name))) != _exactly((name, document.get(name)))]
        name = names[0] if names else "the order of the columns"
        verdict.note(f"{key}: {name} is {document.get(name)!r}, it should be {expected.get(name)!r}")


def _all_exactly(document, order):
    return [_exactly(item) for item in order(document.items())]


def _exactly(item):
    """Name, value and type: Python holds 1, 1.0 and True for equal."""
    return item[0], item[1], type(item[1])


def _expected(fields, convert):
    """The document of a record: an empty cell of a column that is not a string is absent."""
    return {name: convert[name](cell) if name in convert else cell
            for name, cell in fields.items() if cell or name not in convert}
