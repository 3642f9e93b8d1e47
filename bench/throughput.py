"""./dev bench: rows from a package into MongoDB, and beside it what MongoDB takes at most."""

import os
import time

import report
from prepared import prepare, verify
from stage import Stage
from systems import SYSTEMS

ROWS, ROUNDS = 200_000, 3
QUICK_ROWS, QUICK_ROUNDS = 60_000, 3
PACKAGE_S = 300  # to make the package, at most


def run(options, say):
    """Gives the exit status: 0 when every document of every round was right."""
    rows = options.rows or (QUICK_ROWS if options.quick else ROWS)
    count = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    systems = [SYSTEMS[name] for name in options.systems]
    begun = time.monotonic()
    with Stage(say) as stage:
        stage.start()
        stage.fill(rows, PACKAGE_S)
        documents = prepare(stage, rows)
        rounds, good = measure(stage, systems, rows, count, documents)
    show(rows, rounds, good, options.quick, time.monotonic() - begun, say)
    return 0 if good else 1


def measure(stage, systems, rows, count, documents):
    """{system: its rounds}, and whether every document was right. Each goes first in turn."""
    rounds = {system.name: [] for system in systems}
    good = True
    stage.clear()
    SYSTEMS["limit-2"].round(stage, rows, documents)  # mongod's first writes are slow: not counted
    for number in range(count):
        order = systems if number % 2 == 0 else systems[::-1]
        for system in order:
            stage.clear()
            one = system.round(stage, rows, documents)
            rounds[system.name].append(one)
            verdict = verify(stage.documents, documents)
            good = good and verdict.good
            stage.say(f"round {number + 1} of {count}, {system.name}: {one.rows_per_s:,.0f} rows/s, "
                      f"{one.cpu_s_per_100k:.2f} CPU s per 100,000 rows; {verdict}")
    return rounds, good


def show(rows, rounds, good, quick, seconds, say):
    result = report.medians(rounds)
    print(f"\nsluice bench: {rows:,} rows of 30 columns, about 700 bytes each, on "
          f"{os.cpu_count()} CPUs; load now {os.getloadavg()[0]:.1f}\n")
    print("\n".join(report.table(result, rounds)))
    print("\ngoals of sluice-json")
    print("\n".join(report.goals(result)))
    if good:
        path = report.save(result, rounds, {"rows": rows, "quick": quick,
                                            "seconds": round(seconds, 1)})
        say(f"in {path}; all in all {seconds:.0f} s")
    else:
        say("documents were wrong, so these numbers mean nothing and are not kept")
