"""Signing in without a client secret: by a certificate, a federated token, a managed identity."""

import base64
import copy
import json
import re
import subprocess
import time

import pytest

from assertions import JWT_BEARER, encode, is_signed_by, take_apart, thumbprint
from certificates import Authority
from environment import Environment, csv_text, manifest, package
from feeds import (add_records, change_records, configure, feed, logged, make_project, trouble,
                   wait_fresh_run, wait_run)
from intruder import copies
from process import wait_until
from tables import Tables
from test_check import EXAMPLE, write
from test_check import sluice as command
from truth import differences, documents

TOKEN, OTHER_TOKEN = "eyJhIjoxfQ.eyJhIjoxfQ.c2ln", "eyJhIjoxfQ.eyJhIjoyfQ.c2ln"


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path, "entra")


@pytest.fixture(autouse=True)
def nothing_secret_was_said(request, tmp_path):
    """No key, token or assertion in anything that sluice says."""
    yield
    for log in tmp_path.glob("sluice*.log"):
        said = log.read_text()
        for secret in ("PRIVATE KEY", "MII", "eyJ", "Bearer ", "client_assertion"):
            assert secret not in said


def application(sim, **settings):
    return {"authority": sim.url, "tenant": sim.tenant, "client_id": sim.client_id, **settings}


def by_certificate(sim, pair, **more):
    return application(sim, type="certificate", certificate_file=str(pair.certificate),
                       key_file=str(pair.key), **more)


def by_token(sim, path):
    return application(sim, type="federated_token", token_file=str(path))


def register(sim, *pairs):
    sim.post("credentials", {"certificates": [one.certificate.read_text() for one in pairs]})


def put(pair, place):
    """Replaces the files of place by those of pair, each at once; the key first."""
    for kind in ("key", "certificate"):
        new = getattr(place, kind).with_suffix(".new")
        new.write_bytes(getattr(pair, kind).read_bytes())
        new.chmod(0o600)
        new.rename(getattr(place, kind))


def begin(workspace, sim, auth, count=30, **changes):
    """A sluice that reads vendors and signs in so."""
    add_records(sim, count)
    make_project(sim)
    config = configure(workspace, sim, log={"form": "json"}, **changes)
    config["sources"]["fno"]["auth"] = auth
    return workspace.sluice(config)


def arrived(sim, workspace):
    return not differences(workspace.db["vendors"], documents(sim))


def logins(sim, status=200, action="token"):
    return sim.get("stats")["requests"].get(action, {}).get(str(status), 0)


def complains(sluice, *words):
    said = trouble(sluice)
    return all(word in said for word in words)


# --- a certificate ---


@pytest.mark.parametrize("one_file, algorithm", [(False, "PS256"), (True, "PS256"), (False, "RS256")])
def test_a_certificate_brings_the_documents(sim, workspace, authority, one_file, algorithm):
    pair = authority.sign_rsa("app")
    register(sim, pair)
    auth = by_certificate(sim, pair, algorithm=algorithm)
    if one_file:
        auth["certificate_file"] = str(pair.pem)
        del auth["key_file"]
    sluice = begin(workspace, sim, auth)
    wait_run(sluice, workspace)
    assert arrived(sim, workspace) and logins(sim) == 1


def test_a_certificate_brings_the_tables_of_dataverse(sim, workspace, authority):
    pair = authority.sign_rsa("app")
    register(sim, pair)
    scene = Tables(sim, workspace, {"account": 30}, source={"auth": by_certificate(sim, pair)})
    scene.sluice()
    scene.wait_followed()
    scene.change(count=10)
    scene.check_nothing_lost()


def make_environment():
    rows = csv_text(["dataAreaId", "VendorAccountNumber", "ChangeNumber"], [["usmf", "V-1", "1"]])
    return Environment({"Vendors": package([("Manifest.xml", manifest({"Vendors V3.csv": "Vendors V3"})),
                                            ("Vendors V3.csv", rows.encode())])})


