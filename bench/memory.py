"""./dev bench memory: the peak resident memory of sluice, which must not grow with the package."""

import os
import shutil
import time

import report
from prepared import verify_sample
from servers import ServerError
from stage import CACHE, Stage
from systems import SYSTEMS

BYTES, QUICK_BYTES = (100_000_000, 1_000_000_000, 5_000_000_000, 10_000_000_000), (100_000_000, 500_000_000)
ROW_BYTES = 680      # of a row in the file: a little less than it is, so that BYTES are reached
DISK_PER_ROW = 2500  # package, collection, journals and queues together, at most
GOAL_MIB, FLAT = 32, 1.25  # whatever the size; the greatest peak over the least
PACKAGE_S = 3600     # to make a package, at most


def run(options, say):
    """Gives the exit status: 0 when the documents were right; goals are told, not enforced."""
    sizes = [options.rows] if options.rows else [-(-size // ROW_BYTES)
                                                 for size in (QUICK_BYTES if options.quick else BYTES)]
    done = []
    for rows in sizes:
        with Stage(say) as stage:
            if done and not fits(stage.dir, rows):
                say(f"without {rows:,} rows: they may take {rows * DISK_PER_ROW / 1e9:.0f} GB of disk")
                break
            check_disk(stage.dir, rows)
            done.append(measure(stage, rows, say))
    print("\n".join(table(done)))
    path = report.write("memory.json", {"_meta": {"quick": options.quick, "sizes": done, **report.machine()}})
    say(f"in {path}")
    return 0


def measure(stage, rows, say):
    """One round of sluice-json."""
    stage.start()
    stage.fill(rows, PACKAGE_S)
    package, inflated = stage.export()["package_bytes"], stage.inflated_bytes()
    say(f"the package has {package / 1e6:,.0f} MB and inflates to {inflated / 1e6:,.0f} MB")
    begun = time.monotonic()
    one = SYSTEMS["sluice-json"].round(
        stage, rows, None, lambda count: tell(say, count, rows, time.monotonic() - begun))
    verdict = verify_sample(stage, rows)
    if not verdict.good:
        raise ServerError(f"{rows:,} rows: {verdict}")
    say(f"{rows:,} rows: {verdict}")
    return {"rows": rows, "package_bytes": package, "inflated_bytes": inflated, "rss_mib": round(one.rss_mib, 1),
            "rows_per_s": round(one.rows_per_s, 1), "cpu_s_per_100k": round(one.cpu_s_per_100k, 3)}


def free_bytes(directory):
    """Of the temporary folder and of the cache, what the fuller one has."""
    CACHE.mkdir(parents=True, exist_ok=True)
    return min(shutil.disk_usage(place).free for place in (directory, CACHE))


def fits(directory, rows):
    return free_bytes(directory) >= rows * DISK_PER_ROW


def check_disk(directory, rows):
    if not fits(directory, rows):
        raise ServerError(f"{directory} or {CACHE} has {free_bytes(directory) / 1e9:.1f} GB free; {rows:,} rows may take "
                          f"{rows * DISK_PER_ROW / 1e9:.1f} GB (--rows N takes less)")


def tell(say, count, rows, seconds):
    say(f"{count:,} of {rows:,} documents ({count / rows:.0%}) after {seconds:.0f} s")


def table(done):
    yield f"\nsluice bench memory: by size of the package, on {os.cpu_count()} CPUs\n"
    yield f"  {'rows':>12}{'CSV, GB':>10}{'zip, GB':>10}{'peak MiB':>10}{'rows/s':>10}{'CPU s/100k':>12}"
    for one in done:
        yield (f"  {one['rows']:>12,}{one['inflated_bytes'] / 1e9:>10.2f}{one['package_bytes'] / 1e9:>10.2f}"
               f"{one['rss_mib']:>10.1f}{one['rows_per_s']:>10,.0f}{one['cpu_s_per_100k']:>12.2f}")
    peaks = [one["rss_mib"] for one in done]
    yield "\ngoals"
    yield report.goal(f"peak memory at most {GOAL_MIB} MiB", f"{max(peaks):.1f}", max(peaks) <= GOAL_MIB)
    if len(peaks) > 1:
        growth = max(peaks) / min(peaks)
        yield report.goal(f"from {done[0]['inflated_bytes'] / 1e9:.1f} to {done[-1]['inflated_bytes'] / 1e9:.1f} GB: the "
                          f"greatest at most {FLAT} x the least", f"{growth:.2f}", growth <= FLAT)
