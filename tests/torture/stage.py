"""The stage of a torture run: the servers, the network between them, and the sluices."""

import struct

import feeds
from history import keep_history
from process import build_dir, free_port
from programs import SANITIZER_ENV
from proxies import Proxies
from replica_set import MongoSet
from servers import Rabbit, Sim
from workspace import Workspace

INGEST_TOKEN = "the-token-of-the-torture"
HOOK_HEADER, HOOK_SECRET = "x-sluice-key", "the-secret-of-the-torture"

VISIT = [{"name": "new_name", "type": "String"}, {"name": "new_amount", "type": "Money"},
         {"name": "new_count", "type": "Integer"}, {"name": "new_at", "type": "DateTime"}]

BELL_TABLES = ("account", "contact", "product", "salesorder")
POLL_TABLES = ("t000", "t001", "t002")
READ_BACK = "new_visit"
TABLES = (*BELL_TABLES, *POLL_TABLES)
ROWS = 120

# name: (project, its full one, label, company, collection, every)
EXPORTS = {
    "vendors": ("Vendors", "VendorsFull", "Vendors V3", "USMF", "vendors", "2s"),
    "customers": ("Customers", "CustomersFull", "Customers V3", "USMF", "customers", "3s"),
    "customers-de": ("CustomersDe", "CustomersDeFull", "Customers V3", "DEMF", "customers", "3s"),
    "products": ("Products", None, "Released products V2", "USMF", "products", "6s"),
    "items": ("Items", "ItemsFull", "Released products V2", "DEMF", "items", "3s"),
}
RECORDS = {"vendors": 250, "customers": 200, "customers-de": 150, "products": 150, "items": 150}
CHANGES = {"products": 3, "items": 1}  # a second; of the others 5
GROWING = "items"  # gets so many new records that they are inserted (docs/adr/0033-insertions.md)
REFRESHED = [*(name for name, export in EXPORTS.items() if export[1]), *TABLES]  # by sluice refresh
BAD_ROWS = {"untypable": 3, "wrong_columns": 2, "empty_key": 2, "every": 9}

ORDER_TYPES = {"amount": "decimal", "placed": "date"}

REVISIONS = {"vendors": "ChangeNumber", "customers": "ChangeNumber", "products": "ChangeNumber",
             "items": "ChangeNumber", "notes": "n"}
POSTED = ("orders", "parcels", "notes")
COLLECTIONS = ("vendors", "customers", "products", "items", *TABLES, READ_BACK, *POSTED)

# By ingest process: fewer than a hundred rows are never inserted.
BATCH_ROWS = (25, 150)

PATIENCE = {"run_span": "1s", "ledger_deadline": "15s"}


