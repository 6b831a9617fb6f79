"""What stands in for what, put together: the filters of fallbacks, downgrades, hedges and cascades."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from audit.record import AuditLog
from engines.base import ENGINES
from extproc.errors import PolicyError
from extproc.filter import Filter
from extproc.filters.authorize import Authorize
from extproc.filters.cascade import Cascade, CascadeRule, Result
from extproc.filters.context import Context
from extproc.filters.downgrade import Budgets, Downgrade, Step
from extproc.filters.egress import Egress, Onward
from extproc.filters.fallback import Alternatives, Instead, Keep, Others
from extproc.filters.hedge import HedgeRule, Hedging
from extproc.filters.measure import Measure
from extproc.filters.modality import Modality
from extproc.filters.parameters import Parameters
from extproc.filters.safeguards import Safeguards, scopes_of
from extproc.filters.salt import Salting
from extproc.filters.served import Served
from extproc.limits.base import Counters
from extproc.policy.catalog import ParameterRule, Sharing
from extproc.policy.models import Policy
from extproc.policy.tables import access_table, model_table
from extproc.ports import Asker, EngineView
from extproc.safety.egress import Gate


@dataclass(frozen=True, slots=True)
class Standing:
    """What models that stand in for each other need of the world."""

    fell_back: Callable[[str, str, str], object] = lambda _asked, _served, _why: None
    """Told which model was asked for, which one served, and why."""
    asker: Asker | None = None
    """Asks other models through the gateway's own door."""
    cascaded: Callable[[str, Result, float], object] = lambda _model, _result, _saved_usd: None
    """Told of each cascade what became of it, and the US dollars that it saved."""


def others(policy: Policy) -> Others:
    return Others(
        {model.name: model.fallback for model in policy.models if model.fallback},
        model_table(policy),
        access_table(policy),
        frozenset(pool.name for pool in policy.pools if pool.upstream),
    )


def stand_in(
    policy: Policy, view: EngineView, counters: Counters | None, standing: Standing
) -> Sequence[Filter]:
    """Let other models serve from the start, as far as the policy says so."""
    steps = {
        model.name: [Step(each.to, each.when, each.at) for each in model.downgrade]
        for model in policy.models
        if model.downgrade
    }
    if not steps and not any(model.fallback for model in policy.models):
        return ()
    willing = frozenset(tenant.name for tenant in policy.tenants if tenant.accepts_downgrade)
    money = [limit.reach() for limit in policy.limits if limit.usd is not None]
    given = others(policy)
    return (
        Downgrade(steps, willing, given, view, Budgets(money, counters)),
        Instead(given, view, standing.fell_back),
    )


def fit(policy: Policy, view: EngineView, clock: Callable[[], float]) -> Sequence[Filter]:
    """Make requests fit for the engines that get them, and for those that get them next. An authority
    is asked once for each request, so where there is one, only its model may serve."""
    engines = {pool.name: ENGINES[pool.engine] for pool in policy.pools}
    sharing: dict[str, Sharing] = {pool.name: pool.cache_sharing for pool in policy.pools}
    fits = (Measure(engines), Salting(engines, sharing, policy.salt))
    chained = any(model.fallback for model in policy.models)
    if not chained or policy.access.authority is not None:
        return fits
    reaches = [limit.reach() for limit in policy.limits]
    checks, rules = checks_of(policy, clock), rules_of(policy)
    return (Keep(), *fits, Alternatives(others(policy), view, checks, fits, rules, reaches))


def rules_of(policy: Policy) -> Mapping[str, Sequence[ParameterRule]]:
    return {model.name: model.parameters for model in policy.models}


def checks_of(policy: Policy, clock: Callable[[], float]) -> Sequence[Filter]:
    """Make what a request must pass as it is, once more, for a model that is to stand in: whatever
    judges it by its model or pool."""
    rules = rules_of(policy)
    return (
        Authorize(access_table(policy), clock),
        Served({pool.name: ENGINES[pool.engine] for pool in policy.pools}),
        Modality({model.name: model.modalities for model in policy.models}),
        Parameters({name: list(map(say_nothing, each)) for name, each in rules.items()}),
        Context({m.name: m.context_tokens for m in policy.models if m.context_tokens}),
        *guard(policy),
        Egress(gates_of(policy), policy.pii.own()),
    )


def gates_of(policy: Policy) -> Mapping[str, Gate]:
    return {pool.name: pool.upstream.egress.gate() for pool in policy.pools if pool.upstream}


def guard(policy: Policy) -> Sequence[Filter]:
    """Note which rules of safety were applied, where they differ from model to model and one may stand
    in for another."""
    scopes = scopes_of(policy) if any(model.fallback for model in policy.models) else ()
    return (Safeguards(scopes),) if scopes else ()


def leave(
    policy: Policy, view: EngineView, audit: AuditLog | None, clock: Callable[[], float]
) -> Sequence[Filter]:
    """Look at what leaves for services elsewhere, if there are any."""
    gates = gates_of(policy)
    if not gates:
        return guard(policy)
    onward = None
    if policy.access.authority is None:
        onward = Onward(others(policy), view, checks_of(policy, clock), rules_of(policy))
    return (*guard(policy), Egress(gates, policy.pii.own(), onward, audit, clock))


def hedge(policy: Policy, view: EngineView) -> Sequence[Filter]:
    """Ask twice where the policy wants it."""
    rules = {
        model.name: HedgeRule(
            model.hedge.after_s, model.hedge.max_prompt_tokens, model.hedge.max_share
        )
        for model in policy.models
        if model.hedge
    }
    return (Hedging(rules, others(policy).elsewhere, view),) if rules else ()


def say_nothing(rule: ParameterRule) -> ParameterRule:
    """The same rule without its system prompt, which has been said."""
    return rule.model_copy(update={"system_prompt": None})


def cascade(policy: Policy, standing: Standing) -> Sequence[Filter]:
    """Ask small models first where the policy says so. Raises: PolicyError when there is no way."""
    prices = {model.name: str(model.price or "") for model in policy.models}
    rules = {
        model.name: CascadeRule(
            first=given.first,
            first_price=prices[given.first],
            price=prices[model.name],
            min_confidence=given.min_confidence,
            max_prompt_tokens=given.max_prompt_tokens,
            within_s=given.within_s,
        )
        for model in policy.models
        if (given := model.cascade)
    }
    if not rules:
        return ()
    if standing.asker is None:
        raise PolicyError("models.cascade: set HEADGATE_URL to where Envoy listens for clients")
    return (Cascade(rules, access_table(policy), standing.asker, standing.cascaded),)
