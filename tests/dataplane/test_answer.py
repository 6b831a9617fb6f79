"""The Lua answer filter against a plain reference: any chunking of any answer gives the same."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dataplane.filtering import (
    COMPLETE_EVENT,
    JSON,
    SSE,
    AnswerFilter,
    cut,
    document_of,
    events_of,
    expected_strip,
    expected_usage,
    top_level,
)

VLLM = Path(__file__).parents[1] / "fixtures" / "vllm"
STREAMS = sorted(path.stem for path in VLLM.glob("*_stream*.body") if "error" not in path.stem)
DOCUMENTS = sorted(path.stem for path in VLLM.glob("*.body") if path.read_bytes().startswith(b"{"))
MODES = (None, "usage", "continuous")

FILTER = AnswerFilter()

RUN = settings(deadline=None, max_examples=150)

# ---- Generated answers ------------------------------------------------------------------------

TEXT = st.text(
    st.one_of(st.sampled_from('"\\{}[],:/ua0\t'), st.characters(exclude_categories=["Cs", "Cc"])),
    max_size=12,
)
NAMES = st.one_of(
    st.sampled_from(["usage", "choices", "response", "message", "tools"]),
    st.sampled_from(["prompt_tokens", "completion_tokens", "prompt_tokens_details"]),
    st.sampled_from(["input_tokens", "output_tokens", "cache_read_input_tokens"]),
    TEXT,
)
COUNTS = st.one_of(
    st.integers(0, 10**6), st.integers(-5, 10**18), st.floats(allow_nan=False), st.none()
)
SCALARS = st.one_of(COUNTS, st.booleans(), TEXT, st.just('"usage":{"prompt_tokens":9}'))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=10,
)
DETAILS = st.one_of(
    st.none(), VALUES, st.fixed_dictionaries({"cached_tokens": COUNTS, "x": VALUES})
)
USAGES = st.fixed_dictionaries(
    {},
    optional={
        "prompt_tokens": COUNTS,
        "completion_tokens": COUNTS,
        "total_tokens": VALUES,
        "prompt_tokens_details": DETAILS,
        "input_tokens": COUNTS,
        "output_tokens": COUNTS,
        "input_tokens_details": DETAILS,
        "cache_read_input_tokens": COUNTS,
        "cache_creation_input_tokens": COUNTS,
    },
)
TOOLS = st.fixed_dictionaries({"parameters": st.fixed_dictionaries({"usage": USAGES})})
WHOLES = st.fixed_dictionaries(
    {"usage": st.one_of(USAGES, st.none())},
    optional={"tools": st.lists(TOOLS, max_size=2), "id": VALUES, "message": VALUES},
)
MEMBERS = st.one_of(
    st.tuples(st.sampled_from(["response", "message"]), st.one_of(WHOLES, WHOLES, VALUES)),
    st.tuples(st.just("usage"), st.one_of(USAGES, USAGES, st.none(), VALUES)),
    st.tuples(st.just("choices"), st.one_of(st.just([]), VALUES, st.lists(VALUES, max_size=2))),
    st.tuples(NAMES, VALUES),
)
SPACES = st.sampled_from(["", "", " ", "\t", "  "])


@st.composite
def documents(draw):
    """One JSON object as text: names may repeat, be escaped, and stand anywhere."""
    is_ascii = draw(st.booleans())
    space = draw(SPACES)

    def member(name, value):
        quoted = json.dumps(name, ensure_ascii=is_ascii)
        if "\\" not in quoted and draw(st.integers(0, 9)) == 0:
            quoted = quoted.replace("a", "\\u0061")
        text = json.dumps(value, ensure_ascii=is_ascii, separators=("," + space, ":" + space))
        return f"{draw(SPACES)}{quoted}{draw(SPACES)}:{draw(SPACES)}{text}{draw(SPACES)}"

    members = [member(name, value) for name, value in draw(st.lists(MEMBERS, max_size=5))]
    return draw(SPACES) + "{" + (",".join(members) or draw(SPACES)) + "}" + draw(SPACES)


LINES = st.sampled_from(
    [": a comment", "event: x", "id: 7", "data", "dat: 1", "data:", "datum: {}"]
)
DATA = st.one_of(documents(), documents(), st.sampled_from(["[DONE]", '"usage"', "[1]", "{", "}"]))


@st.composite
def streams(draw):
    # Not CR with LF: side by side they would be one line end.
    ends = draw(st.sampled_from([["\n"], ["\r\n"], ["\r"], ["\n", "\r\n"], ["\r", "\r\n"]]))
    end = st.sampled_from(ends)
    out = []
    for _ in range(draw(st.integers(0, 4))):
        lines = draw(st.lists(LINES, max_size=2))
        if draw(st.integers(0, 5)):
            lines.insert(draw(st.integers(0, len(lines))), "data:" + draw(SPACES) + draw(DATA))
        out += [line + draw(end) for line in lines] + [draw(end)]
    if draw(st.booleans()) and out:
        out.pop()  # the last event is not terminated
    return "".join(out).encode()


PLACES = st.one_of(st.just(range(10_000)), st.lists(st.integers(0, 10_000), max_size=30))


@RUN
@given(documents(), PLACES, st.booleans())
def test_usage_of_any_document_in_any_pieces(document, places, is_last_empty):
    body = document.encode()
    chunks = cut(body, places)
    got = FILTER.run(chunks, content_type=JSON, is_last_empty=is_last_empty)
    assert got.usage == expected_usage(body, JSON)
    assert got.body == body
    assert got.is_finished


@RUN
@given(streams(), PLACES, st.sampled_from(MODES), st.booleans())
def test_any_stream_in_any_pieces(body, places, mode, is_last_empty):
    chunks = cut(body, places)
    got = FILTER.run(chunks, strip=mode, is_last_empty=is_last_empty)
    assert got.usage == expected_usage(body, SSE)
    assert got.body == (expected_strip(body, mode) if mode else body)


@RUN
@given(streams(), PLACES, st.sampled_from(MODES[1:]))
def test_no_more_than_the_open_event_is_held_back(body, places, mode):
    chunks = cut(body, places)
    got = FILTER.run(chunks, strip=mode)
    sent = 0
    for i in range(len(chunks)):
        sent += len(got.chunks[i])
        read = b"".join(chunks[: i + 1])
        complete = [event for event in events_of(read) if COMPLETE_EVENT.fullmatch(event)]
        assert sent >= len(expected_strip(b"".join(complete), mode))


@RUN
@given(documents(), st.lists(st.integers(0, 200), max_size=4), PLACES)
def test_a_document_over_several_data_lines(document, line_places, places):
    # Lines may break only where JSON allows space.
    breaks = [place for place in line_places if place < len(document)]
    lines = document
    for place in sorted(breaks, reverse=True):
        try:
            broken = lines[:place] + "\n" + lines[place:]
            if json.loads(broken) != json.loads(lines):
                continue
        except ValueError:
            continue
        lines = broken
    body = "".join(f"data: {line}\n" for line in lines.split("\n")).encode() + b"\n"
    got = FILTER.run(cut(body, places), strip="usage")
    assert got.usage == expected_usage(body, SSE)
    whole = top_level(document)
    if whole.get("choices") == [] and whole.get("usage") is not None:
        assert got.body == b""
    else:
        whole.pop("usage", None)
        assert top_level(document_of(got.body)) == whole


# ---- Answers of a real vLLM -----------------------------------------------------------------------


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [1, 7, 4096])
def test_recorded_streams(name, mode, size):
    body = (VLLM / f"{name}.body").read_bytes()
    got = FILTER.run(cut(body, range(0, len(body), size)), strip=mode)
    assert got.usage == expected_usage(body, SSE)
    assert got.body == (expected_strip(body, mode) if mode else body)
    assert mode is None or got.usage or b'"usage":' not in got.body


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("size", [1, 7, 4096])
def test_recorded_documents(name, size):
    body = (VLLM / f"{name}.body").read_bytes()
    got = FILTER.run(cut(body, range(0, len(body), size)), content_type=JSON)
    assert got.usage == expected_usage(body, JSON)
    assert got.body == body


def plain(body: bytes, *, but_for: tuple[str, ...]) -> list[object]:
    """The events of a stream, choice by choice, without what differs from one recording to the next."""
    body = re.sub(rb"chatcmpl-tool-[0-9a-f]+", b"chatcmpl-tool", body)
    documents = [document_of(event) for event in events_of(body)]
    events = [{k: v for k, v in top_level(d).items() if k not in but_for} or d for d in documents]

    def choice(event: object) -> float:
        choices = event.get("choices") if isinstance(event, dict) else None
        return choices[0]["index"] if choices else float("inf")

    return sorted(events, key=choice)


INJECTED = [name for name in STREAMS if name.endswith("_continuous")]


@pytest.mark.parametrize("name", INJECTED)
def test_a_stripped_stream_is_the_stream_that_was_asked_for(name):
    # system_fingerprint: vLLM moves it from the last content event into the usage event.
    but_for = ("id", "created", "system_fingerprint")
    injected = (VLLM / f"{name}.body").read_bytes()
    asked = (VLLM / f"{name.removesuffix('_continuous')}.body").read_bytes()
    got = FILTER.run([injected], strip="usage")
    assert plain(got.body, but_for=but_for) == plain(asked, but_for=but_for)


@pytest.mark.parametrize("kind", ["chat", "completions"])
def test_continuous_usage_is_stripped_to_usage_at_the_end(kind):
    injected = (VLLM / f"{kind}_stream_continuous.body").read_bytes()
    asked = (VLLM / f"{kind}_stream_usage.body").read_bytes()
    got = FILTER.run([injected], strip="continuous")
    assert len(plain(got.body, but_for=())) == len(plain(asked, but_for=()))
    but_for = ("id", "created")
    stripped, expected = plain(got.body, but_for=but_for), plain(asked, but_for=but_for)
    assert [set(event) for event in stripped] == [set(event) for event in expected]


# ---- Particular cases ---------------------------------------------------------------------------------

USAGE = (
    '"usage":{"prompt_tokens":5,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":2}}'
)
ALL = {"prompt_tokens": 5, "completion_tokens": 7, "cached_tokens": 2}


def fill(text: str) -> str:
    """`@` stands for a usage member, `$` for the same within a string."""
    return text.replace("@", USAGE).replace("$", json.dumps(USAGE)[1:-1])


@pytest.mark.parametrize(
    ("document", "usage"),
    [
        pytest.param("{@}", ALL, id="alone"),
        pytest.param('{"id":"x",@,"z":[1]}', ALL, id="in the middle"),
        pytest.param('{"tools":[{"parameters":{@}}]}', {}, id="in a tool schema"),
        pytest.param('{"content":"{$}"}', {}, id="in a string"),
        pytest.param('{"a":"\\\\",@}', ALL, id="after an escaped backslash"),
        pytest.param('{"a":"\\\\\\"",@}', ALL, id="after an escaped quote"),
        pytest.param('{"logprobs":{"usage":{"prompt_tokens":1}},"usage":null}', {}, id="null"),
        pytest.param("[{@}]", {}, id="in a list"),
        pytest.param('"{$}"', {}, id="a string"),
        pytest.param("{@", ALL, id="cut off after it"),
        pytest.param('{"usage":{"prompt_tokens":5', {}, id="cut off within it"),
        pytest.param('{"usage":{"prompt_tokens":1.5,"completion_tokens":"7"}}', {}, id="no counts"),
        pytest.param('{"usage":{"prompt_tokens":1000000000000000}}', {}, id="more than 15 digits"),
        pytest.param(
            '{"usage":{"details":{"prompt_tokens":3},"prompt_tokens":4}}',
            {"prompt_tokens": 4},
            id="deeper",
        ),
        pytest.param(
            '{"us\\u0061ge":{"prompt_tokens":4}}', {"prompt_tokens": 4}, id="escaped name"
        ),
        pytest.param('{"us\\\\u0061ge":{"prompt_tokens":4}}', {}, id="a backslash in the name"),
        pytest.param("", {}, id="empty"),
        pytest.param("Internal Server Error", {}, id="not JSON"),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 10_000])
def test_what_counts_as_usage(document, usage, size):
    body = fill(document).encode()
    got = FILTER.run(cut(body, range(0, len(body), size)), content_type=JSON)
    assert got.usage == usage


RESPONSE = '"usage":{"input_tokens":5,"input_tokens_details":{"cached_tokens":2},"output_tokens":7}'
FALSE = '"tools":[{"parameters":{"usage":{"input_tokens":99,"prompt_tokens":99}}}]'


@pytest.mark.parametrize(
    ("document", "usage"),
    [
        pytest.param(f"{{{FALSE},{RESPONSE}}}", ALL, id="a response"),
        pytest.param(f'{{"response":{{{FALSE},{RESPONSE}}},"n":1}}', ALL, id="its last event"),
        pytest.param(f'{{"response":{{{FALSE},"usage":null}}}}', {}, id="its first event"),
        pytest.param(f'{{"response":{{{FALSE},{RESPONSE}', ALL, id="cut off after usage"),
        pytest.param(f'{{"item":{{{RESPONSE}}}}}', {}, id="usage within anything else"),
        pytest.param(f'{{"response":[{{{RESPONSE}}}]}}', {}, id="a list"),
        pytest.param(f'{{"response":{json.dumps("{" + RESPONSE + "}")}}}', {}, id="a string"),
        pytest.param(f'{{"response":{{"response":{{{RESPONSE}}}}}}}', {}, id="two levels down"),
        pytest.param(
            '{"type":"message_start","message":{"usage":{"input_tokens":5,"output_tokens":0}}}',
            {"prompt_tokens": 5, "completion_tokens": 0},
            id="the first event of a message",
        ),
        pytest.param(
            '{"usage":{"input_tokens":1,"output_tokens":7,"cache_creation_input_tokens":2,'
            '"cache_read_input_tokens":2},"type":"message_delta"}',
            ALL,
            id="its last: three parts of a prompt",
        ),
        pytest.param('{"usage":{"output_tokens":7}}', {"completion_tokens": 7}, id="output alone"),
        pytest.param('{"message":"no object"}', {}, id="an error"),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 10_000])
def test_what_counts_as_usage_in_an_event(document, usage, size):
    body = f"event: x\ndata: {document}\n\n".encode()
    got = FILTER.run(cut(body, range(0, len(body), size)))
    assert got.usage == usage
    assert got.body == body


def test_the_parts_of_a_prompt_are_never_added_twice():
    """The first event names the prompt whole, the last one in parts."""
    stream = (
        b'data: {"message":{"usage":{"input_tokens":373,"output_tokens":0}}}\n\n'
        b'data: {"usage":{"input_tokens":21,"output_tokens":4,"cache_read_input_tokens":352,'
        b'"cache_creation_input_tokens":0}}\n\n'
    )
    got = FILTER.run([stream])
    assert got.usage == {"prompt_tokens": 373, "completion_tokens": 4, "cached_tokens": 352}


def test_a_whole_answer_in_one_event():
    text = "x" * 3_000_000
    event = f'data: {{"response":{{"output":["{text}"],{FALSE},{RESPONSE}}}}}\n\n'.encode()
    got = FILTER.run(cut(event, range(0, len(event), 16_384)))
    assert got.usage == ALL
    assert got.body == event


DIALECTS = [name for name in DOCUMENTS + STREAMS if re.match("(responses|messages)", name)]


@pytest.mark.parametrize("name", DIALECTS)
def test_recorded_dialects_are_counted(name):
    kind = SSE if "stream" in name else JSON
    got = FILTER.run([(VLLM / f"{name}.body").read_bytes()], content_type=kind)
    assert got.usage["prompt_tokens"] == (373 if "cached" in name else got.usage["prompt_tokens"])
    assert 0 < got.usage["prompt_tokens"] < 999
    assert 0 < got.usage["completion_tokens"] < 999
    assert got.usage["cached_tokens"] == (352 if "cached" in name else got.usage["cached_tokens"])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{@,"id":1}', '{"id":1}'),
        ('{"id":1,@}', '{"id":1}'),
        ('{"id":1,@,"choices":[{}]}', '{"id":1,"choices":[{}]}'),
        ("{@}", "{}"),
        ("{@,@}", "{}"),
        ('{ "id" : 1 , @ , "z" : 2 }', '{ "id" : 1  , "z" : 2 }'),
        (
            '{"choices":[{"delta":{"content":"{$}"}}],@}',
            '{"choices":[{"delta":{"content":"{$}"}}]}',
        ),
    ],
)
def test_commas_after_the_cut(before, after):
    body = f"data: {fill(before)}\n\n".encode()
    got = FILTER.run([body], strip="usage")
    assert got.body == f"data: {fill(after)}\n\n".encode()


def test_continuous_keeps_the_last_event_and_the_order():
    stream = [
        b'data: {"choices":[{"delta":{}}],"usage":{"prompt_tokens":5,"completion_tokens":1}}\n\n',
        b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\n',
        b"data: [DONE]\n\n",
    ]
    got = FILTER.run(stream, strip="continuous")
    assert got.chunks[0] == b'data: {"choices":[{"delta":{}}]}\n\n'
    assert got.chunks[1:3] == stream[1:]
    assert got.usage == {"prompt_tokens": 5, "completion_tokens": 2}


def test_usage_so_far_is_there_after_every_chunk():
    stream = [
        b'data: {"choices":[{}],"usage":{"prompt_tokens":5,"completion_tokens":1}}\n\n',
        b'data: {"choices":[{}],"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\ndata: {"cho',
    ]
    assert FILTER.run(stream[:1]).usage["completion_tokens"] == 1
    got = FILTER.run(stream)
    assert got.usage["completion_tokens"] == 2
    assert got.sets == 3, "only counts that changed are written"


def test_a_torn_crlf_of_a_dropped_event_is_dropped():
    event = b'data: {"choices":[],"usage":{"prompt_tokens":5}}\r\n\r'
    got = FILTER.run([event, b"\ndata: [DONE]\r\n\r", b"\n"], strip="usage")
    assert got.chunks == [b"", b"data: [DONE]\r\n\r", b"\n", b""]


def event_of(size: int, usage: str = USAGE) -> bytes:
    content = "x\\n" * (size // 3)
    return f'data: {{"choices":[{{"delta":{{"content":"{content}"}}}}],{usage}}}\n\n'.encode()


@pytest.mark.parametrize("size", [1000, 16_384])
def test_an_event_of_2_mb(size):
    body = event_of(2_000_000) + b"data: [DONE]\n\n"
    got = FILTER.run(cut(body, range(0, len(body), size)), strip="usage")
    assert got.body == body.replace(f",{USAGE}".encode(), b"")
    assert got.usage == ALL


def test_an_endless_event_passes_and_stripping_goes_on_after_it():
    monster, small = event_of(5_000_000), event_of(100)
    body = monster + small
    got = FILTER.run(cut(body, range(0, len(body), 65_536)), strip="usage")
    assert got.body == monster + small.replace(f",{USAGE}".encode(), b"")
    assert got.usage == ALL
    held = 0
    for read, sent in zip(cut(body, range(0, len(body), 65_536)), got.chunks, strict=False):
        held += len(read) - len(sent)
        assert held <= 4 * 1024 * 1024 + 65_536
    assert FILTER.run([body], strip="usage").body == got.body, "in one piece as in many"


def test_a_large_document():
    vector = ",".join(["-0.0123456789"] * 1536)
    rows = ",".join(f'{{"embedding":[{vector}]}}' for _ in range(400))
    body = f'{{"data":[{rows}],"usage":{{"prompt_tokens":9}}}}'.encode()
    got = FILTER.run(cut(body, range(0, len(body), 65_536)), content_type=JSON)
    assert got.usage == {"prompt_tokens": 9}


@pytest.mark.parametrize(
    ("content_type", "is_read"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("text/event-stream", True),
        ("TEXT/event-stream;charset=utf-8", True),
        ("application/json-seq", False),
        ("application/jsonl", False),
        ("text/event-streams", False),
        ("text/plain; version=0.0.4", False),
        ("audio/wav", False),
        ("", False),
    ],
)
def test_only_json_and_streams_are_read(content_type, is_read):
    body = fill("{@}").encode()
    if "stream" in content_type.lower():
        body = b"data: " + body + b"\n\n"
    got = FILTER.run([body], content_type=content_type)
    assert got.body == body
    assert got.usage == (ALL if is_read else {})


def test_compressed_answers_are_left_alone():
    got = FILTER.run([b"\x1f\x8b"], strip="usage", content_encoding="gzip", content_length="2")
    assert got.body == b"\x1f\x8b"
    assert got.headers["content-length"] == "2"


def test_a_stripped_stream_makes_no_promise_of_length():
    assert "content-length" not in FILTER.run([b"x"], strip="usage", content_length="1").headers
    assert FILTER.run([b"x"], content_length="1").headers["content-length"] == "1"


def test_json_is_never_stripped():
    body = fill("{@}").encode()
    assert FILTER.run([body], strip="usage", content_type=JSON).body == body
