"""Watches whether what is large in a request is let go."""

import weakref

from extproc.request import Prompt


class Document(dict):
    """As a request's, but it can be watched."""


def watch_prompt(request):
    """Return a request with a document like its own, and a call that tells whether that is held."""
    prompt = request.fact(Prompt)
    document = Document(prompt.document)
    seen = weakref.ref(document)
    return request.having(Prompt(document, prompt.model, prompt.stream)), lambda: seen() is not None
