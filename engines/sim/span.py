"""Steps of one batch that stays the same, and when each of them ends."""

from math import sqrt

import msgspec


class Span(msgspec.Struct, gc=False):
    """`steps` steps that begin at `start_s`, after step number `first`.

    A step lasts `fixed_s`, and `read_s` for every token of context that is read: `context` tokens
    in the first step, and `grow` more in each that follows. All ends come from this one formula,
    so they are the same however often somebody looks in between.
    """

    start_s: float
    first: int
    steps: int
    fixed_s: float
    read_s: float
    context: int
    grow: int

    def end_s(self, step: int) -> float:
        """When the `step`-th one ends; of 0, when the first begins."""
        read = self.context * step + self.grow * (step * (step - 1) // 2)
        return self.start_s + step * self.fixed_s + read * self.read_s

    @property
    def last_s(self) -> float:
        return self.end_s(self.steps)

    def done_by(self, now_s: float) -> int:
        """How many of the steps have ended, the one that ends right now included."""
        if now_s >= self.last_s:
            return self.steps
        passed_s = now_s - self.start_s
        if passed_s < 0:
            return 0
        first_s = self.fixed_s + self.context * self.read_s
        half = self.grow * self.read_s / 2
        # passed = steps * (first - half) + steps * steps * half, in the form that does not cancel
        middle = first_s - half
        below = middle + sqrt(middle * middle + 4 * half * passed_s)
        guess = (
            int(2 * passed_s / below) if below > 0 else 0
        )  # at once, and a first step without a context
        steps = min(max(guess, 0), self.steps)
        while steps < self.steps and self.end_s(steps + 1) <= now_s:
            steps += 1
        while steps > 0 and self.end_s(steps) > now_s:
            steps -= 1
        return steps
