"""API keys and service tokens: random secrets, kept and found as digests."""

import hmac
import ipaddress
import math
import secrets
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from extproc.decision import Deny
from extproc.errors import Reason
from extproc.request import Identity

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
PREFIX = "sk-headgate-"
"""Lets secret scanners and people recognise one of ours."""


def digest(salt: str, key: str) -> str:
    """Hash a key as policies keep it: HMAC-SHA256 under the policy's salt, in hex.

    A fast hash is right here: our keys carry 192 random bits, so there is nothing to guess, and it
    is paid for on every request (2 us).
    """
    return finish(begin(salt), key)


def begin(salt: str) -> hmac.HMAC:
    """Do the part of `digest` that is the same for all keys."""
    return hmac.new(salt.encode(), digestmod="sha256")


def finish(begun: hmac.HMAC, key: str) -> str:
    """Do the rest, on a copy: 1 us, half as long as all of it."""
    hashed = begun.copy()
    hashed.update(key.encode("utf-8", "surrogateescape"))
    return hashed.hexdigest()


def mint() -> str:
    """Make a new key of 192 random bits."""
    return PREFIX + secrets.token_urlsafe(24)


@dataclass(frozen=True, slots=True)
class Key:
    """What one digest stands for, until when and from where."""

    identity: Identity
    until_s: float = math.inf
    """Seconds since the epoch; from then on it is refused."""
    networks: tuple[Network, ...] = ()
    """Where it may come from; empty: anywhere."""

    def judge(self, now_s: float, client_ip: str) -> Identity | Deny:
        """Say whom it stands for now and there. Only who holds the key learns why not."""
        if now_s >= self.until_s:
            return Deny(Reason.EXPIRED_KEY, "This API key has expired.")
        if self.networks and not is_within(client_ip, self.networks):
            return Deny(Reason.WRONG_ADDRESS, "This API key may not be used from this address.")
        return self.identity


def is_within(client_ip: str, networks: tuple[Network, ...]) -> bool:
    """Tell whether an address lies in any of the networks. One that nobody can read does not."""
    try:
        address = ipaddress.ip_address(client_ip)
    except ValueError:
        return False
    # An IPv4 client of a listener that speaks both: RFC 4291 2.5.5.2.
    if address.version == 6 and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in networks)


@dataclass(frozen=True, slots=True)
class Service:
    """A service of ours. It has no tenant of its own: it names the one it acts for."""

    name: str
    tenants: AbstractSet[str]
    groups: frozenset[str] = frozenset()

    def act_for(self, tenant: str, region: str) -> Identity | None:
        """Stand for a tenant, if it is one of those it may act for."""
        if tenant not in self.tenants:
            return None
        key_id = f"service:{self.name}"  # a policy's key ids hold no colon
        return Identity(tenant, key_id, groups=self.groups, region=region)


class KeySource:
    """The keys and services of one policy version, by digest.

    Looking one up takes the same time whether it is known or not: what is compared is a digest
    under the policy's salt, which nobody can choose.
    """

    def __init__(self, salt: str, known: Mapping[str, Key | Service]) -> None:
        self._begun = begin(salt)
        self._known = known

    def mark(self, credential: str) -> str:
        """Digest a credential, whatever it may be: what is remembered in its place."""
        return finish(self._begun, credential)

    def find(self, mark: str) -> Key | Service | None:
        return self._known.get(mark)
