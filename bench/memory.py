"""./dev bench memory: the peak resident memory of sluice for a package far larger than that."""

import os
import shutil
import time

import report
from prepared import verify_sample
from servers import ServerError
from stage import CACHE, Stage
from systems import SYSTEMS

BYTES, QUICK_BYTES = 5_000_000_000, 500_000_000
ROW_BYTES = 680      # of a row in the file: a little less than it is, so that BYTES are reached
DISK_PER_ROW = 2500  # package, collection, journals and queues together, at most
GOAL_MIB = 64
PACKAGE_S = 3600     # to make the package, at most


def run(options, say):
    """Gives the exit status: 0 when the documents were right; the goal is told, not enforced."""
    rows = options.rows or -(-(QUICK_BYTES if options.quick else BYTES) // ROW_BYTES)
    with Stage(say) as stage:
        check_disk(stage.dir, rows)
        stage.start()
        stage.fill(rows, PACKAGE_S)
        package = stage.export()["package_bytes"]
        inflated = stage.inflated_bytes()
        say(f"the package has {package / 1e6:,.0f} MB and inflates to {inflated / 1e6:,.0f} MB")
        begun = time.monotonic()
        one = SYSTEMS["sluice-json"].round(
            stage, rows, None, lambda count: tell(say, count, rows, time.monotonic() - begun))
        verdict = verify_sample(stage, rows)
    show(rows, inflated, one, verdict)
    return 0 if verdict.good else 1


def check_disk(directory, rows):
    CACHE.mkdir(parents=True, exist_ok=True)
    needed = rows * DISK_PER_ROW
    for place in (directory, CACHE):
        free = shutil.disk_usage(place).free
        if free < needed:
            raise ServerError(f"{place} has {free / 1e9:.1f} GB free; {rows:,} rows may take "
                              f"{needed / 1e9:.1f} GB (--rows N takes less)")


def tell(say, count, rows, seconds):
    say(f"{count:,} of {rows:,} documents ({count / rows:.0%}) after {seconds:.0f} s")


def show(rows, inflated, one, verdict):
    print(f"\nsluice bench memory: {rows:,} rows, {inflated / 1e9:.2f} GB inflated, on "
          f"{os.cpu_count()} CPUs")
    print(f"\n  {'peak resident memory':28}{one.rss_mib:>10.1f} MiB"
          f"\n  {'rows/s':28}{one.rows_per_s:>10,.0f}"
          f"\n  {'CPU seconds per 100,000 rows':28}{one.cpu_s_per_100k:>10.2f}"
          f"\n  documents: {verdict}\n")
    print(report.goal(f"peak memory at most {GOAL_MIB} MiB", f"{one.rss_mib:.1f} MiB",
                      one.rss_mib <= GOAL_MIB))
