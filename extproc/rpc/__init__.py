"""gRPC over HTTP/2 in one thread: what Envoy speaks to a worker.

    frames.py      HTTP/2 frames <-> bytes
    messages.py    gRPC messages <-> bytes of DATA frames
    status.py      how a call ends
    call.py        one call: read, write, flow control
    connection.py  one connection: settings, header blocks, windows, the end
    listener.py    sockets, and the drain; tls.py certificates for them
    health.py      grpc.health.v1

Why our own: grpc.aio hands every event of a call from its poller's thread to ours through a socket,
about ten times for each request. Here bytes come in and go out where the decision is made. Figures
and what is left out: docs/decisions.md. Nothing here knows what is decided.
"""
