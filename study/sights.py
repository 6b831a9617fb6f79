"""How much a gateway sees, by the names that tables use."""

from collections.abc import Mapping
from types import MappingProxyType

from study.gateway import Sight

PLAIN = "as it is"
SIGHTS: Mapping[str, Sight] = MappingProxyType(
    {
        PLAIN: Sight(),
        "prefill rate 30 % too low": Sight(prefill_error=0.7),
        "prefill rate 30 % too high": Sight(prefill_error=1.3),
        "metrics 1 s old": Sight(late_s=1.0),
        "metrics 5 s old": Sight(late_s=5.0),
        "in-flight unknown": Sight(counts_in_flight=False),
        "KV events": Sight(is_precise=True),
        "KV events, 10 % lost": Sight(is_precise=True, lost=0.1),
        "KV events, 10 % lost for good": Sight(is_precise=True, lost=0.1, replays=False),
    }
)
