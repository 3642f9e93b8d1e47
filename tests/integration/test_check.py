"""The commands that need no server: check, help, schema, version, and status of nothing."""

import json
import os
import re
import subprocess

import pytest

from certificates import Authority
from process import ROOT, build_dir, free_port
from programs import SANITIZER_ENV, Sluice

EXAMPLE = {
    "broker": {"url": "amqp://guest:guest@127.0.0.1:5672/"},
    "mongo": {"url": "mongodb://127.0.0.1:27017/?replicaSet=rs0", "database": "d365"},
    "sources": {"fno": {"type": "dmf", "url": "https://contoso.operations.dynamics.com",
                        "auth": {"type": "client_secret", "tenant": "contoso.com",
                                 "client_id": "5f1c8bd0", "client_secret": "${FNO_SECRET}"}}},
    "feeds": {"vendors": {"source": "fno", "definition_group": "VendorsExport",
                          "legal_entity": "USMF", "every": "5m",
                          "entities": {"Vendors V3": {
                              "collection": "vendors",
                              "key": ["dataAreaId", "VendorAccountNumber"],
                              "types": {"CreditLimit": "decimal"}}}}},
    "ops": {"listen": "127.0.0.1:9464"},
}


def sluice(*args, cwd=None, **env):
    """Runs one command to its end."""
    environment = {**os.environ, **SANITIZER_ENV, **env}
    return subprocess.run([build_dir() / "src/sluice", *args], cwd=cwd, env=environment, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=60)


def write(directory, text):
    path = directory / "sluice.jsonc"
    path.write_text(text if isinstance(text, str) else json.dumps(text, indent=2))
    return path


def answers(program):
    try:
        return program.ops("/healthz")[0] == 200
    except OSError:
        return False


def without(path):
    """The example without the member at the dotted path."""
    config = json.loads(json.dumps(EXAMPLE))
    *parents, last = path.split("/")
    node = config
    for name in parents:
        node = node[name]
    del node[last]
    return config


def test_the_example_of_the_design_is_fine(tmp_path):
    write(tmp_path, EXAMPLE)
    result = sluice("check", cwd=tmp_path, FNO_SECRET="s")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "sluice.jsonc: ok: 1 source, 1 feed, 1 entity\n"


def test_the_shipped_example_is_fine():
    result = sluice("check", "-c", "examples/sluice.jsonc", cwd=ROOT, FNO_SECRET="s",
                    SMTP_PASSWORD="p")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "examples/sluice.jsonc: ok: 1 source, 3 feeds, 3 entities\n"


REALTIME_SECRETS = {"CRM_SECRET": "s", "CRM_MORE_SECRET": "s", "HOOK_SECRET": "s",
                    "HOOK_OLD_SECRET": "", "INGEST_TOKEN": "t"}


def with_certificate(tmp_path, text):
    """The text, whose certificate and key are there."""
    one = Authority(tmp_path).sign("tls", "/O=a/CN=tls", "IP:127.0.0.1")
    return text.replace("/etc/sluice/tls.crt", str(one.certificate)) \
               .replace("/etc/sluice/tls.key", str(one.key))


def test_the_shipped_realtime_example_is_fine(tmp_path):
    write(tmp_path, with_certificate(tmp_path, (ROOT / "examples/realtime.jsonc").read_text()))
    result = sluice("check", cwd=tmp_path, **REALTIME_SECRETS)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "sluice.jsonc: ok: 4 sources, 6 feeds, 6 entities\n"


def snippets(page):
    """The configurations on a page that are given from their first brace to the last; what stands in
    a file is put in the environment here."""
    for text in re.findall(r"^```jsonc\n(.*?)^```$", (ROOT / page).read_text(), re.M | re.S):
        if re.match(r"(//[^\n]*\n)*{", text):
            yield re.sub(r"\$\{file:[^}]*\}", "${FROM_A_FILE}", text)


def check_text(tmp_path, text):
    """Runs check with every environment variable that the text names."""
    write(tmp_path, text)
    names = dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "s")
    result = sluice("check", cwd=tmp_path, **names)
    assert (result.returncode, result.stderr) == (0, ""), result.stderr


