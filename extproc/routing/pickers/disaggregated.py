"""Two endpoints for one request: one computes the prompt, the other one the answer.

For pools whose endpoints are marked `prefill` or `decode`. The request goes to the decoding one, whose
sidecar fetches the KV cache from the other one (`x-prefiller-host-port`, as llm-d's routing proxy
reads it). A prompt of which little is left to compute stays where it is decoded. Endpoints marked
`both` may do either.
"""

from collections.abc import Sequence

import msgspec

from extproc.routing.candidate import Asked, Candidate, Choice, Picker, Terms
from extproc.routing.settings import PickerSettings


class Disaggregated:
    """`decoders` and `prefillers` choose among their own kind."""

    def __init__(self, settings: PickerSettings, decoders: Picker, prefillers: Picker) -> None:
        self._least_tokens = settings.disaggregated_tokens
        self._decoders = decoders
        self._prefillers = prefillers

    def choose(self, asked: Asked, candidates: Sequence[Candidate], now_s: float) -> Choice:
        decoding = [each for each in candidates if each.role != "prefill"]
        prefilling = [each for each in candidates if each.role == "prefill"]
        # With one kind only, a request is better served whole than not at all.
        choice = self._decoders.choose(asked, decoding or prefilling, now_s)
        left = asked.prompt_tokens - choice.cached_tokens
        if not decoding or not prefilling or left < self._least_tokens:
            return choice
        other = self._prefillers.choose(asked, prefilling, now_s)
        return msgspec.structs.replace(
            choice, prefiller=other.endpoints[0], predicted_s=other.predicted_s
        )

    def explain(
        self, asked: Asked, candidates: Sequence[Candidate], now_s: float
    ) -> Sequence[Terms]:
        """Those that decode, then those that compute prompts."""
        decoding = [each for each in candidates if each.role != "prefill"]
        prefilling = [each for each in candidates if each.role == "prefill"]
        said = list(self._decoders.explain(asked, decoding, now_s)) if decoding else []
        return [*said, *(self._prefillers.explain(asked, prefilling, now_s) if prefilling else ())]
