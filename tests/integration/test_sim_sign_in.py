"""How the simulator lets clients in without a secret: assertions, a federated token, managed identities."""

import json
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

from assertions import JWT_BEARER, claims_for, make, thumbprint
from certificates import Authority


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Two that are registered, one that is not."""
    authority = Authority(tmp_path_factory.mktemp("pairs"))
    return [authority.sign_rsa(name) for name in ("first", "second", "third")]


@pytest.fixture
def registered(sim, pairs):
    sim.post("credentials", {"certificates": [one.certificate.read_text() for one in pairs[:2]],
                             "federated_token": "a.b.c"})
    return sim


def ask(url, form=None, **headers):
    """(status, the answer) of a GET, or of a POST of form."""
    data = urllib.parse.urlencode(form).encode() if form is not None else None
    request = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def audience(sim):
    return f"{sim.url}/{sim.tenant}/oauth2/v2.0/token"


def login(sim, assertion, **changes):
    """0, or the AADSTS code."""
    status, answer = ask(audience(sim), {
        "grant_type": "client_credentials", "client_id": sim.client_id, "scope": f"{sim.url}/.default",
        "client_assertion_type": JWT_BEARER, "client_assertion": assertion, **changes})
    if status == 200:
        assert len(answer["access_token"]) > 1000
        return 0
    return answer["error_codes"][0]


def test_an_assertion_of_a_registered_certificate_brings_a_token(registered, pairs):
    for pair in pairs[:2]:
        for by in ("PS256", "RS256"):
            claims = claims_for(registered.client_id, audience(registered))
            assert login(registered, make(pair, claims, by)) == 0


@pytest.mark.parametrize("code, changes", [
    (700023, {"aud": "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token"}),
    (700023, {"aud": ""}),
    (700021, {"sub": "5f1c8bd0-0000-4000-8000-00000000000f"}),
    (700213, {"iss": "https://other", "sub": "a"}),
    (700024, {"exp": -1}),
    (700024, {"exp": 3600}),
    (700024, {"nbf": 600}),
    (700024, {"nbf": None}),
    (50027, {"jti": ""}),
])
def test_claims_that_are_not_right_are_refused(registered, pairs, code, changes):
    """Times are seconds from now."""
    changes = {name: int(time.time()) + value if isinstance(value, int) else value
               for name, value in changes.items()}
    claims = claims_for(registered.client_id, audience(registered), **changes)
    assert login(registered, make(pairs[0], claims)) == code


def test_an_assertion_serves_once(registered, pairs):
    one = make(pairs[0], claims_for(registered.client_id, audience(registered)))
    assert [login(registered, one) for _ in range(3)] == [0, 50013, 50013]


def test_signatures_that_are_not_right_are_refused(registered, pairs):
    def claims():
        return claims_for(registered.client_id, audience(registered))

    good = make(pairs[0], claims())
    head, body, signature = good.split(".")
    other = make(pairs[0], claims()).split(".")
    refused = {
        "of a certificate that is not registered": make(pairs[2], claims()),
        "under another's name": make(pairs[0], claims(), **{"x5t#S256": thumbprint(pairs[1].certificate)}),
        "of other claims": f"{head}.{other[1]}.{signature}",
        "by none": make(pairs[0], claims(), alg="none"),
        "by another algorithm than it says": make(pairs[0], claims(), alg="RS256"),
        "without a thumbprint": make(pairs[0], claims(), **{"x5t#S256": ""}),
        "with an old thumbprint": make(pairs[0], claims(), **{"x5t#S256": None},
                                       x5t=thumbprint(pairs[0].certificate, "sha1")),
        "cut": f"{head}.{body}.{signature[:-4]}",
    }
    assert {what: login(registered, one) for what, one in refused.items()} == dict.fromkeys(refused, 700027)
    malformed = [f"{head}.{body}", f"{head}.{body}.", f"{good}.x", f"{head}.{body}.{signature}=",
                 f"{head}.{body}.+", "x", "a.b.d", make(pairs[0], claims(), typ="JWS"), f"{head}.!.{signature}"]
    assert [login(registered, one) for one in malformed] == [50027] * len(malformed)
    assert login(registered, good) == 0, "none of these has used it up"


def test_expired_certificates_are_refused(registered, tmp_path):
    old = Authority(tmp_path).sign_rsa("old", ends="20210101000000Z")
    registered.post("credentials", {"certificates": [old.certificate.read_text()]})
    assert login(registered, make(old, claims_for(registered.client_id, audience(registered)))) == 700027


def test_a_federated_token_is_taken_letter_by_letter(registered, sim):
    assert login(registered, "a.b.c") == login(registered, "a.b.c") == 0
    assert login(registered, "a.b.d") == 50027
    sim.post("credentials", {"federated_token": "e30.e30.e30"})
    assert login(registered, "a.b.c") == 50027 and login(registered, "e30.e30.e30") == 0
    sim.post("reset")
    assert login(registered, "e30.e30.e30") != 0


def test_without_assertion_and_secret_nobody_gets_in(registered):
    assert login(registered, "") == 7000218
    assert login(registered, "a.b.c", client_assertion_type="") == 900144
    assert login(registered, "", client_secret="x") == 7000215
    assert login(registered, "", client_secret=registered.client_secret) == 0
    assert login(registered, "a.b.c", client_id="5f1c8bd0-0000-4000-8000-00000000000f") == 700016


def test_certificates_that_are_none_are_refused(sim):
    for wrong in (["x"], [3], "x", ["x"] * 9):
        with pytest.raises(Exception, match="400"):
            sim.post("credentials", {"certificates": wrong})


# --- managed identities ---


def machine(sim, headers=None, **changes):
    query = {"api-version": "2018-02-01", "resource": sim.url, **changes}
    query = urllib.parse.urlencode({name: value for name, value in query.items() if value is not None})
    return ask(f"{sim.url}/metadata/identity/oauth2/token?{query}", **(headers or {"Metadata": "true"}))


def test_the_machine_has_an_identity_whose_numbers_are_strings(sim):
    status, answer = machine(sim)
    assert status == 200 and answer["expires_in"] == "3599" and answer["token_type"] == "Bearer"
    assert abs(int(answer["expires_on"]) - time.time() - 3600) < 5 and answer["resource"] == sim.url
    status, _ = ask(f"{sim.url}/api/data/v9.2/WhoAmI", Authorization=f"Bearer {answer['access_token']}")
    assert status == 200
    assert machine(sim, client_id=sim.client_id)[0] == 200


def test_who_asks_the_machine_in_the_wrong_way_is_refused(sim):
    for headers in ({"Accept": "a"}, {"Metadata": "True"}, {"Metadata": "false"}):
        status, answer = machine(sim, headers)
        assert (status, answer["error"]) == (400, "bad_request_102")
    assert machine(sim, {"Metadata": "true", "X-Forwarded-For": "10.0.0.1"})[0] == 400
    assert machine(sim, resource="https://other.example")[1]["error"] == "invalid_resource"
    assert machine(sim, resource=None)[0] == machine(sim, **{"api-version": None})[0] == 400
    assert machine(sim, client_id="nobody") == (400, {"error": "invalid_request",
                                                      "error_description": "Identity not found"})


def test_an_app_has_an_identity_too_and_does_not_tell_how_long_a_token_lives(sim):
    query = urllib.parse.urlencode({"api-version": "2019-08-01", "resource": sim.url})
    status, answer = ask(f"{sim.url}/msi/token?{query}", X_IDENTITY_HEADER="x")
    assert status == 401
    status, answer = ask(f"{sim.url}/msi/token?{query}", **{"X-IDENTITY-HEADER": "sim-identity-header"})
    assert status == 200 and "expires_in" not in answer and answer["expires_on"].isdigit()


def test_identities_can_be_switched_off(sim):
    sim.post("switches", dict(identity_status=410, identity_next=2))
    assert [machine(sim)[0] for _ in range(3)] == [410, 410, 200]
    sim.post("switches", dict(identity_status=429, identity_next=None))
    assert [machine(sim)[0] for _ in range(3)] == [429] * 3
    assert sim.get("stats")["requests"]["identity"] == {"410": 2, "200": 1, "429": 3}
