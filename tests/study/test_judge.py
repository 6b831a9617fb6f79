import pytest

from study.judge import kept, sides, versus
from study.plan import OURS
from study.results import Results
from tests.study.figures import lines


def results(*parts):
    return Results({spec: line for part in parts for spec, line in part.items()})


def test_in_the_mixed_case_ours_has_to_be_a_fifth_better_than_the_best():
    for ours, is_met in ((0.79, True), (0.81, False)):
        found = results(
            lines("mixed", OURS, 80, [ours, 2 * ours]),
            lines("mixed", "chwbl", 80, [1.0, 2.0]),
            lines("mixed", "random", 80, [5.0, 9.0]),
        )
        [said] = versus(found)
        assert (said.best, said.is_met, said.seeds) == ("chwbl", is_met, 2)
        assert said.change.mean == pytest.approx(ours - 1)


def test_elsewhere_it_must_not_be_worse_for_sure():
    worse = lines("talk", OURS, 80, [1.1, 1.2, 1.1])
    perhaps = lines("talk", OURS, 80, [0.7, 1.6, 1.1])
    best = lines("talk", "weighted", 80, [1.0, 1.1, 1.0])
    assert [said.is_met for said in versus(results(worse, best))] == [False]
    assert [said.is_met for said in versus(results(perhaps, best))] == [True]


def test_four_gateways_may_lose_a_twentieth_of_the_hits():
    for hit_ratio, is_met in ((0.77, True), (0.75, False)):
        found = results(
            lines("rag", OURS, 80, [1.0, 1.0], hit_ratio=0.8),
            lines("rag", OURS, 80, [1.0, 1.0], {"gateways": 4}, hit_ratio=hit_ratio),
        )
        [said] = kept(found, [OURS])
        assert (said.case, said.gateways, said.is_met) == ("rag", 4, is_met)


def test_kubeais_figures_stand_beside_the_hit_ratios_that_make_them():
    found = results(
        lines("chat", "random", 100, [1.0], mean_s=4.0, tokens_per_s=1000, hit_ratio=0.1),
        lines("chat", "chwbl", 100, [1.0], mean_s=0.2, tokens_per_s=2270, hit_ratio=0.8),
    )
    [said] = sides(found)
    assert (said.picker, said.before) == ("chwbl", "random")
    assert said.ttft.mean == pytest.approx(-0.95)
    assert said.tokens.mean == pytest.approx(1.27)
    assert (said.hit_ratio_before.mean, said.hit_ratio.mean) == (0.1, 0.8)
