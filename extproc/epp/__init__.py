"""The Endpoint Picker Protocol: `headgate epp`, the picker of an InferencePool's gateway.

The gateway is somebody else's: Istio, Envoy Gateway, any that implements the Gateway API inference
extension. It asks for an endpoint; who may ask, and how much, is its business, or another filter's.

    serving.py   the life of one request here: decided as behind our own Envoy, followed to its end
    adopt.py     filter: whatever comes is a request to this pool
    narrow.py    filter: what the request's headers say of endpoints, for conformance tests
    shed.py      filter: 429 for what has low priority when every engine is full
    glance.py    filter: how the prompt begins, where there is one
    pipeline.py  these, and the gateway's own filter that picks, in order
    full.py      instead of these: all filters that our own gateway has
    usage.py     how many tokens an answer says it took

The command that puts them together: cli/epp.py. What the protocol asks for, and which test shows
each point of it: docs/epp.md.
"""
