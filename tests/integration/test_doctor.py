"""sluice doctor: everything that a run needs is tried once, and what fails is told with what to do."""

import json
import os
import re
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pymongo
import pytest

from certificates import Authority
from feeds import feed, make_project
from process import free_port, wait_until
from programs import SANITIZER_ENV
from servers import build_dir

HOOK_SECRET, POST_TOKEN = "the-hook-shows-this", "who-posts-shows-this"


def doctor(workspace, config, *options, timeout_s=60):
    """(status, {what: (verdict, text)}, all that was said) of `sluice doctor` with this configuration."""
    path = workspace.dir / "doctor.jsonc"
    path.write_text(json.dumps(config))
    done = subprocess.run([build_dir() / "src/sluice", "doctor", "-c", path, *options], text=True,
                          env={**os.environ, **SANITIZER_ENV}, stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=timeout_s)
    assert not re.search("ERROR: .*Sanitizer|runtime error", done.stderr), done.stderr
    lines = {}
    for line in done.stdout.splitlines():
        verdict, _, rest = line.partition("  ")
        what, found, text = rest.strip().partition(": ")
        if found and verdict.strip() in ("ok", "warn", "FAIL"):
            assert what not in lines or verdict != "ok", f"told twice: {line}"
            lines[what] = (verdict.strip(), text)
    return done.returncode, lines, done.stderr + done.stdout


def crm_feed(table, **changes):
    return {"source": "crm", "table": table, "collection": f"{table}s", **changes}


@pytest.fixture
def config(workspace, sim):
    """One source of each kind."""
    make_project(sim)
    sim.post("dv/table", {"table": "account", "count": 3})
    sim.post("dv/table", {"table": "contact", "count": 3, "tracking": False})
    listen = f"127.0.0.1:{free_port()}"
    return workspace.config(
        sim,
        sources={
            "crm": {"type": "dataverse", "url": sim.url, "auth": sim.auth()},
            "hook": {"type": "webhook", "listen": listen, "doorbell": "crm",
                     "secret": {"header": "x-sluice-key", "value": HOOK_SECRET}},
            "posts": {"type": "ingest", "listen": listen, "token": POST_TOKEN},
        },
        feeds={
            "vendors": feed(sim),
            "accounts": crm_feed("account", select=["name", "ownerid"]),
            "contacts": {"source": "hook", "table": "contact", "collection": "contacts"},
            "meters": {"source": "posts", "key": ["id"], "collection": "meters"},
        },
        ops={"listen": f"127.0.0.1:{free_port()}"})


def hushed(sim, said):
    """Nothing secret was said."""
    for secret in (sim.client_secret, HOOK_SECRET, POST_TOKEN, "guest:guest"):
        assert secret not in said
    return True


def test_a_healthy_environment_passes(workspace, sim, config):
    status, lines, said = doctor(workspace, config)
    assert status == 0, said
    assert {verdict for verdict, _ in lines.values()} == {"ok"}, said
    assert list(lines) == [
        "configuration", "sandbox", "broker", "broker queues", "broker publishing", "broker consuming",
        "mongo", "mongo writes", *(f"mongo collection '{name}'" for name in ("vendors", "accounts", "contacts", "meters")),
        "source 'fno' token", "source 'fno'", "feed 'vendors'", "source 'crm' token", "source 'crm'",
        "feed 'accounts' table 'account'", "feed 'contacts' table 'contact'",
        f"listener '{config['ops']['listen']}'",
        f"listener '{config['sources']['hook']['listen']}'"]
    version = ".".join(map(str, workspace.rabbit.version()))
    assert lines["broker"][1].startswith(f"RabbitMQ {version} at ")
    assert lines["broker queues"][1].endswith("of type quorum")
    assert lines["feed 'vendors'"][1] == (
        "its entities are in data project 'Vendors'; legal entity 'USMF' is there")
    assert "change tracking is on" in lines["feed 'accounts' table 'account'"][1]
    assert "change tracking" not in lines["feed 'contacts' table 'contact'"][1]  # read back
    assert said.endswith("all is well\n") and hushed(sim, said)
    # Nothing is left behind, and nobody's data was touched.
    assert workspace.db.list_collection_names() == []
    assert workspace.state["doctor"].count_documents({}) == 0
    assert workspace.queue_depth("bulk") == 0


