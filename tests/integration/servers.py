"""A real RabbitMQ broker and a real mongod, each in a folder of its own on free loopback ports.

    rabbit = Rabbit(folder); rabbit.start(); ...; rabbit.stop()

Sim and Sluice, the project's own programs, are here too, so that one import serves all.
"""

import contextlib
import logging
import os
import pathlib
import secrets
import shutil
import ssl
import subprocess
import urllib.parse

import pika
import pika.exceptions
import pymongo
import pymongo.errors
from pika.adapters.utils.connection_workflow import AMQPConnectorException

from certificates import Certificate
from process import (ROOT, Process, ServerError, build_dir, free_port, processes_of, tail,
                     wait_until)
from programs import Sim, Sluice

__all__ = ["ROOT", "Mongo", "Process", "Rabbit", "ServerError", "Sim", "Sluice", "Tls", "build_dir",
           "free_port", "processes_of", "tail", "wait_until"]

logging.getLogger("pika").setLevel(logging.CRITICAL)  # its exceptions say it all, and once

RABBIT_BIN = pathlib.Path("/usr/lib/rabbitmq/bin")  # those in /usr/sbin insist on user rabbitmq


class Tls:
    """What a server needs for TLS: whom it trusts, and the certificate that it shows, which may change."""

    def __init__(self, directory, ca_file, certificate):
        directory.mkdir(parents=True, exist_ok=True)
        self.ca_file = ca_file
        self.shown = Certificate(*(directory / f"shown.{kind}" for kind in ("crt", "key", "pem")))
        self.show(certificate)

    def show(self, certificate):
        """For those who read the files after this."""
        for source, target in zip(certificate, self.shown):
            shutil.copy(source, target)


