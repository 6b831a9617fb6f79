"""Every metric of the product, in one table, and the sets that processes write.

The settle process writes its set alone and exactly, from ledger rows. Each worker writes one of
its own into prometheus_client's multiprocess files; `exposition.py` adds them up. A worker must
be started with `PROMETHEUS_MULTIPROC_DIR` in its environment (prometheus_client looks at it when
it is imported), the settle process without it.
"""

from prometheus_client import CollectorRegistry

from telemetry.bounded import Counter, Gauge, Histogram, Metric

DECISION_BUCKETS_S = (
    50e-6, 100e-6, 200e-6, 400e-6, 700e-6, 1e-3, 1.5e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3,
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
)  # fmt: skip
"""Dense where a decision should be (0.2-1.5 ms) and up to Envoy's message timeout."""

TTFT_BUCKETS_S = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
"""Dense around the objectives people set for chat (0.2-1 s); a full engine queues for a minute."""

REQUEST_BUCKETS_S = (
    0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 300.0, 600.0,
)  # fmt: skip
"""A refusal takes milliseconds, a long completion ten minutes."""

QUEUE_BUCKETS_S = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.5, 5.0, 10.0, 15.0, 25.0,
)  # fmt: skip
"""From a place that is just being given back to the longest that anybody waits."""

RATIO_BUCKETS = (
    0.25, 0.5, 0.67, 0.8, 0.9, 0.95, 0.98, 0.9999, 1.0, 1.02, 1.05, 1.1, 1.25, 1.5, 2.0, 4.0,
)  # fmt: skip
"""Dense around 1, which has a bucket of its own: a count is exact, or an estimate is near."""

LAG_BUCKETS_S = (0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0)
"""Healthy is below 0.3 s: Envoy flushes its log every 10 ms, we commit every 0.1 s."""

# fmt: off
# Written by the settle process, from ledger rows.
REQUESTS = Metric("requests_total", "requests", ("tenant", "model", "status"), fixed=("status",),
    help="Requests that ended, by HTTP status; 0: the client left before an answer.")
DENIALS = Metric("denials_total", "requests", ("reason",),
    help="Requests that Headgate refused, by reason code.")
TOKENS = Metric("tokens_total", "tokens", ("tenant", "model", "kind"), fixed=("kind",),
    help="Tokens the engines reported: prompt, completion, and cached, which is a part of prompt.")
TTFT = Metric("ttft_seconds", "seconds", ("model",), buckets=TTFT_BUCKETS_S,
    help="Time to first token of successful answers, as Envoy measured it.")
REQUEST = Metric("request_seconds", "seconds", ("model",), buckets=REQUEST_BUCKETS_S,
    help="From the first byte in to the last byte out, as Envoy measured it.")
IN_FLIGHT = Metric("requests_in_flight", "requests", ("model",),
    help="Requests forwarded to an engine that have not ended yet.")
SETTLE_LAG = Metric("settle_lag_seconds", "seconds", buckets=LAG_BUCKETS_S,
    help="From the end of a request to its row in the ledger.")
SETTLE_LAG_LAST = Metric("settle_lag_last_seconds", "seconds",
    help="The longest settle lag in the latest commit.")
UNSETTLED = Metric("unsettled_total", "requests",
    help="Requests whose lease ran out without an end.")
LOG_LINES_BAD = Metric("log_lines_bad_total", "lines", ("source",), fixed=("source",),
    help="Lines that could not be read, by source: log or journal.")
LEDGER_FAULTS = Metric("ledger_faults_total", "faults",
    help="Commits that failed and were tried again.")

ENTRIES = Metric("ledger_entries_total", "entries",
    help="Entries committed to the ledger, reversals included.")
CORRECTIONS = Metric("ledger_corrections_total", "requests",
    help="Requests whose entry was reversed and booked again, for a late end or a fuller journal.")
COST = Metric("cost_usd_total", "US dollars", ("tenant", "model"),
    help="Cost of requests that ended, rounded; the ledger has it exactly.")
PRICES_BAD = Metric("prices_bad_total", "requests",
    help="Requests whose price could not be read: their cost is unknown.")
