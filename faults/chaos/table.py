"""The cases in order, and the table of what was seen of them."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from faults.chaos import dying, fading, refusing
from faults.chaos.scene import Scene
from faults.chaos.seen import ChaosError, Seen
from faults.stand import StandError

BEGIN, END = "<!-- chaos -->", "<!-- /chaos -->"
HEAD = ("what happens", "the client sees", "attempts", "the ledger says")


class Case(msgspec.Struct, frozen=True):
    """One line of the table."""

    what: str
    run: Callable[[Scene], Seen]
    mends: bool = False
    """All engines are to be well before it."""


CASES = (
    Case("an engine is killed before its response headers", dying.killed_before_its_headers),
    Case("an engine is killed in the middle of a stream, HTTP/1", dying.killed_in_a_stream),
    Case("the same, HTTP/2", dying.killed_in_a_stream_over_http2),
    Case("an engine breaks off in the middle of a JSON answer", dying.cut_in_json, mends=True),
    Case("an engine hangs before its response headers", dying.hung_before_its_headers),
    Case("what is asked when its probes have failed for a second", dying.asked_while_one_hangs),
    Case("an engine hangs in the middle of a stream", dying.hung_in_a_stream, mends=True),
    Case(
        "an engine hangs before its response headers, in a pool with `silence_s: 3`",
        dying.given_up_before_its_headers,
        mends=True,
    ),
    Case("the same, in the middle of a stream", dying.given_up_in_a_stream, mends=True),
    Case("an engine answers 503", refusing.says_503, mends=True),
    Case("an engine answers 500", refusing.says_500),
    Case("an engine answers 429", refusing.says_429),
    Case("an engine refuses connections, and nobody has noticed yet", refusing.refuses_connections),
    Case("all engines hang up on a chat that they have read", refusing.hang_up_on_a_chat),
    Case("the same, of a response to be stored: sent once", refusing.hang_up_on_what_is_stored),
    Case("they hang up in the middle of its answer: sent once", refusing.break_off_what_is_stored),
    Case("an engine is slow: its p99 is above `ttft_p99_s`", fading.slow, mends=True),
    Case("no look at any engine comes: chosen by `in_flight`, then by `hash`", fading.looks_stop),
    Case("the watch process is killed", fading.watch_is_killed),
    Case("all engines serve, and their metrics hang: chosen by `hash`", fading.metrics_hang),
    Case(
        "a GPU hangs, its server goes on: when it has made no token for `ttft_for_s`",
        fading.makes_no_token,
    ),
    Case("half of the pool is killed", fading.half_is_gone),
    Case("all of the pool is killed", fading.all_are_gone),
    Case("all are back", fading.all_are_back),
)


def run(case: Case, scene: Scene) -> Seen:
    """Raises: ChaosError, with the name of the case."""
    try:
        if case.mends:
            scene.mend()
        return case.run(scene)
    except (ChaosError, StandError) as fault:
        raise ChaosError(f"{case.what}: {fault}") from fault


def line(case: Case, seen: Seen) -> str:
    return f"| {case.what} | {seen.client} | {seen.attempts} | {seen.ledger} |"


def to_markdown(lines: Sequence[str]) -> str:
    return "\n".join([f"| {' | '.join(HEAD)} |", "|---|---|--:|---|", *lines])


def write_into(page: Path, lines: Sequence[str]) -> None:
    """Put the table between the marks of a page. Raises: OSError, ValueError."""
    text = page.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"{page} has no place for the table: {BEGIN} and {END}")
    table = f"{BEGIN}\n{to_markdown(lines)}\n{END}"
    page.write_text(pattern.sub(lambda _: table, text), encoding="utf-8")
