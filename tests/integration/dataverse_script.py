"""A small Dataverse in Python that answers what a test wrote into it.

It shares nothing with sluice or with its simulator: an independent witness of the client. Each table
is a map from links to answers; a test says what the service knows at each point, and so decides what
is read in which order:

    with Script(account=["name"]) as script:
        table = script["account"]
        table.answers["full"] = Page([row(A, 100)], delta="d1")
        table.answers["d1"] = Page(deleted=[A], delta="d2")

A link without an answer leads to itself: nothing has changed. An answer may also be bytes, an
Answer, or a function that gives one of them, which runs in the thread of the request and may wait.
"""

import http.server
import json
import re
import time
import urllib.parse

from serving import Served

SECRET = "a secret that nobody may see"
TOKEN = "a.token.that-nobody-may-see"
API = "/api/data/v9.2/"


def guid(number):
    return f"{number:08x}-0000-4000-8000-000000000000"


def row(number, version, **fields):
    """The row with this number: its id, its version, and what stands in its columns."""
    return {"number": number, "version": version, "fields": fields}


class Page:
    """An answer of the Web API. next and delta name the links that it ends with."""

    def __init__(self, rows=(), deleted=(), next=None, delta=None, deleted_first=False):
        self.rows, self.deleted = list(rows), list(deleted)
        self.next, self.delta = next, delta
        self.deleted_first = deleted_first

    def encode(self, table):
        gone = [{"@odata.context": f"{table.url}$metadata#{table.set}/$deletedEntity",
                 "id": guid(number), "reason": "deleted"} for number in self.deleted]
        alive = [{"@odata.etag": f'W/"{one["version"]}"', table.key: guid(one["number"]),
                  "versionnumber": one["version"], **one["fields"]} for one in self.rows]
        value = {"value": gone + alive if self.deleted_first else alive + gone}
        for name, link in (("@odata.nextLink", self.next), ("@odata.deltaLink", self.delta)):
            if link:
                value[name] = table.link(link)
        return json.dumps(value).encode()


class Answer:
    """An answer as it goes over the wire. cut: only so many bytes of the body, then the end."""

    def __init__(self, body=b"", status=200, content_type="application/json", cut=None, **headers):
        self.body = body if isinstance(body, bytes) else body.encode()
        self.status, self.cut = status, cut
        self.headers = {"Content-Type": content_type, **headers}


def failure(status, code, message, **headers):
    return Answer(json.dumps({"error": {"code": code, "message": message}}), status, **headers)


def expired():
    return failure(400, "0x80044352", "Version stamp associated with the client has expired.")


class Table:
    """One table: its definition and its answers by link; "full" is the beginning of a full read."""

    def __init__(self, script, name, columns):
        self.script, self.name, self.columns = script, name, dict(columns)
        self.set, self.key = f"{name}s", f"{name}id"
        self.tracking = self.versions = True
        self.type = "Standard"  # None: of a service that knows no types of tables
        self.described = 0  # how often its definition was asked for
        self.refusal = None  # the answer to whoever asks for a row
        self.depth = ["Global"]  # of the right to read it, a role each; or an Answer
        self.asked_right = 0
        self.rows = {}  # by number: what is answered when one is asked for by its id; none: 404
        self.related = {}  # by relationship: the rows that are answered to whoever asks a row for these
        self.answers = {}
        self.asked = []  # (link, seconds on the monotonic clock), as they came

    @property
    def url(self):
        return self.script.url + API

    def link(self, name):
        return name if name.startswith("http") else f"{self.url}{self.set}?$deltatoken={name}"

    def links(self):
        return [link for link, _ in self.asked]

    def count(self, link):
        return self.links().count(link)

    def definition(self):
        attributes = {self.key: "Uniqueidentifier", **self.columns,
                      **({"versionnumber": "BigInt"} if self.versions else {})}
        return {"LogicalName": self.name, "EntitySetName": self.set, "PrimaryIdAttribute": self.key,
                **({"TableType": self.type} if self.type else {}),
                "ChangeTrackingEnabled": self.tracking,
                "CanChangeTrackingBeEnabled": {"Value": True},
                "Privileges": [{"PrivilegeType": "Read", "Name": f"prvRead{self.name}"}],
                "Attributes": [{"LogicalName": name, "AttributeType": kind, "AttributeOf": None,
                                "IsValidForRead": True} for name, kind in attributes.items()]}

    def answer_right(self):
        """How far the right to read it reaches; "Global" is the whole organisation."""
        self.asked_right += 1
        if isinstance(self.depth, Answer):
            return self.depth
        return Answer(json.dumps({"RolePrivileges": [{"Depth": one} for one in self.depth]}))

    def answer_row(self, key):
        one = self.rows.get(int(key[:8], 16))
        self.asked.append((key, time.monotonic()))
        if self.refusal:
            return self.refusal
        if not one:
            return failure(404, "0x80040217", f"{self.name} With Id = {key} Does Not Exist")
        version = {"@odata.etag": f'W/"{one["version"]}"', "versionnumber": one["version"]}
        return Answer(json.dumps({**(version if self.versions else {}), self.key: key,
                                  **one["fields"]}))

    def answer_related(self, relationship):
        self.asked.append((relationship, time.monotonic()))
        return Answer(json.dumps({"value": self.related[relationship]}))

    def answer(self, link):
        self.asked.append((link, time.monotonic()))
        answer = self.answers.get(link)
        if answer is None:
            answer = Page(delta=link) if link != "full" else Page(delta="d1")
        if callable(answer):
            answer = answer()
        if isinstance(answer, Page):
            answer = answer.encode(self)
        return answer if isinstance(answer, Answer) else Answer(answer)


