"""The endpoint from which the first token will come soonest. The default.

    predicted_ttft = wait + (prompt - cached) / prefill rate + steps shared with running requests
                     + waiting for room, where KV cache or sequences are used up
                     + getting the LoRA adapter
    cost           = predicted_ttft + burden - what the ring or the session promises

`wait` is the prompts that the engine told of at the last look, and those sent since: each counts once.
Where the last look is too old, our own counts stand for all of it. `burden` is a part of what others
lose while this prompt is computed: those that run there, and those that will wait behind it. Of these
there are about as many as wait there now: in the time that those take, as many come (Little's law). The
ring promises that other gateways have sent the beginning of this prompt to its place there; how much
that is worth depends on how much of the load is theirs.

An endpoint whose cost is within the error of the best one is as good: then a prompt goes to its cache,
else to its place on the ring, else they take turns, each gateway in an order of its own, so that
gateways that know the same do not all do the same.
"""

from collections.abc import Mapping, Sequence

from extproc.routing.candidate import Asked, Candidate, Choice, Terms
from extproc.routing.home import Home, hash_session
from extproc.routing.ladder import admit, find_rung, line_up, order
from extproc.routing.prefixes import Prefixes
from extproc.routing.settings import PickerSettings
from extproc.routing.speed import Speed, Speeds

AS_CACHED = 0.9
"""Of equals those go first that have at least so much of what any of them has cached. Less, and
conversations leave their caches for one that merely has the same system prompt."""
BEHIND = 3.0
"""How much more the `burden` of one that waits is than that of one that runs: its first token is late by
the whole prompt. Without it a document is copied to where everybody waits already, and a pool near
saturation recovers by chance only. Found on the tuning traces of `study`: with 1 that still happens at
110 % of what a pool can do, with 10 queues are left too readily for empty endpoints at 50 %."""
LEAST_OTHERS = 0.1
"""Share of requests that others send: below it there are none, and counts differ by chance."""


