"""Tables of the simulated Dataverse, followed by sluice: their configuration, what becomes of them, and
the questions that decide whether MongoDB says what the service says.

    scene = Tables(sim, workspace, account=300)
    sluice = scene.sluice()
    scene.wait_followed()
    ...                      # something changes, something breaks
    scene.check_nothing_lost()
"""

import datetime
import json
import time
import urllib.parse

from bson.json_util import CANONICAL_JSON_OPTIONS, loads

import books
import truth
from history import falls, keep_history
from process import wait_until

# What annotations are called in documents.
WORDS = {"OData.Community.Display.V1.FormattedValue": "formatted",
         "Microsoft.Dynamics.CRM.lookuplogicalname": "table"}

READ = CANONICAL_JSON_OPTIONS.with_options(tz_aware=False)

# Impatient, so that a test need not wait; the limits of the service are then in the way.
HASTE = {"every": "100ms", "run_span": "300ms", "ledger_deadline": "20s"}
MANY = 100_000  # requests in a window


def stored_name(name):
    column, at, annotation = name.partition("@")
    return f"{column}@{WORDS[annotation]}" if at else column


class Tables:
    """Borrows the simulator and the workspace. rows: {table: rows to begin with}. settings are laid over
    each feed's, those of feeds, {table: settings}, over one's; url is where sluice finds the service,
    when a gate stands before it; source is laid over the source's settings."""

    unfinished = {"state": {"$in": ["streaming", "published"]}}  # runs

    def __init__(self, sim, workspace, rows, url=None, source=None, feeds=None, **settings):
        self.sim, self.workspace = sim, workspace
        self.url = url or sim.url
        self.source, self.settings, self.feeds = source or {}, settings, feeds or {}
        for table, count in rows.items():
            sim.dataverse("table", table=table, count=count)
        sim.post("switches", {"dv_limit_requests": 2 * MANY, "dv_limit_execution_ms": 10**9})
        self.tables = {one["table"]: one for one in sim.get("dv/tables") if one["table"] in rows}
        assert self.tables.keys() == rows.keys()
        self.since = keep_history(workspace.db, *rows)

    # --- configuration: a feed is called as its table and its collection ---

    def feed(self, table):
        return {"source": "crm", "table": table, "collection": table, **HASTE, **self.settings,
                **self.feeds.get(table, {})}

    def config(self, **changes):
        auth = {**self.sim.auth(), "authority": self.url}
        source = {"type": "dataverse", "url": self.url, "auth": auth, "page_size": 100,
                  "budget": {"requests": MANY}, **self.source}
        wanted = {table: self.feed(table) for table in self.tables}
        changes = {"log": {"form": "json"}, **changes}
        return self.workspace.config(feeds=wanted, sources={"crm": source}, **changes)

    def sluice(self, name=None, start=True, **changes):
        """One that is ready, unless start is False."""
        return self.workspace.sluice(self.config(**changes), name, start,
                                     ready_timeout_s=30 if start else None)

    # --- the service ---

    def change(self, table="account", **which):
        return self.sim.dataverse("change", table=table, **which)["ids"]

    def time_of_a_change(self, table):
        """Changes a row; gives the seconds until MongoDB has it. A row that a running load deletes before it
        was read never comes (its tombstone is dated by what was read until then): another is taken."""
        while True:
            began = time.monotonic()
            changed = self.change(table, count=1)[0]
            version = self._row(table, changed)["versionnumber"]
            newer = {"_id": changed, "_sluice.v": {"$gte": 2 * version}}
            if wait_until(lambda: self._came_or_went(table, newer), 20, f"{table} being followed",
                          0.02) == "came":
                return time.monotonic() - began

    def _came_or_went(self, table, newer):
        if self.documents(table).find_one(newer):
            return "came"
        return "went" if "deleted" in self._row(table, newer["_id"]) else None

    def _row(self, table, which):
        return next(one for one in self.rows(table, fields=0) if one["id"] == which)

    def delete(self, table="account", **which):
        return self.sim.dataverse("delete", table=table, **which)["ids"]

    def create(self, count, table="account"):
        return self.sim.dataverse("create", table=table, count=count)["ids"]

    def recreate(self, table="account", **which):
        return self.sim.dataverse("recreate", table=table, **which)["ids"]

    def switch(self, **switches):
        self.sim.post("switches", switches)

    def stats(self):
        return self.sim.get("stats")["dataverse"]

    def user(self):
        return self.stats()["users"][self.sim.client_id]

    def rows(self, table="account", **options):
        """Yields a dict a row that is or was: id, versionnumber, deleted or fields."""
        query = urllib.parse.urlencode({"table": table, **options})
        for line in self.sim.lines(f"dv/truth?{query}"):
            yield loads(line, json_options=READ)

    def expected(self, table="account", select=None, formatted=False):
        """{id: document} of the rows that live; select: these columns and the key."""
        rows = {row["id"]: {stored_name(name): value for name, value in row["fields"].items()}
                for row in self.rows(table, formatted=int(formatted)) if "deleted" not in row}
        if select is None:
            return rows
        key = self.tables[table]["id"]
        wanted = {*select, key}
        return {one: {name: value for name, value in fields.items() if name in wanted}
                for one, fields in rows.items()}

    # --- MongoDB ---

    def documents(self, table="account"):
        return self.workspace.db[table]

    def live(self, table="account"):
        """{id: version} of the documents that are no tombstones."""
        return self._versions(table, {"_sluice.deleted": {"$exists": False}})

    def tombstones(self, table="account"):
        return self._versions(table, {"_sluice.deleted": True})

    def _versions(self, table, query):
        return {one["_id"]: one["_sluice"]["v"]
                for one in self.documents(table).find(query, {"_sluice.v": 1})}

    def checkpoint(self, table="account"):
        return self.workspace.state["checkpoints"].find_one({"_id": f"feed:{table}"}) or {}

    def runs(self, table="account", **query):
        return list(self.workspace.state["runs"].find({"feed": table, **query}).sort("number", 1))

    # --- the verdict ---

    def followed(self, table="account"):
        """A quick look: the living rows are there in their newest version, and no others."""
        wanted = {row["id"]: 2 * row["versionnumber"] for row in self.rows(table, fields=0)
                  if "deleted" not in row}
        return self.live(table) == wanted

    def wait_followed(self, *tables, timeout_s=30):
        for table in tables or self.tables:
            try:
                wait_until(lambda: self.followed(table), timeout_s, f"{table} being followed", 0.1)
            except TimeoutError as error:
                raise AssertionError(f"{error}; {self.differences(table)}") from None

    def differences(self, table="account"):
        """What is wrong with a table's documents, a sentence each; tombstones hold nothing else."""
        feed = self.feed(table)
        expected = self.expected(table, feed.get("select"), feed.get("formatted_values", False))
        wrong = truth.differences(self.documents(table), expected,
                                  {"_sluice.deleted": {"$exists": False}}, ordered=False)
        return wrong + [f"the tombstone {one['_id']} holds more than its key" for one in
                        self.documents(table).find({"_sluice.deleted": True}) if len(one) != 2]

    def wait_books_closed(self, timeout_s=30):
        """Waits until no run is open or waits for its ledger."""
        runs = self.workspace.state["runs"]
        try:
            wait_until(lambda: not runs.count_documents(self.unfinished), timeout_s,
                       "every run being done")
        except TimeoutError as error:
            raise AssertionError(f"{error}: {list(runs.find(self.unfinished).limit(3))}") from None

    def check_versions(self, reshaped=()):
        """No version fell, ever since the beginning, and none changed its content but in the tables
        that were read with other columns."""
        wrong = [fall for fall in falls(self.workspace.db, self.since)
                 if not ("changed within" in fall and any(f"'{name}'" in fall for name in reshaped))]
        assert wrong == [], wrong[:5]

    def check_nothing_lost(self, timeout_s=30, failed=0, reshaped=()):
        """The documents are the rows, the dead are dead, no version fell, the books of every run that
        is done balance, and so many runs failed (None: however many)."""
        wait_until(lambda: not self.stats()["loads_running"], timeout_s, "the last change")
        self.wait_followed(timeout_s=timeout_s)
        for table in self.tables:
            wrong = self.differences(table)
            assert wrong == [], wrong
        self.wait_books_closed(timeout_s)
        assert books.check_all(self.workspace) > 0
        if failed is not None:
            assert self.workspace.state["runs"].count_documents({"state": "failed"}) == failed
        self.check_versions(reshaped)


