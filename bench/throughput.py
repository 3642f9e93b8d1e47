"""./dev bench: sluice, what its users would take instead, and what MongoDB takes at most, in one run."""

import os
import time

import broker
import csv_parsers
import goals
import idle
import markdown
import one_change
import plots
import report
import systems
from again import Again
from peers import PEERS, missing
from prepared import prepare, verify
from servers import ServerError
from stage import Stage
from turns import turns

ROWS, ROUNDS = 200_000, 5
QUICK_ROWS, QUICK_ROUNDS = 60_000, 3
QUICK_CHANGE_ROUNDS = 1
PACKAGE_S = 300  # to make the package, at most
ONCE = {**systems.SYSTEMS, **PEERS}
OVER_EXISTING = ("limit-2", "sluice-json", "sluice-bson", "pipeline")
SYSTEMS = {**ONCE, **{one.name: one for one in (Again(ONCE[name]) for name in OVER_EXISTING)}}
QUICK = ("limit-1", "limit-2", "limit-4", "sluice-json", "sluice-bson", "pipeline", "bento")
DEFAULT = (*QUICK, "bento-csv", "limit-1-plain", "limit-2-plain", "limit-4-plain", "limit-2-insert",
           *(f"{name}-again" for name in OVER_EXISTING))
PART = "latest-part.json"


def run(options, say):
    """Gives the exit status: 0 when every document of every round was right."""
    rows = options.rows or (QUICK_ROWS if options.quick else ROWS)
    count = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    names = options.systems or default_systems(options.quick, say)
    whole = options.systems is None
    if options.publish and (options.quick or options.give_way or not whole or rows < ROWS or count < ROUNDS):
        raise ServerError("--publish takes neither --quick, --give-way nor --systems, nor less than "
                          f"{ROWS:,} rows and {ROUNDS} rounds: "
                          "what the README tells is a whole run, whose medians are of that many")
    begun = time.monotonic()
    with Stage(say, give_way=options.give_way) as stage:
        stage.start()
        stage.fill(rows, PACKAGE_S)
        documents = prepare(stage, rows)
        rounds, good = measure(stage, [SYSTEMS[name] for name in names], rows, count, documents)
        result, about, shares = report.medians(rounds), {}, report.shares(rounds)
        if good:
            keep_bulk(result, rounds, rows)
        if whole and good:
            shares.update(measure_more(stage, names, count, options.quick, result, about))
            made = csv_parsers.files(stage, options.quick)
    if whole and good:
        result["csv_gb_per_s"], taken = csv_parsers.measure(made, options.quick)
        shares.update(taken)
    meta = {**about, "rows": rows, "rounds_each": count, "quick": options.quick,
            "give_way": options.give_way, **report.others(shares),
            "seconds": round(time.monotonic() - begun, 1), **report.machine()}
    show(result, rounds, meta)
    if not good:
        say("documents were wrong, so these numbers mean nothing and are not kept")
        return 1
    path = report.save("latest.json" if whole else PART, result, rounds, meta)
    say(f"in {path}; all in all {time.monotonic() - begun:.0f} s")
    return publish(result, meta, say) if options.publish else 0


def publish(result, meta, say):
    if not report.may_publish(meta, say):
        return 1
    markdown.publish(markdown.block(result, meta))
    plots.draw(say)
    return 0


def keep_bulk(result, rounds, rows):
    """What was measured for long is kept also when something fails behind it."""
    report.save(PART, result, rounds, {"rows": rows, **report.machine()})


def default_systems(quick, say):
    """All that are there."""
    absent = missing()
    for name, tool in absent.items():
        say(f"without {name}: {tool} was not built (./dev setup bench says why)")
    return [name for name in (QUICK if quick else DEFAULT)
            if name.removesuffix("-again") not in absent]


def measure(stage, chosen, rows, count, documents):
    """{system: its rounds}, and whether every document was right. The order is another one in each round."""
    rounds = {system.name: [] for system in chosen}
    good = True
    stage.clear()
    SYSTEMS["limit-2"].round(stage, rows, documents)  # mongod's first writes are slow: not counted
    for number, order in enumerate(turns(chosen, count)):
        for system in order:
            stage.clear()
            one = system.round(stage, rows, documents)
            rounds[system.name].append(one)
            verdict = verify(stage.documents, documents, system.exact, system.cell)
            good = good and verdict.good
            stage.say(f"round {number + 1} of {count}, {system.name}: {one.rows_per_s:,.0f} rows/s, "
                      f"{one.cpu_s_per_100k:.2f} CPU s per 100,000 rows; {verdict}")
    return rounds, good


def measure_more(stage, names, count, quick, result, about):
    """What is compared beside bulk; the numbers of a system go to its own. Gives what others took meanwhile."""
    about["change_rounds"] = QUICK_CHANGE_ROUNDS if quick else count
    changes = one_change.run(stage, names, about["change_rounds"], quick)
    for name, numbers in one_change.medians(changes).items():
        result[name].update(numbers)
    about["changes_each"] = min(one.changes for done in changes.values() for one in done)
    about["percentiles_ms"] = one_change.percentiles(changes)
    resting = idle.measure_goals(stage, quick)
    result.update(idle.keys(resting))
    about["idle"] = {count: vars(one) for count, one in resting.items()}
    if broker.there() and not quick:
        about["broker"] = broker.measure(stage)
    return {**{f"{name}, one change": taken for name, taken in report.shares(changes).items()}, **idle.shares(resting)}


def show(result, rounds, meta):
    print(f"\nsluice bench: {meta['rows']:,} rows of 30 columns, about 700 bytes each, on "
          f"{os.cpu_count()} CPUs; load now {os.getloadavg()[0]:.1f}\n")
    print("\n".join(report.table(result, rounds)))
    if "csv_gb_per_s" in result:
        print("\n".join(csv_parsers.table(result["csv_gb_per_s"])))
    if "broker" in meta:
        print("\n".join(broker.table(meta["broker"])))
    print("\ngoals")
    print("\n".join(goals.lines(result, meta)))
    if "csv_gb_per_s" in result:
        print("\nfor the README (--publish puts it there)\n")
        print("\n".join(markdown.block(result, meta)))
