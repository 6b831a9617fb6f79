"""Texts are found once, as long as nobody changes them."""

import json

import pytest

from extproc.dialects.texts import TangledError
from extproc.filters.texts import MANY_QUOTES, MOST_KEPT, Texts, read_texts
from extproc.request import Body, Kind, Operation, Prompt
from tests.extproc.requests import bare


def ask(*contents):
    messages = [{"role": "user", "content": each} for each in contents]
    document = {"model": "m", "messages": messages}
    request = bare(path="/v1/chat/completions").having(Operation(Kind.CHAT))
    return request.having(Prompt(document, "m")).having(Body(json.dumps(document).encode()))


async def test_who_comes_second_gets_what_was_found():
    request, found = await read_texts(ask("one", "two"))
    assert [each.text for each in found] == ["one", "two"]
    again, same = await read_texts(request)
    assert again is request
    assert same is found


async def test_another_document_is_read_anew():
    request, _ = await read_texts(ask("one"))
    prompt = request.fact(Prompt)
    edited = request.having(prompt.editing(messages=[{"role": "user", "content": "masked"}]))
    request, found = await read_texts(edited)
    assert [each.text for each in found] == ["masked"]
    assert request.fact(Texts).document["messages"][0]["content"] == "masked"


async def test_many_are_found_in_a_thread_and_not_kept():
    request, found = await read_texts(ask(*map(str, range(MANY_QUOTES // 4))))
    assert request.find(Texts)
    assert len(found) == MANY_QUOTES // 4
    request, found = await read_texts(ask(*map(str, range(MOST_KEPT + 1))))
    assert request.find(Texts) is None
    assert len(found) == MOST_KEPT + 1


@pytest.mark.parametrize("count", [1, MANY_QUOTES // 8])
async def test_what_is_tangled_is_told(count):
    deep = nested = {}
    for _ in range(60):
        nested["x"] = nested = {}
    with pytest.raises(TangledError):
        await read_texts(ask(*[[deep]] * count))
