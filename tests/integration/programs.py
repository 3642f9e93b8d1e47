"""The project's own programs as child processes: sluice-sim and sluice."""

import json
import os
import pathlib
import re
import signal
import subprocess
import urllib.error
import urllib.parse
import urllib.request

from metrics import Metrics
from process import ROOT, Process, ServerError, build_dir, free_port

# What ends a run of the sanitizers; halt_on_error makes an undefined behaviour one of them.
SANITIZER_ENV = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99:detect_stack_use_after_return=0",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}
SANITIZER_STATUS = 99
_REPORT = re.compile(r"(ERROR: (Address|Leak)Sanitizer|: runtime error: )")


def _environment(env):
    result = dict(SANITIZER_ENV)
    suppressions = ROOT / "tests/lsan.supp"
    if suppressions.exists():
        result["LSAN_OPTIONS"] = f"suppressions={suppressions}:print_suppressions=0"
    return {**result, **(env or {})}


def _request(url, body=None, timeout_s=30):
    """(status, text) of a GET, or of a POST of body as JSON; any status is an answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"} if data else {})
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(errors="replace")


class _Program(Process):
    """A program of this build: where it lies, and what its sanitizers said."""

    def __init__(self, name, program, binary, args, log_path, env):
        path = pathlib.Path(binary) if binary else build_dir() / "src" / program
        if not path.is_file():
            raise ServerError(f"{path} is not built; ./dev build makes it")
        self.binary = path
        super().__init__(name, [path, *args], log_path, _environment(env))

    def sanitizer_report(self):
        """The log from its first sanitizer message on, or an empty string."""
        if not self.log_path.exists():
            return ""
        text = self.log_path.read_text(errors="replace")
        match = _REPORT.search(text)
        return text[max(text.rfind("\n", 0, match.start()), 0):][:8000] if match else ""


    def denied(self):
        """What the sandbox said about system calls that it does not allow, or an empty string."""
        text = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        return "\n".join(line for line in text.splitlines() if "the sandbox denied" in line)


class Sim(_Program):
    """The simulated Dynamics 365. It keeps its port over a restart, but not its records."""

    tenant = "contoso.com"
    client_id = "5f1c8bd0-0000-4000-8000-000000000001"
    client_secret = "the-simulator-takes-this"

    def __init__(self, directory, binary=None, seed=1, args=(), env=None):
        self.dir = pathlib.Path(directory).resolve()
        self.dir.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        super().__init__("sluice-sim", "sluice-sim", binary, [
            "--listen", f"127.0.0.1:{self.port}", "--seed", seed, "--dir", self.dir / "packages",
            "--port-file", self.dir / "port", "--tenant", self.tenant,
            "--client-id", self.client_id, "--client-secret", self.client_secret, *args],
            self.dir / "sim.log", env)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def auth(self):
        """The "auth" of a source in sluice's configuration that this simulator accepts."""
        return {"type": "client_secret", "authority": self.url, "tenant": self.tenant,
                "client_id": self.client_id, "client_secret": self.client_secret}

    def start(self, timeout_s=20):
        (self.dir / "packages").mkdir(exist_ok=True)
        (self.dir / "port").unlink(missing_ok=True)
        self.spawn()
        self.wait_for(lambda: (self.dir / "port").exists()
                      and (self.dir / "port").read_text().strip(), timeout_s, "its port file")

    def restart(self):
        self.stop()
        self.start()

    def _control(self, path, body=None):
        status, text = _request(f"{self.url}/_sim/{path.removeprefix('/_sim/').lstrip('/')}", body)
        if status >= 300:
            raise ServerError(f"sluice-sim answered {path} with {status}: {text}")
        return json.loads(text) if text.strip() else None

    def post(self, path, body=None):
        """A control call, like post("records", {...}); gives the parsed answer."""
        return self._control(path, body or {})

    def get(self, path):
        return self._control(path)

    def dataverse(self, call, **body):
        """A control call of the simulated Dataverse, like dataverse("change", table="account", count=3)."""
        return self.post(f"dv/{call}", body)

    def lines(self, path):
        """Yields the answer to a control call that gives one JSON object a line, as text."""
        with urllib.request.urlopen(f"{self.url}/_sim/{path}", timeout=120) as lines:
            for line in lines:
                if line.strip():
                    yield line

    def truth(self, entity, company, **options):
        """Yields what the simulator says every record is, one dict a record (key, rev, fields)."""
        query = urllib.parse.urlencode({"entity": entity, "company": company, **options})
        for line in self.lines(f"truth?{query}"):
            yield json.loads(line)


class Sluice(_Program):
    """One `sluice run`. config is written as DIR/NAME.jsonc; a missing "ops" gets a free port.

    Several with different names may share a directory. The log (JSON lines) is DIR/NAME.log and
    goes on over restarts.
    """

    def __init__(self, directory, binary=None, config=None, name="sluice", env=None):
        self.dir = pathlib.Path(directory).resolve()
        self.dir.mkdir(parents=True, exist_ok=True)
        self.config = json.loads(json.dumps(config or {}))  # ours alone, whatever the caller shares
        self.config.setdefault("ops", {}).setdefault("listen", f"127.0.0.1:{free_port()}")
        self.config_path = self.dir / f"{name}.jsonc"
        super().__init__(name, "sluice", binary, ["run", "-c", self.config_path],
                         self.dir / f"{name}.log", env)
        self.write_config()

    @property
    def ops_url(self):
        return f"http://{self.config['ops']['listen']}"

    def write_config(self):
        self.config_path.write_text(json.dumps(self.config, indent=2, ensure_ascii=False) + "\n")
        self.config_path.chmod(0o600)  # secrets of the tests are written there

    def start(self, ready_timeout_s=None):
        """Starts it, and with ready_timeout_s waits until /readyz says 200."""
        self.spawn()
        if ready_timeout_s is not None:
            self.wait_ready(ready_timeout_s)

    def wait_ready(self, timeout_s=30):
        self.wait_for(self.ready, timeout_s, "/readyz")

    def ready(self):
        try:
            return self.ops("/readyz")[0] == 200
        except OSError:
            return False

    def ops(self, path, body=None, timeout_s=10):
        """(status, text) of a GET (with body: a POST) on the ops port; OSError while it is closed."""
        return _request(self.ops_url + path, body, timeout_s)

    def metrics(self):
        status, text = self.ops("/metrics")
        if status != 200:
            raise ServerError(f"{self.name} answered /metrics with {status}: {text}")
        return Metrics(text)

    def command(self, *words, timeout_s=60):
        """Another command of sluice with this one's configuration, to its end: the finished process, with
        its words as stdout and stderr."""
        return subprocess.run([self.binary, *map(str, words), "-c", self.config_path], text=True,
                              env={**os.environ, **SANITIZER_ENV}, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=timeout_s)

    def reload(self):
        """SIGHUP, after write_config()."""
        self.signal(signal.SIGHUP)

    def restart(self, ready_timeout_s=None):
        status = self.stop()
        self.start(ready_timeout_s)
        return status

    def log_lines(self):
        """The log so far as dicts, oldest first; lines that are not JSON are left out."""
        lines = []
        if not self.log_path.exists():
            return lines
        for text in self.log_path.read_text(errors="replace").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue  # a sanitizer's report, or a line being written
            if isinstance(line, dict):
                lines.append(line)
        return lines
