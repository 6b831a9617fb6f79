"""The ordered list of filters: this is the order in which a request meets them."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from audit.record import AuditLog
from engines.base import ENGINES
from extproc.counting.ids import TokenIds
from extproc.errors import PolicyError
from extproc.filter import Filter
from extproc.filters.attacks import Told
from extproc.filters.audit import AuditRequests, Wanted
from extproc.filters.authorize import Authorize
from extproc.filters.banned import BannedAddress, BannedKey
from extproc.filters.cache import Caching
from extproc.filters.caching import cache, collect, serve
from extproc.filters.catalog import Catalog
from extproc.filters.classify import ReachClassifier, look_twice
from extproc.filters.consult import Consult
from extproc.filters.context import Context
from extproc.filters.echo import hide
from extproc.filters.elsewhere import Elsewhere
from extproc.filters.explain import Explain, Recorder
from extproc.filters.firewall import stand_guard
from extproc.filters.governance import Governance
from extproc.filters.identify import Identify
from extproc.filters.long_prompts import LongPrompts
from extproc.filters.modality import Modality
from extproc.filters.moderate import Reach, moderate
from extproc.filters.outbound import check_answers
from extproc.filters.parameters import Parameters
from extproc.filters.pick import Pick
from extproc.filters.pii import Pii, Screen
from extproc.filters.prefix import FindIds, Prefixing
from extproc.filters.read import Read
from extproc.filters.relay import Relay
from extproc.filters.resolve import Resolve
from extproc.filters.served import Served
from extproc.filters.settle import Settle
from extproc.filters.standins import Standing, cascade, fit, hedge, leave, stand_in
from extproc.filters.surface import Surface
from extproc.filters.write import Write
from extproc.guards.guard import Guard
from extproc.identity.jwks import KeyRings
from extproc.policy.access import AuthorityPolicy
from extproc.policy.models import Policy
from extproc.policy.pii import DetectorPolicy
from extproc.policy.tables import (
    access_table,
    key_source,
    model_table,
    tenant_table,
    token_table,
)
from extproc.ports import (
    Authority,
    Decisions,
    Detector,
    EngineView,
    FirewallMeter,
    Journal,
    ModerationMeter,
    PiiMeter,
)
from extproc.safety.pii.engine import shipped


@dataclass(frozen=True, slots=True)
class Outside:
    """What filters may use of the world."""

    engines: EngineView
    journal: Journal
    rings: KeyRings = field(default_factory=KeyRings)
    clock: Callable[[], float] = time.time
    """Seconds since the epoch."""
    authority: Callable[[AuthorityPolicy], Authority] | None = None
    """Reaches the authority that a policy names."""
    governance: Governance | None = None
    """What limits need."""
    guard: Guard | None = None
    """Keeps clients out that are refused too often."""
    standing: Standing = field(default_factory=Standing)
    """What models need that stand in for each other."""
    caching: Caching | None = None
    """Keeps answers."""
    decisions: Decisions | None = None
    """Keeps the records of why requests went where they went."""
    detector: Callable[[DetectorPolicy], Detector] | None = None
    """Reaches the detector of names that a policy names."""
    count_pick: Callable[[str, str], object] = lambda _pool, _rung: None
    """Counts a choice: in which pool, and what it could be based on."""
    pii_meter: PiiMeter | None = None
    firewall_meter: FirewallMeter | None = None
    moderator: Reach | None = None
    """Reaches the services that judge, which a policy names."""
    classifier: ReachClassifier | None = None
    """Reaches the classifier of attacks that a policy names."""
    moderation_meter: ModerationMeter | None = None
    audit: AuditLog | None = None
    """Where it is written down who did what."""


def build(policy: Policy, outside: Outside) -> Sequence[Filter]:
    """Make the filters of one policy version."""
    engines = {pool.name: ENGINES[pool.engine] for pool in policy.pools}
    models, access = model_table(policy), access_table(policy)
    answers, requests = moderation(policy, outside)
    told = Told(outside.firewall_meter, outside.audit, outside.clock)
    guards, canaries = stand_guard(policy, told)
    counters = outside.governance.counters if outside.governance else None
    return (
        # Needs headers only: refused before a byte of the body is read.
        *ban_addresses(policy, outside),
        Surface(),
        Identify(
            key_source(policy),
            token_table(policy, outside.rings),
            tenant_table(policy),
            outside.clock,
        ),
        *ban_keys(policy, outside),
        Relay(frozenset(policy.ledger.readers_of_all)),
        Catalog(models, access, outside.clock),
        # Needs the body.
        Read(),
        Resolve(models, access),
        *stand_in(policy, outside.engines, counters, outside.standing),
        Authorize(access, outside.clock),
        *consult(policy, outside),
        *guards,  # before a smaller model sees it
        *cascade(policy, outside.standing),
        Served(engines),
        Modality({model.name: model.modalities for model in policy.models}),
        *collect(policy, outside.caching),
        *hide(policy),
        *check_answers(policy, outside.pii_meter, outside.audit, outside.clock),
        Parameters({model.name: model.parameters for model in policy.models}),
        Context({m.name: m.context_tokens for m in policy.models if m.context_tokens}),
        *answers,
        *mask(policy, outside),
        *leave(policy, outside.engines, outside.audit, outside.clock),  # what it sees is masked
        *classifiers(policy, outside, told),
        *requests,
        *audit_requests(policy, outside),
        *canaries,  # no part of what is looked at, named to clients or written down
        *cache(policy, outside.caching, outside.engines, outside.clock),
        *govern(policy, outside),
        *serve(policy),
        *fit(policy, outside.engines, outside.clock),
        Write(),
        *hedge(policy, outside.engines),
        Elsewhere({p.name: str(p.upstream.where()) for p in policy.pools if p.upstream}),
        Prefixing(
            adapters(policy),
            token_ids(policy, outside),
            partial(find_block_tokens, outside.engines),
        ),
        *explain(policy, outside),
        choose(policy, outside),
        # Last: what it writes down is what leaves.
        Settle(outside.journal, policy.version),
    )


def choose(policy: Policy, outside: Outside) -> Pick:
    pickers = {pool.name: pool.picking for pool in policy.pools}
    written = recorder(policy, outside)
    return Pick(pickers, outside.engines, adapters(policy), written, outside.count_pick)


def explain(policy: Policy, outside: Outside) -> Sequence[Filter]:
    """Find the requests whose choice is to be written down, if the policy wants any."""
    wanted = policy.explain
    is_on = outside.decisions is not None and (wanted.tenants or wanted.sample)
    return (Explain(wanted.tenants, wanted.sample or 0.0),) if is_on else ()


def recorder(policy: Policy, outside: Outside) -> Recorder | None:
    if outside.decisions is None:
        return None
    pickers = {pool.name: pool.picking.algorithm for pool in policy.pools}
    return Recorder(outside.decisions, policy.version, pickers, outside.clock)


def adapters(policy: Policy) -> Collection[str]:
    """Name the models that are LoRA adapters."""
    return [model.name for model in policy.models if model.adapter]


def token_ids(policy: Policy, outside: Outside) -> Mapping[str, FindIds]:
    """Find the models whose prompts can be cut as their engines cut them: where engines tell of their
    caches, and the tokenizer is at hand. Raises: PolicyError when it was not loaded."""
    telling = {pool.name for pool in policy.pools if pool.kv_events}
    found: dict[str, FindIds] = {}
    for model in policy.models:
        served = {track.pool for track in model.in_service()}
        if outside.governance and model.tokenizer and served & telling:
            vocabulary = model.tokenizer.vocabulary
            if vocabulary is not None:
                threads = outside.governance.lasting.threads
                found[model.name] = TokenIds(vocabulary, threads).find
    return found


def find_block_tokens(engines: EngineView, pool: str) -> int:
    """Say how many tokens its engines put into a block; 0: none has told."""
    told = (each.load.block_tokens for each in engines.candidates(pool))
    return next(filter(None, told), 0)


def mask(policy: Policy, outside: Outside) -> Sequence[Filter]:
    """Look for personal data, as far as the policy has rules. Raises: PolicyError."""
    pii = policy.pii
    if not pii.rules:
        return ()
    detector = None
    if pii.detector is not None:
        if outside.detector is None:
            raise PolicyError("pii.detector: there is no way to ask one here")
        detector = outside.detector(pii.detector)
    screen = Screen(
        pii.compiled_rules(),
        shipped(),
        pii.own(),
        pii.key.reveal() if pii.key else "",
        detector,
        pii.detector.types if pii.detector else (),
        pii.detector.on_fault if pii.detector else "deny",
    )
    on_fault = pii.on_fault or "deny"
    return (Pii(screen, on_fault, outside.pii_meter, outside.audit, outside.clock),)


def audit_requests(policy: Policy, outside: Outside) -> Sequence[Filter]:
    """Write requests down, as far as the policy wants it. Raises: PolicyError when there is nowhere to."""
    wanted = policy.audit.requests
    if not wanted.tenants and not wanted.sample:
        return ()
    if outside.audit is None:
        raise PolicyError("audit.requests: there is nowhere to write them down here")
    masks_always = policy.pii.on_fault != "continue"
    what = Wanted(
        frozenset(wanted.tenants),
        wanted.sample or 0.0,
        wanted.content or "none",
        policy.pii.compiled_rules() if masks_always else (),
    )
    return (AuditRequests(what, outside.audit, outside.clock, wanted.on_fault or "deny"),)


def moderation(policy: Policy, outside: Outside) -> tuple[Sequence[Filter], Sequence[Filter]]:
    """Raises: PolicyError."""
    return moderate(
        policy, outside.moderator, outside.moderation_meter, outside.audit, outside.clock
    )


def classifiers(policy: Policy, outside: Outside, told: Told) -> Sequence[Filter]:
    """Raises: PolicyError."""
    meter = outside.moderation_meter
    return look_twice(policy, outside.classifier, told, meter.asked if meter else None)


def govern(policy: Policy, outside: Outside) -> Sequence[Filter]:
    """Count prompts, refuse long ones, and limit, as far as the policy does. Raises: PolicyError when
    nothing keeps count."""
    guards = policy.guards.long_prompts
    if not policy.limits and guards is None:
        return ()
    if outside.governance is None:
        raise PolicyError("limits: there is nothing here to count with")
    count, *limits = outside.governance.filters(policy, outside.engines, outside.clock)
    long = (LongPrompts(guards.rule(), find_guard(outside)),) if guards else ()
    return (count, *long, *(limits if policy.limits else ()))


def ban_addresses(policy: Policy, outside: Outside) -> Sequence[Filter]:
    """Look for banned addresses, and count refusals, if the policy wants it. Raises: PolicyError."""
    refusals = policy.guards.refusals
    return (BannedAddress(refusals.rule(), find_guard(outside)),) if refusals else ()


def ban_keys(policy: Policy, outside: Outside) -> Sequence[Filter]:
    """Look for banned keys and users. Raises: PolicyError."""
    return (BannedKey(find_guard(outside)),) if policy.guards.refusals else ()


def find_guard(outside: Outside) -> Guard:
    """Raises: PolicyError when nobody guards here."""
    if outside.guard is None:
        raise PolicyError("guards: there is nobody here to ban")
    return outside.guard


def consult(policy: Policy, outside: Outside) -> Sequence[Filter]:
    """Ask the authority, if the policy names one. Raises: PolicyError when nobody can reach it."""
    named = policy.access.authority
    if named is None:
        return ()
    if outside.authority is None:
        raise PolicyError("access.authority: there is no way to ask one here")
    return (Consult(outside.authority(named), outside.clock, named.on_fault),)
