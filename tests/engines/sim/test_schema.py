import msgspec
import pytest

from engines.sim import schema


def test_members_nobody_knows_are_ignored():
    body = msgspec.json.decode(b'{"messages":[],"nobody":{"knows":[1]}}', type=schema.ChatBody)
    assert body == schema.ChatBody(messages=[])


def test_nulls_are_taken_where_vllm_takes_them():
    raw = b"""{"prompt":"a","model":null,"x_sim":null,"max_tokens":null,"n":null,"stream":null,
        "stream_options":null,"stop":null,"seed":null,"temperature":null,"top_p":null,
        "cache_salt":null,"request_id":null}"""
    body = msgspec.json.decode(raw, type=schema.CompletionBody)
    assert (body.prompt, body.n, body.stream) == ("a", None, None)


@pytest.mark.parametrize("role", ["", "a b", "<|end|>", "x" * 33])
def test_a_role_is_one_word(role: str):
    with pytest.raises(msgspec.ValidationError, match=r"messages\[0\]\.role"):
        msgspec.convert({"messages": [{"role": role}]}, schema.ChatBody)


@pytest.mark.parametrize("delay_ms", [-1, 3_600_001, "5"])
def test_a_delay_is_between_nothing_and_an_hour(delay_ms: object):
    with pytest.raises(msgspec.ValidationError, match="ttft_ms"):
        msgspec.convert({"ttft_ms": delay_ms}, schema.Sim)


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("Expected `object`, got `array`", "body"),
        ("Expected `int`, got `str` - at `$.n`", "body.n"),
        ("Expected `str`, got `int` - at `$.messages[1].role`", "body.messages.1.role"),
        ("Expected `int`, got `str` - at `$.prompt[...]`", "body.prompt...."),
        ("Object missing required field `messages`", "body.messages"),
        ("Object missing required field `role` - at `$.messages[0]`", "body.messages.0.role"),
    ],
)
def test_the_field_that_is_wrong(message: str, field: str):
    assert schema.field_of(message) == field


@pytest.mark.parametrize(
    ("message", "place"),
    [
        ("Input data was truncated", "body.4"),
        ("JSON is malformed: invalid character (byte 12)", "body.12"),
        ("anything else", "body"),
    ],
)
def test_the_place_where_json_ends(message: str, place: str):
    assert schema.place_of(message, b"1234") == place
