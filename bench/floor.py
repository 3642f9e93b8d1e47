"""./dev bench floor: the CPU time of one change, beside that of a program which carries it and does nothing else
(floor/): once with libmicrohttpd, yajl and libcurl, which sluice uses, and once with sockets alone.

A posted row goes through RabbitMQ into MongoDB. A doorbell is answered, Dataverse asked, a mark written to MongoDB,
and then it goes the same way; the floor's event is a small one, and it asks for changes that are none.
"""

import statistics

import latency
import markdown
import one_change
import report
from latency_cases import CASES, DELAY_MS, TABLE
from peers import Peer
from servers import ROOT, Process, ServerError, free_port
from sim_client import TRACK, Service
from stage import DATABASE, Stage, program
from turns import turns

PAGE = ROOT / "docs/PERFORMANCE.md"
BEGIN = "<!-- ./dev bench floor --publish writes this -->"
ROUNDS, READY_S = 3, 20
WAYS = {"ingest-20": "posted row, 20 a second", "doorbell-15": "doorbell, 15 a second",
        "doorbell-5": "doorbell, 5 a second"}
SLUICE = "sluice"
NAMES = ("sockets", "libraries", SLUICE)


class Floor(Peer):
    """bench-floor. asks: for each change it asks the simulated Dataverse, as after a bell."""

    queue, columns = "floor", False

    def __init__(self, name, asks):
        super().__init__(name)
        self.asks = asks

    def serve(self, stage):
        self.port = free_port()
        url, token = delta(stage) if self.asks else (None, "")
        floor = stage.adopt(Process(f"floor-{self.name}", [
            program("bench/floor/bench-floor"), self.name, self.port, stage.rabbit.url, self.queue,
            stage.mongo.url, DATABASE, *([url] if url else [])], stage.log("floor"), {"TOKEN": token}))
        floor.spawn()
        floor.wait_for(lambda: "ready" in floor.log_tail(), READY_S, "its connections")
        return [floor]

    def target(self):
        return self.port, "/"


def delta(stage):
    """(link, token): what a follower of a table asks for changes with."""
    stage.sim.post("reset")
    stage.sim.post("dv/table", {"table": TABLE, "count": 1})
    stage.sim.post("switches", {"dv_delay_ms": DELAY_MS})
    service = Service(stage.sim)
    return service.get(f"{TABLE}s?$select=name", TRACK).json["@odata.deltaLink"], service.token


def run(options, say):
    if options.publish and options.quick:
        raise ServerError("--publish takes no --quick: the table is of medians")
    outcomes = {case: {name: [] for name in NAMES} for case in WAYS}
    with Stage(say) as stage:
        stage.quick, stage.way = True, None
        stage.start()
        for order in turns(NAMES, 1 if options.quick else ROUNDS):
            for case in WAYS:
                for name in order:
                    outcome = measure(stage, case, name)
                    say(f"{case}: {latency.line(name, outcome)}")
                    outcomes[case][name].append(outcome)
    result = {case: {name: spread([one.cpu_ms_per_change for one in done]) for name, done in by_name.items()}
              for case, by_name in outcomes.items()}
    others = report.others({(case, name): [one.others_cpu for one in done]
                            for case, by_name in outcomes.items() for name, done in by_name.items()})
    meta = {"quick": options.quick, **report.machine(), **others}
    print("\n".join(block(result, meta)))
    say(f"in {report.write('floor.json', {**result, '_meta': meta})}")
    if not options.publish:
        return 0
    if not report.may_publish(meta, say):
        return 1
    markdown.publish(block(result, meta), PAGE, BEGIN)
    return 0


def measure(stage, case, name):
    if name == SLUICE:
        return latency.measure(stage, CASES[case], True)
    return one_change.measure(stage, Floor(name, asks=case != "ingest-20"), True, CASES[case])


def spread(numbers):
    return {"median": round(statistics.median(numbers), 3), "least": round(min(numbers), 3),
            "most": round(max(numbers), 3)}


def block(result, meta):
    yield "\n| CPU ms a change | " + " | ".join(NAMES) + " |\n|---|---:|---:|---:|"
    for case, title in WAYS.items():
        cells = (f"{one['median']:.2f} ({one['least']:.2f} to {one['most']:.2f})" for one in result[case].values())
        yield f"| {title} | " + " | ".join(cells) + " |"
    yield (f"\n{meta['at'][:10]}, {meta['cpus']} CPUs ({meta['cpu']}), medians of {1 if meta['quick'] else ROUNDS} "
           f"rounds (least to most); {meta['sluice']}. {report.others_line(meta)}")
