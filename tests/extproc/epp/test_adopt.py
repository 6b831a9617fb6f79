import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.epp.adopt import MOST_LETTERS, REWRITE_HEADER, Adopt, read_model
from extproc.request import Body, Identity, Kind, Model, Operation, Payload, Prompt
from tests.extproc.requests import bare

CHAT = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}]}'


async def adopt(raw, *, method="POST", path="/v1/chat/completions", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = bare(method=method, path=path, headers=named).having(Body(raw))
    return await Adopt("p").decide(request)


async def test_a_prompt_is_read():
    request = await adopt(CHAT)
    assert request.fact(Operation).kind is Kind.CHAT
    assert request.fact(Prompt).model == "m"
    assert request.fact(Model) == Model(name="m", pool="p", served_as="m")
    assert request.fact(Payload).raw is request.fact(Body).raw
    assert request.fact(Identity).tenant == ""


@pytest.mark.parametrize(
    ("raw", "model"),
    [
        (b"", ""),
        (b"{", ""),
        (b"[1]", ""),
        (b'"x"', ""),
        (b"{}", ""),
        (b'{"model": 7}', ""),
        (b'{"model": null, "messages": 1}', ""),
        (b' \n{"model": "m", "messages": "not a list"}', "m"),
        (b'{"model": "m", "n": ' + b"[" * 100_000, ""),
        (b'{"model": "\xff"}', ""),
        (b"\x89PNG", ""),
    ],
)
async def test_what_is_no_prompt_is_adopted_all_the_same(raw, model):
    request = await adopt(raw)
    assert request.find(Prompt) is None
    assert request.fact(Model).name == model
    assert request.fact(Payload).raw == raw


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/elsewhere"])
async def test_what_is_too_long_for_a_name_is_none(path):
    """All workers are told of models, and remember them; this one would be told of in 5 MB."""
    long = b"m" * 5_000_000
    request = await adopt(CHAT.replace(b'"m"', b'"%s"' % long), path=path)
    assert request.fact(Model) == Model(name="", pool="p", served_as="")
    assert long in request.fact(Payload).raw, "what the engine says to it is the engine's business"
    longest = CHAT.replace(b'"m"', b'"%s"' % (b"m" * MOST_LETTERS))
    assert (await adopt(longest, path=path)).fact(Model).name == "m" * MOST_LETTERS


async def test_what_would_steer_a_terminal_is_no_name():
    """`headgate endpoints` says which model fails."""
    raw = CHAT.replace(b'"m"', rb'"m\u001b[2J"')
    request = await adopt(raw)
    assert request.fact(Model).name == ""
    assert request.fact(Payload).raw == raw


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models"),
        ("GET", "/v1/chat/completions"),
        ("POST", "/x"),
        ("", ""),
        ("PUT", "/"),
    ],
)
async def test_any_method_and_path(method, path):
    request = await adopt(CHAT, method=method, path=path)
    assert request.find(Prompt) is None
    assert request.fact(Model).name == "m"


async def test_another_model_is_asked_for_and_nothing_else_changes():
    raw = b'{"b": 1.50, "model": "m", "prompt": "\\u00e9", "big": 1' + b"0" * 40 + b', "model2": 1}'
    request = await adopt(raw, path="/v1/completions", **{REWRITE_HEADER: 'n"2'})
    expected = raw.replace(b'"m"', b'"n\\"2"').replace(b": ", b":").replace(b", ", b",")
    assert request.fact(Payload).raw == expected
    assert request.fact(Model).served_as == request.fact(Prompt).document["model"] == 'n"2'


@pytest.mark.parametrize("raw", [b"", b"{}", b"no json"])
async def test_where_no_model_is_named_none_is_put(raw):
    request = await adopt(raw, **{REWRITE_HEADER: "n"})
    assert request.fact(Payload).raw == raw
    assert request.fact(Model).name == ""


@given(st.binary(max_size=200))
def test_any_bytes(raw):
    assert isinstance(read_model(raw), str)


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(), max_size=5), st.text())
def test_the_model_of_any_object_is_found(document, model):
    document["model"] = model
    try:
        raw = msgspec.json.encode(document)
    except (OverflowError, UnicodeEncodeError):
        return
    assert read_model(raw) == model
