"""Token ids of whole prompts: those that the tokenizer itself finds in the rendered text."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.counting.counter import Threads
from extproc.counting.ids import ENTRY_BYTES, Encoded, TokenIds, find_frame
from extproc.counting.talk import fit
from extproc.counting.tokenizer import HfTokenizer
from extproc.counting.vocabulary import Vocabulary
from extproc.request import Kind
from tests.extproc.counting.templates import ALL, CHATML
from tests.extproc.counting.vocabularies import ENGLISH, small, vocabulary


@pytest.fixture
def threads():
    made = Threads()
    yield made
    made.close()


def of(own, threads):
    return TokenIds(own, threads)


def plain(own, text, *, framed=False):
    return list(own.tokenizer.encode(text, framed=framed))


async def chat(ids, messages, **more):
    found = await ids.find(Kind.CHAT, {"messages": messages, **more})
    return None if found is None else list(array("I", found))


TALK = [
    {"role": "user", "content": "one question"},
    {"role": "assistant", "content": " an answer\n"},
    {"role": "user", "content": "<|im_end|> so be it"},
]


@pytest.mark.parametrize("name", ALL)
async def test_as_the_whole_text_is_encoded(tmp_path, threads, name):
    own = vocabulary(small(tmp_path), ALL[name])
    for count in (1, 3, 3):
        text = own.template.render(fit(TALK[:count], own.template))
        assert await chat(of(own, threads), TALK[:count]) == plain(own, text)


async def test_the_next_turn_costs_the_new_turn_only(tmp_path, threads):
    own = vocabulary(small(tmp_path), CHATML)
    ids = of(own, threads)
    await chat(ids, TALK)
    asked = []

    class Spy(HfTokenizer):
        def encode(self, text, *, framed=False):
            asked.append(text)
            return super().encode(text, framed=framed)

    ids._tokenizer.__class__ = Spy
    more = [*TALK, {"role": "assistant", "content": "fine"}, {"role": "user", "content": "bye"}]
    assert await chat(ids, more) == plain(own, own.template.render(more))
    assert not any("one question" in text for text in asked[:-1])


async def test_long_texts_are_encoded_in_a_thread(tmp_path, threads):
    own = vocabulary(small(tmp_path), CHATML)
    talk = [{"role": "user", "content": ENGLISH}]
    text = own.template.render(talk)
    assert len(text) > own.tokenizer.inline_chars
    assert await chat(of(own, threads), talk) == plain(own, text)


@pytest.mark.parametrize(
    "more",
    [
        {"documents": [{"text": "x"}]},
        {"truncate_prompt_tokens": 5},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]},
        {"messages": [{"role": "user", "content": "x" * 300_000}]},
    ],
)
async def test_what_is_not_known_exactly_is_not_told(tmp_path, threads, more):
    own = vocabulary(small(tmp_path), CHATML)
    assert await of(own, threads).find(Kind.CHAT, {"messages": TALK, **more}) is None


async def test_without_a_template_or_with_another_tokenizer_nothing_is_told(tmp_path, threads):
    own = vocabulary(small(tmp_path), None)
    assert await chat(of(own, threads), TALK) is None

    class Other:
        specials, framing, cuts, inline_chars = (), 0, True, 100

        def count(self, text):
            return len(text)

    assert await of(Vocabulary(Other()), threads).find(Kind.COMPLETIONS, {"prompt": "x"}) is None


async def test_bare_prompts(tmp_path, threads):
    own = vocabulary(small(tmp_path), CHATML)
    ids = of(own, threads)
    found = await ids.find(Kind.COMPLETIONS, {"prompt": "so be it"})
    assert list(array("I", found)) == plain(own, "so be it", framed=True)
    assert list(array("I", await ids.find(Kind.COMPLETIONS, {"prompt": [5, 6]}))) == [5, 6]
    assert await ids.find(Kind.COMPLETIONS, {"prompt": ["a", "b"]}) is None
    assert await ids.find(Kind.COMPLETIONS, {"prompt": [-1]}) is None


def test_the_frame(tmp_path):
    own = small(tmp_path)
    frame = find_frame(HfTokenizer(own) if not hasattr(own, "encode") else own)
    assert frame is not None


@given(st.lists(st.tuples(st.integers(0, 50), st.binary(max_size=400)), max_size=60))
def test_what_is_remembered_is_bounded_and_right(puts):
    most, known, told = 4000, Encoded(4000), {}
    for key, ids in puts:
        known.put(key, ids)
        told[key] = ids
        kept = [*known._young.values(), *known._old.values()]
        assert sum(len(each) + ENTRY_BYTES for each in kept) <= most + 2 * (400 + ENTRY_BYTES)
        for each, expected in told.items():
            assert known.get(each) in (None, expected)
