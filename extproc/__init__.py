"""The ext_proc service: the map, in reading order.

    stream.py     the life of one request, top to bottom: start here
    request.py    the request, and the facts that filters establish about it; arrive.py makes it
    decision.py   what may be decided: go on, Reply, Deny; and Outcome, how it ended
    filter.py     what a filter is
    filters/      the filters; `filters/__init__.py` is their order
    pipeline.py   runs them; the one place where a fault becomes a refusal
    errors.py     every reason for a refusal, its status, whose fault it is

    action.py     decisions -> what Envoy is to do
    wire.py       that, in protobuf, for every way Envoy can be configured; protobuf.py below it
    witness.py    Envoy's access log service -> Outcome; rereading.py finds what a dead worker was told
    server.py     ext_proc and access logs as gRPC services, health, drain; rpc/ is gRPC itself
    budget.py     how many request bytes a worker holds; stopwatch.py how long it took

    policy/       typed YAML, loaded strictly, reloaded whole
    dialects/     what request bodies look like, one file for each API
    identity/     who may ask: API keys, tokens, services
    access.py     who may use what: groups, and conditions.py in CEL
    counting/     how many tokens a prompt is, and how long its answer may get
    limits/       how much is left: algorithms, reservations, what clients are told
    guards/       who is refused too often, and what becomes of them
    cache/        answers that are given again
    safety/       what must not leave, come in or be said: masked, put back, cut
    http_client.py  how services and engines are asked: one connection pool, answers of bounded size
    sidecars.py   the services beside the gateway, and which paths are theirs
    routing/      pure choices: which track of a model serves whom, which endpoint, who is well
    ports.py      what is outside, as Protocols; stores/ and metering.py implement them
    enginesview.py  what is known of engines: engines/watch/ looks at them, once for each host
    ejections.py  tells which endpoints are out; board.py shows all of them to people
    settings.py   the only reader of the environment
    __main__.py   one worker, put together
    epp/          another life for all of this: the endpoint picker of somebody else's gateway
    cli/          the `headgate` command

Dependencies point one way: vocabulary <- filter <- filters, pipeline <- stream <- wire, server
<- __main__, cli. import-linter holds it (pyproject.toml).
"""