TRIMMED = Metric("ledger_trimmed_entries_total", "entries",
    help="Entries that retention has deleted; their sums stay.")
AUDIT_RECORDS = Metric("audit_records_total", "records", ("action",),
    help="Audit records that reached the store. Watch `audit.unreadable`: lines that are no record.")
AUDIT_LAG = Metric("audit_lag_seconds", "seconds",
    help="Age of the oldest record in the latest commit to the audit store.")
AUDIT_COLLECTED = Metric("audit_collected_timestamp_seconds", "seconds",
    help="When all audit records that were written had reached the store, since the epoch.")
DUTY_FAULTS = Metric("duty_faults_total", "faults", ("duty",),
    help="Turns of what the settle process does beside settling that failed; tried again in time.")

ALERTS = Metric("alerts_total", "alerts", ("kind",), fixed=("kind",),
    help="Alerts raised, by kind; each one once.")
WEBHOOK_DELIVERIES = Metric("webhook_deliveries_total", "messages", ("webhook", "result"),
    fixed=("result",),
    help="Messages to webhooks, by result: delivered, retried or refused; and alerts given_up.")
UNATTRIBUTED = Metric("unattributed_tokens", "tokens", ("endpoint", "cause"), fixed=("cause",),
    help="Tokens that an engine counted since it started and nobody is billed for, by cause: choices, aborts, retries or unknown.")
LEDGER_DRIFT = Metric("ledger_drift_tokens", "tokens", ("endpoint", "kind"), fixed=("kind",),
    help="Tokens that the ledger has booked beyond what the engine can have counted since it started, by kind: prompt or completion.")
RECONCILED = Metric("reconciled_timestamp_seconds", "seconds", ("endpoint",),
    help="When an engine's counters were last compared with the ledger.")

# Written by every worker.
DECISION = Metric("decision_seconds", "seconds", ("outcome",), buckets=DECISION_BUCKETS_S,
    help="Time spent deciding, by outcome: forward, relay, reply, deny or fault.", fixed=("outcome",))
FILTER_FAULTS = Metric("filter_faults_total", "faults", ("filter",),
    help="Exceptions inside a filter.")
WIRE_FAULTS = Metric("wire_faults_total", "faults", ("kind",), fixed=("kind",),
    help="Messages from Envoy that the protocol does not allow where they came.")
REQUEST_BYTES = Metric("request_bytes_in_flight", "bytes",
    help="Bytes of request bodies that workers hold now.")
ENDPOINTS_HEALTHY = Metric("endpoints_healthy", "endpoints", ("pool",), across="livemin",
    help="Endpoints that may be picked, as the most pessimistic worker sees it.")
POLICY_INFO = Metric("policy_info", "workers", ("policy",),
    help="Workers that serve this policy version.")
POLICY_RELOADS = Metric("policy_reloads_total", "reloads", ("result",), fixed=("result",),
    help="Policy loads, by result: ok, rejected, or narrowed, when only what it takes away is in force.")
LIMITS = Metric("limits_total", "requests", ("limit", "result"), fixed=("result",),
    help="Requests that met a limit, by result: admitted, refused, or shadowed, which would be refused.")
LIMIT_AMOUNTS = Metric("limit_amount_total", "units", ("limit", "kind"), fixed=("kind",),
    help="What limits counted, in their unit (money in US dollars): reserved, used, refunded, overshoot.")
LIMITS_DEGRADED = Metric("limits_degraded_total", "requests", ("how",), fixed=("how",),
    help="Requests decided without the shared counters: local, open or deny.")
QUEUE_LENGTH = Metric("queue_length", "requests", ("priority",),
    help="Requests that wait for room in a limit, by class.")
QUEUE_WAIT = Metric("queue_wait_seconds", "seconds", ("priority",), buckets=QUEUE_BUCKETS_S,
    help="How long requests have waited for room that got it in the end, by class.")
QUEUE_SHED = Metric("queue_shed_total", "requests", ("priority", "reason"), fixed=("reason",),
    help="Requests that were not to wait, or no longer: late, full, expired, gone (the client) or draining.")
