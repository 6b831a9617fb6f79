"""What the watch process is to look at: one file, written by whoever reads the policy.

It is looked at again whenever it was replaced. A file that is missing or makes no sense changes nothing:
what was in force stays.
"""

import os
from pathlib import Path

import msgspec

from engines.watch.messages import Role
from telemetry.logs import Event, EventLog

NAME = "watch.json"
"""Below `run` in the state directory."""

_log = EventLog(__name__)


class Dns(msgspec.Struct, frozen=True):
    """A name whose addresses are the endpoints: a headless Service."""

    host: str
    port: int
    interval_s: float = 5.0
    role: Role = "both"


class Kubernetes(msgspec.Struct, frozen=True):
    """A Service whose EndpointSlices name the endpoints."""

    namespace: str
    service: str
    port: int | str | None = None
    """Number or name; None is the only one that the slices have."""
    api: str = ""
    """URL of the API server; empty: the cluster's own, as pods know it."""
    token_file: str = ""
    ca_file: str = ""
    role: Role = "both"


class KvEvents(msgspec.Struct, frozen=True):
    """Where engines publish what their caches gain and lose."""

    port: int
    replay_port: int = 0
    """0: what was lost stays lost until the cache has changed."""
    ranks: int = 1
    """Data-parallel engines behind one endpoint; each publishes on a port of its own."""


class Static(msgspec.Struct, frozen=True):
    """An endpoint that the policy names."""

    endpoint: str
    role: Role = "both"


class Pool(msgspec.Struct, frozen=True):
    """One pool: its kind of engine, and where its endpoints are named."""

    name: str
    engine: str
    static: tuple[Static, ...] = ()
    dns: tuple[Dns, ...] = ()
    kubernetes: tuple[Kubernetes, ...] = ()
    kv_events: KvEvents | None = None

    @property
    def discovered(self) -> bool:
        """Whether others than the policy name its endpoints."""
        return bool(self.dns or self.kubernetes)


class Config(msgspec.Struct, frozen=True):
    """All of it."""

    policy: str = ""
    """Version of the policy it was made from."""
    pools: tuple[Pool, ...] = ()


class ConfigFile:
    """The file, read again when it was replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: object = None
        self._config = Config()

    def current(self) -> Config:
        """Return what is in force: a stat when nothing has changed."""
        seen = self._look()
        if seen != self._seen:
            self._seen = seen
            self._config = self._read() or self._config
        return self._config

    def _look(self) -> object:
        try:
            now = self._path.stat()
        except OSError as fault:
            return fault.strerror
        return now.st_ino, now.st_mtime_ns, now.st_size

    def _read(self) -> Config | None:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Config)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as fault:
            _log.error(Event.CONFIG_REJECTED, file=self._path.name, reason=str(fault))
            return None


def replace_file(path: Path, text: bytes) -> None:
    """Replace a file as a whole, readable by its owner alone. Raises: OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(draft, flags, 0o600), "wb") as file:
        file.write(text)
    draft.replace(path)


def write_config(path: Path, config: Config) -> None:
    """Raises: OSError."""
    replace_file(path, msgspec.json.encode(config))
