from itertools import takewhile
from statistics import fmean, pvariance

import pytest

from study.draws import Bursts, Length, Steady, source


def test_the_same_names_draw_the_same():
    assert source("a", 1).random() == source("a", 1).random() != source("a", 2).random()


def test_lengths_have_their_mean_and_their_limits():
    chance = source("lengths")
    drawn = [Length(161, 1.0, 8, 2048).draw(chance) for _ in range(20_000)]
    assert fmean(drawn) == pytest.approx(161, rel=0.05)
    assert min(drawn) >= 8
    assert max(drawn) <= 2048


@pytest.mark.parametrize("arrivals", [Steady(), Bursts()])
def test_arrivals_come_in_order_and_as_often_as_they_should(arrivals):
    chance = source("arrivals")
    times = list(takewhile(lambda at_s: at_s < 5000, arrivals.arrivals(4.0, chance)))
    assert times == sorted(times)
    assert len(times) / 5000 == pytest.approx(4.0, rel=0.07)


def test_bursts_are_burstier():
    counted = {}
    for arrivals in (Steady(), Bursts()):
        counts = [0] * 400
        for at_s in takewhile(lambda at_s: at_s < 2000, arrivals.arrivals(4.0, source("same"))):
            counts[int(at_s / 5)] += 1
        counted[type(arrivals)] = pvariance(counts) / fmean(counts)
    assert counted[Steady] == pytest.approx(1, abs=0.3)
    assert counted[Bursts] > 5 * counted[Steady]
