"""The documents as they must be in the end, made from the simulator's truth by Python alone.

One file of BSON documents: bench-limit writes them, and all systems' results are compared with
them, byte for byte. Nothing of sluice takes part.
"""

import dataclasses
import datetime
import functools
import hashlib

import bson
from bson import Decimal128, Int64

from servers import build_dir
from stage import CACHE, COMPANY, FEED, LABEL, SEED

RUN = f"{FEED}-000001"
META = b"\x03_sluice\x00"  # how the element _sluice begins in BSON
SHOWN = 3
STRETCH = 1000  # rows, of which the last one tells of all
OLD = {"StatusCode": "as it was before"}  # what no record of the simulator is
AT = datetime.datetime(2026, 11, 22)

_CONVERT = {
    "int": Int64,
    "decimal": Decimal128,
    "double": float,
    "bool": {"Yes": True, "No": False}.__getitem__,
    "date": datetime.datetime.fromisoformat,  # without a zone: UTC, which is how bson takes it
}


def prepare(stage, rows):
    """The file for so many rows; made only when the cache has none of the same data."""
    simulator = hashlib.sha256((build_dir() / "src/sluice-sim").read_bytes()).hexdigest()[:12]
    path = CACHE / f"documents-{rows}-{SEED}-{simulator}.bson"
    if path.exists():
        return path
    for old in CACHE.glob(f"documents-{rows}-*"):
        old.unlink()
    stage.say(f"preparing {rows:,} documents (kept, too)")
    unfinished = path.with_suffix(".part")
    with open(unfinished, "wb") as out:
        for number, record in enumerate(stage.sim.truth(LABEL, COMPANY)):
            out.write(document(record, stage.types, number))
    unfinished.rename(path)
    return path


def older(stage, documents):
    """The file of the same documents in an older state, of versions that every load exceeds."""
    path = documents.with_name(documents.name.replace("documents", "older"))
    if path.exists():
        return path
    for old in CACHE.glob(f"older-{documents.name.split('-')[1]}-*"):
        old.unlink()
    stage.say("preparing the same in an older state (kept, too)")
    unfinished = path.with_suffix(".part")
    with open(unfinished, "wb") as out:
        for number, one in enumerate(_split(documents.read_bytes())):
            fields = {**bson.decode(one), **OLD}
            fields["_sluice"]["v"] = Int64(number)
            out.write(bson.encode(fields))
    unfinished.rename(path)
    return path


def stretch_ends(documents):
    """_id of the last document of each stretch."""
    ids = [_id_of(one) for one in _split(documents.read_bytes())]
    return [ids[min(at + STRETCH, len(ids)) - 1] for at in range(0, len(ids), STRETCH)]


def document(record, types, number):
    """A record of the truth as the BSON document that must come of it."""
    fields = {name: _CONVERT[types[name]](cell) if name in types else cell
              for name, cell in record["fields"].items() if cell or name not in types}
    meta = {"v": Int64((1 << 24) + number), "feed": FEED, "run": RUN, "at": AT}
    return bson.encode({"_id": record["key"], **fields, "_sluice": meta})


@dataclasses.dataclass
class Verdict:
    rows: int
    missing: int = 0
    different: int = 0
    invented: int = 0
    examples: list = dataclasses.field(default_factory=list)

    @property
    def good(self):
        return not (self.missing or self.different or self.invented)

    def __str__(self):
        if self.good:
            return f"all {self.rows:,} that were compared are right"
        told = "".join(f"\n    {example}" for example in self.examples)
        return (f"of {self.rows:,} documents {self.missing:,} are missing and {self.different:,} "
                f"differ; {self.invented:,} should not be there{told}")


def verify(collection, path, exact=True, cell=None):
    """Compares every document with the file: _id, columns, their types and, when exact, their order and
    that _sluice is there. cell tells what a system that is not exact makes of a text."""
    expected = dict(_expected(path, exact, cell))
    verdict = Verdict(len(expected))
    _compare(collection.find_raw_batches({}, batch_size=5000), expected, verdict,
             _content if exact else _fields)
    return verdict


@functools.cache
def _expected(path, exact, cell):
    """{_id: hash}; every round asks for the same."""
    return {_id_of(one): _content(one) if exact else _fields(one, cell)
            for one in _split(path.read_bytes())}


def verify_sample(stage, rows, exact=True, cell=None, stretches=20, length=500):
    """As verify, for stretches of the table, its ends among them; the count is that of all."""
    content = _content if exact else _fields
    verdict = Verdict(0)
    verdict.invented = max(stage.documents.count_documents({}) - rows, 0)
    starts = {max(rows - length, 0) * part // (stretches - 1) for part in range(stretches)}
    for start in sorted(starts):
        records = stage.sim.truth(LABEL, COMPANY, **{"from": start, "limit": length})
        wanted = (document(record, stage.types, 0) for record in records)
        expected = {_id_of(one): _content(one) if exact else _fields(one, cell) for one in wanted}
        verdict.rows += len(expected)
        _compare(stage.documents.find_raw_batches({"_id": {"$in": list(expected)}}), expected,
                 verdict, content)
    return verdict


def verify_rows(collection, documents, exact):
    """As verify, with documents that are at hand, without _sluice."""
    content = _content if exact else _fields
    expected = {one["_id"]: content(bson.encode({**one, "_sluice": {}})) for one in documents}
    verdict = Verdict(len(expected))
    _compare(collection.find_raw_batches({}), expected, verdict, content)
    return verdict


def _compare(batches, expected, verdict, content):
    """Takes what is there out of expected; what is left is missing."""
    for one in (one for batch in batches for one in _split(batch)):
        key = _id_of(one)
        wanted = expected.pop(key, None)
        if wanted is None:
            verdict.invented += 1
            verdict.examples.append(f"{key!r} should not be there, or not twice")
        elif wanted != content(one) or not wanted:
            verdict.different += 1
            verdict.examples.append(f"{key!r} differs: {bson.decode(one)!r}")
    verdict.missing += len(expected)
    verdict.examples += [f"{key!r} is missing" for key in list(expected)[:SHOWN]]
    del verdict.examples[SHOWN:]


def _split(data):
    """The documents of a run of them."""
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at:at + 4], "little")
        yield data[at:at + length]
        at += length


def _id_of(one):
    """The text of _id, which MongoDB always keeps first: after the lengths, a type and a name."""
    length = int.from_bytes(one[9:13], "little")
    return one[13:12 + length].decode()


def _content(one):
    """A hash of everything but _sluice; None, which equals nothing, when that is not the last."""
    at = one.rfind(META)
    length = int.from_bytes(one[at + len(META):][:4], "little")
    if at < 0 or at + len(META) + length + 1 != len(one):
        return None
    return hashlib.blake2b(one[4:at], digest_size=16).digest()


def _fields(one, cell=None):
    """A hash of the columns with their types, in whatever order they stand; without _sluice."""
    fields = bson.decode(one)
    fields.pop("_sluice", None)
    if cell:
        fields = {name: cell(value) if isinstance(value, str) else value
                  for name, value in fields.items()}
    return hashlib.blake2b(bson.encode(dict(sorted(fields.items()))), digest_size=16).digest()
