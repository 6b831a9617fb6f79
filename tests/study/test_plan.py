from collections import Counter

from study.cases import CASES
from study.plan import OURS, PICKERS, SEEDS, quick, specs
from study.sights import SIGHTS
from study.tune import SEEDS as TUNING


def test_every_picker_meets_every_case_at_every_load_on_every_seed():
    found = list(specs(SEEDS))
    assert len(found) == len(set(found))
    plain = Counter(
        (spec.case, spec.load, spec.picker)
        for spec in found
        if (spec.replicas, spec.gateways, spec.sight) == (8, 1, "as it is")
    )
    wanted = {
        (case.title, load, picker): len(SEEDS)
        for case in CASES.values()
        for load in case.loads
        for picker in PICKERS
    }
    assert plain == wanted
    assert len(SEEDS) >= 10


def test_evaluation_and_tuning_share_no_seed():
    assert not set(SEEDS) & set(TUNING)


def test_what_is_left_out_is_ours_to_lose():
    found = list(specs(SEEDS[:1]))
    assert {spec.sight for spec in found if spec.picker == OURS} == set(SIGHTS)
    assert {spec.gateways for spec in found} == {1, 2, 4}
    assert {spec.replicas for spec in found} == {1, 8, 16, 64}


def test_a_quick_one_is_a_part():
    assert set(quick(SEEDS[0])) <= set(specs(SEEDS))
