"""mongodb+srv: MongoDB is reached by the name of its cluster, as Atlas gives it: members and options from
DNS, over TLS, with a password. Run by root; what DNS may say is told by tests/unit/mongo/test_srv.c."""

import pytest

from certificates import Authority
from name_server import NameServer
from process import wait_until
from readiness import troubles, wait_trouble
from scene import Scene
from servers import Mongo, Tls

CLUSTER, MEMBER = "cluster0.ab1cd.example.test", "cluster0-shard-00-00.ab1cd.example.test"


@pytest.fixture(scope="module")
def own_mongo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    authority = Authority(folder)
    shown = authority.sign("server", "/O=Servers/CN=server", f"IP:127.0.0.1,DNS:{MEMBER}")
    mongo = Mongo(folder / "mongo", tls=Tls(folder / "mongo", authority.file, shown))
    try:
        mongo.start()
        with mongo.connect() as client:
            client.people.command("createUser", "sluice", pwd="p@ss", roles=[])
        yield mongo
    finally:
        mongo.stop()


@pytest.fixture
def scene(sim, workspace):
    workspace.client.people.command("updateUser", "sluice", roles=[
        {"role": "readWrite", "db": name} for name in (workspace.database, workspace.state_database)])
    return Scene(sim, workspace)


def records(mongo):
    return {(f"_mongodb._tcp.{CLUSTER}", "SRV"): [f"0 0 {mongo.port} {MEMBER}."],
            (CLUSTER, "TXT"): ['"authSource=people&replicaSet=rs0"'],
            (MEMBER, "A"): ["127.0.0.1"]}


def test_a_cluster_is_found_by_its_name_as_soon_as_dns_knows_it(own_mongo, names, scene):
    url = f"mongodb+srv://sluice:p%40ss@{CLUSTER}/?retryWrites=true&w=majority&tlsCAFile={own_mongo.tls.ca_file}"
    sluice = scene.sluice(mongo={"url": url}, start=False)
    names.rule(sluice)
    sluice.start()
    told = wait_trouble(sluice, "mongo", "DNS knows no cluster", CLUSTER)
    assert "p%40ss" not in told and "p@ss" not in told
    names.records = records(own_mongo)
    sluice.wait_ready()
    scene.check_nothing_lost()

    names.records = None  # whoever is connected does not need it
    own_mongo.restart()
    scene.change(20)
    scene.check_nothing_lost()
    wait_until(lambda: not troubles(sluice), 20, "no trouble")
    assert sluice.stop() == 0


def test_members_of_another_domain_are_not_asked(own_mongo, names, scene):
    names.records = {**records(own_mongo),
                     (f"_mongodb._tcp.{CLUSTER}", "SRV"): [f"0 0 {own_mongo.port} cluster0.example.org."]}
    sluice = scene.sluice(mongo={"url": f"mongodb+srv://sluice:p%40ss@{CLUSTER}/"}, start=False)
    names.rule(sluice)
    sluice.start()
    wait_trouble(sluice, "mongo", "DNS names cluster0.example.org", "not asked")
    assert sluice.stop() == 0


class Silent(NameServer):
    """Answers nobody."""

    address = "127.83.82.87"

    def __init__(self):
        super().__init__()
        self.records = None


def test_a_name_server_that_is_dead_does_not_keep_the_next_one_from_being_asked(own_mongo, names, scene):
    names.records = records(own_mongo)
    sluice = scene.sluice(start=False, mongo={
        "url": f"mongodb+srv://sluice:p%40ss@{CLUSTER}/?tlsCAFile={own_mongo.tls.ca_file}"})
    names.rule(sluice, Silent.address)
    dead = Silent()
    try:
        sluice.start(30)
    finally:
        dead.close()
    assert sluice.stop() == 0


def test_name_servers_that_are_corrected_are_asked(own_mongo, names, scene):
    names.records = records(own_mongo)
    sluice = scene.sluice(start=False, mongo={
        "url": f"mongodb+srv://sluice:p%40ss@{CLUSTER}/?tlsCAFile={own_mongo.tls.ca_file}"})
    conf = names.rule(sluice)
    right = conf.read_text()
    conf.write_text(f"nameserver {Silent.address}\n")  # the machine is not on its network yet
    sluice.start()
    wait_trouble(sluice, "mongo", "_mongodb._tcp")
    conf.write_text(right)
    sluice.wait_ready(30)
    assert sluice.stop() == 0
