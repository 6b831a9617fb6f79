"""Whose answers have to be watched."""

import msgspec
import pytest

from extproc.limits.base import Algorithm, Calendar, Limit, Standing, Unit
from extproc.limits.reach import Reach
from extproc.limits.watch import REMEMBERED, Watched
from extproc.request import Identity

MONTH = Limit(
    name="month",
    algorithm=Algorithm.BUDGET,
    unit=Unit.TOKENS,
    amount=10_000,
    calendar=Calendar.MONTH,
)
REACH = Reach(limit=MONTH, per=("tenant",), tenants=frozenset({"acme"}), stop=True, ample=1000)
ACME, GLOBEX = Identity("acme", "k"), Identity("globex", "k")


def standing(left, scope="acme", name="month"):
    return Standing(msgspec.structs.replace(MONTH, name=name), scope, left, 0.0)


def test_who_is_unknown_is_watched_and_who_is_not_meant_is_not():
    watch = Watched([REACH])
    assert watch.needed(ACME)
    assert not watch.needed(GLOBEX)
    assert not Watched([msgspec.structs.replace(REACH, stop=False)]).needed(ACME)
    assert not Watched([]).needed(ACME)


@pytest.mark.parametrize(("left", "watched"), [(1001, False), (1000, True), (0, True), (-5, True)])
def test_ample_room_needs_no_watching(left, watched):
    watch = Watched([REACH])
    watch.learn([standing(left), standing(9999, name="other"), standing(9999, "globex")])
    assert watch.needed(ACME) is watched


def test_a_limit_of_each_model_is_watched_before_the_model_is_known():
    watch = Watched([msgspec.structs.replace(REACH, per=("tenant", "model"))])
    watch.learn([standing(9999, "acme/m")])
    assert watch.needed(ACME)


def test_memory_is_bounded():
    watch = Watched([REACH])
    watch.learn([standing(9999)])
    watch.learn([standing(9999, f"t{n}") for n in range(REMEMBERED + 1)])
    assert not watch.needed(ACME)
    watch.learn([standing(9999, "another")])
    assert watch.needed(ACME), "forgotten, and so watched"
