"""Two checks of a rendered bootstrap: Envoy's types, which name the field at fault, and Envoy itself, which has the last word."""

import importlib
import pkgutil
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import yaml
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from dataplane.gateway import ConfigError

LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
"""libyaml reads a bootstrap in 12 ms, Python takes 80."""

TYPES = descriptor_pool.Default()
"""Of all modules that were imported."""

DURATION = re.compile(r"-?[0-9]+(\.[0-9]{1,9})?s")

SCALARS: Mapping[int, tuple[type[object], ...]] = {
    FieldDescriptor.CPPTYPE_BOOL: (bool,),
    FieldDescriptor.CPPTYPE_INT32: (int,),
    FieldDescriptor.CPPTYPE_INT64: (int,),
    FieldDescriptor.CPPTYPE_UINT32: (int,),
    FieldDescriptor.CPPTYPE_UINT64: (int,),
    FieldDescriptor.CPPTYPE_FLOAT: (float, int),
    FieldDescriptor.CPPTYPE_DOUBLE: (float, int),
    FieldDescriptor.CPPTYPE_STRING: (str,),  # bytes as well: base64 in JSON
}
"""How a field's type is written in YAML; the first one is its name. Ranges are Envoy's to check."""

LOG_PREFIX = re.compile(r"^(\[[^\]]*\])+ ")

BOOTSTRAP = "envoy.config.bootstrap.v3.Bootstrap"
DISCOVERY_RESPONSE = "envoy.service.discovery.v3.DiscoveryResponse"
"""What an endpoints file holds."""

NEWER_TYPES: Mapping[str, frozenset[str]] = {
    "envoy.extensions.router.cluster_specifiers.priority_group.v3.PriorityGroupClusterSpecifier": (
        frozenset({"priority_groups", "override_metadata_namespace"})
    )
}
"""Types of Envoy 1.40 that xds-protos has not got yet, with their fields; Envoy itself looks into
these."""

NEWER_FIELDS: Mapping[tuple[str, str], str] = {
    ("envoy.config.core.v3.Http2ProtocolOptions", "enable_huffman_encoding"): (
        "google.protobuf.BoolValue"
    ),
    ("envoy.config.listener.v3.Listener", "tcp_keepalive"): "envoy.config.core.v3.TcpKeepalive",
    ("envoy.config.route.v3.RetryPolicy", "refresh_cluster_on_retry"): "google.protobuf.BoolValue",
    ("envoy.extensions.http.injected_credentials.generic.v3.Generic", "header_value_prefix"): (
        "google.protobuf.StringValue"
    ),
    (
        "envoy.extensions.load_balancing_policies.override_host.v3.OverrideHost",
        "selected_host_key",
    ): ("envoy.type.metadata.v3.MetadataKey"),
}
"""Likewise fields, with their types; a wrapper is written as the value in it. None is in a oneof."""

FREE_FORM = frozenset({"Struct", "Value", "ListValue"})
"""Messages of google.protobuf that hold any JSON."""

WRAPPERS = "google/protobuf/wrappers.proto"
"""Messages of this file are written as the one value in them."""

ENVOY_VALIDATE_S = 30
"""Validation takes 0.1 s; more means a binary that hangs."""

SAID_CHARS = 300
"""Envoy repeats the whole configuration, before its reason or after it: both ends are kept."""


def check_types(text: str, type_name: str = BOOTSTRAP) -> None:
    """Checks YAML against one of Envoy's types, through every `typed_config` in it.

    Takes 40 ms the first time, nearly all of it the import of the types.

    Raises:
        ConfigError: an unknown field, a wrong type, two members of a oneof, an unknown "@type"; with the path.
    """
    kind = find_type(type_name)
    if kind is None:
        raise ConfigError(f"{type_name} is no type that Envoy knows")
    path = kind.name.lower()
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


