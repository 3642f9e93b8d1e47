"""A small scenario that is run again and again, killed at another durable step each time.

One export with two batches and a bad row; one table of Dataverse, read in full, then a delta of so many new
rows that they are inserted (docs/adr/0033-insertions.md), with changes, deletions and a re-creation among
them; a posted row. Whatever is killed is started again at once, and the scenario goes
on: in the end all must be there, and the books must balance.
"""

import datetime
import re
import signal

from bson import Int64
from bson.json_util import CANONICAL_JSON_OPTIONS, loads

import feeds
import truth
from history import falls, keep_history
from oracle import Books, Row, Truth, compare
from process import free_port, wait_until
from test_ingest import TOKEN, Poster
from verdict import Finding
from workspace import Workspace

READ = CANONICAL_JSON_OPTIONS.with_options(tz_aware=False)
PATIENCE = {"run_span": "200ms", "ledger_deadline": "2s"}
LONG_PATIENCE = {**PATIENCE, "ledger_deadline": "20s"}  # posted rows are not read again: one that is late fails
BAD = {"untypable": 1, "every": 9}
# A batch of fewer than a hundred rows is never inserted, nor is a collection's first one. The second one
# of vendors is small: it might or might not come after the first one was answered.
ROWS = NEW_ROWS = 100
BATCH_ROWS = 120  # of ROWS, and of a delta
RECORDS = 130
TIMEOUT_S = 60


