"""The systems that are compared. Each has a name and does one round on an empty database (again.py: on a full one)."""

import dataclasses
import json
import pathlib

from servers import Process, ServerError

from stage import COLLECTION, DATABASE, program, wall, watch

# sluice's defaults: its batches are the limit's batches.
BATCH_ROWS, BATCH_BYTES = 5000, 1024 * 1024


@dataclasses.dataclass
class Round:
    rows: int
    batches: int | None  # where it is known
    seconds: float
    cpu_s: float
    rss_mib: float
    servers_cpu_s: dict
    others_cpu: float  # share of the machine that programs outside the benchmark took
    loop_delay_p99_ms: float | None = None
    loop_delay_p999_ms: float | None = None
    loop_delay_max_ms: float | None = None
    cpu_wait_s: float | None = None  # ready to run, while all CPUs were busy with others

    @property
    def rows_per_s(self):
        return self.rows / self.seconds

    @property
    def cpu_s_per_100k(self):
        return self.cpu_s / self.rows * 1e5


def timeout_s(rows):
    """Ten times what a slow machine needs: a bound, not an expectation."""
    return 120 + rows / 500


class SluiceSystem:
    """Package, RabbitMQ, MongoDB: the whole way, by one fresh sluice process. exact: its documents are
    compared byte by byte."""

    exact, cell = True, None

    def __init__(self, content):
        self.name = f"sluice-{content}"
        self.content = content

    def round(self, stage, rows, _documents, tell=None):
        """The clock runs from the package being ready until an outside reader sees the last document
        and sluice has entered the last batch in its ledger. The CPU seconds are those of the whole
        process, its start included."""
        built = stage.packages_built()
        meter = stage.meter()
        sluice = stage.sluice(self.content)
        sluice.start()
        seen = watch(stage, rows, [sluice], timeout_s(rows), tell)
        sluice.wait_for(lambda: _in_ledger(stage) == rows, 60, "the ledger's last entry")
        cpu_s, rss_mib = sluice.cpu_s(), sluice.peak_rss_mib()
        cpu_wait_s = _cpu_wait_s(sluice)
        servers, others = meter.stop(cpu_s)
        delay = _loop_delay(sluice)
        if stage.packages_built() != built:
            raise ServerError("the package was built anew within a measured round")
        end = max(seen, _last_entry(stage))
        seconds = end - stage.export_finished()
        batches = stage.state["ledger"].count_documents({})
        _finish(stage, sluice)
        return Round(rows, batches, seconds, cpu_s, rss_mib, servers, others, delay["p99_ms"],
                     delay["p999_ms"], delay["max_ms"], cpu_wait_s)


def _in_ledger(stage):
    total = stage.state["ledger"].aggregate([{"$group": {"_id": None, "rows": {"$sum": "$rows"}}}])
    return sum(one["rows"] for one in total)


def _last_entry(stage):
    newest = stage.state["ledger"].find_one({}, {"at": 1}, sort=[("at", -1)])
    return wall(newest["at"].isoformat() + "+00:00")


def _loop_delay(sluice):
    status = json.loads(sluice.ops("/status")[1])
    return next(one for one in status["latency"] if one["name"] == "loop_delay_seconds")


def _cpu_wait_s(process):
    """sluice has one thread, so its first one's wait is all there is."""
    return int(pathlib.Path(f"/proc/{process.pid}/schedstat").read_text().split()[1]) / 1e9


def _finish(stage, sluice):
    """Its run must end in order, without a dead letter, and so must the process."""
    sluice.wait_for(lambda: stage.state["runs"].find_one({"state": "done"}), 60, "the run's end")
    letter = stage.state["dead"].find_one()
    if letter:
        raise ServerError(f"sluice has written a dead letter: {letter}")
    status = sluice.stop()
    if status != 0:
        raise ServerError(f"sluice ended with status {status}\n{sluice.log_tail()}")


class LimitSystem:
    """libmongoc alone. form: bulk (guarded upserts by its bulk API), plain (the same without the guard),
    insert (no upserts), or command (whole guarded commands, built beforehand)."""

    exact, cell = True, None

    def __init__(self, connections, form="bulk"):
        self.name = f"limit-{connections}" + ("" if form == "bulk" else f"-{form}")
        self.connections, self.form = connections, form

    def round(self, stage, rows, documents, tell=None):
        """The clock runs from the first batch until the last reply, or until an outside reader sees
        the last document, whichever is later."""
        meter = stage.meter()
        log = stage.log(self.name)
        limit = stage.adopt(Process(self.name, [
            program("bench/limit/bench-limit"), stage.mongo.url, DATABASE, COLLECTION, documents,
            self.connections, BATCH_ROWS, BATCH_BYTES, self.form], log))
        limit.spawn()
        seen = watch(stage, rows, [limit], timeout_s(rows), tell)
        if limit.wait(60) != 0:
            raise ServerError(f"{self.name} failed\n{limit.log_tail()}")
        told = json.loads(log.read_text())
        servers, others = meter.stop(told["cpu_s"])
        if told["written"] != rows:
            raise ServerError(f"{self.name} has written {told['written']} of {rows} documents")
        return Round(rows, told["batches"], max(told["end"], seen) - told["begin"], told["cpu_s"],
                     told["rss_kib"] / 1024, servers, others)


SYSTEMS = {system.name: system for system in (
    SluiceSystem("json"), SluiceSystem("bson"), LimitSystem(1), LimitSystem(2), LimitSystem(4),
    LimitSystem(1, "plain"), LimitSystem(2, "plain"), LimitSystem(4, "plain"),
    LimitSystem(2, "insert"), LimitSystem(2, "command"))}
