"""What a client saw of one request: the record that the ledger is held against."""

from enum import StrEnum

import msgspec


class End(StrEnum):
    """How it ended for the client."""

    WHOLE = "whole"
    """An answer to its last byte, whatever its status."""
    LEFT = "left"
    """The client went away, as it meant to."""
    CUT = "cut"
    """The gateway's side broke off after the headers."""
    LOST = "lost"
    """The connection ended without an answer."""
    REFUSED = "refused"
    """Nobody listened: the gateway cannot know of this request."""
    HUNG = "hung"
    """Nothing came for as long as we cared to wait."""


class Answer(msgspec.Struct, frozen=True):
    """One request and what came of it."""

    request_id: str
    shape: str
    """Name of what was asked: `mix.SHAPES`."""
    tenant: str | None
    """Whose key was used; None: a key of nobody."""
    sent_s: float
    """Monotonic seconds; so is `ended_s`."""
    ended_s: float
    end: End
    status: int | None = None
    """None: no headers came."""
    prompt_tokens: int | None = None
    """As the answer said, latest; None when it said nothing."""
    completion_tokens: int | None = None
    said: str = ""
    """The start of an error answer, or of the exception."""
