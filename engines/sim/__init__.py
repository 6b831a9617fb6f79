"""The built-in engine: an OpenAI-shaped server that answers like vLLM 0.32 and needs no model.

    python -m engines.sim --model tiny --port 8000 --ttft-ms 20 --itl-ms 5

It serves /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/responses, /v1/messages with
/v1/messages/count_tokens, /v1/models, /tokenize, /health and /metrics. The words mean nothing; the
protocol, the counts, the prefix cache and the pace are real.

Left alone, every request has the same pace and none waits for another. With `--profile 8b-h100` it
has the physics of an engine: a batch, a queue, blocks that run out; docs/simulator.md tells of it.

A map of the package, in the order a request meets it:

    app.py       HTTP: routes, reading a body, sending an answer at its pace, breaking it on purpose
    admin.py     faults of the whole engine, LoRA adapters that come and go; outage.py: what holds
    request.py   a body becomes a checked value, or a refusal that names the field
    turns.py     the text that a body stands for
    tokens.py    the tokenizer and the chat template
    prefill.py   the prompt computed by another engine
    engine.py    the engine itself: which requests run, and how far each one is by now; run.py: one
    cache.py     the prefix cache, where there is no physics
    calls.py     tools
    answer.py    the words of an answer, decided by the prompt alone
    pace.py      when each token is due, and sending.py, which waits for it
    bodies.py    JSON answers, in vLLM's order of keys
    chunks.py    the events of a stream, in vLLM's order
    responses.py messages.py    both, for the two other dialects
    meter.py     vLLM's counters and histograms; metrics.py: their text
    faults.py    the faults a request may ask for
    stored.py    what KV events say; kvevents.py: how they are sent

and of the physics, in the order a job meets it, all in virtual time:

    profile.py   the figures of an engine
    sequence.py  a job, and how far it is
    core.py      the engine: add, abort, run to a time, look; events.py: what it tells
    scheduler.py which sequences the next step computes
    paged.py     blocks of KV cache
    span.py      steps of a batch that stays the same, as one formula
    account.py   what of it is counted
    driver.py    a core in real time

    calibrate.py validate.py    against a running vLLM; measure.py asks it, fit.py computes

Counting by hand
    One token is one word, one ideograph or one other mark; the space before it belongs to it, space
    at the very end counts nothing. `Hello, world!` is four tokens, `你好` two. `<|name|>` is one.
    A chat is rendered as `<|role|>content<|end|>` per message and `<|assistant|>` at the end: its
    prompt_tokens are the tokens of all contents, two per message, and one. An image is one token;
    `tools` and `tool_calls` count as the JSON text that was sent. Responses and Messages are read
    as chats: instructions and system are a first turn, every item of an input is a turn.
    completion_tokens are the tokens of the text, and one more (the end-of-text token, which has no
    text) when finish_reason is "stop". A stop string ends the answer at the token that completes it.

Same request, same answer
    The words depend on the rendered prompt, on `seed` and on the index of the choice, in every
    process and forever. Left alone, an answer ends after 16 to 79 tokens and its end-of-text
    token; `max_tokens`, `min_tokens`, `ignore_eos` and `stop` do what they do in vLLM. Temperature
    and the other sampling settings are read and change nothing.

The member `x_sim`
    Any request may carry it: {"ttft_ms": 500, "itl_ms": 20, "fault": "cut_after:3"}. Each part is
    optional. The faults:

    error_500, error_503    answered at once, in vLLM's error shape
    cut_before_headers      the connection closes after the time to first token, without an answer
    cut_after_headers       ... right after the response headers
    cut_after:N             ... after N events of a stream, or N bytes of a JSON answer
    hang                    nothing is ever sent; over when the client leaves
    slow                    ten times the time to first token and between tokens
    huge:M                  the first word of every choice is M letters long (still one token)
    drip:N                  the answer leaves in pieces of N bytes, whatever they cut through

    Embeddings know the same faults, `huge` excepted. `--fail-rate 0.05` answers that share of all
    requests with 503, the same ones in every run of the same `--seed`.

With physics
    A request with `ttft_ms`, `itl_ms` or one of the faults hang and slow has a pace of its own: it
    is no part of the batch, and the cache it looks into is another one.

What differs from vLLM
    A tool is called only when `tool_choice` forces it, with {"say": the words}. No logprobs, no
    `echo`. Embeddings come from the same model that chats. Without a profile requests never wait
    for each other, and the time to first token does not depend on the prompt.
"""