def test_peers_that_are_away_are_all_told(workspace, sim, config):
    sim.stop()
    dead = f"127.0.0.1:{free_port()}"
    config["broker"]["url"] = f"amqp://guest:guest@{dead}/"
    config["mongo"]["url"] = f"mongodb://{dead}/?replicaSet=rs0"
    status, lines, said = doctor(workspace, config)
    assert status == 1
    for what in ("broker", "mongo", "source 'fno' token", "source 'crm' token"):
        verdict, text = lines[what]
        assert verdict == "FAIL" and " → " in text, said
    assert lines[f"listener '{config['ops']['listen']}'"][0] == "ok"
    assert said.endswith("4 things fail\n") and hushed(sim, said)


@pytest.mark.mongo(replica_set=None)
@pytest.mark.parametrize("options", ["", "?replicaSet=rs0"])
def test_a_mongod_that_is_no_member_of_a_replica_set_is_told(own_mongo, workspace, config, options):
    config["mongo"]["url"] = f"mongodb://127.0.0.1:{own_mongo.port}/{options}"
    status, lines, said = doctor(workspace, config)
    verdict, text = lines["mongo"]
    assert status == 1 and verdict == "FAIL" and "mongo writes" not in lines, said
    assert f"127.0.0.1:{own_mongo.port} is no member of a replica set" in text and "rs.initiate()" in text
    assert " → " not in text, "it is running, and the URL is right"


def test_a_wrong_secret_is_told_with_the_code_of_entra_id(workspace, sim, config):
    config["sources"]["crm"]["auth"]["client_secret"] = "a-wrong-secret"
    status, lines, said = doctor(workspace, config)
    assert status == 1
    verdict, text = lines["source 'crm' token"]
    assert verdict == "FAIL" and "AADSTS7000215" in text and "a-wrong-secret" not in said
    assert lines["source 'fno'"][0] == "ok"  # the others are tried all the same
    assert "feed 'accounts' table 'account'" not in lines


def test_a_table_that_cannot_be_followed_is_explained(workspace, sim, config):
    sim.post("dv/table", {"table": "product", "count": 1, "tracking": False})
    sim.post("dv/table", {"table": "new_tag", "count": 1, "elastic": True})
    config["feeds"] = {
        "products": crm_feed("product"),
        "tags": crm_feed("new_tag"),
        "visits": {"source": "hook", "table": "new_tag", "collection": "more"},
        "typos": crm_feed("acount", collection="t"),
        "columns": crm_feed("account", select=["nmae"]),
        "good": crm_feed("account", collection="good"),
    }
    status, lines, said = doctor(workspace, config)
    assert status == 1
    assert lines["feed 'products' table 'product'"] == (
        "FAIL", "table 'product': change tracking is off; turn it on in the table's properties "
        "(\"Track changes\") and publish")
    for name in ("tags", "visits"):
        assert lines[f"feed '{name}' table 'new_tag'"] == (
            "FAIL", "table 'new_tag': elastic tables are not supported: a row of one cannot be read "
            "by its id alone")
    assert "has no table 'acount'" in lines["feed 'typos' table 'acount'"][1]
    assert 'has no column \'nmae\' that can be read: did you mean "name"?' in \
        lines["feed 'columns' table 'account'"][1]
    assert lines["feed 'good' table 'account'"][0] == "ok", said


def test_a_user_without_organisation_wide_read_is_told_what_to_ask_for(workspace, sim, config):
    sim.post("switches", {"dv_no_org_read": True})
    status, lines, said = doctor(workspace, config)
    verdict, text = lines["feed 'accounts' table 'account'"]
    assert status == 1 and verdict == "FAIL", said
    assert "security role" in text and "organisation" in text


@pytest.mark.parametrize("depth", ["basic", "local", "deep"])
def test_a_user_who_sees_part_of_the_rows_is_told_although_all_answers_are_good(workspace, sim, config, depth):
    sim.post("dv/table", {"table": "new_tag", "count": 1})
    sim.post("dv/relationship", {"relationship": "new_account_tag", "from": "account", "to": "new_tag"})
    config["feeds"]["tags"] = {"source": "hook", "relationship": "new_account_tag", "collection": "tags"}
    sim.post("switches", {"dv_read_depth": depth})
    status, lines, said = doctor(workspace, config)
    assert status == 1 and said.endswith("3 things fail\n"), said
    for what, privilege in (("feed 'accounts' table 'account'", "prvReadAccount"),
                            ("feed 'contacts' table 'contact'", "prvReadContact"),
                            ("feed 'tags' relationship 'new_account_tag'", "prvReadAccount")):
        verdict, text = lines[what]
        assert verdict == "FAIL", said
        assert text == (f"privilege {privilege} of the application user reaches less than the organisation "
                        f"({depth.capitalize()}) → give the application user a security role that reads the "
                        "table in the whole organisation")


