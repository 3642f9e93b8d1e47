"""Servers in the place of each peer that show a certificate which proves nothing, or speak a TLS that
protects nothing: each is refused before it hears a word, and the reason is told."""

import ssl

import pytest

from certificates import Authority
from feeds import configure, make_project
from mailbox import SOON
from process import free_port
from test_doctor import doctor
from tls_peer import TLS_1_1_ALL_THE_SAME, TlsPeer, without_newer_versions

HERE = "IP:127.0.0.1"
PASSWORD = "not-for-impostors"

# What each attack makes of a peer, and the words by which OpenSSL (RabbitMQ, MongoDB) and libcurl
# (Dynamics 365, mail) must tell it.
ATTACKS = {
    "wrong_name": ("does not name 127.0.0.1", "no alternative certificate subject name matches"),
    "expired": ("certificate has expired", "certificate has expired"),
    "self_signed": ("self-signed certificate", "self-signed certificate"),
    "unknown_ca": ("it is not signed by a CA of", "unable to get local issuer certificate"),
    "revoked": ("certificate revoked", "certificate revoked"),
    "tls_1_1": ("TLS handshake failed: tlsv1 alert protocol version", "tlsv1 alert protocol version"),
    "tls_1_1_all_the_same": ("TLS handshake failed: unsupported protocol", "unsupported protocol"),
    "downgrade": ("TLS handshake failed: inappropriate fallback", "inappropriate fallback"),
}

TRIED_AGAIN = ("tls_1_1", "tls_1_1_all_the_same", "downgrade")  # may be the network's fault


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("attacks")


@pytest.fixture(scope="module")
def authority(folder):
    return Authority(folder)


@pytest.fixture(scope="module")
def peers(folder, authority):
    """{attack: how a TlsPeer is made for it}; "none" is the peer as it should be."""
    right = authority.sign("right", "/O=Servers/CN=right", HERE)
    stranger = Authority(folder, "stranger").sign("stranger", "/O=Servers/CN=right", HERE)
    alone = Authority(folder, "alone")
    return {
        "none": {"certificate": right},
        "wrong_name": {"certificate": authority.sign("name", "/CN=name", "DNS:db.example.com")},
        "expired": {"certificate": authority.sign_expired("old", "/CN=old", HERE)},
        "self_signed": {"certificate": alone.sign_self("self", "/CN=self", HERE)},
        "unknown_ca": {"certificate": stranger},
        "revoked": {"certificate": authority.sign("gone", "/CN=gone", HERE)},
        "tls_1_1": {"certificate": right, "most": ssl.TLSVersion.TLSv1_1},
        "tls_1_1_all_the_same": {"certificate": right, "reply": TLS_1_1_ALL_THE_SAME},
        "downgrade": {"certificate": right, "spoil": without_newer_versions},
    }


@pytest.fixture(scope="module")
def trusted(authority, peers):
    """The CA, and its list of what it revoked."""
    return authority.revoking(peers["revoked"]["certificate"])


def everything(workspace, trusted, port):
    """A configuration that looks for RabbitMQ, MongoDB and Dynamics 365 at that port."""
    auth = {"authority": f"https://127.0.0.1:{port}", "tenant": "contoso.com", "client_id": "me",
            "client_secret": PASSWORD}
    return workspace.config(
        feeds={"accounts": {"source": "crm", "table": "account", "collection": "accounts"}},
        broker={"url": f"amqps://sluice:{PASSWORD}@127.0.0.1:{port}", "connect_timeout": "5s",
                "tls": {"ca_file": str(trusted)}},
        mongo={"url": f"mongodb://sluice:{PASSWORD}@127.0.0.1:{port}/?tls=true&tlsCAFile={trusted}"},
        sources={"crm": {"type": "dataverse", "url": f"https://127.0.0.1:{port}", "auth": auth}},
        http={"ca_file": str(trusted)}, ops={"listen": f"127.0.0.1:{free_port()}"})


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_impostor_of_rabbitmq_mongodb_or_dynamics_hears_nothing(workspace, peers, trusted, attack):
    words, http_words = ATTACKS[attack]
    with TlsPeer(**peers[attack]) as peer:
        status, lines, said = doctor(workspace, everything(workspace, trusted, peer.port))
    assert status == 1
    for what, expected in (("broker", words), ("mongo", words), ("source 'crm' token", http_words)):
        verdict, text = lines[what]
        assert verdict == "FAIL" and expected in text, said
    assert peer.visits >= 3 and peer.heard == b""
    assert PASSWORD not in said


def test_a_peer_as_it_should_be_is_talked_to(workspace, peers, trusted):
    """Or the tests above would prove nothing: the same server with the right certificate hears a login
    of each."""
    with TlsPeer(**peers["none"]) as peer:
        doctor(workspace, everything(workspace, trusted, peer.port), timeout_s=90)
    assert b"AMQP\x00\x00\x09\x01" in peer.heard
    assert b"isMaster" in peer.heard
    assert PASSWORD.encode() in peer.heard  # the request for a token


@pytest.mark.parametrize("attack", [*ATTACKS, "none"])
def test_an_impostor_of_those_who_are_told_of_alerts_hears_nothing(
        workspace, sim, peers, trusted, attack):
    """The mail server, and the web server, whose URL is a secret."""
    make_project(sim)
    with TlsPeer(**peers[attack], greeting=b"220 mail\r\n") as mail, TlsPeer(**peers[attack]) as web:
        config = configure(workspace, sim, http={"ca_file": str(trusted)}, alerts={
            **SOON, "webhook": {"url": f"https://127.0.0.1:{web.port}/{PASSWORD}"},
            "mail": {"host": "127.0.0.1", "port": mail.port, "security": "tls", "user": "ops",
                     "password": PASSWORD, "from": "ops@contoso.com", "to": ["team@contoso.com"]}})
        config["sources"]["fno"]["auth"]["client_secret"] = "wrong"
        sluice = workspace.sluice(config)
        for peer, right in ((mail, b"EHLO "), (web, f"POST /{PASSWORD}".encode())):
            if attack == "none":
                sluice.wait_for(lambda peer=peer, right=right: peer.heard.startswith(right), 30, "a word")
            else:
                sluice.wait_for(lambda peer=peer: peer.visits, 30, "a visit")
        if attack not in (*TRIED_AGAIN, "none"):
            reason = ATTACKS[attack][1]
            sluice.wait_for(lambda: any(reason in str(line) for line in sluice.log_lines()), 30, reason)
        sluice.stop()
    assert attack == "none" or mail.heard == web.heard == b""
    assert not any(PASSWORD in str(line) for line in sluice.log_lines())
