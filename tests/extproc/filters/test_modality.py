"""Can the model take what the prompt is made of."""

import pytest

from extproc.decision import Deny
from extproc.errors import Reason
from extproc.filters.modality import Modality
from extproc.request import Kind, Model, Operation, Prompt
from tests.extproc.requests import BARE

USER = {"role": "user", "content": "hi"}
IMAGE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}


async def decide(messages, taken):
    request = (
        BARE.having(Operation(Kind.CHAT))
        .having(Prompt({"messages": messages}, "l"))
        .having(Model("llama", "p", "x"))
    )
    found = await Modality(taken).decide(request)
    assert isinstance(found, Deny) or found is request
    return found


@pytest.mark.parametrize(
    ("modalities", "param"),
    [
        ((), None),
        (("text",), "messages[1].content[0]"),
        (("text", "audio"), "messages[1].content[0]"),
        (("text", "image"), None),
    ],
)
async def test_modalities(modalities, param):
    found = await decide([USER, IMAGE], {"llama": modalities})
    if param is None:
        assert not isinstance(found, Deny)
        return
    assert (found.reason, found.param) == (Reason.MODALITY, param)
    assert found.message == f"The model 'llama' takes {', '.join(modalities)}, not image."


async def test_a_model_of_which_nothing_is_known():
    assert not isinstance(await decide([IMAGE], {}), Deny)
    assert not isinstance(await decide([IMAGE], {"other": ("text",)}), Deny)


async def test_text_alone():
    assert not isinstance(await decide([USER], {"llama": ("text",)}), Deny)
