"""Fixtures of the integration tests.

rabbit and mongo run once for all tests; a test works in its own workspace on them (own exchange,
queues and databases). A test that kills or stops a server asks for own_rabbit or own_mongo, and
its workspace is then on those. When a test fails, the ends of its programs' logs are shown.
"""

import pytest

from name_server import NameServer, why_not
from servers import Mongo, Rabbit, Sim
from workspace import Workspace

PROGRAMS = pytest.StashKey[list]()  # lists of processes, some still growing


def pytest_configure(config):
    config.addinivalue_line("markers", "rabbit(**options): how own_rabbit is made")
    config.addinivalue_line("markers", "mongo(**options): how own_mongo is made")
    config.addinivalue_line("markers", "sim(**options): how sim is made")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        for program in sum(item.stash.get(PROGRAMS, []), []):
            if program.log_path.exists():  # the folder of a test that passed is gone at teardown
                report.sections.append((f"end of the log of {program.name}", program.log_tail(60)))
    return report


def show_on_failure(request, programs):
    """Remembers a list of processes, which may grow until the test has ended."""
    request.node.stash.setdefault(PROGRAMS, []).append(programs)


def options_of(request, marker):
    found = request.node.get_closest_marker(marker)
    return found.kwargs if found else {}


def running(server):
    """Starts server, yields it, and stops it even when its start failed half way."""
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def rabbit(tmp_path_factory):
    yield from running(Rabbit(tmp_path_factory.mktemp("rabbit")))


@pytest.fixture
def names():
    """A name server that knows nothing yet."""
    if reason := why_not():
        pytest.skip(reason)
    server = NameServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def mongo(tmp_path_factory):
    yield from running(Mongo(tmp_path_factory.mktemp("mongo")))


@pytest.fixture
def own_rabbit(request, tmp_path):
    """A broker for this test alone; @pytest.mark.rabbit(consumer_timeout_ms=60000) sets it up."""
    yield from running(Rabbit(tmp_path / "rabbit", **options_of(request, "rabbit")))


@pytest.fixture
def own_mongo(request, tmp_path):
    """A mongod for this test alone; @pytest.mark.mongo(cache_gb=1) sets it up."""
    yield from running(Mongo(tmp_path / "mongo", **options_of(request, "mongo")))


@pytest.fixture
def sim(request, tmp_path):
    server = Sim(tmp_path / "sim", **options_of(request, "sim"))
    show_on_failure(request, [server])
    yield from running(server)
    assert not server.sanitizer_report(), server.sanitizer_report()


@pytest.fixture
def workspace(request, tmp_path):
    """A Workspace on own_rabbit and own_mongo where the test asks for them, else on the shared ones."""
    names = request.fixturenames
    own = [name for name in ("own_rabbit", "own_mongo") if name in names]
    rabbit = request.getfixturevalue("own_rabbit" if "own_rabbit" in own else "rabbit")
    mongo = request.getfixturevalue("own_mongo" if "own_mongo" in own else "mongo")
    space = Workspace(tmp_path, rabbit, mongo)
    show_on_failure(request, space.sluices)
    try:
        yield space
    finally:
        space.close(tidy=not own)
