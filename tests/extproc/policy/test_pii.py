"""What a policy says of personal data, and what is wrong with it."""

import pytest
from pydantic import ValidationError

from extproc.errors import PolicyError
from extproc.filters import Outside, mask
from extproc.filters.pii import Pii
from extproc.policy.load import load
from extproc.policy.pii import DetectorPolicy, PiiPatternPolicy, PiiPolicy, PiiRulePolicy
from extproc.policy.secrets import SecretReader
from extproc.safety.pii.own import MOST_WORDS

KEY = "k" * 32
WHOLE = """
tenants: [{name: acme}]
pools: [{name: p, endpoints: ["10.0.0.5:8000"]}]
models: [{name: m, pool: p}]
pii:
  key: {env: PII_KEY}
  rules:
    - {tenants: [acme], models: [m], speakers: [tool], types: {email: redact}}
    - {types: {all: mask, api_key: deny, employee: hash, project: tag, person: mask}}
  patterns: [{name: employee, expression: "EMP-[0-9]{6}"}]
  dictionaries: [{name: project, words: [falcon]}]
  detector: {url: "http://10.0.0.7/find", token: {env: TOKEN}}
"""


def write(tmp_path, text):
    (tmp_path / "p.yaml").write_text(text)
    return [tmp_path]


def read(tmp_path, text=WHOLE, **environment):
    found = {"PII_KEY": KEY, "TOKEN": "t", **environment}
    return load(write(tmp_path, text), SecretReader(found))


def test_it_is_off_while_there_are_no_rules():
    assert PiiPolicy().rules == ()
    assert PiiPolicy().own() is None


def test_a_whole_section(tmp_path):
    pii = read(tmp_path).pii
    first, second = pii.compiled_rules()
    assert (first.tenants, first.models, first.speakers) == ({"acme"}, {"m"}, {"tool"})
    assert second.actions["all"] == "mask"
    assert not second.tenants
    assert not second.models
    assert pii.detector.types == ("person", "organization")
    assert pii.own() is not None


def test_the_filter_is_made_of_it(tmp_path):
    policy = read(tmp_path)
    outside = Outside(None, None, detector=lambda named: named.url)
    (made,) = mask(policy, outside)
    assert isinstance(made, Pii)
    assert made.on_fault == "deny"
    with pytest.raises(PolicyError, match="no way to ask"):
        mask(policy, Outside(None, None))
    assert mask(read(tmp_path, "tenants: []\n"), outside) == ()


def test_the_key_is_no_part_of_what_is_shown(tmp_path):
    assert KEY not in read(tmp_path).pii.model_dump_json()


def test_a_key_that_can_be_guessed(tmp_path):
    with pytest.raises(PolicyError, match="it is shorter than 20"):
        read(tmp_path, PII_KEY="short")


@pytest.mark.parametrize(
    ("section", "mistake"),
    [
        ("{rules: [{types: {email: mask}}]}", "to mask or hash takes a key"),
        ("{rules: [{types: {emial: tag}}]}", "there is no such type"),
        ("{rules: [{types: {person: tag}}]}", "only a detector finds it"),
        ("{rules: [{types: {email: tag}, tenants: [globex]}]}", "there is no tenant 'globex'"),
        ("{rules: [{types: {email: tag}, models: [x]}]}", "there is no model 'x'"),
        ("{patterns: [{name: email, expression: a}]}", "there already"),
        ("{patterns: [{name: x_y, expression: '('}]}", "no re2 pattern"),
        ("{patterns: [{name: x_y, expression: 'a*'}]}", "matches nothing"),
        ("{dictionaries: [{name: x_y, words: ['']}]}", "is no word"),
        ("{rules: [{types: {email: shred}}]}", "'mask'"),
    ],
)
def test_mistakes(tmp_path, section, mistake):
    with pytest.raises(PolicyError, match=mistake):
        load(write(tmp_path, f"tenants: [{{name: acme}}]\npii: {section}\n"))


def test_too_many_words(tmp_path):
    words = ", ".join(f"w{number}" for number in range(MOST_WORDS + 1))
    with pytest.raises(PolicyError, match="more than"):
        load(write(tmp_path, f"pii: {{dictionaries: [{{name: x_y, words: [{words}]}}]}}\n"))


@pytest.mark.parametrize(
    ("which", "given"),
    [
        (PiiRulePolicy, {"types": {}}),
        (PiiRulePolicy, {"types": {"email": "tag"}, "speakers": ["robot"]}),
        (PiiPatternPolicy, {"name": "Employee", "expression": "a"}),
        (PiiPatternPolicy, {"name": "a1", "expression": "a"}),
        (DetectorPolicy, {"url": "http://u:p@h/"}),
        (DetectorPolicy, {"url": "http://h/", "timeout_ms": 5000}),
        (DetectorPolicy, {"url": "http://h/", "types": []}),
    ],
)
def test_wrong_values(which, given):
    with pytest.raises(ValidationError):
        which(**given)
