"""What an engine in virtual time tells of itself."""

import msgspec

from engines.sim.sequence import Key


class First(msgspec.Struct, frozen=True, tag=True, gc=False):
    """A job has its first token."""

    key: Key
    at_s: float
    cached_tokens: int


class Preempted(msgspec.Struct, frozen=True, tag=True, gc=False):
    """A job has lost its blocks and waits again; its tokens so far remain."""

    key: Key
    at_s: float


class Done(msgspec.Struct, frozen=True, tag=True, gc=False):
    """A job has ended, once: it has all its tokens, was aborted, or died with the engine."""

    key: Key
    at_s: float
    tokens: int
    why: str = "done"
    """`done`, `aborted` or `lost`."""


Event = First | Preempted | Done


class Changes(msgspec.Struct, frozen=True):
    """What is in the prefix cache that was not, parents first, and what is no longer."""

    stored: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()
