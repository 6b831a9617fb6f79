"""Which members of the dialects hold text, and whose words they are: the tables behind `texts.py`.

A member that stands in no table is text, with its name and all that is below it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

Speaker = Literal["system", "user", "assistant", "tool", "definition", "other"]
"""Whose words: of a message its role; `definition` of tools and schemas, `other` of what is said to the
service and not to the model: URLs, names of users, metadata, members that nobody knows."""

How = Literal["shape", "word", "json", "input", "free", "schema", "number", "skip", "url"]
"""How a member is to be read:

    shape    a text, or parts of which this table knows the members
    word     one of a few words, or an id; text if it is neither
    json     a text that holds JSON
    input    a text, parts, or an object of any form
    free     of any form: names and long numbers count as text too
    schema   a JSON schema
    url      an address, or bytes in a `data:` URL
    number   numbers, or switches; a text all the same if it is one
    skip     what only its maker can read
"""

_WORDS = (
    "role type id tool_call_id call_id tool_use_id item_id response_id file_id container_id status "
    "detail format media_type mime_type encoding_format reasoning_effort effort verbosity "
    "service_tier truncation summary_mode phase ttl syntax object finish_reason stop_reason "
    "function_call tool_choice include modalities guided_decoding_backend strict display"
)
_SHAPES = (
    "messages content text refusal thinking reasoning reasoning_content summary name filename title "
    "description tool_calls function functions tools custom input_audio audio file source system instructions prompt suffix user stop stop_sequences response_format "
    "json_schema citations cache_control stream_options grammar definition context allowed_tools "
    "author guided_regex guided_choice guided_grammar chat_template safety_identifier "
    "prompt_cache_key output_text query web_search_options user_location approximate"
)
_NUMBERS = (
    "n seed temperature top_p top_k min_p max_tokens max_completion_tokens max_output_tokens "
    "max_tool_calls min_tokens budget_tokens presence_penalty frequency_penalty repetition_penalty "
    "length_penalty logit_bias logprobs top_logprobs prompt_logprobs echo best_of stream store "
    "background parallel_tool_calls disable_parallel_tool_use dimensions truncate_prompt_tokens "
    "priority ignore_eos skip_special_tokens spaces_between_special_tokens add_generation_prompt "
    "continue_final_message add_special_tokens include_stop_str_in_output stop_token_ids "
    "allowed_token_ids index is_error include_usage "
    "continuous_usage_stats include_obfuscation use_beam_search return_token_ids prompt_token_ids"
)
_SEALED = "signature encrypted_content prompt_embeds"

SHAPE: Mapping[str, How] = MappingProxyType(
    {
        **dict.fromkeys(_WORDS.split(), "word"),
        **dict.fromkeys(_SHAPES.split(), "shape"),
        **dict.fromkeys(_NUMBERS.split(), "number"),
        **dict.fromkeys(_SEALED.split(), "skip"),
        "arguments": "json",
        "input": "input",
        "output": "input",
        "documents": "free",
        "metadata": "free",
        "parameters": "schema",
        "input_schema": "schema",
        "schema": "schema",
        "guided_json": "schema",
        "structured_outputs": "schema",
        "url": "url",
        "image": "url",
        "image_url": "url",
        "audio_url": "url",
        "video_url": "url",
        "file_data": "url",
        "file_url": "url",
        "data": "shape",
    }
)

_DESCRIBING = (
    "title description properties patternProperties additionalProperties unevaluatedProperties "
    "required items prefixItems contains pattern format allOf anyOf oneOf not if then else "
    "dependentRequired dependentSchemas propertyNames definitions strict json regex choice grammar "
    "json_object structural_tag name schema contentEncoding contentMediaType "
    "$schema $id $ref $defs $comment $anchor"
)
_COUNTING = (
    "minItems maxItems uniqueItems minContains maxContains minLength maxLength minimum maximum "
    "exclusiveMinimum exclusiveMaximum multipleOf minProperties maxProperties readOnly writeOnly "
    "deprecated nullable"
)
_VALUES = "enum const default example examples"
SCHEMA: Mapping[str, How] = MappingProxyType(
    {
        **dict.fromkeys(_DESCRIBING.split(), "schema"),
        **dict.fromkeys(_COUNTING.split(), "number"),
        **dict.fromkeys(_VALUES.split(), "free"),
        "type": "word",
    }
)
"""Words of JSON Schema: https://json-schema.org/draft/2020-12; and of vLLM's structured outputs."""

SPEAKERS: Mapping[str, Speaker] = MappingProxyType(
    {
        "messages": "user",
        "system": "system",
        "instructions": "system",
        "chat_template": "system",
        "suffix": "user",
        "documents": "tool",
        **dict.fromkeys(
            [
                "tools",
                "functions",
                "tool_choice",
                "function_call",
                "response_format",
                "text",
                "guided_json",
                "guided_regex",
                "guided_choice",
                "guided_grammar",
                "structured_outputs",
            ],
            "definition",
        ),
    }
)
"""Of members of the body; of the prompt, the user; of all others, `other`."""

ROLES: Mapping[object, Speaker] = MappingProxyType(
    {
        "system": "system",
        "developer": "system",
        "user": "user",
        "assistant": "assistant",
        "tool": "tool",
        "function": "tool",
    }
)
CALLS = frozenset({"tool_use", "server_tool_use", "mcp_tool_use", "reasoning"})


def speaker_of(members: Mapping[str, object], above: Speaker) -> Speaker:
    """Say whose words an object holds: by its role, or by the kind of part that it is."""
    if (role := members.get("role")) is not None:
        return ROLES.get(role, "other") if isinstance(role, str) else "other"
    kind = members.get("type")
    if isinstance(kind, str) and above not in ("definition", "other"):
        if kind.endswith(("_output", "tool_result")):
            return "tool"
        if kind in CALLS or kind.endswith("_call"):
            return "assistant"
    return above
