"""The cases of ./dev bench latency: what sluice is set up to do, and who changes what, how often.

A case makes the simulator's data, the configuration, and the changes. Each change is told to the
reader; changed() says when each was made, by the clock of this machine.
"""

import datetime
import http.client
import json
import random
import time
import urllib.request

from bson import Decimal128, Int64

from servers import ServerError, free_port

from prepared import verify_rows
from stage import DATABASE, STATE_DATABASE

DELAY_MS = 5  # of the simulated service, for each request
SEQUENCE_BITS = 11  # of versions in the order of asking, below the milliseconds
TABLE, ROWS, COLLECTION = "account", 2000, "accounts"
MIX = (("change", 80), ("create", 10), ("delete", 10))  # a deleted row is not created again
WARM_S = 3    # changes that are made before and do not count
SECRET, TOKEN = "the-bench-rings", "the-bench-posts"
BIG_TABLE, BIG_COLLECTION = "contact", "contacts"
TABLES, HOT = 300, 50
SETTLE_S = 60
ORDER = {"customer": "Fjord Tools AS", "amount": "1500.50", "currency": "NOK", "lines": 3,
         "ordered_at": "2026-03-14T09:26:53Z", "note": "Leave it at the quay, please: gate 4, the blue door."}
STORED = {**ORDER, "amount": Decimal128("1500.50"), "lines": Int64(3),
          "ordered_at": datetime.datetime(2026, 3, 14, 9, 26, 53)}


class Case:
    """way is how the reader looks; goals are {key of the result: at most}."""

    way = "stream"

    def __init__(self, name, per_s, changes, quick_changes, **goals):
        self.name, self.per_s, self.goals = name, per_s, goals
        self.changes, self.quick_changes = changes, quick_changes

    def config(self, stage):
        """sources and feeds. Before: fill()."""
        raise NotImplementedError

    def sluice_config(self, stage):
        return {"broker": {"url": stage.rabbit.url},
                "mongo": {"url": stage.mongo.url, "database": DATABASE,
                          "state_database": STATE_DATABASE},
                **self.config(stage)}

    def crm(self, stage):
        return {"type": "dataverse", "url": stage.sim.url, "auth": stage.sim.auth()}

    def count(self, quick):
        return self.quick_changes if quick else self.changes

    def verify(self, stage):
        """Looks at what is stored in the end, with the clock stopped."""

    def about(self):
        """More numbers for the result's notes."""
        return {}

    def rows_applied(self, changes):
        """What the CPU seconds are divided by."""
        return changes


class Changer:
    """Changes rows of a table in the simulator, one by one, and notes which change is which. by_asking: their
    versions are those of their readings, not their own."""

    def __init__(self, sim, table, collection, reader, by_asking):
        self.table, self.collection, self.reader = table, collection, reader
        self.by_asking = by_asking
        self.sim = sim
        self.line = http.client.HTTPConnection("127.0.0.1", sim.port, timeout=20)
        self.rows = [one["id"] for one in lines(sim, f"truth?table={table}&fields=0")
                     if not one.get("deleted")]
        self.random = random.Random(7)
        self.first = None

    def change(self, counts):
        kind = self.random.choices([name for name, _ in MIX], [part for _, part in MIX])[0]
        row = self.random.choice(self.rows)
        now = int(time.time() * 1000) << SEQUENCE_BITS
        body = {"table": self.table, **({"count": 1} if kind == "create" else {"ids": [row]})}
        self.line.request("POST", f"/_sim/dv/{kind}", json.dumps(body),
                          {"Content-Type": "application/json"})
        reply = self.line.getresponse()
        told = json.loads(reply.read())
        if reply.status != 200 or told["changed"] != 1:
            raise ServerError(f"sluice-sim answered a {kind} with {reply.status}: {told}")
        row = told["ids"][0]
        if kind == "delete":
            self.rows.remove(row)
        elif kind == "create":
            self.rows.append(row)
        if counts:
            self.first = self.first or told["first_seq"]
            self.reader.watch(told["first_seq"], self.collection, row,
                              None if kind == "delete" else now if self.by_asking
                              else 2 * told["versionnumber"])

    def changed(self):
        """{key: when}, in seconds, as the simulator tells."""
        return {one["seq"]: one["at_ms"] / 1000
                for one in lines(self.sim, f"changes?from={self.first}&limit=1000000")}


