"""What MongoDB's own log says ever happened to a document: versions must never fall."""

import bson

END = "end_of_history"  # a collection of our own


def keep_history(database, *collections):
    """Makes the collections such that MongoDB keeps what each change made of a document.

    Gives the time from which falls() is to look.
    """
    for collection in collections:
        database.create_collection(collection, changeStreamPreAndPostImages={"enabled": True})
    return database.client.admin.command("hello")["operationTime"]


def falls(database, since):
    """A sentence for each document whose version ever fell, whose content changed within one
    version, or that was deleted, from since until now."""
    end = bson.ObjectId()
    database[END].insert_one({"_id": end})
    seen, problems = {}, []
    with database.watch(start_at_operation_time=since, full_document="whenAvailable") as stream:
        for event in stream:
            if event.get("documentKey", {}).get("_id") == end:
                assert seen, "the history holds no document"
                return problems
            if event["ns"].get("coll") == END:
                continue  # of an earlier call
            if event["operationType"] in ("insert", "update", "replace"):
                problems += _falls(seen, event)
            elif event["operationType"] == "delete":
                problems.append(f"{event['documentKey']['_id']} was deleted")
    raise AssertionError("the history ended before its end")


def _falls(seen, event):
    place = (event["ns"]["coll"], event["documentKey"]["_id"])
    document = event["fullDocument"]
    assert document, f"MongoDB kept no image of {place}"
    version = document["_sluice"]["v"]
    content = {name: value for name, value in document.items() if name != "_sluice"}
    before, content_before = seen.get(place, (-1, None))
    seen[place] = version, content
    if version < before:
        return [f"{place} fell from version {before} to {version}"]
    if version == before and content != content_before:
        return [f"{place} changed within version {version}"]
    return []
