"""A tiny SMTP server that keeps what it is given."""

import email
import email.policy
import socketserver
import threading


class Mailbox:
    """Use it as a context manager; `mails` are email messages, in the order of their coming.

    `visits` counts connections, whatever they were for.
    """

    def __init__(self):
        self.mails = []
        self.visits = 0
        mailbox = self

        class Handler(_Handler):
            owner = mailbox

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def settings(self, **changes):
        """The "mail" of sluice's configuration."""
        return {"host": "127.0.0.1", "port": self._server.server_address[1], "security": "none",
                "from": "sluice <ops@contoso.com>", "to": ["team@contoso.com"], **changes}


class _Handler(socketserver.StreamRequestHandler):
    owner = None

    def _say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def handle(self):
        self.owner.visits += 1
        self._say("220 mailbox")
        for line in iter(self.rfile.readline, b""):
            verb = line.strip().split(b" ")[0].upper()
            if verb == b"DATA":
                self._say("354 go on")
                self._take()
                self._say("250 kept")
            elif verb == b"QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 fine")

    def _take(self):
        lines = []
        for line in iter(self.rfile.readline, b".\r\n"):
            lines.append(line[1:] if line.startswith(b"..") else line)
        message = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
        self.owner.mails.append(message)
