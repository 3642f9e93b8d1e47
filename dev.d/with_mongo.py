"""Runs a command with a mongod of its own: SLUICE_TEST_MONGO_URL names it.

    with_mongo.py COMMAND ARGUMENT...
"""

import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/integration"))
from servers import Mongo  # noqa: E402  (found by the line above)


def main():
    with tempfile.TemporaryDirectory(prefix="sluice-unit-") as folder:
        mongo = Mongo(pathlib.Path(folder) / "mongo")
        mongo.start()
        try:
            return subprocess.run(sys.argv[1:], check=False, env={
                **os.environ, "SLUICE_TEST_MONGO_URL": mongo.url,
                "SLUICE_TEST_MONGO_PID": str(mongo.pid)}).returncode
        finally:
            mongo.stop()


sys.exit(main())
