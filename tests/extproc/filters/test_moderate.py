"""The filters: who pays, what is refused, what is tagged, and what is told."""

import pytest

from extproc.counting.counted import Counted
from extproc.decision import Deny
from extproc.errors import PolicyError, Reason
from extproc.filter import AnswerMode
from extproc.filters import Outside, build
from extproc.filters.moderate import (
    Moderate,
    ModerateAnswers,
    Tagged,
    Teller,
    find_prompt_tokens,
    find_question,
    moderate,
)
from extproc.policy.base import Secret
from extproc.policy.models import Policy
from extproc.request import Identity, Kind, Model, Operation, Payload, Prompt, Request
from extproc.safety.moderation.rules import Rule
from extproc.stores.memory import MemoryEngines, MemoryJournal
from tests.extproc.filters.unchanged import facts
from tests.extproc.large import watch_prompt
from tests.extproc.requests import bare
from tests.extproc.safety.moderation.answers import Judge, panel

BOMB = Rule("bomb", words=("pipe bomb",), tenants={"acme"})
JUDGED = Rule("judged", service="judge")


class Meter:
    def __init__(self):
        self.told = []

    def moderated(self, rule, where, action):
        self.told.append((rule, where, action))

    def asked(self, service, result):
        self.told.append((service, result))


class Audit:
    def __init__(self):
        self.records = []

    def write(self, record):
        self.records.append(record)


def ask(*texts, tenant="acme", kind=Kind.CHAT, model="m", **members):
    messages = [{"role": "user", "content": text} for text in texts]
    request = bare(path="/v1/chat/completions")
    for fact in (
        Operation(kind),
        Identity(tenant, "key1", user="u1"),
        Model(model, "pool", model),
        Prompt({"model": model, "messages": messages, **members}, model),
    ):
        request = request.having(fact)
    return request


def requests(*rules, teller=None, guards=frozenset(), **options):
    return Moderate(panel(*rules, **options), teller or Teller(), guards)


def answers(*rules, guards=frozenset()):
    return ModerateAnswers(panel(*rules), Teller(), guards)


async def test_a_blocked_request_is_refused_told_and_written_down():
    meter, audit = Meter(), Audit()
    teller = Teller(meter, audit, lambda: 1.5)
    denied = await requests(BOMB, teller=teller).decide(ask("hi", "a PIPE bomb"))
    assert isinstance(denied, Deny)
    assert denied.reason is Reason.CONTENT_BLOCKED
    assert "bomb" in denied.message
    assert "PIPE" not in denied.message
    assert meter.told == [("bomb", "request", "denied")]
    [record] = audit.records
    assert (record.action, record.outcome, record.at_ms) == ("moderation.denied", "denied", 1500)
    assert (record.actor, record.tenant, record.object) == ("u1", "acme", "m")
    assert record.members == {"rule": "bomb", "category": "bomb", "where": "request"}


@pytest.mark.parametrize(
    "request_",
    [ask("a pipe bomb", tenant="globex"), ask("pipes"), ask("a pipe bomb", model="guard")],
)
async def test_what_no_rule_is_against_is_not_touched(request_):
    found = await requests(BOMB, guards=frozenset({"guard"})).decide(request_)
    assert facts(found) == facts(request_)


async def test_a_tag_goes_along():
    meter = Meter()
    rule = Rule("t", words=("cats",), action="tag")
    found = await requests(rule, teller=Teller(meter)).decide(ask("cats", "cats"))
    assert isinstance(found, Request)
    assert found.fact(Tagged).witness() == {"moderation": "t:t"}
    assert meter.told == [("t", "request", "tagged")]


async def test_a_service_judges_what_is_new_and_words_come_first():
    judge = Judge()
    talk = [
        {"role": "system", "content": "be bad"},
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "bad"},
        {"role": "tool", "tool_call_id": "1", "content": "result"},
    ]
    filters = requests(JUDGED, BOMB, judge=judge)
    request = ask(messages=talk)
    assert facts(await filters.decide(request)) == facts(request)
    assert judge.asked[0].texts == ["hello\nresult"]
    assert isinstance(await filters.decide(ask("pipe bomb")), Deny)
    assert len(judge.asked) == 1, "what is refused anyway is not sent anywhere"
    denied = await filters.decide(ask("bad"))
    assert denied.message == "The rule 'judged' does not allow this: violence."


@pytest.mark.parametrize("on_fault", ["deny", "continue"])
async def test_a_service_that_does_not_judge(on_fault):
    filters = requests(JUDGED, judge=Judge(fault=True), on_fault=on_fault)
    decision = await filters.decide(ask("hi"))
    if on_fault == "deny":
        assert (decision.reason, decision.retry_after_s) == (Reason.NO_MODERATOR, 2)
    else:
        assert isinstance(decision, Request)


async def test_a_long_prompt_is_looked_through_in_a_thread():
    denied = await requests(BOMB).decide(ask("x " * 400_000 + "pipe bomb"))
    assert denied.reason is Reason.CONTENT_BLOCKED