CASCADES = Metric("cascade_total", "requests", ("model", "result"), fixed=("result",),
    help="Requests of which a smaller model was asked first: its answer was kept, escalated, or there was none.")
CASCADE_SAVED = Metric("cascade_saved_usd_total", "US dollars", ("model",),
    help="What the answers that were kept would have cost more from the model that was asked for.")
CASCADE_SPENT = Metric("cascade_spent_usd_total", "US dollars", ("model",),
    help="What answers cost that were not kept.")
FALLBACKS = Metric("fallbacks_total", "requests", ("model", "served_by", "reason"), fixed=("reason",),
    help="Requests for which another model stood in: failed, unavailable, saturated, budget or egress.")
ESTIMATE_ERROR = Metric("estimate_error_ratio", "ratio", ("model", "counted_by"),
    buckets=RATIO_BUCKETS, fixed=("counted_by",),
    help="Prompt tokens as counted before, for each that the engine reported; 1 is exact. By tokenizer, engine or estimate.")
FIREWALL = Metric("firewall_total", "requests", ("family", "speaker", "action"),
    fixed=("family", "speaker", "action"),
    help="Attacks on models, by family, by whose words they were in, and by what was done: deny, tag, strip, route; of system prompts that leaked: cut or tagged.")
PII = Metric("pii_values_total", "values", ("type", "action"), fixed=("action",),
    help="Personal data found in requests, by type, and what was done: mask, hash, redact, deny or tag; in answers: outbound_mask, outbound_cut or outbound_tag.")
CACHE = Metric("cache_requests_total", "requests", ("result", "reason"), fixed=("result", "reason"),
    help="Requests that a cache rule is for: hit by its kind (exact, semantic, coalesced, stale), miss, bypass by its reason; and faults of the store, the embedding, or where questions are kept.")
CACHE_ANSWERS = Metric("cache_answers_total", "answers", ("result",), fixed=("result",),
    help="Answers collected for the cache: kept, unfit (cut off, refused, or more than one text), dropped because keeping was too slow, or a fault of the store.")
CACHE_BYTES = Metric("cache_kept_bytes_total", "bytes",
    help="Size of the answers that were kept.")
CACHE_CPU = Metric("cache_fill_cpu_seconds_total", "seconds",
    help="CPU time spent on reading answers for the cache.")
CACHE_EVICTED = Metric("cache_evicted_total", "answers",
    help="Answers that had to go before their time to make room for others.")
MODERATED = Metric("moderation_total", "requests", ("rule", "where", "action"),
    fixed=("where", "action"),
    help="Requests and answers that a rule on content has something against, by what was done: denied, cut or tagged.")
MODERATORS = Metric("moderation_asked_total", "questions", ("service", "result"), fixed=("result",),
    help="Questions to services that judge content, by result: ok or fault.")
BANS = Metric("bans_total", "bans", ("barred", "kind", "result"), fixed=("barred", "kind", "result"),
    help="Bans made by guards: of all requests or of long_prompts, of an address, key or user, enforced or shadowed.")
BANNED_REQUESTS = Metric("banned_requests_total", "requests", ("barred", "kind", "result"),
    fixed=("barred", "kind", "result"),
    help="Requests that met a ban, by result: refused, or shadowed, which would be refused.")
BANS_IN_FORCE = Metric("bans_in_force", "bans", ("barred", "kind"), fixed=("barred", "kind"),
    across="livemax", help="Bans in force now.")
JWKS_REFRESHES = Metric("jwks_refreshes_total", "refreshes", ("issuer", "result"),
    fixed=("result",), help="Fetches of token issuers' keys, by result: ok or failed.")

LOOKS_STALE = Metric("engine_looks_stale", "endpoints", across="livemax",
    help="Endpoints that answer, and of which nothing was heard for 1.5 seconds, as the worker sees it that knows least.")
PICKS = Metric("picks_total", "requests", ("pool", "rung"), fixed=("rung",),
    help="Endpoints chosen, by what the choice could be based on: predicted, in_flight (looks were old), hash (older still) or any (nothing).")
