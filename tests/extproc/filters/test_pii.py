"""The filter: who pays, what leaves, what is told, and what comes back."""

import json
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.decision import Deny
from extproc.errors import DetectorError, Reason
from extproc.filter import AnswerMode
from extproc.filters.pii import LONG_CHARS, MANY_PLACES, Pii, Screen, Screened
from extproc.request import Identity, Kind, Model, Operation, Prompt
from extproc.safety.masked import Masked
from extproc.safety.pii.engine import shipped
from extproc.safety.pii.finding import Finding
from extproc.safety.pii.own import Own
from extproc.safety.pii.rules import Rule
from tests.extproc.filters.unchanged import facts
from tests.extproc.large import watch_prompt
from tests.extproc.requests import bare

KEY = "k" * 32
MAIL, PHONE = "mona@example.org", "13800138000"
MASK = (Rule({"all": "mask"}),)


class Meter:
    def __init__(self):
        self.told = []

    def found(self, kind, action, count):
        self.told.append((kind, action, count))


class Audit:
    def __init__(self):
        self.records = []

    def write(self, record):
        self.records.append(record)


class Names:
    """A detector that knows one name."""

    def __init__(self, fault=None):
        self.asked = []
        self._fault = fault

    async def find(self, texts):
        self.asked.append(list(texts))
        if self._fault:
            raise self._fault
        return [
            [Finding("person", text.find("Mona"), text.find("Mona") + 4)] if "Mona" in text else []
            for text in texts
        ]


def screen(rules=MASK, **members):
    return Screen(rules, shipped(), key=KEY, **members)


def ask(document, kind=Kind.CHAT, tenant="acme"):
    request = bare(path="/v1/chat/completions")
    for fact in (
        Operation(kind),
        Identity(tenant, "key1", user="u1"),
        Model("m", "pool", "m"),
        Prompt({"model": "m", **document}, "m"),
    ):
        request = request.having(fact)
    return request


def chat(*texts, **members):
    return {"messages": [{"role": "user", "content": text} for text in texts], **members}


def sent(request):
    return json.dumps(request.fact(Prompt).document, ensure_ascii=False)


async def test_a_value_is_masked_and_may_come_back():
    request = await Pii(screen()).decide(ask(chat(f"write to {MAIL}, {PHONE}")))
    assert MAIL not in sent(request)
    assert PHONE not in sent(request)
    masked = request.fact(Masked)
    assert sorted(masked.values.values()) == sorted([MAIL, PHONE])
    assert masked.counts == {"email": 1, "phone": 1}
    assert all(placeholder in sent(request) for placeholder in masked.values)
    assert request.witness()["pii"] == "masked=2"


async def test_the_answer_has_the_value_again():
    audit = Audit()
    pii = Pii(screen(), audit=audit)
    request = await pii.decide(ask(chat(f"write to {MAIL}")))
    (placeholder,) = request.fact(Masked).values
    answer = json.dumps({"choices": [{"message": {"content": f"done: {placeholder}"}}]}).encode()
    transform = pii.transform(request)
    out = transform.feed(answer) + transform.finish()
    assert json.loads(out)["choices"][0]["message"]["content"] == f"done: {MAIL}"
    assert [record.action for record in audit.records] == ["pii.masked", "pii.unmasked"]


async def test_nothing_is_touched_where_nothing_is_found_or_no_rule_is():
    request = ask(chat("hello"))
    assert facts(await Pii(screen()).decide(request)) == facts(request)
    request = ask(chat(MAIL), tenant="globex")
    assert (
        await Pii(screen((Rule({"all": "mask"}, frozenset({"acme"})),))).decide(request) is request
    )
    assert Pii(screen()).transform(request) is None


@pytest.mark.parametrize(
    ("rules", "kind", "mode"),
    [
        (MASK, Kind.CHAT, AnswerMode.STREAMED),
        (MASK, Kind.EMBEDDINGS, AnswerMode.NONE),
        (MASK, Kind.COUNT_TOKENS, AnswerMode.NONE),
        ((Rule({"all": "redact"}),), Kind.CHAT, AnswerMode.NONE),
        ((Rule({"all": "mask"}, frozenset({"globex"})),), Kind.CHAT, AnswerMode.NONE),
    ],
)
def test_only_those_who_may_have_something_masked_pay(rules, kind, mode):
    assert Pii(screen(rules)).wish(ask({}, kind)) is mode


async def test_a_refusal_tells_no_value():
    meter, audit = Meter(), Audit()
    rules = (Rule({"email": "deny", "phone": "tag"}),)
    denied = await Pii(screen(rules), "deny", meter, audit).decide(
        ask(chat("x", f"{MAIL} {PHONE}"))
    )
    assert isinstance(denied, Deny)
    assert (denied.reason, denied.param) == (Reason.PERSONAL, "messages[1].content")
    assert MAIL not in denied.message
    assert sorted(meter.told) == [("email", "deny", 1), ("phone", "tag", 1)]
    (record,) = audit.records
    assert (record.action, record.outcome, record.actor) == ("pii.denied", "denied", "u1")
    assert dict(record.members) == {"email.deny": 1, "phone.tag": 1}
    assert MAIL not in str(record)