def test_documents_are_not_put_among_what_sluice_remembers(tmp_path):
    """In one database with it; docs/STATE.md names its collections."""
    state = (ROOT / "docs/STATE.md").read_text().split("## State", 1)[1]
    names = re.findall(r"^\*\*`(\w+)`\*\*", state, re.M)
    assert {"runs", "ledger", "dead", "feeds"} <= set(names)
    config = json.loads(json.dumps(EXAMPLE))
    for state_database, wrong in (("d365", names), ("sluice", [])):
        config["mongo"]["state_database"] = state_database
        for name in [*names, "vendors"]:
            config["feeds"]["vendors"]["entities"]["Vendors V3"]["collection"] = name
            write(tmp_path, config)
            result = sluice("check", cwd=tmp_path, FNO_SECRET="s")
            assert result.returncode == (1 if name in wrong else 0), name + result.stderr
            if name in wrong:
                assert f'the collection "{name}" is one of sluice\'s own' in result.stderr


@pytest.mark.parametrize("page, least", [
    ("README.md", 1), ("docs/CONFIGURATION.md", 1), ("docs/DATAVERSE.md", 1)])
def test_the_configurations_in_the_documentation_are_fine(tmp_path, page, least):
    found = list(snippets(page))
    assert len(found) >= least
    for count, text in enumerate(found):
        folder = tmp_path / str(count)
        folder.mkdir()
        check_text(folder, with_certificate(folder, text))


def test_the_packages_in_the_readme_are_fine(tmp_path):
    live, = snippets("README.md")
    fragment, = re.findall(r'^```jsonc\n(  "sources".*?)^```$', (ROOT / "README.md").read_text(),
                           re.M | re.S)
    peers = live[live.index("{"):live.index('  "sources"')]
    check_text(tmp_path, peers + re.sub(r"file:[^}]*", "FROM_A_FILE", fragment) + "}")


@pytest.mark.parametrize("good, bad, message", [
    ('"doorbell": ["crm", "crm-more"]', '"doorbell": ["crm", "crm-mor"]',
     'sources.hook.doorbell names the source "crm-mor", which does not exist: did you mean '
     '"crm-more"?'),
    ('"doorbell": ["crm", "crm-more"]', '"doorbell": ["crm", "posts"]',
     'sources.hook.doorbell names the source "posts", which is of type "ingest"'),
    ('"table": "account"', '"table": "Account"',
     'feeds.accounts.table needs a logical name'),
    ('"collection": "contacts"', '"collection": "visits"',
     'the collection "visits" is fed by "contacts" (row versions of '
     'https://contoso.crm.dynamics.com) and "visits" (rows read back from crm): their versions '
     'cannot be compared'),
    ('"table": "contact"', '"tabel": "contact"',
     'unknown key "tabel" in feeds.contacts: did you mean "table"?'),
    ('"broker": {', '"limits": {"max_row": "4MiB"}, "broker": {"max_message": "3MiB", ',
     'broker.max_message is smaller than limits.max_row: messages that are made here could not be read'),
    ('"broker": {', '"limits": {"batch_bytes": "4MiB", "ingest_credit": "2MiB"}, "broker": {',
     'limits.batch_bytes is larger than limits.ingest_credit: no batch could ever be complete'),
    ('"listen": "127.0.0.1:9464"', '"listen": "localhost:94640"', "ops.listen: cannot listen on 'localhost:94640'"),
    ('"key": "order_id",', '', 'missing key "key" in feeds.orders'),
    ('"listen": "0.0.0.0:8443",\n      "token"', '"listen": "127.0.0.1:8443",\n      "token"',
     'sources.posts.listen has the port of sources.hook ("0.0.0.0:8443")'),
])
def test_what_is_wrong_with_a_realtime_configuration_is_told(tmp_path, good, bad, message):
    text = (ROOT / "examples/realtime.jsonc").read_text()
    assert good in text
    write(tmp_path, text.replace(good, bad))
    result = sluice("check", cwd=tmp_path, **REALTIME_SECRETS)
    assert result.returncode == 1
    line = next(line for line in result.stderr.splitlines() if message in line)
    assert re.match(r"sluice\.jsonc:\d+:\d+: ", line)


