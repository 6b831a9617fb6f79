"""What the watch process and the workers of its host tell each other: msgpack over a unix socket.

Every time is of the monotonic clock, which processes of one host share (Linux, CLOCK_MONOTONIC).
"""

from typing import Literal

import msgspec

from engines.load import NOTHING, Load
from engines.rates import UNKNOWN, Rates

State = Literal["ready", "draining"]
Role = Literal["both", "prefill", "decode"]


class Message(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """One of those below."""


class Member(msgspec.Struct, frozen=True, array_like=True):
    """One endpoint of a pool."""

    endpoint: str
    state: State = "ready"
    """`draining`: it ends what it has, and gets nothing new."""
    since_s: float = 0.0
    """When it was first seen ready."""
    role: Role = "both"


class Members(Message, frozen=True, tag="members"):
    """To workers: the endpoints of every pool, all of them, whenever any changes."""

    pools: dict[str, tuple[Member, ...]]


class Look(msgspec.Struct, frozen=True, array_like=True):
    """How one endpoint was found."""

    endpoint: str
    at_s: float
    """When it was asked."""
    fault: str = ""
    """Why there is no load, in one word; empty: all well. `refused`, `timeout`, `broken` (no answer, or
    no HTTP) and `status` (its health page says so): it cannot serve. `unreadable`: it lives, but tells
    no load."""
    load: Load = NOTHING
    rates: Rates = UNKNOWN


class Looks(Message, frozen=True, tag="looks"):
    """To workers: what was seen since the last one."""

    looks: tuple[Look, ...]


class Picked(Message, frozen=True, tag="picked"):
    """From the worker that picked, to all others: they count on it, too."""

    key: str
    """The settle key."""
    pool: str
    endpoint: str
    at_s: float
    prompt_tokens: int
    cached_tokens: int
    """What the picker expects to be cached there."""
    blocks: tuple[int, ...] = ()
    """The prompt's prefix, see `engines.blocks`."""


class Ended(Message, frozen=True, tag="ended"):
    """From the worker that was told of the end, to all others."""

    key: str
    pool: str
    endpoint: str
    """What served, or was tried last; empty when none was."""
    at_s: float
    status: int
    """What the client got; 0 when it left before."""
    latency_s: float
    failed: tuple[str, ...] = ()
    """Endpoints that were tried and gave no answer."""
    model: str = ""
    attempts: int = 0
    """How many endpoints were asked; 0 is not told."""
    is_stream: bool = False


class Used(Message, frozen=True, tag="used"):
    """From the worker that was told of an end, to all others: what an engine has counted, for
    estimates to learn from."""

    model: str
    """By its public name."""
    key_id: str
    prompt_tokens: int
    mix: str
    """What the prompt was made of, see `extproc.counting.mix`; empty where nothing was estimated."""
    answer_tokens: int
    """Of one answer; 0 where nothing is generated."""


class Running(Message, frozen=True, tag="running"):
    """From the worker that was told, to all others: this one still runs."""

    key: str


class Stored(Message, frozen=True, tag="stored"):
    """To workers, from KV events: what an engine's cache has gained and lost, as hashes of
    `engines.blocks`."""

    pool: str
    endpoint: str
    stored: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()
    cleared: bool = False
    """Everything before this is gone."""


Any = Members | Looks | Picked | Ended | Used | Running | Stored
