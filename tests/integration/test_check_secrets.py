"""What sluice check says about files that keep no secret, and pages that keep none."""

import json
import re

from certificates import Authority
from test_check import EXAMPLE, sluice, write


def test_a_secret_file_that_everybody_may_read_is_a_warning(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    config = json.loads(json.dumps(EXAMPLE))
    config["sources"]["fno"]["auth"]["client_secret"] = f"${{file:{secret}}}"
    write(tmp_path, config)
    secret.chmod(0o600)
    assert sluice("check", cwd=tmp_path).stderr == ""
    secret.chmod(0o644)
    result = sluice("check", cwd=tmp_path)
    assert result.returncode == 0
    assert f'every user of this machine may read "{secret}"' in result.stderr
    assert "hunter2" not in result.stderr


def test_a_secret_file_that_others_may_exchange_is_a_warning(tmp_path):
    """By their group, or because the file is a link to somewhere else."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    secret, elsewhere, link = folder / "secret", tmp_path / "elsewhere", folder / "link"
    for path in (secret, elsewhere):
        path.write_text("hunter2\n")
        path.chmod(0o600)
    link.symlink_to(elsewhere)
    inside = folder / "inside"
    inside.symlink_to("secret")

    def said(path):
        config = json.loads(json.dumps(EXAMPLE))
        config["sources"]["fno"]["auth"]["client_secret"] = f"${{file:{path}}}"
        write(tmp_path, config)
        result = sluice("check", cwd=tmp_path)
        assert result.returncode == 0 and "hunter2" not in result.stderr
        return result.stderr

    assert said(secret) == said(inside) == ""
    assert f'"{link}" is a link out of its folder, to "{elsewhere}"' in said(link)
    secret.chmod(0o640)
    assert f'the group of "{secret}" may read it; chmod g-r hides it' in said(secret)
    secret.chmod(0o620)
    assert f'others than its owner may change "{secret}"' in said(secret)


def test_a_configuration_that_holds_a_secret_and_others_may_read_is_a_warning(tmp_path):
    config = json.loads(json.dumps(EXAMPLE))
    config["sources"]["fno"]["auth"]["client_secret"] = "hunter2"
    path = write(tmp_path, config)
    path.chmod(0o644)
    result = sluice("check", cwd=tmp_path)
    assert result.returncode == 0
    assert re.search(r"^sluice.jsonc:\d+:\d+: warning: a secret is written here, and every user of this "
                     r'machine may read "sluice.jsonc"; chmod o-r hides it$', result.stderr, re.M)
    assert "hunter2" not in result.stderr
    path.chmod(0o600)
    assert sluice("check", cwd=tmp_path).stderr == ""


def test_a_password_in_a_url_is_a_secret_too(tmp_path):
    config = json.loads(json.dumps(EXAMPLE))

    def said(broker, mongo="mongodb://127.0.0.1/", proxy=""):
        config["broker"]["url"], config["mongo"]["url"], config["http"] = broker, mongo, {"proxy": proxy}
        if not proxy:
            del config["http"]
        write(tmp_path, config).chmod(0o644)
        result = sluice("check", cwd=tmp_path, FNO_SECRET="s", PASSWORD="hunter2",
                        HOST="127.0.0.1")
        assert result.returncode == 0 and "hunter2" not in result.stderr
        return "a secret is written here" in result.stderr

    assert said("amqp://u:hunter2@127.0.0.1/")
    assert said("amqp://127.0.0.1/", "mongodb://u:hunter2@h1,h2/?tls=true")
    assert said("amqp://127.0.0.1/", proxy="http://u:hunter2@127.0.0.1:3128")
    config["alerts"] = {"webhook": {"url": "https://hooks.example.com/services/hunter2"}}
    assert said("amqp://127.0.0.1/"), "its path is a key"
    config["alerts"] = {"webhook": {"url": "https://hooks.example.com/services/${PASSWORD}"}}
    assert not said("amqp://127.0.0.1/")
    assert not said("amqp://u:${PASSWORD}@127.0.0.1/")
    assert not said("amqp://u:${PASSWORD}@${HOST}/")
    assert said("amqp://u:hunter2@${HOST}/"), "the rest of the URL may come from elsewhere"
    assert not said("amqp://guest:guest@127.0.0.1/")
    assert not said("amqp://u@127.0.0.1/", "mongodb://127.0.0.1:27017/?appName=a:b%40c")


def test_a_tls_key_that_others_may_read_is_a_warning(tmp_path):
    one = Authority(tmp_path).sign("me", "/O=a/CN=me", "IP:127.0.0.1")
    config = json.loads(json.dumps(EXAMPLE))
    config["broker"] = {"url": "amqps://127.0.0.1/", "tls": {"certificate": str(one.certificate),
                                                             "key": str(one.key)}}
    config["mongo"]["url"] += f"&tls=true&tlsCertificateKeyFile={one.pem}"
    write(tmp_path, config)
    one.pem.chmod(0o600)
    assert sluice("check", cwd=tmp_path, FNO_SECRET="s").stderr == ""
    one.key.chmod(0o644)
    one.pem.chmod(0o640)
    said = sluice("check", cwd=tmp_path, FNO_SECRET="s").stderr
    assert f'broker.tls.key: every user of this machine may read "{one.key}"' in said
    assert f'mongo.url: the group of "{one.pem}" may read it' in said


def test_pages_on_the_network_without_a_token_are_a_warning(tmp_path):
    words = "ops.token makes them show a token"
    config = json.loads(json.dumps(EXAMPLE))
    for listen, warned in (("127.0.0.1:9464", False), ("[::1]:9464", False), ("localhost:9464", False),
                           ("", False), ("0.0.0.0:9464", True), (":9464", True), ("[::]:9464", True),
                           ("192.0.2.7:9464", True)):
        config["ops"] = {"listen": listen}
        write(tmp_path, config)
        result = sluice("check", cwd=tmp_path, FNO_SECRET="s")
        assert result.returncode == 0 and (words in result.stderr) == warned, listen
    config["ops"]["token"] = "${OPS_TOKEN}"
    write(tmp_path, config)
    assert sluice("check", cwd=tmp_path, FNO_SECRET="s", OPS_TOKEN="t").stderr == ""
    config["ops"]["token"] = "${file:/nowhere/token}"
    write(tmp_path, config)
    result = sluice("check", cwd=tmp_path, FNO_SECRET="s")
    assert result.returncode == 1 and words not in result.stderr, "it has one, which cannot be read"
    del config["ops"]
    write(tmp_path, config)
    assert sluice("check", cwd=tmp_path, FNO_SECRET="s").stderr == "", "the default is loopback"


def test_a_token_that_is_empty_is_not_none(tmp_path):
    """From a file that somebody has emptied, say: the pages would be open to all."""
    (tmp_path / "token").write_text("\n")
    (tmp_path / "token").chmod(0o600)
    config = json.loads(json.dumps(EXAMPLE))
    for listen in ("127.0.0.1:9464", "0.0.0.0:9464"):
        config["ops"] = {"listen": listen, "token": f"${{file:{tmp_path}/token}}"}
        write(tmp_path, config)
        result = sluice("check", cwd=tmp_path, FNO_SECRET="s")
        assert result.returncode == 1
        assert re.search(r"^sluice\.jsonc:\d+:\d+: ops\.token is empty: ", result.stderr, re.M), result.stderr


def test_a_listener_on_the_network_without_tls_is_a_warning(tmp_path):
    one = Authority(tmp_path).sign("me", "/O=a/CN=me", "IP:127.0.0.1")
    one.key.chmod(0o600)
    tls = {"certificate": str(one.certificate), "key": str(one.key)}
    config = json.loads(json.dumps(EXAMPLE))
    config["feeds"]["orders"] = {"source": "posts", "collection": "orders", "key": "order_id"}

    def warned(listen, **more):
        config["sources"]["posts"] = {"type": "ingest", "listen": listen, "token": "${TOKEN}", **more}
        write(tmp_path, config)
        result = sluice("check", cwd=tmp_path, FNO_SECRET="s", TOKEN="t" * 32)
        assert result.returncode == 0, result.stderr
        return result.stderr.count("is not encrypted")

    assert warned("0.0.0.0:8443") == warned("[::]:8443") == warned("192.0.2.7:8443") == 1
    assert warned("127.0.0.1:8443") == warned("localhost:8443") == warned("[::1]:8443") == 0
    assert warned("0.0.0.0:8443", tls=tls) == 0
    config["sources"]["more"] = {"type": "ingest", "listen": "0.0.0.0:8443", "token": "${TOKEN}"}
    config["feeds"]["more"] = {"source": "more", "collection": "more", "key": "id"}
    assert warned("0.0.0.0:8443", tls=tls) == 0, "they share the listener, and so its certificate"
    assert warned("0.0.0.0:8443") == 2
