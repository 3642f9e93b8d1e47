"""The first part of the hand-made pipeline: pandas reads the CSV out of the package, and posts it.

    post.py PACKAGE URL

It begins at SIGUSR1, and stays at the end, so that what it has used can be read from /proc.
"""

import collections
import concurrent.futures
import signal
import sys
import threading
import zipfile

import pandas
import requests

BATCH_ROWS = 5000
POSTERS = 2
WAITING = 4  # batches that are posted or wait for it: bounds the memory

_own = threading.local()


def batches(path):
    """Every cell as the text that it is: pandas' own numbers would round decimals."""
    with zipfile.ZipFile(path) as package:
        name = next(name for name in package.namelist() if name.endswith(".csv"))
        with package.open(name) as file:
            yield from pandas.read_csv(file, dtype=object, keep_default_na=False, na_filter=False,
                                       chunksize=BATCH_ROWS)


def post(url, batch):
    if not hasattr(_own, "session"):
        _own.session = requests.Session()
    body = batch.to_json(orient="records", lines=True, force_ascii=False).encode()
    reply = _own.session.post(url, body, headers={"Content-Type": "application/x-ndjson"}, timeout=120)
    reply.raise_for_status()


def post_all(path, url):
    waiting = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(POSTERS) as posters:
        for batch in batches(path):
            if len(waiting) == WAITING:
                waiting.popleft().result()
            waiting.append(posters.submit(post, url, batch))
        for one in waiting:
            one.result()


def main():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    print("ready", flush=True)
    signal.sigwait({signal.SIGUSR1})
    post_all(*sys.argv[1:])
    signal.pause()


if __name__ == "__main__":
    main()
