from typing import get_args

import pytest

from alerts.alert import Kind, Severity
from alerts.webhook import Shape
from extproc.errors import PolicyError
from extproc.policy.alerts import KindName, WebhookPolicy
from extproc.policy.load import load
from extproc.policy.secrets import SecretReader

POLICY = """\
alerts:
  webhooks:
    - name: ops
      url: {env: HOOK}
"""


def test_the_words_are_those_of_alerts():
    """They stand in both places: here for people's mistakes, there for the code."""
    assert set(get_args(KindName)) == {kind.value for kind in Kind}
    fields = WebhookPolicy.model_fields
    assert set(get_args(fields["shape"].annotation)) == {shape.value for shape in Shape}
    assert set(get_args(fields["severity"].annotation)) == {each.value for each in Severity}


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://hooks.example.com/T0/verysecret", ""),
        ("http://127.0.0.1:9/hook", ""),
        ("hooks.example.com/verysecret", "what is found there is no http(s) URL"),
        ("ftp://example.com/verysecret", "what is found there is no http(s) URL"),
        ("https:///verysecret", "what is found there is no http(s) URL"),
        ("https://[verysecret", "what is found there is no http(s) URL"),
        ("", "HOOK is missing or empty"),
    ],
)
def test_what_is_found_must_be_a_url(tmp_path, url, said):
    (tmp_path / "a.yaml").write_text(POLICY)
    reader = SecretReader({"HOOK": url})
    if not said:
        assert load([tmp_path], reader).alerts.webhooks[0].url.reveal() == url
        return
    with pytest.raises(PolicyError) as caught:
        load([tmp_path], reader)
    assert said in str(caught.value)
    assert "a.yaml:4: alerts.webhooks[0].url: " in str(caught.value)
    assert "verysecret" not in str(caught.value)
