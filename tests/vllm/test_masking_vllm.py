"""Masked conversations before a real vLLM on CPU: its cache knows them as well as unmasked ones.

The same conversations are held twice by one tenant, and so with the same salt, template and words: with a model
whose prompts are masked, and with one whose are not. How much of the prompts was computed before is by vLLM's own
count. Some of it would be lost wherever a value had another placeholder than in the turn before.
"""

import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import yaml

from tests.e2e.conftest import running
from tests.e2e.limits import CHAT, DEMO
from tests.extproc.safety.pii.corpus import positives

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]
THREADS, TURNS, VALUES = 4, 10, 2
POLICY = {
    "pii": {"key": {"env": "PII_KEY"}, "rules": [{"models": ["masked"], "types": {"all": "mask"}}]},
    "models": [{"name": "masked", "pool": "local", "served_as": "tiny"}],
}
FIT = ("email", "phone", "resident_id", "bank_card", "iban", "plate", "ip_address", "api_key")
"""Of about as many tokens as a placeholder."""


@contextmanager
def masking(directory):
    shutil.copytree(DEMO, directory / "policy")
    (directory / "policy" / "pii.yaml").write_text(yaml.safe_dump(POLICY))
    flags = ("--vllm", "--policy", str(directory / "policy"), "--workers", "2")
    env = {**os.environ, "PII_KEY": "0123456789abcdef0123456789"}
    with running(directory / "s", *flags, env=env, start_s=420) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with masking(tmp_path_factory.mktemp("masking")) as own:
        yield own


def threads():
    """What is said in each: new values in each turn, and those of the turns before it again."""
    samples = [each.text for each in positives() if each.type in FIT]
    step = len(samples) // (THREADS * TURNS * VALUES)
    texts = iter(samples[::step])
    return [[[next(texts) for _ in range(VALUES)] for _ in range(TURNS)] for _ in range(THREADS)]


def talk(gateway, model, turns):
    """Each turn is asked with all that was said before. Returns prompt and cached tokens, by turn."""
    said, counts = [{"role": "system", "content": f"You are {model}."}], []
    with gateway.http() as http:
        for number, texts in enumerate(turns):
            words = f"Turn {number}. {' '.join(texts)} And as before: {' '.join(turns[0])}"
            said.append({"role": "user", "content": words})
            body = {"model": model, "messages": said, "max_tokens": 1, "temperature": 0}
            answer = http.post(CHAT, json=body)
            assert answer.status_code == 200, answer.text
            assert (model == "masked") == ("x-headgate-pii" in answer.headers)
            usage = answer.json()["usage"]
            cached = (usage["prompt_tokens_details"] or {}).get("cached_tokens") or 0
            counts.append((usage["prompt_tokens"], cached))
            said.append({"role": "assistant", "content": f"Noted: {texts[0]}"})
    return counts


def share(gateway, model):
    """The cached part of all prompt tokens, and how many they were."""
    with ThreadPoolExecutor(THREADS) as pool:
        talks = pool.map(lambda turns: talk(gateway, model, turns), threads())
        counts = [count for counts in talks for count in counts]
    assert len(counts) == THREADS * TURNS
    prompt, cached = map(sum, zip(*counts, strict=True))
    return cached / prompt, prompt


def test_a_masked_conversation_is_cached_like_an_unmasked_one(gateway, capsys):
    masked, masked_tokens = share(gateway, "masked")
    plain, plain_tokens = share(gateway, "tiny")
    with capsys.disabled():
        sys.stdout.write(
            f"\ncached: {masked:.2%} of {masked_tokens} tokens masked, "
            f"{plain:.2%} of {plain_tokens} unmasked\n"
        )
    assert plain > 0.5, "the conversations show nothing"
    assert abs(masked - plain) <= 0.02
