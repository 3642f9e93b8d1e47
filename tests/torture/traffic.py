"""What flows while faults happen: changes in Dynamics 365, and clients that post to sluice.

A client holds what was not answered with 2xx for not done, and does it again, as docs/INGEST.md says.
"""

import contextlib
import dataclasses
import datetime
import http.client
import json
import random
import threading
import time

import pymongo.errors
from bson import Decimal128, Int64
from bson.json_util import CANONICAL_JSON_OPTIONS, loads

import stage
import truth
from oracle import Row, Truth, compare
from process import wait_until

READ = CANONICAL_JSON_OPTIONS.with_options(tz_aware=False)
MIX = {"update": 60, "create": 13, "delete": 16, "recreate": 11}
TIMEOUT_S = 15  # a client's patience
# Of a long run new rows come in great numbers only at times: the oracle reads all of them.
FLOOD_S, FLOODS_S = 20, 600


class Client:
    """Posts to one of several ports until it is told that all is well."""

    def __init__(self, ports, path, headers, seed):
        self.ports, self.path, self.headers = ports, path, headers
        self.random = random.Random(seed)
        self.stop = threading.Event()
        self.put_off = 0
        self.lost_answers = 0

    def insist(self, body):
        """Posts until it is accepted. Gives whether each earlier attempt is known to have done nothing:
        one that was sent and not answered may yet be carried out. None when it was told to stop."""
        clear = True
        while not self.stop.is_set():
            try:
                status = self._post(self.random.choice(self.ports), json.dumps(body))
            except ConnectionRefusedError:
                status = 0
            except (OSError, http.client.HTTPException):
                status, clear = 0, False
                self.lost_answers += 1
            if 200 <= status < 300:
                return clear
            if status not in (0, 429, 503):
                raise AssertionError(f"{self.path} answered {status}")
            if status == 503:
                clear = False  # perhaps "not accepted for sure"
                self.put_off += 1
            time.sleep(0.1)
        return None

    def _post(self, port, body):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
        try:
            connection.request("POST", self.path, body, {"Content-Type": "application/json",
                                                         **self.headers})
            return connection.getresponse().status
        finally:
            connection.close()


class Worker(threading.Thread):
    """A client that does something, some times a second, until it is told to finish."""

    def __init__(self, name, client, seed, per_s):
        super().__init__(name=name, daemon=True)
        self.client, self.per_s = client, per_s
        self.random = random.Random(seed)
        self.done = 0
        self.error = None
        self.busy = threading.Lock()  # held while something is under way
        self.ending = threading.Event()

    def run(self):
        try:
            while not self.ending.is_set():
                with self.busy:
                    self.step()
                self.ending.wait(self.random.expovariate(self.per_s))
        except Exception as error:
            self.error = f"{self.name}: {error!r}"

    def finish(self, timeout_s):
        """Ends after what is under way was accepted; gives the problem if there was one."""
        self.ending.set()
        self.join(timeout_s)
        self.client.stop.set()
        if self.is_alive() or self.error:
            return self.error or f"{self.name}: a post is not accepted for {timeout_s} s"
        return None


class Poster(Worker):
    """Posts rows to a feed, and knows in rows what they must be in the end."""

    def __init__(self, name, ports, seed, per_s=6):
        client = Client(ports, f"/ingest/{name}",
                        {"Authorization": f"Bearer {stage.INGEST_TOKEN}"}, seed)
        super().__init__(name, client, seed, per_s)
        self.rows = {}  # {_id: Row}

    def _fields(self, key, **more):
        return {"id": key, "text": f"æøå {self.random.random()}", **more}


