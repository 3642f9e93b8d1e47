"""Everything that a benchmark runs on: a folder, RabbitMQ, mongod, the simulator, the data.

The servers' own files lie in a temporary folder. What is dear to make, packages and prepared
documents, is kept in build/bench-cache for the next run.
"""

import datetime
import json
import pathlib
import shutil
import tempfile
import time
import urllib.request
import uuid
import zipfile

from servers import ROOT, Mongo, Rabbit, ServerError, Sim, Sluice, build_dir
from sim_client import Service

from meter import Meter

CACHE = ROOT / "build/bench-cache"
FAILED = ROOT / "build/bench-failed"
LABEL, COMPANY, PROJECT, FEED = "Bench rows", "USMF", "Bench", "bench"
DATABASE, STATE_DATABASE, COLLECTION = "bench", "sluice", "rows"
SEED = 2026
ACTIONS = "/data/DataManagementDefinitionGroups/Microsoft.Dynamics.DataEntities."
# How servers run, for every system alike: on few cores, loop delay would measure the scheduler. A nice process may still
# keep a CPU until the next tick, one of SCHED_IDLE gives way at once, also to programs of others.
NICE, GIVE_WAY = ("nice", "-n", "5"), ("chrt", "--idle", "0")


class _CachedSim(Sim):
    """The simulator with its packages in the cache, where a later run finds them again."""

    def __init__(self, directory):
        packages = CACHE / "packages"
        packages.mkdir(parents=True, exist_ok=True)
        super().__init__(directory, seed=SEED)
        self.args[self.args.index("--dir") + 1] = str(packages)