@pytest.mark.parametrize("algorithm", ["PS256", "RS256"])
def test_openssl_verifies_what_is_signed(sim, workspace, authority, algorithm, tmp_path):
    """Against a token endpoint in Python, which shares no code with the simulator."""
    pair, other = authority.sign_rsa("app", bits=3072), authority.sign_rsa("other")
    with make_environment() as entra:
        config = configure(workspace, sim, log={"form": "json"})
        config["sources"]["fno"] |= {"url": entra.url, "auth": {
            "type": "certificate", "authority": entra.url + "/", "tenant": "t", "client_id": "c",
            "certificate_file": str(pair.certificate), "key_file": str(pair.key), "algorithm": algorithm}}
        began = int(time.time())
        sluice = workspace.sluice(config)
        sluice.wait_for(lambda: entra.exports, 30, "an export")
        form, = entra.logins
        assert form["client_assertion_type"] == JWT_BEARER and "client_secret" not in form
        assert form["client_id"] == "c" and form["scope"] == f"{entra.url}/.default"
        one = take_apart(form["client_assertion"])
        named = {"x5t#S256": thumbprint(pair.certificate)} if algorithm == "PS256" else \
            {"x5t": thumbprint(pair.certificate, "sha1")}
        assert one.header == {"alg": algorithm, "typ": "JWT", **named}
        assert one.claims.keys() == {"aud", "iss", "sub", "jti", "nbf", "iat", "exp"}
        assert one.claims["aud"] == f"{entra.url}/t/oauth2/v2.0/token"
        assert one.claims["iss"] == one.claims["sub"] == "c" and len(one.claims["jti"]) == 32
        assert began <= one.claims["nbf"] == one.claims["iat"] <= time.time()
        assert one.claims["exp"] == one.claims["nbf"] + 300
        assert is_signed_by(pair.certificate, form["client_assertion"], tmp_path)
        assert not is_signed_by(other.certificate, form["client_assertion"], tmp_path)
        head, _, signature = form["client_assertion"].split(".")
        changed = encode(json.dumps({**one.claims, "sub": "d"}).encode())
        assert not is_signed_by(pair.certificate, f"{head}.{changed}.{signature}", tmp_path)
        sluice.stop()


@pytest.mark.sim(args=["--token-seconds", "4"])
def test_a_renewed_certificate_is_taken_while_it_runs(sim, workspace, authority):
    place, old, new = (authority.sign_rsa(name) for name in ("place", "old", "new"))
    put(old, place)
    register(sim, old)
    sluice = begin(workspace, sim, by_certificate(sim, place))
    wait_run(sluice, workspace)
    register(sim, old, new)
    put(new, place)
    before = logins(sim)
    wait_until(lambda: logins(sim) >= before + 2, 20, "two more tokens")
    register(sim, new)  # the old one is taken away: from here on only the new one will do
    before = logins(sim)
    wait_until(lambda: logins(sim) >= before + 2, 20, "tokens by the new one")
    change_records(sim, 10)
    wait_fresh_run(sluice, workspace)
    assert arrived(sim, workspace) and logins(sim, 401) == 0
    assert not logged(sluice, "feed in trouble, will try again")


@pytest.mark.sim(args=["--token-seconds", "9"])
def test_half_a_renewal_stops_nothing(sim, workspace, authority):
    """The key is there, the certificate comes a little later."""
    place, old, new = (authority.sign_rsa(name) for name in ("place", "old", "new"))
    put(old, place)
    register(sim, old, new)
    sluice = begin(workspace, sim, by_certificate(sim, place))
    wait_run(sluice, workspace)
    place.key.write_bytes(new.key.read_bytes())
    sluice.wait_for(lambda: logged(sluice, "token not renewed yet, the old one serves meanwhile"), 20,
                    "the renewal to fail")
    put(new, place)
    before = logins(sim)
    wait_until(lambda: logins(sim) > before, 20, "another token")
    wait_fresh_run(sluice, workspace)
    line, = logged(sluice, "token not renewed yet, the old one serves meanwhile")
    assert f"the key in '{place.key}' does not belong to the certificate in '{place.certificate}'" in line["error"]
    assert logins(sim, 401) == 0


