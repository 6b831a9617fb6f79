"""Whose choices are written down, and that writing changes no choice."""

import pytest

from engines.load import Load
from extproc.filters.explain import Explain, Explained, Recorder
from extproc.request import Identity, Kind, Model, Operation
from extproc.routing.candidate import Asked
from extproc.routing.pickers import PICKERS, make_picker
from extproc.routing.settings import PickerSettings
from extproc.stores.memory import MemoryDecisions, MemoryEngines
from tests.extproc.requests import bare

NAMES = ("10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1")


def request(header=None, key="k1", tenant="acme"):
    headers = {} if header is None else {"x-headgate-explain": header}
    made = bare(headers=headers, settle_key=key).having(Identity(tenant, "key-1"))
    return made.having(Model("m", "p", "m")).having(Operation(Kind.CHAT))


@pytest.mark.parametrize(
    ("tenants", "sample", "header", "why"),
    [
        (("acme",), 0.0, "true", "asked"),
        (("*",), 0.0, "TRUE", "asked"),
        (("acme",), 0.0, None, None),
        (("acme",), 0.0, "false", None),
        (("acme",), 0.0, "true,true", None),
        (("globex",), 0.0, "true", None),
        ((), 0.0, "true", None),
        ((), 1.0, None, "sampled"),
        (("globex",), 1.0, "true", "sampled"),
        (("acme",), 1.0, "true", "asked"),
    ],
)
async def test_whose(tenants, sample, header, why):
    decided = await Explain(tenants, sample).decide(request(header))
    found = decided.find(Explained)
    assert (found and found.why) == why


async def test_a_sample_is_a_share_that_every_worker_agrees_on():
    drawn = []
    for _ in range(2):
        explain = Explain((), 0.1)
        decided = [await explain.decide(request(key=f"k{n}")) for n in range(2000)]
        drawn.append([n for n, each in enumerate(decided) if each.find(Explained)])
    assert drawn[0] == drawn[1]
    assert 140 < len(drawn[0]) < 260


@pytest.mark.parametrize("algorithm", [*PICKERS])
def test_it_chooses_as_the_picker_alone(algorithm):
    """Of each way to choose, two: one that is always explained, one that never is."""
    explained, alone = (MemoryEngines({"p": NAMES}) for _ in range(2))
    for view in (explained, alone):
        for n, each in enumerate(view.candidates("p")):
            each.load, each.seen_s = Load(running=n), 99.9
            each.role = ("prefill", "decode", "both")[n] if algorithm == "disaggregated" else "both"
    settings = PickerSettings(algorithm)
    pickers = [make_picker(settings, view.prefixes("p")) for view in (explained, alone)]
    decisions = MemoryDecisions()
    recorder = Recorder(decisions, "v1", {"p": algorithm}, lambda: 1234.5)
    for n in range(20):
        asked = Asked(f"k{n}", 500, (n % 3, n), 64)
        asking = request("true", f"k{n}").having(Explained("asked"))
        theirs = recorder.choose(
            asking, pickers[0], asked, explained.candidates("p"), explained, 100.0
        )
        assert theirs == pickers[1].choose(asked, alone.candidates("p"), 100.0)
    assert len(decisions.records) == 20
    last = decisions.records[-1]
    assert (last.id, last.picker, last.chosen, last.policy) == (
        "k19", algorithm, theirs.endpoints, "v1",
    )  # fmt: skip
    assert (last.at_s, last.tenant, last.why, last.operation) == (1234.5, "acme", "asked", "chat")
    assert {each.endpoint for each in last.candidates} <= set(NAMES)
    assert last.candidates_count == 3


def test_those_that_are_out_are_in_the_record():
    view, decisions = MemoryEngines({"p": NAMES}, [NAMES[2]]), MemoryDecisions()
    picker = make_picker(PickerSettings("random"), view.prefixes("p"))
    recorder = Recorder(decisions, "v1", {"p": "random"}, lambda: 1.0)
    view.prefixes("p").note(NAMES[0], (1, 2))
    asking = request().having(Explained("sampled"))
    recorder.choose(asking, picker, Asked("k", 9, (1, 2, 3), 64), view.candidates("p"), view, 1.0)
    (record,) = decisions.records
    assert [(each.endpoint, each.reasons) for each in record.left_out] == [(NAMES[2], ("refused",))]
    matched = {each.endpoint: each.matched_blocks for each in record.candidates}
    assert matched == {NAMES[0]: 2, NAMES[1]: 0}
