"""Watches every change of the documents while faults go on, by a change stream that resumes."""

import threading
import time

import bson
import pymongo.errors

from history import Judge, mark_end

PAUSE_S = 0.5  # between two attempts to watch


class Chronicle:
    """A thread that judges events as they come. since: an operation time to begin at."""

    def __init__(self, database, since, revisions=None):
        self.database = database
        self.judge = Judge(revisions)
        self.findings = []
        self.events = 0
        self.resumed = 0
        self.gave_up = None  # why it could not go on
        self._since, self._token, self._end = since, None, None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def finish(self, timeout_s=60):
        """Waits until everything up to now was seen; gives the findings."""
        self._end = bson.ObjectId()  # known before it comes
        mark_end(self.database, self._end)
        self._thread.join(timeout_s)
        if self.gave_up or self._thread.is_alive():
            self._stop.set()
            raise RuntimeError(f"the history is not whole: {self.gave_up or 'its end does not come'}")
        return self.findings

    def _run(self):
        while not self._stop.is_set():
            try:
                if self._watch():
                    return
            except pymongo.errors.OperationFailure as error:
                # The oplog has gone on without us: nothing can be proven any more.
                if error.has_error_label("NonResumableChangeStreamError") or error.code == 286:
                    self.gave_up = str(error)
                    return
            except pymongo.errors.PyMongoError:
                pass  # no primary for now
            self.resumed += 1
            time.sleep(PAUSE_S)

    def _watch(self):
        """True when the end was seen."""
        where = {"resume_after": self._token} if self._token else \
            {"start_at_operation_time": self._since}
        with self.database.watch(full_document="whenAvailable", max_await_time_ms=500, **where) as stream:
            while not self._stop.is_set():
                event = stream.try_next()
                self._token = stream.resume_token or self._token
                if event is None:
                    continue
                if self._end is not None and event.get("documentKey", {}).get("_id") == self._end:
                    return True
                self.events += 1
                self.findings += self.judge.findings(event)
        return True
