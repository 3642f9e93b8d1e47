"""A client of the simulated Finance & Operations: tokens, package exports, and the control calls.

The witnesses are Python's own zipfile, csv and http modules; nothing of sluice takes part. sim and package are
fixtures.
"""

import csv
import io
import json
import os
import pathlib
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile

import pytest

from sim_client import OPENER

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("SLUICE_BUILD", ROOT / "build/debug-asan")) / "src/sluice-sim"

TENANT = "contoso.com"
CLIENT = "11111111-2222-4333-8444-555555555555"
SECRET = "sim-secret"
ACTIONS = "/data/DataManagementDefinitionGroups/Microsoft.Dynamics.DataEntities."
VENDORS = "Vendors V3"
DEADLINE_S = 60


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def value(self):
        assert self.status == 200, (self.status, self.body)
        return self.json["value"]


def fetch(url, body=None, headers=None, method=None):
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers or {}, method=method)
    try:
        with OPENER.open(request, timeout=DEADLINE_S) as reply:
            return Answer(reply.status, reply.headers, reply.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.headers, error.read())


class Sim:
    """A running simulator, and the calls that a client would make."""

    def __init__(self, directory, *options):
        self.port_file = directory / "port"
        command = [BINARY, "--listen", "127.0.0.1:0", "--port-file", self.port_file, *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("sluice-sim listening on http://127.0.0.1:"), line
        self.base = line.split()[-1]
        self.port = int(self.base.rsplit(":", 1)[1])
        self._token = None
        self._serial = 0

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        status = self.process.wait(timeout=10)
        self.process.stdout.close()
        return status

    # control
    def post(self, path, **body):
        answer = fetch(f"{self.base}/_sim/{path}", body)
        assert answer.status == 200, answer.body
        return answer.json

    def get(self, path, **query):
        answer = fetch(f"{self.base}/_sim/{path}?{urllib.parse.urlencode(query)}")
        assert answer.status == 200, answer.body
        return answer.json

    def truth(self, entity=VENDORS, company="USMF", **query):
        query = urllib.parse.urlencode({"entity": entity, "company": company, **query})
        answer = fetch(f"{self.base}/_sim/truth?{query}")
        assert answer.status == 200, answer.body
        return [json.loads(line) for line in answer.body.decode().splitlines()]

    def records(self, count, entity=VENDORS, company="USMF", **more):
        return self.post("records", entity=entity, company=company, count=count, **more)

    def change(self, count=0, entity=VENDORS, company="USMF", **more):
        return self.post("change", entity=entity, company=company, count=count, **more)

    def project(self, name="P", entities=(VENDORS,), company="USMF", **more):
        return self.post("project", name=name, company=company, entities=list(entities), **more)

    def switches(self, **switches):
        return self.post("switches", **switches)

    # the client's side
    def token_answer(self, tenant=TENANT, **changes):
        form = {
            "grant_type": "client_credentials",
            "client_id": CLIENT,
            "client_secret": SECRET,
            "scope": f"{self.base}/.default",
        }
        form.update(changes)
        body = urllib.parse.urlencode({k: v for k, v in form.items() if v is not None}).encode()
        return fetch(f"{self.base}/{tenant}/oauth2/v2.0/token", body)

    def token(self):
        answer = self.token_answer()
        assert answer.status == 200, answer.body
        return answer.json["access_token"]

    def read(self, entity_set, query="", method=None, body=None):
        """Of an entity set; query as it stands in the URL."""
        headers = {"Authorization": f"Bearer {self.token()}"}
        return fetch(f"{self.base}/data/{entity_set}{query and '?'}{query}", body, headers, method)

    def call(self, action, prefix="", token=None, **arguments):
        if token is None:
            self._token = self._token or self.token()
            token = self._token
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return fetch(self.base + prefix + ACTIONS + action, arguments, headers)

    def begin(self, project="P", company="USMF", execution=None):
        if execution is None:
            self._serial += 1
            execution = f"{project}-{self._serial}"
        answer = self.call(
            "ExportToPackage",
            definitionGroupId=project,
            packageName="test",
            executionId=execution,
            reExecute=False,
            legalEntityId=company,
        )
        return execution, answer

    def status(self, execution):
        return self.call("GetExecutionSummaryStatus", executionId=execution)

    def url(self, execution):
        value = self.call("GetExportedPackageUrl", executionId=execution).value
        return value["value"] if isinstance(value, dict) else value

    def wait(self, execution):
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            status = self.status(execution).value
            if status not in ("NotRun", "Executing"):
                return status
            time.sleep(0.01)
        raise AssertionError(f"{execution} does not end")

    def export(self, project="P", company="USMF"):
        """A whole export; gives the package's bytes."""
        execution, answer = self.begin(project, company)
        assert answer.status == 200, answer.body
        assert self.wait(execution) == "Succeeded"
        return fetch(self.url(execution)).body

    def rows(self, project="P", company="USMF", name="Vendors V3.csv", encoding="utf-8-sig"):
        return read_rows(self.export(project, company), name, encoding)


def read_rows(package, name="Vendors V3.csv", encoding="utf-8-sig", delimiter=","):
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        assert archive.testzip() is None
        text = archive.read(name).decode(encoding)
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def fields(truth):
    return [record["fields"] for record in truth]


@pytest.fixture
def sim(tmp_path):
    running = Sim(tmp_path)
    yield running
    assert running.stop() == 0


@pytest.fixture
def package(sim):
    """A package that is ready: its URL and its bytes."""
    sim.records(500)
    sim.project()
    execution, _ = sim.begin()
    assert sim.wait(execution) == "Succeeded"
    url = sim.url(execution)
    return url, fetch(url).body, execution
