"""Prompts here, answers there."""

import pytest

from extproc.routing.chance import draw
from extproc.routing.pickers import make_picker
from extproc.routing.prefixes import Prefixes
from extproc.routing.settings import PickerSettings
from tests.extproc.routing.candidates import NOW, asked, candidate

DECODERS = [candidate(f"d{n}:1", role="decode", rate=8000.0) for n in range(3)]
PREFILLERS = [candidate(f"p{n}:1", role="prefill", rate=8000.0) for n in range(2)]


def choose(candidates, prefixes=None, **members):
    picker = make_picker(
        PickerSettings(algorithm="disaggregated"), Prefixes() if prefixes is None else prefixes
    )
    return picker.choose(asked(**members), candidates, NOW)


def test_one_of_each():
    choice = choose([*DECODERS, *PREFILLERS])
    assert choice.endpoints[0] in {each.endpoint for each in DECODERS}
    assert not {each.endpoint for each in PREFILLERS} & set(choice.endpoints)
    assert choice.prefiller in {each.endpoint for each in PREFILLERS}
    assert choice.predicted_s == pytest.approx(1000 / 8000)


def test_the_prefiller_is_the_one_that_is_sooner():
    busy = candidate("p0:1", role="prefill", rate=8000.0, waiting=9)
    for number in range(10):
        assert choose([*DECODERS, busy, PREFILLERS[1]], number=number).prefiller == "p1:1"


def test_what_is_short_or_cached_is_not_sent_around():
    assert choose([*DECODERS, *PREFILLERS], prompt_tokens=100).prefiller == ""
    prefixes, blocks = Prefixes(), tuple(draw(str(n)) for n in range(15))
    prefixes.note("d1:1", blocks)
    choice = choose([*DECODERS, *PREFILLERS], prefixes, blocks=blocks)
    assert (choice.endpoints[0], choice.prefiller) == ("d1:1", "")


@pytest.mark.parametrize("only", [DECODERS, PREFILLERS])
def test_one_kind_alone_serves_whole_requests(only):
    choice = choose(only)
    assert choice.prefiller == ""
    assert set(choice.endpoints) <= {each.endpoint for each in only}


def test_those_that_do_both_decode():
    both = candidate("b:1", rate=8000.0)
    choice = choose([both, *PREFILLERS])
    assert choice.endpoints == ("b:1",)
    assert choice.prefiller


def test_both_kinds_are_explained():
    picker = make_picker(PickerSettings(algorithm="disaggregated"), Prefixes())
    said = [each.endpoint for each in picker.explain(asked(), [*PREFILLERS, *DECODERS], NOW)]
    assert {name[0] for name in said[:3]} == {"d"}
    assert {name[0] for name in said[3:]} == {"p"}