class Rabbit:
    """One broker node with its own data, cookie and epmd; every listener is on loopback.

    consumer_timeout_ms closes channels that hold deliveries longer (checked four times as often).
    memory_high_watermark is the broker's own notation of an absolute size, like "200MB".
    tls, a servers.Tls, adds a listener (tls_url) where a client's certificate is a login, too.
    """

    def __init__(self, directory, consumer_timeout_ms=None, memory_high_watermark=None, tls=None,
                 max_message_size=None):
        self.dir = pathlib.Path(directory).resolve()
        self.dir.mkdir(parents=True, exist_ok=True)
        self.port, self.dist_port, self.epmd_port = free_port(), free_port(), free_port()
        self.consumer_timeout_ms = consumer_timeout_ms
        self.max_message_size = max_message_size
        self.memory_high_watermark = memory_high_watermark or "1GB"
        self.tls, self.tls_port = tls, free_port() if tls else None
        self.env = self._environment()
        self.epmd = Process("epmd", ["epmd", "-address", "127.0.0.1", "-port", self.epmd_port],
                            self.dir / "epmd.log", self.env)
        # The script's own shell would stay between us and the broker; with RABBITMQ_ALLOW_INPUT
        # it gives way to the Erlang machine, whose pid is then the child's.
        self.server = Process("RabbitMQ", [
            RABBIT_BIN / "rabbitmq-server", "-noinput", "-start_epmd", "false",
            "-kernel", "inet_dist_use_interface", "{127,0,0,1}"], self.dir / "rabbit.log", self.env)

    @property
    def url(self):
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def tls_url(self, login=""):
        """login is "user:password@", or empty for that of the certificate."""
        return f"amqps://{login}127.0.0.1:{self.tls_port}/"

    @property
    def pid(self):
        return self.server.pid

    def _environment(self):
        return {
            "HOME": self.dir / "home",  # the Erlang cookie lies here
            "RABBITMQ_NODENAME": f"sluice{self.port}@localhost",
            "RABBITMQ_MNESIA_BASE": self.dir / "mnesia",
            "RABBITMQ_LOG_BASE": self.dir / "log",
            "RABBITMQ_CONFIG_FILE": self.dir / "rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": self.dir / "advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": self.dir / "enabled_plugins",
            "RABBITMQ_CONF_ENV_FILE": self.dir / "no-env-file",
            "RABBITMQ_DIST_PORT": self.dist_port,
            "RABBITMQ_ALLOW_INPUT": 1,
            "RABBITMQ_CTL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_PORT": self.epmd_port,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "LANG": "C.UTF-8",
        }

    def _write_files(self):
        for name in ("home", "mnesia", "log"):
            (self.dir / name).mkdir(exist_ok=True)
        cookie = self.dir / "home/.erlang.cookie"
        if not cookie.exists():
            cookie.write_text(secrets.token_hex(16))
            cookie.chmod(0o400)
        settings = [
            f"listeners.tcp.1 = 127.0.0.1:{self.port}",
            "log.console = false",
            "log.file.level = warning",
            f"vm_memory_high_watermark.absolute = {self.memory_high_watermark}",
            "disk_free_limit.absolute = 50MB",
            "raft.wal_max_size_bytes = 64000000",  # else quorum queues keep 512 MB in memory
        ]
        rabbit = ""
        if self.max_message_size is not None:
            settings.append(f"max_message_size = {self.max_message_size}")
        if self.consumer_timeout_ms is not None:
            settings.append(f"consumer_timeout = {self.consumer_timeout_ms}")
            rabbit = f"{{channel_tick_interval, {max(self.consumer_timeout_ms // 4, 250)}}}"
        if self.tls:
            settings += [
                f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}",
                f"ssl_options.cacertfile = {self.tls.ca_file}",
                f"ssl_options.certfile = {self.tls.shown.certificate}",
                f"ssl_options.keyfile = {self.tls.shown.key}",
                "ssl_options.verify = verify_peer",
                "ssl_options.fail_if_no_peer_cert = false",
                "auth_mechanisms.1 = PLAIN",
                "auth_mechanisms.2 = EXTERNAL",
                "ssl_cert_login_from = common_name",
            ]
        (self.dir / "rabbitmq.conf").write_text("\n".join(settings) + "\n")
        (self.dir / "advanced.config").write_text(f"[{{rabbit, [{rabbit}]}}].\n")
        plugins = "rabbitmq_auth_mechanism_ssl" if self.tls else ""
        (self.dir / "enabled_plugins").write_text(f"[{plugins}].\n")

    def launch(self):
        """Starts the node without waiting, so that other servers can start meanwhile."""
        if not RABBIT_BIN.is_dir():
            raise ServerError(f"{RABBIT_BIN} is missing; ./dev setup installs RabbitMQ")
        self._write_files()
        if not self.epmd.running():
            self.epmd.spawn()
        self.server.spawn()

    def wait_ready(self, timeout_s=90):
        self.server.wait_for(self._answers, timeout_s, "an AMQP connection")

    def start(self, timeout_s=90):
        self.launch()
        self.wait_ready(timeout_s)

    def _answers(self):
        try:
            self.connect().close()
            return True
        except pika.exceptions.AMQPError:
            return False

    def connect(self):
        """A pika BlockingConnection; the caller closes it. AMQPConnectionError when that fails."""
        parameters = pika.URLParameters(self.url)
        parameters.socket_timeout = parameters.stack_timeout = 5
        parameters.blocked_connection_timeout = 60
        parameters.heartbeat = 0  # nobody sends one while a test waits for something else
        try:
            return pika.BlockingConnection(parameters)
        except (AMQPConnectorException, OSError) as error:  # pika lets some through as they are
            raise pika.exceptions.AMQPConnectionError(repr(error)) from error

    @contextlib.contextmanager
    def publishing(self):
        """A channel of its own connection. What basic_publish returned from is RabbitMQ's: of a channel
        without confirms the last ones are lost, here and there, when it is closed."""
        with self.connect() as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            yield channel

    def settle(self, *queues, timeout_s=20):
        """Waits until quorum queues declared a moment ago would survive kill().

        RabbitMQ 3.10 writes the names of its Raft servers to disk about a second late. A broker
        killed before that knows the queue afterwards, but can never serve it: basic.consume ends
        in INTERNAL_ERROR after 65 s, and declaring it again does not help.
        """
        wait_until(lambda: all(self.knows(queue) for queue in queues), timeout_s,
                   f"queues {', '.join(queues)} being settled")

    def knows(self, queue):
        """Whether the name of the queue's Raft server is on disk."""
        node = self.env["RABBITMQ_NODENAME"]
        names = self.dir / "mnesia" / node / "quorum" / node / "names.dets"
        return f"%2F_{queue}".encode() in names.read_bytes()

    def ctl(self, *args, timeout_s=60):
        """Runs rabbitmqctl and gives its stdout, without the talk around it."""
        done = subprocess.run([RABBIT_BIN / "rabbitmqctl", "--quiet", *map(str, args)],
                              env={**os.environ, **{k: str(v) for k, v in self.env.items()}},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=timeout_s)
        if done.returncode != 0:
            raise ServerError(f"rabbitmqctl {' '.join(map(str, args))}: {done.stderr or done.stdout}")
        return done.stdout

    def version(self):
        """(4, 0, 5)"""
        said = self.ctl("eval", "rabbit_misc:version().").strip().strip('"')
        return tuple(int(part) for part in said.split(".")[:3])

    def show(self, certificate):
        """Shows another certificate to whom connects from now on."""
        self.tls.show(certificate)
        self.ctl("eval", "ssl:clear_pem_cache().")
        wanted = ssl.PEM_cert_to_DER_cert(certificate.certificate.read_text())
        wait_until(lambda: ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(
            ("127.0.0.1", self.tls_port))) == wanted, 20, "RabbitMQ showing the certificate")

    def stop(self):
        """In order: queues are closed and kept. Leaves neither broker nor epmd running."""
        try:
            self.server.stop(timeout_s=30)
        finally:
            self.epmd.stop()

    def kill(self):
        """As a power cut: kill -9. The next start() finds what was confirmed (but see settle)."""
        self.server.kill()
        self.epmd.kill()

    def restart(self):
        self.stop()
        self.start()

    def sigstop(self):
        self.server.sigstop()

    def sigcont(self):
        self.server.sigcont()

    pause, resume = sigstop, sigcont

    def log_tail(self, lines=30):
        logs = sorted((self.dir / "log").glob("*.log"))
        return "\n".join([self.server.log_tail(lines), *(tail(path, lines) for path in logs)])


