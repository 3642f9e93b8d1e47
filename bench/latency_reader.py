"""The independent reader: a process of its own that looks into MongoDB until it sees a change.

Two ways to look. "stream" listens to a change stream, which tells what a majority of the replica
set has stored. "find" asks for the documents that are waited for, again and again, as fast as it
can; it sees what is not yet on a majority's disks, but takes a CPU while it waits. On two CPUs both
come to the same within 0.3 ms, and the stream to a steadier p99. "patient" asks less often.
"""

import multiprocessing
import os
import pathlib
import signal
import threading
import time

import pymongo

ANY = -1  # the least version of a document that has none: it is there
PACE_S = {"find": 0.0003, "patient": 0.002}  # between two looks
STREAM_WAIT_MS = 200


class Reader:
    """A context. watch() names a change; seen() ends it and gives {key: wall clock when seen}."""

    def __init__(self, url, database, way):
        self._ours, theirs = multiprocessing.Pipe()
        target = follow if way == "stream" else look
        self._process = multiprocessing.get_context("fork").Process(
            target=target, args=(theirs, url, database, PACE_S.get(way)), daemon=True)

    def __enter__(self):
        self._process.start()
        if not self._ours.poll(20):
            raise TimeoutError("the reader does not start")
        self._ours.recv()
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.join(10)

    def cpu_s(self):
        """As Process.cpu_s of the tests: what it has used so far."""
        fields = pathlib.Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def watch(self, key, collection, row, version):
        """version: the least that tells that the change is there; None: the row was deleted."""
        self._ours.send((key, collection, row, version))

    def seen(self, timeout_s):
        """Waits until all that was named is seen, at most so long."""
        self._ours.send(timeout_s)
        if not self._ours.poll(timeout_s + 20):
            raise TimeoutError("the reader has ended")
        return self._ours.recv()


def become_quiet():
    """The process that it was forked from ends it, and nobody else."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def is_there(version, deleted, wanted):
    """Whether a document in this state shows the change; a row deleted since shows all of them."""
    return (deleted or wanted == ANY or
            (wanted is not None and version is not None and version >= wanted))


# --- find ---

def look(pipe, url, database, pace_s):
    become_quiet()
    client = pymongo.MongoClient(url)
    client.admin.command("ping")
    pipe.send("ready")
    waiting, seen, end = {}, {}, None
    while end is None or (time.time() < end and any(waiting.values())):
        busy = any(waiting.values())
        while pipe.poll(None if not busy and end is None else 0):
            told = pipe.recv()
            if not isinstance(told, tuple):
                end = time.time() + told
                break
            key, collection, row, version = told
            waiting.setdefault(collection, {}).setdefault(row, []).append((key, version))
            busy = True
        for collection, rows in waiting.items():
            if rows:
                find(client[database][collection], rows, seen)
        time.sleep(pace_s)
    pipe.send(seen)


def find(collection, rows, seen):
    """Asks for rows, and takes out those that show what they are waited for."""
    found = list(collection.find({"_id": {"$in": list(rows)}},
                                 {"_sluice.v": 1, "_sluice.deleted": 1}))
    now = time.time()
    for document in found:
        state = document.get("_sluice", {})
        left = []
        for key, wanted in rows[document["_id"]]:
            if is_there(state.get("v"), state.get("deleted", False), wanted):
                seen[key] = now
            else:
                left.append((key, wanted))
        if left:
            rows[document["_id"]] = left
        else:
            del rows[document["_id"]]


# --- stream ---

def follow(pipe, url, database, _pace_s):
    """What is waited for may become known after it was seen, so all events are kept."""
    become_quiet()
    events, lock = {}, threading.Lock()
    client = pymongo.MongoClient(url)
    stream = client[database].watch(max_await_time_ms=STREAM_WAIT_MS)
    threading.Thread(target=listen, args=(stream, events, lock), daemon=True).start()
    pipe.send("ready")
    wanted = []
    while isinstance(told := pipe.recv(), tuple):
        wanted.append(told)
    end, seen = time.time() + told, {}
    while len(seen) < len(wanted) and time.time() < end:
        with lock:
            for key, collection, row, version in wanted:
                at = key not in seen and first_seen(events.get((collection, row), ()), version)
                if at:
                    seen[key] = at
        time.sleep(0.05)
    pipe.send(seen)


def first_seen(states, wanted):
    return next((at for at, version, deleted in states if is_there(version, deleted, wanted)), None)


def listen(stream, events, lock):
    for event in stream:
        now = time.time()
        if "documentKey" not in event:
            continue
        state = state_of(event)
        with lock:
            events.setdefault((event["ns"]["coll"], event["documentKey"]["_id"]), []).append(
                (now, state.get("v"), state.get("deleted", False)))


def state_of(event):
    """_sluice of the document, or those of its members that the update has changed."""
    whole = event.get("fullDocument")
    if whole is not None:
        return whole.get("_sluice", {})
    fields = event.get("updateDescription", {}).get("updatedFields", {})
    if "_sluice" in fields:
        return fields["_sluice"]
    return {name.removeprefix("_sluice."): value for name, value in fields.items()
            if name.startswith("_sluice.")}
