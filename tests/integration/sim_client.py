"""A client of the simulated Dataverse: its calls, the control calls, and what a reader does with them.

The witnesses are Python's own json and urllib modules; nothing of sluice takes part.
"""

import decimal
import json
import re
import urllib.error
import urllib.parse
import urllib.request

DEADLINE_S = 20
GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TRACK = "odata.track-changes"


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args, **kwargs):
        return None


OPENER = urllib.request.build_opener(NoRedirect, urllib.request.ProxyHandler({}))


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body, parse_float=decimal.Decimal)

    @property
    def code(self):
        return self.json["error"]["code"]


def fetch(url, body=None, headers=None):
    request = urllib.request.Request(url.replace(" ", "%20"), data=body, headers=headers or {})
    try:
        with OPENER.open(request, timeout=DEADLINE_S) as reply:
            return Answer(reply.status, reply.headers, reply.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.headers, error.read())


class Service:
    """The calls of a client, and the control calls."""

    def __init__(self, sim, client_id=None):
        self.sim = sim
        form = {"grant_type": "client_credentials", "client_id": client_id or sim.client_id,
                "client_secret": sim.client_secret, "scope": f"{sim.url}/.default"}
        answer = fetch(f"{sim.url}/{sim.tenant}/oauth2/v2.0/token",
                       urllib.parse.urlencode(form).encode())
        self.token = answer.json["access_token"]

    def get(self, path, prefer=None):
        url = path if path.startswith("http") else f"{self.sim.url}/api/data/v9.2/{path}"
        headers = {"Authorization": f"Bearer {self.token}"}
        if prefer:
            headers["Prefer"] = prefer
        return fetch(url, None, headers)

    def post(self, path, **body):
        return self.sim.post(f"dv/{path}", body)

    def switch(self, **switches):
        self.sim.post("switches", switches)

    def lines(self, path):
        answer = fetch(f"{self.sim.url}/_sim/dv/{path}")
        assert answer.status == 200, answer.body
        return [json.loads(line) for line in answer.body.splitlines()]

    def truth(self, table, **options):
        return self.lines("truth?" + urllib.parse.urlencode({"table": table, **options}))

    def stats(self):
        return self.sim.get("stats")["dataverse"]

    def user(self):
        return self.stats()["users"][self.sim.client_id]

    def poll(self, link, prefer=None):
        """Follows a link to its end; gives rows by id, ids of deletions, and the delta link."""
        rows, deleted = {}, []
        while True:
            answer = self.get(link, prefer)
            assert answer.status == 200, answer.body
            for row in answer.json["value"]:
                if "reason" in row:
                    assert row["@odata.context"].endswith("/$deletedEntity")
                    assert row["reason"] == "deleted"
                    deleted.append(row["id"])
                else:
                    key = next(value for name, value in reversed(row.items()) if name.endswith("id"))
                    assert row["@odata.etag"] == f'W/"{row["versionnumber"]}"'
                    rows[key] = row
            link = answer.json.get("@odata.nextLink")
            if not link:
                return rows, deleted, answer.json.get("@odata.deltaLink")


def compare(row, fields):
    """A row of an answer says what the truth says, number by number, digit by digit."""
    for name, value in fields.items():
        if isinstance(value, dict):
            (kind, text), = value.items()
            if kind == "$date":
                text = text if "T" in str(row[name]) else text.removesuffix("T00:00:00Z")
                assert row[name] == text, name
            elif kind == "$numberLong":
                assert row[name] == int(text) and isinstance(row[name], int), name
            elif kind == "$numberDecimal":
                assert format(row[name], "f") == text, name
            else:
                assert float(row[name]) == float(text), name
        else:
            assert row[name] == value, name


def follow(state, rows, deleted):
    """What a reader does: the newest wins, and in one answer a row beats its deletion."""
    for key in deleted:
        if key not in rows:
            state.pop(key, None)
    state.update(rows)
