"""Slow engines, looks that stop, half of the pool gone, all of it, and back."""

import os
import signal
from concurrent.futures import Future

from faults.chaos.scene import PAIR, PLAIN, SLOW, SLOW_MS, STUCK_S, Answer, Ask, Scene
from faults.chaos.seen import Seen, check, describe
from faults.stand import wait_for

WATCH = "-m engines.watch "


def slow(scene: Scene) -> Seen:
    """Its own p99 is above the bound for as long as that takes; then it gets nothing."""

    def is_open() -> bool:
        scene.ask(SLOW)
        return scene.is_out("slow", scene.slow)

    wait_for(is_open, what=f"the breaker to open above {SLOW_MS / 2} ms")
    answers = [scene.ask(SLOW) for _ in range(3)]
    lines = [scene.line(answer) for answer in answers]
    check(all(line.endpoint != scene.slow.endpoint for line in lines), "the slow one was used")
    return describe(scene, answers[0], lines[0])


def makes_no_token(scene: Scene) -> Seen:
    """A GPU hangs: health and metrics are those of a moment ago, so that it looks idle."""
    sim = scene.sims[3]
    sim.fault(stall_s=60.0)
    patient = Ask(within_s=2 * STUCK_S)
    begun: list[Future[Answer]] = []

    def is_noticed() -> bool:
        """Some must be there to be kept waiting: those that have left are followed by others."""
        if all(each.done() for each in begun):
            begun.extend(scene.threads.submit(scene.ask, patient) for _ in range(12))
        return scene.is_out("four", sim)

    try:
        wait_for(is_noticed, what="the gateway to notice")
        answers = [scene.ask() for _ in range(6)]
    finally:
        sim.fault(stall_s=0.0)
    check({each.result().status for each in begun} <= {0, 200}, "one was refused")
    lines = [scene.line(answer) for answer in answers]
    check(all(line.endpoint != sim.endpoint for line in lines), "it was sent more")
    return describe(scene, answers[0], lines[0])


def looks_stop(scene: Scene) -> Seen:
    """The watch process hangs: nothing new is heard of any engine."""
    (watch,) = scene.stand.pids_of(WATCH)
    before = scene.logged("looks_stale")
    os.kill(watch, signal.SIGSTOP)
    try:
        rungs = ("in_flight", "hash")
        first, second = (until_chosen_by(scene, rung, PLAIN) for rung in rungs)
        wait_for(lambda: scene.logged("looks_stale") > before, what="the log to say so")
        check(scene.logged("looks_stale") == before + 1, "the log says it twice")
    finally:
        os.kill(watch, signal.SIGCONT)
    text = scene.stand.metrics()
    for rung in rungs:
        check(f'headgate_picks_total{{pool="four",rung="{rung}"}}' in text, f"no metric of {rung}")
    check(describe(scene, first) == describe(scene, second), "the two differ")
    return describe(scene, second)


def watch_is_killed(scene: Scene) -> Seen:
    (watch,) = scene.stand.pids_of(WATCH)
    os.kill(watch, signal.SIGKILL)
    answers = [scene.ask() for _ in range(3)]
    wait_for(lambda: set(scene.stand.pids_of(WATCH)) - {watch}, what="another one")
    wait_for(lambda: scene.rung(scene.ask()) == "predicted", what="fresh looks")
    check({answer.status for answer in answers} == {200}, "one was not served")
    return describe(scene, answers[-1])


def metrics_hang(scene: Scene) -> Seen:
    """Of all engines of the pool, which serve all the while."""
    for each in scene.doubles:
        each.tells.clear()
    try:
        answer = until_chosen_by(scene, "hash", PAIR)
    finally:
        for each in scene.doubles:
            each.tells.set()
    return describe(scene, answer)


def until_chosen_by(scene: Scene, rung: str, asked: Ask) -> Answer:
    """Ask until so little is known of engines that it is chosen by this rung."""

    def ask() -> Answer | None:
        answer = scene.ask(asked)
        check(answer.status == 200, "one was not served")
        return answer if scene.rung(answer) == rung else None

    return wait_for(ask, what=f"a choice by {rung}")


def half_is_gone(scene: Scene) -> Seen:
    for sim in scene.sims[:2]:
        sim.kill()
    answers = [scene.ask() for _ in range(8)]
    lines = [scene.line(answer) for answer in answers]
    gone = {sim.endpoint for sim in scene.sims[:2]}
    check({line.status for line in lines} == {200}, "one was not served")
    check(not gone & {line.endpoint for line in lines}, "one was served by nobody")
    scene.until_noticed()
    return describe(scene, scene.ask())


def all_are_gone(scene: Scene) -> Seen:
    for sim in scene.sims:
        sim.kill()

    def refused() -> Answer | None:
        answer = scene.ask()
        check(answer.status == 503, f"{answer.status} from nobody")
        check(answer.error["type"] == "server_error", "not in OpenAI's shape")
        return answer if answer.error["code"] == "no_endpoint" else None

    answer = wait_for(refused, what="the gateway to notice")
    return describe(scene, answer)


def all_are_back(scene: Scene) -> Seen:
    scene.mend()
    return describe(scene, scene.ask())
