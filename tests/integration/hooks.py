"""Webhooks of the simulated Dataverse and a sluice that takes them: tables that are followed, tables and
a relationship that are read back, and the posts of a stranger.

    scene = Hooks(sim, workspace, followed={"account": 50}, read_back={"new_visit": 0})
    sluice = scene.sluice()
    scene.register(sluice)
    ...                      # something changes, something breaks
    scene.check_nothing_lost()
"""

import http.client
import json

from history import keep_history
from process import free_port, wait_until
from tables import Tables, owns

KEY = "x-sluice-key"
SECRET = "the-secret-of-the-tests"
ROW = "60c4e274-0d87-4e11-80e5-00155db19e6d"
VIRTUAL = "mserp_vendvendorv2entity"
MIX = {"update": 60, "create": 15, "delete": 15, "recreate": 10}
RELATIONSHIP = "new_account_tag"
VISIT = [{"name": "new_name", "type": "String"}, {"name": "new_amount", "type": "Money"},
         {"name": "new_count", "type": "Integer"}, {"name": "new_at", "type": "DateTime"}]


def reading_back(workspace, script, port, **feed):
    """The configuration of a sluice at that port which reads back the rows of a scripted Dataverse's table visit, by a
    feed of so many more settings."""
    return workspace.config(
        sources={"crm": script.source(), "hook": {
            "type": "webhook", "listen": f"127.0.0.1:{port}", "doorbell": "crm",
            "secret": {"header": KEY, "value": SECRET}}},
        feeds={"visits": {"source": "hook", "table": "visit", "collection": "visits",
                          "run_span": "300ms", **feed}})


class Hooks(Tables):
    """followed and read_back: {table: rows to begin with}. Rows of a table that is read back are there
    for sluice from their first event on. relationship is the name of one, whose associations are the
    collection tags, or True for the usual one. hook is laid over the webhook source's settings. Polls are
    rare, so that a change that comes soon came by a bell."""

    def __init__(self, sim, workspace, followed=None, read_back=None, relationship=False, hook=None,
                 **options):
        self.read_back = read_back or {}
        self.relationship = RELATIONSHIP if relationship is True else relationship
        self.hook = hook or {}
        self.port = free_port()
        for table in self.read_back:
            if table.startswith("new_visit"):
                sim.dataverse("table", table=table, count=0, tracking=False, columns=VISIT)
        options = {"every": "30s", "max_interval": "30s", **options}
        options.setdefault("min_interval", options["every"])
        super().__init__(sim, workspace, {**(followed or {}), **self.read_back}, **options)
        if self.relationship:
            keep_history(workspace.db, "tags")

    # --- configuration ---

    def feed(self, table):
        feed = super().feed(table)
        if table not in self.read_back:
            return feed
        for name in ("every", "min_interval", "max_interval", "priority", "sweep_limit"):
            feed.pop(name, None)
        return {**feed, "source": "hook"}

    def config(self, port=None, **changes):
        config = super().config(**changes)
        config["sources"]["hook"] = {
            "type": "webhook", "listen": f"127.0.0.1:{port or self.port}", "doorbell": "crm",
            "secret": {"header": KEY, "value": SECRET}, **self.hook}
        if self.relationship:
            config["feeds"]["tags"] = {"source": "hook", "relationship": self.relationship,
                                       "collection": "tags", "run_span": "300ms"}
        return config

    def sluice(self, name=None, start=True, port=None, **changes):
        sluice = self.workspace.sluice(self.config(port, **changes), name, start,
                                       ready_timeout_s=30 if start else None)
        if start:  # by this one or another
            sluice.wait_for(lambda: any(owns(one) for one in self.workspace.sluices), 20, "an owner")
        return sluice

    # --- the service ---

    def register(self, port=None, secret=None, scheme="http", **which):
        """A webhook for all events, or for some tables or messages; gives its number."""
        return self.sim.dataverse("webhook", url=f"{scheme}://127.0.0.1:{port or self.port}/webhook/hook",
                                  secret=secret or {"header": KEY, "value": SECRET}, **which)["id"]

    def posts(self):
        return self.sim.get("dv/hooks")

    def wait_posts(self, timeout_s=20):
        """Waits until every post has been answered; gives the counts."""
        def ended():
            posts = self.posts()
            return not posts["waiting"] and not posts["in_flight"] and posts
        return wait_until(ended, timeout_s, "the last post")

    def associations(self):
        """{_id: whether it is} of every association that is or was."""
        rows = map(json.loads, self.sim.lines(f"dv/truth?relationship={self.relationship}"))
        return {f"{one['target']}|{one['related']}": "deleted" not in one for one in rows}

    def stored_associations(self):
        return {one["_id"]: "deleted" not in one["_sluice"] for one in self.workspace.db["tags"].find()}

    # --- the verdict: of a table that is read back, the rows that came with an event ---

    def told(self, table):
        return [json.loads(line) for line in self.sim.lines("dv/changes")
                if json.loads(line)["table"] == table]

    def all_rows(self, table):
        return super().rows(table)

    def rows(self, table="account", **options):
        rows = super().rows(table, **options)
        if table not in self.read_back:
            return rows
        told = {one["id"] for one in self.told(table)}
        return (row for row in rows if row["id"] in told)

    def followed(self, table="account"):
        """What is read back has versions in the order of asking; a row's own is one of its columns."""
        if table not in self.read_back:
            return super().followed(table)
        if self.feed(table).get("select"):
            return not self.differences(table)
        stored = {one["_id"]: one["versionnumber"] for one in
                  self.documents(table).find({"_sluice.deleted": {"$exists": False}}, {"versionnumber": 1})}
        return stored == {row["id"]: row["versionnumber"] for row in self.rows(table, fields=0)
                          if "deleted" not in row}

    def check_nothing_lost(self, timeout_s=30, **options):
        self.wait_posts(timeout_s)
        wait_until(lambda: self.workspace.state["runs"].count_documents({"state": "done"}), timeout_s,
                   "a run that ended")
        super().check_nothing_lost(timeout_s, **options)
        if self.relationship:
            assert self.stored_associations() == self.associations()


