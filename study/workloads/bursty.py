"""Chats that come in bursts: each tenant has a system prompt of its own, as assistants do."""

from study.draws import Bursts, Length
from study.threads import Prefix, Shape, Turns

BURSTY = Shape(
    title="bursty",
    first=Length(161, 1.0, 8, 2048),
    later=Length(73, 1.0, 4, 2048),
    answer=Length(120, 0.8, 8, 1024),
    turns=Turns(mean=3.5),
    think_s=8.0,
    shared=[Prefix(f"system-{number}", 640) for number in range(16)],
    skew=0.6,
    arrivals=Bursts(),
)