def test_a_right_that_the_service_does_not_tell_of_is_a_warning(workspace, sim, config):
    sim.post("dv/table", {"table": "new_tag", "count": 1})
    config["feeds"]["tags"] = {"source": "hook", "relationship": "new_account_tag", "collection": "tags"}
    sim.post("switches", {"dv_read_depth": "untold"})
    status, lines, said = doctor(workspace, config)
    assert status == 0, said
    for what, privilege in (("feed 'accounts' table 'account'", "prvReadAccount"),
                            ("feed 'tags' relationship 'new_account_tag'", "prvReadnew_tag"),
                            ("feed 'contacts' table 'contact'", "prvReadContact")):
        verdict, text = lines[what]
        assert verdict == "warn" and f"how far {privilege} reaches is not told: " in text, said


def test_an_answer_that_is_no_json_is_told(workspace, sim, config):
    sim.post("switches", {"dv_html_next": 1})
    status, lines, said = doctor(workspace, config)
    assert status == 1
    assert lines["source 'crm'"][0] == "FAIL" and "not JSON" in lines["source 'crm'"][1], said


def test_a_unique_index_in_the_way_of_tombstones_is_a_warning(workspace, config):
    for name in ("vendors", "accounts", "contacts"):
        workspace.db[name].insert_one({"_id": "x", "number": name})
    workspace.db["vendors"].create_index("number", unique=True)
    workspace.db["accounts"].create_index("number", unique=True,
                                          partialFilterExpression={"number": {"$exists": True}})
    workspace.db["contacts"].create_index([("number", pymongo.DESCENDING)])
    status, lines, said = doctor(workspace, config)
    assert status == 0, said
    verdict, text = lines["mongo collection 'vendors'"]
    assert verdict == "warn" and "'number_1' is not partial" in text
    assert '{"number": {"$exists": true}}' in text
    assert lines["mongo collection 'accounts'"][0] == "ok"
    assert lines["mongo collection 'contacts'"][0] == "ok"
    assert said.endswith("all is well, but see the warnings\n")
    assert workspace.db["vendors"].find_one() == {"_id": "x", "number": "vendors"}


def test_a_validator_that_refuses_tombstones_is_a_warning(workspace, config):
    required = {"$jsonSchema": {"required": ["name"]}}
    workspace.db.create_collection("vendors", validator=required)
    workspace.db.create_collection("accounts", validator={"$or": [{"_sluice.deleted": True}, required]})
    workspace.db.create_collection("contacts", validator=required, validationAction="warn")
    status, lines, said = doctor(workspace, config)
    assert status == 0, said
    verdict, text = lines["mongo collection 'vendors'"]
    assert verdict == "warn" and "refuses tombstones" in text
    assert '{"$or": [{"_sluice.deleted": true}, VALIDATOR]}' in text
    assert lines["mongo collection 'accounts'"][0] == lines["mongo collection 'contacts'"][0] == "ok"


def test_a_queue_of_another_type_is_told_with_the_setting(workspace, config):
    with workspace.rabbit.connect() as connection:
        connection.channel().queue_declare(f"{workspace.exchange}.fast", durable=True, arguments={
            "x-queue-type": "classic", "x-dead-letter-exchange": f"{workspace.exchange}.unreadable"})
    status, lines, said = doctor(workspace, config)
    verdict, text = lines["broker queues"]
    assert status == 1 and verdict == "FAIL", said
    assert 'broker.queue_type: "classic"' in text


def test_listeners_that_cannot_be_used(workspace, config, tmp_path):
    one = Authority(tmp_path).sign("one", "/CN=localhost", "IP:127.0.0.1")
    hook = config["sources"]["hook"]
    hook["tls"] = {"certificate": str(one.certificate), "key": str(one.key)}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config["ops"]["listen"] = f"127.0.0.1:{taken.getsockname()[1]}"
        status, lines, said = doctor(workspace, config)
    assert status == 0, said
    assert lines[f"listener '{config['ops']['listen']}'"][0] == "warn"
    assert lines[f"listener '{hook['listen']}'"] == (
        "ok", "the address is free, and the certificate can be used")

    one.key.write_text("not a key\n")
    status, lines, said = doctor(workspace, config)
    assert status == 1
    assert lines["configuration"][0] == "FAIL" and f"sources.hook.tls: cannot use the key '{one.key}'" in said


