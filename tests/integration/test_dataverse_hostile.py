"""A service that answers with nonsense, lies, or leads elsewhere: each time a clear message, nothing lost,
and neither token nor secret shown to anybody."""

import json

import pytest

from dataverse_script import SECRET, TOKEN, Answer, Page, Script, failure, guid, row
from feeds import logged
from process import wait_until
from readiness import troubles, wait_trouble
from tables import Scripted, Tables

A, B, C, D = 1, 2, 3, 4


@pytest.fixture(autouse=True)
def nothing_secret_is_shown(workspace):
    """After each test: no log, metric or status holds the client secret or a token."""
    yield
    for sluice in workspace.sluices:
        shown = sluice.log_path.read_text()
        if sluice.running():
            shown += "".join(sluice.ops(path)[1] for path in ("/metrics", "/status", "/readyz"))
        for secret in (SECRET, TOKEN):
            assert secret not in shown, f"{sluice.name} shows '{secret}'"
    letters = str(list(workspace.state["dead"].find())) + str(list(workspace.state["runs"].find()))
    assert TOKEN not in letters and SECRET not in letters


# table: (how it answers a poll of changes, words of the trouble that it makes)
BROKEN = {
    "malformed": (b'{"value":[{"@odata.etag":"W/\\"5\\"",,', ["malformed", "near byte"]),
    "deep": (b'{"value":[{"a":' + b"[" * 1_000_000, ["deep", "near byte"]),
    "cut": (Answer(b'{"value":[' + b" " * 5000 + b"]}", cut=600), ["cut"]),
    "html": (Answer("<html>Sign in</html>", content_type="text/html"), ["html", "not JSON"]),
    "endless": (b'{"value":[]}', ["endless", "ends without a link"]),
    "broken": (failure(500, "0x80040216", "An unexpected error occurred."), ["500", "unexpected"]),
    "robbed": (failure(403, "0x80040220", "Principal user is missing prvReadAccount privilege"),
               ["organisation-wide read", "prvReadAccount"]),
}


def test_answers_that_make_no_sense_are_named_and_asked_for_again(workspace):
    with Script(**{name: ["name"] for name in (*BROKEN, "untracked")}) as script:
        for name in BROKEN:
            script[name].answers = {"full": Page([row(A, 100, name="a"), row(B, 101)], delta="d1")}
        scene = Scripted(script, workspace)
        script["untracked"].tracking = False
        sluice = scene.sluice(start=False)
        sluice.start()
        for name in BROKEN:
            scene.wait_stored({A: (200, True), B: (202, True)}, name)
        reason = wait_trouble(sluice, "feed untracked", "change tracking is off")
        assert "turn it on" in reason
        asked = {name: script[name].count("d1") for name in BROKEN}
        for name, (answer, _) in BROKEN.items():
            script[name].answers["d1"] = answer
        for name, (_, words) in BROKEN.items():
            wait_trouble(sluice, f"feed {name}", *words)
            warned = logged(sluice, "feed in trouble, will try again", feed=name)
            assert 1 <= len(warned) <= 2, "a trouble is told once"

        # None of them was asked in a hot loop, and all go on where they were.
        for name in BROKEN:
            polls = script[name].count("d1") - asked[name]
            assert polls < 40, f"{name}: {polls} polls"
            script[name].answers["d1"] = Page([row(A, 300, name="b")], deleted=[B], delta="d2")
        script["untracked"].tracking = True
        sluice.restart()  # what only an operator can mend is looked at once a minute
        for name in BROKEN:
            wait_until(lambda: scene.stored(name)[A] == (600, True) and not scene.stored(name)[B][1],
                       20, f"{name} being healed")
        sluice.wait_ready(20)
        scene.check_versions()
        assert not script.strangers


def test_links_and_redirects_to_another_host_are_not_followed(workspace):
    with Script(leads_away=["name"], redirects=["name"], moved=["name"]) as script, \
            Script(other=["name"]) as other:
        elsewhere = f"{other.url}/api/data/v9.2/others?$deltatoken=x"
        for name in script.tables:
            script[name].answers = {"full": Page([row(A, 100)], delta="d1")}
        script["leads_away"].answers = {"full": Page([row(A, 100)], next=elsewhere)}
        script["redirects"].answers["d1"] = Answer(status=302, Location=elsewhere)
        script["moved"].answers["d1"] = Page([row(A, 120)], next=elsewhere)
        scene = Scripted(script, workspace)
        sluice = scene.sluice()
        for name in ("leads_away", "redirects", "moved"):
            line = sluice.wait_for(lambda: logged(sluice, "full read begins", feed=name, level="warn"),
                                   20, f"{name} being read again")[0]
            assert ("redirected (302)" if name == "redirects" else "another host") in line["why"]
        # Read again and again, ever more seldom: no hot loop.
        wait_until(lambda: script["leads_away"].count("full") >= 3, 20, "it being tried again")
        metrics = sluice.metrics()
        assert metrics.value("sluice_links_refused_total", source="crm") >= 3
        assert metrics.value("sluice_full_reads_total", feed="redirects") >= 1
        for table in script.tables.values():
            assert table.count("full") <= 8, f"{table.name}: {table.count('full')} full reads"

        for name in script.tables:
            script[name].answers = {"full": Page([row(A, 100), row(B, 130)], delta="d1")}
        for name in script.tables:
            wait_until(lambda: scene.stored(name).get(B) == (260, True), 40, f"{name} being healed")
        sluice.wait_ready(20)
        assert not other.strangers and not other["other"].asked and not other.tokens_given
        assert not script.strangers