ENDPOINT_STATES = Metric("endpoint_states", "endpoints", ("pool", "state"), fixed=("state",),
    across="livemax", help="Endpoints by state: ready, half_open, open or draining.")
EJECTIONS = Metric("endpoint_ejections_total", "ejections", ("pool", "reason"), fixed=("reason",),
    help="Times that something began to speak against an endpoint, by what: unanswered, errors, slow, stuck, kv_cache, queue, refused, silent, unhealthy or draining; each worker counts for itself.")
DECISION_RECORDS = Metric("decision_records_total", "records", ("result",), fixed=("result",),
    help="Decision records: written, or dropped because the disk was slow or full.")

# Written by the watch process.
LOOKS = Metric("engine_looks_total", "looks", ("result",), fixed=("result",),
    help="Looks at engines, by result: ok, unreadable, refused, timeout, broken or status.")
LOOK_INTERVAL = Metric("engine_look_interval_seconds", "seconds", across="livemax",
    help="How often each engine is looked at; more than 0.2 when that would take too much CPU.")
KV_BATCHES = Metric("engine_kv_batches_total", "batches", ("how",), fixed=("how",),
    help="Batches of KV cache events, by how they came: live, replayed, or lost.")
# fmt: on

SETTLE_METRICS = (
    REQUESTS, DENIALS, TOKENS, TTFT, REQUEST, IN_FLIGHT, SETTLE_LAG, SETTLE_LAG_LAST, UNSETTLED,
    LOG_LINES_BAD, LEDGER_FAULTS, ENTRIES, CORRECTIONS, COST, PRICES_BAD, TRIMMED, DUTY_FAULTS,
    AUDIT_RECORDS, AUDIT_LAG, AUDIT_COLLECTED,
    ALERTS, WEBHOOK_DELIVERIES, UNATTRIBUTED, LEDGER_DRIFT, RECONCILED,
)  # fmt: skip
WORKER_METRICS = (
    DECISION, FILTER_FAULTS, WIRE_FAULTS, REQUEST_BYTES, ENDPOINTS_HEALTHY, POLICY_INFO,
    POLICY_RELOADS, JWKS_REFRESHES, LIMITS, LIMIT_AMOUNTS, LIMITS_DEGRADED, ESTIMATE_ERROR,
    QUEUE_LENGTH, QUEUE_WAIT, QUEUE_SHED, FALLBACKS, CASCADES, CASCADE_SAVED, CASCADE_SPENT,
    CACHE, CACHE_ANSWERS, CACHE_BYTES, CACHE_CPU, CACHE_EVICTED,
    FIREWALL, PII, MODERATED, MODERATORS, BANS, BANNED_REQUESTS, BANS_IN_FORCE, LOOKS_STALE, PICKS,
    ENDPOINT_STATES, EJECTIONS, DECISION_RECORDS,
)  # fmt: skip
WATCH_METRICS = (LOOKS, LOOK_INTERVAL, KV_BATCHES)