def lines(sim, path):
    """A control call that answers with one JSON object a line."""
    with urllib.request.urlopen(f"{sim.url}/_sim/dv/{path}", timeout=60) as reply:
        return [json.loads(line) for line in reply if line.strip()]


def pace(per_s, seconds=None, count=None):
    """Gives 0, 1, … at an even pace."""
    begun, number = time.monotonic(), 0
    while number < count if count is not None else time.monotonic() < begun + seconds:
        time.sleep(max(0, begun + number / per_s - time.monotonic()))
        yield number
        number += 1


class Followed(Case):
    """A table of the simulated Dataverse. hook: its changes ring, or name a row to read back."""

    tracking = True

    def __init__(self, *args, hook=True, **goals):
        super().__init__(*args, **goals)
        self.hook = hook
        self.port = None

    def fill(self, stage):
        stage.sim.post("dv/table", {"table": TABLE, "count": ROWS, "tracking": self.tracking})

    def config(self, stage):
        sources, feeds = {"crm": self.crm(stage)}, {}
        if self.hook:
            self.port = free_port()
            sources["hook"] = {"type": "webhook", "listen": f"127.0.0.1:{self.port}",
                               "doorbell": ["crm"],
                               "secret": {"header": "x-key", "value": SECRET}}
        feeds[COLLECTION] = {"source": "crm" if self.tracking else "hook", "table": TABLE,
                             "collection": COLLECTION}
        return {"sources": sources, "feeds": feeds}

    def settle(self, stage, sluice):
        if self.tracking:
            wait_documents(stage, sluice, COLLECTION, ROWS)
        if self.hook:
            stage.sim.post("dv/webhook", {
                "url": f"http://127.0.0.1:{self.port}/webhook/hook", "tables": [TABLE],
                "secret": {"header": "x-key", "value": SECRET}})

    def prepare(self, stage, reader):
        self.changer = Changer(stage.sim, TABLE, COLLECTION, reader, by_asking=not self.tracking)
        for _ in pace(self.per_s, count=max(1, WARM_S * self.per_s)):
            self.changer.change(counts=False)

    def drive(self, stage, quick):
        for _ in pace(self.per_s, count=self.count(quick)):
            self.changer.change(counts=True)

    def changed(self):
        return self.changer.changed()


class ReadBack(Followed):
    """The table has no change tracking: every row that an event names is read."""

    tracking = False


class UnderLoad(Followed):
    """A bell rings while another table, a large one, is read in full for the first time."""

    way = "patient"  # a stream would have to tell every row of the full read
    rows, quick_rows = 3_000_000, 1_000_000

    def __init__(self, *args, **goals):
        super().__init__(*args, **goals)
        self.big = self.made = 0

    def fill(self, stage):
        super().fill(stage)
        self.big = self.quick_rows if stage.quick else self.rows
        stage.sim.post("dv/table", {"table": BIG_TABLE, "count": self.big})

    def config(self, stage):
        config = super().config(stage)
        config["feeds"][BIG_COLLECTION] = {"source": "crm", "table": BIG_TABLE,
                                           "collection": BIG_COLLECTION}
        return config

    def drive(self, stage, quick):
        """Only what happens while the rows flow says anything."""
        big = stage.client[DATABASE][BIG_COLLECTION]
        begin = big.estimated_document_count()
        for number in pace(self.per_s, count=self.count(quick)):
            if big.estimated_document_count() > self.big * 0.97:
                break
            self.changer.change(counts=True)
            self.made = number + 1
        self.flowed = big.estimated_document_count() - begin

    def about(self):
        return {"full_read_rows": self.big, "rows_meanwhile": self.flowed}

    def rows_applied(self, changes):
        return changes + self.flowed


