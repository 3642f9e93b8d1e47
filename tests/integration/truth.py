"""The independent reader: what MongoDB should hold, from the simulator's own words.

The simulator's truth is text, cell by cell; the types come from the simulator's columns. Nothing of
sluice takes part.
"""

import datetime

from bson import Decimal128, Int64

from feeds import VENDORS, types_of

CONVERT = {
    "int": Int64,
    "decimal": Decimal128,
    "double": float,
    "bool": {"Yes": True, "No": False}.__getitem__,
    "date": datetime.datetime.fromisoformat,  # without a zone: UTC, which is how pymongo reads it
}


def typed(fields, types):
    """The document of a row: an empty cell of a column that is not a string is absent."""
    return {name: CONVERT[types[name]](cell) if name in types else cell
            for name, cell in fields.items() if cell or name not in types}


def documents(sim, label=VENDORS, company="USMF", project=None):
    """{_id: document} of every record that is not spoilt on purpose."""
    types = types_of(sim, label)
    options = {"project": project} if project else {}
    return {record["key"]: typed(record["fields"], types)
            for record in sim.truth(label, company, **options) if "bad" not in record}


def spoilt(sim, project, label=VENDORS, company="USMF"):
    """{index from 0: record} of the records that are spoilt on purpose for this project."""
    records = enumerate(sim.truth(label, company, project=project))
    return {index: record for index, record in records if "bad" in record}


def exactly(document, ordered=True):
    """Names, order, values and types: Python holds 1, 1.0 and True for equal."""
    members = document.items() if ordered else sorted(document.items())
    return [(name, type(value), value) for name, value in members]


def differences(collection, expected, query=None, ordered=True, shown=5):
    """What is wrong with the collection, or with what a query finds of it, a sentence each; an empty
    list when it is right. Without ordered the columns may stand in any order."""
    found = {one.pop("_id"): one for one in collection.find(query)}
    wrong = [f"{key} is missing" for key in expected.keys() - found.keys()]
    wrong += [f"{key} was invented" for key in found.keys() - expected.keys()]
    for key in expected.keys() & found.keys():
        found[key].pop("_sluice", None)
        have, want = exactly(found[key], ordered), exactly(expected[key], ordered)
        if have != want:
            pair = next((pair for pair in zip(have, want) if pair[0] != pair[1]), (have, want))
            wrong.append(f"{key} has {pair[0]}, wants {pair[1]}")
    return sorted(wrong)[:shown]
