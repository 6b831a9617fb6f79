"""The mark in system prompts."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.request import Kind
from extproc.safety.injection.canary import CUT, LENGTH, make_canary, plant, watching

MARK = make_canary("key", "acme")


def test_marks_are_keyed_and_stable():
    assert make_canary("key", "acme") == MARK
    assert len({MARK, make_canary("key", "globex"), make_canary("other", "acme")}) == 3
    assert len(MARK) == LENGTH
    assert MARK.isalnum()


@pytest.mark.parametrize(
    ("kind", "document", "member", "place"),
    [
        (Kind.CHAT, {"messages": [{"role": "user", "content": "hi"}]}, "messages", (0, "content")),
        (
            Kind.CHAT,
            {"messages": [{"role": "system", "content": "Be kind."}]},
            "messages",
            (0, "content"),
        ),
        (Kind.RESPONSES, {"instructions": "Be kind."}, "instructions", ()),
        (Kind.MESSAGES, {"system": [{"type": "text", "text": "Be kind."}]}, "system", (1, "text")),
        (Kind.MESSAGES, {}, "system", ()),
    ],
)
def test_it_stands_behind_what_is_there(kind, document, member, place):
    found = plant(kind, document, MARK)[member]
    for step in place:
        found = found[step]
    assert found.endswith(MARK)


def test_what_has_no_system_prompt_has_no_mark():
    assert plant(Kind.COMPLETIONS, {"prompt": "hi"}, MARK) == {}


def stream(*texts):
    chunks = [
        {"id": "x", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
        for text in texts
    ]
    last = {"id": "x", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    return b"".join(f"data: {json.dumps(each)}\n\n".encode() for each in [*chunks, last])


def said(raw):
    found = [json.loads(line[6:]) for line in raw.decode().splitlines() if line.startswith("data:")]
    return "".join(each["choices"][0]["delta"].get("content", "") for each in found)


def watch(raw, sizes=(), *, cuts=True):
    leaks = []
    watched = watching(Kind.CHAT, MARK, cuts=cuts, leaked=lambda: leaks.append(1))
    out, at = b"", 0
    for size in sizes:
        out += watched.feed(raw[at : at + size])
        at += size
    out += watched.feed(raw[at:])
    return out + watched.finish(), len(leaks)


@given(
    st.lists(st.integers(1, LENGTH - 1), max_size=4),
    st.lists(st.integers(1, 200), max_size=8),
    st.booleans(),
)
def test_it_is_found_however_it_is_cut(cuts, sizes, upper):
    text = f"The code is {MARK.upper() if upper else MARK} and more."
    edges = [0, *sorted(12 + cut for cut in set(cuts)), len(text)]
    pieces = [text[left:right] for left, right in pairwise(edges)]
    out, leaks = watch(stream(*pieces), sizes)
    assert (said(out), leaks) == (f"The code is {CUT}", 1)


def test_what_only_begins_like_it_passes_unchanged():
    pieces = [MARK[:5], "x", MARK[: LENGTH - 1], " and ", MARK[:3]]
    out, leaks = watch(stream(*pieces))
    assert (said(out), leaks) == ("".join(pieces), 0)


def test_told_and_not_cut():
    out, leaks = watch(stream("It is ", MARK[:4], MARK[4:], ", you see"), cuts=False)
    assert (said(out), leaks) == (f"It is {MARK}, you see", 1)


def test_an_answer_in_one_piece():
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": f"a {MARK} b"}}]}
    out, leaks = watch(json.dumps(body).encode())
    assert json.loads(out)["choices"][0]["message"]["content"] == f"a {CUT}"
    assert leaks == 1
