"""How often engines are asked, so that asking never takes more than its share of a core. Pure."""

from dataclasses import dataclass

FAST_S = 0.2
"""Five times a second: what is known of an engine is then mostly younger than a prefill takes."""
SLOW_S = 1.0
BUDGET = 0.25
"""Share of one core that the process may take."""
ROOM = 0.8
"""Of the budget: below it, engines are asked more often again. In between nothing changes."""
STEP = 1.25


@dataclass(slots=True)
class Pace:
    """The interval between two looks at one endpoint."""

    interval_s: float = FAST_S
    budget: float = BUDGET

    @property
    def is_full(self) -> bool:
        return self.interval_s == FAST_S

    def spent(self, share: float) -> None:
        """Take note what the process took of one core since the last time, about a second ago."""
        if share > self.budget:
            self.interval_s = min(self.interval_s * max(STEP, share / self.budget), SLOW_S)
        elif share < self.budget * ROOM and self.interval_s > FAST_S:
            self.interval_s = max(self.interval_s / STEP, FAST_S)