class Walker:
    """Runs the scenario with a simulator of its own on shared servers."""

    def __init__(self, directory, sim, rabbit, mongo):
        self.dir, self.sim, self.rabbit, self.mongo = directory, sim, rabbit, mongo
        self.workspace = self.sluice = None
        self.kills = self.walks = 0
        self.killed_at = set()  # names of steps

    def walk(self, step):
        """Killed at this durable step, by number or by the beginning of its name (None: at none). Gives
        whether it was killed, and what was wrong."""
        self.kills = 0
        self.walks += 1
        directory = self.dir / f"walk-{self.walks}"
        directory.mkdir()
        self.workspace = Workspace(directory, self.rabbit, self.mongo)
        try:
            self._make_data()
            self.since = keep_history(self.workspace.db, "vendors", "account", "things")
            self.sluice = self.workspace.sluice(self._config(), start=False)
            self.sluice.env["SLUICE_KILL_LOG"] = str(self.steps_path)
            if step is not None:
                self.sluice.env["SLUICE_KILL_AT"] = str(step)
            self.sluice.start()
            try:
                self._scenario()
                return self.kills > 0, self._findings()
            except (AssertionError, TimeoutError) as error:
                return self.kills > 0, [f"{error}\n{self.sluice.log_tail(40)}"]
        finally:
            if self.kills:
                self.killed_at.add(self._name_of(step))
            self.workspace.close()

    def _name_of(self, step):
        """The step of the walk that has just been made."""
        names = self.names()
        return names[step - 1] if isinstance(step, int) else \
            next(name for name in names if name.startswith(step))

    def names(self):
        """Of all steps of the walk; what is made by chance is cut off."""
        lines = self.steps_path.read_text().splitlines()
        return [re.sub(r"(sluice-vendors-\d+)-.*", r"\1", line.split(" ", 1)[1]) for line in lines]

    @property
    def steps_path(self):
        return self.workspace.dir / "steps"

    def _make_data(self):
        self.sim.post("reset")
        self.sim.post("switches", {"export_ms": 20, "dv_limit_requests": 10**6,
                                   "dv_limit_execution_ms": 10**9})
        feeds.make_project(self.sim)
        self.sim.post("switches", {"project": "Vendors", "bad_rows": BAD})
        feeds.add_records(self.sim, RECORDS)
        self.sim.dataverse("table", table="account", count=ROWS)

    def _config(self):
        self.port = free_port()
        auth = self.sim.auth()
        wanted = {
            "vendors": feeds.feed(self.sim, every="1h", start_grace="1s", ledger_deadline="2s"),
            "account": {"source": "crm", "table": "account", "collection": "account",
                        "every": "100ms", "sweep_limit": 100, **PATIENCE},
            "things": {"source": "in", "collection": "things", "key": ["id"], "version": "version",
                       **LONG_PATIENCE}}
        return feeds.configure(
            self.workspace, self.sim, wanted, log={"form": "json"}, limits={"batch_rows": BATCH_ROWS},
            sources={"crm": {"type": "dataverse", "url": self.sim.url, "auth": auth,
                             "budget": {"requests": 100_000}},
                     "in": {"type": "ingest", "listen": f"127.0.0.1:{self.port}", "token": TOKEN}})

    # --- what happens ---

    def _scenario(self):
        self._wait(lambda: not compare(self.workspace.db, self._vendors())
                   and not compare(self.workspace.db, self._account()), "the full reads")
        self.delta_at = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
        self.sim.dataverse("create", table="account", count=NEW_ROWS)
        gone = self.sim.dataverse("delete", table="account", count=6, seed=5)["ids"]
        self.sim.dataverse("recreate", table="account", ids=gone[:1])
        self.sim.dataverse("change", table="account", count=2, seed=7)
        row = {"id": "one", "version": 1, "text": "posted"}
        self._wait(lambda: self._post(row), "the post being accepted")
        self.things = Truth("things", {"one": Row(1, {**row, "version": Int64(1)})})
        self._wait(lambda: not any(compare(self.workspace.db, one) for one in self._truths()),
                   "the delta and the post")
        self.settled_at = datetime.datetime.now(datetime.timezone.utc)  # what is read again may begin later
        self._wait(self._books_closed, "the books")

    def _wait(self, condition, what):
        def met():
            self._keep_alive()
            return condition()
        wait_until(met, TIMEOUT_S, what, 0.03)

    def _keep_alive(self):
        if self.sluice.running():
            return
        status = self.sluice.child.returncode
        assert status == -signal.SIGKILL and not self.kills, \
            f"ended with status {status}\n{self.sluice.log_tail(40)}"
        self.kills += 1
        del self.sluice.env["SLUICE_KILL_AT"]
        self.sluice.start()

    def _post(self, row):
        try:
            return Poster(self.port).send(row)[0] == 202
        except (OSError, ValueError):
            return False

    def _books_closed(self):
        """The run that had the delta is done, and all others are. A run of posts that was killed before
        it was journaled has no book at all: its rows were answered for by RabbitMQ."""
        runs = list(self.workspace.state["runs"].find())
        done = {(run["feed"], run["created_at"] >= self.delta_at) for run in runs
                if run["state"] == "done"}
        wanted = {("vendors", False), ("account", True)} | (
            set() if self.kills else {("things", True)})
        return done >= wanted and not self._books().open_runs(self.settled_at)

    def _books(self):
        return Books(self.workspace.state, posted=("things",) if self.kills else ())

    # --- what must be ---

    def _vendors(self):
        return Truth("vendors", {key: Row(fields["ChangeNumber"], fields) for key, fields in
                                 truth.documents(self.sim, project="Vendors").items()},
                     "ChangeNumber", ordered=True)

    def _account(self):
        rows = (loads(line, json_options=READ) for line in self.sim.lines("dv/truth?table=account"))
        return Truth("account", {row["id"]: Row(2 * row["versionnumber"], row.get("fields"),
                                                "deleted" in row) for row in rows})

    def _truths(self):
        return self._vendors(), self._account(), self.things

    def _findings(self):
        truths = self._truths() if hasattr(self, "things") else (self._vendors(), self._account())
        found = [one for one_truth in truths for one in compare(self.workspace.db, one_truth)]
        found += self._books().findings(self.settled_at)
        found += falls(self.workspace.db, self.since)
        letters = self.workspace.state["dead"].count_documents({"feed": "vendors"})
        if letters != 1:
            found.append(Finding("unaccounted", "vendors", "dead", letters, 1, "dead letters"))
        return found
