"""Measures sluice. README.md beside this file says what the numbers mean.

    ./dev bench [--quick]          sluice beside its peers and the limit: bulk, one change, CSV, the broker
    ./dev bench csv [--quick]      the CSV parser against others
    ./dev bench growth [--quick]   how cost grows: rows, feeds, appliers
    ./dev bench idle [--quick]     what it takes while nothing is to be done, and how long a start takes
    ./dev bench plots              draws what was measured
    ./dev bench memory [--quick]   peak memory for packages that inflate to 0.1 to 10 GB
    ./dev bench latency [--quick]  how soon a change in Dynamics 365 can be read in MongoDB
    ./dev bench floor [--quick]    the CPU time of one change beside what no such program can do without

Reading order: this file, throughput.py, turns.py, systems.py, peers.py, again.py (a round of each), stage.py (what is started),
prepared.py (the documents that must come of it), one_change.py, csv_parsers.py, broker.py; report.py, goals.py,
markdown.py, versions.py, plots.py; growth.py, idle.py, memory.py, floor.py; latency.py, latency_cases.py (who changes what),
latency_reader.py (who looks).
"""

import argparse
import signal
import sys

from pymongo.errors import PyMongoError

from servers import ServerError

import csv_parsers
import floor
import growth
import idle
import latency
import latency_cases
import memory
import plots
import throughput

# A command's own, which counts before the command, too.
SWITCH = {"action": "store_true", "default": argparse.SUPPRESS}

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main():
    options = read_options()
    for number in ENDING:
        signal.signal(number, interrupt)
    try:
        return options.run(options, say)
    except KeyboardInterrupt:
        say("stopped")
        return 130
    except (ServerError, OSError, TimeoutError, PyMongoError) as error:
        say(f"failed: {error}")
        return 1


def interrupt(*_):
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)  # nothing keeps it from tidying up
    raise KeyboardInterrupt


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def read_options():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.split("\n")[0])
    parser.set_defaults(run=throughput.run)
    add_throughput(parser)
    commands = parser.add_subparsers(metavar="COMMAND")
    part = commands.add_parser("memory", help="peak memory for packages that inflate to 0.1 to 10 GB")
    part.set_defaults(run=memory.run)
    part.add_argument("--quick", **SWITCH, help="0.1 and 0.5 GB alone")
    part.add_argument("--rows", type=count_of(100_000_000), metavar="N", help="one package of so many rows")
    add_csv(commands)
    add_growth(commands)
    part = commands.add_parser("idle", help="what it takes while nothing is to be done; its start")
    part.set_defaults(run=idle.run)
    part.add_argument("--quick", **SWITCH, help="shorter, fewer starts")
    commands.add_parser("plots", help="draw what was measured").set_defaults(run=plots.run)
    add_latency(commands)
    add_floor(commands)
    return parser.parse_args()


def add_growth(commands):
    part = commands.add_parser("growth", help="how cost grows: rows, feeds, appliers")
    part.set_defaults(run=growth.run)
    part.add_argument("--quick", **SWITCH, help="small sizes")
    part.add_argument("--publish", **SWITCH, help="put the tables into docs/SCALING.md")


def add_csv(commands):
    part = commands.add_parser("csv", help="the CSV parser against others")
    part.set_defaults(run=csv_parsers.run)
    part.add_argument("--quick", **SWITCH, help="smaller files")


def add_latency(commands):
    part = commands.add_parser("latency", help="how soon a change can be read in MongoDB")
    part.set_defaults(run=latency.run)
    part.add_argument("--quick", **SWITCH, help="fewer changes; within 4 minutes")
    part.add_argument("--cases", type=case_names, metavar="A,B", default=list(latency_cases.CASES),
                      help=f"of {', '.join(latency_cases.CASES)} (default: all)")
    part.add_argument("--look", choices=["find", "patient", "stream"],
                      help="how the reader looks, instead of each case's own way")


def add_floor(commands):
    part = commands.add_parser("floor", help="the CPU time of one change beside what it takes at least")
    part.set_defaults(run=floor.run)
    part.add_argument("--quick", **SWITCH, help="one round")
    part.add_argument("--publish", **SWITCH, help="put the table into docs/PERFORMANCE.md")


def add_throughput(parser):
    parser.add_argument("--quick", action="store_true", help="fewer rows; within 5 minutes")
    parser.add_argument("--rows", type=count_of(10_000_000), metavar="N", help="rows a round")
    parser.add_argument("--rounds", type=count_of(100), metavar="N", help="rounds of each system")
    parser.add_argument("--systems", type=system_names, metavar="A,B",
                        help=f"bulk alone, of {', '.join(throughput.SYSTEMS)}")
    parser.add_argument("--give-way", action="store_true",
                        help="the servers leave the CPUs to what is measured: shows what of the loop's delay is its own")
    parser.add_argument("--publish", action="store_true",
                        help="put the table into the README and the plots into docs/bench")


def system_names(text):
    return names_of(throughput.SYSTEMS, text)


def case_names(text):
    return names_of(latency_cases.CASES, text)


def names_of(known, text):
    names = text.split(",")
    unknown = [name for name in names if name not in known]
    if unknown or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"'{text}': each once, of {', '.join(known)}")
    return names


def count_of(most):
    def number(text):
        if not text.isdecimal() or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number from 1 to {most}")
        return int(text)
    return number


if __name__ == "__main__":
    sys.exit(main())
