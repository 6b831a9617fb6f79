"""Delivery against a receiver on loopback, a step at a time."""

import asyncio
import contextlib
import json

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry

from alerts import outbox
from alerts.alert import Kind
from alerts.deliver import Deliverer, open_session, send
from alerts.outbox import Outbox
from alerts.webhook import Shape, Webhook
from telemetry.metrics import SettleMetrics
from tests.alerts.samples import alert


class Receiver:
    """Answers as it is told, and keeps what it got."""

    def __init__(self):
        self.got, self.answers, self.arrived = [], [], asyncio.Event()

    async def take(self, request):
        self.got.append((request.query_string, await request.json()))
        self.arrived.set()
        status, headers, text = self.answers.pop(0) if self.answers else (200, {}, "ok")
        return web.Response(status=status, headers=headers, text=text)


@pytest.fixture
async def receiver():
    made = Receiver()
    app = web.Application()
    app.router.add_post("/hook/verysecret", made.take)
    async with TestServer(app) as server:
        made.url = str(server.make_url("/hook/verysecret"))
        yield made


@contextlib.asynccontextmanager
async def delivering(directory, *webhooks):
    registry = CollectorRegistry()
    current = [list(webhooks)]
    deliverer = Deliverer(directory, SettleMetrics(registry), lambda: current[0])
    async with open_session() as session:

        async def step():
            await deliverer.step(session)

        step.configure = lambda *webhooks: current.__setitem__(0, webhooks)
        step.count = lambda name, **labels: registry.get_sample_value(f"headgate_{name}", labels)
        yield step


async def test_an_alert_arrives_once_and_leaves_the_outbox(tmp_path, receiver):
    ops = Webhook("ops", receiver.url, Shape.SLACK)
    box = Outbox(tmp_path)
    async with delivering(tmp_path, ops) as step:
        box.put(alert())
        await step()
        await step()
        assert len(receiver.got) == 1
        assert "heading for 120 USD" in receiver.got[0][1]["text"]
        assert outbox.read_all(tmp_path) == []
        box.put(alert())  # noticed again, by whoever
        await step()
        await step()
        assert outbox.read_all(tmp_path) == []
        assert len(receiver.got) == 1
        assert step.count("alerts_total", kind="cost_day") == 1
        assert step.count("webhook_deliveries_total", webhook="ops", result="delivered") == 1


async def test_a_restart_neither_loses_nor_repeats(tmp_path, receiver):
    receiver.answers = [(200, {}, "ok"), (503, {}, "")]
    a, b = (Webhook(name, receiver.url, Shape.JSON) for name in "ab")
    Outbox(tmp_path).put(alert())
    async with delivering(tmp_path, a, b) as step:
        await step()
        assert len(receiver.got) == 2
        assert len(outbox.read_all(tmp_path)) == 1, "one of them has not had it"
    async with delivering(tmp_path, a, b) as step:
        await step()
        await step()
        assert len(receiver.got) == 3
        assert outbox.read_all(tmp_path) == []
        assert step.count("alerts_total", kind="cost_day") is None, "it was counted before"


async def test_without_webhooks_alerts_are_counted_and_logged(tmp_path, caplog):
    caplog.set_level("INFO")
    Outbox(tmp_path).put(alert(facts={"usd": 3}))
    async with delivering(tmp_path) as step:
        await step()
        assert step.count("alerts_total", kind="cost_day") == 1
    (record,) = [r for r in caplog.records if r.msg == "alert"]
    assert record.fact_usd == 3
    assert outbox.read_all(tmp_path) == []


async def test_what_a_webhook_does_not_want_does_not_wait_for_it(tmp_path, receiver):
    Outbox(tmp_path).put(alert())
    picky = Webhook("picky", receiver.url, Shape.JSON, kinds=frozenset({Kind.BUDGET_LEVEL}))
    async with delivering(tmp_path, picky) as step:
        await step()
    assert receiver.got == []
    assert outbox.read_all(tmp_path) == []


async def test_refused_is_given_up_and_remembered(tmp_path, receiver, caplog):
    receiver.answers = [(404, {}, "no_service")]
    ops = Webhook("ops", receiver.url, Shape.SLACK)
    Outbox(tmp_path).put(alert())
    for _ in range(2):
        async with delivering(tmp_path, ops) as step:
            await step()
    assert len(receiver.got) == 1
    assert "verysecret" not in caplog.text
    assert {"webhook_failed", "webhook_gave_up"} <= {r.msg for r in caplog.records}


async def test_a_failure_waits_and_a_changed_webhook_does_not(tmp_path, receiver):
    receiver.answers = [(429, {"retry-after": "60"}, "")]
    ops = Webhook("ops", receiver.url, Shape.JSON)
    Outbox(tmp_path).put(alert())
    async with delivering(tmp_path, ops) as step:
        await step()
        await step()
        assert len(receiver.got) == 1
        step.configure(ops)
        await step()
        assert len(receiver.got) == 1, "the same one keeps its pause"
        step.configure(Webhook("ops", receiver.url + "?new=1", Shape.JSON))
        await step()
        assert len(receiver.got) == 2


async def test_dingtalk_is_signed_and_its_errors_are_understood(tmp_path, receiver):
    receiver.answers = [(200, {}, json.dumps({"errcode": 310000, "errmsg": "sign not match"}))]
    ding = Webhook("ding", receiver.url + "?access_token=x", Shape.DINGTALK, secret="SECs")
    Outbox(tmp_path).put(alert())
    async with delivering(tmp_path, ding) as step:
        await step()
        assert step.count("webhook_deliveries_total", webhook="ding", result="refused") == 1
    ((query, _),) = receiver.got
    assert query.startswith("access_token=x&timestamp=1")
    assert "&sign=" in query


async def test_an_answer_in_pieces_is_read_to_its_end():
    """Half of an `errcode` is none, and would mean delivered."""

    async def answer(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in (b'{"errmsg": "too fast", ', b'"errcode": 45009}'):
            await response.write(piece)
            await asyncio.sleep(0.01)  # so that they are not one by accident
        return response

    app = web.Application()
    app.router.add_post("/", answer)
    async with TestServer(app) as server, open_session() as session:
        verdict = await send(
            session, Webhook("x", str(server.make_url("/")), Shape.WECOM), [alert()]
        )
    assert (verdict.result, verdict.reason) == ("later", "errcode 45009")


async def test_nobody_there_is_tried_again_and_tells_no_url():
    async with open_session() as session:
        gone = await send(session, Webhook("x", "http://127.0.0.1:1/secret", Shape.JSON), [alert()])
        assert (gone.result, "secret" in gone.reason) == ("later", False)
        bad = await send(session, Webhook("x", "http://[bad/secret", Shape.JSON), [alert()])
        assert (bad.result, "secret" in bad.reason) == ("refused", False)


async def test_run_goes_on_until_it_is_cancelled(tmp_path, receiver):
    Outbox(tmp_path).put(alert())
    webhooks = [Webhook("ops", receiver.url, Shape.JSON)]
    deliverer = Deliverer(tmp_path, SettleMetrics(CollectorRegistry()), lambda: webhooks)
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(deliverer.run())
        await receiver.arrived.wait()
        running.cancel()
    assert len(receiver.got) == 1
