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
        )


def require(given: Mapping[str, str], name: str) -> str:
    value = given.get(name, "")
    if not value:
        raise SettingsError(f"{name} is not set")
    return value


def inherited() -> dict[str, str]:
    """Copy the environment for a child process."""
    return dict(os.environ)  # noqa: TID251 - the one reader
