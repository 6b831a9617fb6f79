"""All answers against all that is booked and counted. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from faults.answer import Answer, End
from faults.books import Line, Totals
from faults.mix import BY_NAME, PROMPT_TOKENS_MAX
from faults.stand import Tokens


def strangers(answers: Sequence[Answer], lines: Sequence[Line]) -> Iterator[str]:
    asked = {answer.request_id for answer in answers}
    for line in lines:
        if line.request_id not in asked:
            yield f"{line.request_id}: a row that nobody asked for ({line.settle_key})"


def sums_that_differ(lines: Sequence[Line], totals: Mapping[str, Totals]) -> Iterator[str]:
    counted = Totals(
        requests=len(lines),
        prompt_tokens=sum(line.prompt_tokens or 0 for line in lines),
        completion_tokens=sum(line.completion_tokens or 0 for line in lines),
        cached_tokens=sum(line.cached_tokens or 0 for line in lines),
    )
    for table, total in totals.items():
        if total != counted:
            yield f"table {table} adds up to {total}, the rows to {counted}"


def unattributed(lines: Sequence[Line], engines: Mapping[str, Tokens]) -> Tokens:
    """What the engines counted beyond the ledger."""
    booked = [booked_at(endpoint, lines) for endpoint in engines]
    prompt = sum(each.prompt for each in engines.values()) - sum(each.prompt for each in booked)
    generation = sum(each.generation for each in engines.values())
    return Tokens(prompt, generation - sum(each.generation for each in booked))


def booked_at(endpoint: str, lines: Sequence[Line]) -> Tokens:
    """What the ledger has of one endpoint, as the engine counts: a prompt once for each answer."""
    here = [line for line in lines if line.endpoint == endpoint]
    prompt = sum((line.prompt_tokens or 0) * (line.n or 1) for line in here)
    return Tokens(prompt, sum(line.completion_tokens or 0 for line in here))


def engines_that_differ(
    answers: Sequence[Answer],
    lines: Sequence[Line],
    by_id: Mapping[str | None, Sequence[Line]],
    engines: Mapping[str, Tokens],
) -> Iterator[str]:
    """The ledger must not be above the engines, nor below them by more than can be explained."""
    for endpoint, counted in engines.items():
        booked = booked_at(endpoint, lines)
        if booked.prompt > counted.prompt or booked.generation > counted.generation:
            yield f"{endpoint}: more is booked ({booked}) than it has counted ({counted})"
    rest = unattributed(lines, engines)
    lost = most_lost(answers, by_id)
    if rest.prompt > lost.prompt or rest.generation > lost.generation:
        yield f"{rest} are booked for nobody; broken and retried requests explain {lost}"


def most_lost(answers: Sequence[Answer], by_id: Mapping[str | None, Sequence[Line]]) -> Tokens:
    """How much engines may have done at most that is booked for nobody: tries before the last one,
    and the rest of what did not end whole."""
    prompt = generation = 0
    for answer in answers:
        shape = BY_NAME[answer.shape]
        line = next(iter(by_id[answer.request_id]), None)
        told = answer.end is End.WHOLE and not (line and line.unsettled)
        tries = (line and line.attempts) or 1
        knows_prompt = told or (line and line.prompt_tokens is not None)
        prompt += (tries - 1 if knows_prompt else tries) * shape.n * PROMPT_TOKENS_MAX
        booked = shape.completion_tokens_max if told else (line and line.completion_tokens) or 0
        generation += tries * shape.completion_tokens_max - booked
    return Tokens(prompt, generation)
