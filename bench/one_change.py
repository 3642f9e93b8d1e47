"""The latency of one change, for sluice and its peers: an order is posted, 20 times a second, and an
independent reader waits until it is in MongoDB. The same posts, the same reader, the same measure of CPU time.
"""

import statistics
import time

import latency
from latency_cases import CASES, Posted
from latency_reader import ANY, Reader
from peers import PEERS
from stage import DATABASE
from turns import turns

SLUICE, CASE = "sluice-json", CASES["ingest-20"]
NUMBERS = ("p50_ms", "p99_ms", "cpu_ms_per_change")


class PostedToPeer(Posted):
    """As ingest-20, to a peer; its documents bear no version."""

    version = ANY

    def __init__(self, peer, like):
        super().__init__(peer.name, like.per_s, like.changes, like.quick_changes)
        self.port, self.path = peer.target()
        self.accepted, self.exact, self.columns = peer.accepted, peer.exact, peer.columns

    def verify(self, stage):
        if self.columns:
            super().verify(stage)


def measure(stage, peer, quick, like=CASE):
    """One round of a peer, with as many posts as a case has changes; latency.measure does the same for sluice."""
    stage.clear()
    peer.clean(stage)
    processes = peer.serve(stage)
    case = PostedToPeer(peer, like)
    with Reader(stage.mongo.url, DATABASE, case.way) as reader:
        case.prepare(stage, reader)
        meter, before_ns, begun = stage.meter(reader=reader), cpu_ns(processes), time.monotonic()
        case.drive(stage, quick)
        seen = reader.seen(latency.SEEN_S)
        seconds, used_s = time.monotonic() - begun, (cpu_ns(processes) - before_ns) / 1e9
        servers_cpu_s, others = meter.stop(used_s)
    ordered = latency.latencies_ms(case, seen, lambda: "\n".join(one.log_tail() for one in processes))
    case.verify(stage)
    for one in processes:
        one.kill()
    return latency.Outcome(latency.quantile(ordered, 0.5), latency.quantile(ordered, 0.99), ordered[-1],
                           used_s * 1000 / len(ordered), 0, len(ordered), seconds, others,
                           servers_cpu_s, {}, {}, latency.percentiles(ordered))


def cpu_ns(processes):
    return sum(latency.cpu_of(one) for one in processes)


def run(stage, systems, rounds, quick):
    """{system: its Outcomes}, of sluice and those peers that are among systems; each begins a round in turn."""
    names = [name for name in (SLUICE, *PEERS) if name in systems and name != "bento-csv"]
    outcomes = {name: [] for name in names}
    stage.quick, stage.way = quick, None
    for number, order in enumerate(turns(names, rounds)):
        for name in order:
            one = (latency.measure(stage, CASE, quick) if name == SLUICE
                   else measure(stage, PEERS[name], quick))
            outcomes[name].append(one)
            stage.say(f"one change, round {number + 1} of {rounds}, {latency.line(name, one)}")
    return outcomes


def percentiles(outcomes):
    """{system: the 1st to the 100th percentile, each the median of all rounds}."""
    return {name: [statistics.median(numbers) for numbers in zip(*(one.percentiles_ms for one in done))]
            for name, done in outcomes.items()}


def medians(outcomes):
    return {name: {number: round(statistics.median(getattr(one, number) for one in done), 3)
                   for number in NUMBERS} for name, done in outcomes.items()}