def check_message(value: object, kind: Descriptor, path: str) -> None:
    """One message, field by field."""
    chosen: dict[str, str] = {}
    for name, member in as_members(value, path).items():
        here = f"{path}.{name}"
        newer = NEWER_FIELDS.get((kind.full_name, name))
        if newer:
            check_nested(member, TYPES.FindMessageTypeByName(newer), here)
            continue
        field = kind.fields_by_name.get(name)
        if field is None:
            raise ConfigError(f"{here}: {kind.name} has no such field")
        group = field.containing_oneof
        if group and chosen.setdefault(group.name, name) != name:
            raise ConfigError(f"{here}: only one of this and {chosen[group.name]} can be set")
        check_field(member, field, here)


def check_field(value: object, field: FieldDescriptor, path: str) -> None:
    """One value, or a list or map of them."""
    kind = field.message_type
    if kind and kind.GetOptions().map_entry:
        for key, item in as_members(value, path).items():
            check_value(item, kind.fields_by_name["value"], f"{path}[{key}]")
    elif field.is_repeated:
        if not isinstance(value, list):
            raise ConfigError(f"{path}: expected a list")
        for i, item in enumerate(cast("list[object]", value)):
            check_value(item, field, f"{path}[{i}]")
    else:
        check_value(value, field, path)


def check_value(value: object, field: FieldDescriptor, path: str) -> None:
    if field.message_type:
        check_nested(value, field.message_type, path)
    elif field.enum_type:
        check_enum(value, field.enum_type, path)
    elif type(value) not in SCALARS[field.cpp_type]:
        raise ConfigError(f"{path}: {value!r} is no {SCALARS[field.cpp_type][0].__name__}")


def check_enum(value: object, kind: EnumDescriptor, path: str) -> None:
    names = sorted(kind.values_by_name)
    if value not in names:
        raise ConfigError(f"{path}: {value!r} is none of {', '.join(names)}")


def check_nested(value: object, kind: Descriptor, path: str) -> None:
    """A message; those of google.protobuf have a form of their own in JSON."""
    if kind.file.package != "google.protobuf":
        check_message(value, kind, path)
    elif kind.file.name == WRAPPERS:
        check_value(value, kind.fields_by_name["value"], path)
    elif kind.name == "Duration":
        if not (isinstance(value, str) and DURATION.fullmatch(value)):
            raise ConfigError(f"{path}: expected a duration such as 0.25s")
    elif kind.name == "Any":
        check_any(value, path)
    else:
        assert kind.name in FREE_FORM


def check_any(value: object, path: str) -> None:
    """A message that names its own type, as every extension's configuration does."""
    members = as_members(value, path)
    url = members.get("@type")
    if not isinstance(url, str):
        raise ConfigError(f'{path}: "@type" is missing')
    name = url.removeprefix("type.googleapis.com/")
    if name in NEWER_TYPES:
        if strange := sorted(members.keys() - NEWER_TYPES[name] - {"@type"}):
            raise ConfigError(f"{path}.{strange[0]}: {name.rpartition('.')[2]} has no such field")
        return
    kind = find_type(name)
    if kind is None:
        raise ConfigError(f"{path}.@type: {url!r} is no type that Envoy knows")
    check_message({name: member for name, member in members.items() if name != "@type"}, kind, path)


def find_type(type_name: str) -> Descriptor | None:
    """The type for a full name such as envoy.config.bootstrap.v3.Bootstrap."""
    package, _, _ = type_name.rpartition(".")
    if not package.startswith("envoy."):
        return None
    try:
        found = importlib.import_module(package)
        for module in pkgutil.iter_modules(found.__path__, f"{package}."):
            if module.name.endswith("_pb2"):  # each makes the types of one file known
                importlib.import_module(module.name)
        return TYPES.FindMessageTypeByName(type_name)
    except (ModuleNotFoundError, KeyError):
        return None


def as_members(value: object, path: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: expected fields, found {value!r}")
    members = cast("dict[object, object]", value)
    return {str(name): member for name, member in members.items()}
