"""What a filter is: decide before upstream, transform its answer, settle when all is over."""

from abc import abstractmethod
from enum import Enum
from typing import ClassVar, Literal, Protocol

from extproc.decision import Decision, Outcome
from extproc.request import Fact, Request

OnFault = Literal["deny", "continue"]


class AnswerMode(Enum):
    """How much of an answer a filter may need to see. The order is the cost: see DESIGN section 6.

    A wish is made in the reply to the request headers, the only place Envoy honours it, so it says
    what a filter *may* need; when `transform` then needs nothing, we leave if we can (`Stream`).
    """

    NONE = 0
    """Nothing: no byte of the answer reaches us."""
    STREAMED = 1
    """Chunks may be rewritten, one reply each; the engine runs to its end."""
    DUPLEX = 2
    """Chunks may be rewritten, and the answer ended early, which stops the engine."""


class Shown(Fact, frozen=True):
    """The wish for the answer that was made; without this fact, none was."""

    mode: AnswerMode


class BodyTransform(Protocol):
    """Incremental rewriting of one answer body. `feed` and `finish` must be written.

    The concatenated output must not depend on how the input was cut into chunks.
    """

    over: bool = False
    """Whether the answer ends with what `feed` just returned, whatever the engine still says. In
    DUPLEX that stops the engine; in STREAMED the rest is thrown away."""

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes; return what can go out now, perhaps nothing."""
        ...

    def finish(self) -> bytes:
        """Return what is still held back. Called once, after the last `feed`; and again after each
        `wait`, while there is something to be waited for."""
        ...

    reads: bool = True
    """Whether it depends on the text: an answer that is compressed is not let through then."""

    waits: bool = False
    """Whether something is to be waited for; what it held back may go out by `feed(b"")` then."""

    async def wait(self) -> None:
        """Wait for it."""
        return

    def patience_s(self) -> float | None:
        """Say for how long it is content with silence: then it wants a `feed(b"")`, to let out what it
        has held long enough. None: for ever. Heeded in DUPLEX, where bytes may go out at any time."""
        return None


class Filter(Protocol):
    """One capability, one file. Only `decide` must be written."""

    name: ClassVar[str]
    needs: ClassVar[frozenset[type[Fact]]] = frozenset()
    """Facts that must be there; one that needs `Body`, and all after it, wait for the body."""
    provides: ClassVar[frozenset[type[Fact]]] = frozenset()
    on_fault: OnFault = "deny"
    """`continue` withholds `provides` from the order check: one that may be skipped
    guarantees nothing."""

    @abstractmethod
    async def decide(self, request: Request) -> Decision:
        """Judge. Any exception is a fault; refusing is returning `Deny`."""
        ...

    def wish(self, request: Request) -> AnswerMode:  # noqa: ARG002 - a default
        """Say how much of the answer may be needed, by what the headers tell."""
        return AnswerMode.NONE

    def transform(self, request: Request) -> BodyTransform | None:  # noqa: ARG002 - a default
        """Say how to rewrite the answer to this request; None leaves it alone."""
        return None

    async def settle(self, outcome: Outcome) -> None:  # noqa: ARG002 - a default
        """Do what the end of a request asks for.

        Any worker may be called, not only the one that decided, and after a crash perhaps none:
        what must be exact is the ledger's.
        """
        return

    async def settle_again(self, outcome: Outcome) -> None:  # noqa: ARG002 - a default
        """Settle what may have been settled before: its end was perhaps told to a worker that died."""
        return

    async def renew(self, outcome: Outcome) -> None:  # noqa: ARG002 - a default
        """Take note that a request still runs: told every ten seconds, by any worker."""
        return