def test_a_misspelt_key_is_shown_with_its_place_and_the_right_one(tmp_path):
    text = json.dumps(EXAMPLE, indent=2).replace('"collection"', '"collecton"')
    write(tmp_path, text)
    result = sluice("check", cwd=tmp_path, FNO_SECRET="s")
    line = text[:text.index('"collecton"')].count("\n") + 1
    assert result.returncode == 1
    assert result.stdout == ""
    assert (f'sluice.jsonc:{line}:11: unknown key "collecton" in feeds.vendors.entities.'
            '"Vendors V3": did you mean "collection"?\n') in result.stderr


def test_an_option_of_mongodb_that_its_driver_does_not_know_is_refused_with_its_place(tmp_path):
    text = json.dumps(EXAMPLE, indent=2)
    assert "127.0.0.1:27017/?replicaSet" in text
    text = text.replace("127.0.0.1:27017/?replicaSet", "me:hushhush@127.0.0.1:27017/?replicaSte")
    write(tmp_path, text)
    line = text[:text.index("replicaSte")].count("\n") + 1
    for command in ("check", "run"):
        result = sluice(command, cwd=tmp_path, FNO_SECRET="s")
        assert result.returncode == 1
        assert re.search(rf'^sluice\.jsonc:{line}:\d+: mongo\.url: unknown option "replicaste"$', result.stderr, re.M)
        assert "hushhush" not in result.stderr


@pytest.mark.parametrize("setting", ["database", "state_database"])
@pytest.mark.parametrize("name, wrong", [
    *((bad, 'must not hold / \\ . " $ or a blank: MongoDB takes no such name')
      for bad in ("d3/65", "d\\365", "d.365", 'd"365', "d$365", "d 365")),
    ("ä" * 32, "is longer than 63 bytes"),
    ("", "must not be empty"),
    *((own, "is a database of the server's own") for own in ("admin", "config", "local", "Admin")),
])
def test_a_database_that_mongodb_does_not_take_is_refused_with_its_place(tmp_path, setting, name, wrong):
    config = {**EXAMPLE, "mongo": {**EXAMPLE["mongo"], setting: name}}
    text = json.dumps(config, indent=2, ensure_ascii=False)
    write(tmp_path, text)
    result = sluice("check", cwd=tmp_path, FNO_SECRET="s")
    line = text[:text.index(f'"{setting}":')].count("\n") + 1
    assert result.returncode == 1
    assert re.search(rf"^sluice\.jsonc:{line}:\d+: mongo\.{setting}.* {re.escape(wrong)}$", result.stderr, re.M), \
        result.stderr


def test_databases_that_differ_by_case_alone_are_refused(tmp_path):
    write(tmp_path, {**EXAMPLE, "mongo": {**EXAMPLE["mongo"], "database": "d365", "state_database": "D365"}})
    result = sluice("check", cwd=tmp_path, FNO_SECRET="s")
    assert result.returncode == 1
    assert "mongo.database and mongo.state_database are the same but for case" in result.stderr


@pytest.mark.parametrize("name, wrong", [
    ("", "must not be empty"),
    ("${NO_NAME}", "must not be empty"),
    ("e" * 121, "is longer than 120 bytes"),
    ("amq.sluice", 'must not begin with "amq.": RabbitMQ keeps that for itself'),
    ("e" * 120, None)])
def test_an_exchange_that_rabbitmq_does_not_take_is_refused_with_its_place(tmp_path, name, wrong):
    text = json.dumps({**EXAMPLE, "broker": {**EXAMPLE["broker"], "exchange": name}}, indent=2)
    write(tmp_path, text)
    result = sluice("check", cwd=tmp_path, FNO_SECRET="s", NO_NAME="")
    line = text[:text.index('"exchange":')].count("\n") + 1
    assert (result.returncode, f"sluice.jsonc:{line}:17: broker.exchange {wrong}\n" in result.stderr) == \
        ((1, True) if wrong else (0, False)), result.stderr


