"""The control: single questions that share nothing, all alike. No picker can know more than how
many are where; lengths as in ShareGPT (vLLM's paper, arXiv 2309.06180, figure 11), less spread."""

from study.draws import Length
from study.threads import Shape, Turns

SHORT = Shape(
    title="short",
    first=Length(161, 0.5, 8, 1024),
    later=Length(1, 0.0),
    answer=Length(128, 0.5, 8, 512),
    turns=Turns(mean=1, most=1),
    tenants=4,
)
