"""Rules for parameters: forbidden, set, bounded, said to the system."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.decision import Deny
from extproc.errors import Reason
from extproc.filters.parameters import Parameters, move
from extproc.policy.catalog import Bounds, ParameterRule
from extproc.request import Identity, Kind, Model, Operation, Prompt
from tests.extproc.requests import BARE

USER = {"role": "user", "content": "hi"}
BODIES = {
    Kind.CHAT: {"messages": [USER]},
    Kind.COMPLETIONS: {"prompt": "x"},
    Kind.EMBEDDINGS: {"input": "x"},
    Kind.RESPONSES: {"input": "x"},
    Kind.MESSAGES: {"messages": [USER], "max_tokens": 1000},
    Kind.COUNT_TOKENS: {"messages": [USER]},
}


async def apply(rules, sent, kind=Kind.CHAT, groups=(), **facts):
    """Return the prompt that goes on, or the refusal."""
    prompt = Prompt({"model": "org/llama", **BODIES[kind], **sent}, "llama", **facts)
    request = (
        BARE.having(Operation(kind))
        .having(Identity("acme", "k", groups=frozenset(groups)))
        .having(prompt)
        .having(Model("llama", "p", "org/llama"))
    )
    table = {"llama": [ParameterRule.model_validate(rule) for rule in rules]}
    found = await Parameters(table).decide(request)
    return found if isinstance(found, Deny) else found.fact(Prompt)


async def changed(rules, sent, kind=Kind.CHAT, groups=()):
    """Return what stands in the body beside what every body has."""
    document = (await apply(rules, sent, kind, groups)).document
    given = {"model": "org/llama", **BODIES[kind]}
    return {name: value for name, value in document.items() if value != given.get(name)}


@pytest.mark.parametrize(
    ("rule", "sent", "expected"),
    [
        # Defaults.
        ({"defaults": {"temperature": 0.2}}, {}, {"temperature": 0.2}),
        ({"defaults": {"temperature": 0.2}}, {"temperature": 1}, {"temperature": 1}),
        ({"defaults": {"temperature": 0.2}}, {"temperature": 0}, {"temperature": 0}),
        ({"defaults": {"temperature": 0.2}}, {"temperature": None}, {"temperature": 0.2}),
        ({"defaults": {"top_k": 40, "x": {"a": [1]}}}, {}, {"top_k": 40, "x": {"a": [1]}}),
        ({"defaults": {"max_tokens": 50}}, {}, {"max_tokens": 50}),
        ({"defaults": {"max_tokens": 50}}, {"max_tokens": 9}, {"max_tokens": 9}),
        (
            {"defaults": {"max_tokens": 50}},
            {"max_completion_tokens": 9},
            {"max_completion_tokens": 9},
        ),
        ({"defaults": {"max_completion_tokens": 50}}, {"max_tokens": 9}, {"max_tokens": 9}),
        # Clamps.
        ({"clamp": {"temperature": {"max": 1}}}, {"temperature": 2}, {"temperature": 1}),
        ({"clamp": {"temperature": {"max": 1}}}, {"temperature": 0.5}, {"temperature": 0.5}),
        ({"clamp": {"temperature": {"min": 0.5}}}, {"temperature": 0}, {"temperature": 0.5}),
        ({"clamp": {"temperature": {"max": 1}}}, {}, {}),
        ({"clamp": {"temperature": {"max": 1}}}, {"temperature": None}, {}),
        ({"clamp": {"n": {"min": 2.0, "max": 2.0}}}, {"n": 9}, {"n": 2}),
        ({"clamp": {"max_tokens": {"max": 50}}}, {"max_tokens": 99}, {"max_tokens": 50}),
        (
            {"clamp": {"max_tokens": {"max": 50}}},
            {"max_completion_tokens": 99},
            {"max_completion_tokens": 50},
        ),
        (
            {"clamp": {"max_completion_tokens": {"max": 50}}},
            {"max_tokens": 99, "max_completion_tokens": 10},
            {"max_tokens": 50, "max_completion_tokens": 10},
        ),
        (
            {"clamp": {"max_completion_tokens": {"max": 50}, "max_tokens": {"max": 20}}},
            {"max_tokens": 99},
            {"max_tokens": 20},
        ),
        # Who asks for no length at all does not get more than who asks for too much.
        ({"clamp": {"max_tokens": {"max": 50}}}, {}, {"max_tokens": 50}),
        ({"clamp": {"max_tokens": {"max": 50}}}, {"max_tokens": None}, {"max_tokens": 50}),
        ({"clamp": {"max_tokens": {"min": 50}}}, {}, {}),
        # Both.
        (
            {"defaults": {"max_tokens": 500}, "clamp": {"max_tokens": {"max": 50}}},
            {},
            {"max_tokens": 50},
        ),
    ],
)
async def test_chat(rule, sent, expected):
    assert await changed([rule], sent) == expected


@pytest.mark.parametrize(
    ("kind", "rule", "sent", "expected"),
    [
        (Kind.RESPONSES, {"defaults": {"max_tokens": 50}}, {}, {"max_output_tokens": 50}),
        (
            Kind.RESPONSES,
            {"clamp": {"max_tokens": {"max": 50}}},
            {"max_output_tokens": 99},
            {"max_output_tokens": 50},
        ),
        (Kind.RESPONSES, {"clamp": {"max_tokens": {"max": 50}}}, {}, {"max_output_tokens": 50}),
        (Kind.MESSAGES, {"clamp": {"max_completion_tokens": {"max": 50}}}, {}, {"max_tokens": 50}),
        (Kind.MESSAGES, {"defaults": {"max_tokens": 50}}, {}, {}),
        # Completions have 16 tokens when nobody says anything.
        (Kind.COMPLETIONS, {"clamp": {"max_tokens": {"max": 50}}}, {}, {}),
        (Kind.COMPLETIONS, {"clamp": {"max_tokens": {"max": 9}}}, {}, {"max_tokens": 9}),
        (Kind.COMPLETIONS, {"clamp": {"max_tokens": {"min": 20}}}, {}, {"max_tokens": 20}),
        (Kind.COMPLETIONS, {"defaults": {"max_completion_tokens": 5}}, {}, {"max_tokens": 5}),
        (
            Kind.COMPLETIONS,
            {"clamp": {"max_tokens": {"max": 9}}},
            {"max_tokens": 0},
            {"max_tokens": 0},
        ),
        # Nothing is generated.
        (Kind.EMBEDDINGS, {"defaults": {"max_tokens": 5}}, {}, {}),
        (
            Kind.EMBEDDINGS,
            {"clamp": {"max_tokens": {"max": 5}}},
            {"max_tokens": 9},
            {"max_tokens": 9},
        ),
        (Kind.EMBEDDINGS, {"defaults": {"dimensions": 64}}, {}, {"dimensions": 64}),
        (Kind.COUNT_TOKENS, {"defaults": {"max_tokens": 5, "temperature": 0}}, {}, {}),
        # A system prompt, where there is such a thing.
        (Kind.COMPLETIONS, {"system_prompt": "Be kind."}, {}, {}),
        (Kind.EMBEDDINGS, {"system_prompt": "Be kind."}, {}, {}),
        (Kind.RESPONSES, {"system_prompt": "Be kind."}, {}, {"instructions": "Be kind."}),
        (Kind.MESSAGES, {"system_prompt": "Be kind."}, {}, {"system": "Be kind."}),
        (Kind.COUNT_TOKENS, {"system_prompt": "Be kind."}, {}, {"system": "Be kind."}),
    ],
)
async def test_every_operation_in_its_own_words(kind, rule, sent, expected):
    assert await changed([rule], sent, kind) == expected


@pytest.mark.parametrize(
    ("groups", "temperature"),
    [((), 0.1), (("interns",), 0.2), (("staff",), 0.3), (("staff", "interns"), 0.3)],
)
async def test_rules_of_groups_and_their_order(groups, temperature):
    rules = [
        {"defaults": {"temperature": 0.5}},
        {"clamp": {"temperature": {"max": 0.1}}},
        {"groups": ["interns", "others"], "clamp": {"temperature": {"min": 0.2}}},
        {"groups": ["staff"], "clamp": {"temperature": {"min": 0.3}}},
    ]
    assert await changed(rules, {}, groups=groups) == {"temperature": temperature}


@pytest.mark.parametrize(
    ("kind", "applies"),
    [(Kind.CHAT, False), (Kind.MESSAGES, True), (Kind.COUNT_TOKENS, True), (Kind.RESPONSES, True)],
)
async def test_rules_of_operations(kind, applies):
    rule = {"operations": ["messages", "responses"], "forbid": ["seed"]}
    assert isinstance(await apply([rule], {"seed": 1}, kind), Deny) is applies


async def test_another_model_has_other_rules():
    request = (
        BARE.having(Operation(Kind.CHAT))
        .having(Identity("acme", "k"))
        .having(Prompt({"messages": [USER]}, "m"))
        .having(Model("m", "p", "m"))
    )
    rules = {"llama": [ParameterRule(forbid=("seed",))]}
    assert await Parameters(rules).decide(request) is request
    assert await Parameters({"m": []}).decide(request) is request


@pytest.mark.parametrize(
    ("forbid", "sent", "facts"),
    [
        ("logprobs", {"logprobs": True}, {}),
        ("logprobs", {"logprobs": False}, {}),
        ("seed", {"seed": 0}, {}),
        ("top_k", {"top_k": "any"}, {}),
        ("stream", {"stream": True}, {"stream": True}),
        ("stream_options", {"stream_options": {}}, {}),
    ],
)
async def test_what_is_forbidden_is_named(forbid, sent, facts):
    denied = await apply([{"forbid": ["x", forbid]}], sent, **facts)
    assert (denied.reason, denied.param) == (Reason.FORBIDDEN_PARAMETER, forbid)
    assert repr(forbid) in denied.message


@pytest.mark.parametrize(
    ("forbid", "sent"),
    [("logprobs", {}), ("logprobs", {"logprobs": None}), ("stream", {"stream": False})],
)
async def test_what_is_not_sent_is_not_forbidden(forbid, sent):
    assert await changed([{"forbid": [forbid]}], {}) == {}
    assert not isinstance(await apply([{"forbid": [forbid]}], sent), Deny)


async def test_a_default_of_another_rule_is_not_forbidden():
    rules = [{"defaults": {"seed": 1}}, {"forbid": ["seed"]}]
    assert await changed(rules, {}) == {"seed": 1}
    assert isinstance(await apply(rules, {"seed": 1}), Deny)


@pytest.mark.parametrize("value", ["100", [1], {}, True])
async def test_what_cannot_be_bounded_is_refused(value):
    """Engines would read "100" as 100, and the bound would be none."""
    denied = await apply([{"clamp": {"top_k": {"max": 50}}}], {"top_k": value})
    assert (denied.reason, denied.param) == (Reason.INVALID_REQUEST, "top_k")


async def test_the_system_prompts_of_several_rules_are_one():
    rules = [
        {"system_prompt": "Be kind."},
        {"groups": ["interns"], "system_prompt": "Be brief."},
    ]
    theirs = {"role": "system", "content": "Be funny."}
    for groups, ours in (((), "Be kind."), (("interns",), "Be kind.\n\nBe brief.")):
        found = await apply(rules, {"messages": [theirs, USER]}, groups=groups)
        first = {"role": "system", "content": f"{ours}\n\nBe funny."}
        assert found.document["messages"] == [first, USER]


async def test_the_number_of_answers_is_known_as_it_will_be():
    """The engine counts a prompt once for each answer: what settle knows must be what was sent on."""
    assert (await apply([{"clamp": {"n": {"max": 2}}}], {"n": 8}, n=8)).n == 2
    assert (await apply([{"defaults": {"n": 3}}], {})).n == 3
    assert (await apply([{"clamp": {"n": {"max": 2}}}], {"n": 1}, n=1)).n == 1
    assert (await apply([{"defaults": {"n": 3}}], {}, Kind.RESPONSES)).n == 1


async def test_all_else_stays():
    facts = {"stream": True, "wants_usage": True, "wants_continuous_usage": True}
    found = await apply([{"defaults": {"seed": 1}}], {"stream": True}, **facts)
    expected = {"model": "org/llama", "messages": [USER], "stream": True, "seed": 1}
    assert found == Prompt(expected, "llama", **facts)


NUMBERS = st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_a_number_is_moved_as_little_as_possible(value, one, other):
    low, high = sorted((one, other))
    moved = move(value, Bounds(min=low, max=high))
    assert low <= moved <= high
    assert moved in (value, low, high)
    assert moved == value or not low <= value <= high
    assert move(moved, Bounds(min=low, max=high)) == moved


@given(
    st.dictionaries(
        st.sampled_from(["max_tokens", "max_completion_tokens", "temperature", "top_k"]),
        st.none() | st.integers(1, 10**6) | st.text(max_size=3),
    ),
    st.integers(1, 500),
)
async def test_no_spelling_escapes_the_bound(sent, most):
    found = await apply([{"clamp": {"max_tokens": {"max": most}}}], sent)
    if isinstance(found, Deny):
        assert isinstance(sent[found.param], str)
        return
    asked = [found.document.get(name) for name in ("max_tokens", "max_completion_tokens")]
    assert any(asked)
    assert all(each is None or each <= most for each in asked)


async def test_what_goes_on_is_json():
    rule = {"defaults": {"x": {"a": [1, 0.5, "b", True]}}, "clamp": {"y": {"max": 0.5}}}
    found = await apply([rule], {"y": 3})
    assert msgspec.json.decode(msgspec.json.encode(found.document)) == found.document


@pytest.mark.parametrize(
    ("kind", "sent", "name"),
    [
        (Kind.CHAT, {"prompt_logprobs": 0}, "prompt_logprobs"),
        (Kind.CHAT, {"return_token_ids": True}, "return_token_ids"),
        (Kind.CHAT, {"return_prompt_text": 1}, "return_prompt_text"),
        (Kind.CHAT, {"return_prompt_token_ids": "yes"}, "return_prompt_token_ids"),
        (Kind.CHAT, {"echo": True, "add_generation_prompt": False}, "echo"),
        (Kind.RESPONSES, {"enable_response_messages": True}, "enable_response_messages"),
        (Kind.CHAT, {"prompt_logprobs": None, "echo": False, "return_token_ids": False}, None),
        (Kind.COMPLETIONS, {"echo": True, "prompt_logprobs": 1}, None),
    ],
)
async def test_what_has_an_engine_tell_the_system_prompt(kind, sent, name):
    found = await apply([{"system_prompt": "Be kind."}], sent, kind)
    assert (found.param if isinstance(found, Deny) else None) == name
    if name:
        assert found.reason is Reason.FORBIDDEN_PARAMETER
    # Nothing of the operator's is there to be told, or the operator wants it to be.
    assert not isinstance(await apply([{"defaults": {"top_k": 1}}], sent, kind), Deny)
    wanted = {"defaults": {"return_token_ids": True}, "system_prompt": "Be kind."}
    assert not isinstance(await apply([wanted], {}, kind), Deny)


@pytest.mark.parametrize("value", [-1, 1, 0.5, "-1", [0, -1], True, {}])
async def test_who_goes_first_is_not_for_clients_to_say(value):
    for rules in ([], [{"system_prompt": "Be kind."}], [{"defaults": {"priority": 3}}]):
        found = await apply(rules, {"priority": value})
        assert (found.reason, found.param) == (Reason.FORBIDDEN_PARAMETER, "priority")


@pytest.mark.parametrize(
    ("rules", "sent", "goes"),
    [
        ([], 0, 0),
        ([], None, None),
        ([{"clamp": {"priority": {"min": 0}}}], 7, 7),
        ([{"clamp": {"priority": {"min": 0}}}], -7, 0),
        ([{"defaults": {"priority": 3}}], None, 3),
    ],
)
async def test_unless_a_rule_says_how_far(rules, sent, goes):
    assert (await apply(rules, {"priority": sent})).document["priority"] == goes
