"""Where a request goes, through real Envoy: pools, fallback lists, changing endpoints, and closed doors."""

import asyncio
import json
from functools import partial

import pytest

from dataplane.gateway import Pool, Timeouts
from dataplane.render import endpoints, write
from tests.dataplane.engine import Answer
from tests.dataplane.stack import order, run_stack, until

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

DEAD = Answer([], is_cut=True)
BUSY = Answer([b"{}"], status=503)


def served(stack) -> list[int]:
    return [len(engine.requests) for engine in stack.engines]


async def entry_of(stack, answer) -> dict[str, object]:
    [entry] = await stack.log_entries(answer.headers["x-request-id"])
    return entry


AGAIN = {"x-envoy-retry-on": "reset"}
"""What the worker adds where nothing is left behind by what an engine had begun."""


@pytest.mark.parametrize("chosen", [0, 1])
async def test_the_endpoint_that_was_picked_serves(stack, chosen):
    for _ in range(4):
        answer = await stack.post(order(endpoints=stack.engines[chosen].endpoint))
        assert answer.status_code == 200
    assert served(stack)[chosen] == 4
    assert served(stack)[1 - chosen] == 0


@pytest.mark.parametrize("failure", [DEAD, BUSY], ids=["dies before its answer", "answers 503"])
async def test_the_next_in_the_list_serves_when_the_first_fails(stack, failure):
    first, second = stack.engines
    first.answer = failure
    named = f"{first.endpoint},{second.endpoint}"
    answer = await stack.post(order(endpoints=named, headers=AGAIN))
    assert answer.status_code == 200
    assert served(stack) == [1, 1]
    entry = await entry_of(stack, answer)
    assert entry["attempts"] == 2
    assert entry["endpoint"] == second.endpoint


async def test_a_list_of_one_falls_back_to_another(stack):
    first, second = stack.engines
    first.answer = DEAD
    answer = await stack.post(order(endpoints=first.endpoint, headers=AGAIN))
    assert answer.status_code == 200
    assert served(stack) == [1, 1]
    assert (await entry_of(stack, answer))["endpoint"] == second.endpoint


async def test_an_address_outside_the_pool_is_never_reached(stack):
    answer = await stack.post(order(endpoints="127.0.0.1:1"))
    assert answer.status_code == 200
    assert sum(served(stack)) == 1


async def test_engines_that_all_die_are_a_503(stack):
    for engine in stack.engines:
        engine.answer = DEAD
    answer = await stack.post(order(headers=AGAIN))
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "engine_unavailable"
    assert answer.headers["retry-after"] == "1"
    # The first try and three more: previous_hosts prefers others, and repeats when there are none.
    assert sum(served(stack)) == 4
    assert min(served(stack)) >= 1


async def test_what_an_engine_may_have_begun_is_sent_again_only_when_the_worker_says_so(stack):
    for engine in stack.engines:
        engine.answer = DEAD
    answer = await stack.post(order())
    assert answer.status_code == 503
    assert sum(served(stack)) == 1


async def test_an_engines_own_503_reaches_the_client_as_it_is(stack):
    for engine in stack.engines:
        engine.answer = Answer([b'{"error":"full"}'], status=503)
    answer = await stack.post(order())
    assert (answer.status_code, answer.json()) == (503, {"error": "full"})


async def test_a_pool_without_endpoints_is_a_503(stack):
    answer = await stack.post(order(pool="empty"))
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "engine_unavailable"
    assert answer.headers["retry-after"] == "1"


async def endpoints_in_use(stack, pool: str) -> set[str]:
    clusters = json.loads(await stack.envoy.admin("/clusters?format=json"))["cluster_statuses"]
    [cluster] = [cluster for cluster in clusters if cluster["name"] == f"pool/{pool}"]
    addresses = [host["address"]["socket_address"] for host in cluster.get("host_statuses", [])]
    return {f"{address['address']}:{address['port_value']}" for address in addresses}


async def is_alone_in_use(stack, pool: str, endpoint: str) -> bool:
    return await endpoints_in_use(stack, pool) == {endpoint}


async def is_served(stack, pool: str) -> bool:
    return (await stack.post(order(pool=pool))).status_code == 200


async def count(stack, pattern: str) -> int:
    return sum((await stack.envoy.stats(pattern)).values())


async def test_endpoints_change_without_a_restart():
    async with run_stack() as stack:
        name = "empty"
        for engine in stack.engines:
            pool = Pool(name, (engine.endpoint,))
            write(endpoints(pool), stack.gateway.endpoints_file(pool))
            await until(partial(is_alone_in_use, stack, name, engine.endpoint))
            # A new endpoint is used once it has passed its first health check.
            await until(partial(is_served, stack, name))
            assert len(engine.requests) == 1
        assert served(stack) == [1, 1]


