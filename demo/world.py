"""Everything that the demo starts, in one temporary folder; and the end of it, come what may."""

import os
import pathlib
import secrets
import shutil
import signal
import string
import tempfile

import data
from process import build_dir, free_port, processes_of, wait_until
from servers import Mongo, Rabbit, Sim, Sluice

TEMPLATE = pathlib.Path(__file__).with_name("sluice.jsonc")
DATABASE, STATE_DATABASE = "d365", "sluice"
MARK = "SLUICE_DEMO"


class _Template(string.Template):
    delimiter = "@"  # "${...}" is sluice's own


class _Example(Sluice):
    """sluice with the configuration that the user is shown, comments and all."""

    def __init__(self, directory, text, listen):
        self.text = text
        super().__init__(directory, config={"ops": {"listen": listen}})

    def write_config(self):
        self.config_path.write_text(self.text)


class World:
    """RabbitMQ, mongod, the simulator and sluice. close() leaves no process and no folder."""

    def __init__(self, say):
        self.say = say
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="sluice-demo-"))
        os.environ[MARK] = str(self.dir)  # every process started from here on carries it
        self.rabbit = self.mongo = self.sim = self.sluice = self.client = None
        self.hook, self.hook_secret = f"127.0.0.1:{free_port()}", secrets.token_hex(16)

    def start_servers(self):
        self.rabbit = Rabbit(self.dir / "rabbitmq")
        self.mongo = Mongo(self.dir / "mongod")
        self.sim = Sim(self.dir / "d365", seed=2026)
        self.rabbit.launch()
        self.mongo.launch()
        self.sim.start()
        self.say("Dynamics 365 (simulated)", self.sim.url)
        self.mongo.wait_ready()
        self.say("MongoDB, a replica set", self.mongo.url)
        self.rabbit.wait_ready()
        self.say("RabbitMQ", self.rabbit.url)
        self.client = self.mongo.connect()

    def start_sluice(self, every_s):
        listen = f"127.0.0.1:{free_port()}"
        self.sluice = _Example(self.dir, self._configuration(listen, every_s), listen)
        self.sluice.start(ready_timeout_s=60)
        self.say("sluice", self.sluice.ops_url)

    def register_webhook(self):
        """Dynamics 365 rings sluice from now on."""
        data.register_webhook(self.sim, f"http://{self.hook}/webhook/hook", self.hook_secret)

    def _secret_file(self, name, secret):
        path = self.dir / name
        path.touch(mode=0o600)
        path.write_text(secret)
        return path

    def _configuration(self, listen, every_s):
        return _Template(TEMPLATE.read_text()).substitute(
            broker=self.rabbit.url, mongo=self.mongo.url, d365=self.sim.url,
            tenant=self.sim.tenant, client_id=self.sim.client_id,
            secret_file=self._secret_file("secret", self.sim.client_secret),
            hook=self.hook, hook_secret_file=self._secret_file("hook-secret", self.hook_secret),
            every=f"{every_s}s", ops=listen)

    @property
    def documents(self):
        return self.client[DATABASE]

    @property
    def state(self):
        return self.client[STATE_DATABASE]

    def failing(self):
        """What has ended though it should run; None when all is well."""
        for part in (self.sluice, self.sim, self.mongo, self.rabbit):
            process = getattr(part, "server", part)
            if process and process.pid and not process.running():
                return f"{process.name} ended by itself, with status {process.child.returncode}"
        return None

    def keep_logs(self):
        """Copies logs and configurations to where they outlive the demo. Gives the folder."""
        kept = build_dir().parent / "demo-failed"
        shutil.rmtree(kept, ignore_errors=True)
        for path in self.dir.rglob("*"):
            if path.suffix in (".log", ".jsonc", ".conf") and path.is_file():
                target = kept / path.relative_to(self.dir)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
        return kept

    def close(self):
        """Everything here is thrown away, so the servers are killed rather than asked."""
        if self.client:
            self.client.close()
        for part in (self.sluice, self.sim, self.rabbit, self.mongo):
            if part:
                part.kill()
        wait_until(self._sweep, 10, f"the end of every process of {self.dir}")
        shutil.rmtree(self.dir, ignore_errors=True)

    def _sweep(self):
        """True when nobody is left. Goes by the mark, not by the folder alone: a user's editor may
        have the configuration open."""
        left = processes_of(f"{MARK}={self.dir}")
        for pid, _ in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return not left
