"""Which rule says what is done."""

from extproc.safety.pii.rules import STRENGTH, Choice, Rule


def test_the_first_rule_that_names_a_type_counts():
    rules = [
        Rule({"email": "tag"}, speakers=frozenset({"assistant"})),
        Rule({"email": "mask", "all": "redact"}),
        Rule({"email": "deny", "phone": "deny"}),
    ]
    choice = Choice(rules)
    assert choice.action("email", "assistant") == "tag"
    assert choice.action("email", "user") == "mask"
    assert choice.action("phone", "user") == "deny"
    assert choice.action("iban", "user") == "redact"


def test_nothing_is_done_where_no_rule_says_so():
    choice = Choice([Rule({"email": "tag"}, speakers=frozenset({"user"}))])
    assert choice.action("phone", "user") is None
    assert choice.action("email", "tool") is None
    assert not choice.touches
    assert choice.is_any
    assert not Choice([]).is_any
    assert Choice([Rule({"email": "hash"})]).touches


def test_actions_have_an_order():
    assert sorted(STRENGTH, key=STRENGTH.__getitem__) == ["tag", "mask", "hash", "redact", "deny"]