@pytest.mark.parametrize("role, options", [("apply", ()), ("all", ("--role", "apply"))])
def test_who_only_applies_needs_no_source_and_no_listener_for_them(workspace, sim, config, role, options):
    sim.stop()
    config["role"] = role
    config["sources"]["hook"]["tls"] = {"certificate": "/nowhere.pem", "key": "/nowhere.key"}
    status, lines, said = doctor(workspace, config, *options)
    assert status == 0 and said.endswith("all is well\n"), said
    assert "role apply" in lines["configuration"][1]
    assert not [what for what in lines if what.startswith("source") or config["sources"]["hook"]["listen"] in what]
    assert lines[f"listener '{config['ops']['listen']}'"][0] == "ok"


def test_a_configuration_with_mistakes_is_not_tried(workspace, config):
    config["feeds"]["accounts"]["evry"] = "3s"
    status, lines, said = doctor(workspace, config)
    assert status == 1
    assert list(lines) == ["configuration"] and lines["configuration"][0] == "FAIL"
    assert 'did you mean "every"?' in said


def test_relationships_are_tried_and_reading_back_a_tracked_table_is_a_warning(workspace, sim, config):
    sim.post("dv/table", {"table": "new_tag", "count": 1})
    sim.post("dv/relationship", {"relationship": "new_account_tag", "from": "account", "to": "new_tag"})
    config["feeds"] |= {
        "tags": {"source": "hook", "relationship": "new_account_tag", "collection": "tags"},
        "typos": {"source": "hook", "relationship": "New_account_tag", "collection": "typos"},
        "back": {"source": "hook", "table": "account", "collection": "back"},
    }
    status, lines, said = doctor(workspace, config)
    assert status == 1
    assert lines["feed 'tags' relationship 'new_account_tag'"] == (
        "ok", "the tables 'account' and 'new_tag' can be read")
    assert lines["feed 'typos' relationship 'New_account_tag'"] == (
        "FAIL", "the environment has no relationship 'New_account_tag'; is it the schema name, with "
        "its capitals?")
    verdict, text = lines["feed 'back' table 'account'"]
    assert verdict == "warn" and "follow it by a feed of source 'crm'" in text, said


def test_documents_of_a_feed_that_is_not_configured_are_a_warning(workspace, config):
    workspace.db["accounts"].insert_one({"_id": "a", "_sluice": {"v": 1, "feed": "customers"}})
    status, lines, said = doctor(workspace, config)
    assert status == 0, said
    verdict, text = lines["mongo collection 'accounts'"]
    assert verdict == "warn" and "documents of a feed 'customers'" in text and "formerly" in text
    config["feeds"]["accounts"]["formerly"] = "customers"
    workspace.db["vendors"].insert_one({"_id": "v", "_sluice": {"v": 1, "feed": "creditors"}})
    config["feeds"]["vendors"]["formerly"] = "creditors"
    lines = doctor(workspace, config)[1]
    assert lines["mongo collection 'accounts'"][0] == lines["mongo collection 'vendors'"][0] == "ok"


def test_a_collection_of_two_feeds_is_looked_at_once(workspace, sim, config):
    config["feeds"]["others"] = feed(sim, project="Others", company="GBSI")
    make_project(sim, "Others", company="GBSI")
    status, _, said = doctor(workspace, config)
    assert status == 0, said
    assert said.count("collection 'vendors'") == 1


# --- what feeds name in Finance & Operations ---

AWKWARD = ["Two words", "O'Neill's", "Kühlgüter/Øst #1 & #2", "a+b=c%20d?", "' or Name ne '", "*", "''",
           "漢字 \\ \"x\""]


@pytest.mark.parametrize("name", AWKWARD)
def test_data_projects_are_found_whatever_their_names_hold(workspace, sim, config, name):
    """And not found when they are not there: to the service a '*' fits any name."""
    config["feeds"] = {"vendors": feed(sim, project=name)}
    make_project(sim, "Some other")
    status, lines, said = doctor(workspace, config)
    assert status == 1, said
    assert lines[f"feed 'vendors' data project '{name}'"] == (
        "FAIL", "the environment shows none of that name → correct definition_group, or make the project "
        "(Data management, Export)")
    make_project(sim, name)
    status, lines, said = doctor(workspace, config)
    assert status == 0 and lines["feed 'vendors'"][0] == "ok", said
    requests = sim.get("stats")["requests"]
    assert not {"ExportToPackage", "data"} & set(requests), requests  # it has looked, and no more