@pytest.mark.parametrize("behind", ["/?cmp=USMF&mi=DefaultDashboard", "#home"])
def test_an_environments_address_is_not_what_a_browser_shows(tmp_path, behind):
    text = json.dumps(EXAMPLE, indent=2).replace("operations.dynamics.com", f"operations.dynamics.com{behind}")
    write(tmp_path, text)
    result = sluice("check", cwd=tmp_path, FNO_SECRET="s")
    assert result.returncode == 1
    assert re.search(r"^sluice\.jsonc:\d+:\d+: sources\.fno\.url must be the environment's address, without ",
                     result.stderr, re.M), result.stderr


def test_a_choice_is_named_as_it_is_to_be_written(tmp_path):
    write(tmp_path, json.dumps(EXAMPLE).replace('"definition_group"', '"delimiter": "x", "definition_group"'))
    result = sluice("check", cwd=tmp_path, FNO_SECRET="s")
    assert r'feeds.vendors.delimiter must be ",", ";", "\t" or "|", not "x"' in result.stderr


def test_names_that_make_no_message_id_are_refused(tmp_path):
    text = json.dumps(EXAMPLE).replace('"vendors":', f'"{"f" * 120}":').replace('"Vendors V3"', f'"{"e" * 101}"')
    write(tmp_path, text)
    result = sluice("check", cwd=tmp_path, FNO_SECRET="s")
    assert result.returncode == 1
    assert f"feed '{'f' * 120}': its name and \"{'e' * 101}\" are longer than 220 bytes together" in result.stderr
    write(tmp_path, text.replace("e" * 101, "e" * 100))
    assert sluice("check", cwd=tmp_path, FNO_SECRET="s").returncode == 0


def test_run_refuses_what_check_refuses(tmp_path):
    write(tmp_path, without("feeds/vendors/every"))
    check = sluice("check", cwd=tmp_path, FNO_SECRET="s")
    run = sluice("run", cwd=tmp_path, FNO_SECRET="s")
    assert run.returncode == 1
    assert run.stderr == check.stderr != ""


