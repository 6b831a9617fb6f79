"""A decision record in one sentence. Pure."""

from extproc.routing.record import DecisionRecord, Weighed

RUNGS = {
    "predicted": "fresh looks at engines",
    "in_flight": "our own counts, for looks were old",
    "hash": "the prompt's beginning alone, for looks and counts were old",
    "any": "nothing that tells endpoints apart",
}


def explain(record: DecisionRecord) -> str:
    """Say what was chosen, and what it had that the next one had not."""
    chosen = record.chosen[0] if record.chosen else ""
    if record.candidates_count == 1:
        return f"{chosen} was chosen: there was no other."
    count, basis = record.candidates_count, RUNGS[record.rung]
    said = f"{chosen} was chosen among {count} by {basis}{say_gain(record, chosen)}."
    return " ".join(filter(None, (said, say_prompt(record))))


def say_prompt(record: DecisionRecord) -> str:
    """Say where the prompt is computed, in a pool that has places for that."""
    if there := record.prefiller:
        return f"The prompt was to be computed at {there}{say_gain(record, there)}."
    if record.picker != "disaggregated" or record.candidates_count > len(record.candidates):
        return ""
    if {each.role == "prefill" for each in record.candidates} == {True, False}:
        return (
            "The prompt was to be computed there, too: too little of it was left to be sent around."
        )
    return "The prompt was to be computed there, too: endpoints of the other kind were none or out."


def say_gain(record: DecisionRecord, chosen: str) -> str:
    """Compare it with the next best of those that could have done the same."""
    first = next((each for each in record.candidates if each.endpoint == chosen), None)
    if first is None:
        return ""
    others = [
        each
        for each in record.candidates
        if each is not first and (each.role == "prefill") == (first.role == "prefill")
    ]
    return f": {compare(first, min(others, key=lambda each: each.cost))}" if others else ""


def compare(first: Weighed, next_best: Weighed) -> str:
    """Say by how much one is better than another, and by which term most."""
    other, gain = next_best.endpoint, next_best.cost - first.cost
    if gain < 0 and next_best.warmth < 1.0:
        share = f"{next_best.warmth:.0%}"
        return (
            f"{other} cost less, but is new or back, and gets {share} of its share until it is warm"
        )
    if gain <= 0:
        less = f"{-gain:.3g} less" if gain else "as much"
        return (
            f"{other} cost {less}; among equals its cache, its place on the ring or chance decides"
        )
    said = f"it cost {gain:.3g} less than {other}"
    terms = summands(first) | summands(next_best)
    gains = {
        name: next_best.terms.get(name, 0.0) - first.terms.get(name, 0.0) for name in sorted(terms)
    }
    name = max(gains, key=gains.__getitem__, default="")
    if not name or gains[name] <= 0:
        return said
    here, there = (each.terms.get(name, 0.0) for each in (first, next_best))
    return f"{said}, most of it for {name} ({here:.3g} here, {there:.3g} there)"


def summands(weighed: Weighed) -> set[str]:
    """Name the terms that add up to the cost: of a predicted time those that are times. What else
    stands beside them explains them."""
    times = {name for name in weighed.terms if name.endswith("_s") and not name.endswith("_per_s")}
    return times or set(weighed.terms)