class Orders(Poster):
    """Rows with a version column: any order, any number of times, and the greatest version wins."""

    def __init__(self, ports, seed, name="orders", per_s=6):
        super().__init__(name, ports, seed, per_s)
        self.versions = {}
        self.old = []

    def keys(self):
        return [f"o{self.random.randrange(80)}" for _ in range(self.random.randint(1, 4))]

    def deletes(self, key):
        return self.random.random() < 0.2

    def step(self):
        rows, truth_of = [], {}
        for key in self.keys():
            deletes = self.deletes(key)
            # A first version may be one that is refused (mending.py).
            version = self.versions[key] = self.versions.get(key, self.random.randrange(5)) + 1
            if deletes:
                rows.append({"id": key, "version": version, "_delete": True})
                truth_of[key] = Row(version, deleted=True)
                continue
            amount, day = f"{self.random.randrange(10**6) / 100:.2f}", self.random.randint(1, 28)
            row = self._fields(key, version=version, amount=amount, placed=f"2026-02-{day:02}")
            rows.append(row)
            truth_of[key] = Row(version, {**row, "version": Int64(version),
                                          "amount": Decimal128(amount),
                                          "placed": datetime.datetime(2026, 2, day)})
        if self.old and self.random.random() < 0.1:
            self.client.insist(self.random.choice(self.old))  # nothing may come of it
        if self.client.insist(rows) is not None:
            self.rows.update(truth_of)
            self.done += 1
            self.old = [*self.old[-50:], rows]

    def truth(self):
        return Truth(self.name, self.rows)


