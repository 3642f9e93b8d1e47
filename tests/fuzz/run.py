"""Runs fuzz targets: run.py [--seconds N] [--inputs N] [--jobs N] [--coverage] [--keep] TARGET ...

Each target has its seeds in corpus/TARGET; what libFuzzer finds on top is kept in
build/fuzz/corpus/TARGET, and goes on from there the next time. An input that breaks a promise is
left in build/fuzz/findings/TARGET. Exit status 1 when there is one, or too little is covered.

build/fuzz/tried/TARGET has how many inputs there were in all runs; a target that has --inputs of
them is passed over, and one that reaches them ends early.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FUZZ, BUILD = ROOT / "tests/fuzz", ROOT / "build/fuzz"
SECONDS_AN_INPUT, MEMORY_MIB, COVERED_LEAST = 10, 2048, 90
# Short inputs are many and reach nearly all that long ones do (buffers are small: src/base/size.h);
# what takes more room has the rest of the time.
STAGES = ((0.8, 256), (0.2, 65536))
# A long memory for freed blocks and deep stacks of who freed them cost half of the speed, giving
# pages back to the kernel a tenth.
ASAN = "quarantine_size_mb=4:malloc_context_size=4:allocator_release_to_os_interval_ms=-1"


def program(target):
    return BUILD / f"tests/fuzz/fuzz_{target}"


def grown(target):
    folder = BUILD / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def seeds(target):
    return FUZZ / "corpus" / target


def libfuzzer(target, *arguments, profile="/dev/null"):
    """Gives the exit status and all that was said."""
    done = subprocess.run(
        [program(target), f"-timeout={SECONDS_AN_INPUT}", f"-rss_limit_mb={MEMORY_MIB}", *arguments],
        env={"ASAN_OPTIONS": ASAN, **os.environ, "LLVM_PROFILE_FILE": str(profile)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    return done.returncode, done.stdout


def tried_file(target):
    folder = BUILD / "tried"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / target


def tried_so_far(target):
    file = tried_file(target)
    return int(file.read_text()) if file.exists() else 0


def fuzz_stage(target, seconds, inputs, max_len):
    """Gives how many inputs were tried, and the files that broke something."""
    findings = BUILD / "findings" / target
    findings.mkdir(parents=True, exist_ok=True)
    before = set(findings.iterdir())
    status, said = libfuzzer(
        target, f"-max_total_time={seconds}", f"-runs={inputs or -1}", f"-max_len={max_len}",
        "-print_final_stats=1", "-detect_leaks=1",
        f"-dict={FUZZ / 'dictionary/json.dict'}", f"-artifact_prefix={findings}/",
        grown(target), seeds(target))
    tried = re.search(r"stat::number_of_executed_units:\s*(\d+)", said)
    new = sorted(set(findings.iterdir()) - before)
    if status or new:
        print(f"--- {target}\n" + "\n".join(said.splitlines()[-60:]), file=sys.stderr)
    return int(tried[1]) if tried else 0, new or ([findings] if status else [])


def fuzz(target, seconds, inputs):
    """Gives how many inputs were tried in all stages, and the files that broke something."""
    tried, findings = 0, []
    for share, max_len in STAGES:
        left = max(0, inputs - tried_so_far(target))
        if findings or inputs and not left:
            break
        # The first of them leaves the others their part of the inputs that are left.
        part = left if max_len == STAGES[-1][1] else int(left * share)
        more, findings = fuzz_stage(target, max(1, round(seconds * share)), part, max_len)
        tried += more
        tried_file(target).write_text(f"{tried_so_far(target) + more}\n")
    return tried, findings


def covers(target):
    rows = (row.split() for row in (FUZZ / "covers.txt").read_text().splitlines()
            if not row.startswith("#"))
    return [source for name, source in rows if name == target]


def lines_of(target, merged):
    """Gives {source: {line: how often}} of the files in src/."""
    report = subprocess.run(
        ["llvm-cov", "export", "-format=lcov", f"-instr-profile={merged}", program(target)],
        check=True, stdout=subprocess.PIPE, text=True).stdout
    counts, at = {}, None
    for row in report.splitlines():
        kind, _, rest = row.partition(":")
        if kind == "SF":
            at = counts.setdefault(rest[rest.rindex("src/"):], {}) if "src/" in rest else {}
        elif kind == "DA":
            line, times = rest.split(",")[:2]
            at[int(line)] = int(times)
    return counts


def write_missed(target, counts):
    """Leaves the lines that no input reaches, FILE:LINE: text, in build/fuzz/missed/TARGET."""
    folder = BUILD / "missed"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / target).open("w") as out:
        for source, lines in sorted(counts.items()):
            text = (ROOT / source).read_text().splitlines()
            out.writelines(f"{source}:{line}: {text[line - 1]}\n"
                           for line, times in sorted(lines.items()) if not times)


def coverage(target):
    """Gives the lines of the target's files, and how many of them its corpus reaches."""
    raw, merged = BUILD / f"{target}.profraw", BUILD / f"{target}.profdata"
    status, said = libfuzzer(target, "-runs=0", grown(target), seeds(target), profile=raw)
    if status:
        raise SystemExit(f"fuzz: {target}: the corpus cannot be replayed\n{said}")
    subprocess.run(["llvm-profdata", "merge", "-o", merged, raw], check=True)
    wanted = set(covers(target))
    if not wanted:
        raise SystemExit(f"fuzz: covers.txt does not say which files {target} is meant for")
    for source in wanted:
        if not (ROOT / source).is_file():
            raise SystemExit(f"fuzz: {target}: covers.txt names {source}, which is not there")
    counts = {source: lines for source, lines in lines_of(target, merged).items()
              if source in wanted}
    write_missed(target, counts)
    times = [each for lines in counts.values() for each in lines.values()]
    return len(times), sum(each > 0 for each in times)


def keep(target):
    """Adds to the seeds what reaches code that they do not."""
    status, said = libfuzzer(target, "-merge=1", seeds(target), grown(target))
    if status:
        raise SystemExit(f"fuzz: {target}: cannot merge\n{said}")


def one(target, options):
    tried, findings = fuzz(target, options.seconds, options.inputs) if options.seconds else (0, [])
    line = f"{target:<14}{tried:>12,} inputs {tried_so_far(target):>12,} so far"
    if options.coverage:
        count, covered = coverage(target)
        line += f"   {100 * covered / count:5.1f} % of {count} lines"
        if 100 * covered < COVERED_LEAST * count:
            findings = [*findings, f"less than {COVERED_LEAST} %: build/fuzz/missed/{target}"]
    if options.keep:
        keep(target)
    print(line + "".join(f"\n    FOUND {path}" for path in findings), flush=True)
    return tried, len(findings)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--inputs", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--coverage", action="store_true")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("targets", nargs="+")
    options = parser.parse_args()
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(lambda target: one(target, options), options.targets))
    tried, findings = sum(result[0] for result in results), sum(result[1] for result in results)
    print(f"fuzz: targets={len(results)} execs={tried} findings={findings}")
    return 1 if findings else 0


sys.exit(main())
