"""./dev bench latency: from a change in Dynamics 365 until an independent reader sees it in MongoDB."""

import dataclasses
import json
import math
import os
import pathlib
import time

import report
from latency_cases import CASES, DELAY_MS
from latency_reader import Reader
from servers import ServerError, Sluice
from stage import DATABASE, Stage

SEEN_S = 60  # the last change must be seen by then
NUMBERS = ("p50_ms", "p99_ms", "max_ms", "cpu_ms_per_change", "throttled")


@dataclasses.dataclass
class Outcome:
    """What one case has come to."""

    p50_ms: float
    p99_ms: float
    max_ms: float
    cpu_ms_per_change: float
    throttled: int
    changes: int
    seconds: float
    others_cpu: float        # share of the machine that programs outside the benchmark took
    servers_cpu_s: dict
    stages: dict             # sluice's own view: {stage: [p50, p99, max] in ms}, warming up included
    about: dict
    percentiles_ms: list     # the 1st to the 100th


def run(options, say):
    """Gives the exit status: 0 when every change was seen. Goals that are missed are only told."""
    outcomes = {}
    begun = time.monotonic()
    with Stage(say) as stage:
        stage.quick, stage.way = options.quick, options.look
        stage.start()
        for name in options.cases:
            say(f"{name} …")
            outcomes[name] = measure(stage, CASES[name], options.quick)
            say(line(name, outcomes[name]))
    print("\n".join(table(outcomes)))
    complete = set(outcomes) == set(CASES)
    path = save(outcomes, {"quick": options.quick, "seconds": round(time.monotonic() - begun, 1)},
                "latency.json" if complete and not options.look else "latency-part.json")
    say(f"in {path}; all in all {time.monotonic() - begun:.0f} s")
    return 0


# --- a case ---

def measure(stage, case, quick, look=None):
    """One case: a fresh sluice, empty databases, the simulator as after its start. look is shown the sluice at
    the end."""
    stage.clear()
    stage.sim.post("reset")
    case.fill(stage)
    sluice = Sluice(stage.dir, config=case.sluice_config(stage), name=case.name)
    stage.measured = stage.adopt(sluice)
    sluice.start()
    stage.sim.post("switches", {"dv_delay_ms": DELAY_MS, "dv_modified_ms": True})
    case.settle(stage, sluice)
    with Reader(stage.mongo.url, DATABASE, stage.way or case.way) as reader:
        case.prepare(stage, reader)
        meter, cpu_ns, begun = stage.meter(reader=reader), cpu_of(sluice), time.monotonic()
        case.drive(stage, quick)
        seen = reader.seen(SEEN_S)
        seconds, used_s = time.monotonic() - begun, (cpu_of(sluice) - cpu_ns) / 1e9
        servers_cpu_s, others = meter.stop(used_s)
    latencies = latencies_ms(case, seen, sluice.log_tail)
    case.verify(stage)
    throttled, stages = throttled_of(stage), stages_of(sluice)
    if look:
        look(sluice)
    status = sluice.stop()
    if status != 0:
        raise ServerError(f"sluice ended with status {status}\n{sluice.log_tail()}")
    count = len(latencies)
    return Outcome(quantile(latencies, 0.5), quantile(latencies, 0.99), latencies[-1],
                   used_s * 1000 / case.rows_applied(count), throttled, count, seconds, others,
                   servers_cpu_s, stages, case.about(), percentiles(latencies))


def latencies_ms(case, seen, log_tail):
    """Sorted. A change that nobody saw ends the benchmark: then nothing here means anything."""
    changed = case.changed()
    unseen = [key for key in changed if key not in seen]
    if unseen or not changed:
        raise ServerError(f"{case.name}: {len(unseen)} of {len(changed)} changes were not seen "
                          f"within {SEEN_S} s, such as {unseen[:3]}\n{log_tail()}")
    return sorted((seen[key] - at) * 1000 for key, at in changed.items())


def quantile(ordered, share):
    """The smallest value that so many are at or below."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def percentiles(ordered):
    return [round(quantile(ordered, number / 100), 3) for number in range(1, 101)]


def cpu_of(process):
    """Nanoseconds on a CPU so far, user and system, of all its threads."""
    return sum(int((task / "schedstat").read_text().split()[0])
               for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir())


def throttled_of(stage):
    users = stage.sim.get("stats")["dataverse"]["users"]
    return sum(sum(user["throttled"].values()) for user in users.values())


def stages_of(sluice):
    latencies = json.loads(sluice.ops("/status")[1])["latency"]
    return {one["labels"]["stage"]: [one["p50_ms"], one["p99_ms"], one["max_ms"]]
            for one in latencies
            if one["name"] == "stage_seconds" and one["labels"]["lane"] == "fast"}


# --- what is told ---

def line(name, one):
    return (f"{name}: p50 {one.p50_ms:,.1f} ms, p99 {one.p99_ms:,.1f} ms, max {one.max_ms:,.1f} ms, "
            f"{one.cpu_ms_per_change:.3f} CPU ms a change, throttled {one.throttled}; "
            f"{one.changes:,} changes in {one.seconds:.0f} s")


def table(outcomes):
    yield (f"\nsluice bench latency: from the change until a reader sees it, on {os.cpu_count()} "
           f"CPUs; load now {os.getloadavg()[0]:.1f}\n")
    yield (f"  {'case':22}{'p50 ms':>10}{'p99 ms':>10}{'max ms':>10}{'CPU ms':>9}{'429':>6}"
           f"{'changes':>9}{'others':>8}")
    for name, one in outcomes.items():
        yield (f"  {name:22}{one.p50_ms:>10,.1f}{one.p99_ms:>10,.1f}{one.max_ms:>10,.1f}"
               f"{one.cpu_ms_per_change:>9.3f}{one.throttled:>6}{one.changes:>9,}"
               f"{one.others_cpu:>8.0%}")
    yield "\n  where the time goes, as sluice tells: p50/p99 ms of each stage"
    for name, one in outcomes.items():
        yield f"  {name:22}" + "  ".join(f"{stage} {p50:.0f}/{p99:.0f}"
                                         for stage, (p50, p99, _) in one.stages.items())
    yield "\ngoals"
    for name, one in outcomes.items():
        for key, most in CASES[name].goals.items():
            reached = getattr(one, key)
            yield report.goal(f"{name}: {key} at most {most:,}", f"{reached:,.2f}", reached <= most)
    noise = max((one.others_cpu for one in outcomes.values()), default=0)
    if noise > report.NOISE:
        yield (f"\n  Other programs took up to {noise:.0%} of this machine meanwhile: the numbers "
               "are too high.")


def save(outcomes, meta, file):
    result = {name: {key: round(getattr(one, key), 3) for key in NUMBERS}
              for name, one in outcomes.items()}
    cases = {name: {key: value for key, value in vars(one).items() if key not in NUMBERS}
             for name, one in outcomes.items()}
    return report.write(file, {**result, "_meta": {**meta, **report.machine(), "cases": cases}})