class SettleMetrics:
    """What the settle process counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(REQUESTS, registry)
        self.denials = Counter(DENIALS, registry)
        self.tokens = Counter(TOKENS, registry)
        self.ttft = Histogram(TTFT, registry)
        self.request = Histogram(REQUEST, registry)
        self.in_flight = Gauge(IN_FLIGHT, registry)
        self.settle_lag = Histogram(SETTLE_LAG, registry)
        self.settle_lag_last = Gauge(SETTLE_LAG_LAST, registry)
        self.unsettled = Counter(UNSETTLED, registry)
        self.log_lines_bad = Counter(LOG_LINES_BAD, registry)
        self.ledger_faults = Counter(LEDGER_FAULTS, registry)
        self.entries = Counter(ENTRIES, registry)
        self.corrections = Counter(CORRECTIONS, registry)
        self.cost_usd = Counter(COST, registry)
        self.prices_bad = Counter(PRICES_BAD, registry)
        self.trimmed = Counter(TRIMMED, registry)
        self.duty_faults = Counter(DUTY_FAULTS, registry)
        self.audit_records = Counter(AUDIT_RECORDS, registry)
        self.audit_lag = Gauge(AUDIT_LAG, registry)
        self.audit_collected = Gauge(AUDIT_COLLECTED, registry)
        self.alerts = Counter(ALERTS, registry)
        self.webhook_deliveries = Counter(WEBHOOK_DELIVERIES, registry)
        self.unattributed = Gauge(UNATTRIBUTED, registry)
        self.ledger_drift = Gauge(LEDGER_DRIFT, registry)
        self.reconciled = Gauge(RECONCILED, registry)


class WorkerMetrics:
    """What a worker counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.decision = Histogram(DECISION, registry)
        self.filter_faults = Counter(FILTER_FAULTS, registry)
        self.wire_faults = Counter(WIRE_FAULTS, registry)
        self.request_bytes = Gauge(REQUEST_BYTES, registry)
        self.endpoints_healthy = Gauge(ENDPOINTS_HEALTHY, registry)
        self.policy_reloads = Counter(POLICY_RELOADS, registry)
        self.jwks_refreshes = Counter(JWKS_REFRESHES, registry)
        self.estimate_error = Histogram(ESTIMATE_ERROR, registry)
        self.limits = Counter(LIMITS, registry)
        self.limit_amounts = Counter(LIMIT_AMOUNTS, registry)
        self.limits_degraded = Counter(LIMITS_DEGRADED, registry)
        self.queue_length = Gauge(QUEUE_LENGTH, registry)
        self.queue_wait = Histogram(QUEUE_WAIT, registry)
        self.queue_shed = Counter(QUEUE_SHED, registry)
        self.fallbacks = Counter(FALLBACKS, registry)
        self.cascades = Counter(CASCADES, registry)
        self.cascade_saved = Counter(CASCADE_SAVED, registry)
        self.cascade_spent = Counter(CASCADE_SPENT, registry)
        self.pii = Counter(PII, registry)
        self.firewall = Counter(FIREWALL, registry)
        self.cache = Counter(CACHE, registry)
        self.cache_answers = Counter(CACHE_ANSWERS, registry)
        self.cache_bytes = Counter(CACHE_BYTES, registry)
        self.cache_cpu = Counter(CACHE_CPU, registry)
        self.cache_evicted = Counter(CACHE_EVICTED, registry)
        self.moderated = Counter(MODERATED, registry)
        self.moderators = Counter(MODERATORS, registry)
        self.bans = Counter(BANS, registry)
        self.banned_requests = Counter(BANNED_REQUESTS, registry)
        self.bans_in_force = Gauge(BANS_IN_FORCE, registry)
        self.looks_stale = Gauge(LOOKS_STALE, registry)
        self.picks = Counter(PICKS, registry)
        self.endpoint_states = Gauge(ENDPOINT_STATES, registry)
        self.ejections = Counter(EJECTIONS, registry)
        self.decision_records = Counter(DECISION_RECORDS, registry)
        self._policy_info = Gauge(POLICY_INFO, registry)
        self._policy: str | None = None

    def decided(self, outcome: str, seconds: float) -> None:
        """Count one decision. `outcome` is `forward`, `deny`, `reply` or `fault`."""
        self.decision.observe(seconds, outcome)

    def cascaded(self, model: str, result: str, saved_usd: float) -> None:
        """Count one cascade. Dollars below zero were spent."""
        self.cascades.add(model, result)
        kind = self.cascade_saved if saved_usd > 0 else self.cascade_spent
        kind.add(model, amount=abs(saved_usd))

    def serve_policy(self, policy: str) -> None:
        """Say which policy version this worker serves from now on."""
        if self._policy is not None:
            self._policy_info.set(0, self._policy)
        self._policy_info.set(1, policy)
        self._policy = policy


class WatchMetrics:
    """What the watch process counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.looks = Counter(LOOKS, registry)
        self.interval = Gauge(LOOK_INTERVAL, registry)
        self.kv_batches = Counter(KV_BATCHES, registry)
