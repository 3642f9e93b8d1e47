"""Child processes that never outlive the run, and the small things every server needs.

Nothing here knows pytest: tests, demo and bench use it alike.
"""

import os
import pathlib
import random
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parents[2]

# The kernel ends a child when the *thread* that started it ends (PR_SET_PDEATHSIG), so one thread
# that lives as long as the interpreter starts them all.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="starter")

_given_ports = set()
# Those who run side by side must not take a port from each other between choosing and listening.
_SHARES = 8
_SHARE = int(os.environ.get("SLUICE_PORT_SHARE")
             or os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % _SHARES


class ServerError(Exception):
    """A server did not start, stop or answer; the message holds the end of its log."""


def build_dir():
    """The build folder under test: SLUICE_BUILD, else build/debug-asan."""
    return pathlib.Path(os.environ.get("SLUICE_BUILD") or ROOT / "build/debug-asan").resolve()


def free_port():
    """A loopback port nobody listens on, never given twice by this process.

    Below the ephemeral range, so that no outgoing connection takes it while a server restarts.
    """
    while True:
        port = random.randrange(10240, 32000)
        if port in _given_ports or port % _SHARES != _SHARE:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given_ports.add(port)
        return port


PATIENCE = 2  # machines are shared; only what never comes is waited for so long


def wait_until(condition, timeout_s, what, every_s=0.05):
    """Polls condition until it gives something true, and returns that; TimeoutError when it has not come
    in twice timeout_s, which is ample on a machine of one's own."""
    timeout_s *= PATIENCE
    deadline = time.monotonic() + timeout_s
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_s} s")
        time.sleep(every_s)


def tail(path, lines=30):
    """The last lines of a text file, or a note that it is absent."""
    try:
        text = pathlib.Path(path).read_text(errors="replace")
    except OSError as error:
        return f"({error})"
    return "\n".join(text.splitlines()[-lines:])


def processes_of(directory):
    """[(pid, command line)] of the processes whose environment or arguments name directory."""
    found, needle = [], os.fsencode(str(directory))
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            if needle in command or needle in (entry / "environ").read_bytes():
                found.append((int(entry.name), command.replace(b"\0", b" ").decode(errors="replace")))
        except OSError:
            pass  # ended meanwhile, or another user's
    return found


class Process:
    """One child process in a process group of its own.

    name labels messages, log_path receives stdout and stderr (appended, so a restart keeps the
    earlier lines). The kernel kills the child when this interpreter ends, however it ends.
    """

    def __init__(self, name, args, log_path, env=None):
        self.name = name
        self.args = [str(arg) for arg in args]
        self.log_path = pathlib.Path(log_path)
        self.env = {**os.environ, **{key: str(value) for key, value in (env or {}).items()}}
        self.child = None

    def spawn(self):
        if self.running():
            raise ServerError(f"{self.name} runs already")
        with open(self.log_path, "ab") as log:
            self.child = _starter.submit(
                subprocess.Popen, ["setpriv", "--pdeathsig", "KILL", "--", *self.args],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env=self.env, process_group=0).result()

    @property
    def pid(self):
        return self.child.pid if self.child else None

    def running(self):
        return self.child is not None and self.child.poll() is None

    def signal(self, number):
        if self.running():
            self.child.send_signal(number)

    def wait(self, timeout_s):
        """Waits for the end and gives the exit status (negative: the signal); None when never started."""
        return self.child.wait(timeout_s) if self.child else None

    def stop(self, timeout_s=15):
        """SIGTERM, then SIGKILL after timeout_s; gives the exit status. Fine when it does not run."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            return self.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerError(f"{self.name} did not end within {timeout_s} s of SIGTERM; killed\n"
                              f"{self.log_tail()}") from None

    def kill(self):
        """SIGKILL to the whole group, and waits until the process is gone."""
        if self.running():
            os.killpg(self.child.pid, signal.SIGKILL)
        return self.wait(10)

    def sigstop(self):
        """Stops it: every thread of it, each of which notices the signal in its own time."""
        self.signal(signal.SIGSTOP)
        if self.running():
            wait_until(lambda: not self.running() or self._states() <= {"T"}, 5, f"{self.name} standing still",
                       0.001)

    def _states(self):
        """The states of its threads, as the letters of /proc."""
        states = set()
        for stat in pathlib.Path(f"/proc/{self.pid}/task").glob("*/stat"):
            try:
                states.add(stat.read_text().rsplit(")", 1)[1].split()[0])
            except OSError:
                pass  # it has just ended
        return states

    def sigcont(self):
        self.signal(signal.SIGCONT)

    def log_tail(self, lines=30):
        return tail(self.log_path, lines)

    def wait_for(self, condition, timeout_s, what):
        """Like wait_until, but fails at once, with the log's end, when the process has ended."""
        def alive_and_met():
            if not self.running():
                raise ServerError(f"{self.name} ended with status {self.child.returncode} while "
                                  f"waiting for: {what}\n{self.log_tail()}")
            return condition()
        try:
            return wait_until(alive_and_met, timeout_s, f"{self.name}: {what}")
        except TimeoutError as error:
            raise ServerError(f"{error}\n{self.log_tail()}") from None

    def _status_mib(self, field):
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        for line in text.splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024
        raise ServerError(f"{self.name}: /proc/{self.pid}/status has no {field}; has it ended?")

    def rss_mib(self):
        """Resident memory now, MiB."""
        return self._status_mib("VmRSS")

    def peak_rss_mib(self):
        """The greatest resident memory since the start, MiB."""
        return self._status_mib("VmHWM")

    def cpu_s(self):
        """User and system CPU seconds used so far, by the kernel's count."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
