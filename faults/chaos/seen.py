"""What was seen of a case, in words that are the same every time."""

import msgspec

from faults.chaos.scene import Answer, Line, Scene
from faults.chaos.sims import Sim

ENDED = {
    "whole": "the whole answer",
    "incomplete": "cut: the connection is closed before the answer's end",
    "reset": "cut: the stream is reset",
    "left": "nothing more until it leaves",
}


class ChaosError(Exception):
    """It went otherwise than it may."""


class Seen(msgspec.Struct, frozen=True):
    """Three cells of the table."""

    client: str
    attempts: str
    ledger: str


def check(holds: object, said: str) -> None:
    """Raises: ChaosError."""
    if not holds:
        raise ChaosError(said)


def describe(
    scene: Scene, answer: Answer, line: Line | None = None, other_than: Sim | None = None
) -> Seen:
    """Say what the client saw of one request, and the ledger. Raises: ChaosError when it was not
    served by another engine than the one given."""
    line = line or scene.line(answer)
    elsewhere = ""
    if other_than is not None:
        check(line.endpoint != other_than.endpoint, "the engine that is ill has answered")
        elsewhere = ", from another engine"
    return Seen(tell_client(answer) + elsewhere, str(line.attempts), tell_ledger(line))


def tell_client(answer: Answer) -> str:
    if answer.status == 0:
        return "nothing until it leaves"
    if answer.status == 200:
        return f"200, {ENDED[answer.ended]}"
    code = answer.error.get("code")
    # An engine's own code is the status once more.
    said = f"{answer.status} `{code if isinstance(code, str) else answer.error['type']}`"
    again = int(answer.headers.get("retry-after", "0"))
    return f"{said}, `Retry-After`" if again > 0 else said


def tell_ledger(line: Line) -> str:
    """Status, flags, and how much of it was billed."""
    prompt, completion = line.prompt_tokens, line.completion_tokens
    flags = [name for name in ("cut", "estimated") if getattr(line, name)]
    if line.deny_reason:
        billed = f"refused: {line.deny_reason}"
    elif not prompt and not completion:
        billed = "nothing is known" if line.estimated else "nothing"
    elif not completion:
        billed = "the prompt"
    else:
        billed = "what came" if line.cut else "all of it"
    return ", ".join([str(line.status), *flags, billed])
