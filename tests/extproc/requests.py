"""The request that tests begin with: they say only what matters to them."""

import msgspec

from extproc.request import Request

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACE = f"00-{TRACE_ID}-b7ad6b7169203331-01"
BARE = Request(
    settle_key="k1",
    request_id="r1",
    traceparent=TRACE,
    method="POST",
    path="/v1/completions",
    client_ip="192.0.2.1",
    headers={},
)


def bare(**members):
    """No fact is known yet."""
    return msgspec.structs.replace(BARE, **members)
