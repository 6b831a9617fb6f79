"""Which credential a request carries: exactly one, in a header, or none that counts."""

import re
from collections.abc import Mapping
from urllib.parse import unquote_plus

from extproc.decision import Deny
from extproc.errors import Reason

SCHEME = "bearer "
MAX_CREDENTIAL_BYTES = 16 * 1024
"""Keycloak's tokens have 1-2 kB, with hundreds of roles 8 kB. What is longer is not looked at."""

PARAMETERS = frozenset(
    (
        *("access_token", "api-key", "api_key", "apikey", "auth", "auth_token", "authorization"),
        *("bearer", "bearer_token", "client_secret", "id_token", "key", "password", "secret"),
        *("subscription-key", "token", "x-api-key"),
    )
)
"""Names under which clients put credentials into URLs: of Google (`key`), Azure, RFC 6750 2.3."""

MISSING = "No API key given. Send it as 'Authorization: Bearer KEY'."
IN_QUERY = (
    "A credential in the URL is never accepted, because URLs are written into logs. "
    "Send it as 'Authorization: Bearer KEY', and replace the one that was in the URL."
)
TWO = "Two credentials were given; send one only. "


def find_credential(headers: Mapping[str, str]) -> str | Deny | None:
    """Return what stands in `Authorization: Bearer` or in `x-api-key`, None when nothing does.

    Two are refused, even when they are equal: which of them counts must not depend on who reads.
    """
    authorization = headers.get("authorization", "")
    api_key = headers.get("x-api-key", "")
    if has_credential_in_query(headers.get(":path", "")):
        if authorization or api_key:
            return Deny(Reason.TWO_CREDENTIALS, TWO + "One of them is in the URL.")
        return Deny(Reason.MISSING_KEY, IN_QUERY)
    if authorization and api_key:
        return Deny(Reason.TWO_CREDENTIALS, TWO + "Authorization and x-api-key are both there.")
    return read_header(authorization, api_key) if authorization or api_key else None


def read_header(authorization: str, api_key: str) -> str | Deny:
    """Read the one of the two that is there."""
    if authorization and not authorization.lower().startswith(SCHEME):
        return Deny(Reason.INVALID_KEY, "The Authorization header must be 'Bearer KEY'.")
    given = (authorization[len(SCHEME) :] if authorization else api_key).strip(" ")
    if len(given) > MAX_CREDENTIAL_BYTES:
        said = f"The credential is longer than {MAX_CREDENTIAL_BYTES} bytes."
        return Deny(Reason.INVALID_KEY, said)
    return given


def has_credential_in_query(target: str) -> bool:
    """Tell whether a query parameter is called like a credential, in any spelling."""
    _, mark, query = target.partition("?")
    if not mark:
        return False
    names = (part.partition("=")[0] for part in re.split("[&;]", query))
    return any(unquote_plus(name).strip().lower() in PARAMETERS for name in names)
