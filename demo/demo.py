"""The demo: watch records travel from a simulated Dynamics 365 through RabbitMQ into MongoDB.

Two acts: export packages of Finance & Operations, and a table of Dataverse that is followed live.

    ./dev demo                 stays up after the summary, to look around; Ctrl-C ends it
    ./dev demo --once          ends by itself; exit status 0 only if nothing was lost

Reading order: this file, world.py (what is started), data.py (what the simulator holds),
progress.py (the live display), lag.py (the stopwatch of the second act), witness.py (the
independent reader), summary.py (the end).
"""

import argparse
import datetime
import signal
import sys
import time

from pymongo.errors import PyMongoError

from process import ServerError

import books
import data
import latency
import witness
from freshness import Freshness
from lag import Lag
from progress import Progress
from summary import Summary
from terminal import Terminal
from world import World

EVERY_S = 2
SETTLE_S = 120  # of an act, from the last change until everything must have arrived
STUCK_S = 120   # without any progress in the first export
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Failure(Exception):
    """The demo cannot go on; the message says why."""


def main():
    options = read_options()
    terminal = Terminal()
    for number in ENDING:
        signal.signal(number, interrupt)
    world, status, last_line = None, 1, None
    try:
        world = World(lambda what, where: terminal.line(f"  {what:28}{terminal.dim(where)}"))
        status, last_line = play(world, terminal, options)
    except KeyboardInterrupt:
        status = 130
        terminal.settle()
        terminal.line("\nstopped")
    except BrokenPipeError:
        pass  # nobody reads any more
    except (Failure, ServerError, OSError, PyMongoError) as error:
        terminal.settle()
        explain(terminal, world, error)
    finally:
        hold_signals()
        if world:
            world.close()
        terminal.settle()
    if last_line:
        terminal.line(last_line)
    return status


def hold_signals():
    """From here on nothing keeps the demo from tidying up; it takes a second or so."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


def interrupt(*_):
    hold_signals()
    raise KeyboardInterrupt


def read_options():
    parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__.split("\n")[0])
    parser.add_argument("--once", action="store_true", help="end after the summary")
    parser.add_argument("--rows", type=int, default=100_000, metavar="N",
                        help="records to begin with (default: 100000)")
    parser.add_argument("--seconds", type=float, default=12, metavar="N",
                        help="how long changes flow in each act (default: 12)")
    options = parser.parse_args()
    if not 100 <= options.rows <= 10_000_000:
        parser.error("--rows must be 100 to 10000000")
    if not 0 <= options.seconds <= 86400:
        parser.error("--seconds must be 0 to 86400")
    return options


def play(world, terminal, options):
    """The whole story. Gives the exit status, and the line to end with if it was not told yet."""
    terminal.line(terminal.bold("Starting, in a folder of its own and on free ports"))
    world.start_servers()
    data.fill(world.sim, options.rows)
    world.start_sluice(EVERY_S)
    terminal.line(f"\nIts configuration, to read along: {world.sluice.config_path}")

    progress = Progress(world.sluice, terminal, options.rows)
    first_export(world, progress)
    first_s, marked = progress.elapsed_s(), latency.mark(world.sluice)
    freshness, lag = Freshness(world, EVERY_S / 2), Lag(world)
    changes(world, progress, freshness, options.seconds)
    progress.settle()
    packages = latency.Packages(world.sluice, marked)
    terminal.line(f"The first export was complete after {first_s:.1f} s. Now for a table that is "
                  "followed live.\n")
    fill_table(world, progress)
    table_changes(world, progress, lag, options.seconds)
    progress.settle()
    terminal.line("Comparing every document with Dynamics 365 now.\n")
    summary = Summary(world, freshness, packages, lag)
    summary.tell(terminal)
    status = 0 if summary.good else 1
    if options.once:
        return (status if stops_in_order(world, terminal) else 1), summary.last_line()
    terminal.line(summary.last_line() + "\n")
    look_around(world, terminal, progress, Lag(world))
    return status, None


def first_export(world, progress):
    """Everything, once: until each feed's first run is done and its books are closed."""
    progress.title = f"The first export: all {progress.rows:,} records of three data projects"
    progress.phase = "first export"
    moved, seen = time.monotonic(), None
    while not books.runs_done(world.state):
        step(world, progress)
        rows = progress.newest()
        if rows != seen:
            moved, seen = time.monotonic(), rows
        if time.monotonic() > moved + STUCK_S:
            raise Failure(f"nothing has moved for {STUCK_S} s")


def changes(world, progress, freshness, seconds):
    """Records are edited and created while increments are exported; then all must arrive."""
    if seconds > 0:
        progress.title = (f"People change {data.CHANGES_PER_S} records a second; "
                          f"an increment is exported every {EVERY_S} s")
        progress.phase = "changes"
        data.start_changes(world.sim, seconds)
        freshness.start()
        end, begun, created = time.monotonic() + seconds, time.monotonic(), 0
        while time.monotonic() < end:
            step(world, progress)
            due = int((time.monotonic() - begun) * data.NEW_PER_S)
            data.add_records(world.sim, due - created)
            created = due
            tell_freshness(progress, freshness)
        freshness.stop()
        wait_for_editors(world, progress)
    progress.title = "No more changes: waiting until the last one has arrived"
    progress.phase, progress.notes = "last changes", []
    since, deadline = datetime.datetime.now(datetime.timezone.utc), time.monotonic() + SETTLE_S
    while not books.runs_done(world.state, since):
        step(world, progress)
        if time.monotonic() > deadline:
            raise Failure(f"no export has been finished for {SETTLE_S} s")


