"""One answer against what the ledger has of it. Pure."""

from collections.abc import Iterator, Sequence

from faults.answer import Answer, End
from faults.books import Line
from faults.excuse import Excuse
from faults.mix import BY_NAME


def flaws(answer: Answer, lines: Sequence[Line], excuse: Excuse) -> Iterator[str]:
    """Everything that is wrong with one request."""
    yield from flaws_of_answer(answer, excuse)
    if len(lines) > 1:
        yield f"stands in the ledger {len(lines)} times"
    elif lines:
        yield from flaws_of_line(answer, lines[0], excuse)
    elif must_have_line(answer, excuse):
        yield "has no row"


def flaws_of_answer(answer: Answer, excuse: Excuse) -> Iterator[str]:
    due = BY_NAME[answer.shape].status
    match answer.end:
        case End.WHOLE:
            if answer.status != due and answer.status not in excuse.statuses:
                yield f"answered {answer.status} instead of {due}: {answer.said}"
        case End.CUT | End.LOST | End.REFUSED:
            if not excuse.broken:
                yield f"the connection broke: {answer.said}"
        case End.HUNG:
            yield "no answer"
        case End.LEFT:
            pass


def must_have_line(answer: Answer, excuse: Excuse) -> bool:
    if answer.end is End.REFUSED:
        return False
    if answer.end is End.LOST:
        return not excuse.broken  # it may never have arrived
    left_for_an_engine = answer.status == 200 and bool(BY_NAME[answer.shape].body)
    return left_for_an_engine or not excuse.endless


def flaws_of_line(answer: Answer, line: Line, excuse: Excuse) -> Iterator[str]:
    if answer.end is End.REFUSED:
        yield "has a row, and nobody took it"
    was_served = answer.status == 200
    if line.tenant != answer.tenant and (was_served or line.tenant is not None):
        yield f"is booked for {line.tenant}, not {answer.tenant}"
    if was_served and line.n is not None and line.n != BY_NAME[answer.shape].n:
        yield f"n is {line.n}"
    if line.unsettled:
        if not excuse.endless:
            yield "is unsettled"
        yield from flaws_of_some_tokens(answer, line)
    elif answer.end is End.WHOLE:
        yield from flaws_of_whole(answer, line)
    else:
        yield from flaws_of_some_tokens(answer, line)
        if (answer.completion_tokens or 0) > (line.completion_tokens or 0):
            saw, booked = answer.completion_tokens, line.completion_tokens
            yield f"the client saw {saw} tokens, {booked} are booked"


def flaws_of_whole(answer: Answer, line: Line) -> Iterator[str]:
    if line.status != answer.status:
        yield f"status {line.status}, the client got {answer.status}"
    if line.cut:
        yield "is booked as cut"
    told = (answer.prompt_tokens or 0, answer.completion_tokens or 0)
    booked = (line.prompt_tokens, line.completion_tokens)
    if booked != told:
        yield f"tokens {booked}, the client was told {told}"


def flaws_of_some_tokens(answer: Answer, line: Line) -> Iterator[str]:
    """Check what was not told to the end: what is booked may be more than was seen, within reason."""
    shape = BY_NAME[answer.shape]
    most = shape.completion_tokens_max
    if (line.completion_tokens or 0) > most:
        yield f"{line.completion_tokens} tokens are booked, {most} is the most"
    told = answer.prompt_tokens
    if None not in (told, line.prompt_tokens) and told != line.prompt_tokens:
        yield f"{line.prompt_tokens} prompt tokens, the client was told {told}"