async def test_a_broken_endpoints_file_changes_nothing():
    async with run_stack() as stack:
        pool = stack.gateway.pools[0]
        write('{"resources": [{', stack.gateway.endpoints_file(pool))
        await until(partial(count, stack, "pool/tiny.update_failure"))
        assert (await stack.post(order())).status_code == 200


@pytest.mark.parametrize(
    "decision",
    [{"x-test": "{}"}, order(pool="no-such-pool"), order(abort=True)],
    ids=["no pool", "an unknown pool", "a failing worker"],
)
async def test_without_a_decision_nothing_passes(stack, decision):
    answer = await stack.post(decision)
    assert answer.status_code == 503
    assert answer.json()["error"]["type"] == "server_error"
    assert answer.headers["retry-after"] == "1"
    assert served(stack) == [0, 0]


async def test_without_workers_nothing_passes():
    async with run_stack() as stack:
        await stack.worker.server.stop(0)
        answer = await stack.post(order())
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "gateway_unavailable"
        assert served(stack) == [0, 0]


async def test_a_worker_that_dies_costs_no_request_that_another_can_decide():
    async with run_stack(workers=2) as stack:
        async with asyncio.TaskGroup() as tasks:
            asked = []

            async def are_busy():
                """By one more each time: which of them gets it is chance."""
                asked.append(tasks.create_task(stack.post(order(hang_s=0.2))))
                return len(asked) >= 8 and all(worker.headers for worker in stack.workers)

            await until(are_busy)
            # These die with the decision open, before the worker has said a word.
            tasks.create_task(stack.worker.server.stop(0))
        answers = [task.result() for task in asked]
        answers += [await stack.post(order()) for _ in range(20)]
    assert {answer.status_code for answer in answers} == {200}


async def test_access_logs_do_not_count_as_decisions(stack):
    """Their stream never ends. Where it counts, the worker that has it is given fewer decisions."""
    await stack.post(order())

    async def open_calls():
        text = await stack.envoy.admin("/clusters?format=json")
        return {
            each["name"]: sum(int(stat.get("value", 0)) for host in each.get("host_statuses", ())
                              for stat in host["stats"] if stat["name"] == "rq_active")
            for each in json.loads(text)["cluster_statuses"]
        }  # fmt: skip

    async def only_those_of_logs():
        calls = await open_calls()
        return calls["access_logs"] and not calls["workers"]

    await until(only_those_of_logs)


async def test_a_worker_that_hangs_is_a_504():
    async with run_stack(timeouts=Timeouts(decision_ms=100)) as stack:
        answer = await stack.post(order(hang_s=20))
        assert answer.status_code == 504
        assert answer.json()["error"]["code"] == "gateway_timeout"
        assert served(stack) == [0, 0]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 503])
async def test_a_refusal_of_headgate_passes_as_it_is(stack, status):
    answer = await stack.post(order(deny=[status, "because"]))
    assert answer.status_code == status
    assert answer.json()["error"] == {
        "message": "no",
        "type": "t",
        "param": None,
        "code": "because",
    }
    assert "retry-after" not in answer.headers


async def test_an_immediate_answer_passes_as_it_is(stack):
    answer = await stack.client.get("/v1/models", headers=order(answer='{"data":[]}'))
    assert answer.status_code == 200
    assert answer.json() == {"data": []}
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("mode", ["NONE", "STREAMED", "FULL_DUPLEX_STREAMED"])
async def test_the_header_reply_may_ask_for_the_answer(stack, mode):
    stack.worker.phases.clear()
    answer = await stack.post(order(mode=mode))
    assert answer.json()["bytes"] == 2
    seen = ["request_headers", "request_body", "response_headers"]
    assert list(dict.fromkeys(stack.worker.phases)) == seen + ["response_body"] * (mode != "NONE")


async def test_the_header_reply_may_not_ask_for_modes_that_nothing_needs(stack):
    stack.worker.phases.clear()
    await stack.post(order(mode="BUFFERED"))
    assert stack.worker.phases == ["request_headers", "request_body"]


@pytest.mark.parametrize("name", ["x-envoy-retriable-status-codes", ":method"])
async def test_a_header_that_the_worker_may_not_set_is_a_fault_that_shows(stack, name):
    answer = await stack.post(order(set=name))
    assert answer.status_code == 503
    assert answer.json()["error"]["type"] == "server_error"


async def test_otherwise_no_byte_of_the_answer_reaches_the_worker(stack):
    stack.worker.phases.clear()
    await stack.post(order())
    assert stack.worker.phases == ["request_headers", "request_body"]


async def test_the_workers_health_is_watched(stack):
    await until(partial(count, stack, "cluster.workers.health_check.success"))
    clusters = json.loads(await stack.envoy.admin("/clusters?format=json"))["cluster_statuses"]
    assert {cluster["name"] for cluster in clusters} == {
        "workers",
        "access_logs",
        "undecided",
        "pool/tiny",
        "pool/empty",
    }
