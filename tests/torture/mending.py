"""What an operator does about rows that MongoDB refused: lifts the reason, replays the dead letters, and
has tables read again whose sweep had to be refused meanwhile."""

import subprocess
import time

import pymongo.errors

from cli import command

# Of a row's versions some fit and some do not: a newer one may be stored while an older one is a letter.
PICKY = {"$expr": {"$ne": [{"$mod": ["$_sluice.v", 5]}, 0]}}


class Operator:
    def __init__(self, the_stage):
        self.stage = the_stage
        self.replayed = 0

    def refuse(self, collection):
        self._validate(collection, PICKY)

    def allow(self, *collections):
        for collection in collections:
            self._validate(collection, {})

    def _validate(self, collection, validator, patience_s=60):
        """A primary that is just being elected is asked again."""
        until = time.monotonic() + patience_s
        while True:
            try:
                self.stage.workspace.db.command("collMod", collection, validator=validator)
                return
            except pymongo.errors.PyMongoError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.3)

    def replay(self):
        """One try, as good as it goes. Gives how many letters failed again (None: nobody knows). Those that
        a full read has overtaken since stay: the source has told again what is true."""
        answer = self._command("dead", "replay", code="refused", json=True, wait="10s")
        if not answer or not answer.out:
            return None
        *_, sums = answer.objects
        self.replayed += sums.get("removed", 0)
        return sums.get("again", 0)

    def finish(self, patience_s=60):
        """Replays until nothing is left but what the source has told again since; then has that read."""
        until = time.monotonic() + patience_s
        while (left := self.replay()) != 0 and time.monotonic() < until:
            time.sleep(1)
        if left != 0:
            return [f"dead letters cannot be replayed for {patience_s} s: {left} left"]
        return self._refresh_refused()

    def _refresh_refused(self):
        """A sweep is refused while rows of its full read are dead letters; its note stays."""
        problems = []
        notes = self.stage.workspace.state["checkpoints"].find({"note": {"$gt": ""}})
        for feed in [one["_id"].partition(":")[2] for one in notes]:
            answer = self._command("refresh", feed, no_wait=True, force=True)
            if not answer or answer.status:
                problems.append(f"{feed} cannot be refreshed: {answer.err if answer else 'no answer'}")
        return problems

    def _command(self, *words, **options):
        sluice = next(iter(self.stage.sluices.values()))
        try:
            return command(sluice.config_path, *words, **options)
        except subprocess.TimeoutExpired:
            return None
