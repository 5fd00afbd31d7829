"""One real Kafka broker in KRaft mode, closed: SCRAM users, topics and rights come from the topic table alone."""

import contextlib
import logging
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.topics import SERVICES, TOPICS, Topic
from local_stack.artifacts import java, kafka_jars
from local_stack.children import run_to_end, spawn
from local_stack.errors import StackError
from local_stack.private_files import generated_secret, private_folder, write_private

ADMIN = "admin"
NODE_ID = 1
START_SECONDS = 120.0
JAVA_OPTIONS = ["-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
JAVA_OPTIONS += ["-Djava.awt.headless=true", "--sun-misc-unsafe-memory-access=allow"]
LOGGING_OPTIONS = [
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
    "-Dorg.slf4j.simpleLogger.showThreadName=false",
    # the configuration that it prints at start names every setting
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaConfig=error",
]
LARGEST_MESSAGE = 8 * 1024 * 1024  # a frozen snapshot carries all tables of a situation

CONFIGURATION = """\
node.id={node}
process.roles=broker,controller
listeners=SASL_PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}{tls_listeners}
listener.security.protocol.map=SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT{tls_protocols}
controller.listener.names=CONTROLLER
controller.quorum.voters={node}@127.0.0.1:{controller_port}
inter.broker.listener.name=SASL_PLAINTEXT
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
sasl.mechanism.controller.protocol=PLAIN
listener.name.sasl_plaintext.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required username="admin" password="{admin}";
listener.name.controller.sasl.enabled.mechanisms=PLAIN
listener.name.controller.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required username="admin" password="{controller}"\
 user_admin="{controller}";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:admin
allow.everyone.if.no.acl.found=false
auto.create.topics.enable=false
log.dirs={data}
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
message.max.bytes={largest}
log.segment.bytes=67108864
log.index.size.max.bytes=524288
log.cleaner.dedupe.buffer.size=8388608
log.cleaner.threads=1
num.network.threads=2
num.io.threads=4
num.recovery.threads.per.data.dir=2
background.threads=2
"""
TLS_CONFIGURATION = """\
listener.name.{name}.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.{name}.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.{name}.ssl.enabled.protocols=TLSv1.2,TLSv1.3
listener.name.{name}.ssl.keystore.type=PEM
listener.name.{name}.ssl.keystore.certificate.chain={certificate}
listener.name.{name}.ssl.keystore.key={key}
"""


@dataclass(frozen=True)
class TlsListener:
    """One more port of the broker, with TLS and the same log-in: a certificate chain and its unencrypted key (PKCS #8), both PEM."""

    name: str
    """Letters alone; the broker's settings speak of the port by it."""
    port: int
    certificate: str
    key: str


@dataclass(frozen=True)
class KafkaUser:
    """How a client of the broker logs in (SASL/SCRAM-SHA-512 over loopback)."""

    bootstrap: str
    username: str
    password: str

    def client_settings(self) -> dict[str, Any]:
        """Return the settings that kafka-python and aiokafka share."""
        return {
            "bootstrap_servers": self.bootstrap,
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": self.username,
            "sasl_plain_password": self.password,
        }


class KafkaServer:
    """The broker below one folder: `prepare`, then `start`/`stop` or `command()`; `provision` after every start."""

    def __init__(
        self,
        home: Path,
        *,
        secrets: Path,
        log: Path,
        cache: Path,
        port: int,
        controller_port: int,
        tls: Sequence[TlsListener] = (),
    ) -> None:
        """Name the folders and the two loopback ports; nothing is fetched or started."""
        self._home = home.absolute()
        self._secrets = secrets.absolute()
        self._log = log
        self._cache = cache
        self._port = port
        self._controller_port = controller_port
        self._tls = tuple(tls)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        """Return the folder of the broker's log directories."""
        return self._home / "data"

    @property
    def bootstrap(self) -> str:
        """Return the address for clients."""
        return f"127.0.0.1:{self._port}"

    @property
    def settings_file(self) -> Path:
        """Return the broker's private settings; they lie outside `data`, which may be wiped."""
        return self._secrets / "kafka" / "server.properties"

    def user(self, name: str) -> KafkaUser:
        """Return the log-in of a user: a service or `admin`."""
        return KafkaUser(self.bootstrap, name, generated_secret(self._secrets / f"kafka-{name}"))

    def intact(self) -> bool:
        """Tell whether the data folder is whole; a wiped one must be formatted again."""
        return (self.data / "meta.properties").exists() and (self.data / "bootstrap.checkpoint").exists()

    def prepare(self) -> None:
        """Fetch the jars, write the settings, and format the data folder when it is new or was wiped."""
        self._jars()
        private_folder(self._home)
        write_private(self.settings_file, self._configuration())
        if self.intact():
            return
        shutil.rmtree(self.data, ignore_errors=True)
        private_folder(self.data)
        self._format()

    def command(self) -> list[str]:
        """Return the command line of the broker; no secret is in it."""
        logging_options = [*LOGGING_OPTIONS, f"-Djava.io.tmpdir={private_folder(self._home / 'tmp')}"]
        options = [*JAVA_OPTIONS, *logging_options, "-cp", f"{self._jars()}/*"]
        return [java(), *options, "kafka.Kafka", str(self.settings_file)]

    def environment(self) -> dict[str, str]:
        """Return the environment of the broker: only what it needs."""
        return {"LC_ALL": "C.UTF-8", "PATH": os.environ.get("PATH", os.defpath), "HOME": str(self._home)}

    def start(self) -> None:
        """Start the broker as a child of this process, wait until it answers, and provision it."""
        self.prepare()
        self._process = spawn(self.command(), log=self._log, env=self.environment(), cwd=self._home)
        try:
            self.wait_until_listening(lambda: self._process is not None and self._process.poll() is None)
            self.provision()
        except BaseException:
            self.stop()
            raise

    def wait_until_listening(self, alive: Callable[[], bool]) -> None:
        """Wait until the broker takes connections. Raises StackError when it ends or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while not self.listening():
            if not alive() or time.monotonic() > deadline:
                raise StackError("Kafka did not start.", remedy=f"Its log {self._log} says why.")
            time.sleep(0.05)

    def listening(self) -> bool:
        """Tell whether the client port takes connections (says nothing about rights or topics)."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1):
            return True
        return False

    def stop(self) -> None:
        """Stop the broker that `start` started, and wait for it."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def provision(self, topics: Iterable[Topic] = TOPICS, services: Iterable[str] = SERVICES) -> None:
        """Bring users, rights and topics up to the topic table; doing it twice changes nothing."""
        from kafka import KafkaAdminClient
        from kafka.admin import UserScramCredentialUpsertion
        from kafka.errors import KafkaError

        logging.getLogger("kafka").setLevel(logging.CRITICAL)
        topics = tuple(topics)
        users = [self.user(service) for service in services]
        try:
            with KafkaAdminClient(**self.user(ADMIN).client_settings(), bootstrap_timeout_ms=30_000) as admin:
                known = admin.describe_user_scram_credentials()
                missing = [
                    UserScramCredentialUpsertion(user.username, "SCRAM-SHA-512", user.password)
                    for user in users
                    if user.username not in known
                ]
                if missing:
                    _refuse_failures(admin.alter_user_scram_credentials(missing).values())
                _refuse_failures(admin.create_acls(rights(topics))["failed"])
                existing = set(admin.list_topics())
                wanted = {topic.name: _topic_options(topic) for topic in topics if topic.name not in existing}
                if wanted:
                    admin.create_topics(wanted, wait_for_metadata=True)
        except KafkaError as error:
            raise StackError(f"Kafka could not be set up ({type(error).__name__}).", remedy=f"Its log {self._log} may say why.") from None

    def _jars(self) -> Path:
        return kafka_jars(self._cache)

    def _configuration(self) -> str:
        tls = [TLS_CONFIGURATION.format(name=at.name, certificate=_one_line(at.certificate), key=_one_line(at.key)) for at in self._tls]
        base = CONFIGURATION.format(
            node=NODE_ID,
            port=self._port,
            controller_port=self._controller_port,
            admin=self.user(ADMIN).password,
            controller=generated_secret(self._secrets / "kafka-controller"),
            data=self.data,
            largest=LARGEST_MESSAGE,
            tls_listeners="".join(f",{at.name.upper()}://127.0.0.1:{at.port}" for at in self._tls),
            tls_protocols="".join(f",{at.name.upper()}:SASL_SSL" for at in self._tls),
        )
        return "".join((base, *tls))

    def _format(self) -> None:
        """Format the data folder with a random cluster id and the admin's credentials.

        The tool takes a password only as an argument, so the arguments go through a private file that the Java launcher
        reads: nothing shows in the process list. Its output holds derived keys and is thrown away.
        """
        cluster_id = new_cluster_id()
        scram = f"SCRAM-SHA-512=[name={ADMIN},password={self.user(ADMIN).password}]"
        words = [*JAVA_OPTIONS, "-cp", f"{self._jars()}/*", "kafka.tools.StorageTool", "format"]
        words += ["--cluster-id", cluster_id, "--config", str(self.settings_file), "--add-scram", scram]
        arguments = self._secrets / "kafka" / "format.arguments"
        write_private(arguments, "".join(f"{_quoted(word)}\n" for word in words))
        try:
            result = run_to_end([java(), f"@{arguments}"], env=self.environment(), cwd=self._home)
        finally:
            arguments.unlink(missing_ok=True)
        if result.returncode != 0 or not self.intact():
            shutil.rmtree(self.data, ignore_errors=True)
            raise StackError("Kafka's data folder could not be formatted.", remedy="Run `mrm doctor`.")


def new_cluster_id() -> str:
    """Return a random cluster id: base64 of 128 bits, never beginning with a dash, which Kafka's tool would take for an option."""
    while True:
        found = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not found.startswith("-"):
            return found


def rights(topics: Iterable[Topic]) -> list[Any]:
    """Return the access rights that follow from the topic table: a writer writes its own, a reader reads what it may."""
    from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType

    def allow(service: str, operation: ACLOperation, kind: ResourceType, name: str) -> ACL:
        pattern = ResourcePattern(kind, name)
        return ACL(f"User:{service}", "127.0.0.1", operation, ACLPermissionType.ALLOW, pattern)

    acls = []
    groups = set()
    for topic in topics:
        acls.append(allow(topic.writer, ACLOperation.WRITE, ResourceType.TOPIC, topic.name))
        acls.append(allow(topic.writer, ACLOperation.DESCRIBE, ResourceType.TOPIC, topic.name))
        for reader in topic.readers:
            acls.append(allow(reader, ACLOperation.READ, ResourceType.TOPIC, topic.name))
            groups.add(reader)
    acls += [allow(group, ACLOperation.READ, ResourceType.GROUP, group) for group in sorted(groups)]
    return acls


def _topic_options(topic: Topic) -> dict[str, Any]:
    configs = {"retention.ms": "-1" if topic.retention_ms is None else str(topic.retention_ms)}
    if topic.compacted:
        configs["cleanup.policy"] = "compact"
    return {"num_partitions": topic.partitions, "replication_factor": 1, "configs": configs}


def _refuse_failures(failures: Iterable[Any]) -> None:
    if any(failure is not None for failure in failures):
        raise StackError("Kafka refused a user or a right of the topic table.", remedy="Run `mrm logs kafka`.")


def _one_line(text: str) -> str:
    """Return a text of several lines as the value of a setting."""
    return text.strip().replace("\n", "\\n")


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
