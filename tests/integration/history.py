"""What MongoDB's own log says ever happened to a document: versions must never fall."""

import bson

from verdict import Finding

END = "end_of_history"  # a collection of our own


def keep_history(database, *collections):
    """Makes the collections such that MongoDB keeps what each change made of a document.

    Gives the time from which falls() is to look.
    """
    for collection in collections:
        database.create_collection(collection, changeStreamPreAndPostImages={"enabled": True})
    return database.client.admin.command("hello")["operationTime"]


def mark_end(database, end):
    """A last event, of a document with this _id."""
    database[END].insert_one({"_id": end})


def falls(database, since):
    """A sentence for each document whose version ever fell, whose content changed within one
    version, or that was deleted, from since until now."""
    end = bson.ObjectId()
    mark_end(database, end)
    judge, problems = Judge(), []
    with database.watch(start_at_operation_time=since, full_document="whenAvailable") as stream:
        for event in stream:
            if event.get("documentKey", {}).get("_id") == end:
                assert judge.seen, "the history holds no document"
                return problems
            problems += map(str, judge.findings(event))
    raise AssertionError("the history ended before its end")


class Judge:
    """Remembers what each document was, and finds what must not happen to it.

    revisions: {collection: a column of its documents that must not fall either}. returns holds
    (collection, _id, last living version, version now) of each deleted document that came back, for
    those who know when it was deleted.
    """

    def __init__(self, revisions=None):
        self.revisions = revisions or {}
        self.seen = {}  # (collection, _id): (version, deleted, content)
        self.lived = {}  # the same: (version, revision) of the last time that it lived
        self.returns = []

    def findings(self, event):
        if event["operationType"] not in ("insert", "update", "replace", "delete"):
            return []
        place = (event["ns"]["coll"], event["documentKey"]["_id"])
        if place[0] == END:
            return []
        if event["operationType"] == "delete":
            version, deleted, _ = self.seen.pop(place, (None, False, None))
            return [] if deleted else [Finding("lost", *place, None, version, "was deleted")]
        document = event["fullDocument"]
        if not document:
            return [Finding("wrong", *place, note="MongoDB kept no image of it")]
        return self._look(place, document)

    def _look(self, place, document):
        own = document.get("_sluice", {})
        version, deleted = own.get("v"), "deleted" in own
        content = {name: value for name, value in document.items() if name != "_sluice"}
        before, was_deleted, content_before = self.seen.get(place, (-1, False, None))
        self.seen[place] = version, deleted, content
        found = []
        if not isinstance(version, int):
            found.append(Finding("wrong", *place, version, before, "has no version"))
        elif version < before:
            kind = "resurrected" if was_deleted and not deleted else "rolled_back"
            found.append(Finding(kind, *place, version, before,
                                 f"fell from version {before} to {version}"))
        elif version == before and (deleted, content) != (was_deleted, content_before):
            found.append(Finding("wrong", *place, version, before, f"changed within version {version}"))
        if not deleted:
            found += self._look_living(place, version, was_deleted, content)
        return found

    def _look_living(self, place, version, was_deleted, content):
        column = self.revisions.get(place[0])
        revision = content.get(column)
        lived, revision_before = self.lived.get(place, (None, None))
        self.lived[place] = version, revision
        if was_deleted:
            self.returns.append((*place, lived, version))
        if column is None or revision_before is None or revision is None:
            return []
        # A deletion of a counted document has a number of its own.
        if revision < revision_before + was_deleted:
            return [Finding("resurrected" if was_deleted else "rolled_back", *place, revision,
                            revision_before, f"{column} fell from {revision_before} to {revision}")]
        return []
