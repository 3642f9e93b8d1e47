"""./dev bench growth: how cost grows with the size of a package, with the number of feeds, and with the number
of processes that apply from one queue.
"""

import time

import latency
import markdown
import plots
import report
from latency_cases import Posted
from memory import check_disk
from peers import missing
from prepared import verify_sample
from servers import ROOT, ServerError, Sluice
from stage import Stage, watch
from systems import timeout_s
from throughput import SYSTEMS

ROWS, QUICK_ROWS = (10_000, 100_000, 1_000_000, 10_000_000), (10_000, 100_000)
# Bento holds a zip in memory, many times its size: a million rows did not end within ten minutes. The others grow with
# nothing, and take their time.
PEERS_MOST = {"pipeline": 100_000, "bento-csv": 100_000, "bento": 100_000}
FEEDS, QUICK_FEEDS = (1, 10, 100, 1000), (1, 100)
APPLIERS, APPLIER_ROWS, QUICK_APPLIER_ROWS = (1, 2, 4), 400_000, 60_000
SCALING = ROOT / "docs/SCALING.md"
GROWTH_BEGIN = "<!-- ./dev bench growth --publish writes this -->"
NUMBERS = ("rows_per_s", "cpu_s_per_100k", "rss_mib", "others_cpu")


def run(options, say):
    if options.publish and options.quick:
        raise ServerError("--publish takes no --quick: the table is of all sizes")
    result, begun = {"rows": {}, "feeds": {}, "appliers": {}}, time.monotonic()
    for rows in QUICK_ROWS if options.quick else ROWS:
        by_rows(result["rows"], rows, say)
    with Stage(say) as stage:
        stage.start()
        for count in QUICK_FEEDS if options.quick else FEEDS:
            result["feeds"][count] = by_feeds(stage, count, options.quick)
    rows = QUICK_APPLIER_ROWS if options.quick else APPLIER_ROWS
    with Stage(say) as stage:
        stage.start()
        stage.fill(rows, 600)
        for count in APPLIERS:
            result["appliers"][count] = by_appliers(stage, count, rows)
    print("\n".join(table(result)))
    meta = {"quick": options.quick, **report.others(shares(result)), **report.machine()}
    path = report.write("growth.json", {**result, "_meta": meta})
    say(f"in {path}; all in all {time.monotonic() - begun:.0f} s")
    return publish(result, meta, say) if options.publish else 0


def publish(result, meta, say):
    if not report.may_publish(meta, say):
        return 1
    markdown.publish(block(result, meta), SCALING, GROWTH_BEGIN)
    plots.draw(say)
    return 0


def shares(result):
    measured = [*result["feeds"].values(), *result["appliers"].values(),
                *(one for sizes in result["rows"].values() for one in sizes.values())]
    return {number: [one["others_cpu"]] for number, one in enumerate(measured)}


# --- rows ---

def by_rows(result, rows, say):
    """One round of each system, on a stage of its own: packages of other sizes are other data."""
    peers = [name for name, most in PEERS_MOST.items() if name not in missing() and rows <= most]
    with Stage(say) as stage:
        check_disk(stage.dir, rows)
        stage.start()
        stage.fill(rows, 3600)
        for name in ("sluice-json", *peers):
            stage.clear()
            system = SYSTEMS[name]
            one = system.round(stage, rows, None)
            verdict = verify_sample(stage, rows, system.exact, system.cell)
            if not verdict.good:
                raise ServerError(f"{rows:,} rows, {name}: {verdict}")
            say(f"{rows:,} rows, {name}: {one.rows_per_s:,.0f} rows/s, {one.rss_mib:.0f} MiB; {verdict}")
            result.setdefault(name, {})[rows] = {key: round(getattr(one, key), 3) for key in NUMBERS}


# --- feeds ---

class PostedToFeeds(Posted):
    """As ingest-20, each post to the next of so many feeds."""

    def __init__(self, feeds):
        super().__init__(f"feeds-{feeds}", 20, 500, 240)
        self.feeds, self.posts = feeds, 0

    def config(self, stage):
        config = super().config(stage)
        one = config["feeds"].pop("orders")
        config["feeds"] = {f"orders{number}": {**one, "collection": "orders"}
                           for number in range(self.feeds)}
        return config

    def post(self, order, counts):
        self.path = f"/ingest/orders{self.posts % self.feeds}"
        self.posts += 1
        super().post(order, counts)


