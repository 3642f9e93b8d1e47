"""A server that speaks TLS in any way that a test wants, right or wrong, and notes what it is told."""

import socketserver
import ssl
import warnings

from serving import Served

SUPPORTED_VERSIONS = 43  # an extension of the client's first message, RFC 8446 section 4.2.1


def without_newer_versions(hello):
    """The client's first message as a man in the middle would spoil it: the list of newer versions is
    made an extension that nobody knows, so the server believes that the client stops at TLS 1.2."""
    data = bytearray(hello)
    at = 5 + 4 + 2 + 32  # record, handshake, version, random
    at += 1 + data[at]  # session
    at += 2 + int.from_bytes(data[at:at + 2], "big")  # ciphers
    at += 1 + data[at]  # compressions
    end = at + 2 + int.from_bytes(data[at:at + 2], "big")
    at += 2
    while at < end:
        kind = int.from_bytes(data[at:at + 2], "big")
        if kind == SUPPORTED_VERSIONS:
            data[at:at + 2] = b"\xfa\xfb"
        at += 4 + int.from_bytes(data[at + 2:at + 4], "big")
    return bytes(data)


# A server's first message that has chosen TLS 1.1 though the client did not offer it: record, message,
# version, random, no session, a cipher of that time, no compression.
TLS_1_1_ALL_THE_SAME = (b"\x16\x03\x02\x00\x2a" b"\x02\x00\x00\x26" b"\x03\x02"
                        + bytes(range(32)) + b"\x00" b"\x00\x2f" b"\x00")


class TlsPeer(Served):
    """Use it as a context manager. most: the newest version of TLS that it speaks. spoil: what a man in
    the middle makes of the client's first message. reply: bytes that answer that message, whatever it
    says. greeting: what it says first when TLS is there.

    `visits` counts connections; `heard` is what clients said to it once they trusted it.
    """

    def __init__(self, certificate, most=ssl.TLSVersion.TLSv1_3, spoil=None, reply=b"", greeting=b""):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.set_ciphers("ALL:@SECLEVEL=0")  # else it could not speak TLS 1.1 itself
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that is what this peer is for
            self.context.minimum_version = ssl.TLSVersion.TLSv1
            self.context.maximum_version = most
        self.context.load_cert_chain(certificate.certificate, certificate.key)
        self.spoil, self.reply, self.greeting = spoil, reply, greeting
        self.visits, self.heard = 0, b""
        peer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                peer._serve(self.request)

        self.serve(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler))

    @property
    def port(self):
        return self._server.server_address[1]

    def _serve(self, link):
        self.visits += 1
        link.settimeout(5)  # longer than a machine may stand still
        arriving, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context.wrap_bio(arriving, leaving, server_side=True)
        try:
            first = link.recv(65536)
            if self.reply:
                link.sendall(self.reply)
                link.recv(65536)  # the alert
                return
            arriving.write(self.spoil(first) if self.spoil else first)
            self._pump(link, lambda: tls.do_handshake() or True, arriving, leaving)
            if self.greeting:
                self._pump(link, lambda: tls.write(self.greeting), arriving, leaving)
            while piece := self._pump(link, lambda: tls.read(65536), arriving, leaving):
                self.heard += piece
        except (OSError, ssl.SSLError, EOFError):
            pass

    @staticmethod
    def _pump(link, step, arriving, leaving):
        """Does step, with what the network brings, until it gives a result."""
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                result = None
            finally:
                if leaving.pending:
                    link.sendall(leaving.read())  # an alert, too
            if result is not None:
                return result
            more = link.recv(65536)
            if not more:
                raise EOFError
            arriving.write(more)