@pytest.mark.parametrize("ends, begins, words", [
    ("20210102000000Z", "20200101000000Z", ["expired on 2021-01-02", "put a new one there"]),
    ("20990101000000Z", "20980101000000Z", ["is not valid before 2098-01-01T00:00:00 UTC", "clock"]),
])
def test_a_certificate_out_of_its_time_is_told_and_a_good_one_taken(sim, workspace, authority, ends, begins,
                                                                    words):
    place, good = authority.sign_rsa("place", begins=begins, ends=ends), authority.sign_rsa("good")
    place.key.chmod(0o600)
    register(sim, place, good)
    sluice = begin(workspace, sim, by_certificate(sim, place))
    sluice.wait_for(lambda: complains(sluice, str(place.certificate), *words), 20, "the reason in /readyz")
    assert logins(sim, 401) == logins(sim) == 0, "nobody was asked"
    checked = sluice.command("check")
    assert checked.returncode == 0 and ": warning: sources.fno.auth: the certificate in" in checked.stderr
    put(good, place)
    wait_run(sluice, workspace)
    assert arrived(sim, workspace)
    assert sluice.command("check").stderr == ""


def test_a_certificate_that_nobody_registered_is_told_with_its_code(sim, workspace, authority):
    pair = authority.sign_rsa("app")
    sluice = begin(workspace, sim, by_certificate(sim, pair))
    sluice.wait_for(lambda: complains(sluice, "cannot get a token: AADSTS700027"), 20, "the code in /readyz")
    assert logins(sim, 401) <= 3, "it is not hammered"
    register(sim, pair)
    wait_run(sluice, workspace)
    assert arrived(sim, workspace)


def test_a_key_of_another_certificate_is_refused_before_anything_starts(sim, workspace, authority, tmp_path):
    pair, other = authority.sign_rsa("app"), authority.sign_rsa("other")
    auth = {**by_certificate(sim, pair), "key_file": str(other.key)}
    sluice = begin(workspace, sim, auth)
    wait_until(lambda: not sluice.running(), 20, "its end")
    assert f"the key in '{other.key}' does not belong to the certificate in '{pair.certificate}'" in \
        sluice.log_path.read_text()
    assert logins(sim) == 0


# --- a federated token ---


@pytest.mark.sim(args=["--token-seconds", "4"])
def test_a_federated_token_is_waited_for_and_read_anew(sim, workspace):
    path = workspace.dir / "token"
    sim.post("credentials", {"federated_token": TOKEN})
    sluice = begin(workspace, sim, by_token(sim, path))
    sluice.wait_for(lambda: complains(sluice, f"cannot read the token file '{path}'"), 20, "the reason")
    assert "cannot be read now; the source waits for it" in sluice.log_path.read_text()
    path.write_text("not a token\n")
    path.chmod(0o600)
    sluice.wait_for(lambda: complains(sluice, "does not hold a token"), 20, "the reason")
    assert logins(sim) == logins(sim, 401) == 0, "nothing of it was sent"
    path.write_text(TOKEN)
    wait_run(sluice, workspace)
    assert arrived(sim, workspace)
    assert sluice.command("check").stderr == ""

    path.write_text(OTHER_TOKEN + "\n")
    sim.post("credentials", {"federated_token": OTHER_TOKEN})
    refused, before = logins(sim, 401), logins(sim)
    wait_until(lambda: logins(sim) >= before + 2, 20, "tokens by the new one")
    change_records(sim, 5)
    wait_fresh_run(sluice, workspace)
    assert arrived(sim, workspace) and logins(sim, 401) == refused


def test_a_federated_token_that_is_not_trusted_is_told_with_its_code(sim, workspace):
    path = workspace.dir / "token"
    path.write_text(OTHER_TOKEN)
    sim.post("credentials", {"federated_token": TOKEN})
    sluice = begin(workspace, sim, by_token(sim, path))
    sluice.wait_for(lambda: complains(sluice, "cannot get a token: AADSTS"), 20, "the code")


