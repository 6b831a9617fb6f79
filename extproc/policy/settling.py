"""From a policy to what the settle process has to know of it. Pure."""

from collections.abc import Iterable
from decimal import Decimal

from alerts.alert import Kind, Severity
from alerts.webhook import Shape, Webhook
from engines.base import ENGINES
from extproc.policy.alerts import CostRule, DriftPolicy, WebhookPolicy
from extproc.policy.models import Policy
from ledger import config

PUSD = 10**12
"""Of a US dollar."""
USUAL = config.Config()
USUAL_MIN_USD = Decimal(1)
USUAL_RATIO = 1.5


def settle_config(policy: Policy) -> config.Config:
    """Compile a policy that was loaded with its secrets. Raises: PolicyError when it was not."""
    alerts, ledger, kept = policy.alerts, policy.ledger, policy.ledger.retention
    drift = alerts.drift or DriftPolicy()
    return config.Config(
        policy=policy.version,
        endpoints=tuple(find_endpoints(policy)),
        webhooks=tuple(webhook(each) for each in alerts.webhooks),
        cost_rules=tuple(cost_rule(rule) for rule in alerts.cost),
        drift=config.Drift(drift.tokens, drift.share, drift.for_s),
        retention=config.Retention(kept.default_days, dict(kept.regions), bool(kept.by_hand)),
        readers_of_all=frozenset(ledger.readers_of_all),
        root_interval_s=ledger.root_interval_s or USUAL.root_interval_s,
        audit=config.Audit(policy.audit.days, bool(policy.audit.by_hand)),
        reconcile_interval_s=ledger.reconcile_interval_s or USUAL.reconcile_interval_s,
    )


def find_endpoints(policy: Policy) -> Iterable[config.Endpoint]:
    """Every engine that counts tokens, once: pools may share one."""
    seen: set[str] = set()
    for pool in policy.pools:
        engine = ENGINES[pool.engine]
        for address in pool.endpoints if engine.counts_tokens else ():
            if address not in seen:
                seen.add(address)
                yield config.Endpoint(address, pool.name, engine.metrics_path)


def webhook(policy: WebhookPolicy) -> Webhook:
    return Webhook(
        name=policy.name,
        url=policy.url.reveal(),
        shape=Shape(policy.shape),
        kinds=frozenset(Kind(kind) for kind in policy.kinds),
        severity=Severity(policy.severity),
        tenants=frozenset(policy.tenants),
        secret=policy.secret.reveal() if policy.secret else None,
    )


def cost_rule(rule: CostRule) -> config.CostRule:
    bound = rule.request_usd or rule.min_usd or USUAL_MIN_USD
    return config.CostRule(
        name=rule.name,
        bound_pusd=int(bound * PUSD),
        per=rule.per,
        above_forecast=rule.above_forecast or USUAL_RATIO,
        tenants=frozenset(rule.tenants),
        zone=rule.zone or "UTC",
    )
