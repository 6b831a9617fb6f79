"""What limits offer to a request before anything is taken from them: in `MemoryCounters`.

First each of them by itself, then as the lines before them leave it.
"""

from collections.abc import Sequence

import msgspec

from extproc.limits.answers import Row
from extproc.limits.base import Charge, Ticket
from extproc.limits.rules import Ready
from extproc.limits.state import NEVER, State
from extproc.stores.expiring import Expiring
from extproc.stores.lines_memory import MemoryLines, Stand


class Offer(msgspec.Struct, frozen=True):
    """One charge, and the state it would be taken from."""

    charge: Charge
    ready: Ready
    key: str
    state: State
    wait_us: int
    stand: Stand | None = None

    @property
    def refuses(self) -> bool:
        return self.wait_us != 0 and not self.charge.limit.shadow

    def row(self, now_us: int) -> Row:
        look = self.state.look(now_us)
        return Row(look.remaining, look.reset_us, self.wait_us)


def make_offers(
    states: Expiring[State],
    charges: Sequence[Charge],
    wanted: Sequence[tuple[Ready, str]],
    now_us: int,
    *,
    repeated: bool = False,
) -> list[Offer]:
    offers: list[Offer] = []
    for charge, (ready, key) in zip(charges, wanted, strict=True):
        state = ready.rule.state(states.get(key), now_us)
        wait_us = 0 if repeated else state.wait_us(charge.amount, now_us)
        offers.append(Offer(charge, ready, key, state, wait_us))
    return offers


def queue(
    lines: MemoryLines, settle_key: str, offers: Sequence[Offer], ticket: Ticket, now_us: int
) -> list[Offer]:
    """Let lines have a say: no room where others are before."""
    stands = lines.find(settle_key, [offer.charge for offer in offers], ticket)
    queued: list[Offer] = []
    for offer, stand in zip(offers, stands, strict=True):
        if stand is None:
            queued.append(offer)
            continue
        wait_us = lines.wait_us(stand, offer.state, now_us)
        queued.append(msgspec.structs.replace(offer, wait_us=wait_us, stand=stand))
    return queued


def join(lines: MemoryLines, offers: Sequence[Offer]) -> bool:
    """Stand in the lines of all limits that refuse, or in none if one of them has no line."""
    stands = [(offer, offer.stand) for offer in offers if offer.stand]
    if any(o.refuses and (o.stand is None or o.wait_us == NEVER) for o in offers):
        lines.leave(stand.place for _, stand in stands)
        return False
    for offer, stand in stands:
        if offer.refuses:
            lines.refuse(stand)
        else:
            lines.step_aside(stand)
    return True