class Posted(Case):
    """Rows that are posted, one a request; they were changed when the post was sent. exact: the documents have their
    columns in the order of the post."""

    path, accepted, version, exact = "/ingest/orders", 202, 0, True

    def fill(self, stage):
        self.port = free_port()

    def config(self, stage):
        return {"sources": {"posts": {"type": "ingest", "listen": f"127.0.0.1:{self.port}",
                                      "token": TOKEN}},
                "feeds": {"orders": {"source": "posts", "collection": "orders", "key": "order_id",
                                     "types": {"amount": "decimal", "ordered_at": "date"}}}}

    def settle(self, stage, sluice):
        sluice.wait_ready(SETTLE_S)

    def prepare(self, stage, reader):
        self.reader, self.sent, self.posted = reader, {}, []
        self.line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        for number in pace(self.per_s, count=WARM_S * self.per_s):
            self.post(f"W-{number:06}", counts=False)

    def post(self, order, counts):
        body = json.dumps({"order_id": order, **ORDER})
        if counts:
            self.reader.watch(order, "orders", order, self.version)
            time.sleep(0.001)  # it looks already when the row comes
        at = time.time()
        self.line.request("POST", self.path, body, {
            "Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"})
        reply = self.line.getresponse()
        text = reply.read()
        if reply.status != self.accepted:
            raise ServerError(f"a post was answered with {reply.status}: {text[:300]}")
        self.posted.append(order)
        if counts:
            self.sent[order] = at

    def drive(self, stage, quick):
        for number in pace(self.per_s, count=self.count(quick)):
            self.post(f"O-{number:06}", counts=True)

    def verify(self, stage):
        """Every document, whole."""
        wanted = [{"_id": order, "order_id": order, **STORED} for order in self.posted]
        verdict = verify_rows(stage.client[DATABASE]["orders"], wanted, self.exact)
        if not verdict.good:
            raise ServerError(f"{self.name}: {verdict}")

    def changed(self):
        return self.sent


class ManyTables(Case):
    """Polling alone, with the budget that the service gives one user."""

    rows = 20
    seconds, quick_seconds = 330, 60

    def fill(self, stage):
        """The changes begin before sluice does, so that the hot tables are hot from the start."""
        stage.sim.post("dv/table", {"tables_count": TABLES, "count": self.rows})
        stage.sim.post("dv/load", {
            "tables": [f"t{number:03}" for number in range(HOT)], "per_s": self.per_s,
            "seconds": 3600, "mix": {"update": 95, "create": 5, "delete": 0, "recreate": 0}})

    def config(self, stage):
        names = [f"t{number:03}" for number in range(TABLES)]
        return {"sources": {"crm": self.crm(stage)},
                "feeds": {name: {"source": "crm", "table": name, "collection": name}
                          for name in names}}

    def settle(self, stage, sluice):
        for number in range(TABLES):
            wait_documents(stage, sluice, f"t{number:03}", self.rows)

    def prepare(self, stage, reader):
        """Until each was polled sluice cannot know which ones are idle."""
        self.reader, self.sim = reader, stage.sim
        sluice = stage.measured
        sluice.wait_for(lambda: json.loads(sluice.ops("/status")[1])["sources"]["crm"]["budget"]
                        ["hot_tables"] == HOT, SETTLE_S, f"{HOT} hot tables")

    def drive(self, stage, quick):
        first = self.sim.get("stats")["dataverse"]["changes"] + 1
        time.sleep(self.quick_seconds if quick else self.seconds)
        last = self.sim.get("stats")["dataverse"]["changes"]
        self.sim.post("dv/load", {"stop": True})
        self.made = [one for one in lines(self.sim, f"changes?from={first}&limit=10000000")
                     if one["seq"] <= last]
        for one in self.made:
            self.reader.watch(one["seq"], one["table"], one["id"], 2 * one["versionnumber"])

    def changed(self):
        return {one["seq"]: one["at_ms"] / 1000 for one in self.made}


def wait_documents(stage, sluice, collection, count):
    documents = stage.client[DATABASE][collection]
    sluice.wait_for(lambda: documents.estimated_document_count() >= count, SETTLE_S,
                    f"{count} documents in {collection}")


CASES = {case.name: case for case in (
    Followed("doorbell-5", 5, 500, 60, p50_ms=20, p99_ms=60, cpu_ms_per_change=0.5),
    Followed("doorbell-15", 15, 500, 180, p50_ms=20, p99_ms=60, cpu_ms_per_change=0.5),
    Followed("polling-20", 20, 500, 200, hook=False, p99_ms=3200, cpu_ms_per_change=0.5),
    ReadBack("readback-15", 15, 500, 180, cpu_ms_per_change=0.5),
    Posted("ingest-20", 20, 500, 240, p50_ms=3.5, p99_ms=7, cpu_ms_per_change=0.5),
    ManyTables("tables-300", 200, None, None, p99_ms=5000, cpu_ms_per_change=0.5, throttled=0),
    UnderLoad("doorbell-under-load", 20, 500, 150, p99_ms=1000))}
