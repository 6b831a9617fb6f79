"""Token bucket and leaky bucket: one arithmetic, told from two sides.

What a token bucket misses is what stands in a leaky bucket. We keep the latter, the *level*: a
reservation pours its amount in, the rate drains it, and what would overflow is refused.

A level is kept as of an *anchor*, a moment at which it was a whole number, and the anchor moves only by
times in which a whole number drains. So the level is exact however often it is asked for.

Giving back. A reservation of 1000 that used 300 gives 700 back. Poured in now, though, and given back
a minute later, part of it has drained by then, and giving it back as well lets more than a bucketful
through at once. A strict bucket gives back only what surely still stands there for it, by the larger of
two bounds: what was surplus less what has drained since, and the level less all that was poured in
after it. With either, the level stays at or above what it would be had everybody reserved what they
used in the end; tests hold it to that.
"""

import msgspec

from extproc.limits.rate import Rate
from extproc.limits.state import NEVER, Hold, Look


class BucketRule(msgspec.Struct, frozen=True):
    """How large it is, and how fast it drains."""

    capacity: int
    rate: Rate

    def state(self, old: object, now_us: int) -> "Bucket":
        """Bring a state up to now, and under this rule."""
        if not isinstance(old, Bucket):
            return Bucket(self, 0, now_us, now_us)
        bucket = old.drain(now_us)
        if bucket.rule == self:
            return bucket
        if bucket.rule.rate == self.rate:
            return msgspec.structs.replace(bucket, rule=self)
        level = bucket.level_at(now_us)
        return msgspec.structs.replace(bucket, rule=self, level=level, at_us=now_us)

    def anew(self, now_us: int) -> "Bucket":
        """It had drained, and was forgotten."""
        return Bucket(self, 0, now_us, now_us)


class Bucket(msgspec.Struct, frozen=True):
    """The level at the anchor."""

    rule: BucketRule
    level: int
    at_us: int
    since_us: int
    """When it was last empty."""
    poured: int = 0
    """In all, since then; what was given back is not taken off."""

    def level_at(self, now_us: int) -> int:
        return self.level - self.rule.rate.count(now_us - self.at_us)

    def drain(self, now_us: int) -> "Bucket":
        """Move the anchor as near to now as it goes. A clock that was set back moves it too."""
        if now_us < self.at_us:
            return msgspec.structs.replace(self, at_us=now_us)
        if self.level_at(now_us) <= 0:
            return Bucket(self.rule, 0, now_us, now_us)
        rate = self.rule.rate
        periods = (now_us - self.at_us) // (rate.ticks * rate.tick_us)
        if periods == 0:
            return self
        level = self.level - periods * rate.amount
        at_us = self.at_us + periods * rate.ticks * rate.tick_us
        return msgspec.structs.replace(self, level=level, at_us=at_us)

    def wait_us(self, amount: int, now_us: int) -> int:
        room = self.rule.capacity - amount
        if room < 0:
            return NEVER
        if self.level_at(now_us) <= room:
            return 0
        return self.at_us + self.rule.rate.time_us(self.level - room) - now_us

    def expect_us(self, amount: int, count: int, before: int, now_us: int) -> int:
        del count
        wait_us = self.wait_us(amount, now_us)
        return wait_us if wait_us == NEVER else wait_us + self.rule.rate.time_us(before)

    def take(self, hold: Hold) -> tuple["Bucket", Hold]:
        hold = msgspec.structs.replace(hold, mark=self.poured + hold.amount)
        level, poured = self.level + hold.amount, self.poured + hold.amount
        return msgspec.structs.replace(self, level=level, poured=poured), hold

    def look(self, now_us: int) -> Look:
        return Look(self.rule.capacity - self.level_at(now_us), self.gone_us(now_us) - now_us)

    def gone_us(self, now_us: int) -> int:
        return self.at_us + self.rule.rate.time_us(self.level) if self.level else now_us

    def settle(self, hold: Hold, used: int, now_us: int) -> tuple["Bucket", tuple[int, ...]]:
        bucket = self.drain(now_us)
        change = used - hold.amount
        if change >= 0:
            level, poured = bucket.level + change, bucket.poured + change
            return msgspec.structs.replace(bucket, level=level, poured=poured), ()
        back = min(bucket.surplus(hold, -change, now_us), bucket.level_at(now_us))
        return msgspec.structs.replace(bucket, level=bucket.level - back).drain(now_us), ()

    def surplus(self, hold: Hold, unused: int, now_us: int) -> int:
        """How much of what was not used may be given back."""
        if not hold.strict:
            return unused
        if hold.at_us < self.since_us:
            return 0
        drained = self.rule.rate.count_up(max(0, now_us - hold.at_us))
        alone = self.level_at(now_us) - (self.poured - hold.mark)
        return max(0, unused - drained, min(unused, alone))
