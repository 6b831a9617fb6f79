# Written by typings/generate.py.
from collections.abc import Iterable, Mapping

from google.protobuf.internal.containers import (
    MessageMap,
    RepeatedCompositeFieldContainer,
    RepeatedScalarFieldContainer,
)
from google.protobuf.message import Message

Empty: int
Continue: int
OK: int
Created: int
Accepted: int
NonAuthoritativeInformation: int
NoContent: int
ResetContent: int
PartialContent: int
MultiStatus: int
AlreadyReported: int
IMUsed: int
MultipleChoices: int
MovedPermanently: int
Found: int
SeeOther: int
NotModified: int
UseProxy: int
TemporaryRedirect: int
PermanentRedirect: int
BadRequest: int
Unauthorized: int
PaymentRequired: int
Forbidden: int
NotFound: int
MethodNotAllowed: int
NotAcceptable: int
ProxyAuthenticationRequired: int
RequestTimeout: int
Conflict: int
Gone: int
LengthRequired: int
PreconditionFailed: int
PayloadTooLarge: int
URITooLong: int
UnsupportedMediaType: int
RangeNotSatisfiable: int
ExpectationFailed: int
MisdirectedRequest: int
UnprocessableEntity: int
Locked: int
FailedDependency: int
UpgradeRequired: int
PreconditionRequired: int
TooManyRequests: int
RequestHeaderFieldsTooLarge: int
InternalServerError: int
NotImplemented: int
BadGateway: int
ServiceUnavailable: int
GatewayTimeout: int
HTTPVersionNotSupported: int
VariantAlsoNegotiates: int
InsufficientStorage: int
LoopDetected: int
NotExtended: int
NetworkAuthenticationRequired: int

class HttpStatus(Message):
    code: int
    def __init__(self, *, code: int | None = ...) -> None: ...
