"""./dev torture: everything flows, everything breaks, and in the end nothing may be missing.

    torture.py --seed N --minutes M [--kills K] [--faults F] [--dir FOLDER]

The plan of the faults follows from the seed; each is told when it begins. The last line is
"torture: faults=N lost=0 rolled_back=0 resurrected=0 wrong=0 unaccounted=0", with the numbers as they are. Exit
status 0 only when the five are zero, no sluice crashed, all was quiet in time, and rows were inserted, too.
"""

import argparse
import datetime
import json
import pathlib
import shutil
import sys
import time

import faults
import plan as plans
from chronicle import Chronicle
from mending import Operator
from meter import Meter
from oracle import Books, check_returns, compare
from process import ROOT
from stage import COLLECTIONS, POSTED, REFRESHED, REVISIONS, TABLES, Stage
from traffic import Traffic
from verdict import count

QUIET_S = 180  # from the end of the last fault until every collection is right and every run is done
LATE_S = 300  # a lane whose faults took longer than planned goes on for so long at most
CLIENTS_S = 60  # a client's last post is accepted after so long at most


def say(text):
    print(f"torture: {text}", flush=True)


class Run:
    def __init__(self, options, directory):
        self.options, self.dir = options, directory
        self.stage = self.traffic = self.chronicle = self.operator = self.meter = None
        self.problems = []  # what went wrong beside the findings
        self.findings = []
        self.happened = 0
        self.mended = self.quiet_s = None

    def run(self):
        options = self.options
        seconds = options.minutes * 60
        say(f"seed {options.seed}, {options.minutes:g} min, {options.kills} kills, {options.faults} faults "
            f"of servers, network and service; logs in {self.dir}")
        self.stage = Stage(self.dir, options.seed, appliers=options.appliers)
        names = [*self.stage.names[0], *self.stage.names[1]]
        plan = plans.make(options.seed, seconds, options.kills, options.faults, names,
                          len(self.stage.mongo.members), sorted(self.stage.proxies.ports),
                          REFRESHED, COLLECTIONS)
        (self.dir / "plan.txt").write_text("".join(f"{one.at_s:8.2f} {one}\n" for one in plan))
        self.stage.start_sluices()
        workspace = self.stage.workspace
        self.chronicle = Chronicle(workspace.db, self.stage.since, REVISIONS)
        self.traffic = Traffic(self.stage, options.seed)
        self.operator = Operator(self.stage)
        self.meter = Meter(self.stage.sluices, "sluice_insertions_total", "outcome")
        self.traffic.begin(int(seconds))
        self._break_things(plan, seconds)
        self._wait_quiet()
        self._judge()

    def _break_things(self, plan, seconds):
        began = time.monotonic()
        numbers = iter(range(1, len(plan) + 1))

        def tell(fault):
            say(f"{time.monotonic() - began:7.1f} s fault {next(numbers)}: {fault}")

        processes = faults.Processes(self.stage.sluices)
        servers = faults.Servers(self.stage, self.traffic, self.operator)
        outside = faults.Outside(self.stage, self.options.seed)
        lanes = [faults.Lane(name, plan, actor, began, tell)
                 for name, actor in zip(plans.LANES, (processes, servers, outside))]
        for lane in lanes:
            lane.start()
        while time.monotonic() < began + seconds:
            self.traffic.grow()
            time.sleep(min(5, max(0, began + seconds - time.monotonic())))
        for lane in lanes:
            lane.join(LATE_S)
            self.problems += lane.problems
            self.happened += lane.happened
            if lane.is_alive():
                self.problems.append(f"the lane {lane.name} does not end")
        outside.mend()
        servers.mend()
        processes.mend()
        self.problems += processes.crashes
        say(f"{time.monotonic() - began:7.1f} s all is mended; {processes.kills} kills of sluices, "
            f"{self.happened - processes.kills} other faults")

    def _wait_quiet(self):
        began = time.monotonic()
        self.mended = datetime.datetime.now(datetime.timezone.utc)
        self.problems += self.traffic.finish(CLIENTS_S)
        self.problems += self.operator.finish()
        books = Books(self.stage.workspace.state, POSTED)
        while True:
            try:
                findings = self._compare() or books.open_runs(self.mended)
            except Exception as error:  # a primary steps down even when nobody asks it to
                findings = [error]
            self.quiet_s = time.monotonic() - began
            if not findings:
                say(f"quiet {self.quiet_s:.1f} s after the last fault")
                return
            if self.quiet_s > QUIET_S:
                self.problems.append(f"not quiet within {QUIET_S} s: {findings[0]}")
                return
            time.sleep(1)

    def _compare(self):
        return [one for truth in self.traffic.truths()
                for one in compare(self.stage.workspace.db, truth)]

    def _judge(self):
        insertions = self.meter.finish()
        for name, sluice in self.stage.sluices.items():
            try:
                status = sluice.stop()
            except Exception as error:
                self.problems.append(str(error))
                continue
            if status != 0:
                self.problems.append(f"{name} ended with status {status} after SIGTERM")
        try:
            self.findings += self.chronicle.finish()
        except RuntimeError as error:
            self.problems.append(str(error))
        returns = [one for one in self.chronicle.judge.returns if one[0] in TABLES]
        self.findings += check_returns(returns, self.traffic.deletions())
        self.findings += self._compare()
        # A later run, under way when the sluices were told to end, would go on at the next start.
        self.findings += Books(self.stage.workspace.state, POSTED).findings(self.mended)
        unreadable = self.stage.workspace.queue_depth("unreadable")
        if unreadable:
            self.problems.append(f"{unreadable} messages in the unreadable queue")
        say(f"{self.chronicle.events} changes of documents seen, {len(returns)} came back after a deletion, "
            f"the stream resumed {self.chronicle.resumed} times; {self.traffic.orders.done} orders, "
            f"{self.traffic.parcels.done} posts of many, {self.traffic.notes.done} notes, "
            f"{self.traffic.teller.done} events; "
            f"{self.operator.replayed} dead letters replayed; "
            f"runs: {self._count_runs()}")
        say(f"of the rows that were taken for new at least {insertions['inserted']} were inserted and "
            f"{insertions['refused']} refused, and written in the guarded way")
        if not insertions["inserted"]:
            self.problems.append("no rows were inserted: this run says nothing of that way of writing")

    def _count_runs(self):
        groups = self.stage.workspace.state["runs"].aggregate([
            {"$group": {"_id": {"state": "$state", "full": "$full"}, "n": {"$sum": 1}}},
            {"$sort": {"_id": 1}}])
        return ", ".join(f"{group['n']} {group['_id']['state']}{' (full)' * group['_id']['full']}"
                         for group in groups)

    def report(self):
        """Writes down what was found; gives the exit status."""
        lines = [*map(str, self.findings), *self.problems]
        for line in lines[:40]:
            say(line)
        (self.dir / "findings.json").write_text(json.dumps(
            {"seed": self.options.seed, "options": vars(self.options), "quiet_s": self.quiet_s,
             "findings": [vars(one) for one in self.findings], "problems": self.problems},
            indent=2, default=str))
        numbers = count(self.findings)
        print(f"torture: faults={self.happened} " +
              " ".join(f"{kind}={number}" for kind, number in numbers.items()), flush=True)
        return 1 if lines else 0

    def close(self):
        if self.stage:
            self.problems += self.stage.close()


def main():
    parser = argparse.ArgumentParser(prog="./dev torture")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--kills", type=int, help="of sluices (default: one in 3.6 s)")
    parser.add_argument("--faults", type=int, help="of all else (default: one in 20 s)")
    parser.add_argument("--appliers", type=int, choices=(2, 3), default=3)
    parser.add_argument("--dir", type=pathlib.Path, default=ROOT / "build/torture")
    options = parser.parse_args()
    if options.kills is None:
        options.kills = round(options.minutes * 60 / 3.6)
    if options.faults is None:
        options.faults = round(options.minutes * 60 / 20)
    directory = options.dir / f"seed-{options.seed}"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    run = Run(options, directory)
    try:
        run.run()
    except Exception as error:  # told like a finding, with the logs kept
        import traceback
        traceback.print_exc()
        run.problems.append(f"the run itself failed: {error!r}")
    finally:
        run.close()
    status = run.report()
    if status == 0:
        for name in ("mongo", "rabbit", "sim"):
            shutil.rmtree(directory / name, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
