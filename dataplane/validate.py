"""Two checks of a rendered bootstrap: Envoy's types, which name the field at fault, and Envoy itself, which has the last word."""

import importlib
import re
import subprocess
import warnings
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import timedelta
from pathlib import Path
from types import NoneType, UnionType
from typing import Union, cast, get_args, get_origin, get_type_hints

import betterproto2
import yaml

from dataplane.gateway import ConfigError

LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
"""libyaml reads a bootstrap in 12 ms, Python takes 80."""

DURATION = re.compile(r"-?[0-9]+(\.[0-9]{1,9})?s")

SCALARS: Mapping[type[object], tuple[type[object], ...]] = {
    bool: (bool,),
    int: (int,),
    float: (int, float),
    str: (str,),
    bytes: (str,),  # base64 in JSON
}
"""How a field's type is written in YAML. Ranges are Envoy's to check."""

LOG_PREFIX = re.compile(r"^(\[[^\]]*\])+ ")

BOOTSTRAP = "envoy.config.bootstrap.v3.Bootstrap"
DISCOVERY_RESPONSE = "envoy.service.discovery.v3.DiscoveryResponse"
"""What an endpoints file holds."""

NEWER: Mapping[str, frozenset[str]] = {
    "envoy.extensions.router.cluster_specifiers.priority_group.v3.PriorityGroupClusterSpecifier": (
        frozenset({"priority_groups", "override_metadata_namespace"})
    )
}
"""Types of Envoy 1.40 that envoy-data-plane has not got yet, with their fields; Envoy itself looks
into these."""

FREE_FORM = ("Struct", "Value", "ListValue")
"""Messages of google.protobuf that hold any JSON."""

ENVOY_VALIDATE_S = 30
"""Validation takes 0.1 s; more means a binary that hangs."""

SAID_CHARS = 300
"""Envoy repeats the whole configuration, before its reason or after it: both ends are kept."""


def check_types(text: str, type_name: str = BOOTSTRAP) -> None:
    """Checks YAML against one of envoy-data-plane's types, through every `typed_config` in it.

    Takes 0.6 s the first time, nearly all of it the import of the types.

    Raises:
        ConfigError: an unknown field, a wrong type, two members of a oneof, an unknown "@type"; with the path.
    """
    kind = find_type(type_name)
    if kind is None:
        raise ConfigError(f"{type_name} is no type that Envoy knows")
    path = kind.__name__.lower()
    try:
        tree: object = yaml.load(text, LOADER)  # noqa: S506 - both are safe loaders
    except yaml.YAMLError as fault:
        raise ConfigError(f"{path} is not YAML: {fault}") from fault
    check_message(tree, kind, path)


