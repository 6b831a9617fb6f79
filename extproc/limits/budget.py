"""Budget: so much in each day, week or month of a calendar, and word when a level is passed.

*Charged* is what settled requests used and open ones reserve; it decides. *Spent* is what settled ones
used; it only grows within a period, so each level of it is passed once, by one settlement.

A request belongs to the period in which it was admitted. Settled after its end, it changes nothing.
"""

import msgspec

from extproc.limits.periods import Periods
from extproc.limits.state import NEVER, Hold, Look


class BudgetRule(msgspec.Struct, frozen=True):
    """How much, in which periods, and where to give word."""

    capacity: int
    periods: Periods
    alerts: tuple[int, ...]
    """Percent, ascending."""

    def state(self, old: object, now_us: int) -> "Budget":
        """Begin a new period, or go on in that of `old` under this rule."""
        start_us, end_us = self.periods.at(now_us)
        if not isinstance(old, Budget) or old.start_us < start_us or old.end_us <= now_us:
            return Budget(self, start_us, end_us)
        return msgspec.structs.replace(old, rule=self, end_us=max(old.end_us, end_us))

    def anew(self, now_us: int) -> None:
        """Its period is over."""


class Budget(msgspec.Struct, frozen=True):
    """One period."""

    rule: BudgetRule
    start_us: int
    end_us: int
    charged: int = 0
    spent: int = 0

    def wait_us(self, amount: int, now_us: int) -> int:
        if amount > self.rule.capacity:
            return NEVER
        return 0 if self.charged + amount <= self.rule.capacity else self.end_us - now_us

    def expect_us(self, amount: int, count: int, before: int, now_us: int) -> int:
        """A new period has room for all."""
        del count, before
        return self.wait_us(amount, now_us)

    def take(self, hold: Hold) -> tuple["Budget", Hold]:
        """The mark is when the period began."""
        hold = msgspec.structs.replace(hold, mark=self.start_us)
        return msgspec.structs.replace(self, charged=self.charged + hold.amount), hold

    def look(self, now_us: int) -> Look:
        return Look(self.rule.capacity - self.charged, self.end_us - now_us)

    def gone_us(self, now_us: int) -> int:
        del now_us
        return self.end_us

    def settle(self, hold: Hold, used: int, now_us: int) -> tuple["Budget", tuple[int, ...]]:
        if hold.mark != self.start_us or now_us >= self.end_us:
            return self, ()
        charged = max(0, self.charged + used - hold.amount)
        spent = self.spent + used
        after = msgspec.structs.replace(self, charged=charged, spent=spent)
        return after, self.crossed(spent)

    def crossed(self, spent: int) -> tuple[int, ...]:
        """Levels between what was spent and what is now."""
        return tuple(
            level
            for level in self.rule.alerts
            if self.spent < threshold(self.rule.capacity, level) <= spent
        )


def threshold(capacity: int, percent: int) -> int:
    """The least whole amount that is so many percent or more. Exact in doubles for all that is
    below 2**53, and nothing is spent beyond."""
    hundreds, rest = divmod(capacity, 100)
    return hundreds * percent - (-rest * percent // 100)
