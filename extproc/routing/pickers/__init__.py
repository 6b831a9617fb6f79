"""All ways to choose, by the names that policies use. One file each."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from extproc.routing.candidate import Picker
from extproc.routing.pickers.at_random import Random
from extproc.routing.pickers.chwbl import Chwbl
from extproc.routing.pickers.disaggregated import Disaggregated
from extproc.routing.pickers.least_request import LeastRequest
from extproc.routing.pickers.peak_ewma import PeakEwma
from extproc.routing.pickers.predicted_ttft import PredictedTtft
from extproc.routing.pickers.queue_depth import QueueDepth
from extproc.routing.pickers.round_robin import RoundRobin
from extproc.routing.pickers.token_estimate import TokenEstimate
from extproc.routing.pickers.weighted import Weighted
from extproc.routing.prefixes import Prefixes
from extproc.routing.settings import Algorithm, PickerSettings

Make = Callable[[PickerSettings, Prefixes], Picker]


def disaggregated(settings: PickerSettings, prefixes: Prefixes) -> Picker:
    decoders, prefillers = (PredictedTtft(settings, prefixes) for _ in range(2))
    return Disaggregated(settings, decoders, prefillers)


PICKERS: Mapping[Algorithm, Make] = MappingProxyType(
    {
        "predicted_ttft": PredictedTtft,
        "chwbl": lambda settings, _prefixes: Chwbl(settings),
        "weighted": Weighted,
        "least_request": LeastRequest,
        "peak_ewma": PeakEwma,
        "queue_depth": QueueDepth,
        "token_estimate": TokenEstimate,
        "round_robin": lambda _settings, _prefixes: RoundRobin(),
        "random": lambda _settings, _prefixes: Random(),
        "disaggregated": disaggregated,
    }
)


def make_picker(settings: PickerSettings, prefixes: Prefixes) -> Picker:
    """Make the picker of one pool, over what is known of its caches."""
    return PICKERS[settings.algorithm](settings, prefixes)
