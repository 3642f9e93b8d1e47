"""What goes wrong when: a function of the seed, the length and how much of it, and of nothing else."""

import dataclasses
import random

LANES = ("process", "server", "network")  # faults of one lane follow one another; lanes overlap

PAUSED_LONG_S = 34  # longer than a lease, so that the feeds of the paused one move
LEASE_TEST_FROM = 40  # with so many kills there is such a pause
PAUSES_A_KILL = 0.15

NETWORK = ("latency", "bandwidth", "cut_in_frame", "black_hole", "half_open", "reset", "refused")
SERVICE = ("http_429", "http_500", "http_503", "export_lost", "export_failed", "export_partial",
           "urls_expired", "downloads_cut", "packages_truncated", "packages_corrupt", "slow_body",
           "blob_away", "tokens_revoked", "tokens_short", "dv_throttled", "dv_away", "dv_nonsense",
           "dv_expired", "dv_slow", "dv_burst")

# What a server or the network may do, and how often in comparison.
SERVER = {"rabbit_kill": 3, "rabbit_pause": 3, "rabbit_restart": 1, "disk_alarm": 2,
          "queue_delete": 2, "mongo_kill": 4, "mongo_pause": 4, "mongo_restart": 1,
          "mongo_step_down": 4, "mongo_majority_away": 2, "mongo_refuses": 2}
OUTSIDE = {"network": 10, "service": 8, "clock": 1, "refresh": 2}


@dataclasses.dataclass(frozen=True)
class Fault:
    at_s: float
    lane: str
    kind: str
    options: dict

    def __str__(self):
        return " ".join([self.kind, *(f"{name}={value}" for name, value in self.options.items())])


def make(seed, seconds, kills, faults, processes, members, proxies, feeds, collections,
         rows=("bulk", "fast")):
    """[Fault, ...] in the order of time. processes, proxies, feeds (that can be read in full) and
    collections are lists of names."""
    source = random.Random(seed)
    plan = _evenly(source, "process", seconds, kills, lambda: _kill(source, processes))
    servers = round(faults * 0.45)
    pauses = _evenly(source, "process", seconds, round(kills * PAUSES_A_KILL),
                     lambda: _pause(source, processes))
    if kills >= LEASE_TEST_FROM:  # at random that might not happen at all
        middle = len(pauses) // 2
        pauses[middle].options["for_s"] = PAUSED_LONG_S
    plan += pauses
    plan += _evenly(source, "server", seconds, servers,
                    lambda: _of_server(source, members, rows, collections))
    plan += _evenly(source, "network", seconds, faults - servers,
                    lambda: _of_network(source, proxies, processes, feeds))
    return sorted(plan, key=lambda fault: fault.at_s)


def _evenly(source, lane, seconds, count, make_one):
    """Spread over the time, each somewhere in its share of it."""
    share = seconds / count if count else 0
    return [Fault(round((i + source.random()) * share, 2), lane, *make_one()) for i in range(count)]


def _pick(source, weights):
    return source.choices(list(weights), list(weights.values()))[0]


def _kill(source, processes):
    # Mostly back at once; sometimes away for so long that the others must do its work.
    down = source.uniform(0, 0.5) if source.random() < 0.8 else source.uniform(1, 6)
    return "kill", {"name": source.choice(processes), "down_s": round(down, 2)}


def _pause(source, processes):
    seconds = PAUSED_LONG_S if source.random() < 0.07 else source.uniform(0.3, 6)
    return "pause", {"name": source.choice(processes), "for_s": round(seconds, 2)}


def _of_server(source, members, rows, collections):
    kind = _pick(source, SERVER)
    seconds = round(source.uniform(0.5, 6), 2)
    options = {"for_s": seconds}
    if kind in ("mongo_kill", "mongo_pause", "mongo_restart", "mongo_majority_away"):
        options["member"] = source.randrange(members)
    elif kind == "mongo_step_down":
        options = {}
    elif kind == "mongo_refuses":
        options["collection"] = source.choice(collections)
    elif kind == "queue_delete":
        options = {"queue": source.choice(rows)}
    return kind, options


def _of_network(source, proxies, processes, feeds):
    lane = _pick(source, OUTSIDE)
    seconds = round(source.uniform(0.5, 6), 2)
    if lane == "service":
        return "service", {"what": source.choice(SERVICE), "for_s": seconds,
                           "count": source.randint(1, 5)}
    if lane == "clock":
        jump = source.choice((-1, 1)) * source.choice((5, 60, 3600))
        return "clock", {"name": source.choice(processes), "jump_s": jump, "for_s": seconds}
    if lane == "refresh":
        return "refresh", {"feed": source.choice(feeds), "force": source.random() < 0.5}
    return "network", {"proxy": source.choice(proxies), "what": source.choice(NETWORK),
                       "stream": source.choice(("upstream", "downstream")), "for_s": seconds}
