"""The goals of ./dev bench, as ratios within one run; each is told with what was reached."""

import report
from report import AGAIN

PEERS = {"pipeline": 2.0, "bento": 3.0, "bento-csv": 3.0}  # sluice's rows/s over theirs, at least
LIMIT, SHARE_OF_LIMIT = "limit-2", 0.75
CPU_S_PER_100K = {"sluice-json": 0.9, "sluice-bson": 0.65}
BSON_WITH_ISA_L = 0.5  # instead, where it is linked
QUICK_S = 300          # all of --quick
RSS_MIB, CPU_MS_PER_CHANGE = 32, 0.2
LOOP_DELAY = (("p99", "loop_delay_p99_ms", 2), ("p99.9", "loop_delay_p999_ms", 5))
IDLE_CPU_PERCENT, START_MS = 0.1, 50
CSV = {"zsv-fast": 1.3, "zsv-compat": 2.5}


def lines(result, meta):
    """result is what is kept in latest.json, meta its _meta. What was not measured has no line."""
    sluice = result.get("sluice-json")
    if sluice:
        yield from bulk(result, sluice)
        yield from one_change(result, sluice)
    if "sluice-json" + AGAIN in result and LIMIT + AGAIN in result:
        ratio = result["sluice-json" + AGAIN]["rows_per_s"] / result[LIMIT + AGAIN]["rows_per_s"]
        yield report.goal(f"over existing documents: at least {SHARE_OF_LIMIT} x {LIMIT}{AGAIN}", f"{ratio:.2f}",
                          ratio >= SHARE_OF_LIMIT)
    for name, most in cpu_s_per_100k(meta["isa_l"]).items():
        if name in result:
            reached = result[name]["cpu_s_per_100k"]
            yield report.goal(f"{name}: at most {most} CPU s per 100,000 rows", f"{reached:.2f}",
                              reached <= most)
            memory = result[name]["rss_mib"]
            yield report.goal(f"{name}: at most {RSS_MIB} MiB", f"{memory:.1f}", memory <= RSS_MIB)
    if "idle_cpu_percent" in result:
        yield from at_rest(result)
    yield from csv(result.get("csv_gb_per_s", {}))
    if meta["quick"] and "csv_gb_per_s" in result:
        yield report.goal(f"--quick: within {QUICK_S // 60} minutes", f"{meta['seconds']:.0f} s", meta["seconds"] <= QUICK_S)


def cpu_s_per_100k(isa_l):
    return {**CPU_S_PER_100K, "sluice-bson": BSON_WITH_ISA_L} if isa_l else CPU_S_PER_100K


def bulk(result, sluice):
    for name, least in {**PEERS, LIMIT: SHARE_OF_LIMIT}.items():
        if name in result:
            ratio = sluice["rows_per_s"] / result[name]["rows_per_s"]
            yield report.goal(f"rows/s at least {least} x {name}", f"{ratio:.2f}", ratio >= least)
    for share, key, most in LOOP_DELAY:
        yield report.goal(f"loop delay {share} at most {most} ms", f"{sluice[key]:.2f}",
                          sluice[key] <= most)


def one_change(result, sluice):
    if "p50_ms" not in sluice:
        return
    for number in ("p50_ms", "p99_ms"):
        peers = [one[number] for name, one in result.items() if name in PEERS and number in one]
        if peers:
            yield report.goal(f"one change: {number} below {min(peers):.1f}, the best peer's",
                              f"{sluice[number]:.1f}", sluice[number] < min(peers))
    cpu = sluice["cpu_ms_per_change"]
    yield report.goal(f"one change: at most {CPU_MS_PER_CHANGE} CPU ms", f"{cpu:.2f}",
                      cpu <= CPU_MS_PER_CHANGE)


def at_rest(result):
    idle = result["idle_cpu_percent"]
    yield report.goal(f"idle, 300 feeds: at most {IDLE_CPU_PERCENT} % of a core", f"{idle:.3f}",
                      idle <= IDLE_CPU_PERCENT)
    for key, feeds in (("start_ms", "1 feed"), ("start_300_ms", "300 feeds")):
        yield report.goal(f"start to ready, {feeds}: at most {START_MS} ms", f"{result[key]:.0f}",
                          result[key] <= START_MS)


def csv(result):
    """The worst file counts."""
    for peer, least in CSV.items():
        if peer in result:
            ratios = {name: result["sluice"][name] / result[peer][name] for name in result[peer]}
            worst = min(ratios, key=ratios.get)
            yield report.goal(f"CSV at least {least} x {peer} (worst file: {worst})",
                              f"{ratios[worst]:.2f}", ratios[worst] >= least)