class Script(Served):
    """Serves tables, {name: {column: AttributeType}} or [names of texts]. A context manager.

    token: what the token endpoint answers; None for a good one.
    """

    def __init__(self, token=None, **tables):
        self.token = token
        self.tables = {name: Table(self, name, columns if isinstance(columns, dict)
                                   else dict.fromkeys(columns, "String"))
                       for name, columns in tables.items()}
        self.strangers = []  # requests that no client of the Web API would make
        self.tokens_given = 0
        script = self

        class Handler(_Handler):
            owner = script

        self.serve(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler))

    def __getitem__(self, name):
        return self.tables[name]

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_port}"

    def source(self, **changes):
        """A source of sluice's configuration."""
        return {"type": "dataverse", "url": self.url,
                "auth": {"authority": self.url, "tenant": "t", "client_id": "c",
                         "client_secret": SECRET}, **changes}


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner = None

    def log_message(self, *_):
        pass  # the test speaks for itself

    def _answer(self, answer):
        body = answer.body
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if answer.cut is None else body[:answer.cut])
        if answer.cut is not None:
            self.close_connection = True

    def _stranger(self, what):
        self.owner.strangers.append(f"{what}: {self.command} {self.path}")
        self._answer(failure(400, "0x0", what))

    def do_POST(self):
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if not self.path.endswith("/oauth2/v2.0/token"):
            return self._stranger("a POST")
        if form.get("client_secret") != [SECRET] or form.get("scope") != [f"{self.owner.url}/.default"]:
            return self._stranger("a wrong form")
        good = {"token_type": "Bearer", "expires_in": 3599, "access_token": TOKEN}
        token = self.owner.token() if callable(self.owner.token) else self.owner.token
        self.owner.tokens_given += 1
        return self._answer(token or Answer(json.dumps(good)))

    def do_GET(self):
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self._stranger("no token")
        path = urllib.parse.unquote(self.path)
        if not path.startswith(API):
            return self._stranger("a path that is not the Web API's")
        path = path.removeprefix(API)
        if path == "WhoAmI":
            return self._answer(Answer(json.dumps({"UserId": guid(0)})))
        right = re.fullmatch(rf"systemusers\({guid(0)}\)/Microsoft\.Dynamics\.CRM\."
                             r"RetrieveUserPrivilegeByPrivilegeName\(PrivilegeName='prvRead(\w+)'\)", path)
        if right and right[1] in self.owner.tables:
            return self._answer(self.owner.tables[right[1]].answer_right())
        definition = re.match(r"EntityDefinitions\(LogicalName='(\w+)'\)", path)
        if definition:
            table = self.owner.tables[definition[1]]
            if not table.type and "TableType" in path:
                return self._answer(failure(400, "0x80060888", "Could not find a property named "
                                            "'TableType' on type 'Microsoft.Dynamics.CRM.EntityMetadata'."))
            table.described += 1
            return self._answer(Answer(json.dumps(table.definition())))
        name, _, query = path.partition("?")
        keyed = re.fullmatch(r"(\w+)\(([0-9a-f-]{36})\)(?:/(\w+))?", name)
        if keyed:
            name = keyed[1]
        table = next((one for one in self.owner.tables.values() if one.set == name), None)
        if not table:
            return self._stranger("an unknown table")
        if keyed and keyed[3]:
            return self._answer(table.answer_related(keyed[3]))
        if keyed:
            return self._answer(table.answer_row(keyed[2]))
        if "odata.track-changes" not in (self.headers["Prefer"] or ""):
            return self._stranger("a read without change tracking")
        link = urllib.parse.parse_qs(query).get("$deltatoken", ["full"])[0]
        return self._answer(table.answer(link))
