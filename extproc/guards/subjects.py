"""Whom a ban is for, as a text.

    address:203.0.113.7        an IPv4 address
    address:2001:db8:1:2::/64  an IPv6 network: whoever has one address of it has all of them
    key:support-bot            an API key, by its id in the policy
    user:acme/alice            a user whose tokens come from an issuer

A service of ours is none of them: it acts for others.
"""

import hashlib
import ipaddress
import socket
from collections.abc import Mapping
from urllib.parse import quote

from extproc.request import Identity, Scalar

ADDRESS, KEY, USER = KINDS = ("address", "key", "user")
PLAIN = "@+"
"""What is not quoted in users' names, besides letters, digits and `_.-~`."""
LONGEST_NAME = 200
"""Of a user, as written here. Longer ones end in a digest."""
PREFIX_BYTES = 8
"""Of an IPv6 address: 64 bits, the prefix of one network (RFC 7421)."""
MAPPED = b"\0" * 10 + b"\xff\xff"
"""Before an IPv4 address in an IPv6 one (RFC 4291 2.5.5.2)."""


def name_address(ip: str) -> str:
    """Name an address as Envoy writes it. Empty for what is none. Below 1 us."""
    if ":" not in ip:
        return f"{ADDRESS}:{ip}" if ip else ""
    try:
        packed = socket.inet_pton(socket.AF_INET6, ip.partition("%")[0])
    except OSError:
        return ""
    if packed.startswith(MAPPED):
        return f"{ADDRESS}:{socket.inet_ntop(socket.AF_INET, packed[len(MAPPED) :])}"
    network = packed[:PREFIX_BYTES].ljust(16, b"\0")
    return f"{ADDRESS}:{socket.inet_ntop(socket.AF_INET6, network)}/64"


def name_client(tenant: str, key_id: str, user: str) -> str:
    """Name who was identified. Empty for a service of ours, which acts for others who would all
    suffer, and for a token that does not say whose it is."""
    origin, colon, _ = key_id.partition(":")  # key ids of a policy hold no colon
    if not colon:
        return f"{KEY}:{key_id}"
    if origin == "service" or not user:
        return ""
    name = f"{tenant}/{quote(user, safe=PLAIN)}"
    if len(name) > LONGEST_NAME:
        digest = hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
        name = f"{name[:LONGEST_NAME]}~{digest}"
    return f"{USER}:{name}"


def name_identity(identity: Identity) -> str:
    return name_client(identity.tenant, identity.key_id, identity.user)


def is_service(witness: Mapping[str, Scalar]) -> bool:
    return str(witness.get("key_id", "")).startswith("service:")


def name_witness(witness: Mapping[str, Scalar]) -> str:
    """Name who was identified, by what is left of it at the end; empty when nobody was."""
    if "key_id" not in witness:
        return ""
    told = (str(witness.get(member, "")) for member in ("tenant", "key_id", "user"))
    return name_client(*told)


def kind_of(subject: str) -> str:
    """`address`, `key` or `user`."""
    return subject.partition(":")[0]


def read_subject(text: str) -> str:
    """Read what a person typed: a subject, or an address alone. Raises: ValueError."""
    kind, _, name = text.partition(":")
    tenant, _, user = name.partition("/")
    if kind == KEY and name:
        return text
    if kind == USER and tenant and user:
        return f"{USER}:{tenant}/{quote(user, safe=f'{PLAIN}%')}"  # `list` shows it quoted
    address = text.removeprefix(f"{ADDRESS}:").removesuffix("/64")
    try:
        return name_address(str(ipaddress.ip_address(address)))
    except ValueError:
        said = "write an address, key:ID or user:TENANT/USER"
        raise ValueError(f"{text!r} is nobody: {said}") from None
