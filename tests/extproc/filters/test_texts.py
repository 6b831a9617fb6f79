"""Texts are found once, as long as nobody changes them."""

import json
import threading

import pytest

from extproc.dialects.texts import TangledError
from extproc.filters.texts import MANY_SIGNS, MOST_KEPT, Texts, read_texts
from extproc.request import Body, Kind, Operation, Prompt
from tests.extproc.requests import bare


class Watched(dict):
    """Knows the thread that read it last."""

    thread = None

    def items(self):
        self.thread = threading.current_thread()
        return super().items()


def ask(*contents):
    messages = [{"role": "user", "content": each} for each in contents]
    document = Watched(model="m", messages=messages)
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


def is_read_in_a_thread(request):
    return request.fact(Prompt).document.thread is not threading.main_thread()


async def test_many_are_found_in_a_thread_and_not_kept():
    request, found = await read_texts(ask(*map(str, range(MANY_SIGNS // 8))))
    assert request.find(Texts)
    assert len(found) == MANY_SIGNS // 8
    assert is_read_in_a_thread(request)
    request, found = await read_texts(ask(*map(str, range(MOST_KEPT + 1))))
    assert request.find(Texts) is None
    assert len(found) == MOST_KEPT + 1


@pytest.mark.parametrize("content", [[0], [[]], [[[[[]]]]], [{}]])
async def test_so_is_what_has_few_texts_and_much_else(content):
    request, found = await read_texts(ask(content * MANY_SIGNS))
    assert not found
    assert is_read_in_a_thread(request)


async def test_a_long_text_is_read_here():
    request, _ = await read_texts(ask("and so on, with commas in it " * 4000))
    assert not is_read_in_a_thread(request)


@pytest.mark.parametrize("count", [1, MANY_SIGNS // 8])
async def test_what_is_tangled_is_told(count):
    deep = nested = {}
    for _ in range(60):
        nested["x"] = nested = {}
    with pytest.raises(TangledError):
        await read_texts(ask(*[[deep]] * count))
