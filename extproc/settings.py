"""Process settings of a worker. This is the only reader of the environment."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from extproc.budget import MAX_BODY_BYTES, MAX_HELD_BYTES
from extproc.errors import HeadgateError


class SettingsError(HeadgateError):
    """A setting is missing or makes no sense. The message names it."""


POLL_INTERVAL_S = 0.5
"""How often the policy's files are looked at. Reading a few small files twice a second costs nothing
measurable, and unlike inotify it works for ConfigMaps, whose files are links that Kubernetes swaps."""
ACCESS_LOG = "log/access.jsonl"
"""Below the state directory: what Envoy writes down of each request."""
KNOWN_POOLS = "run/pools.json"
"""Below the state directory: which pools Envoy knows (`extproc/stores/known_pools.py`)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What one worker process must be told; `headgate up` tells it by the environment."""

    policy: tuple[Path, ...]
    """HEADGATE_POLICY: directories, joined by the path separator."""
    state: Path
    """HEADGATE_STATE: the state directory."""
    listen: str
    """HEADGATE_LISTEN: `unix:PATH` or `ip:port`, as gRPC writes addresses."""
    max_held_bytes: int = MAX_HELD_BYTES
    """HEADGATE_MAX_HELD_BYTES: bound of request bytes in flight."""
    redis: str = ""
    """HEADGATE_REDIS: URL of the server that counts what is used of each limit; without one, this
    worker counts alone. Of several, divided by spaces, the first counts what concerns everybody, and
    tenants are spread over the others."""
    redis_deadline_s: float | None = None
    """HEADGATE_REDIS_DEADLINE_MS: how long a call to it may take before a request goes on without, in
    milliseconds. Not set: what counters and kept answers have each by themselves."""
    replicas: int = 1
    """HEADGATE_REPLICAS: workers that share limits, which each of them divides by when it has to
    count alone."""
    url: str = ""
    """HEADGATE_URL: where Envoy listens for clients, for what the gateway asks on their behalf."""
    policy_poll_s: float = POLL_INTERVAL_S
    """HEADGATE_POLICY_POLL_S: how often the policy's files are looked at, in seconds."""

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read `os.environ`, or what a test gives. Raises: SettingsError."""
        given = os.environ if environment is None else environment  # noqa: TID251 - the one reader
        directories = require(given, "HEADGATE_POLICY").split(os.pathsep)
        if "" in directories:  # Path("") would be the working directory
            raise SettingsError("HEADGATE_POLICY names an empty directory")
        held = given.get("HEADGATE_MAX_HELD_BYTES", str(MAX_HELD_BYTES))
        if not re.fullmatch(r"[0-9]{1,15}", held) or int(held) < MAX_BODY_BYTES:
            least = f"at least {MAX_BODY_BYTES}, the largest body"
            raise SettingsError(f"HEADGATE_MAX_HELD_BYTES is {held[:20]!r}: give bytes, {least}")
        return cls(
            policy=tuple(Path(directory) for directory in directories),
            state=Path(require(given, "HEADGATE_STATE")),
            listen=require(given, "HEADGATE_LISTEN"),
            max_held_bytes=int(held),
            redis=given.get("HEADGATE_REDIS", ""),
            redis_deadline_s=redis_deadline_s(given),
            replicas=replicas(given),
            url=given.get("HEADGATE_URL", ""),
            policy_poll_s=policy_poll_s(given),
        )


def policy_poll_s(environment: Mapping[str, str] | None = None) -> float:
    """Read HEADGATE_POLICY_POLL_S alone, for `headgate up`. Raises: SettingsError."""
    given = os.environ if environment is None else environment  # noqa: TID251 - the one reader
    text = given.get("HEADGATE_POLICY_POLL_S", str(POLL_INTERVAL_S))
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", text) or not 0.01 <= float(text) <= 3600:
        raise SettingsError(f"HEADGATE_POLICY_POLL_S is {text[:20]!r}: give 0.01 to 3600 seconds")
    return float(text)


def redis_deadline_s(given: Mapping[str, str]) -> float | None:
    text = given.get("HEADGATE_REDIS_DEADLINE_MS")
    if text is None:
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,4}", text):
        raise SettingsError(f"HEADGATE_REDIS_DEADLINE_MS is {text[:20]!r}: give milliseconds")
    return int(text) / 1000


def replicas(given: Mapping[str, str]) -> int:
    text = given.get("HEADGATE_REPLICAS", "1")
    if not re.fullmatch(r"[1-9][0-9]{0,4}", text):
        raise SettingsError(f"HEADGATE_REPLICAS is {text[:20]!r}: give the number of workers")
    return int(text)


def require(given: Mapping[str, str], name: str) -> str:
    value = given.get(name, "")
    if not value:
        raise SettingsError(f"{name} is not set")
    return value


def inherited() -> dict[str, str]:
    """Copy the environment for a child process."""
    return dict(os.environ)  # noqa: TID251 - the one reader