class Stage:
    """A context: at its end no process and no folder is left but the cache, and after a failure the
    logs of all programs."""

    def __init__(self, say, cache_gb=1, give_way=False):
        """give_way: the servers, the simulator among them, leave the CPUs to the measured system."""
        self.say, self.give_way = say, give_way
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="sluice-bench-"))
        self.rabbit = Rabbit(self.dir / "rabbitmq")
        self.mongo = Mongo(self.dir / "mongod", cache_gb=cache_gb)
        self.sim = _CachedSim(self.dir / "d365")
        self.client = None
        self.types = {}      # column -> type, of those that are not strings
        self.renewed = None  # tells how many rows are written, when all documents are there before
        self.sluices = self.logs = 0
        self._children = []  # what rounds have started

    def start(self):
        self.say("starting RabbitMQ, mongod and the simulated Dynamics 365")
        servers = [self.rabbit.server, self.mongo.server, *([self.sim] if self.give_way else [])]
        for server in servers:
            server.args = [*(GIVE_WAY if self.give_way else NICE), *server.args]
        self.rabbit.launch()
        self.mongo.launch()
        self.sim.start()
        self.mongo.wait_ready()
        self.rabbit.wait_ready()
        self.client = self.mongo.connect()
        columns = self.sim.get("entities")[LABEL]["columns"]
        self.types = {name: kind for name, kind in columns.items() if kind != "string"}

    def __enter__(self):
        return self

    def __exit__(self, kind, _error, _trace):
        if kind and issubclass(kind, Exception):
            self._keep_logs()
        if self.client:
            self.client.close()
        for part in (*self._children, self.sim, self.rabbit, self.mongo):
            part.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def _keep_logs(self):
        shutil.rmtree(FAILED, ignore_errors=True)
        for log in self.dir.rglob("*.log"):
            kept = FAILED / log.relative_to(self.dir)
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(log, kept)
        self.say(f"the logs are kept in {FAILED.relative_to(ROOT)}")

    # --- the data ---

    def fill(self, rows, timeout_s):
        """Makes the records and their package, so that no export that is measured has to be built."""
        self.sim.post("records", {"entity": LABEL, "company": COMPANY, "count": rows})
        self.sim.post("project", {"name": PROJECT, "company": COMPANY, "mode": "full",
                                  "entities": [LABEL]})
        self.say(f"making the package of {rows:,} rows (it is kept in {CACHE.relative_to(ROOT)})")
        self._export(f"warm-{uuid.uuid4()}")
        self.sim.wait_for(lambda: self.export()["finished"], timeout_s, "the package")

    def export(self):
        """The newest execution, as the simulator tells of it."""
        return self.sim.get("executions")[-1]

    def export_finished(self):
        """The wall clock, in seconds, at the moment from which the newest package could be had."""
        return wall(self.export()["finished_at"])

    def package(self):
        """The package's own file, for those who do not ask over HTTP; none while nothing was made."""
        size = self.export()["package_bytes"] if self.sim.get("executions") else None
        return next((path for path in (CACHE / "packages").rglob("*")
                     if path.is_file() and path.stat().st_size == size), None)

    def csv_file(self):
        """The file of rows in the package, unzipped once."""
        path, package = self.dir / "rows.csv", self.package()
        if package and not path.exists():
            with zipfile.ZipFile(package) as opened, opened.open(f"{LABEL}.csv") as rows, \
                    open(path, "wb") as out:
                shutil.copyfileobj(rows, out)
        return path

    def inflated_bytes(self):
        """The size of what is in the package, as its own directory tells."""
        with zipfile.ZipFile(self.package()) as opened:
            return sum(part.file_size for part in opened.infolist())

    def packages_built(self):
        return self.sim.get("stats")["packages_built"]

    def _export(self, execution_id):
        """Asks for an export as any client does."""
        body = json.dumps({"definitionGroupId": PROJECT, "packageName": execution_id,
                           "executionId": execution_id, "reExecute": False,
                           "legalEntityId": COMPANY}).encode()
        request = urllib.request.Request(f"{self.sim.url}{ACTIONS}ExportToPackage", body, {
            "Authorization": f"Bearer {Service(self.sim).token}", "Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=30).close()

    # --- what is measured ---

    @property
    def documents(self):
        return self.client[DATABASE][COLLECTION]

    @property
    def state(self):
        return self.client[STATE_DATABASE]

    def written(self):
        """How many rows are written. Of an empty collection its metadata tell: looking often costs next to nothing."""
        return self.renewed() if self.renewed else self.documents.estimated_document_count()

    def clear(self):
        """An empty database, and nothing of the one before left to be written."""
        self.renewed = None
        for name in (DATABASE, STATE_DATABASE):
            self.client.drop_database(name)
        self.client.admin.command("fsync")

    def sluice(self, content):
        """A sluice with default settings, but for the form of its messages and for poll_interval: how soon a finished
        package is noticed is a setting, and would be added to the seconds of a load."""
        self.sluices += 1
        return self.adopt(Sluice(self.dir, name=f"sluice-{self.sluices}",
                                 config=self.sluice_config(content)))

    def sluice_config(self, content):
        return {"broker": {"url": self.rabbit.url, "content": content},
                "mongo": {"url": self.mongo.url, "database": DATABASE,
                          "state_database": STATE_DATABASE},
                "sources": {"fno": {"type": "dmf", "url": self.sim.url, "auth": self.sim.auth(),
                                    "poll_interval": "50ms"}},
                "feeds": {FEED: {"source": "fno", "definition_group": PROJECT,
                                 "legal_entity": COMPANY, "every": "1d",
                                 "entities": {LABEL: {"collection": COLLECTION,
                                                      "key": ["dataAreaId", "RowKey"],
                                                      "types": self.types}}}}}

    def adopt(self, process):
        """From now on the end of the context ends it, too."""
        self._children.append(process)
        return process

    def log(self, name):
        """A file for what a process of this round has to say."""
        self.logs += 1
        return self.dir / f"{name}-{self.logs}.log"

    def meter(self, **others):
        """others: further {name: process} that take part."""
        return Meter({"mongod": self.mongo.server, "rabbitmq": self.rabbit.server,
                      "sim": self.sim, **others})


def watch(stage, rows, processes, timeout_s, tell=None):
    """Looks at the collection until so many rows are written; gives the wall clock then. Fails at once when one of the
    processes has."""
    deadline = time.monotonic() + timeout_s
    told = time.monotonic()
    while (count := stage.written()) < rows:
        if time.monotonic() > deadline:
            raise ServerError(f"{count:,} of {rows:,} documents after {timeout_s:.0f} s\n"
                              + "\n".join(f"{one.name}: {one.log_tail()}" for one in processes))
        for one in processes:
            if one.child.poll() not in (None, 0):
                raise ServerError(f"{one.name} ended with status {one.child.returncode} after "
                                  f"{count:,} of {rows:,} documents\n{one.log_tail()}")
        if tell and time.monotonic() - told >= 5:
            told = time.monotonic()
            tell(count)
        time.sleep(0.02)
    return time.time()


def wall(text):
    """The wall clock, in seconds, of an ISO time."""
    return datetime.datetime.fromisoformat(text).timestamp()


def program(name):
    """A program of this build."""
    path = build_dir() / name
    if not path.is_file():
        raise ServerError(f"{path} is not built; ./dev build makes it")
    return path