def test_rows_that_cannot_be_taken_are_dead_letters_and_the_others_go_on(workspace):
    huge = "x" * (20 * 1024 * 1024)
    with Script(account={"name": "Memo", "employees": "Integer", "born": "DateTime"}) as script:
        table = script["account"]
        nameless = json.dumps({"value": [
            {"@odata.etag": 'W/"150"', "name": "who am I"},
            {"@odata.etag": 'W/"151"', table.key: guid(B), "name": "fine"},
            {table.key: guid(C), "name": "no version"},
            {"@odata.etag": 'W/"152"', table.key: guid(D), "name": {"deep": [[["x"]]]}},
        ], "@odata.deltaLink": table.link("d2")}).encode()
        table.answers = {
            "full": Page([row(A, 100, employees="many", name="a"), row(B, 101, born="soon"),
                          row(C, 102, name="fine", employees=7), row(D, 103, employees=2**70)],
                         delta="d1"),
            "d1": nameless,
            "d2": Page([row(A, 160, name=huge), row(C, 161, name="c")], delta="d3")}
        scene = Scripted(script, workspace)
        sluice = scene.sluice()
        wait_until(lambda: scene.stored().get(C) == (322, True) and scene.stored().get(B) == (302, True), 40,
                   "the last rows")
        dead = workspace.state["dead"]
        wait_until(lambda: dead.count_documents({"code": "too_large"}), 20, "the huge row")
        codes = sorted((one["code"], one.get("id", "")[:8]) for one in dead.find())
        assert ("too_large", "00000001") in codes and ("empty_key", "") in codes
        assert ("no_version", "00000003") in codes
        assert {("untypable", f"0000000{one}") for one in (A, B, D)} <= set(codes)
        assert all(len(str(one.get("row", ""))) < 200_000 for one in dead.find())
        wait_until(lambda: not workspace.state["runs"].count_documents(
            {"state": {"$in": ["streaming", "published"]}}), 20,
                   "the books")
        assert workspace.state["runs"].count_documents({"state": "failed"}) == 0
        assert sluice.metrics().value("sluice_rows_total", stage="dead") >= len(codes)
        assert not troubles(sluice)
        # Mended in the service they come as any change.
        table.answers["d3"] = Page([row(A, 170, name="a"), row(D, 171, employees=2)], delta="d4")
        scene.wait_stored({A: (340, True), B: (302, True), C: (322, True), D: (342, True)})
        scene.check_versions()


def good_token():
    return Answer(json.dumps({"token_type": "Bearer", "expires_in": 3599, "access_token": TOKEN}))


# What the token endpoint says, and words of the trouble.
LIES = {
    "html": (Answer("<html>Sign in</html>", content_type="text/html"), ["token"]),
    "unnamed": (Answer('{"token_type":"Bearer","expires_in":3599}'), ["access_token"]),
    "wrong": (Answer("access_token=" + TOKEN, content_type="text/plain"), ["token"]),
    "away": (failure(500, "", "no"), ["500"]),
    "refused": (Answer('{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client '
                       'secret provided.","error_codes":[7000215]}', 401), ["AADSTS7000215"]),
}


def test_a_token_endpoint_that_lies_is_named_and_not_hammered(workspace):
    scripts = {name: Script(token=answer, account=["name"]) for name, (answer, _) in LIES.items()}
    # A token that has no life is used, and asked for each time.
    scripts["fleeting"] = Script(token=Answer(json.dumps(
        {"token_type": "Bearer", "expires_in": 0, "access_token": TOKEN})), account=["name"])
    try:
        sources, feeds = {}, {}
        for name, script in scripts.items():
            script.__enter__()
            script["account"].answers["full"] = Page([row(A, 100)], delta="d1")
            sources[name] = script.source()
            feeds[name] = {"source": name, "table": "account", "collection": name, "every": "200ms"}
        sluice = workspace.sluice(workspace.config(feeds=feeds, sources=sources, log={"form": "json"}))
        for name, (_, words) in LIES.items():
            wait_trouble(sluice, f"feed {name}", *words)
        wait_until(lambda: workspace.db["fleeting"].count_documents({}) == 1, 20, "a row")
        for name in LIES:
            assert scripts[name].tokens_given <= 10, f"{name}: {scripts[name].tokens_given} requests"
            assert not scripts[name]["account"].asked
            scripts[name].token = good_token()
        sluice.restart()
        for name in scripts:
            wait_until(lambda: workspace.db[name].count_documents({}) == 1, 30, f"{name}: a row")
        sluice.wait_ready(20)
        assert not any(script.strangers for script in scripts.values())
    finally:
        for script in scripts.values():
            script.__exit__()


def test_a_service_that_trickles_is_given_up_and_asked_again(sim, workspace):
    """Each byte comes in time, and the answer never ends."""
    scene = Tables(sim, workspace, {"account": 50}, source={"request_timeout": "1s"})
    sluice = scene.sluice()
    scene.wait_followed()
    scene.switch(dv_slow_body=20)
    scene.change(count=20)
    wait_trouble(sluice, "feed account", "the answer trickles", timeout_s=30)
    scene.switch(dv_slow_body=0)
    scene.check_nothing_lost()
    sluice.wait_ready()
