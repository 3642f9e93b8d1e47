"""./dev bench csv: sluice's CSV parser against others, on one thread, the file in memory, every cell
unquoted. All must have found the same cells.
"""

import csv
import json
import os
import random
import statistics
import subprocess

import goals
import report
from meter import Meter, ended_cpu_s
from peers import SOURCES, TOOLS
from servers import ServerError, build_dir
from stage import CACHE, Stage
from turns import turns

MIB, QUICK_MIB, PASSES, QUICK_PASSES = 64, 16, 5, 3
ROUNDS, QUICK_ROUNDS = 5, 3
ROWS, FILL_S = 25_000, 300  # of the table that the first two files are made of
DENSE_COLUMNS = 20
TIMEOUT_S = 120


def drivers():
    """{parser: its command, before FILE and PASSES; what comes after them}, of those that are there."""
    built, crates = build_dir() / "bench/csv", TOOLS / "bench-csv-rust"
    arrow = SOURCES.parent / "csv/arrow.py"
    known = {
        "sluice": ([built / "bench-csv-sluice"], []),
        "zsv-fast": ([built / "bench-csv-zsv"], ["fast"]),
        "zsv-compat": ([built / "bench-csv-zsv"], ["compat"]),
        "libcsv": ([built / "bench-csv-libcsv"], []),
        "rust-csv": ([crates], ["csv"]),
        "rust-simd-csv": ([crates], ["simd-csv-copy"]),
        "rust-simd-csv-zero-copy": ([crates], ["simd-csv"]),
        "pyarrow": ([TOOLS / "venv/bin/python", arrow], []),
    }
    return {name: one for name, one in known.items() if one[0][0].is_file()}


def run(options, say):
    """The command by itself: without RabbitMQ and MongoDB."""
    with Stage(say) as stage:
        stage.sim.start()
        stage.fill(ROWS, FILL_S)
        made = files(stage, options.quick)
    result, shares = measure(made, options.quick)
    print("\n".join([*table(result), "", *goals.csv(result)]))
    path = report.write("csv.json", {"csv_gb_per_s": result, "_meta": {
        **report.others(shares), **report.machine()}})
    say(f"in {path}")
    return 0


def measure(made, quick):
    """{parser: {file: GB/s}} of the files made, medians of rounds in which all take turns, and what others took in each
    round of a file. To be called when no server runs: what a mongod writes takes its share of the memory's bandwidth, and
    the fastest parsers need most of it."""
    spent, shares = {}, {}
    for name, path in made.items():
        found = {}
        for order in turns(list(drivers().items()), QUICK_ROUNDS if quick else ROUNDS):
            meter, ended_s = Meter({}), ended_cpu_s()
            for parser, (before, after) in order:
                told = drive([*before, path, QUICK_PASSES if quick else PASSES, *after])
                found[parser] = {key: told[key] for key in ("rows", "cells", "bytes", "hash")}
                spent.setdefault(parser, {}).setdefault(name, []).append(
                    statistics.median(told["cpu_s"]))
            shares.setdefault(f"csv-{name}", []).append(meter.stop(ended_cpu_s() - ended_s)[1])
        check(name, found)
    sizes = {name: path.stat().st_size for name, path in made.items()}
    return {parser: {name: round(sizes[name] / statistics.median(times) / 1e9, 3)
                     for name, times in by_file.items()} for parser, by_file in spent.items()}, shares


def drive(command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          timeout=TIMEOUT_S)
    if done.returncode != 0:
        raise ServerError(f"{command[0]} failed: {done.stderr}")
    return json.loads(done.stdout)


def check(name, found):
    """All parsers must have seen the same; without a hash it is counted and summed alone."""
    wanted = found["sluice"]
    for parser, one in found.items():
        if any(one[key] != wanted[key] for key in wanted if one[key] is not None):
            raise ServerError(f"{parser} and sluice find different cells in {name}: {one}, {wanted}")


# --- the files ---

def files(stage, quick):
    """mixed: the table as Dynamics 365 writes it; quoted: the same with quotes around every cell; dense:
    short numbers without a quote. Cut to one size, whole rows; kept in the cache."""
    size = (QUICK_MIB if quick else MIB) * 1024 * 1024
    made = {name: CACHE / f"{name}-{size}.csv" for name in ("mixed", "quoted", "dense")}
    if not all(path.exists() for path in made.values()):
        stage.say("making the files for the CSV parsers (kept, too)")
        table_rows = read(stage.csv_file())
        write(made["mixed"], table_rows, size, csv.QUOTE_MINIMAL)
        write(made["quoted"], table_rows, size, csv.QUOTE_ALL)
        write(made["dense"], dense_rows(), size, csv.QUOTE_MINIMAL)
    return made


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def write(path, rows, size, quoting):
    """The rows again and again, until there are so many bytes."""
    unfinished = path.with_suffix(".part")
    with open(unfinished, "w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, quoting=quoting)
        while out.tell() < size:
            for row in rows:
                writer.writerow(row)
                if out.tell() >= size:
                    break
    os.replace(unfinished, path)


def dense_rows():
    chance = random.Random(11)
    return [[chance.randrange(10 ** chance.randrange(1, 8)) for _ in range(DENSE_COLUMNS)]
            for _ in range(20_000)]


# --- what is told ---

def table(result):
    names = list(next(iter(result.values())))
    yield f"\n  {'CSV, GB/s of CPU time':26}" + "".join(f"{name:>10}" for name in names)
    for parser, by_file in result.items():
        yield f"  {parser:26}" + "".join(f"{by_file[name]:>10.2f}" for name in names)