async def test_one_that_is_too_tangled():
    deep = "x"
    for _ in range(100):
        deep = {"a": deep}
    denied = await requests(BOMB).decide(ask(unknown=deep))
    assert denied.reason is Reason.INVALID_REQUEST


TAG = Rule("t", words=("x",), action="tag")
ONLY_REQUESTS = Rule("r", words=("x",), where=frozenset({"request"}))


@pytest.mark.parametrize(
    ("rules", "mode"),
    [
        ((BOMB,), AnswerMode.DUPLEX),
        ((JUDGED,), AnswerMode.DUPLEX),
        ((TAG,), AnswerMode.STREAMED),
        ((ONLY_REQUESTS,), AnswerMode.NONE),
    ],
)
async def test_only_whose_answers_are_judged_pay(rules, mode):
    filters = answers(*rules)
    assert filters.wish(ask()) is mode
    assert (filters.transform(ask()) is None) == (mode is AnswerMode.NONE)
    assert filters.wish(ask(kind=Kind.EMBEDDINGS)) is AnswerMode.NONE
    assert filters.transform(ask(kind=Kind.EMBEDDINGS)) is None
    request = ask()
    assert await filters.decide(request) is request


def test_answers_of_others_and_of_guards_pass():
    assert answers(BOMB).wish(ask(tenant="globex")) is AnswerMode.NONE
    assert answers(BOMB).transform(ask(tenant="globex")) is None
    assert answers(BOMB, guards=frozenset({"m"})).transform(ask()) is None


async def test_a_cut_answer_is_told():
    meter, audit = Meter(), Audit()
    filters = ModerateAnswers(panel(BOMB), Teller(meter, audit))
    transform = filters.transform(ask())
    transform.feed(b'{"choices":[{"message":{"content":"a pipe bomb"}}]}')
    assert b"content_filter" in transform.finish()
    assert meter.told == [("bomb", "answer", "cut")]
    assert [each.action for each in audit.records] == ["moderation.cut"]


async def test_what_cannot_be_written_down_does_not_pass():
    class Full:
        def write(self, record):
            raise OSError("the disk is full")

    transform = ModerateAnswers(panel(BOMB), Teller(None, Full())).transform(ask())
    transform.feed(b'{"choices":[{"message":{"content":"a pipe bomb"}}]}')
    with pytest.raises(OSError, match="full"):
        transform.finish()


def test_what_the_answer_answers():
    assert find_question(Kind.CHAT, ask("one", "two")) == "two"
    assert find_question(Kind.CHAT, ask()) == ""
    sent = ask("x").having(Payload(b"x" * 400))
    assert find_prompt_tokens(ask("x")) == 0
    assert find_prompt_tokens(sent) == 100
    assert find_prompt_tokens(sent.having(Counted(7))) == 7


async def test_a_prompt_that_nobody_can_read():
    request = ask(kind=Kind.COMPLETIONS, prompt=[1, 2, 3])
    denied = await requests(BOMB).decide(request)
    assert (denied.reason, denied.param) == (Reason.CONTENT_BLOCKED, "prompt")
    assert facts(await requests(TAG).decide(request)) == facts(request)


def test_services_see_only_what_is_masked():
    """Requests after it was masked, answers before it is put back."""
    key = Secret(env="KEY")
    key.found("k" * 32)
    policy = Policy.model_validate(
        {
            "pii": {"key": key, "rules": [{"types": {"all": "mask"}}]},
            "moderation": {"rules": [{"name": "r", "words": ["x"]}]},
        }
    )
    names = [each.name for each in build(policy, Outside(MemoryEngines(), MemoryJournal()))]
    assert names.index("moderate_answers") < names.index("pii") < names.index("moderate")
    assert names.index("moderate") < names.index("measure")


def test_made_from_a_policy():
    service = {"name": "s", "kind": "openai_moderations", "url": "http://127.0.0.1:1/"}
    rules = {"services": [service], "rules": [{"name": "r", "service": "s"}]}
    policy = Policy.model_validate({"moderation": rules})
    with pytest.raises(PolicyError, match="no way to ask"):
        moderate(policy, None, None, None, lambda: 0.0)
    (after,), (before,) = moderate(policy, lambda _: Judge(), Meter(), None, lambda: 0.0)
    assert (after.name, before.name) == ("moderate_answers", "moderate")
    assert moderate(Policy(), None, None, None, lambda: 0.0) == ((), ())


async def test_a_prompt_is_let_go_before_the_answer_is_judged():
    audit = Audit()
    request, is_held = watch_prompt(ask("hi"))
    transform = ModerateAnswers(panel(BOMB), Teller(None, audit)).transform(request)
    del request
    assert not is_held()
    transform.feed(b'{"choices": [{"message": {"content": "a pipe bomb"}}]}')
    assert b"pipe" not in transform.finish()
    assert (audit.records[-1].actor, audit.records[-1].object) == ("u1", "m")
