"""Rights: what a credential, its groups and conditions add up to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.access import MOST_TOKENS, Access, Asked, Grant, Veto, nest, tell
from extproc.conditions import Condition
from extproc.errors import ConditionError
from extproc.request import Identity


def who(*groups, models=("*",)):
    return Identity("acme", "k", models=frozenset(models), groups=frozenset(groups))


def grant(groups, models, *operations):
    return Grant(frozenset(groups), frozenset(models), frozenset(operations))


STAFF_ALL = grant(["staff", "ops"], ["*"])
INTERNS_SMALL = grant(["interns"], ["small"], "chat", "embeddings")
BIG = grant(["big"], ["large"])


@pytest.mark.parametrize(
    ("grants", "identity", "model", "operation", "admitted"),
    [
        # Without grants all is open, but for what the credential itself says.
        ([], who(), "small", "chat", True),
        ([], who(models=["small"]), "small", "chat", True),
        ([], who(models=["small"]), "large", "chat", False),
        ([], who(models=[]), "small", "chat", False),
        # A model that stands in a rule is for those whom a rule admits.
        ([BIG], who(), "large", "chat", False),
        ([BIG], who("big"), "large", "chat", True),
        ([BIG], who("big", models=["small"]), "large", "chat", False),
        ([BIG], who(), "small", "chat", True),
        # `*` is every model.
        ([STAFF_ALL], who(), "small", "chat", False),
        ([STAFF_ALL], who("ops"), "small", "responses", True),
        ([STAFF_ALL, BIG], who("staff"), "large", "chat", True),
        ([STAFF_ALL, BIG], who("big"), "large", "chat", True),
        ([STAFF_ALL, BIG], who("big"), "small", "chat", False),
        # Operations.
        ([INTERNS_SMALL], who("interns"), "small", "chat", True),
        ([INTERNS_SMALL], who("interns"), "small", "embeddings", True),
        ([INTERNS_SMALL], who("interns"), "small", "completions", False),
        ([INTERNS_SMALL], who("interns"), "small", None, True),
        ([INTERNS_SMALL, STAFF_ALL], who("interns"), "large", None, False),
        ([INTERNS_SMALL, STAFF_ALL], who("interns", "staff"), "small", "completions", True),
        # Groups are whole words.
        ([BIG], who("bi", "bigger", "BIG"), "large", "chat", False),
    ],
)
def test_who_is_admitted(grants, identity, model, operation, admitted):
    assert Access(grants).admits(identity, model, operation) is admitted


WORDS = st.sampled_from(["a", "b", "c"])
SETS = st.frozensets(WORDS, min_size=1)
GRANTS = st.lists(
    st.builds(
        Grant,
        SETS,
        st.frozensets(st.sampled_from(["m", "n", "*"]), min_size=1),
        st.frozensets(WORDS),
    ),
    max_size=4,
)


@given(GRANTS, st.frozensets(WORDS), st.sampled_from(["m", "n", "o"]), WORDS | st.none())
def test_as_the_rules_read(grants, groups, model, operation):
    """The table answers as one would, who reads the rules one after the other."""
    about = [each for each in grants if {"*", model} & each.models]
    expected = not about or any(
        each.groups & groups
        and (operation is None or not each.operations or operation in each.operations)
        for each in about
    )
    assert Access(grants).admits(who(*groups), model, operation) is expected


@given(GRANTS, st.frozensets(WORDS), WORDS, st.sampled_from(["m", "n", "o"]), WORDS)
def test_another_group_never_takes_a_right_away(grants, groups, more, model, operation):
    access = Access(grants)
    if access.admits(who(*groups), model, operation):
        assert access.admits(who(*groups, more), model, operation)


def veto(name, text):
    return Veto(name, f"not for {name}", Condition(text))


KNOWN = tell(who("staff"), Asked("chat", "m"), 0)


def test_the_first_condition_that_refuses():
    rules = [veto("a", "false"), veto("b", "identity.tenant == 'acme'"), veto("c", "true")]
    assert Access(vetoes=rules).find_veto(KNOWN) == rules[1]
    assert Access(vetoes=rules[:1]).find_veto(KNOWN) is None
    assert Access().find_veto(KNOWN) is None


def test_one_that_cannot_be_decided_names_its_rule():
    access = Access(vetoes=[veto("a", "false"), veto("odd", "identity.groups[7] == 'x'")])
    with pytest.raises(ConditionError, match=r"rule 'odd': .* has no value"):
        access.find_veto(KNOWN)


def test_whether_there_are_conditions():
    assert not Access([BIG]).has_vetoes
    assert Access(vetoes=[veto("a", "true")]).has_vetoes


@pytest.mark.parametrize(
    ("now_s", "hour", "weekday", "epoch"),
    [
        (0, 0, 4, 0),
        (1795183506.9, 14, 5, 1795183506),
        (1795305599, 23, 6, 1795305599),
        (1795305600, 0, 7, 1795305600),
        (1795392000, 0, 1, 1795392000),
    ],
)
def test_the_time_is_utc_and_weeks_begin_with_monday(now_s, hour, weekday, epoch):
    known = tell(who(), Asked("chat", "m"), now_s)
    assert (known["time.hour"], known["time.weekday"], known["time.epoch"]) == (
        hour,
        weekday,
        epoch,
    )


def test_more_tokens_than_can_be_counted():
    assert tell(who(), Asked("c", "m", max_tokens=10**40), 0)["request.max_tokens"] == MOST_TOKENS


def test_groups_have_an_order():
    assert tell(who("b", "c", "a"), Asked("c", "m"), 0)["identity.groups"] == ["a", "b", "c"]


def test_the_same_as_an_object():
    assert nest({"a.b": 1, "a.c": "x", "d.e": True}) == {"a": {"b": 1, "c": "x"}, "d": {"e": True}}
    assert nest(KNOWN)["identity"]["groups"] == ["staff"]
    assert nest(KNOWN).keys() == {"identity", "request", "time"}
