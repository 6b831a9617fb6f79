"""Semaphore: so many at once. Each holds a lease, and one that is not renewed falls out.

How long a place is usually held is learned as places fall free, to guess when the next one will.
"""

import msgspec

from extproc.limits.state import Hold, Look

LEARNING = 8
"""Each release moves the usual time an eighth of the way to its own: about the last twenty count."""
FORGETTING_US = 3600 * 1_000_000
"""What was learned is forgotten when nothing more was for so long."""


class SemaphoreRule(msgspec.Struct, frozen=True):
    """How many at once."""

    capacity: int

    def state(self, old: object, now_us: int) -> "Semaphore":
        """Bring a state up to now and under this rule."""
        if not isinstance(old, Semaphore):
            return Semaphore(self, ())
        return Semaphore(self, old.live(now_us), old.usual_us, old.learned_us)

    def anew(self, now_us: int) -> None:
        """Nobody is in."""


class Semaphore(msgspec.Struct, frozen=True):
    """Who is in. Each step costs time linear in their number."""

    rule: SemaphoreRule
    leases: tuple[tuple[int, str], ...]
    """When it ends, and whose it is; ascending."""
    usual_us: int = 0
    """How long a place is held; 0 while nobody knows."""
    learned_us: int = 0
    """When that was learned."""

    def live(self, now_us: int) -> tuple[tuple[int, str], ...]:
        if not self.leases or self.leases[0][0] > now_us:
            return self.leases
        return tuple(lease for lease in self.leases if lease[0] > now_us)

    def usual_at(self, now_us: int) -> int:
        return self.usual_us if now_us < self.learned_us + FORGETTING_US else 0

    def wait_us(self, amount: int, now_us: int) -> int:
        """A guess: releases come evenly. Before the first, when the lease ends that ends first."""
        excess = len(self.leases) + amount - self.rule.capacity
        if excess <= 0:
            return 0
        if usual_us := self.usual_at(now_us):
            return max(1, usual_us * excess // self.rule.capacity)
        return self.leases[0][0] - now_us

    def expect_us(self, amount: int, count: int, before: int, now_us: int) -> int:
        """A guess: releases come evenly."""
        del before
        usual_us = self.usual_at(now_us)
        return self.wait_us(amount + count, now_us) if usual_us else 0

    def take(self, hold: Hold) -> tuple["Semaphore", Hold]:
        leases = tuple(sorted((*self.leases, (hold.until_us, hold.settle_key))))
        return msgspec.structs.replace(self, leases=leases), hold

    def look(self, now_us: int) -> Look:
        live = self.live(now_us)
        return Look(self.rule.capacity - len(live), self.usual_at(now_us) if live else 0)

    def gone_us(self, now_us: int) -> int:
        last_us = self.leases[-1][0] if self.leases else now_us
        return max(last_us, self.learned_us + FORGETTING_US)

    def settle(self, hold: Hold, used: int, now_us: int) -> tuple["Semaphore", tuple[int, ...]]:
        """What was used does not matter: it is over. A lease that fell out taught nothing."""
        del used
        live, left = self.live(now_us), self.others(hold.settle_key, now_us)
        if len(left) == len(live):
            return msgspec.structs.replace(self, leases=live), ()
        held_us, usual_us = max(1, now_us - hold.at_us), self.usual_at(now_us)
        usual_us += (held_us - usual_us) // LEARNING if usual_us else held_us
        return Semaphore(self.rule, left, usual_us, now_us), ()

    def renew(self, settle_key: str, until_us: int, now_us: int) -> "Semaphore | None":
        """Hold on. One that fell out comes back in only where there is room; None: there is none."""
        live, left = self.live(now_us), self.others(settle_key, now_us)
        if len(left) == len(live) and len(live) >= self.rule.capacity:
            return None
        leases = tuple(sorted((*left, (until_us, settle_key))))
        return msgspec.structs.replace(self, leases=leases)

    def others(self, settle_key: str, now_us: int) -> tuple[tuple[int, str], ...]:
        return tuple(lease for lease in self.live(now_us) if lease[1] != settle_key)
