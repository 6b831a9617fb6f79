"""Who may ask for decision records."""

import pytest
from pydantic import ValidationError

from extproc.errors import PolicyError
from extproc.policy.explain import ExplainPolicy
from extproc.policy.load import load


def test_nobody_unless_somebody_is_named():
    assert (ExplainPolicy().tenants, ExplainPolicy().sample) == ((), None)


@pytest.mark.parametrize("given", [{"sample": 1.1}, {"sample": 0.0}, {"tenants": "acme"}, {"x": 1}])
def test_mistakes(given):
    with pytest.raises(ValidationError):
        ExplainPolicy(**given)


@pytest.mark.parametrize(
    ("tenants", "mistake"), [("[acme]", None), ("['*']", None), ("[acme, globex]", "globex")]
)
def test_tenants_must_be_there(tmp_path, tenants, mistake):
    text = f"tenants: [{{name: acme}}]\nexplain: {{tenants: {tenants}, sample: 0.01}}\n"
    (tmp_path / "p.yaml").write_text(text)
    if mistake is None:
        assert load([tmp_path]).explain.sample == 0.01
        return
    with pytest.raises(PolicyError, match=f"there is no tenant '{mistake}'"):
        load([tmp_path])
