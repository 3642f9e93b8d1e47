"""A gate before RabbitMQ behind which somebody sits who puts frames of his own among the server's."""

import threading

from gate import Gate

END = b"\xce"


def frame(kind, channel, payload, size=None, end=END):
    """As section 4.2.3 of AMQP 0-9-1 writes it; size and end may be wrong."""
    size = len(payload) if size is None else size
    return bytes([kind]) + channel.to_bytes(2, "big") + size.to_bytes(4, "big") + payload + end


def method(channel, number, method_number, arguments=b""):
    return frame(1, channel, number.to_bytes(2, "big") + method_number.to_bytes(2, "big") + arguments)


class Impostor(Gate):
    """say(bytes_for) sends, on every connection and between two frames of the server, what bytes_for
    makes for the number of the channel that is open there; `cut` counts connections that the client has
    ended because of it."""

    def __init__(self, port):
        self.cut = 0
        self._links = []
        super().__init__(port)

    def say(self, bytes_for):
        """Gives how many connections heard it."""
        with self._lock:
            links, self._links = self._links, []
            return sum(link.say(bytes_for) for link in links)

    def _carry(self, source, target):
        if source.getpeername()[1] != self.target:
            super()._carry(source, target)
            return
        link = _Link(target)
        with self._lock:
            self._links.append(link)
        pending = b""
        try:
            while data := source.recv(65536):
                pending += data
                whole, channel = _whole_frames(pending)
                link.channel = channel or link.channel
                link.send(pending[:whole])
                pending = pending[whole:]
        except OSError:
            pass  # cut
        with self._lock:
            if link in self._links:
                self._links.remove(link)
            self.cut += link.spoilt
        link.close()
        source.close()


class _Link:
    """The client's end of one connection."""

    def __init__(self, target):
        self.target, self.spoilt, self._lock = target, False, threading.Lock()
        self.channel = 1

    def send(self, data):
        with self._lock:
            if data and not self.spoilt:  # what is said is the last thing that is heard
                self.target.sendall(data)

    def say(self, bytes_for):
        with self._lock:
            try:
                self.target.sendall(bytes_for(self.channel))
            except OSError:
                return 0
            self.spoilt = True
            return 1

    def close(self):
        self.target.close()


def _whole_frames(data):
    """How many bytes of data are whole frames, and the channel of the last one that has one (else 0)."""
    at = channel = 0
    while len(data) - at >= 7:
        end = at + 7 + int.from_bytes(data[at + 3:at + 7], "big") + 1
        if end > len(data):
            break
        channel = int.from_bytes(data[at + 1:at + 3], "big") or channel
        at = end
    return at, channel
