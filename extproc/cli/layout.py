"""Where things lie in the state directory."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from engines.watch.config import NAME as WATCH_NAME
from engines.watch.hub import NAME as HUB_NAME
from engines.watch.members import NAME as MEMBERS_NAME
from extproc.settings import ACCESS_LOG, KNOWN_POOLS
from ledger.config import NAME

SOCKET_PATH_BYTES = 107
"""Longest path of a unix socket on Linux (`sun_path` of unix(7) less its final NUL)."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths below one state directory, which is absolute."""

    root: Path

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def admin_socket(self) -> Path:
        return self.run / "envoy-admin.sock"

    def worker_socket(self, number: int) -> Path:
        return self.run / f"worker-{number}.sock"

    def sidecar_socket(self, name: str) -> Path:
        return self.run / f"sidecar-{name}.sock"

    @property
    def envoy(self) -> Path:
        return self.root / "envoy"

    @property
    def bootstrap(self) -> Path:
        return self.envoy / "bootstrap.yaml"

    @property
    def endpoints(self) -> Path:
        return self.envoy / "endpoints"

    @property
    def secrets(self) -> Path:
        """Keys of services elsewhere, for Envoy."""
        return self.envoy / "secrets"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def access_log(self) -> Path:
        return self.root / ACCESS_LOG

    @property
    def journal(self) -> Path:
        return self.root / "journal"

    @property
    def metrics(self) -> Path:
        return self.root / "metrics"

    @property
    def policy(self) -> Path:
        """Pools and models of the engines that `up` started or was given."""
        return self.root / "policy"

    @property
    def ledger(self) -> Path:
        return self.root / "ledger.sqlite"

    @property
    def counters(self) -> Path:
        """What the embedded Valkey writes down: how much of each limit is used."""
        return self.root / "counters"

    @property
    def pools(self) -> Path:
        """Which pools Envoy knows."""
        return self.root / KNOWN_POOLS

    @property
    def counters_socket(self) -> Path:
        return self.run / "valkey.sock"

    @property
    def counters_url(self) -> str:
        """The same as a URL, of which spaces would make several."""
        return f"unix://{quote(bytes(self.counters_socket))}"

    @property
    def settle_config(self) -> Path:
        """What the settle process is told of the policy."""
        return self.run / NAME

    @property
    def watch_config(self) -> Path:
        """What the watch process is told of the policy."""
        return self.run / WATCH_NAME

    @property
    def watch_socket(self) -> Path:
        """Where the watch process tells workers of engines."""
        return self.run / HUB_NAME

    @property
    def members(self) -> Path:
        """Where it tells who the members of discovered pools are."""
        return self.run / MEMBERS_NAME

    @property
    def alerts(self) -> Path:
        """Where alerts wait for delivery."""
        return self.root / "alerts"

    @property
    def lock(self) -> Path:
        return self.root / "up.lock"

    def make(self) -> None:
        """Create the directories, for this user only. Raises: OSError."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = (self.run, self.endpoints, self.log, self.journal, self.metrics, self.policy)
        for path in (*made, self.counters, self.secrets):
            if path.is_symlink() and not path.exists():
                path.unlink()  # it led into memory, before a reboot
            path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def fits_sockets(self) -> bool:
        return len(bytes(self.admin_socket)) <= SOCKET_PATH_BYTES