def by_feeds(stage, count, quick):
    case = PostedToFeeds(count)
    stage.quick, stage.way = quick, None
    rss_mib = []
    one = latency.measure(stage, case, quick, lambda sluice: rss_mib.append(sluice.peak_rss_mib()))
    stage.say(latency.line(case.name, one))
    return {"p50_ms": round(one.p50_ms, 3), "p99_ms": round(one.p99_ms, 3),
            "cpu_ms_per_change": round(one.cpu_ms_per_change, 3), "rss_mib": round(rss_mib[0], 1),
            "others_cpu": round(one.others_cpu, 3)}


# --- appliers ---

def by_appliers(stage, count, rows):
    """One process reads the package, so many apply from the queue; all CPU time counts."""
    stage.clear()
    config = stage.sluice_config("json")
    appliers = [stage.adopt(Sluice(stage.dir, name=f"apply-{count}-{number}",
                                   config={**config, "role": "apply"})) for number in range(count)]
    for one in appliers:
        one.start(30)
    ingest = stage.adopt(Sluice(stage.dir, name=f"ingest-{count}", config={**config, "role": "ingest"}))
    every = [ingest, *appliers]
    meter = stage.meter()
    before_s = sum(one.cpu_s() for one in appliers)
    ingest.start()
    seen = watch(stage, rows, every, timeout_s(rows))
    seconds = seen - stage.export_finished()
    cpu_s, rss_mib = sum(one.cpu_s() for one in every), max(one.peak_rss_mib() for one in every)
    _, others = meter.stop(cpu_s - before_s)
    verdict = verify_sample(stage, rows)
    for one in every:
        if one.stop() != 0:
            raise ServerError(f"{one.name} did not end in order\n{one.log_tail()}")
    if not verdict.good:
        raise ServerError(f"{count} appliers: {verdict}")
    stage.say(f"{count} appliers: {rows / seconds:,.0f} rows/s")
    return {"rows_per_s": round(rows / seconds, 1), "cpu_s_per_100k": round(cpu_s / rows * 1e5, 3),
            "rss_mib": round(rss_mib, 1), "others_cpu": round(others, 3)}


# --- what is told ---

def table(result):
    yield f"\n  {'by rows':28}{'rows/s':>10}{'CPU s/100k':>12}{'peak MiB':>10}"
    for name, sizes in result["rows"].items():
        for rows, one in sizes.items():
            yield f"  {name:16}{rows:>12,}" + numbers(one)
    yield f"\n  {'by appliers':28}{'rows/s':>10}{'CPU s/100k':>12}{'peak MiB':>10}"
    for count, one in result["appliers"].items():
        yield f"  {count:>28}" + numbers(one)
    yield f"\n  {'by feeds':28}{'p50 ms':>10}{'p99 ms':>10}{'CPU ms':>10}{'peak MiB':>10}"
    for count, one in result["feeds"].items():
        yield (f"  {count:>28,}{one['p50_ms']:>10.1f}{one['p99_ms']:>10.1f}"
               f"{one['cpu_ms_per_change']:>10.2f}{one['rss_mib']:>10.1f}")


def numbers(one):
    return f"{one['rows_per_s']:>10,.0f}{one['cpu_s_per_100k']:>12.2f}{one['rss_mib']:>10.1f}"


def block(result, meta):
    """The same for docs/SCALING.md."""
    yield "| rows in a package | | rows/s | CPU s per 100,000 | peak MiB |\n|---:|---|---:|---:|---:|"
    for name, sizes in result["rows"].items():
        for rows, one in sizes.items():
            yield f"| {rows:,} | {markdown.NAMES[name].replace('*', '')} | {cells(one)} |"
    yield "\n| appliers of one queue | rows/s | CPU s per 100,000, of all | peak MiB, of the largest |"
    yield "|---:|---:|---:|---:|"
    for count, one in result["appliers"].items():
        yield f"| {count} | {cells(one)} |"
    yield "\n| feeds, 20 posts a second | p50 ms | p99 ms | CPU ms a change | peak MiB |\n|---:|---:|---:|---:|---:|"
    for count, one in result["feeds"].items():
        yield (f"| {count:,} | {one['p50_ms']:.1f} | {one['p99_ms']:.1f} | {one['cpu_ms_per_change']:.2f} "
               f"| {one['rss_mib']:.0f} |")
    yield "\nPlots: [rows a second, latency and memory](bench/scaling.svg) · [memory by the size of a package](bench/memory.svg)"
    yield (f"\n{meta['at'][:10]}, {meta['cpus']} CPUs ({meta['cpu']}), one round each; {meta['sluice']}. "
           f"{report.others_line(meta)}")


def cells(one):
    return f"{one['rows_per_s']:,.0f} | {one['cpu_s_per_100k']:.2f} | {one['rss_mib']:,.0f}"
