"""Redis with TLS and an ACL, as a cluster, and with Sentinels: Debian's redis-server, in its own folders."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError

from stream_app.tools.embedded import EmbeddedRedis, StepCallback
from stream_app.tools.embedded.child_process import free_port, send_request
from tests.support.certificates import Authority
from tests.support.worker_handle import wait_until

_N_SLOTS: Final = 16_384
_SECONDS: Final = 120.0
"""Deadline of a start, on a busy machine."""


def redis_binary() -> str:
    """The path of redis-server; the test is skipped without one."""
    found = shutil.which("redis-server")
    if found is None:
        pytest.skip("redis-server is not installed: `apt-get install redis-server`")
    return found


class RealRedis(EmbeddedRedis):
    """A Redis of the system's redis-server.

    Parameters
    ----------
    options
        Further options of its command line.
    authority
        Signs its certificate; it speaks TLS alone then.
    acl
        Lines of its users, as in an ACL file.
    certificate
        Files of its certificate and key; by default one for this machine.
    checks_certificate
        Whether its administrator does.
    """

    start_timeout = _SECONDS

    def __init__(
        self,
        options: Mapping[str, str] | None = None,
        *,
        authority: Authority | None = None,
        acl: Sequence[str] = (),
        certificate: tuple[Path, Path] | None = None,
        checks_certificate: bool = True,
    ) -> None:
        super().__init__()
        self._binary = redis_binary()
        self._options = dict(options or {})
        self._acl = tuple(acl)
        self.is_tls: Final = authority is not None
        self._checks_certificate = checks_certificate
        if authority is not None:
            certificate = certificate or authority.issue("redis", ["localhost", "127.0.0.1"])
            self._options |= {
                "tls-cert-file": str(certificate[0]),
                "tls-key-file": str(certificate[1]),
                "tls-ca-cert-file": str(authority.path),
                "tls-auth-clients": self._options.get("tls-auth-clients", "no"),
                "tls-replication": "yes",
            }
            self._admin_tls = authority.issue("admin")
            self._authority = authority

    @property
    def address(self) -> str:
        return f"{'rediss' if self.is_tls else 'redis'}://127.0.0.1:{self.port}/0"

    def _command(self, progress: StepCallback) -> list[str | Path]:
        del progress
        options = {
            "bind": "127.0.0.1",
            "dir": str(self.folder),
            "daemonize": "no",
            "save": "",
            "appendonly": "no",
            **({"port": "0", "tls-port": str(self.port)} if self.is_tls else {"port": str(self.port)}),
            **self._options,
        }
        if self._acl:
            path = self.folder / "users.acl"
            if not path.exists():
                path.write_text("".join(f"{line}\n" for line in self._acl))
            options["aclfile"] = str(path)
        return [self._binary, *(part for name, value in options.items() for part in (f"--{name}", value))]

    def _is_responding(self) -> bool:
        if not self.is_tls:
            return send_request(self.port, b"PING\r\n", 1) in {b"+", b"-"}
        try:
            with self.connect() as admin:
                admin.ping()
        except AuthenticationError:
            return True
        except RedisConnectionError:
            return False
        return True

    def connect(self, **options: Any) -> Any:
        """A connection of its administrator, the default user."""
        if self.is_tls:
            options |= {
                "ssl": True,
                "ssl_check_hostname": False,
                "ssl_cert_reqs": "required" if self._checks_certificate else "none",
                "ssl_ca_certs": str(self._authority.path),
                "ssl_certfile": str(self._admin_tls[0]),
                "ssl_keyfile": str(self._admin_tls[1]),
            }
        return Redis("127.0.0.1", self.port, decode_responses=True, **options)


class RealCluster:
    """A Redis Cluster; a context manager.

    Parameters
    ----------
    primaries, replicas
        Number of primaries, and of replicas of each.
    """

    def __init__(self, primaries: int = 3, replicas: int = 0, **arguments: Any) -> None:
        self._stack = ExitStack()
        self._n_primaries, self._n_replicas, self._arguments = primaries, replicas, arguments
        self.nodes: list[RealRedis] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for _ in range(self._n_primaries * (1 + self._n_replicas)):
                self.nodes.append(stack.enter_context(self._node()))
            self._join()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _node(self) -> RealRedis:
        options = {
            "cluster-enabled": "yes",
            "cluster-port": str(free_port()),
            "cluster-node-timeout": "1500",
            "cluster-require-full-coverage": "no",
            "repl-diskless-sync-delay": "0",
            "repl-ping-replica-period": "1",
            **({"tls-cluster": "yes"} if "authority" in self._arguments else {}),
            **self._arguments.get("options", {}),
        }
        arguments = {name: value for name, value in self._arguments.items() if name != "options"}
        return RealRedis(options, **arguments)

    def _join(self) -> None:
        for at in range(self._n_primaries):
            with self.nodes[at].connect() as redis:
                first, end = (_N_SLOTS * each // self._n_primaries for each in (at, at + 1))
                redis.execute_command("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
                redis.execute_command("CLUSTER", "SET-CONFIG-EPOCH", at + 1)
        for node in self.nodes[1:]:
            with self.nodes[0].connect() as redis:
                redis.execute_command(
                    "CLUSTER", "MEET", "127.0.0.1", node.port, int(node._options["cluster-port"])
                )
        for node in self.nodes:
            with node.connect() as redis:
                wait_until(
                    lambda: len(_known(redis)) == len(self.nodes), "the nodes to meet", seconds=_SECONDS
                )
        ids = [self.node_id(node) for node in self.nodes]
        for at, node in enumerate(self.nodes[self._n_primaries :]):
            with node.connect() as redis:
                primary = ids[at % self._n_primaries]
                redis.execute_command("CLUSTER", "REPLICATE", primary)
        for node in self.nodes:
            with node.connect() as redis:
                wait_until(lambda: _is_complete(redis), "the slots", seconds=_SECONDS)
        for node in self.nodes[self._n_primaries :]:
            with node.connect() as redis:
                wait_until(
                    lambda: redis.info("replication").get("master_link_status") == "up",
                    "the replica",
                    seconds=_SECONDS,
                )

    @staticmethod
    def node_id(node: RealRedis) -> str:
        with node.connect() as redis:
            return str(redis.execute_command("CLUSTER", "MYID"))

    @property
    def address(self) -> str:
        """The URL of all nodes."""
        scheme = "rediss" if self.nodes[0].is_tls else "redis"
        return f"{scheme}://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def primaries(self) -> list[RealRedis]:
        """The nodes that are primaries now, of those that run."""
        return [node for node in self.nodes if node.pid is not None and self._role(node) == "master"]

    @staticmethod
    def _role(node: RealRedis) -> str:
        with node.connect() as redis:
            return str(redis.info("replication")["role"])

    def add_primary(self) -> RealRedis:
        """Start a node without slots."""
        node = self._stack.enter_context(self._node())
        with self.nodes[0].connect() as redis:
            redis.execute_command(
                "CLUSTER", "MEET", "127.0.0.1", node.port, int(node._options["cluster-port"])
            )
        self.nodes.append(node)
        for each in self.nodes:
            with each.connect() as redis:
                wait_until(
                    lambda: len(_known(redis)) == len(self.nodes), "the nodes to meet", seconds=_SECONDS
                )
                wait_until(lambda: _is_complete(redis), "the slots", seconds=_SECONDS)
        return node

    def move_slots(self, source: RealRedis, target: RealRedis, slots: Sequence[int]) -> None:
        """Move slots with their keys, as `redis-cli --cluster reshard` does."""
        source_id, target_id = self.node_id(source), self.node_id(target)
        with source.connect() as old, target.connect() as new:
            for slot in slots:
                new.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
                old.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
                while keys := old.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
                    old.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 60_000, "KEYS", *keys)
                for redis in (new, old):
                    redis.execute_command("CLUSTER", "SETSLOT", slot, "NODE", target_id)

    def begin_move(self, source: RealRedis, target: RealRedis, slot: int) -> None:
        """Move the keys of a slot, but not the slot: the source sends clients to the target for each."""
        with source.connect() as old, target.connect() as new:
            new.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", self.node_id(source))
            old.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", self.node_id(target))
            if keys := old.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 1_000):
                old.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 60_000, "KEYS", *keys)


def _known(redis: Any) -> list[Any]:
    return [node for node in redis.cluster("NODES").values() if "handshake" not in node["flags"]]


def _is_complete(redis: Any) -> bool:
    info = redis.cluster("INFO")
    return info["cluster_state"] == "ok" and int(info["cluster_slots_assigned"]) == _N_SLOTS


class RealSentinel(RealRedis):
    """A Sentinel that watches a master named ``shop``."""

    name = "Sentinel"

    def __init__(self, master: RealRedis, quorum: int, lines: Sequence[str] = (), **arguments: Any) -> None:
        super().__init__(**arguments)
        self._master, self._quorum, self._lines = master, quorum, tuple(lines)

    def _command(self, progress: StepCallback) -> list[str | Path]:
        del progress
        path = self.folder / "sentinel.conf"
        if not path.exists():
            options = {name: value for name, value in self._options.items() if name != "aclfile"}
            port = [f"port 0\ntls-port {self.port}"] if self.is_tls else [f"port {self.port}"]
            path.write_text(
                "\n".join(
                    [
                        "bind 127.0.0.1",
                        *port,
                        f"dir {self.folder}",
                        *(f"{name} {value}" for name, value in options.items()),
                        f"sentinel monitor shop 127.0.0.1 {self._master.port} {self._quorum}",
                        "sentinel down-after-milliseconds shop 1000",
                        "sentinel failover-timeout shop 10000",
                        *self._lines,
                        "",
                    ]
                )
            )
        return [self._binary, path, "--sentinel"]


class RealSentinels:
    """A master, a replica and three Sentinels; a context manager."""

    def __init__(self, *, n_sentinels: int = 3, lines: Sequence[str] = (), **arguments: Any) -> None:
        self._stack = ExitStack()
        self._arguments, self._n_sentinels, self._lines = arguments, n_sentinels, lines
        self.servers: list[RealRedis] = []
        self.sentinels: list[RealSentinel] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            options = {"repl-diskless-sync-delay": "0", **self._arguments.pop("options", {})}
            for _ in range(2):
                self.servers.append(stack.enter_context(RealRedis(options, **self._arguments)))
            master, replica = self.servers
            with replica.connect() as redis:
                redis.execute_command("REPLICAOF", "127.0.0.1", master.port)
                wait_until(
                    lambda: redis.info("replication")["master_link_status"] == "up",
                    "the replica",
                    seconds=_SECONDS,
                )
            tls = {
                name: value for name, value in self._arguments.items() if name in ("authority", "certificate")
            }
            for _ in range(self._n_sentinels):
                sentinel = RealSentinel(master, self._n_sentinels // 2 + 1, self._lines, **tls)
                self.sentinels.append(stack.enter_context(sentinel))
            for sentinel in self.sentinels:
                with sentinel.connect() as redis:
                    wait_until(lambda: self._knows_all(redis), "the Sentinels to meet", seconds=_SECONDS)
            self._stack = stack.pop_all()
        return self

    def _knows_all(self, redis: Any) -> bool:
        state = redis.sentinel_master("shop")
        return bool(
            int(state["num-other-sentinels"]) == self._n_sentinels - 1 and int(state["num-slaves"]) == 1
        )

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def address(self) -> str:
        """The URL of the Sentinels."""
        scheme = "rediss" if self.sentinels[0].is_tls else "redis"
        return f"{scheme}://" + ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)

    def master(self) -> RealRedis:
        """The master that the first Sentinel names."""
        with self.sentinels[0].connect() as redis:
            _, port = redis.sentinel_get_master_addr_by_name("shop")
        return next(server for server in self.servers if server.port == int(port))
