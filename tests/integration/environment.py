"""A small environment of Dynamics 365 in Python, with packages made by Python's zipfile and csv.

It shares nothing with sluice or with its simulator: an independent witness of the client. It knows
no switches; what a test wants to be odd about a package, it writes into the package.
"""

import csv
import http.server
import io
import itertools
import json
import re
import urllib.parse
import zipfile
from xml.sax.saxutils import escape

from serving import Served

ACTIONS = "/data/DataManagementDefinitionGroups/Microsoft.Dynamics.DataEntities."


def csv_text(columns, rows, newline="\r\n", delimiter=","):
    """A header and rows as Python's own csv writes them."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator=newline, delimiter=delimiter)
    writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue()


def manifest(files, encoding="utf-16"):
    """The Manifest.xml of {file name: entity label}, as it is in Microsoft's sample: no prologue."""
    entities = "".join(
        f"<DataManagementPackageEntityData><EntityMapList /><EntityName>{escape(label)}</EntityName>"
        f"<InputFilePath>{escape(name)}</InputFilePath></DataManagementPackageEntityData>"
        for name, label in files.items())
    return ('<DataManagementPackageManifest xmlns:i="http://www.w3.org/2001/XMLSchema-instance" '
            'xmlns="http://schemas.microsoft.com/dynamics/2015/01/DataManagement">'
            f"<DefinitionGroupName>P</DefinitionGroupName><PackageEntityList>{entities}"
            "</PackageEntityList></DataManagementPackageManifest>").encode(encoding)


class _Unseekable(io.RawIOBase):
    """Makes zipfile put sizes behind each member, in data descriptors."""

    def __init__(self):
        self.written = bytearray()

    def writable(self):
        return True

    def write(self, data):
        self.written += data
        return len(data)


def package(members, stored=False, data_descriptors=False):
    """A zip of [(name, bytes)], in this order."""
    out = _Unseekable() if data_descriptors else io.BytesIO()
    method = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return bytes(out.written) if data_descriptors else out.getvalue()


class Environment(Served):
    """Serves one package for each definition group; its exports are over at once.

    Use it as a context manager. `packages` may change while it runs; an export of a group that has
    none fails.
    """
    etag = '"1"'  # of every package
    heeds_match = True  # If-Match, to which a weak ETag never is equal (RFC 9110, 13.1.1)
    absence = 404, b"", {}  # what a package that is not there is answered with: status, body, headers
    part_bytes = None  # how much an answer brings at most, of a package or of a range; None: all

    def __init__(self, packages):
        self.packages = dict(packages)
        self.exports = {}  # execution id: definition group
        self.problems = []  # what a well-behaved client would not have done
        self.ranges = []
        self.logins = []  # the forms that were posted for a token, parsed
        self._serial = itertools.count()
        self._blobs = {}
        environment = self

        class Handler(_Handler):
            owner = environment

        self.serve(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler))

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_port}"

    def source(self, **changes):
        """A source of sluice's configuration."""
        return {"type": "dmf", "url": self.url, "poll_interval": "20ms", "poll_max": "200ms",
                "auth": {"authority": self.url, "tenant": "t", "client_id": "c",
                         "client_secret": "s"}, **changes}

    # --- the actions ---

    def export(self, body):
        if body["executionId"] in self.exports:
            self.problems.append(f"execution id {body['executionId']} was used twice")
        if body["reExecute"] is not False:
            self.problems.append("reExecute was not false")
        self.exports[body["executionId"]] = body["definitionGroupId"]
        return body["executionId"]

    def status(self, body):
        group = self.exports.get(body["executionId"])
        return "Unknown" if group is None else "Succeeded" if group in self.packages else "Failed"

    def package_url(self, body):
        name = f"/dmf/{next(self._serial)}"
        self._blobs[name] = self.packages[self.exports[body["executionId"]]]
        return f"{self.url}{name}?sv=2014-02-14&sr=b&sig=c2VjcmV0&sp=r"

    def call(self, action, body):
        known = {"ExportToPackage": self.export, "GetExecutionSummaryStatus": self.status,
                 "GetExportedPackageUrl": self.package_url}
        return known[action](body)

    def blob(self, path):
        return self._blobs.get(path)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner = None

    def log_message(self, *_):
        pass  # the test speaks for itself

    def _answer(self, status, body, most=None, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body[:most])
        self.close_connection |= len(body[:most]) < len(body)

    def do_POST(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/oauth2/v2.0/token"):
            form = urllib.parse.parse_qs(data.decode())
            self.owner.logins.append({name: values[0] for name, values in form.items()})
            good = form.get("grant_type") == ["client_credentials"] and \
                form.get("scope") == [f"{self.owner.url}/.default"]
            answer = {"token_type": "Bearer", "expires_in": 3599, "access_token": "a-token"}
            return self._json(200 if good else 400, answer if good else {"error": "invalid_request"})
        if self.headers["Authorization"] != "Bearer a-token":
            return self._json(401, {})
        if not self.path.startswith(ACTIONS):
            return self._json(404, {"Message": "no such thing"})
        value = self.owner.call(self.path.removeprefix(ACTIONS), json.loads(data))
        return self._json(200, {"@odata.context": "…#Edm.String", "value": value})

    def _json(self, status, value):
        self._answer(status, json.dumps(value).encode(), Content_Type="application/json")

    def do_GET(self):
        whole = self.owner.blob(urllib.parse.urlsplit(self.path).path)
        if self.headers["Authorization"]:
            self.owner.problems.append("the blob store was shown a token")
        if whole is None:
            status, body, headers = self.owner.absence
            return self._answer(status, body, **headers)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["Range"] or "")
        etag = self.owner.etag
        if not wanted:
            return self._answer(200, whole, self.owner.part_bytes, ETag=etag,
                                Accept_Ranges="bytes")
        self.owner.ranges.append(wanted.group())
        match = self.headers["If-Match"]
        if self.owner.heeds_match and match and (match != etag or match.startswith("W/")):
            return self._answer(412, b"")
        first, last = int(wanted[1]), int(wanted[2] or len(whole) - 1)
        if first >= len(whole):
            return self._answer(416, b"")
        part = whole[first:last + 1][:self.owner.part_bytes]
        return self._answer(206, part, ETag=etag, Accept_Ranges="bytes",
                            Content_Range=f"bytes {first}-{first + len(part) - 1}/{len(whole)}")