def check_envoy(bootstrap: Path, binary: Path, timeout_s: float = ENVOY_VALIDATE_S) -> None:
    """Lets Envoy load the file without serving.

    Raises:
        ConfigError: with Envoy's own words, or because there is no such binary.
    """
    command = [str(binary), "--mode", "validate", "--config-path", str(bootstrap)]
    try:
        run = subprocess.run(  # noqa: S603 - the binary and the path are the operator's own
            [*command, "--log-level", "error"],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except FileNotFoundError:
        raise ConfigError(f"there is no Envoy at {binary}") from None
    except subprocess.TimeoutExpired:
        raise ConfigError(f"Envoy took more than {timeout_s:g} s to read {bootstrap}") from None
    if run.returncode != 0:
        said = LOG_PREFIX.sub("", (run.stdout + run.stderr).strip())
        if len(said) > 2 * SAID_CHARS:
            said = f"{said[:SAID_CHARS]} ... {said[-SAID_CHARS:]}"
        raise ConfigError(f"Envoy refuses {bootstrap}: {said or f'exit code {run.returncode}'}")


def check_message(value: object, kind: type[betterproto2.Message], path: str) -> None:
    """One message, field by field."""
    groups = oneof_groups(kind)
    hints = get_type_hints(kind)
    chosen: dict[str, str] = {}
    for name, member in as_members(value, path).items():
        here = f"{path}.{name}"
        if name not in groups:
            raise ConfigError(f"{here}: {kind.__name__} has no such field")
        group = groups[name]
        if group and chosen.setdefault(group, name) != name:
            raise ConfigError(f"{here}: only one of this and {chosen[group]} can be set")
        check_value(member, hints[name], here)


def oneof_groups(kind: type[betterproto2.Message]) -> dict[str, str]:
    """Every field of the message, with the oneof that it belongs to or ""."""
    assert is_dataclass(kind)
    groups: dict[str, str] = {}
    for field in fields(kind):
        meta: object = field.metadata["betterproto"]
        assert isinstance(meta, betterproto2.FieldMetadata)
        groups[field.name] = meta.group or ""
    return groups


def check_value(value: object, hint: object, path: str) -> None:
    """One value, or a list or map of them, against the annotation of its field."""
    arguments = get_args(hint)
    origin = get_origin(hint)
    if origin in (Union, UnionType):  # a message or wrapped scalar that may be absent
        check_value(value, next(a for a in arguments if a is not NoneType), path)
    elif origin is list:
        if not isinstance(value, list):
            raise ConfigError(f"{path}: expected a list")
        for i, item in enumerate(cast("list[object]", value)):
            check_value(item, arguments[0], f"{path}[{i}]")
    elif origin is dict:
        for key, item in as_members(value, path).items():
            check_value(item, arguments[1], f"{path}[{key}]")
    else:
        assert isinstance(hint, type)
        check_single(value, cast("type[object]", hint), path)


def check_single(value: object, kind: type[object], path: str) -> None:
    if kind is timedelta:
        if not (isinstance(value, str) and DURATION.fullmatch(value)):
            raise ConfigError(f"{path}: expected a duration such as 0.25s")
    elif issubclass(kind, betterproto2.Message):
        check_nested(value, kind, path)
    elif issubclass(kind, betterproto2.Enum):
        names = {*kind.__members__, *kind.betterproto_renamed_proto_names_to_value()}
        if value not in names:
            raise ConfigError(f"{path}: {value!r} is none of {', '.join(sorted(names))}")
    elif type(value) not in SCALARS[kind]:
        raise ConfigError(f"{path}: {value!r} is no {kind.__name__}")


def check_nested(value: object, kind: type[betterproto2.Message], path: str) -> None:
    if not kind.__module__.endswith(".google.protobuf"):
        check_message(value, kind, path)
    elif kind.__name__ == "Any":
        check_any(value, path)
    else:
        assert kind.__name__ in FREE_FORM


def check_any(value: object, path: str) -> None:
    """A message that names its own type, as every extension's configuration does."""
    members = as_members(value, path)
    url = members.get("@type")
    if not isinstance(url, str):
        raise ConfigError(f'{path}: "@type" is missing')
    name = url.removeprefix("type.googleapis.com/")
    if name in NEWER:
        if strange := sorted(members.keys() - NEWER[name] - {"@type"}):
            raise ConfigError(f"{path}.{strange[0]}: {name.rpartition('.')[2]} has no such field")
        return
    kind = find_type(name)
    if kind is None:
        raise ConfigError(f"{path}.@type: {url!r} is no type that Envoy knows")
    check_message({name: member for name, member in members.items() if name != "@type"}, kind, path)


def find_type(type_name: str) -> type[betterproto2.Message] | None:
    """The class for a full name such as envoy.config.bootstrap.v3.Bootstrap."""
    package, _, name = type_name.rpartition(".")
    if not package.startswith("envoy."):
        return None
    with warnings.catch_warnings():
        # The generated code declares its validators in a way that pydantic 2.12 deprecates.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            module = importlib.import_module(f"envoy_data_plane.{package}")
        except ModuleNotFoundError:
            return None
    kind: object = getattr(module, name, None)
    return kind if isinstance(kind, type) and issubclass(kind, betterproto2.Message) else None


def as_members(value: object, path: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: expected fields, found {value!r}")
    members = cast("dict[object, object]", value)
    return {str(name): member for name, member in members.items()}