class Scripted:
    """Tables of a Script, followed by sluice. settings are laid over each feed's; budget is the source's."""

    def __init__(self, script, workspace, budget=None, **settings):
        self.script, self.workspace, self.settings = script, workspace, settings
        self.budget = {"requests": MANY} if budget is None else budget
        self.since = keep_history(workspace.db, *script.tables)

    def config(self, feeds=None, **changes):
        """feeds: {table: settings laid over its feed's}."""
        wanted = {table: {"source": "crm", "table": table, "collection": table, **HASTE,
                          **self.settings, **(feeds or {}).get(table, {})}
                  for table in self.script.tables}
        source = self.script.source(budget=self.budget)
        return self.workspace.config(feeds=wanted, **{"log": {"form": "json"},
                                                      "sources": {"crm": source}, **changes})

    def sluice(self, name=None, start=True, feeds=None, **changes):
        return self.workspace.sluice(self.config(feeds, **changes), name, start,
                                     ready_timeout_s=30 if start else None)

    def stored(self, table="account"):
        """{row's number: (its version, whether it lives)} of the documents."""
        return {int(one["_id"][:8], 16): (one["_sluice"]["v"], not one["_sluice"].get("deleted"))
                for one in self.workspace.db[table].find()}

    def wait_stored(self, wanted, table="account", timeout_s=20):
        try:
            wait_until(lambda: self.stored(table) == wanted, timeout_s, "the documents")
        except TimeoutError as error:
            raise AssertionError(f"{error}: {self.stored(table)}, not {wanted}") from None

    def newest(self, table="account"):
        """The link that the checkpoint leads to."""
        checkpoint = self.workspace.state["checkpoints"].find_one({"_id": f"feed:{table}"}) or {}
        return checkpoint.get("newest", "")

    def check_versions(self):
        wrong = falls(self.workspace.db, self.since)
        assert wrong == [], wrong[:5]


def end_lease(workspace):
    """The lease of source crm ends now, whoever holds it and believes in it."""
    lease = workspace.state["leases"].find_one_and_update(
        {"_id": "source:crm"}, {"$set": {"expires_at": datetime.datetime(2000, 1, 1)}})
    return lease["epoch"]


def lose_lease(workspace):
    """Another one has held the lease of source crm meanwhile, and it is free again."""
    workspace.state["leases"].update_one({"_id": "source:crm"}, {
        "$set": {"owner": "another", "expires_at": datetime.datetime(2000, 1, 1)}, "$inc": {"epoch": 1}})


def status(sluice, table="account"):
    """What /status says of a feed."""
    return json.loads(sluice.ops("/status")[1])["feeds"][table]["state"]


def owns(sluice):
    """Whether this process owns the source."""
    try:
        return json.loads(sluice.ops("/status")[1])["sources"]["crm"]["owner"]
    except (OSError, KeyError):  # it has ended, or only just begun
        return False