def test_several_problems_are_told_at_once(tmp_path):
    write(tmp_path, """{
  "broker": {"url": "rabbit", "queue_type": "fast"},
  "mongo": {"url": "mongodb://m/", "databse": "d"},
  "sources": {"fno": {"type": "dfm"}},
  "feeds": {"v": {"source": "fn"}},
  "ops": {"listen": 9464}
}
""")
    result = sluice("check", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr == (
        'sluice.jsonc:2:21: broker.url needs a URL that begins with "amqp://" or "amqps://"\n'
        'sluice.jsonc:2:45: broker.queue_type must be "quorum" or "classic", not "fast"\n'
        'sluice.jsonc:3:12: missing key "database" in mongo\n'
        'sluice.jsonc:3:36: unknown key "databse" in mongo: did you mean "database"?\n'
        'sluice.jsonc:4:15: warning: no feed uses the source "fno"\n'
        'sluice.jsonc:4:31: there is no source type "dfm"; there is "dmf", '
        '"dataverse", "webhook", "ingest"\n'
        'sluice.jsonc:5:29: feeds.v names the source "fn", which does not exist: did you mean "fno"?\n'
        'sluice.jsonc:6:21: ops.listen needs a text, not 9464\n')


@pytest.mark.parametrize("text, message", [
    ('{"broker": }', "sluice.jsonc:1:12: "),
    ('{"role": "all",\n "role": "all"}', "sluice.jsonc:2:2: "),
    ("", "sluice.jsonc:1:1: "),
    ("/* never ends", "sluice.jsonc:1:"),
    ('{"log": {"level": "info", // the last one\n }}', "sluice.jsonc:1:25: nothing follows this comma: take it away"),
    ('{"feeds": [1, 2,\n]}', "sluice.jsonc:1:16: nothing follows this comma: take it away"),
    ('{"log": {"level": "info",\n ,}}', "sluice.jsonc:2:2: expected a key"),
])
def test_broken_json_is_shown_with_its_place(tmp_path, text, message):
    write(tmp_path, text)
    result = sluice("check", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_file_in_utf_16_is_told(tmp_path, encoding):
    (tmp_path / "sluice.jsonc").write_bytes(json.dumps(EXAMPLE).encode(encoding))
    result = sluice("check", cwd=tmp_path, FNO_SECRET="s")
    assert (result.returncode, result.stderr) == (1, "sluice.jsonc: the file is in UTF-16: save it as UTF-8\n")


def test_an_unset_variable_is_named_and_no_secret_is_shown(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "FNO_SECRET"}
    write(tmp_path, EXAMPLE)
    result = subprocess.run([build_dir() / "src/sluice", "check"], cwd=tmp_path, text=True,
                            env={**environment, **SANITIZER_ENV}, capture_output=True, timeout=60)
    assert result.returncode == 1
    assert "sources.fno.auth.client_secret: the environment variable FNO_SECRET is not set" \
        in result.stderr

    config = json.loads(json.dumps(EXAMPLE))
    config["broker"]["url"] = "http://guest:hunter2@rabbit/"
    config["mongo"]["writers"] = "${FNO_SECRET}"
    config["sources"]["fno"]["auth"]["client_secret"] = ["hunter2"]
    write(tmp_path, config).chmod(0o600)
    result = sluice("check", cwd=tmp_path, FNO_SECRET="hunter2")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 3
    assert "hunter2" not in result.stdout + result.stderr


def test_without_a_configuration_the_places_are_named(tmp_path):
    if os.path.exists("/etc/sluice/sluice.jsonc"):
        pytest.skip("this machine has a configuration of its own")
    result = sluice("check", cwd=tmp_path)
    assert result.returncode == 1
    assert "neither ./sluice.jsonc nor /etc/sluice/sluice.jsonc exists" in result.stderr
    result = sluice("check", "-c", "nowhere.jsonc", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr == ("nowhere.jsonc: cannot read the configuration: No such file or "
                             "directory\n")


@pytest.mark.parametrize("args, message", [
    ((), "a command is missing"),
    (("chek",), 'there is no command "chek": did you mean "check"?'),
    (("wombat",), 'there is no command "wombat"'),
    (("--role", "all"), "the command comes first"),
    (("run", "--rol", "all"), 'run has no option "--rol": did you mean "--role"?'),
    (("run", "--role", "aply"), '--role cannot be "aply": did you mean "apply"?'),
    (("run", "--role"), "--role needs a ROLE behind it"),
    (("check", "--json"), 'check has no option "--json"'),
    (("status", "--json=1"), "--json takes no value"),
    (("check", "x.jsonc"), 'check does not take "x.jsonc"'),
    (("help", "conig"), 'there is no help on "conig": did you mean "config"?'),
])
def test_a_wrong_command_line_is_explained(args, message):
    result = sluice(*args)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("args", [("--help",), ("-h",), ("help",)])
def test_help_teaches(args):
    result = sluice(*args)
    assert (result.returncode, result.stderr) == (0, "")
    for word in ("run", "check", "doctor", "status", "alert", "schema", "version", "--config", "--role",
                 "--log-level", "definition_group", "RabbitMQ"):
        assert word in result.stdout


def test_the_example_in_the_help_is_a_configuration(tmp_path):
    text = sluice("--help").stdout
    write(tmp_path, text[text.index("\n  {\n"):text.index("\n  }\n") + 5])
    result = sluice("check", cwd=tmp_path, FNO_SECRET="s")
    assert (result.returncode, result.stderr) == (0, "")


def test_every_command_has_its_help():
    for command in ("run", "check", "doctor", "status", "schema", "version", "help"):
        by_topic, by_option = sluice("help", command), sluice(command, "--help")
        assert by_topic.returncode == by_option.returncode == 0
        assert by_topic.stdout == by_option.stdout
        assert by_topic.stdout.startswith(f"Usage: sluice {command}")


def test_output_that_cannot_be_written_is_a_failure():
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([build_dir() / "src/sluice", "schema"], stdout=full, stderr=subprocess.PIPE,
                              env={**os.environ, **SANITIZER_ENV}, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, "sluice: not all of its output could be written\n")


def test_version_is_one_line():
    by_command, by_option = sluice("version"), sluice("--version")
    assert by_command.stdout == by_option.stdout
    assert re.fullmatch(r"sluice \d+\.\d+\.\d+\n", by_command.stdout)


def test_the_shipped_schema_is_the_one_that_sluice_prints():
    printed = sluice("schema").stdout
    assert (ROOT / "share/sluice.schema.json").read_text() == printed, \
        "write it anew: sluice schema > share/sluice.schema.json"


def settings_of(schema):
    """(name, default) of every setting in a schema."""
    for name, member in schema.get("properties", {}).items():
        if name != "$schema":
            default = member.get("default")
            yield name, json.dumps(default) if isinstance(default, bool) else default
            yield from settings_of(member)
    more = schema.get("additionalProperties")
    if isinstance(more, dict):
        yield from settings_of(more)
        for choice in more.get("anyOf", []):
            yield from settings_of(choice)


def test_the_documentation_knows_every_setting_and_its_default():
    settings = list(settings_of(json.loads(sluice("schema").stdout)))
    assert {"definition_group", "queue_type", "linger", "collection", "types", "doorbell", "budget",
            "min_interval", "max_interval", "old_token", "relationship"} \
        <= {name for name, _ in settings}
    text = (ROOT / "docs/CONFIGURATION.md").read_text()
    printed = sluice("help", "config").stdout
    for name, default in settings:
        rows = [line for line in text.splitlines()
                if line.startswith(f"| `{name}` |") or line.startswith(f"### `{name}`")]
        assert rows, f"docs/CONFIGURATION.md lacks {name}"
        if default is not None:
            assert any(f"| `{default}` |" in row for row in rows), (name, default)
        assert re.search(rf"^ *{re.escape(name)} ", printed, re.MULTILINE), name


def test_status_says_that_nobody_answers(tmp_path):
    config = json.loads(json.dumps(EXAMPLE))
    config["ops"]["listen"] = f"127.0.0.1:{free_port()}"
    write(tmp_path, config)
    environment = {name: value for name, value in os.environ.items() if name != "FNO_SECRET"}
    result = subprocess.run([build_dir() / "src/sluice", "status"], cwd=tmp_path, text=True,
                            env={**environment, **SANITIZER_ENV}, capture_output=True, timeout=60)
    assert result.returncode == 1
    assert f"nobody answers at http://{config['ops']['listen']}/status" in result.stderr
    assert "is sluice running" in result.stderr


def test_status_of_a_process_that_waits_for_its_peers(tmp_path):
    config = json.loads(json.dumps(EXAMPLE))
    config["broker"]["url"] = f"amqp://guest:guest@127.0.0.1:{free_port()}/"
    config["mongo"]["url"] = f"mongodb://127.0.0.1:{free_port()}/?replicaSet=rs0"
    config["sources"]["fno"]["url"] = f"http://127.0.0.1:{free_port()}"
    program = Sluice(tmp_path, config=config, env={"FNO_SECRET": "s"})
    program.start()
    try:
        program.wait_for(lambda: answers(program), 20, "its ops listener")
        shown = sluice("status", "-c", str(program.config_path))
        asked = sluice("status", "-c", str(program.config_path), "--json")
    finally:
        program.stop()
    assert shown.returncode == asked.returncode == 1
    assert shown.stdout.startswith("sluice ")
    assert "not ready:\n" in shown.stdout
    assert re.search(r"^  mongo: ", shown.stdout, re.MULTILINE)
    assert re.search(r"^vendors +waiting ", shown.stdout, re.MULTILINE)
    status = json.loads(asked.stdout)
    assert status["ready"] is False
    assert "vendors" in status["feeds"]


def test_status_of_a_process_without_a_listener(tmp_path):
    config = json.loads(json.dumps(EXAMPLE))
    config["ops"]["listen"] = ""
    write(tmp_path, config)
    result = sluice("status", cwd=tmp_path)
    assert result.returncode == 1
    assert "ops.listen of sluice.jsonc is empty" in result.stderr
