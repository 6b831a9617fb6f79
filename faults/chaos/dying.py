"""Engines that are killed, cut off or hang with a request in hand."""

import msgspec

from faults.chaos.scene import Ask, Scene
from faults.chaos.seen import Seen, check, describe
from faults.stand import wait_for

LONG_MS = 2000
"""To the first token: time to find the engine and to kill it."""
LEAVES_S = 3.0
"""When a client has waited long enough."""
LATE = {"x_sim": {"ttft_ms": LONG_MS}}
STREAM = {"stream": True, "max_tokens": 400, "ignore_eos": True, "x_sim": {"itl_ms": 20}}


def killed_before_its_headers(scene: Scene) -> Seen:
    coming, sim = scene.begin(Ask(members=LATE))
    sim.kill()
    return describe(scene, coming.result(), other_than=sim)


def killed_in_a_stream(scene: Scene) -> Seen:
    scene.until_noticed()
    answer = scene.ask(Ask(members=STREAM, then=lambda: scene.busy().kill()))
    return describe(scene, answer)


def killed_in_a_stream_over_http2(scene: Scene) -> Seen:
    scene.until_noticed()
    answer = scene.ask(Ask(members=STREAM, http2=True, then=lambda: scene.busy().kill()))
    return describe(scene, answer)


def cut_in_json(scene: Scene) -> Seen:
    return describe(scene, scene.ask(Ask(members={"x_sim": {"fault": "cut_after:40"}})))


def hung_before_its_headers(scene: Scene) -> Seen:
    coming, sim = scene.begin(Ask(members=LATE, within_s=LEAVES_S))
    sim.hang()
    return describe(scene, coming.result())


def asked_while_one_hangs(scene: Scene) -> Seen:
    """The engine that the case before has stopped."""
    (hung,) = (sim for sim in scene.sims if sim.hangs)
    wait_for(lambda: scene.is_out("four", hung), what="the probes to notice")
    lines = [scene.line(scene.ask()) for _ in range(6)]
    for sim in scene.sims:
        if sim.is_up:
            sim.go_on()
    check({line.status for line in lines} == {200}, "one was not served")
    check(all(line.attempts == 1 for line in lines), "one was sent to the one that hangs")
    return Seen("200, the whole answer", "1", "200, all of it")


def hung_in_a_stream(scene: Scene) -> Seen:
    return hang_in(scene, Ask(members=STREAM, within_s=LEAVES_S))


def given_up_before_its_headers(scene: Scene) -> Seen:
    coming, sim = scene.begin(Ask("brief", members=LATE))
    sim.hang()
    answer = coming.result()
    sim.go_on()
    return describe(scene, answer)


def given_up_in_a_stream(scene: Scene) -> Seen:
    return hang_in(scene, Ask("brief", members=STREAM))


def hang_in(scene: Scene, asked: Ask) -> Seen:
    """Stop the engine when some of the stream has come, and let it go on when the client has its answer."""
    answer = scene.ask(msgspec.structs.replace(asked, then=lambda: scene.busy().hang()))
    line = scene.line(answer)
    for sim in scene.sims:
        if sim.is_up:
            sim.go_on()
    return describe(scene, answer, line)
