"""What may leave for a service elsewhere: pure decisions about members, tenants and personal data."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

import msgspec

from extproc.dialects.texts import Text
from extproc.safety.pii.finding import Finding, resolve
from extproc.safety.pii.patterns import LOOKALIKE
from extproc.safety.pii.rules import ALL

TELLING = frozenset({"cache_salt", "metadata", "prompt_cache_key", "safety_identifier", "user"})
"""Members that say who asks, or for what, and change no answer: they are taken out in silence."""

_CARRYING = (
    "model messages prompt suffix input system instructions context tools functions tool_choice "
    "function_call parallel_tool_calls max_tool_calls modalities audio prediction"
)
_SHOWING = (
    "stream stream_options response_format text n best_of echo logprobs top_logprobs include "
    "encoding_format dimensions store service_tier truncation background previous_response_id "
    "conversation"
)
_MAKING = (
    "max_tokens max_completion_tokens max_output_tokens temperature top_p top_k stop "
    "stop_sequences seed frequency_penalty presence_penalty logit_bias reasoning "
    "reasoning_effort verbosity thinking web_search_options"
)
SHAPING = frozenset(f"{_CARRYING} {_SHOWING} {_MAKING}".split())
"""Members of the two dialects that an answer depends on. Sources: the API references of OpenAI (chat,
completions, embeddings, responses) and Anthropic (messages)."""


class Gate(msgspec.Struct, frozen=True):
    """What one service may be given. Empty sets of regions and tenants are everybody."""

    types: AbstractSet[str] = frozenset()
    fields: AbstractSet[str] = frozenset()
    regions: AbstractSet[str] = frozenset()
    tenants: AbstractSet[str] = frozenset()
    goes_on: bool = False
    """Whether another model may serve what this one must not see."""

    @property
    def looks(self) -> bool:
        """Whether any personal data has to stay here."""
        return ALL not in self.types

    def refuse_whom(self, tenant: str, region: str) -> str:
        """Say why nothing of a tenant may leave; empty: it may. Of a tenant without a region nobody
        knows whether it may."""
        if self.tenants and tenant not in self.tenants:
            return "requests of this tenant must not leave"
        if self.regions and region not in self.regions:
            where = f"region {region!r}" if region else "a tenant without a region"
            return f"requests of {where} must not leave"
        return ""

    def surplus(self, document: Mapping[str, object]) -> Sequence[str]:
        """Name the members to be taken out."""
        return [name for name in document if name in TELLING and name not in self.fields]

    def forbidden(self, document: Mapping[str, object]) -> str:
        """Name a member that may not leave and that cannot be left out, for it may mean something;
        empty: there is none. A null is nothing."""
        known = SHAPING | TELLING | self.fields
        return next(
            (n for n, value in document.items() if value is not None and n not in known), ""
        )

    def unmasked(
        self, texts: Sequence[Text], found: Sequence[Sequence[Finding]]
    ) -> tuple[Text, str] | None:
        """Find personal data that has to stay here: where it is, and its type."""
        for text, findings in zip(texts, found, strict=True):
            for each in resolve(findings) if findings else ():
                if each.type != LOOKALIKE and each.type not in self.types:
                    return text, each.type
        return None
