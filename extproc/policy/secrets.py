"""The secrets a policy refers to: read while it loads, so that one that is missing is a mistake with
its file and line, like any other."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from pydantic import BaseModel

from extproc.identity.keys import digest
from extproc.policy.base import Place, Secret
from extproc.policy.models import Mistake, Policy

MOUNTS = Path("/var/run/secrets/headgate")
"""Where the deployment mounts Kubernetes secrets, a directory each."""
MAX_BYTES = 64 * 1024
SHORTEST = 20
"""Characters of a service's token: 20 of base64 are 120 bits, more than anybody can guess."""


class SecretError(ValueError):
    """A secret is not where the policy says, or cannot be sent in a header."""


class SecretReader:
    """Reads secrets from the environment it is given and from files."""

    def __init__(self, environment: Mapping[str, str], mounts: Path = MOUNTS) -> None:
        self._environment = environment
        self._mounts = mounts

    def read(self, secret: Secret) -> str:
        """Find one. Raises: SecretError, whose message never holds the secret."""
        if secret.env is not None:
            value = self._environment.get(secret.env, "")
            where = f"environment variable {secret.env}"
        else:
            path = secret.file or self._mounts / (secret.kubernetes or "")
            value, where = read_file(path), str(path)
        if not value:
            raise SecretError(f"the secret is not there: {where} is missing or empty")
        if not value.isascii() or not value.isprintable() or " " in value:
            raise SecretError(f"the secret in {where} is not one word of printable ASCII")
        return value


def read_file(path: Path) -> str:
    """Read a file without its line end. Raises: SecretError."""
    try:
        with path.open("rb") as opened:
            return opened.read(MAX_BYTES).decode("utf-8", "replace").removesuffix("\n")
    except FileNotFoundError:
        return ""
    except OSError as exc:
        raise SecretError(f"the secret cannot be read: {path}: {exc.strerror}") from None


def resolve(policy: Policy, reader: SecretReader) -> Iterable[Mistake]:
    """Read every secret of a policy, and find what is wrong with them."""
    wrong = False
    for place, secret in find_secrets(policy, ()):
        try:
            secret.found(reader.read(secret))
        except SecretError as exc:
            wrong = True
            yield place, str(exc)
    if not wrong:
        yield from check_services(policy)
        yield from check_webhooks(policy)
        yield from check_pii_key(policy)


def find_secrets(part: object, place: Place) -> Iterable[tuple[Place, Secret]]:
    """Walk through the policy, whatever sections it may have."""
    if isinstance(part, Secret):
        yield place, part
    elif isinstance(part, BaseModel):
        for name in type(part).model_fields:
            yield from find_secrets(getattr(part, name), (*place, name))
    elif isinstance(part, tuple):
        for index, each in enumerate(cast("tuple[object, ...]", part)):
            yield from find_secrets(each, (*place, index))


def check_webhooks(policy: Policy) -> Iterable[Mistake]:
    """See that what is found where a webhook's URL should be is one."""
    for index, webhook in enumerate(policy.alerts.webhooks):
        if not is_web(webhook.url.reveal()):
            yield ("alerts", "webhooks", index, "url"), "what is found there is no http(s) URL"


def check_pii_key(policy: Policy) -> Iterable[Mistake]:
    """See that nobody finds the key of placeholders by trying."""
    key = policy.pii.key
    if key is not None and len(key.reveal()) < SHORTEST:
        yield ("pii", "key"), f"it is shorter than {SHORTEST} characters"


def is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def check_services(policy: Policy) -> Iterable[Mistake]:
    """See that the tokens of services cannot be guessed, and name one service each."""
    known = {key.digest for key in policy.keys}
    known.update(old.digest for key in policy.keys for old in key.retiring)
    for index, service in enumerate(policy.services):
        place = ("services", index, "token")
        token = service.token.reveal()
        if len(token) < SHORTEST:
            yield place, f"it is shorter than {SHORTEST} characters"
        mark = digest(policy.salt, token)
        if mark in known:
            yield place, "another service or key has the same"
        known.add(mark)
