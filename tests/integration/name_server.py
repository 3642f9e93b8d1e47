"""A name server that knows what a test tells it, and sluice asking it and nobody else."""

import socket
import subprocess
import threading

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

WITH_RESOLV_CONF = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'


def why_not():
    """Why this machine cannot have one, or an empty string: others' resolv.conf names no port but 53, and has to
    be hidden from sluice."""
    tried = subprocess.run(["unshare", "-m", "sh", "-c", WITH_RESOLV_CONF, "/dev/null", "true"],
                           capture_output=True, check=False)
    if tried.returncode:
        return "only root may give a process a resolv.conf of its own"
    try:
        NameServer().close()
    except OSError as error:
        return f"port 53 of a loopback address cannot be had: {error}"
    return ""


class NameServer:
    """records is {(name, "SRV"): [text of a record, …]}, and may be changed; while it is None nobody is answered."""

    address = "127.83.82.86"

    def __init__(self):
        self.records = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((self.address, 53))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.sendto(b"", (self.address, 53))  # the end
        self._thread.join()
        self._socket.close()

    def _serve(self):
        while True:
            text, sender = self._socket.recvfrom(4096)
            if not text:
                return
            if self.records is not None:
                self._socket.sendto(self._answer(dns.message.from_wire(text)), sender)

    def _answer(self, query):
        answer = dns.message.make_response(query)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True)
        if records := self.records.get((name, question.rdtype.name)):
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", question.rdtype, *records))
        elif not any(known == name for known, _type in self.records):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        answer.flags |= dns.flags.AA
        return answer.to_wire(want_shuffle=False)  # in the order that the test tells

    def rule(self, sluice, *before):
        """Makes sluice, before it is started, one that asks this server, and others before; gives its
        resolv.conf."""
        conf = sluice.dir / "resolv.conf"
        conf.write_text("".join(f"nameserver {address}\n" for address in (*before, self.address)))
        sluice.args = ["unshare", "-m", "sh", "-c", WITH_RESOLV_CONF, str(conf), *sluice.args]
        return conf
