"""toxiproxy between every pair: a bad network that can be made and mended."""

import json
import shutil
import urllib.error
import urllib.request

from process import ROOT, Process, ServerError, free_port


def _binary():
    found = ROOT / "build/tools/bin/toxiproxy-server"
    path = str(found) if found.exists() else shutil.which("toxiproxy-server")
    if not path:
        raise ServerError("there is no toxiproxy-server; ./dev setup build test torture brings one")
    return path


class Proxies:
    """One toxiproxy; each proxy is a loopback port that leads to another one."""

    def __init__(self, directory):
        self.port = free_port()
        self.ports = {}  # {name: port}
        self.server = Process("toxiproxy", [_binary(), "-host", "127.0.0.1", "-port", self.port],
                              directory / "toxiproxy.log", {"LOG_LEVEL": "error"})

    def start(self):
        self.server.spawn()
        self.server.wait_for(self._answers, 20, "its API")

    def stop(self):
        self.server.stop()

    def _answers(self):
        try:
            return self._call("GET", "/version") is not None
        except OSError:
            return False

    def _call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, method=method,
                                         headers={"User-Agent": "torture"})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise ServerError(f"toxiproxy {method} {path}: {error.code} "
                                  f"{error.read().decode(errors='replace')}") from None

    def reserve(self, name):
        """The port of a proxy that add() will make."""
        return self.ports.setdefault(name, free_port())

    def add(self, name, target_port):
        """Makes the proxy; gives its port."""
        port = self.reserve(name)
        self._call("POST", "/proxies", {"name": name, "listen": f"127.0.0.1:{port}",
                                        "upstream": f"127.0.0.1:{target_port}", "enabled": True})
        return port

    def cut(self, name):
        """Connections there are end, new ones are refused."""
        self._call("POST", f"/proxies/{name}", {"enabled": False})

    def toxic(self, name, kind, stream="downstream", **attributes):
        """downstream is from the server to the client."""
        self._call("POST", f"/proxies/{name}/toxics", {
            "name": f"{kind}-{stream}", "type": kind, "stream": stream, "toxicity": 1.0,
            "attributes": attributes})

    def mend(self):
        """No proxy does harm any more."""
        self._call("POST", "/reset", {})
