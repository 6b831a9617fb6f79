"""What was masked is told to nobody by accident."""

import re

from extproc.safety.masked import LONGEST, LOOK, Masked
from extproc.safety.pii.mask import Masker


def test_it_shows_no_value():
    masked = Masked({"<EMAIL_KXWQPTZB>": "mona@example.org"}, {"email": 1, "phone": 2})
    assert "mona" not in repr(masked)
    assert masked.witness() == {"pii_masked": 3}


def test_placeholders_have_the_form_that_is_said():
    for kind in ("email", "a" * 40, "x_y"):
        made = Masker("key", "acme").mask(kind, "v")
        assert re.fullmatch(LOOK, made)
        assert len(made) <= LONGEST
