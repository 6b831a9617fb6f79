"""Classifiers of attacks, over HTTP: what they are asked, and how what they say is read."""

import json

import pytest
from aiohttp import web

from extproc.errors import DetectorError
from extproc.policy.base import Secret
from extproc.policy.classifier import ClassifierPolicy
from extproc.stores.classifiers import (
    BATCH,
    HttpClassifier,
    reach_classifier,
    read_classes,
    read_labels,
)
from extproc.stores.services import PAUSE_S, ServiceClient
from tests.extproc.stores.serving import serving

HARMLESS = frozenset({"safe"})
PROMPT_GUARD = frozenset({"benign"})


@pytest.fixture
async def client():
    client = ServiceClient()
    yield client
    await client.close()


def policy(url, kind, **members):
    return ClassifierPolicy(kind=kind, url=url, **{"timeout_ms": 3000, **members})


def labels(**scores):
    return [{"label": name, "score": score} for name, score in scores.items()]


async def test_predict_as_text_embeddings_inference_has_it(client):
    seen = []

    async def handle(request):
        asked = await request.json()
        seen.append((asked, request.headers.get("authorization")))
        return web.json_response([labels(INJECTION=0.75, SAFE=0.25) for _ in asked["inputs"]])

    token = Secret(env="TOKEN")
    token.found("abc")
    async with serving(handle) as url:
        service = reach_classifier(client, policy(url, "predict", token=token))
        assert await service.classify(["one", "two \ud800"]) == [0.75, 0.75]
        assert len(await service.classify(["x"] * (BATCH + 1))) == BATCH + 1
    first, bearer = seen[0]
    assert first == {"inputs": [["one"], ["two ?"]], "truncate": True}
    assert bearer == "Bearer abc"
    assert [len(asked["inputs"]) for asked, _ in seen] == [2, BATCH, 1]


async def test_classify_as_vllm_has_it(client):
    seen = []

    async def handle(request):
        seen.append(await request.json())
        data = [
            {"index": 1, "label": "LABEL_1", "probs": [0.1, 0.9], "num_classes": 2},
            {"index": 0, "label": "LABEL_0", "probs": [0.8, 0.2], "num_classes": 2},
        ]
        return web.json_response({"object": "list", "data": data, "usage": {}})

    async with serving(handle) as url:
        found = await reach_classifier(client, policy(url, "classify", model="guard")).classify(
            ["a", "b"]
        )
    assert found == [pytest.approx(0.2), 0.9]
    assert seen == [{"model": "guard", "input": ["a", "b"]}]


async def test_a_guard_that_chats(client):
    async def handle(request):
        asked = (await request.json())["messages"][-1]["content"]
        said = "unsafe\nS14" if asked == "bad" else "safe"
        return web.json_response({"choices": [{"message": {"content": said}}]})

    async with serving(handle) as url:
        service = reach_classifier(client, policy(url, "guard_chat", model="guard"))
        assert await service.classify(["bad", "good"]) == [1.0, 0.0]


@pytest.mark.parametrize(
    ("found", "harmless", "scores"),
    [
        ([labels(SAFE=0.9, INJECTION=0.1)], HARMLESS, [0.1]),
        ([labels(BENIGN=0.2, INJECTION=0.5, JAILBREAK=0.3)], PROMPT_GUARD, [0.8]),
        ([labels(BENIGN=0.2, INJECTION=0.5, JAILBREAK=0.3)], PROMPT_GUARD | {"injection"}, [0.3]),
    ],
)
def test_what_is_left_beside_harmless_labels(found, harmless, scores):
    assert read_labels(json.dumps(found).encode(), 1, harmless) == pytest.approx(scores)


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff",
        b"{}",
        b"[]",
        json.dumps([labels(GOOD=1.0)]).encode(),
        json.dumps([labels(SAFE=-3.5, INJECTION=4.0)]).encode(),
        json.dumps([labels(SAFE=1.0)] * 2).encode(),
    ],
)
def test_labels_that_make_no_sense(raw):
    with pytest.raises(DetectorError):
        read_labels(raw, 1, HARMLESS)


@pytest.mark.parametrize(
    ("label", "probs", "score"),
    [("SAFE", [0.7, 0.3], 0.3), ("BAD", [0.2, 0.8], 0.8), ("WORSE", [0.1, 0.3, 0.6], 0.6)],
)
def test_the_class_that_won(label, probs, score):
    raw = json.dumps({"data": [{"label": label, "probs": probs}]}).encode()
    assert read_classes(raw, 1, HARMLESS) == [pytest.approx(score)]


@pytest.mark.parametrize(
    "data",
    [[], [{"label": None, "probs": [1.0]}], [{"label": "BAD", "probs": []}],
     [{"label": "BAD", "probs": [7.5]}]],
)  # fmt: skip
def test_classes_that_make_no_sense(data):
    with pytest.raises(DetectorError):
        read_classes(json.dumps({"data": data}).encode(), 1, HARMLESS)
    with pytest.raises(DetectorError, match="no classes"):
        read_classes(b"[1]", 1, HARMLESS)


async def test_one_that_is_down_is_left_alone(client):
    asked, now_s = [], 100.0

    async def handle(_):
        asked.append(now_s)
        return web.Response(status=503)

    async with serving(handle) as url:
        service = HttpClassifier(client, policy(url, "predict"), lambda: now_s)
        for _ in range(5):
            with pytest.raises(DetectorError):
                await service.classify(["x"])
        assert len(asked) == 3
        now_s += PAUSE_S
        with pytest.raises(DetectorError, match="503"):
            await service.classify(["x"])