class Poster:
    """Posts events as somebody who knows the secret, or does not."""

    def __init__(self, port, path="/webhook/hook"):
        self.port, self.path = port, path

    def send(self, body, headers=None, method="POST", path=None, secret=SECRET):
        """(status, text) of one request; a body that is no text is sent as JSON."""
        if not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        headers = {"Content-Type": "application/json", **({KEY: secret} if secret else {}),
                   **(headers or {})}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path or self.path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        finally:
            connection.close()


def event(table, row, message="Update", **more):
    """Of an asynchronous step, unless more says another Mode."""
    return {"MessageName": message, "PrimaryEntityName": table, "PrimaryEntityId": row, "Mode": 1, **more}


def queue_events(workspace, feed, table, *rows):
    """Puts an event of each row (or of a list of rows) into the queue, as if another process had taken them."""
    with workspace.rabbit.publishing() as channel:
        for row in rows:
            body = {"event": 1, "feed": feed, "at": 0, "rows": [[table, one] for one in
                                                                      ([row] if isinstance(row, str) else row)]}
            channel.basic_publish("", f"{workspace.exchange}.events.hook", json.dumps(body))


def reference(table, row):
    return {"__type": "EntityReference:http://schemas.microsoft.com/xrm/2011/Contracts", "Id": row,
            "KeyAttributes": [], "LogicalName": table, "Name": None, "RowVersion": None}


def association(target, related, message="Associate", relationship=RELATIONSHIP):
    """target and the members of related are (table, id)."""
    return event(target[0], target[1], message, InputParameters=[
        {"key": "Target", "value": reference(*target)},
        {"key": "Relationship", "value": {"PrimaryEntityRole": None, "SchemaName": relationship}},
        {"key": "RelatedEntities", "value": [reference(*one) for one in related]}])


def outcomes(sluice):
    """{outcome: how many posts}, of those that there were."""
    counted = sluice.metrics().all("sluice_webhook_events_total", source="hook")
    return {labels["outcome"]: int(number) for labels, number in counted if number}


def read_backs(sluice, outcome, feed="new_visit"):
    return sluice.metrics().get("sluice_read_backs_total", feed=feed, outcome=outcome)


def source_status(sluice, name="hook"):
    return json.loads(sluice.ops("/status")[1])["sources"][name]
