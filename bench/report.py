"""What was measured, for people (a table) and for programs (bench/results/latest.json)."""

import datetime
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess

from servers import ROOT, build_dir

RESULTS = ROOT / "bench/results"
NUMBERS = ("rows_per_s", "cpu_s_per_100k", "rss_mib", "loop_delay_p99_ms", "loop_delay_p999_ms")
CHANGE_NUMBERS = ("p50_ms", "p99_ms", "cpu_ms_per_change")  # of one change, where they were measured
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
        limit = result.get("limit-2-again" if system.endswith("-again") else "limit-2")
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
    noise = others_most(rounds)
    if noise > NOISE:
        yield (f"\n  Other programs took up to {noise:.0%} of this machine meanwhile: rows/s and "
               "loop delay\n  say little, and CPU seconds are too high.")


def others_most(rounds):
    """Of the system that others disturbed most, as its numbers are: the median of its rounds."""
    return max(statistics.median(one.others_cpu for one in done) for done in rounds.values())


def goal(text, reached, met):
    """A line about a goal."""
    return f"  {text:52}{reached:>10}  {'met' if met else 'NOT met'}"


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
    if meta["others_most"] > NOISE:
        say(f"not published: other programs took up to {meta['others_most']:.0%} of this machine; "
            f"measure again when they take less than {NOISE:.0%}")
    return meta["others_most"] <= NOISE


def machine():
    """Where and with what it was measured."""
    return {"at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "cpu": _cpu_model(), "cpus": os.cpu_count(), "kernel": platform.release(),
            "load_1min": os.getloadavg()[0], "sluice": _first_line(build_dir() / "src/sluice",
                                                                   "version"),
            "mongod": _first_line(ROOT / "build/tools/bin/mongod", "--version"),
            "versions": versions()}


def versions():
    """Of the servers, and of the peers as their own files pin them."""
    peers = ROOT / "bench/peers"
    pinned = {"Bento": (peers / "bento/go.mod", r"warpstreamlabs/bento v(\S+)"),
              "mongo-driver": (peers / "pipeline/go.mod", r"mongo-driver/v2 v(\S+)"),
              "pandas": (peers / "requirements.txt", r"^pandas==(\S+)"),
              "csv": (ROOT / "bench/csv/rust/Cargo.toml", r'^csv = "=(\S+)"'),
              "simd-csv": (ROOT / "bench/csv/rust/Cargo.toml", r'^simd-csv = "=(\S+)"'),
              "pyarrow": (peers / "requirements.txt", r"^pyarrow==(\S+)")}
    found = {name: re.search(pattern, path.read_text(), re.MULTILINE).group(1)
             for name, (path, pattern) in pinned.items()}
    return {"MongoDB": _first_line(ROOT / "build/tools/bin/mongod", "--version").split(" v")[-1],
            "RabbitMQ": _debian("rabbitmq-server"), **found, "libcsv": _debian("libcsv-dev"),
            "Go": _built_by(ROOT / "build/tools/bench/bento")}


def _built_by(program):
    """The Go that built it, which go.mod only bounds from below."""
    if not program.exists():
        return "none"
    found = re.search(rb"\xff Go buildinf:.{2,20}?(go[0-9.]+)", program.read_bytes(), re.DOTALL)
    return found.group(1).decode().removeprefix("go") if found else "unknown"


def _debian(package):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True,
                          text=True, timeout=30)
    return done.stdout.split("-")[0].split("+")[0] or "unknown"


def _cpu_model():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _first_line(program, argument):
    done = subprocess.run([program, argument], capture_output=True, text=True, timeout=30)
    return (done.stdout or done.stderr).strip().split("\n")[0]