class Parcels(Orders):
    """Orders that come in great numbers, nearly all of them new: sluice inserts them, but those that it
    knows. flooding: () → whether they do now."""

    def __init__(self, ports, seed, flooding):
        super().__init__(ports, seed, "parcels", per_s=0.4)
        self.flooding = flooding

    def step(self):
        if self.flooding():
            super().step()

    def keys(self):
        count, known = self.random.randint(110, 350), sorted(self.versions)
        keys = [f"p{len(known) + i}" for i in range(count)]
        if known and self.random.random() < 0.4:
            keys += self.random.choices(known, k=count // 30)
        self.random.shuffle(keys)
        return keys

    def deletes(self, key):
        return self.random.random() < (0.4 if key in self.versions else 0.02)


class Notes(Poster):
    """Rows without a version: what is posted after an answer wins. A key of which a post went without
    an answer gets no other row, since that one may arrive late."""

    def __init__(self, ports, seed):
        super().__init__("notes", ports, seed)
        self.counts = {}
        self.keys = [f"n{i}" for i in range(40)]
        self.made = len(self.keys)

    def step(self):
        key = self.random.choice(self.keys)
        n = self.counts[key] = self.counts.get(key, 0) + 1
        if self.random.random() < 0.2:
            row, true = {"id": key, "_delete": True}, Row(n, deleted=True)
        else:
            row = self._fields(key, n=n)
            true = Row(n, {**row, "n": Int64(n)})
        clear = self.client.insist([row])
        if clear is None:
            return
        self.rows[key] = true
        self.done += 1
        if not clear:
            self.keys.remove(key)
            self.keys.append(f"n{self.made}")
            self.made += 1

    def truth(self):
        return Truth("notes", self.rows, column="n")


class Teller(Worker):
    """Changes the table that is read back, and is its webhook: tells each change until it was taken,
    and old ones again."""

    def __init__(self, sim, ports, seed):
        client = Client(ports, "/webhook/hook", {stage.HOOK_HEADER: stage.HOOK_SECRET}, seed)
        super().__init__("teller", client, seed, per_s=3)
        self.sim = sim
        self.old = []

    def step(self):
        op = self.random.choices(list(MIX), list(MIX.values()))[0]
        if op == "update":
            op = "change"
        changed = self._change(op) or self._change("create")
        for row in changed:
            event = {"MessageName": {"create": "Create", "delete": "Delete"}.get(op, "Update"),
                     "PrimaryEntityName": stage.READ_BACK, "PrimaryEntityId": row,
                     "Mode": 1 if self.random.random() < 0.7 else 0}  # asynchronous, or read later
            self.client.insist(event)
            self.old = [*self.old[-50:], event]
        self.done += 1
        if self.random.random() < 0.2:
            self.client.insist(self.random.choice(self.old))

    def _change(self, op):
        return self.sim.dataverse(op, table=stage.READ_BACK, count=self.random.randint(1, 2), **(
            {} if op == "create" else {"seed": self.random.randrange(1, 1 << 30)}))["ids"]


class Traffic:
    """All of it. begin() starts it for so many seconds; finish() waits until it is over."""

    def __init__(self, the_stage, seed):
        self.stage, self.sim = the_stage, the_stage.sim
        self.random = random.Random(seed)
        ports = [the_stage.posting_port(name) for name in the_stage.names[0]]
        self.threads = [Orders(ports, seed + 1), Notes(ports, seed + 2),
                        Teller(self.sim, ports, seed + 3), Parcels(ports, seed + 4, self._flooding)]
        self.orders, self.notes, self.teller, self.parcels = self.threads
        self.began = self.stretch_s = None

    def begin(self, seconds):
        self.began = time.monotonic()
        self.stretch_s = FLOOD_S * max(1, round(seconds / FLOODS_S))
        for name, (_, _, label, company, _, _) in stage.EXPORTS.items():
            self.sim.post("change_rate", {"entity": label, "company": company,
                                          "per_s": stage.CHANGES.get(name, 5), "seconds": seconds})
        self.sim.dataverse("load", tables=list(stage.TABLES), per_s=15, seconds=seconds,
                           seed=self.random.randrange(1, 1 << 30), mix=MIX)
        for thread in self.threads:
            thread.start()

    def grow(self):
        """New records of Finance & Operations."""
        self._grow(self.random.choice(sorted(stage.EXPORTS)), self.random.randint(1, 5))
        if self._flooding():
            self._grow(stage.GROWING, self.random.randint(200, 700))

    def _grow(self, name, count):
        _, _, label, company, _, _ = stage.EXPORTS[name]
        self.sim.post("records", {"entity": label, "company": company, "count": count})

    def _flooding(self):
        return (time.monotonic() - self.began) % self.stretch_s < FLOOD_S

    @contextlib.contextmanager
    def held(self, timeout_s=15):
        """Holds the clients. Gives whether all that they were promised is in MongoDB: nothing of it is
        under way any more."""
        with contextlib.ExitStack() as stack:
            for thread in self.threads:
                stack.enter_context(thread.busy)
            database = self.stage.workspace.db
            promised = (self.orders.truth(), self.notes.truth(),
                        self._read_back(), self.parcels.truth())
            try:
                wait_until(lambda: not any(compare(database, one) for one in promised), timeout_s,
                           "what was promised", 0.3)
                quiet = True
            except (TimeoutError, pymongo.errors.PyMongoError):
                quiet = False
            yield quiet

    def finish(self, timeout_s):
        """The problems of the clients."""
        self.sim.dataverse("load", stop=True)
        return [problem for thread in self.threads if (problem := thread.finish(timeout_s))]

    # --- what is true ---

    def truths(self):
        """The Truth of every collection, as of now."""
        found = {}
        for name, (project, _, label, company, collection, _) in stage.EXPORTS.items():
            rows = found.setdefault(collection, {})
            for key, fields in truth.documents(self.sim, label, company, project).items():
                rows[key] = Row(fields["ChangeNumber"], fields)
        yield from (Truth(collection, rows, "ChangeNumber", ordered=True)
                    for collection, rows in found.items())
        for table in stage.TABLES:
            yield Truth(table, dict(self._rows(table)))
        yield self._read_back()
        for poster in (self.orders, self.parcels, self.notes):
            yield poster.truth()

    def _rows(self, table):
        for line in self.sim.lines(f"dv/truth?table={table}"):
            row = loads(line, json_options=READ)
            yield row["id"], Row(2 * row["versionnumber"], row.get("fields"), "deleted" in row)

    def _read_back(self):
        """Versioned in the order of asking: the row's own stands in a column."""
        rows = {key: dataclasses.replace(one, version=one.version // 2)
                for key, one in self._rows(stage.READ_BACK)}
        return Truth(stage.READ_BACK, rows, "versionnumber")

    def deletions(self):
        """{(table, id): [versions of its deletions]}."""
        found = {}
        for line in self.sim.lines("dv/changes"):
            change = json.loads(line)
            if change["op"] == "delete":
                found.setdefault((change["table"], change["id"]), []).append(
                    2 * change["versionnumber"])
        return found