class PredictedTtft:
    def __init__(self, settings: PickerSettings, prefixes: Prefixes) -> None:
        self._settings = settings
        self._about = settings.prediction
        self._prefixes = prefixes
        self._home = Home(settings)
        self._speeds = Speeds(settings.prediction)
        self._turns: dict[str, int] = {}
        """When an endpoint was last chosen, counted in choices."""
        self._turn = 0

    def choose(self, asked: Asked, candidates: Sequence[Candidate], now_s: float) -> Choice:
        among = admit(asked, candidates)
        rung = find_rung(candidates, now_s, self._settings)
        matched = self._prefixes.matched(asked.blocks, now_s)
        if rung == "hash":
            return self._choose_blind(asked, among, candidates, matched)
        speeds = self._speeds.of(among, now_s)
        self._prefixes.share = 1.0 - self._speeds.others
        if among is not candidates:
            self._home.know(candidates)
        costs = self._predict(asked, among, speeds, matched, now_s)
        promised = self._promise(asked, among, matched, speeds, costs, now_s)
        ranked = order(asked.key, costs)
        equals = self._find_equals(asked, among, costs, speeds[ranked[0]], ranked[0], matched)
        best = equals[0]
        if promised and promised[0] in equals:
            best = promised[0]
        elif len(equals) > 1:
            best = self._take_turns(asked.key, among, equals)
        predicted_s = costs[best] + (promised[1] if promised and promised[0] == best else 0.0)
        cached = count_cached(asked, matched, among[best].endpoint)
        predicted_s -= self._burden(asked, among[best], speeds[best], cached, now_s)
        first = [among[place].endpoint for place in (best, *ranked)]
        self._note_turn(first[0], len(candidates))
        return Choice(
            line_up(first, among, candidates),
            rung,
            cached,
            max(predicted_s, 0.0),
        )

    def _choose_blind(
        self,
        asked: Asked,
        among: Sequence[Candidate],
        candidates: Sequence[Candidate],
        matched: Mapping[str, int],
    ) -> Choice:
        """Without looks: to where we have sent this prompt's beginning ourselves, as long as the ring's
        bound allows it, or else by the ring."""
        key, shared = self._key(asked)
        if not asked.session and any(have > shared for have in matched.values()):
            most = self._home.ring.most(sum(each.in_flight for each in among), len(among))
            warm = [c for c in among if c.endpoint in matched and c.in_flight + 1 <= most]
            costs = [float(-matched[each.endpoint]) for each in warm]
            if warm:
                first = [warm[place].endpoint for place in order(asked.key, costs)]
                cached = count_cached(asked, matched, first[0])
                return Choice(line_up(first, among, candidates), "hash", cached)
        return self._home.choose(asked, among, candidates, key)

    def _predict(
        self,
        asked: Asked,
        among: Sequence[Candidate],
        speeds: Sequence[Speed],
        matched: Mapping[str, int],
        now_s: float,
    ) -> list[float]:
        """Predict each, without what is promised. `explain` says the same in parts; here it is one
        loop, because it is run for every endpoint at every pick: 0.7 us."""
        about, prompt, block_tokens = self._about, asked.prompt_tokens, asked.block_tokens
        fresh_s = now_s - self._settings.fresh_s
        chunk, get, adapter, burden = about.chunk_tokens, matched.get, asked.adapter, about.burden
        costs, caution = list[float](), self._caution()
        for each, speed in zip(among, speeds, strict=True):
            cached = get(each.endpoint, 0) * block_tokens
            computed = prompt - cached if cached < prompt else 1
            if each.seen_s >= fresh_s:
                unseen, tokens = each.unseen, each.unseen_tokens + computed
                step_s, cost = speed.step_s + unseen * speed.waiter_s, speed.backlog_s
                others = each.load.running + unseen + BEHIND * speed.waiting
                if speed.fullness or unseen >= speed.room or tokens > speed.free_tokens:
                    cost += speed.hold_up_s(unseen, tokens)
            else:
                tokens = each.in_flight_tokens + computed
                step_s, cost, others = each.in_flight * speed.waiter_s, 0.0, each.in_flight
            cost += (tokens + (burden * others + caution) * computed) * speed.token_s
            cost += (1.0 + tokens / chunk) * step_s
            if adapter:
                cost += speed.adapter_s(adapter, about)
            costs.append(cost)
        return costs

    def _caution(self) -> float:
        return self._about.caution * self._speeds.others

    def _burden(
        self, asked: Asked, each: Candidate, speed: Speed, cached: int, now_s: float
    ) -> float:
        """Say how much of a cost is no time of this request's own."""
        computed = max(asked.prompt_tokens - cached, 1)
        return self._weight(each, now_s) * computed * speed.token_s

    def _weight(self, each: Candidate, now_s: float) -> float:
        """Say what a token to be computed there weighs beside its own time."""
        if each.seen_s >= now_s - self._settings.fresh_s:
            others = each.load.running + each.unseen + BEHIND * each.load.waiting
        else:
            others = each.in_flight
        return self._about.burden * others + self._caution()

    def _promise(
        self,
        asked: Asked,
        among: Sequence[Candidate],
        matched: Mapping[str, int],
        speeds: Sequence[Speed],
        costs: list[float],
        now_s: float,
    ) -> tuple[int, float] | None:
        """Find the place on the ring of what no cache is known to hold, or of a session; take off what
        being there is worth. Returns which endpoint, and how much."""
        share = 1.0 if asked.session else self._speeds.others
        if share < LEAST_OTHERS:
            return None
        key, shared = self._key(asked)
        if key is None:
            return None
        places = {each.endpoint: place for place, each in enumerate(among)}
        # A conversation goes to where what it shares with others is already.
        holders = {each for each, have in matched.items() if shared and have >= shared}
        # No bound: what is there already is part of the cost.
        found = self._home.settle(key, places, holders)
        if found is None:
            return None
        # All that we have not sent there others may have; but an engine that tells its cache has not.
        missing = max(asked.prompt_tokens - count_cached(asked, matched, found), 0)
        missing = 0 if self._prefixes.is_precise(found) else missing
        place = places[found]
        worth_s = share * self._about.ring_credit * missing * speeds[place].token_s
        worth_s *= 1.0 + self._weight(among[place], now_s)
        if asked.session:
            worth_s += self._about.session_s
        costs[place] -= worth_s
        return place, worth_s

    def _key(self, asked: Asked) -> tuple[int | None, int]:
        """Find what to hash, the first block that is this conversation's own, and how many stand before
        it. None: it has none of its own."""
        if asked.session:
            return hash_session(asked.session), 0
        shared = self._prefixes.shared(asked.blocks)
        return (asked.blocks[shared] if shared < len(asked.blocks) else None), shared

    def _find_equals(
        self,
        asked: Asked,
        among: Sequence[Candidate],
        costs: Sequence[float],
        speed: Speed,
        best: int,
        matched: Mapping[str, int],
    ) -> Sequence[int]:
        """Find those whose predictions cannot be told from the best one, whose speed is given. Of these
        a prompt goes to where it is cached: what need not be computed helps everybody there."""
        limit_s = costs[best] + self._about.floor_s + speed.error * max(costs[best], 0.0)
        # A prompt waits for the step that runs to end, and nobody knows how far it is.
        limit_s += speed.step_s / 2
        equals = [place for place, cost in enumerate(costs) if cost <= limit_s]
        if matched and len(equals) > 1:
            cached = [count_cached(asked, matched, among[place].endpoint) for place in equals]
            least = max(cached) * AS_CACHED
            equals = [place for place, have in zip(equals, cached, strict=True) if have >= least]
        return equals or [best]

    def _take_turns(self, key: str, among: Sequence[Candidate], equals: Sequence[int]) -> int:
        """Take the one that has waited longest for its turn: prompts that come to an engine at even
        distances meet less often in one step. Gateways have turns of their own, and begin by chance."""
        get = self._turns.get
        turns = [float(get(among[place].endpoint, 0)) for place in equals]
        return equals[order(key, turns, 1)[0]]

    def _note_turn(self, endpoint: str, count: int) -> None:
        if len(self._turns) > 2 * count + 8:
            self._turns.clear()
        self._turn += 1
        self._turns[endpoint] = self._turn

    def explain(
        self, asked: Asked, candidates: Sequence[Candidate], now_s: float
    ) -> Sequence[Terms]:
        matched = self._prefixes.matched(asked.blocks, now_s)
        speeds = self._speeds.of(candidates, now_s)
        costs = self._predict(asked, candidates, speeds, matched, now_s)
        promised = self._promise(asked, candidates, matched, speeds, costs, now_s)
        rung = find_rung(candidates, now_s, self._settings)
        said: list[Terms] = []
        for place, (each, speed) in enumerate(zip(candidates, speeds, strict=True)):
            terms = self._split(asked, each, speed, matched, now_s)
            if promised and promised[0] == place:
                terms["promise_s"] = -promised[1]
            if rung == "hash":
                terms["in_flight"] = float(each.in_flight)
            said.append(Terms(each.endpoint, costs[place], terms))
        return sorted(said, key=lambda terms: terms.cost)

    def _split(
        self,
        asked: Asked,
        each: Candidate,
        speed: Speed,
        matched: Mapping[str, int],
        now_s: float,
    ) -> dict[str, float]:
        """Say what a prediction is made of; what is no time stands beside it, without `_s`."""
        cached = count_cached(asked, matched, each.endpoint)
        computed = max(asked.prompt_tokens - cached, 1)
        is_fresh = each.seen_s >= now_s - self._settings.fresh_s
        before = each.unseen_tokens if is_fresh else each.in_flight_tokens
        steps = 1.0 + (before + computed) / self._about.chunk_tokens
        step_s = speed.step_s if is_fresh else 0.0
        step_s += (each.unseen if is_fresh else each.in_flight) * speed.waiter_s
        terms = {
            "queue_s": speed.backlog_s if is_fresh else 0.0,
            "sent_s": before * speed.token_s,
            "prefill_s": computed * speed.token_s,
            "decode_s": steps * step_s,
            "full_s": speed.hold_up_s(each.unseen, before + computed) if is_fresh else 0.0,
            "burden_s": self._burden(asked, each, speed, cached, now_s),
            "cached_tokens": float(cached),
            "prefill_tokens_per_s": 1.0 / speed.token_s,
        }
        if asked.adapter:
            terms["adapter_s"] = speed.adapter_s(asked.adapter, self._about)
        return terms


def count_cached(asked: Asked, matched: Mapping[str, int], endpoint: str) -> int:
    """Say how many of its tokens are cached there. The last one never is: engines compute it anew."""
    cached = matched.get(endpoint, 0) * asked.block_tokens
    return max(0, min(cached, asked.prompt_tokens - 1))