async def test_what_is_only_counted_leaves_as_it_came():
    request = await Pii(screen((Rule({"all": "tag"}),))).decide(ask(chat(MAIL)))
    assert MAIL in sent(request)
    assert request.find(Masked) is None
    assert request.fact(Screened).witness() == {"pii": "tagged=1"}


async def test_speakers_have_their_own_rules():
    rules = (Rule({"email": "redact"}, speakers=frozenset({"tool"})),)
    messages = [{"role": "user", "content": MAIL}, {"role": "tool", "content": MAIL}]
    request = await Pii(screen(rules)).decide(ask({"messages": messages}))
    assert [each["content"] for each in request.fact(Prompt).document["messages"]] == [
        MAIL,
        "[EMAIL]",
    ]


async def test_ten_turns_begin_alike():
    pii, turns, before = Pii(screen()), [], ""
    for number in range(10):
        turns.append(f"turn {number}: {MAIL} and {PHONE} and n{number}@example.org")
        request = await pii.decide(ask(chat(*turns)))
        messages = json.dumps(request.fact(Prompt).document["messages"])
        assert messages.startswith(before.removesuffix("]"))
        before = messages


async def test_placeholders_of_others_and_of_ones_own_never_resolve():
    """Whatever of that form a client sends comes back as it was sent, and names no value."""
    pii = Pii(screen())
    theirs = await pii.decide(ask(chat(MAIL), tenant="globex"))
    (foreign,) = theirs.fact(Masked).values
    mine = await pii.decide(ask(chat(MAIL)))
    (own,) = mine.fact(Masked).values
    assert foreign != own
    for quoted in (foreign, own, own.lower(), own.strip("<>")):
        request = await pii.decide(ask(chat(f"{MAIL} is not {quoted} here")))
        content = request.fact(Prompt).document["messages"][0]["content"]
        values = request.fact(Masked).values
        assert values[own] == MAIL
        assert content.count(own) == 1
        assert content.startswith(f"{own} is not <QUOTED_")
        assert quoted in values.values()
        assert [p for p, v in values.items() if v == MAIL] == [own]


LOOK = st.sampled_from([MAIL, PHONE, "<EMAIL_BCDFGHJK>", "PHONE_BCDFGHJK", "x", "\u4e2d", " "])


@settings(max_examples=50)
@given(st.lists(st.lists(LOOK, max_size=6).map(" ".join), min_size=1, max_size=4))
async def test_putting_values_back_gives_the_original(texts):
    request = await Pii(screen()).decide(ask(chat(*texts)))
    masked = request.find(Masked)
    if masked is None:
        assert request.fact(Prompt).document == {"model": "m", **chat(*texts)}
        return
    contents = [each["content"] for each in request.fact(Prompt).document["messages"]]
    for placeholder, value in masked.values.items():
        contents = [content.replace(placeholder, value) for content in contents]
    assert contents == texts


async def test_everything_that_leaves_is_looked_through():
    document = chat(
        MAIL,
        user=MAIL,
        metadata={"a": MAIL, MAIL: 1},
        tools=[{"type": "function", "function": {"name": "f", "description": MAIL}}],
        anything=[{"deep": MAIL}],
    )
    document["messages"].append(
        {
            "role": "assistant",
            "tool_calls": [{"function": {"name": "f", "arguments": '{"n":13800138000}'}}],
        }
    )
    request = await Pii(screen()).decide(ask(document))
    assert MAIL not in sent(request)
    assert PHONE not in sent(request)
    (placeholder,) = [p for p, v in request.fact(Masked).values.items() if v == PHONE]
    calls = request.fact(Prompt).document["messages"][1]["tool_calls"]
    assert json.loads(calls[0]["function"]["arguments"]) == {"n": placeholder}


async def test_a_prompt_that_nobody_can_read_is_refused():
    rules = (Rule({"all": "mask"}),)
    denied = await Pii(screen(rules)).decide(ask({"prompt": [1, 2, 3]}, Kind.COMPLETIONS))
    assert (denied.reason, denied.param) == (Reason.PERSONAL, "prompt")
    tagged = Pii(screen((Rule({"all": "tag"}),)))
    request = ask({"prompt": [1, 2, 3]}, Kind.COMPLETIONS)
    assert facts(await tagged.decide(request)) == facts(request)


async def test_what_cannot_be_looked_through_is_refused():
    deep = "x"
    for _ in range(100):
        deep = [deep]
    denied = await Pii(screen()).decide(ask(chat("hi", deep=deep)))
    assert denied.reason is Reason.INVALID_REQUEST
    denied = await Pii(screen()).decide(ask(chat("1.1.1.1." * 125_000)))
    assert denied.reason is Reason.INVALID_REQUEST


