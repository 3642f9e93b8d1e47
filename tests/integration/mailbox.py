"""Those who are told of alerts: a mail server (aiosmtpd) and a web server, which keep what they are given."""

import email
import email.policy
import http.server
import json
import ssl

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from process import free_port
from serving import Served

# Tests have no time to wait for others to go into one message …
SOON = {"group": "200ms"}
# … and those of conditions none to wait until they have lasted.
HASTE = {**SOON, "peer_down": "1s", "lag_for": "2s", "budget_for": "1s", "recovered_after": "1s",
         "dead_letters_quiet": "3s"}


class _Server(Controller):
    """Counts connections, and takes STARTTLS and logins as its mailbox wants them."""

    def __init__(self, mailbox, **options):
        super().__init__(mailbox, hostname="127.0.0.1", port=free_port())
        self._mailbox, self._options = mailbox, options

    def factory(self):
        self._mailbox.visits += 1
        return SMTP(self._mailbox, hostname="mailbox", enable_SMTPUTF8=True, **self._options)


class Mailbox:
    """Use it as a context manager; `mails` are email messages, in the order of their coming.

    tls, a Certificate: it wants STARTTLS before all else. login, (user, password): it wants that.
    `visits` counts connections, whatever they were for; while `refusal` is a reply ("451 later"), no
    mail is taken.
    """

    def __init__(self, tls=None, login=None):
        self.mails, self.visits, self.logins = [], 0, []
        self.refusal = None
        self._login, options = login, {}
        if tls:
            options["tls_context"] = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            options["tls_context"].load_cert_chain(tls.certificate, tls.key)
            options["require_starttls"] = True
        if login:
            options.update(authenticator=self._authenticate, auth_required=True,
                           auth_require_tls=bool(tls))
        self._tls = tls
        self._server = _Server(self, **options)

    def __enter__(self):
        self._server.start()  # looks whether it can be reached
        self.visits = 0
        return self

    def __exit__(self, *_):
        self._server.stop()

    def settings(self, **changes):
        """The "mail" of sluice's alerts."""
        settings = {"host": "127.0.0.1", "port": self._server.port,
                    "security": "starttls" if self._tls else "none",
                    "from": "sluice <ops@contoso.com>", "to": ["team@contoso.com"]}
        if self._login:
            settings["user"], settings["password"] = self._login
        return {**settings, **changes}

    def alerts(self, **changes):
        """The "alerts" of sluice's configuration."""
        return {**SOON, "mail": self.settings(), **changes}

    def _words(self, heading):
        return [mail for mail in self.mails
                if mail.get_content().startswith((f"{heading}:\n", f"{heading}:\r\n"))]

    @property
    def raised(self):
        """Mails that something was raised."""
        return self._words("Raised")

    @property
    def over(self):
        """Mails that something is over, and nothing was raised."""
        return self._words("Over")

    # --- what aiosmtpd calls ---

    def _authenticate(self, server, session, envelope, mechanism, data):
        given = tuple(part.decode() for part in (data.login, data.password))
        self.logins.append(given)
        return AuthResult(success=given == self._login)

    async def handle_DATA(self, server, session, envelope):
        if self.refusal:
            return self.refusal
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 kept"


class Hook(Served):
    """A web server that takes posts, as a context manager; `posts` are (path, headers, JSON).

    tls, a Certificate: https. answers are statuses, or (status, {header: value}), for the next posts;
    then 200.
    """

    def __init__(self, tls=None):
        self.posts, self.visits, self.answers = [], [], []
        hook = self

        class Handler(_Handler):
            owner = hook

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._scheme = "https" if tls else "http"
        if tls:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(tls.certificate, tls.key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        self.serve(server)

    def url(self, path="/services/T0/k3y"):
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}{path}"

    def alerts(self, webhook=None, **changes):
        """The "alerts" of sluice's configuration."""
        return {**HASTE, "webhook": {"url": self.url(), **(webhook or {})}, **changes}

    def told(self, change, kind=None):
        """What was told: the alerts of all posts that changed so."""
        return [one for _, _, body in self.posts for one in body.get("alerts", [])
                if one["change"] == change and kind in (None, one["kind"])]


class _Handler(http.server.BaseHTTPRequestHandler):
    owner = None

    def log_message(self, *_):
        pass

    def _answer(self, status, headers=None):
        self.send_response(status)
        for name, value in {"Content-Length": "0", **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()

    def do_OPTIONS(self):
        self.owner.visits.append(("OPTIONS", self.path))
        self._answer(405)

    def do_POST(self):
        self.owner.visits.append(("POST", self.path))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = self.owner.answers.pop(0) if self.owner.answers else 200
        status, headers = answer if isinstance(answer, tuple) else (answer, None)
        if status == 200:
            self.owner.posts.append((self.path, dict(self.headers), json.loads(body)))
        self._answer(status, headers)
