"""A feed under fault: its records in the simulator, its configuration, and the questions that decide
whether anything was lost.

    scene = Scene(sim, workspace, records=300)
    sluice = scene.sluice()
    ...                      # something breaks
    scene.check_nothing_lost()
"""

import random

import books
import feeds
import truth
from history import falls, keep_history
from process import wait_until

LONG = 3000  # records

feeds.KEYS.setdefault("Bench rows", ["dataAreaId", "RowKey"])


def seeded():
    """A random generator whose seed is printed, so that a failure can be had again."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    return random.Random(seed)


def refused_exports(sim):
    """{HTTP status: count} of export requests that the simulator refused: an execution id used twice,
    or (with the switch parallel_fails) a project that was busy. Throttling is none."""
    requests = sim.get("stats")["requests"].get("ExportToPackage", {})
    return {status: count for status, count in requests.items() if status not in ("200", "429", "503")}


def long_scene(sim, workspace, **settings):
    """A scene whose first run takes ten seconds, so that a machine that stands still for three does not miss
    it. Its rows come in a few pushes, since the unzipper inflates 256 KiB at a time."""
    sim.post("switches", {"slow_body_bytes_per_s": 30_000})
    return Scene(sim, workspace, records=LONG, **settings)


def wait_midway(sluice, scene):
    """Waits until the first run is under way, with some documents there and most of them not. Downloads
    that begin later are faster."""
    sluice.wait_for(lambda: scene.documents.estimated_document_count() > 0, 30, "some documents")
    assert scene.newest()["state"] == "streaming" and scene.newest()["number"] == 1
    assert scene.documents.estimated_document_count() < LONG * 2 / 3
    scene.sim.post("switches", {"slow_body_bytes_per_s": 100_000})


class Scene:
    """Borrows the simulator and the workspace; makes the records, the data project and, for the
    history, the collection. settings are laid over the feed's."""

    def __init__(self, sim, workspace, name="vendors", label="Vendors V3", records=300,
                 company="USMF", mode="incremental", collection=None, **settings):
        self.sim, self.workspace = sim, workspace
        self.name, self.label, self.company = name, label, company
        self.collection = collection or name
        self.project = f"{name.capitalize()}Export"
        self.settings = settings
        feeds.add_records(sim, records, label, company)
        feeds.make_project(sim, self.project, [label], company, mode=mode)
        self.since = keep_history(workspace.db, self.collection)

    # --- configuration ---

    @property
    def feed(self):
        """Impatient, so that a test need not wait."""
        patience = {"every": "200ms", "start_grace": "2s", "ledger_deadline": "5s"}
        return feeds.feed(self.sim, self.project, self.label, self.collection, self.company,
                          **{**patience, **self.settings})

    def config(self, *others, **changes):
        """The configuration of a sluice that runs this feed and those of other scenes."""
        wanted = {scene.name: scene.feed for scene in (self, *others)}
        changes = {"log": {"form": "json"}, **changes}
        return feeds.configure(self.workspace, self.sim, wanted, **changes)

    def sluice(self, name=None, start=True, **changes):
        """One that is ready, unless start is False."""
        return self.workspace.sluice(self.config(**changes), name, start,
                                     ready_timeout_s=30 if start else None)

    # --- Dynamics 365 ---

    def change(self, count):
        return feeds.change_records(self.sim, count, self.label, self.company)

    def change_at(self, per_s, seconds):
        """Changes records in the background."""
        self.sim.post("change_rate", {"entity": self.label, "company": self.company,
                                      "per_s": per_s, "seconds": seconds})

    def counted(self):
        label = self.label.replace(" ", "%20")
        return self.sim.get(f"count?entity={label}&company={self.company}")

    def download(self):
        """A download under way, from its beginning, as the simulator sees it; None when there is none.
        The one byte by which sluice learns whether it may ask for ranges is none, nor is the list at
        the end, which it reads before."""
        downloads = self.sim.get("stats")["downloads"]
        return next((one for one in downloads if one["offset"] == 0 and one["length"] > 1), None)

    # --- MongoDB ---

    @property
    def documents(self):
        return self.workspace.db[self.collection]

    def runs(self, **query):
        return feeds.runs(self.workspace, self.name, **query)

    def newest(self):
        return next(iter(self.workspace.state["runs"].find({"feed": self.name})
                         .sort("number", -1).limit(1)), None)

    def all_there(self):
        """A quick look: as many documents as records, and no revision is missing."""
        counted = self.counted()
        found = next(self.documents.aggregate([
            {"$group": {"_id": None, "n": {"$sum": 1}, "sum": {"$sum": "$ChangeNumber"}}}]), None)
        return (bool(found) and found["n"] == counted["count"]
                and found["sum"] == counted["revisions"])

    def differences(self):
        expected = truth.documents(self.sim, self.label, self.company, self.project)
        return truth.differences(self.documents, expected)

    # --- waiting ---

    def wait_all_there(self, timeout_s=30):
        try:
            wait_until(self.all_there, timeout_s, f"{self.name} being complete", 0.1)
        except TimeoutError as error:
            raise AssertionError(f"{error}; {self.differences()}; newest: {self.newest()}") from None

    def wait_run_done_after(self, number, timeout_s=30):
        wait_until(lambda: self.runs(state="done", number={"$gt": number}), timeout_s,
                   f"{self.name}: a run after {number} being done; newest: {self.newest()}")

    def wait_next_run(self, timeout_s=30):
        """Waits until a run that begins after this call is done: all that happened before is there."""
        newest = self.newest()
        self.wait_run_done_after(newest["number"] if newest else 0, timeout_s)

    # --- the verdict ---

    def check_versions(self):
        """No version fell, ever since `since`."""
        assert falls(self.workspace.db, self.since) == []

    def check_nothing_lost(self, timeout_s=30):
        """The documents are the records, the books of every run balance, no run failed, no version
        fell, no export was refused. Needs a running sluice; waits for changes under way."""
        wait_until(lambda: not self.sim.get("stats")["jobs_running"], timeout_s, "the last change")
        self.wait_all_there(timeout_s)
        self.wait_next_run(timeout_s)
        assert self.differences() == []
        assert self.runs(state="failed") == []
        assert books.check_all(self.workspace) > 0
        self.check_versions()
        assert refused_exports(self.sim) == {}