# --- a managed identity ---


@pytest.mark.parametrize("status", [404, 410, 429, 500])
def test_a_machine_that_answers_later_is_waited_for(sim, workspace, status):
    sim.post("switches", {"identity_status": status, "identity_next": 2})
    endpoint = f"{sim.url}/metadata/identity/oauth2/token"
    began = time.monotonic()
    sluice = begin(workspace, sim, {"type": "managed_identity", "endpoint": endpoint})
    wait_run(sluice, workspace)
    assert arrived(sim, workspace) and time.monotonic() - began >= 3, "pauses of one second and of two"
    assert sim.get("stats")["requests"]["identity"] == {str(status): 2, "200": 1}
    assert logins(sim) == 0


def test_an_app_shows_its_header(sim, workspace):
    sluice = begin(workspace, sim, {"type": "managed_identity", "endpoint": f"{sim.url}/msi/token",
                                    "identity_header": "sim-identity-header", "client_id": sim.client_id})
    wait_run(sluice, workspace)
    assert arrived(sim, workspace)


@pytest.mark.parametrize("settings, words", [
    ({"client_id": "nobody"}, ["the managed identity endpoint refused: Identity not found"]),
    ({"scope": "https://other.example/.default"}, ["AADSTS500011"]),
])
def test_a_machine_that_refuses_is_told(sim, workspace, settings, words):
    sluice = begin(workspace, sim, {"type": "managed_identity",
                                    "endpoint": f"{sim.url}/metadata/identity/oauth2/token", **settings})
    sluice.wait_for(lambda: complains(sluice, *words), 20, "the reason")
    assert logins(sim, 400, "identity") <= 3


def test_a_redirect_of_a_machine_is_not_followed(sim, workspace):
    sim.post("switches", {"identity_status": 302})
    sluice = begin(workspace, sim, {"type": "managed_identity",
                                    "endpoint": f"{sim.url}/metadata/identity/oauth2/token"})
    sluice.wait_for(lambda: complains(sluice, "the managed identity endpoint refused"), 20, "the reason")
    requests = sim.get("stats")["requests"]
    assert requests["identity"].keys() == {"302"} and "other" not in requests


# --- what check and doctor say ---


def checked(tmp_path, auth):
    config = copy.deepcopy(EXAMPLE)
    config["sources"]["fno"]["auth"] = auth
    write(tmp_path, config)
    return command("check", cwd=tmp_path)


@pytest.mark.parametrize("auth, said", [
    ({"type": "certificate", "tenant": "t", "client_id": "c"},
     'missing key "certificate_file" in sources.fno.auth: type "certificate" needs tenant, client_id and '
     'certificate_file'),
    ({"type": "federated_token", "tenant": "t", "client_id": "c", "token_file": "/t", "client_secret": "s"},
     'sources.fno.auth.client_secret is not for type "federated_token", which needs tenant, client_id and '
     'token_file'),
    ({"type": "managed_identity", "tenant": "t"},
     'sources.fno.auth.tenant is not for type "managed_identity", which needs nothing else'),
    ({"tenant": "t", "client_id": "c", "client_secret": "s", "key_file": "k"},
     'sources.fno.auth.key_file is not for type "client_secret", which needs tenant, client_id and '
     'client_secret'),
    ({"type": "certificat"},
     'sources.fno.auth.type must be "client_secret", "certificate", "federated_token" or "managed_identity", '
     'not "certificat"'),
    ({"type": "managed_identity", "endpoint": "http://10.0.0.1/token"},
     "sources.fno.auth.endpoint 'http://10.0.0.1/token' must begin with https:// (plain http is for this "
     "machine and 169.254.0.0/16 alone)"),
])
def test_check_says_what_a_type_needs(tmp_path, auth, said):
    result = checked(tmp_path, auth)
    assert result.returncode == 1
    assert re.search(rf"^sluice.jsonc:\d+:\d+: {re.escape(said)}$", result.stderr, re.M), result.stderr