def wait_for_editors(world, progress):
    """The simulator's own clock decides when its last change was made."""
    before = None
    while (now := world.sim.get("count")["revisions"]) != before:
        before = now
        step(world, progress)


def tell_freshness(progress, freshness):
    p50 = freshness.quantile(0.5)
    if p50 is not None:
        progress.notes = [f"a change is in MongoDB {p50:.1f} s after it was saved in Dynamics 365 "
                          f"(p50 of {len(freshness.seconds)}, waiting for the export included)"]


def fill_table(world, progress):
    """The table's rows appear, all at once; no bell tells of them, so a regular poll finds them."""
    progress.title = f"{data.ACCOUNT_ROWS:,} accounts appear in Dataverse"
    progress.phase = "accounts"
    data.fill_table(world.sim)
    accounts = world.documents[data.ACCOUNTS]
    wait(world, progress, lambda: accounts.count_documents({}) == data.ACCOUNT_ROWS, "accounts")
    world.register_webhook()


def table_changes(world, progress, lag, seconds):
    """People edit, create, delete and restore accounts; then all of that must arrive."""
    if seconds > 0:
        progress.title = (f"People change {data.ACCOUNT_CHANGES_PER_S} accounts a second; "
                          "a webhook rings")
        progress.phase = "live"
        lag.start()
        data.start_table_changes(world.sim, seconds)
        while data.table_changes_running(world.sim):
            step(world, progress)
            tell_lag(progress, lag)
    wait(world, progress, lambda: witness.table_is_level(world), "the last change of an account")
    step(world, progress)  # tells how many rows there were
    wait(world, progress, lambda: books.table_done(world.state, progress.read[data.ACCOUNTS]),
         "the accounts' ledger")
    if seconds > 0:
        lag.stop()
    progress.notes, progress.remark = [], ""


def tell_lag(progress, lag):
    lag.take()
    p50, p99 = lag.quantile(0.5), lag.quantile(0.99)
    if p50 is None:
        return
    progress.remark = f"visible after {lag.recent[0][2]:.0f} ms"
    progress.notes = [f"a change in Dataverse can be read in MongoDB after {p50:.0f} ms (p50), "
                      f"{p99:.0f} ms (p99 of {len(lag.seen_ms)})", ""]
    progress.notes += [f"{ms:8,.0f} ms  {what:9} {whose}" for what, whose, ms in lag.recent]


def wait(world, progress, happened, what):
    deadline = time.monotonic() + SETTLE_S
    while not happened():
        step(world, progress)
        if time.monotonic() > deadline:
            raise Failure(f"waited {SETTLE_S} s for {what}")


def step(world, progress):
    progress.step()
    trouble = world.failing()
    if trouble:
        raise Failure(trouble)


def stops_in_order(world, terminal):
    """Asks sluice to end; True when it did so as it should."""
    try:
        status = world.sluice.stop()
        what = None if status == 0 else f"sluice ended with status {status} after SIGTERM"
    except ServerError as error:  # it had to be killed
        what = str(error).splitlines()[0]
    if what:
        terminal.line(terminal.red(f"{what}; all logs are kept in {world.keep_logs()}\n"))
    return not what


def look_around(world, terminal, progress, lag):
    """Keeps everything up, with changes flowing, until Ctrl-C."""
    database = world.mongo.url.replace("/?", "/d365?")
    terminal.line(terminal.bold("Everything stays up: look around"))
    terminal.line(f"  mongosh '{database}'\n  curl {world.sluice.ops_url}/metrics\n"
                  f"  {world.sluice.args[0]} status -c {world.sluice.config_path}\n"
                  f"  less {world.sluice.log_path}")
    progress.title = "Changes go on. Ctrl-C ends everything and removes the folder"
    progress.phase = "changes"
    data.start_changes(world.sim, 86400)
    lag.start()
    data.start_table_changes(world.sim, 86400)
    try:
        while True:
            step(world, progress)
            tell_lag(progress, lag)
    except KeyboardInterrupt:
        progress.settle()
        terminal.line("\nending")


def explain(terminal, world, error):
    """What went wrong, the end of sluice's log in words, and where all logs are kept."""
    terminal.line()
    terminal.line(terminal.red(f"The demo failed: {error}"))
    if world and world.sluice and world.sluice.log_lines():
        terminal.line("\nThe end of sluice's log:")
        for line in world.sluice.log_lines()[-12:]:
            terminal.line(f"  {in_words(line)}")
    if world:
        terminal.line(f"\nAll logs are kept in {world.keep_logs()}")


def in_words(line):
    """A line of sluice's log as sluice would write it to a terminal."""
    rest = {name: value for name, value in line.items() if name not in ("ts", "level", "msg")}
    fields = "  ".join(f"{name}={value}" for name, value in rest.items())
    return f"{line['ts'][11:23]} {line['level']:5} {line['msg']}  {fields}"


sys.exit(main())
