"""Every operation with a body has a shape, and only its own bodies fit."""

import json

import pytest

from extproc.decision import Deny
from extproc.dialects.shapes import SHAPES, read
from extproc.request import Kind, Prompt
from tests.extproc.dialects.bodies import MINIMAL


def test_every_operation_but_models_has_a_body():
    assert set(SHAPES) == set(Kind) - {Kind.MODELS, Kind.USAGE} == set(MINIMAL)


@pytest.mark.parametrize("kind", SHAPES)
def test_the_smallest_body(kind):
    prompt = read(kind, json.dumps(MINIMAL[kind]).encode())
    assert isinstance(prompt, Prompt)
    assert (prompt.model, prompt.stream, prompt.n) == ("m", False, 1)
    assert prompt.document == MINIMAL[kind]


@pytest.mark.parametrize("kind", SHAPES)
def test_what_is_required(kind):
    for missing in MINIMAL[kind]:
        rest = {name: value for name, value in MINIMAL[kind].items() if name != missing}
        denied = read(kind, json.dumps(rest).encode())
        assert isinstance(denied, Deny)
        assert (denied.param, denied.message) == (missing, f"'{missing}' is required.")