class Stage:
    """Starts everything but the sluices when it is made; close() ends all of it."""

    def __init__(self, directory, seed, ingesters=2, appliers=3, members=3):
        self.dir = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.proxies = Proxies(directory)
        self.rabbit = Rabbit(directory / "rabbit")
        self.mongo = MongoSet(directory / "mongo", members,
                              advertised=lambda index, _: self.proxies.reserve(f"mongo-{index}"))
        self.sim = Sim(directory / "sim", seed=seed, args=["--journal", directory / "journal"])
        self.names = [f"ingest-{i + 1}" for i in range(ingesters)], \
            [f"apply-{i + 1}" for i in range(appliers)]
        self.listeners = {name: free_port() for name in self.names[0]}
        self.workspace = None
        self.sluices = {}
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self):
        self.proxies.start()
        self.rabbit.launch()
        self.mongo.launch()
        self.sim.start()
        for index, member in enumerate(self.mongo.members):
            self.proxies.add(f"mongo-{index}", member.port)
        self.proxies.add("sim", self.sim.port)
        for name, port in self.listeners.items():
            self.proxies.add(f"listener-{name}", port)
        for name in (*self.names[0], *self.names[1]):
            self.proxies.add(f"rabbit-{name}", self.rabbit.port)
        self._make_data()
        self.rabbit.wait_ready()
        self.mongo.wait_ready()
        self.workspace = Workspace(self.dir, self.rabbit, self.mongo)
        self.workspace.shorten_later(1000)
        # The images that the history needs; it is read as it happens.
        self.workspace.client.admin.command("setClusterParameter", {"changeStreamOptions": {
            "preAndPostImages": {"expireAfterSeconds": 600}}})
        self.since = keep_history(self.workspace.db, *COLLECTIONS)

    @property
    def url(self):
        """Where sluice finds Dynamics 365."""
        return f"http://127.0.0.1:{self.proxies.ports['sim']}"

    def posting_port(self, name):
        return self.proxies.ports[f"listener-{name}"]

    # --- Dynamics 365 ---

    def _make_data(self):
        sim = self.sim
        sim.post("switches", {"export_ms": 100, "dv_limit_requests": 10**6, "dv_delay_ms": 5,
                              "dv_limit_execution_ms": 10**9, "hook_lose_percent": 10,
                              "hook_double_percent": 10, "hook_rollback_percent": 3,
                              "hook_disorder": 200})
        for name, (project, full, label, company, _, _) in EXPORTS.items():
            feeds.make_project(sim, project, [label], company,
                               mode="incremental" if full else "full")
            if full:
                feeds.make_project(sim, full, [label], company, mode="full")
            for one in filter(None, (project, full)):
                if name == "vendors":
                    sim.post("switches", {"project": one, "bad_rows": BAD_ROWS})
            feeds.add_records(sim, RECORDS[name], label, company)
        for table in TABLES:
            sim.dataverse("table", table=table, count=ROWS)
        sim.dataverse("table", table=READ_BACK, count=0, tracking=False, columns=VISIT)
        for name in self.names[0]:
            sim.dataverse("webhook", url=f"http://127.0.0.1:{self.posting_port(name)}/webhook/hook",
                          secret={"header": HOOK_HEADER, "value": HOOK_SECRET},
                          tables=list(BELL_TABLES))

    # --- sluice ---

    def _feeds(self):
        wanted = {}
        for name, (project, full, label, company, collection, every) in EXPORTS.items():
            more = {"full_definition_group": full} if full else {}
            wanted[name] = feeds.feed(self.sim, project, label, collection, company, every=every,
                                      start_grace="2s", ledger_deadline="15s",
                                      execution_deadline="30s", url_deadline="15s", **more)
        for table in TABLES:
            wanted[table] = {"source": "crm", "table": table, "collection": table, "every": "1s",
                             "max_interval": "5s", "sweep_limit": 100, **PATIENCE}
        wanted[READ_BACK] = {"source": "hook", "table": READ_BACK, "collection": READ_BACK,
                             **PATIENCE}
        for name in ("orders", "parcels"):
            wanted[name] = {"source": "in", "collection": name, "key": ["id"], "types": ORDER_TYPES,
                            "version": "version", **PATIENCE}
        wanted["notes"] = {"source": "in", "collection": "notes", "key": ["id"], **PATIENCE}
        return wanted

    def config(self, name):
        """The configuration of one process; they differ in the ports that they reach others by."""
        ingesters = self.names[0]
        batch_rows = dict(zip(ingesters, BATCH_ROWS)).get(name, min(BATCH_ROWS))
        auth = {**self.sim.auth(), "authority": self.url}
        listen = f"127.0.0.1:{self.listeners.get(name) or next(iter(self.listeners.values()))}"
        config = self.workspace.config(
            feeds=self._feeds(), role="ingest" if name in ingesters else "apply",
            log={"form": "json"},
            limits={"batch_rows": batch_rows},
            mongo={"lease": "30s"},  # some pauses of the plan are longer
            sources={
                "fno": {"type": "dmf", "url": self.url, "auth": auth, "request_timeout": "10s",
                        "stall_timeout": "5s", **feeds.HASTE},
                "crm": {"type": "dataverse", "url": self.url, "auth": auth, "page_size": 50,
                        "request_timeout": "10s", "budget": {"requests": 100_000}},
                "hook": {"type": "webhook", "listen": listen, "doorbell": "crm",
                         "request_timeout": "10s",
                         "secret": {"header": HOOK_HEADER, "value": HOOK_SECRET}},
                "in": {"type": "ingest", "listen": listen, "token": INGEST_TOKEN,
                       "request_timeout": "10s"},
            })
        port = self.proxies.ports[f"rabbit-{name}"]
        config["broker"].update(url=f"amqp://guest:guest@127.0.0.1:{port}/", connect_timeout="5s",
                                heartbeat="5s")
        config["mongo"].update(write_timeout="10s")
        config["http"] = {"connect_timeout": "5s"}
        return config

    def start_sluices(self, timeout_s=60):
        for name in (*self.names[0], *self.names[1]):
            sluice = self.workspace.sluice(self.config(name), name, start=False)
            sluice.env.update({key: str(value) for key, value in self._clock(name).items()})
            sluice.start()
            self.sluices[name] = sluice
        for sluice in self.sluices.values():
            sluice.wait_ready(timeout_s)
        self.rabbit.settle(*self.workspace.queues[:2], f"{self.workspace.exchange}.events.hook",
                           f"{self.workspace.exchange}.later.hook")

    def _clock(self, name):
        """The environment in which a process has a time of day of its own."""
        self.jump(name, 0)
        return {"LD_PRELOAD": build_dir() / "tests/torture/clock_shift.so",
                "CLOCK_SHIFT_FILE": self.dir / f"{name}.clock",
                "ASAN_OPTIONS": SANITIZER_ENV["ASAN_OPTIONS"] + ":verify_asan_link_order=0"}

    def jump(self, name, seconds):
        """Sets the clock of a process so many seconds off."""
        path = self.dir / f"{name}.clock"
        with open(path, "r+b" if path.exists() else "wb") as file:  # in place: it is mapped
            file.write(struct.pack("=q", seconds))

    def close(self):
        """Gives what went wrong on the way."""
        problems = []
        for end in (lambda: self.workspace and self.workspace.close(tidy=False), self.sim.stop,
                    self.rabbit.stop, self.mongo.stop, self.proxies.stop):
            try:
                end()
            except Exception as error:  # the others must end, too
                problems.append(str(error))
        return problems
