"""The JSON Schema of policy files, for editors: completion, mistakes while typing, and the manual
on hover, which is the comments beside the models' fields.

Every file is a part of a policy, so no section is required. What holds between sections only
`headgate policy check` can see.
"""

import ast
import inspect
import io
import json
import textwrap
import tokenize
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from pydantic import BaseModel

from extproc.policy.flaws import models_in
from extproc.policy.models import Policy

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, object]


def policy_schema() -> Schema:
    """Make the schema of one policy file."""
    schema = cast("Schema", Policy.model_json_schema())
    definitions = cast("dict[str, Schema]", schema["$defs"])
    for model in all_models(Policy):
        about = schema if model is Policy else definitions.get(model.__name__, {})
        properties = cast("dict[str, Schema]", about.get("properties", {}))
        for name, said in comments(model).items():
            if name in properties:
                properties[name].setdefault("description", said)
    untitle(schema)
    return {"$schema": DIALECT, **schema, "title": "A file of a Headgate policy"}


def as_json(schema: Schema) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def all_models(root: type[BaseModel]) -> Iterable[type[BaseModel]]:
    """Walk through a model and the models it is made of, each once."""
    seen: dict[type[BaseModel], None] = {root: None}
    waiting = [root]
    while waiting:
        for field in waiting.pop().model_fields.values():
            new = [model for model in models_in(field.annotation) if model not in seen]
            seen |= dict.fromkeys(new)
            waiting += new
    return seen


def comments(model: type[BaseModel]) -> Mapping[str, str]:
    """Field -> the comments that stand on its lines of the source."""
    source = textwrap.dedent(inspect.getsource(model))
    said: dict[int, str] = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            said[token.start[0]] = token.string.lstrip("# ")
    (body,) = cast("Sequence[ast.ClassDef]", ast.parse(source).body)
    found: dict[str, str] = {}
    for field in body.body:
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            lines = range(field.lineno, (field.end_lineno or field.lineno) + 1)
            text = " ".join(said[line] for line in lines if line in said)
            if text:
                found[field.target.id] = text[0].upper() + text[1:]
    return found


def untitle(schema: object) -> None:
    """Take out the titles that pydantic makes of names: editors would show them as documentation."""
    if isinstance(schema, dict):
        members = cast("Schema", schema)
        if isinstance(members.get("title"), str):
            del members["title"]
        for member in members.values():
            untitle(member)
    elif isinstance(schema, list):
        for item in cast("list[object]", schema):
            untitle(item)
