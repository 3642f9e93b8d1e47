"""What may be wrong with documents, as one says it."""

import dataclasses

KINDS = ("lost", "rolled_back", "resurrected", "wrong", "unaccounted")


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that must not be. stored and true are versions, as far as there are any."""

    kind: str
    place: str  # the collection, or the feed
    id: str
    stored: object = None
    true: object = None
    note: str = ""

    def __str__(self):
        return f"{self.kind}: ({self.place!r}, {self.id!r}) stored {self.stored}, true {self.true}: " \
               f"{self.note}"


def count(findings):
    """{kind: how many}, in the order of KINDS."""
    return {kind: sum(one.kind == kind for one in findings) for kind in KINDS}
