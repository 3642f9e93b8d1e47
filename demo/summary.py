"""The end of the demo: what was read and what became of it, how long it took, how it looks.

The last line counts everything, but for its p99_ms, which is that of the packages alone: from the
moment when a row was read until it was durable in MongoDB.
"""

import datetime
import json

from bson import Decimal128, Int64

import books
import data
import witness

STAGES = (("published", "read, until published to RabbitMQ"),
          ("confirmed", "published, until on RabbitMQ's disk"),
          ("consumed", "published, until taken from the queue"),
          ("written", "taken, until durable in MongoDB"),
          ("total", "read, until durable in MongoDB"))
WORDS = {"update": "edited", "create": "created", "delete": "deleted", "recreate": "restored"}


class Summary:
    """Everything is gathered at the start, so that it can be told after sluice has ended."""

    def __init__(self, world, freshness, packages, lag):
        self.books = books.read(world.state)
        self.verdict = witness.compare(world)
        self.failures = books.failures(world.state)
        self.letters = books.letters(world.state, 3)
        self.packages, self.lag = packages, lag
        self.rss_mib = world.sluice.peak_rss_mib()
        self.cpu_s = world.sluice.cpu_s()
        self.fresh = [freshness.quantile(share) for share in (0.5, 0.99, 1)]
        self.sample = _sample(world.documents)
        self.tombstone = world.documents[data.ACCOUNTS].find_one({"_sluice.deleted": True})

    @property
    def good(self):
        return self.books.balanced and not self.verdict.lost and not self.verdict.invented

    def last_line(self):
        b = self.books
        p99_ms = self.packages.stages.get("total", {}).get("p99_ms", 0)
        return (f"demo: rows={b.read} applied={b.applied} stale={b.stale} dead={b.dead} "
                f"lost={self.verdict.lost} p99_ms={p99_ms:.0f} rss_mib={self.rss_mib:.0f}")

    def tell(self, t):
        """Prints it, but for the last line."""
        t.line(t.bold("One document, as an application finds it"))
        t.line(_indent(self.sample))
        if self.tombstone:
            t.line(t.bold("And what is left of a deleted one, for 30 days"))
            t.line(_indent(self.tombstone))
        self._tell_dead(t)
        self._tell_latency(t)
        self._tell_lag(t)
        self._tell_books(t)
        self._tell_verdict(t)
        t.line(f"  memory      {self.rss_mib:.0f} MiB at the peak, CPU {self.cpu_s:.1f} s in all")
        t.line()

    def _tell_books(self, t):
        b = self.books
        t.line(t.bold(f"The books of {b.runs} exports and runs of polls"))
        t.line(f"  {b.read:,} rows read = {b.applied:,} applied + {b.stale:,} stale + "
               f"{b.superseded:,} superseded + {b.dead:,} dead")
        if not b.balanced:
            t.line(t.red(f"  They do not balance: {b.letters} dead letters are there."))
        for failure in self.failures:
            t.line(t.red(f"  failed: {failure}"))

    def _tell_verdict(self, t):
        v = self.verdict
        t.line(f"  an independent reader compared every field of {v.records - v.bad:,} records with "
               f"Dynamics 365:")
        t.line(f"  {v.missing} missing, {v.different} different, {v.invented} invented or risen from "
               f"the dead; {v.deleted} were deleted")
        t.line(f"  {v.bad} spoilt on purpose, {v.bad - v.unburied} of them in the dead letters")
        for example in v.examples:
            t.line(t.red(f"    {example}"))

    def _tell_latency(self, t):
        t.line(t.bold(f"{'Latency of a row in the packages, ms':48}{'p50':>9}{'p99':>9}{'max':>9}"))
        for stage, words in STAGES:
            times = self.packages.stages.get(stage)
            if times:
                t.line(f"  {stage:10}{words:36}{times['p50_ms']:>9,.0f}{times['p99_ms']:>9,.0f}"
                       f"{times['max_ms']:>9,.0f}")
        if self.packages.later_ms[0] is not None:
            p50, p99, most = (f"≤ {ms:,.0f}" for ms in self.packages.later_ms)
            t.line(f"  {'':10}{'the same, without the first export':36}{p50:>9}{p99:>9}{most:>9}")
        if self.fresh[0] is not None:
            p50, p99, most = (1000 * seconds for seconds in self.fresh)
            t.line(f"  {'a change':10}{'saved in D365, until in MongoDB':36}{p50:>9,.0f}{p99:>9,.0f}"
                   f"{most:>9,.0f}")
        t.line()

    def _tell_lag(self, t):
        if not self.lag.seen_ms:
            return
        p50, p99, most = (self.lag.quantile(share) for share in (0.5, 0.99, 1))
        counts = ", ".join(f"{count} {WORDS[what]}"
                           for what, count in self.lag.counts.most_common())
        t.line(t.bold(f"{'Latency of a change in Dataverse, ms':48}{'p50':>9}{'p99':>9}{'max':>9}"))
        t.line(f"  {'made, until a reader of MongoDB sees it':46}{p50:>9,.0f}{p99:>9,.0f}"
               f"{most:>9,.0f}")
        t.line(f"  {counts}\n")

    def _tell_dead(self, t):
        if not self.letters:
            return
        t.line(t.bold("Some rows that could not be delivered, and why"))
        for letter in self.letters:
            where = f"{letter.get('file', letter['entity'])}:{letter.get('line', '?')}"
            t.line(f"  {where}  {letter['code']}: {letter['reason']}")
        t.line()


def _sample(documents):
    """The newest document with something to look at: quotes or line breaks in its text."""
    customers = documents["customers"]
    odd = {"$regex": "[\"\r\n]"}
    return (customers.find_one({"SalesMemo": odd, "OrganizationName": {"$regex": "[^ -~]"}})
            or customers.find_one() or {})


def _indent(document):
    """One field a line, in the notation of mongosh."""
    lines = [f"    {name}: {_shell(value)}" for name, value in document.items()]
    return "\n".join(["  {", *lines, "  }\n"])


def _shell(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_shell(one)}" for name, one in value.items()) + "}"
    if isinstance(value, Decimal128):
        return f'Decimal128("{value}")'
    if isinstance(value, Int64):
        return f"Long({value})"
    if isinstance(value, datetime.datetime):
        return f'ISODate("{value.isoformat()}Z")'
    return json.dumps(value, ensure_ascii=False)
