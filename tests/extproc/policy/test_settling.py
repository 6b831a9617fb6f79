import msgspec
import pytest

from alerts.alert import Kind, Severity
from alerts.webhook import Shape, Webhook
from extproc.errors import PolicyError
from extproc.policy.load import load
from extproc.policy.secrets import SecretReader
from extproc.policy.settling import settle_config
from ledger.config import Audit, Config, CostRule, Drift, Endpoint, Retention

POLICY = """\
tenants: [{name: acme}]
pools:
  - {name: a, endpoints: ["10.0.0.1:8000", "10.0.0.2:8000"]}
  - {name: b, engine: sim, endpoints: ["10.0.0.2:8000", "[::1]:8000"]}
  - {name: mute, engine: ollama, endpoints: ["10.0.0.3:8000"]}
alerts:
  webhooks:
    - {name: ops, url: {env: HOOK}}
    - name: ding
      url: {env: HOOK}
      shape: dingtalk
      secret: {env: SIGN}
      kinds: [cost_day]
      severity: critical
      tenants: [acme]
  cost:
    - {name: dear, request_usd: 0.000001}
    - {name: days, per: day, tenants: [acme]}
    - {name: months, per: month, above_forecast: 2, min_usd: 100, zone: Asia/Shanghai}
  drift: {tokens: 5, share: 0.5, for_s: 1}
audit: {retention_days: 365, by_hand: true}
ledger:
  retention: {default_days: 400, regions: {eu: 180}, by_hand: true}
  readers_of_all: [finance]
  root_interval_s: 60
  reconcile_interval_s: 1
"""
ENVIRONMENT = {"HOOK": "https://hooks.example.com/x", "SIGN": "SECs"}


def loaded(tmp_path, text, secrets=ENVIRONMENT):
    (tmp_path / "a.yaml").write_text(text)
    return load([tmp_path], SecretReader(secrets) if secrets else None)


def test_all_of_it(tmp_path):
    policy = loaded(tmp_path, POLICY)
    assert settle_config(policy) == Config(
        policy=policy.version,
        endpoints=(
            Endpoint("10.0.0.1:8000", "a"),
            Endpoint("10.0.0.2:8000", "a"),
            Endpoint("[::1]:8000", "b"),
        ),
        webhooks=(
            Webhook("ops", ENVIRONMENT["HOOK"], Shape.SLACK),
            Webhook(
                "ding",
                ENVIRONMENT["HOOK"],
                Shape.DINGTALK,
                kinds=frozenset({Kind.COST_DAY}),
                severity=Severity.CRITICAL,
                tenants=frozenset({"acme"}),
                secret="SECs",
            ),
        ),
        cost_rules=(
            CostRule("dear", bound_pusd=1_000_000),
            CostRule("days", bound_pusd=10**12, per="day", tenants=frozenset({"acme"})),
            CostRule("months", 10**14, per="month", above_forecast=2, zone="Asia/Shanghai"),
        ),
        drift=Drift(5, 0.5, 1),
        retention=Retention(400, {"eu": 180}, by_hand=True),
        audit=Audit(365, by_hand=True),
        readers_of_all=frozenset({"finance"}),
        root_interval_s=60,
        reconcile_interval_s=1,
    )


def test_an_empty_policy_is_the_usual(tmp_path):
    policy = loaded(tmp_path, "tenants: []")
    assert settle_config(policy) == Config(policy=policy.version)


def test_it_survives_the_file(tmp_path):
    config = settle_config(loaded(tmp_path, POLICY))
    assert msgspec.json.decode(msgspec.json.encode(config), type=Config) == config


def test_a_policy_without_its_secrets_will_not_do(tmp_path):
    with pytest.raises(PolicyError):
        settle_config(loaded(tmp_path, POLICY, secrets=None))
