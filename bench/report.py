"""What was measured, for people (a table) and for programs (bench/results/latest.json)."""

import datetime
import json
import os
import pathlib
import platform
import statistics

from servers import ROOT, build_dir
from versions import first_line, isa_l, versions

RESULTS = ROOT / "bench/results"
NUMBERS = ("rows_per_s", "cpu_s_per_100k", "rss_mib", "loop_delay_p99_ms", "loop_delay_p999_ms")
CHANGE_NUMBERS = ("p50_ms", "p99_ms", "cpu_ms_per_change")  # of one change, where they were measured
AGAIN = "-again"  # the load is over documents that are there already
NOISE = 0.05  # share of the machine that others may take without a word about it


def medians(rounds):
    """{system: {number: its median}}; a number that a system does not have is left out."""
    return {system: {name: round(statistics.median(values), 3) for name in NUMBERS
                     if None not in (values := [getattr(one, name) for one in done])}
            for system, done in rounds.items()}


def table(result, rounds):
    """The lines of the table: medians, then every round."""
    yield f"  {'median':18}{'rows/s':>10}{'of limit':>10}{'CPU s/100k':>12}{'peak MiB':>10}" \
          f"{'loop p99 ms':>13}{'p50 ms':>9}{'p99 ms':>9}{'CPU ms':>9}"
    for system in rounds:
        numbers = result[system]
        limit = result.get("limit-2" + AGAIN if system.endswith(AGAIN) else "limit-2")
        share = f"{numbers['rows_per_s'] / limit['rows_per_s']:.2f}" if limit else ""
        delay = f"{numbers['loop_delay_p99_ms']:.2f}" if "loop_delay_p99_ms" in numbers else ""
        yield (f"  {system:18}{numbers['rows_per_s']:>10,.0f}{share:>10}"
               f"{numbers['cpu_s_per_100k']:>12.2f}{numbers['rss_mib']:>10.0f}{delay:>13}"
               + "".join(f"{numbers[key]:>9.2f}" for key in CHANGE_NUMBERS if key in numbers))
    yield ""
    yield (f"  {'each round':18}{'rows/s':>10}{'seconds':>10}{'CPU s/100k':>12}{'batches':>9}"
           f"{'others':>8}{'waited s':>10}  CPU s of the servers meanwhile")
    for system, done in rounds.items():
        for one in done:
            servers = "  ".join(f"{name} {cpu:.1f}" for name, cpu in one.servers_cpu_s.items())
            waited = "" if one.cpu_wait_s is None else f"{one.cpu_wait_s:.2f}"
            yield (f"  {system:18}{one.rows_per_s:>10,.0f}{one.seconds:>10.2f}"
                   f"{one.cpu_s_per_100k:>12.2f}{one.batches or '':>9}{one.others_cpu:>8.0%}{waited:>10}"
                   f"  {servers}")
    noise = others(shares(rounds))
    if noise["others_median"] > NOISE:
        yield (f"\n  {others_line(noise)}\n  Rows/s and loop delay say little, "
               "and CPU seconds are too high.")


def shares(rounds):
    """{what was measured: the share of the machine that others took in each of its rounds}"""
    return {name: [one.others_cpu for one in done] for name, done in rounds.items()}


def others(taken):
    """What others took, of all shares: the greatest in a round; and of what they disturbed most, its rounds' median, since
    a median is what is told of it."""
    return {"others_most": max(one for done in taken.values() for one in done),
            "others_median": max(statistics.median(done) for done in taken.values())}


def others_line(meta):
    most, median = (f"{meta[key]:.0%}" for key in ("others_most", "others_median"))
    return f"Other programs took at most {most} of the machine in any round" + (
        f", and at most {median} in the median round of a system." if median != most else ".")


def goal(text, reached, met):
    """A line about a goal."""
    return f"  {text:56}{reached:>10}  {'met' if met else 'NOT met'}"


def save(file, result, rounds, meta):
    """Writes that file of bench/results."""
    return write(file, {**result, "_meta": {**meta, "rounds": {
        system: [{**vars(one), "rows_per_s": round(one.rows_per_s, 1)} for one in done]
        for system, done in rounds.items()}}})


def write(file, everything):
    """Writes a file of bench/results whole or not at all; gives its path."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / file
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(everything, indent=2) + "\n")
    unfinished.rename(path)
    return path


def may_publish(meta, say):
    """Only what was measured on a quiet machine: others' load tells nothing about any system. Says why not."""
    if meta["others_median"] > NOISE:
        say(f"not published: {others_line(meta)} Measure again when the median round is below {NOISE:.0%}")
    return meta["others_median"] <= NOISE


def machine():
    """Where and with what it was measured."""
    return {"at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "cpu": _cpu_model(), "cpus": os.cpu_count(), "kernel": platform.release(),
            "load_1min": os.getloadavg()[0], "sluice": first_line(build_dir() / "src/sluice", "version"),
            "mongod": first_line(ROOT / "build/tools/bin/mongod", "--version"),
            "isa_l": isa_l(), "versions": versions()}


def _cpu_model():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
