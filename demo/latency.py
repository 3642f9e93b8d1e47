"""Latencies by stage, as sluice counts them: exact from /status, since a moment from /metrics."""

import json

LANE = "bulk"  # of export packages


class Packages:
    """How long the rows of export packages took, by stage, and without the first export. To be
    taken before anything else comes: sluice does not tell the feeds apart here."""

    def __init__(self, sluice, marked):
        self.stages = by_stage(sluice)
        self.later_ms = [since(sluice, marked, share) for share in (0.5, 0.99, 1)]


def by_stage(sluice):
    """{stage: {p50_ms, p99_ms, max_ms, ...}} since sluice was started."""
    _, text = sluice.ops("/status")
    return {one["labels"]["stage"]: one for one in json.loads(text)["latency"]
            if one["name"] == "stage_seconds" and one["labels"]["lane"] == LANE}


def mark(sluice):
    """Remembers how many rows came within which time until now: for since()."""
    buckets = sluice.metrics().all("sluice_stage_seconds_bucket", stage="total", lane=LANE)
    return {float(labels["le"]): count for labels, count in buckets}


def since(sluice, marked, share):
    """The bucket's bound, in ms, under which that share of the rows since mark() stayed.

    None when there were none.
    """
    now = mark(sluice)
    counts = {bound: now[bound] - marked.get(bound, 0) for bound in sorted(now)}
    total = counts[max(counts)] if counts else 0
    if not total:
        return None
    return next(1000 * bound for bound, count in counts.items() if count >= share * total)
