import json

import pytest

from alerts.alert import Kind, Severity
from alerts.shapes import DINGTALK_BYTES, WECOM_BYTES, sign, sum_up, write_body
from alerts.webhook import Shape
from tests.alerts.samples import alert

TOLD = alert(tenant="acme", facts={"usual_usd": 70.5, "model": "llama"})
AT = "2026-09-21 14:13:20 UTC"


def body(shape, *alerts):
    return json.loads(write_body(shape, alerts or [TOLD]))


def test_slack():
    """`text` says all, for Mattermost and Rocket.Chat; the blocks say it again, for Slack."""
    title = "*\N{WARNING SIGN} Headgate: acme's day is heading for 120 USD*"
    rest = f"Usual is 70 USD.\ntenant: acme\nusual_usd: 70.5\nmodel: llama\nat: {AT}"
    assert body(Shape.SLACK) == {
        "text": f"{title}\n{rest}",
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": title}},
            {"type": "section", "text": {"type": "mrkdwn", "text": rest}},
        ],
    }


def test_wecom():
    assert body(Shape.WECOM) == {
        "msgtype": "markdown",
        "markdown": {
            "content": '<font color="warning">\N{WARNING SIGN} Headgate: acme\'s day is heading for'
            " 120 USD</font>\nUsual is 70 USD.\n"
            f">tenant: acme\n>usual_usd: 70.5\n>model: llama\n>at: {AT}"
        },
    }


def test_dingtalk():
    title = "\N{WARNING SIGN} Headgate: acme's day is heading for 120 USD"
    assert body(Shape.DINGTALK) == {
        "msgtype": "markdown",
        "markdown": {
            "title": title,
            "text": f"#### {title}\n\nUsual is 70 USD.\n\n"
            f"- tenant: acme\n- usual_usd: 70.5\n- model: llama\n- at: {AT}",
        },
    }


def test_json():
    assert body(Shape.JSON) == {
        "alerts": [
            {
                "id": "a1", "at_ms": TOLD.at_ms, "kind": "cost_day", "severity": "warning",
                "title": TOLD.title, "text": TOLD.text, "tenant": "acme",
                "facts": {"usual_usd": 70.5, "model": "llama"},
            }
        ]
    }  # fmt: skip


@pytest.mark.parametrize("shape", Shape)
def test_no_secret_gets_out(shape):
    told = alert(
        title="sk-headgate-verysecretkey", text="Bearer abcdefgh12345", facts={"x": "sk-abcdefgh"}
    )
    sent = write_body(shape, [told])
    for secret in (b"verysecretkey", b"abcdefgh"):
        assert secret not in sent


@pytest.mark.parametrize("shape", [Shape.SLACK, Shape.WECOM, Shape.DINGTALK])
def test_nothing_in_an_alert_is_taken_for_markup(shape):
    told = alert(title="<!channel> *x*\nnext", text="<@all> [a](http://b) & <b>", tenant="t")
    sent = json.dumps(body(shape, told), ensure_ascii=False)
    assert "<!channel>" not in sent
    assert "<@all>" not in sent
    assert "[a](" not in sent or shape is Shape.SLACK  # where it means nothing


@pytest.mark.parametrize(
    ("shape", "most"), [(Shape.WECOM, WECOM_BYTES), (Shape.DINGTALK, DINGTALK_BYTES)]
)
def test_long_alerts_are_cut_at_a_character(shape, most):
    said = body(shape, alert(text="额度" * 20_000))["markdown"]
    text = said.get("content") or said["text"]
    assert most - 3 <= len(text.encode()) <= most


def test_slack_sections_stay_below_its_bound():
    for block in body(Shape.SLACK, alert(title="t" * 9_000, text="<" * 9_000))["blocks"]:
        assert len(block["text"]["text"]) <= 3_000


def test_many_are_summed_up_for_people_and_listed_for_programs():
    many = [
        alert(f"a{n}", tenant=f"t{n % 12}", kind=Kind.COST_REQUEST if n % 3 else Kind.BUDGET_LEVEL)
        for n in range(41)
    ] + [alert("worst", severity=Severity.CRITICAL)]
    summary = sum_up(many)
    assert summary.title == "and 42 more alerts"
    assert summary.severity is Severity.CRITICAL
    assert summary.facts == {"cost_request": 27, "budget_level": 14, "cost_day": 1}
    assert "t0, t1, t10" in summary.text
    assert "and 42 more alerts" in body(Shape.SLACK, *many)["text"]
    assert len(body(Shape.JSON, *many)["alerts"]) == 42


def test_dingtalk_signature():
    """The value comes from `openssl dgst -sha256 -hmac`, of the text that DingTalk documents."""
    url = sign(
        "https://oapi.example.com/robot/send?access_token=x", "this is secret", 1577262236757
    )
    assert url == (
        "https://oapi.example.com/robot/send?access_token=x&timestamp=1577262236757"
        "&sign=hmPWwU%2B7lVdm3ZZz0r9tSfx0L4Q26jWOZr9%2BGs6EZQM%3D"
    )
    assert sign("https://h/", "s", 1).startswith("https://h/?timestamp=1&sign=")
