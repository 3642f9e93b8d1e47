"""./dev bench idle: what sluice takes while nothing is to be done, and how long its start takes, with one feed and
with 300.
"""

import dataclasses
import http.client
import statistics
import time

import goals
import report
from latency import cpu_of
from meter import ended_cpu_s
from servers import Sluice
from stage import COLLECTION, LABEL, PROJECT, Stage

FEEDS = (1, 300)
STARTS, QUICK_STARTS = 9, 5
SECONDS, QUICK_SECONDS = 60, 15
SETTLE_S = 12       # leases are taken, the first signs of life are given
READY_S = 30        # a start may take so long before the run has failed
LOOK_EVERY_S = 0.001


@dataclasses.dataclass
class Idle:
    start_ms: float      # from the call until /readyz says 200, the median; the databases know it already
    first_ms: float      # the same on empty databases
    cpu_percent: float = 0   # of one core
    wakes_per_s: float = 0   # how often it was put on a CPU
    rss_mib: float = 0
    others_cpu: list = dataclasses.field(default_factory=list)  # while it started, while it rested


def run(options, say):
    with Stage(say) as stage:
        stage.start()
        result = measure(stage, options.quick)
    print("\n".join(table(result)))
    path = report.write("idle.json", {**keys(result), "_meta": {
        "quick": options.quick, **report.others(shares(result)),
        **report.machine(), "feeds": {count: vars(one) for count, one in result.items()}}})
    say(f"in {path}")
    return 0


def measure(stage, quick):
    """{feeds: Idle}"""
    return {count: by_feeds(stage, count, quick) for count in FEEDS}


def measure_goals(stage, quick):
    """The same, without the rest of the least feeds, of which no goal tells."""
    return {count: by_feeds(stage, count, quick, count == max(FEEDS)) for count in FEEDS}


def keys(result):
    """What latest.json has of it: the start of the least and the rest of the most feeds."""
    return {"idle_cpu_percent": round(result[max(FEEDS)].cpu_percent, 4),
            "start_ms": round(result[min(FEEDS)].start_ms, 1),
            "start_300_ms": round(result[max(FEEDS)].start_ms, 1)}


def shares(result):
    return {f"idle-{count}": one.others_cpu for count, one in result.items()}


def table(result):
    yield (f"\n  {'idle, by feeds':20}{'CPU %':>8}{'wakes/s':>9}{'start ms':>10}{'first ms':>10}"
           f"{'peak MiB':>10}{'others':>8}")
    for count, one in result.items():
        yield (f"  {count:>20}{one.cpu_percent:>8.3f}{one.wakes_per_s:>9.1f}{one.start_ms:>10.1f}"
               f"{one.first_ms:>10.1f}{one.rss_mib:>10.1f}{max(one.others_cpu):>8.0%}")
    yield "\ngoals"
    yield from goals.at_rest(keys(result))


# --- a number of feeds ---

def config(stage, count):
    """So many feeds of packages, each with a collection of its own; none is due."""
    content = stage.sluice_config("json")
    one = next(iter(content["feeds"].values()))
    del one["every"]
    past = time.gmtime(time.time() - 3600)
    daily = f"{past.tm_min} {past.tm_hour} * * *"  # due in 23 hours
    content["feeds"] = {
        f"bench{number}": {**one, "cron": daily, "definition_group": f"{PROJECT}-{number}",
                           "entities": {LABEL: {**one["entities"][LABEL],
                                                "collection": f"{COLLECTION}{number}"}}}
        for number in range(count)}
    return content


def by_feeds(stage, count, quick, rests=True):
    stage.clear()
    sluice = stage.adopt(Sluice(stage.dir, name=f"idle-{count}", config=config(stage, count)))
    starts, meter, ended_s = [], stage.meter(), ended_cpu_s()
    for _ in range(1 + (QUICK_STARTS if quick else STARTS)):
        sluice.stop()
        starts.append(start(sluice))
    _, others = meter.stop(ended_cpu_s() - ended_s + sluice.cpu_s())
    one = Idle(statistics.median(starts[1:]), starts[0], others_cpu=[others])
    if rests:
        rest(stage, sluice, QUICK_SECONDS if quick else SECONDS, one)
    stage.say(f"{count} feeds: start {one.start_ms:.0f} ms"
              + (f", {one.cpu_percent:.3f} % of a core" if rests else ""))
    sluice.stop()
    return one


def rest(stage, sluice, seconds, one):
    time.sleep(SETTLE_S)
    meter, cpu_ns, wakes, begun = stage.meter(), cpu_of(sluice), switches(sluice), time.monotonic()
    time.sleep(seconds)
    took_s, used_s = time.monotonic() - begun, (cpu_of(sluice) - cpu_ns) / 1e9
    one.cpu_percent, one.wakes_per_s = used_s / took_s * 100, (switches(sluice) - wakes) / took_s
    one.others_cpu.append(meter.stop(used_s)[1])
    one.rss_mib = sluice.peak_rss_mib()


def switches(process):
    """How often it waited for something and was woken."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as lines:
        return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt"))


def start(sluice):
    """Milliseconds from the call until it is ready, by a reader that asks each millisecond."""
    host, port = sluice.config["ops"]["listen"].split(":")
    begun = time.monotonic()
    sluice.spawn()
    while not ready(host, int(port)):
        if time.monotonic() - begun > READY_S:
            sluice.wait_ready(1)  # says what it is
        time.sleep(LOOK_EVERY_S)
    return (time.monotonic() - begun) * 1000


def ready(host, port):
    line = http.client.HTTPConnection(host, port, timeout=2)
    try:
        line.request("GET", "/readyz")
        return line.getresponse().status == 200
    except OSError:
        return False
    finally:
        line.close()