async def test_long_texts_and_dense_ones_are_looked_through_as_well():
    for text in ("x" * 100_000 + f" {MAIL} ", f"{MAIL} " * 1000):
        request = await Pii(screen()).decide(ask(chat(text)))
        assert MAIL not in sent(request)


class Watched(dict):
    """Notes which threads ask what is to be done."""

    def __init__(self, actions):
        super().__init__(actions)
        self.threads = set()

    def __contains__(self, name):
        self.threads.add(threading.current_thread())
        return super().__contains__(name)


@pytest.mark.parametrize(
    ("text", "is_aside"),
    [
        (MAIL, False),
        (f"{MAIL} {'x ' * LONG_CHARS}", True),
        (" ".join(f"a{n}@b.org" for n in range(MANY_PLACES + 1)), True),
    ],
)
async def test_what_takes_long_to_judge_holds_nobody_up(text, is_aside):
    """3 MB of addresses take seconds."""
    actions = Watched({"all": "mask"})
    masked = await Pii(screen((Rule(actions),))).decide(ask(chat(text)))
    assert "@" not in sent(masked)
    assert (threading.current_thread() in actions.threads) != is_aside


async def test_names_come_from_a_detector():
    names = Names()
    pii = Pii(screen(detector=names, names=("person",)))
    request = await pii.decide(ask(chat("Mona was here", "nobody")))
    assert "Mona" not in sent(request)
    assert names.asked == [["Mona was here", "nobody"]]
    only = Pii(screen((Rule({"email": "mask"}),), detector=names, names=("person",)))
    await only.decide(ask(chat("Mona")))
    assert len(names.asked) == 1


async def test_a_detector_that_does_not_answer():
    fault = Names(DetectorError("late"))
    denied = await Pii(screen(detector=fault, names=("person",))).decide(ask(chat(MAIL)))
    assert denied.reason is Reason.NO_DETECTOR
    lenient = screen(detector=fault, names=("person",), detector_on_fault="continue")
    assert MAIL not in sent(await Pii(lenient).decide(ask(chat(MAIL))))


async def test_values_of_ones_own():
    own = Own([("employee", "EMP-[0-9]{3}")], [("project", "Falcon", False)])
    request = await Pii(screen(own=own)).decide(ask(chat("EMP-123 of falcon")))
    assert request.fact(Masked).counts == {"employee": 1, "project": 1}


@pytest.mark.parametrize(
    ("document", "in_json"),
    [
        ({}, False),
        ({"response_format": {"type": "text"}}, False),
        ({"response_format": {"type": "json_object"}}, True),
        ({"text": {"format": {"type": "json_schema"}}}, True),
    ],
)
async def test_an_answer_in_json_stays_json(document, in_json):
    value = 'https://bob:"x1@example.org'
    pii = Pii(screen(own=Own([("odd", 'a"b')], [])))
    request = await pii.decide(ask(chat(f'a"b {value}', **document)))
    placeholder = next(p for p, v in request.fact(Masked).values.items() if v == 'a"b')
    inner = json.dumps({"x": placeholder})
    answer = json.dumps({"choices": [{"message": {"content": inner}}]}).encode()
    transform = pii.transform(request)
    content = json.loads(transform.feed(answer) + transform.finish())["choices"][0]["message"][
        "content"
    ]
    assert content == ('{"x": "a\\"b"}' if in_json else '{"x": "a"b"}')


LEAF = st.sampled_from(
    [MAIL, PHONE, int(PHONE), f"\u4e2d{MAIL}\u6587", "", "x", "\u200b", "\ud83d", 3, None]
)
NAMES = st.sampled_from(
    ["a", "type", "text", "content", "input", "arguments", "name", "url", "data", MAIL, "enum"]
)
ANYTHING = st.recursive(
    LEAF,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(NAMES, inner, max_size=3)
        | inner.map(json.dumps)
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(NAMES | st.just("messages"), ANYTHING, max_size=4))
async def test_nothing_slips_past_whatever_the_form(document):
    request = await Pii(screen()).decide(ask(document))
    out = json.dumps(request.fact(Prompt).document, ensure_ascii=False)
    assert MAIL not in out
    assert PHONE not in out
    values = request.fact(Masked).values.values() if request.find(Masked) else ()
    assert all(MAIL in value or PHONE in value for value in values)
    assert bool(values) == any(value in str(document) for value in (MAIL, PHONE))


async def test_a_prompt_is_let_go_before_the_answer_is_restored():
    audit = Audit()
    pii = Pii(screen(), audit=audit)
    request = await pii.decide(ask(chat(MAIL)))
    (placeholder,) = request.fact(Masked).values
    request, is_held = watch_prompt(request)
    transform = pii.transform(request)
    del request
    assert not is_held()
    raw = json.dumps({"choices": [{"message": {"content": placeholder}}]}).encode()
    assert MAIL.encode() in transform.feed(raw) + transform.finish()
    assert (audit.records[-1].actor, audit.records[-1].object) == ("u1", "m")
