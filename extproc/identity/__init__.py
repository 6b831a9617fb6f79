"""Who may ask: API keys, tokens of OpenID Connect issuers, services of our own.

    credential.py  which credential a request carries, if it carries exactly one
    keys.py        API keys and service tokens, found by their digest
    claims.py      the claims of a token: read strictly, checked, mapped to an identity
    tokens.py      JSON Web Tokens: verified, and remembered no longer than they live
    keyset.py      an issuer's public keys, out of a JSON Web Key Set
    jwks.py        how these keys get here and are kept fresh: the only I/O of this package

What decides is pure: keys, the time and the policy come in from outside. `filters/identify.py` puts
the parts together.
"""
