"""What sluice's users would take instead: Bento, and a pipeline made by hand (peers/).

A peer is a few processes of its own between the same RabbitMQ and the same mongod. serve() starts those
that wait for rows, which is all that the latency of one change needs; round() carries the whole package.
"""

import signal
import time
import urllib.request

from servers import ROOT, Process, ServerError, free_port

from stage import DATABASE, watch
from systems import Round, timeout_s

SOURCES = ROOT / "bench/peers"
TOOLS = ROOT / "build/tools/bench"
READY_S = 60
GO_ENV = {"GOGC": "400"}  # a quarter less CPU time for Bento, for twice the memory


class Peer:
    """Its documents have their columns in an order of their own, and no _sluice. cell, when there is one, tells
    what it makes of a text."""

    exact, cell = False, None
    columns = True  # what is posted becomes a document with its columns
    queue, tools = None, ()
    accepted = 202  # the status of a post that was taken

    def __init__(self, name):
        self.name = name

    def serve(self, stage):
        """Starts what waits for rows, and waits until it does. Gives the processes."""
        raise NotImplementedError

    def feeder(self, stage, processes):
        """Makes ready what brings the package, a process of its own or none; gives how to begin."""
        raise NotImplementedError

    def round(self, stage, rows, _documents, tell=None):
        """The clock runs from the moment at which all processes are up and the reading begins, until an
        outside reader sees the last document. CPU seconds and memory are those of all processes; those
        before the clock, the start, are left out."""
        self.clean(stage)
        processes = self.serve(stage)
        begin = self.feeder(stage, processes)
        meter = stage.meter()
        before_s = sum(one.cpu_s() for one in processes)
        begun = time.time()
        begin()
        seen = watch(stage, rows, processes, timeout_s(rows), tell)
        cpu_s = sum(one.cpu_s() for one in processes) - before_s
        servers, others = meter.stop(cpu_s)
        rss_mib = sum(one.peak_rss_mib() for one in processes)
        for one in processes:
            one.kill()
        return Round(rows, None, seen - begun, cpu_s, rss_mib, servers, others)

    def clean(self, stage):
        """A queue of the same kind as sluice's, with nothing left in it."""
        connection = stage.rabbit.connect()
        channel = connection.channel()
        channel.queue_delete(self.queue)
        channel.queue_declare(self.queue, durable=True, arguments={"x-queue-type": "quorum"})
        connection.close()


class Bento(Peer):
    """One process with its streams; package is the stream that reads, and what it reads."""

    queue, accepted, tools = "bento", 200, ("bento",)

    @staticmethod
    def cell(text):
        """Go's CSV reader, which is Bento's, knows no CRLF within a cell: it takes the CR away."""
        return text.replace("\r\n", "\n")

    def __init__(self, name, package):
        super().__init__(name)
        self.package = package

    def serve(self, stage):
        folder = SOURCES / "bento"
        self.port = free_port()
        bento = stage.adopt(Process(self.name, [
            tool("bento"), "-c", folder / "streams.yaml", "streams", folder / "apply.yaml",
            folder / "ingest-http.yaml"], stage.log(self.name), {
                **GO_ENV, "HTTP_ADDRESS": f"127.0.0.1:{self.port}", "FOLDER": folder,
                "RABBIT_URL": stage.rabbit.url, "MONGO_DATABASE": DATABASE,
                "MONGO_URL": f"{stage.mongo.url}&retryWrites=false",
                "PACKAGE": stage.package(), "CSV_FILE": stage.csv_file()}))
        bento.spawn()
        bento.wait_for(lambda: answers(f"http://127.0.0.1:{self.port}/ready"), READY_S,
                       "all streams being connected")
        return [bento]

    def feeder(self, stage, processes):
        """Its API takes one more stream."""
        def begin():
            url = f"http://127.0.0.1:{self.port}/streams/{self.package}"
            config = (SOURCES / f"bento/{self.package}.yaml").read_bytes()
            urllib.request.urlopen(urllib.request.Request(url, config), timeout=30).close()
        return begin

    def target(self):
        """(port, path) of posts of one order."""
        return self.port, "/ingest-http/orders"


class Pipeline(Peer):
    """pandas, an API and a consumer in Go."""

    queue, tools = "pipeline", ("pipeline-api", "pipeline-consumer", "venv/bin/python")

    def serve(self, stage):
        self.port = free_port()
        env = {**GO_ENV, "RABBIT_URL": stage.rabbit.url, "MONGO_URL": stage.mongo.url,
               "MONGO_DATABASE": DATABASE, "LISTEN": f"127.0.0.1:{self.port}"}
        processes = [stage.adopt(Process(f"{self.name}-{part}", [tool(f"pipeline-{part}")],
                                         stage.log(f"{self.name}-{part}"), env))
                     for part in ("consumer", "api")]
        consumer, api = processes
        consumer.spawn()
        consumer.wait_for(lambda: "ready" in consumer.log_tail(), READY_S, "its queue")
        api.spawn()
        api.wait_for(lambda: answers(f"http://127.0.0.1:{self.port}/healthz"), READY_S, "an answer")
        return processes

    def feeder(self, stage, processes):
        poster = stage.adopt(Process(f"{self.name}-post", [
            python(), SOURCES / "pipeline/post.py", stage.package(),
            f"http://127.0.0.1:{self.port}/rows/bench"], stage.log(f"{self.name}-post")))
        poster.spawn()
        poster.wait_for(lambda: "ready" in poster.log_tail(), READY_S, "pandas")
        processes.append(poster)
        return lambda: poster.signal(signal.SIGUSR1)

    def target(self):
        return self.port, "/rows/orders"


def answers(url):
    try:
        urllib.request.urlopen(url, timeout=5).close()
        return True
    except OSError:
        return False


def missing():
    """{peer: the program that it lacks}, of those that were not built."""
    return {name: part for name, peer in PEERS.items() for part in peer.tools
            if not (TOOLS / part).is_file()}


def tool(name):
    path = TOOLS / name
    if not path.is_file():
        raise ServerError(f"{path} is not there; ./dev setup bench makes it")
    return path


def python():
    """The peers' own environment: what they need is nothing that tests should find."""
    return tool("venv/bin/python")


PEERS = {peer.name: peer for peer in (
    Bento("bento", "ingest-zip"), Bento("bento-csv", "ingest-csv"), Pipeline("pipeline"))}
