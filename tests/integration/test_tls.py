"""MongoDB and RabbitMQ over TLS, with passwords and with certificates as logins; certificates that do
not fit are refused, told, and cost only time."""

import pytest

from certificates import Authority
from process import wait_until
from readiness import troubles, wait_trouble
from scene import Scene
from servers import Mongo, Rabbit, Tls

CERTIFIED = r"CN=sl\C3\BCice,OU=Sales\, EU,O=Contoso"  # as MongoDB spells that user
HERE = "IP:127.0.0.1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def authority(folder):
    return Authority(folder)


@pytest.fixture(scope="module")
def right(authority):
    """The certificate that both servers show when all is well."""
    return authority.sign("server", "/O=Servers/CN=server", HERE)


@pytest.fixture(scope="module")
def servers(folder, authority, right):
    """RabbitMQ and mongod that began at once."""
    rabbit = Rabbit(folder / "rabbit", tls=Tls(folder / "rabbit", authority.file, right))
    mongo = Mongo(folder / "mongo", tls=Tls(folder / "mongo", authority.file, right))
    try:
        rabbit.launch()
        mongo.start()
        with mongo.connect() as client:
            client.admin.command("createUser", "sluice", pwd="p@ss", roles=[])
            client["$external"].command("createUser", CERTIFIED, roles=[])
        rabbit.wait_ready()
        rabbit.ctl("eval", "rabbit_auth_backend_internal:add_user(<<\"sluice\">>, <<\"p@ss\">>, "
                           "<<\"test\">>), rabbit_auth_backend_internal:set_permissions("
                           "<<\"sluice\">>, <<\"/\">>, <<\".*\">>, <<\".*\">>, <<\".*\">>, "
                           "<<\"test\">>).")
        yield rabbit, mongo
    finally:
        rabbit.stop()
        mongo.stop()


@pytest.fixture
def own_rabbit(servers):
    return servers[0]


@pytest.fixture
def own_mongo(servers):
    return servers[1]


@pytest.fixture
def scene(sim, workspace):
    """Both users have the rights that the documentation names, and no more."""
    roles = [{"role": "readWrite", "db": name}
             for name in (workspace.database, workspace.state_database)]
    workspace.client.admin.command("updateUser", "sluice", roles=roles)
    workspace.client["$external"].command("updateUser", CERTIFIED, roles=roles)
    return Scene(sim, workspace)


def by_password(rabbit, mongo):
    return {"broker": {"url": rabbit.tls_url("sluice:p%40ss@"),
                       "tls": {"ca_file": str(rabbit.tls.ca_file)}},
            "mongo": {"url": mongo.tls_url("sluice:p%40ss@")}}


def wait_logins(rabbit, login):
    """Waits until there are the connections of one sluice alone; RabbitMQ may still show one that has ended."""
    def found():
        return rabbit.ctl("list_connections", "user", "ssl", "auth_mechanism").split("\n")[1:-1]
    wait_until(lambda: found() == [login] * 3, 20, f"{login}; there are {found()}")


def test_passwords_log_in_over_tls(own_rabbit, own_mongo, scene):
    sluice = scene.sluice(**by_password(own_rabbit, own_mongo))
    scene.check_nothing_lost()
    wait_logins(own_rabbit, "sluice\ttrue\tPLAIN")
    assert sluice.stop() == 0


def test_certificates_log_in_without_any_password(own_rabbit, own_mongo, scene, authority):
    me = authority.sign("rabbit-client", "/O=Contoso/CN=sluice")
    other_me = authority.sign("mongo-client", "/O=Contoso/OU=Sales, EU/CN=slüice", password="s3cret")
    sluice = scene.sluice(
        broker={"url": own_rabbit.tls_url(),
                "tls": {"ca_file": str(authority.file), "certificate": str(me.certificate),
                        "key": str(me.key)}},
        mongo={"url": own_mongo.tls_url(
            authMechanism="MONGODB-X509", tlsCertificateKeyFile=other_me.pem,
            tlsCertificateKeyFilePassword="s3cret")})
    scene.check_nothing_lost()
    wait_logins(own_rabbit, "sluice\ttrue\tEXTERNAL")
    assert sluice.stop() == 0

    stranger = authority.sign("stranger", "/O=Contoso/CN=stranger")
    sluice.config["broker"]["tls"].update(certificate=str(stranger.certificate),
                                          key=str(stranger.key))
    assert_refuses_to_start(sluice, "login by the certificate of 'CN=stranger,O=Contoso'")
    sluice.config["broker"]["tls"].update(certificate=str(me.certificate), key=str(me.key))
    sluice.config["mongo"]["url"] = own_mongo.tls_url(
        authMechanism="MONGODB-X509", tlsCertificateKeyFile=stranger.pem)
    sluice.write_config()
    sluice.start()
    wait_trouble(sluice, "mongo", "It needs the user 'CN=stranger,O=Contoso' in its database $external")


def assert_refuses_to_start(sluice, *words):
    sluice.write_config()
    sluice.start()
    assert sluice.wait(40) not in (0, None)
    text = sluice.log_tail(5)
    assert all(word in text for word in words), text


def test_servers_with_wrong_certificates_are_refused_until_they_show_the_right_one(
        own_rabbit, own_mongo, workspace, scene, authority, right, folder):
    wrong_name = authority.sign("wrong-name", "/O=Servers/CN=server", "DNS:db.example.com")
    stranger = Authority(folder, "other-ca").sign("server", "/O=Servers/CN=server", HERE)
    not_named = "IP address mismatch, it does not name 127.0.0.1"
    not_signed = f"it is not signed by a CA of {authority.file}"

    own_mongo.show(wrong_name)
    sluice = workspace.sluice(scene.config(**by_password(own_rabbit, own_mongo)))
    wait_trouble(sluice, "mongo", f"127.0.0.1:{own_mongo.port}", not_named)
    own_mongo.show(stranger)
    wait_trouble(sluice, "mongo", not_signed)
    assert "broker" not in troubles(sluice)
    own_mongo.show(right)
    sluice.wait_ready()
    scene.wait_all_there()

    own_rabbit.show(wrong_name)
    own_rabbit.ctl("close_all_connections", "a test")
    scene.change(100)
    wait_trouble(sluice, "broker", f"127.0.0.1:{own_rabbit.tls_port}", not_named)
    own_rabbit.show(stranger)
    wait_trouble(sluice, "broker", not_signed)
    another = workspace.sluice(sluice.config | {"ops": {"listen": ""}}, start=False)
    assert_refuses_to_start(another, not_signed)
    own_rabbit.show(right)
    sluice.wait_ready()
    scene.check_nothing_lost()
    assert not [line for line in sluice.log_lines() if "p@ss" in str(line) or "p%40ss" in str(line)]
    assert sluice.stop() == 0


def test_a_ca_file_that_cannot_be_read_ends_the_start(own_rabbit, own_mongo, scene):
    changes = by_password(own_rabbit, own_mongo)
    changes["mongo"]["url"] = changes["mongo"]["url"].replace("ca.pem", "none.pem")
    sluice = scene.sluice(start=False, **changes)
    assert_refuses_to_start(sluice, "mongo.url: cannot use CA file", "none.pem: No such file")
