"""Engines that say no, and what may be sent again."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from faults.chaos.double import Mood
from faults.chaos.scene import PAIR, RESPONSES, TURNS, Answer, Ask, Line, Scene
from faults.chaos.seen import Seen, check, describe
from faults.chaos.sims import Sim
from faults.stand import wait_for

STORED = Ask("pair", RESPONSES, {"store": True})


@contextmanager
def saying(sim: Sim, status: int) -> Generator[None]:
    """Have one engine refuse everything."""
    sim.fault(error_rate=1.0, error_status=status)
    try:
        yield
    finally:
        sim.fault(error_rate=0.0)


def find(scene: Scene, met: Callable[[Answer, Line], bool]) -> tuple[Answer, Line]:
    """Ask until a request has met the engine that is ill."""

    def ask() -> tuple[Answer, Line] | None:
        answer = scene.ask(TURNS)
        line = scene.line(answer)
        return (answer, line) if met(answer, line) else None

    return wait_for(ask, what="a request that meets it")


def says_503(scene: Scene) -> Seen:
    with saying(scene.sims[1], 503):
        answer, line = find(scene, lambda _answer, line: line.attempts > 1)
    return describe(scene, answer, line, other_than=scene.sims[1])


def says_500(scene: Scene) -> Seen:
    with saying(scene.sims[1], 500):
        answer, line = find(scene, lambda answer, _line: answer.status != 200)
    return describe(scene, answer, line)


def says_429(scene: Scene) -> Seen:
    with saying(scene.sims[1], 429):
        answer, line = find(scene, lambda answer, _line: answer.status != 200)
    return describe(scene, answer, line)


def refuses_connections(scene: Scene) -> Seen:
    """One that has just gone: nobody has noticed yet."""
    scene.sims[2].kill()
    lines = [scene.line(scene.ask(TURNS)) for _ in range(8)]
    check({line.status for line in lines} == {200}, "one was not served")
    check(max(line.attempts for line in lines) <= 2, "one was tried too often")
    check({line.completion_tokens for line in lines} == {5}, "one was billed twice")
    return Seen("200, the whole answer, from another engine", "1 or 2", "200, all of it")


def asked_of_pair(scene: Scene, mood: Mood, asked: Ask) -> tuple[Seen, int]:
    """Ask two engines that both do that with a request; say how many requests they have got."""
    for each in scene.doubles:
        each.mood = mood
    before = sum(each.asked for each in scene.doubles)
    seen = describe(scene, scene.ask(asked))
    for each in scene.doubles:
        each.mood = Mood.SERVE
    return seen, sum(each.asked for each in scene.doubles) - before


def hang_up_on_a_chat(scene: Scene) -> Seen:
    seen, asked = asked_of_pair(scene, Mood.HANG_UP, PAIR)
    check(str(asked) == seen.attempts, "an attempt is not in the ledger")
    return seen


def hang_up_on_what_is_stored(scene: Scene) -> Seen:
    seen, asked = asked_of_pair(scene, Mood.HANG_UP, STORED)
    check(asked == 1, f"it was sent {asked} times")
    return seen


def break_off_what_is_stored(scene: Scene) -> Seen:
    seen, asked = asked_of_pair(scene, Mood.BREAK_OFF, STORED)
    check(asked == 1, f"it was sent {asked} times")
    return seen