def test_check_looks_at_the_files(tmp_path, authority):
    pair = authority.sign_rsa("app")
    auth = {"type": "certificate", "tenant": "t", "client_id": "c", "certificate_file": str(pair.certificate),
            "key_file": str(pair.key)}
    pair.key.chmod(0o600)
    assert checked(tmp_path, auth).stderr == ""
    pair.key.chmod(0o644)
    result = checked(tmp_path, auth)
    assert result.returncode == 0
    assert f'warning: sources.fno.auth.key_file: every user of this machine may read "{pair.key}"' in result.stderr
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o640)
    result = checked(tmp_path, {"type": "federated_token", "tenant": "t", "client_id": "c",
                                "token_file": str(token)})
    assert result.returncode == 0 and f'the group of "{token}" may read it' in result.stderr
    assert checked(tmp_path, {**auth, "key_file": str(tmp_path / "none")}).returncode == 1


def test_doctor_asks_for_a_token(sim, workspace, authority):
    pair = authority.sign_rsa("app")
    register(sim, pair)
    make_project(sim)
    config = configure(workspace, sim)
    config["sources"]["fno"]["auth"] = by_certificate(sim, pair)
    sluice = workspace.sluice(config, start=False)
    said = sluice.command("doctor").stdout
    assert re.search(r"^ok +source 'fno' token: issued$", said, re.M), said
    register(sim)
    assert "source 'fno' token: cannot get a token: AADSTS700027" in sluice.command("doctor").stdout
    sluice.config["sources"]["fno"]["auth"] = {"type": "managed_identity", "endpoint": "http://127.0.0.1:9/token"}
    sluice.write_config()
    assert "is this a machine in Azure, and auth.endpoint right?" in sluice.command("doctor").stdout


# --- secrets in memory ---


def marks_of(key):
    """{what: bytes} that stand in the memory while the key does: its PEM, a prime as OpenSSL keeps it. The DER,
    of which OpenSSL frees a copy as it is, is left out: docs/SECURITY.md."""
    pem = key.read_text()
    der = base64.b64decode("".join(line for line in pem.splitlines() if "-" not in line))
    said = subprocess.run(["openssl", "rsa", "-in", key, "-noout", "-text"], capture_output=True, text=True,
                          timeout=20).stdout
    prime = bytes.fromhex(re.sub(r"[^0-9a-f]", "", re.search(r"prime1:\n((?:\s+[0-9a-f:]+\n)+)", said)[1]))
    prime = prime.lstrip(b"\0")
    assert prime in der
    return {"PEM": pem.splitlines()[5].encode(), "number": prime[::-1][40:72]}


@pytest.mark.sim(args=["--token-seconds", "4"])
def test_neither_key_nor_token_stays_in_the_memory(sim, workspace, authority):
    pair, path = authority.sign_rsa("app"), workspace.dir / "token"
    path.write_text(TOKEN)
    path.chmod(0o600)
    register(sim, pair)
    sim.post("credentials", {"federated_token": TOKEN})
    auth = by_certificate(sim, pair)
    del auth["key_file"]
    auth["certificate_file"] = str(pair.pem)  # which has the key before the certificate
    scene = Tables(sim, workspace, {"account": 3}, source={"auth": by_token(sim, path)})
    make_project(sim)
    config = scene.config()
    config["sources"]["fno"] = {"type": "dmf", "url": sim.url, "auth": auth}
    config["feeds"]["vendors"] = feed(sim)
    sluice = workspace.sluice(config, start=False)
    sluice.start(30)
    assert copies(sluice.pid, sim.client_id), "in use, so the search must find it"
    wait_until(lambda: logins(sim) >= 4, 30, "some tokens")
    sim.post("switches", {"token_seconds": 3600})
    before = logins(sim)
    wait_until(lambda: logins(sim) == before + 2, 20, "the last two")
    time.sleep(0.5)
    left = {what: copies(sluice.pid, mark) for what, mark in marks_of(pair.key).items()}
    left["federated token"] = copies(sluice.pid, TOKEN)
    left["assertion"] = copies(sluice.pid, "client_assertion=")
    assert left == dict.fromkeys(left, [])