def test_what_a_feed_misnames_in_finance_and_operations_is_told_at_once(workspace, sim, config):
    make_project(sim, "Full", company="GBSI")
    make_project(sim, "In", operation="import")
    make_project(sim, "Other", company="GBSI")
    for name in ("Two", "Both"):
        make_project(sim, name, ("Vendors V3", "Customers V3"))
    config["feeds"] = {
        "good": feed(sim, project="two", company="usmf", full_definition_group="FULL"),
        "typo": feed(sim, project="Vendros", full_definition_group="Ful", collection="b"),
        "import": feed(sim, project="In", collection="c"),
        "entity": feed(sim, collection="d", full_definition_group="Both", project="Vendors"),
        "company": feed(sim, project="Other", company="USMX", collection="e"),
    }
    entities = config["feeds"]["entity"]["entities"]
    entities["vendors v3"] = entities.pop("Vendors V3")
    entities["Customers"] = {"collection": "f", "key": ["CustomerAccount"]}
    status, lines, said = doctor(workspace, config)
    assert status == 1 and said.endswith("6 things fail\n"), said
    told = {what: said for what, said in lines.items() if what.startswith("feed ")}
    assert told == {
        "feed 'good'": (
            "ok", "its entities are in data project 'two' and in 'FULL'; legal entity 'usmf' is there"),
        "feed 'typo' data project 'Vendros'": (
            "FAIL", "the environment shows none of that name → correct definition_group, or make the project "
            "(Data management, Export)"),
        "feed 'typo' data project 'Ful'": (
            "FAIL", "the environment shows none of that name → correct full_definition_group, or make the project "
            "(Data management, Export)"),
        "feed 'import' data project 'In'": (
            "FAIL", "it is one for imports → correct definition_group, or make the project "
            "(Data management, Export)"),
        "feed 'entity' data project 'Vendors'": (
            "FAIL", "it lacks 'Customers'; it has 'Vendors V3' → correct the name under entities, or add the "
            "entity to the project"),
        "feed 'entity' data project 'Both'": (
            "FAIL", "it lacks 'Customers'; it has 'Vendors V3', 'Customers V3' → correct the name under "
            "entities, or add the entity to the project"),
        "feed 'company' legal entity 'USMX'": (
            "FAIL", "it is not among the 3 that this user sees → correct legal_entity, or give the "
            "application's user a role in it"),
    }
    assert hushed(sim, said)


@pytest.mark.parametrize("switch, why", [
    ("sets_absent", "404: the environment does not have it"),
    ("sets_forbidden", "403: the user may not read it"),
])
def test_what_an_environment_does_not_tell_is_a_warning(workspace, sim, config, switch, why):
    config["feeds"] = {"vendors": feed(sim, full_definition_group="Vendors2")}
    make_project(sim, "Vendors2")

    def told(sets):
        sim.post("switches", {switch: sets})
        status, lines, said = doctor(workspace, config)
        assert status == 0 and said.endswith("all is well, but see the warnings\n"), said
        found = {what: text for what, (verdict, text) in lines.items() if verdict == "warn"}
        assert all(f"could not be looked at: {sets.split()[0]}: {why} → look yourself " in text
                   for text in found.values()), said
        return list(found), lines

    projects = [f"feed 'vendors' data project '{name}'" for name in ("Vendors", "Vendors2")]
    assert told("DataManagementDefinitionGroups")[0] == projects
    assert told("DataManagementDefinitionGroupDetails")[0] == projects
    found, lines = told("LegalEntities")
    assert found == ["source 'fno' legal entities"]
    assert lines["feed 'vendors'"] == ("ok", "its entities are in data project 'Vendors' and in 'Vendors2'")


def meanwhile(workspace, sim, config, switches):
    """What doctor says when these switches are set after the first action was answered, and before the next one is."""
    sim.post("switches", {"delay_ms": 4000})
    with ThreadPoolExecutor(1) as pool:
        said = pool.submit(doctor, workspace, config)
        wait_until(lambda: "GetExecutionSummaryStatus" in sim.get("stats")["requests"], 40, "the first action")
        sim.post("switches", {**switches, "delay_ms": 0})
        return said.result()


def test_a_token_that_is_revoked_in_between_is_asked_for_again(workspace, sim, config):
    status, lines, said = meanwhile(workspace, sim, config, {"revoke_tokens": True})
    assert status == 0 and lines["feed 'vendors'"][0] == "ok", said
    requests = sim.get("stats")["requests"]
    assert sum(requests[name].get("401", 0) for name in requests if name != "token") == 1, requests


def test_an_environment_that_gets_busy_is_a_warning(workspace, sim, config):
    status, lines, said = meanwhile(workspace, sim, config, {"http_503_next": -1})
    assert status == 0, said
    assert lines["source 'fno' legal entities"] == (
        "warn", "could not be looked at: LegalEntities: the environment is busy (503) → look yourself whether "
        "those of the feeds are there")
    assert lines["feed 'vendors' data project 'Vendors'"][0] == "warn", said
