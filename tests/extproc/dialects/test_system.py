"""The operator's system prompt, in every dialect: first, and always the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.dialects.system import prepend_system
from extproc.request import Kind

OURS = "Be kind."
USER = {"role": "user", "content": "hi"}


def chat(*messages):
    return prepend_system(Kind.CHAT, {"messages": list(messages)}, OURS)["messages"]


def system(content, role="system", **more):
    return {"role": role, "content": content, **more}


@pytest.mark.parametrize(
    ("messages", "first"),
    [
        ([USER], system(OURS)),
        ([system("Be brief."), USER], system(f"{OURS}\n\nBe brief.")),
        ([system("Be brief.", "developer"), USER], system(f"{OURS}\n\nBe brief.")),
        ([system("", name="x"), USER], system(OURS, name="x")),
        ([system(None), USER], system(OURS)),
        ([system([]), USER], system(OURS)),
        ([{"role": "system"}, USER], system(OURS)),
        (
            [system([{"type": "text", "text": "Be brief."}]), USER],
            system(
                [{"type": "text", "text": f"{OURS}\n\n"}, {"type": "text", "text": "Be brief."}]
            ),
        ),
    ],
)
def test_chat(messages, first):
    found = chat(*messages)
    assert found[0] == first
    assert found[1:] == [USER]


def test_a_later_system_message_stays_where_it_is():
    messages = [USER, system("Be brief."), USER]
    assert chat(*messages) == [system(OURS), *messages]


def test_what_was_sent_is_not_changed():
    messages = [system("Be brief."), USER]
    document = {"messages": messages}
    prepend_system(Kind.CHAT, document, OURS)
    assert document == {"messages": [system("Be brief."), USER]}
    assert document["messages"] is messages


@pytest.mark.parametrize("kind", [Kind.RESPONSES, Kind.MESSAGES, Kind.COUNT_TOKENS])
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, OURS),
        (None, OURS),
        ("", OURS),
        ("Be brief.", f"{OURS}\n\nBe brief."),
    ],
)
def test_a_member_of_its_own(kind, given, expected):
    name = "instructions" if kind is Kind.RESPONSES else "system"
    document = {} if given == {} else {name: given}
    assert prepend_system(kind, document, OURS) == {name: expected}


def test_blocks_of_messages():
    theirs = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    found = prepend_system(Kind.MESSAGES, {"system": theirs}, OURS)["system"]
    assert found == [{"type": "text", "text": f"{OURS}\n\n"}, *theirs]


@pytest.mark.parametrize("kind", [Kind.COMPLETIONS, Kind.EMBEDDINGS])
def test_operations_without_a_system_prompt(kind):
    assert prepend_system(kind, {"prompt": "x", "input": "x"}, OURS) == {}


@given(
    st.lists(
        st.builds(
            lambda role, content: {"role": role, "content": content},
            st.sampled_from(["system", "developer", "user", "assistant"]),
            st.text(max_size=9),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_every_conversation_begins_alike(messages):
    found = chat(*messages)
    assert found[0]["role"] == "system"
    assert found[0]["content"].startswith(OURS)
    assert len(found) - len(messages) == (messages[0]["role"] not in ("system", "developer"))
