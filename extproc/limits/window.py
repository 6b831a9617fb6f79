"""Sliding window: never more than the amount in any stretch of time of that length.

Time is cut into slots, sixty to a window, and each keeps what was taken in it. A slot counts until
all of it lies outside the window, so the count errs by at most one slot, and to the safe side: what
was taken comes back after a window and up to a sixtieth of it.

Settling corrects the slot in which the reservation was made, while it still counts.
"""

import msgspec

from extproc.limits.state import NEVER, Hold, Look

SLOTS = 60
"""To a window: a minute has slots of a second. At most 61 pairs of numbers for each scope."""

Slots = tuple[tuple[int, int], ...]
"""Number of the slot, counted from 1970, and what was taken in it; ascending; none is zero."""


class WindowRule(msgspec.Struct, frozen=True):
    """How much, and how long a slot is."""

    capacity: int
    slot_us: int

    def state(self, old: object, now_us: int) -> "Window":
        """Bring a state up to now. Under slots of another length, all counts as taken just now."""
        if not isinstance(old, Window):
            return self.anew(now_us)
        window = old.slide(now_us)
        if window.rule == self:
            return window
        if window.rule.slot_us == self.slot_us:
            return msgspec.structs.replace(window, rule=self)
        return self.anew(now_us).change(now_us // self.slot_us, window.total)

    def anew(self, now_us: int) -> "Window":
        return Window(self, now_us // self.slot_us, (), 0)


class Window(msgspec.Struct, frozen=True):
    """The slots that count, as of the current one."""

    rule: WindowRule
    current: int
    slots: Slots
    total: int

    def slide(self, now_us: int) -> "Window":
        """Forget what lies outside. When the clock was set back, the newest slot stays current."""
        current = now_us // self.rule.slot_us
        if not self.slots:
            return Window(self.rule, current, (), 0)
        current = max(current, self.slots[-1][0])
        if self.slots[0][0] >= current - SLOTS:
            return Window(self.rule, current, self.slots, self.total)
        slots = tuple(slot for slot in self.slots if slot[0] >= current - SLOTS)
        return Window(self.rule, current, slots, sum(taken for _, taken in slots))

    def end_us(self, slot: int) -> int:
        """When it ceases to count."""
        return (slot + SLOTS + 1) * self.rule.slot_us

    def wait_us(self, amount: int, now_us: int) -> int:
        if amount > self.rule.capacity:
            return NEVER
        over = self.total + amount - self.rule.capacity
        for slot, taken in self.slots:
            if over <= 0:
                break
            over -= taken
            if over <= 0:
                return self.end_us(slot) - now_us
        return 0

    def expect_us(self, amount: int, count: int, before: int, now_us: int) -> int:
        """As if all that is taken came back evenly."""
        del count
        wait_us = self.wait_us(amount, now_us)
        if wait_us == NEVER:
            return NEVER
        return wait_us + int(before / self.rule.capacity * (SLOTS * self.rule.slot_us))

    def take(self, hold: Hold) -> tuple["Window", Hold]:
        """The mark is when the slot began."""
        hold = msgspec.structs.replace(hold, mark=self.current * self.rule.slot_us)
        return self.change(self.current, hold.amount), hold

    def look(self, now_us: int) -> Look:
        return Look(self.rule.capacity - self.total, self.gone_us(now_us) - now_us)

    def gone_us(self, now_us: int) -> int:
        return self.end_us(self.slots[-1][0]) if self.slots else now_us

    def settle(self, hold: Hold, used: int, now_us: int) -> tuple["Window", tuple[int, ...]]:
        window, slot = self.slide(now_us), hold.mark // self.rule.slot_us
        if not window.current - SLOTS <= slot <= window.current:
            return window, ()
        return window.change(slot, used - hold.amount), ()

    def change(self, slot: int, by: int) -> "Window":
        """Take more, or less, in a slot; a slot does not go below zero."""
        if not by:
            return self
        if by > 0 and self.slots and self.slots[-1][0] == slot:
            slots: Slots = (*self.slots[:-1], (slot, self.slots[-1][1] + by))
        else:
            taken = dict(self.slots)
            by = max(by, -taken.get(slot, 0))
            taken[slot] = taken.get(slot, 0) + by
            slots = tuple(sorted((at, amount) for at, amount in taken.items() if amount))
        return Window(self.rule, self.current, slots, self.total + by)