class Mongo:
    """One mongod as replica set rs0 of one member, or alone with replica_set None until it is joined to
    one. cache_gb is WiredTiger's cache.

    With tls, a servers.Tls, it takes nothing but TLS and asks for a login: root, password "root".
    """

    def __init__(self, directory, cache_gb=0.25, tls=None, replica_set="rs0"):
        self.dir = pathlib.Path(directory).resolve()
        (self.dir / "data").mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.tls = tls
        self.server = Process("mongod", [
            self._binary(), "--bind_ip", "127.0.0.1", "--port", self.port,
            "--dbpath", self.dir / "data", "--nounixsocket", "--oplogSize", 256,
            "--wiredTigerCacheSizeGB", cache_gb, "--quiet",
            "--setParameter", "diagnosticDataCollectionEnabled=false",
            "--setParameter", "enableTestCommands=1", *self._tls_args()],
            self.dir / "mongod.log")
        if replica_set:
            self.join(replica_set)

    _has_root = False

    @staticmethod
    def _binary():
        found = ROOT / "build/tools/bin/mongod"
        path = str(found) if found.exists() else shutil.which("mongod")
        if not path:
            raise ServerError("there is no mongod; ./dev setup brings one")
        return path

    def _tls_args(self):
        if not self.tls:
            return []
        key = self.dir / "keyfile"  # members of a replica set with logins need one
        key.touch(0o600)
        key.write_text(secrets.token_hex(32))
        return ["--tlsMode", "requireTLS", "--tlsCAFile", self.tls.ca_file,
                "--tlsCertificateKeyFile", self.tls.shown.pem,
                "--tlsAllowConnectionsWithoutCertificates", "--keyFile", key]

    def join(self, replica_set):
        """From its next start on; wait_ready() initiates the set."""
        self.server.args += ["--replSet", replica_set]

    @property
    def url(self):
        return self.tls_url("root:root@") if self.tls else \
            f"mongodb://127.0.0.1:{self.port}/?replicaSet=rs0"

    def tls_url(self, login="", **options):
        """login is "user:password@"; options come behind those of TLS."""
        options = {"replicaSet": "rs0", "tls": "true", "tlsCAFile": self.tls.ca_file, **options}
        return f"mongodb://{login}127.0.0.1:{self.port}/?{urllib.parse.urlencode(options)}"

    @property
    def pid(self):
        return self.server.pid

    def connect(self, **options):
        """A pymongo client of the replica set; the caller closes it."""
        return pymongo.MongoClient(self.url, serverSelectionTimeoutMS=10000, **options)

    def launch(self):
        """Starts mongod without waiting, so that other servers can start meanwhile."""
        self.server.spawn()

    def wait_ready(self, timeout_s=60):
        options = {"tls": True, "tlsCAFile": str(self.tls.ca_file)} if self.tls else {}
        with pymongo.MongoClient("127.0.0.1", self.port, directConnection=True,
                                 serverSelectionTimeoutMS=500, **options) as client:
            self.server.wait_for(lambda: self._is_primary(client), timeout_s, "a primary")
            if self.tls and not self._has_root:  # the first user may be made without a login
                client.admin.command("createUser", "root", pwd="root", roles=["root"])
                self._has_root = True

    def start(self, timeout_s=60):
        self.launch()
        self.wait_ready(timeout_s)

    def _is_primary(self, client):
        """Initiates the set on the way when this data folder never was part of one."""
        try:
            hello = client.admin.command("hello")
            if hello.get("isreplicaset"):
                member = {"_id": 0, "host": f"127.0.0.1:{self.port}"}
                client.admin.command("replSetInitiate", {"_id": "rs0", "members": [member]})
            return hello.get("isWritablePrimary", False)
        except pymongo.errors.PyMongoError:
            return False

    def show(self, certificate):
        """Shows another certificate to whom connects from now on."""
        self.tls.show(certificate)
        with pymongo.MongoClient(self.url, tlsAllowInvalidCertificates=True) as client:
            client.admin.command("rotateCertificates", 1)

    def stop(self):
        self.server.stop(timeout_s=60)

    def kill(self):
        """As a power cut: kill -9. The journal brings back what was acknowledged."""
        self.server.kill()

    def restart(self):
        self.stop()
        self.start()

    def pause(self):
        """SIGSTOP: connections stay open and nothing answers."""
        self.server.sigstop()

    def resume(self):
        self.server.sigcont()

    sigstop, sigcont = pause, resume

    def log_tail(self, lines=30):
        return self.server.log_tail(lines)
