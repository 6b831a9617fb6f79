"""What a request is, whoever has read its texts."""

from extproc.filters.texts import Texts


def facts(request):
    """All that is known of it but for its texts, which whoever reads them first leaves there."""
    return {kind: fact for kind, fact in request.facts.items() if kind is not Texts}
