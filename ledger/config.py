"""What the settle process is told to do beside settling: one file, written by whoever reads the policy.

The file holds the URLs of webhooks, which are secrets, so it is for its owner alone. It is looked at
again whenever it was replaced. A file that is missing or makes no sense never stops settling: what was in
force stays, and at first the defaults are.
"""

import os
from pathlib import Path
from threading import Lock
from typing import Literal

import msgspec

from alerts.webhook import Webhook
from telemetry.logs import Event, EventLog

NAME = "settle.json"
"""Below `run` in the state directory."""

_log = EventLog(__name__)


class Endpoint(msgspec.Struct, frozen=True):
    """An engine whose counters can be compared with the ledger."""

    address: str
    """`ip:port`, as entries name it."""
    pool: str
    metrics_path: str = "/metrics"


class CostRule(msgspec.Struct, frozen=True):
    """When a cost is worth an alert. Without `per`, `bound_pusd` is for each single request."""

    name: str
    bound_pusd: int
    """1e-12 US dollars: of a request; or what a day or month must cost to be looked at."""
    per: Literal["day", "month"] | None = None
    above_forecast: float = 1.5
    tenants: frozenset[str] = frozenset()
    """None: each tenant."""
    zone: str = "UTC"

    def is_for(self, tenant: str | None) -> bool:
        return not self.tenants or tenant in self.tenants


class Drift(msgspec.Struct, frozen=True):
    """How far ledger and engine may be apart: both bounds must be passed, for so long."""

    tokens: int = 1000
    share: float = 0.001
    """Of what the engine has counted."""
    for_s: float = 15.0


class Retention(msgspec.Struct, frozen=True):
    """Days that entries are kept; None is for ever."""

    default_days: int | None = None
    regions: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    by_hand: bool = False
    """Nothing goes by itself, only with `headgate ledger trim`."""


class Audit(msgspec.Struct, frozen=True):
    """How long audit records are kept."""

    days: int = 180
    by_hand: bool = False
    """Nothing goes by itself, only with `headgate audit trim`."""


class Config(msgspec.Struct, frozen=True):
    """All of it."""

    policy: str = ""
    """Version of the policy it was made from."""
    endpoints: tuple[Endpoint, ...] = ()
    webhooks: tuple[Webhook, ...] = ()
    cost_rules: tuple[CostRule, ...] = ()
    drift: Drift = Drift()
    retention: Retention = Retention()
    audit: Audit = Audit()
    readers_of_all: frozenset[str] = frozenset()
    root_interval_s: float = 3600.0
    reconcile_interval_s: float = 20.0


class ConfigFile:
    """The file, read again when it was replaced. For any number of threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._seen: tuple[int, ...] | str = ()
        self._config = Config()

    def current(self) -> Config:
        """Return what is in force: a stat when nothing has changed."""
        with self._lock:
            seen = self._look()
            if seen != self._seen:
                self._seen = seen
                self._config = self._read(seen) or self._config
            return self._config

    def _look(self) -> tuple[int, ...] | str:
        try:
            now = self._path.stat()
        except OSError as fault:
            return fault.strerror or type(fault).__name__
        return now.st_ino, now.st_mtime_ns, now.st_size

    def _read(self, seen: tuple[int, ...] | str) -> Config | None:
        if isinstance(seen, str):
            _log.warning(Event.CONFIG_REJECTED, file=self._path.name, reason=seen)
            return None
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Config)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as fault:
            # Not the fault's text: it might repeat a part of a URL.
            _log.error(Event.CONFIG_REJECTED, file=self._path.name, reason=type(fault).__name__)
            return None


def write_config(path: Path, config: Config) -> None:
    """Replace the file as a whole, readable by its owner alone. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(draft, flags, 0o600), "wb") as file:
        file.write(msgspec.json.encode(config))
    draft.replace(path)
