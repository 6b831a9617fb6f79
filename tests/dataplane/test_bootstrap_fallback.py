"""From pool to pool, through real Envoy: what each of them gets to see when those before it have failed."""

import json
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import pytest_asyncio

from dataplane.gateway import Pool, Upstream
from dataplane.render import secret, write
from tests.certificates import Authority
from tests.dataplane.engine import Answer, Engine
from tests.dataplane.stack import Stack, order, run_stack, until

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

DEAD = Answer([], is_cut=True)
BUSY = Answer([b"{}"], status=503)
HEAD = b'{"model":"tiny"'
TAIL = b',"messages":[{"role":"user","content":"h\xc3\xa9"}]}'
HEADS = {"other": '{"model":"other-8b","x":"é"', "gpt": '{"model":"gpt"', "claude": '{"model":"c"'}
KEYS = {"gpt": "sk-of-gpt", "claude": "sk-of-claude", "liar": "sk-of-liar"}
USAGE = b'{"usage":{"prompt_tokens":5,"completion_tokens":2}}'


@dataclass
class Pools:
    stack: Stack
    other: Engine
    gpt: Engine
    claude: Engine

    @property
    def all(self):
        return (*self.stack.engines, self.other, self.gpt, self.claude)

    async def ask(self, *pools, again="sent", tail=TAIL, **what):
        tries = {
            "priority_groups": [{"name": pool} for pool in pools],
            "head_bytes": len(HEAD),
            "tail_bytes": len(tail),
            "pools": {
                pool: {
                    "head": head,
                    "facts": {
                        "model": f"the-{pool}",
                        "pool": pool,
                        "track": "stable",
                        "price": "9//9",
                        "fallback": "from=tiny-chat; reason=failed",
                    },
                }
                for pool, head in HEADS.items()
            },
        }
        headers = order(pool=pools[0], tries=tries, again=again, **what)
        return await self.stack.post(
            headers
            | {
                "authorization": "Bearer of-client",
                "x-api-key": "of-client",
                "x-forwarded-for": "10.1.2.3",
                "x-stainless-os": "private",
            },
            content=HEAD + tail,
        )

    async def entry(self, answer):
        [entry] = await self.stack.log_entries(answer.headers["x-request-id"])
        return entry


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pools(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("tls"))
    tls = authority.server("localhost")
    async with AsyncExitStack() as opened:
        other = await opened.enter_async_context(Engine())
        gpt = await opened.enter_async_context(Engine(tls=tls))
        claude = await opened.enter_async_context(Engine(tls=tls))
        trusted = {"ca_file": str(authority.ca_file)}
        more = (
            Pool("other", (other.endpoint,)),
            Pool(
                "gpt",
                (),
                upstream=Upstream(
                    "localhost",
                    gpt.port,
                    "/openai/v1",
                    "authorization",
                    headers={"openai-organization": "ours"},
                    **trusted,
                ),
            ),
            Pool(
                "claude",
                (),
                upstream=Upstream(
                    "localhost",
                    claude.port,
                    key_header="x-api-key",
                    headers={"anthropic-version": "2023-06-01"},
                    **trusted,
                ),
            ),
            Pool(
                "liar",
                (),
                upstream=Upstream(
                    "localhost", claude.port, key_header="x-api-key", sni="else.where", **trusted
                ),
            ),
        )
        stack = await opened.enter_async_context(run_stack(more=more, keys=KEYS, falls_back=True))
        yield Pools(stack, other, gpt, claude)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def brief():
    """Pools with different patience."""
    async with AsyncExitStack() as opened:
        engines = [await opened.enter_async_context(Engine()) for _ in range(3)]
        other, slow, _ = engines  # the third is asked nothing
        more = (
            Pool("other", (other.endpoint,)),
            Pool("slow", (slow.endpoint,), silence_s=0.4),
        )
        stack = await opened.enter_async_context(
            run_stack(more=more, falls_back=True, silence_s=0.2)
        )
        yield Pools(stack, *engines)


@pytest.fixture(autouse=True)
def quiet(pools):
    yield
    for engine in pools.all:
        engine.answer = None
        engine.requests.clear()
        engine.bodies.clear()


def said(engine):
    """The headers of the only request that it got."""
    [request] = engine.requests
    return request["headers"]


@pytest.mark.parametrize("failure", [DEAD, BUSY], ids=["dies", "is busy"])
async def test_the_next_pool_gets_the_request_as_it_is_for_its_model(pools, failure):
    for engine in pools.stack.engines:
        engine.answer = failure
    pools.other.answer = Answer([USAGE])
    answer = await pools.ask("tiny", "tiny", "other")
    assert answer.status_code == 200
    assert pools.other.bodies == [HEADS["other"].encode() + TAIL]
    assert [len(e.requests) for e in pools.all] == [1, 1, 1, 0, 0]
    internal = ("x-envoy", "x-gateway", "x-headgate-tries", "x-headgate-pool")
    assert not [name for name in said(pools.other) if name.startswith(internal)]
    assert answer.headers["x-headgate-model"] == "the-other"
    assert answer.headers["x-headgate-fallback"] == "from=tiny-chat; reason=failed"
    entry = await pools.entry(answer)
    assert entry["attempts"] == 3
    assert entry["endpoint"] == pools.other.endpoint
    assert entry["headgate"]["pool"] == "other"
    assert entry["headgate"]["price"] == "9//9"
    assert entry["headgate"]["settle_key"] == "s1"
    assert entry["usage"] == {"prompt_tokens": 5, "completion_tokens": 2}

    async def is_told():
        told = [each["metadata"]["headgate"].get("model") for each in pools.stack.worker.entries]
        return "the-other" in told

    await until(is_told)  # by the other log, which settles limits


async def test_nothing_is_said_of_it_when_the_first_pool_serves(pools):
    answer = await pools.ask("tiny", "other", "gpt")
    assert answer.status_code == 200
    assert answer.headers["x-headgate-model"] == "tiny-chat"
    assert "x-headgate-fallback" not in answer.headers
    assert (await pools.entry(answer))["headgate"]["pool"] == "tiny"


async def test_each_gets_its_own_key_path_and_host_and_nobody_elses(pools):
    for engine in (*pools.stack.engines, pools.gpt, pools.claude):
        engine.answer = BUSY
    answer = await pools.ask("tiny", "gpt", "claude", "other", again="unsent")
    assert answer.status_code == 200
    gpt, claude, other = said(pools.gpt), said(pools.claude), said(pools.other)
    assert gpt["authorization"] == "Bearer sk-of-gpt"
    assert "x-api-key" not in gpt
    assert claude["x-api-key"] == "sk-of-claude"
    assert "authorization" not in claude
    assert "sk-of" not in json.dumps(pools.other.requests)
    assert "of-client" not in json.dumps([gpt, claude, other])
    lines = [engine.requests[0]["line"] for engine in (pools.gpt, pools.claude, pools.other)]
    assert [line.split()[1] for line in lines] == [
        "/openai/v1/chat/completions",
        "/v1/chat/completions",
        "/v1/chat/completions",
    ]
    assert gpt["host"] == f"localhost:{pools.gpt.port}"
    assert other["host"] == f"127.0.0.1:{pools.stack.envoy.port}"
    assert pools.gpt.bodies == [HEADS["gpt"].encode() + TAIL]
    assert pools.claude.bodies == [HEADS["claude"].encode() + TAIL]
    assert gpt["openai-organization"] == "ours"
    assert claude["anthropic-version"] == "2023-06-01"
    assert "openai-organization" not in claude


async def test_a_service_elsewhere_is_shown_nothing_of_client_and_gateway(pools):
    await pools.ask("gpt")
    shown = set(said(pools.gpt)) - {"authorization", "openai-organization"}
    assert shown <= {
        *("host", "content-type", "content-length", "accept", "user-agent", "x-request-id"),
    }
    assert said(pools.gpt)["user-agent"] == "headgate"


async def test_a_query_stays_here(pools):
    answer = await pools.stack.client.post(
        "/v1/messages?key=secret", headers=order(pool="claude"), content=HEAD + TAIL
    )
    assert answer.status_code == 200
    assert pools.claude.requests[0]["line"] == "POST /v1/messages HTTP/1.1"


async def test_without_a_list_its_pool_is_served_as_well(pools):
    answer = await pools.stack.post(order(pool="gpt"), content=HEAD + TAIL)
    assert answer.status_code == 200
    assert pools.gpt.bodies == [HEAD + TAIL]
    assert pools.gpt.requests[0]["line"].split()[1] == "/openai/v1/chat/completions"
    assert said(pools.gpt)["authorization"] == "Bearer sk-of-gpt"
    assert (await pools.entry(answer))["endpoint"] == f"localhost:{pools.gpt.port}"


async def test_keys_are_in_no_log_metadata_or_configuration(pools):
    answer = await pools.ask("gpt", "claude")
    entry = await pools.entry(answer)
    dump = await pools.stack.envoy.admin("/config_dump")
    everything = [
        json.dumps(entry),
        str(pools.stack.worker.entries),
        dump,
        (pools.stack.state / "envoy" / "bootstrap.yaml").read_text(),
        (pools.stack.state / "log" / "envoy.log").read_text(),
        str(answer.headers),
    ]
    for key in KEYS.values():
        assert not [text for text in everything if key in text]


async def test_a_key_that_is_replaced_is_used_at_once(pools):
    stack = pools.stack
    gateway = stack.gateway
    pool = next(pool for pool in gateway.pools if pool.name == "gpt")
    write(secret(pool, "sk-new"), gateway.secret_file(pool), 0o600)
    assert gateway.secret_file(pool).stat().st_mode & 0o777 == 0o600

    async def is_used():
        await pools.ask("gpt")
        return pools.gpt.requests[-1]["headers"]["authorization"] == "Bearer sk-new"

    await until(is_used)
    write(secret(pool, KEYS["gpt"]), gateway.secret_file(pool), 0o600)


async def test_what_a_service_elsewhere_may_have_begun_is_not_sent_again(pools):
    pools.gpt.answer = DEAD
    answer = await pools.ask("gpt", "other", again="unsent")
    assert answer.status_code == 503
    assert len(pools.gpt.requests) == 1
    assert not pools.other.requests
    plain = await pools.stack.post(order(pool="gpt"))
    assert plain.status_code == 503
    assert len(pools.gpt.requests) == 2


@pytest.mark.parametrize("status", [429, 503, 529])
async def test_what_it_has_no_room_for_goes_on(pools, status):
    pools.gpt.answer = Answer([b"{}"], status=status)
    assert (await pools.ask("gpt", "other", again="unsent")).status_code == 200
    assert len(pools.other.requests) == 1


async def test_the_last_answer_reaches_the_client_when_all_fail(pools):
    for engine in (*pools.stack.engines, pools.other):
        engine.answer = BUSY
    pools.gpt.answer = Answer([b'{"error":"slow down"}'], status=429)
    answer = await pools.ask("tiny", "other", "gpt")
    assert answer.status_code == 429
    assert answer.json() == {"error": "slow down"}
    assert [len(engine.requests) for engine in pools.all][2:] == [1, 1, 0]
    assert (await pools.entry(answer))["attempts"] == 3


@pytest.mark.parametrize("status", [401, 402, 403])
async def test_a_refusal_of_our_key_is_not_shown_to_clients(pools, status):
    pools.gpt.answer = Answer([b'{"error":"Incorrect API key: sk-...gpt"}'], status=status)
    answer = await pools.ask("gpt")
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "upstream_refused"
    assert "Incorrect" not in answer.text
    assert (await pools.entry(answer))["headgate"]["refused"] == str(status)


async def test_a_certificate_for_another_name_is_not_believed(pools):
    answer = await pools.ask("liar", "other", again="unsent")
    assert answer.status_code == 200
    assert not pools.claude.requests
    assert len(pools.other.requests) == 1


async def test_a_pool_that_envoy_does_not_know_is_a_closed_door(pools):
    answer = await pools.ask("nobody", "other")
    assert answer.status_code == 503
    assert not any(engine.requests for engine in pools.all)


async def test_long_bodies_are_made_fit_as_well(pools):
    for engine in pools.stack.engines:
        engine.answer = BUSY
    tail = b',"messages":"' + b"y" * 3_000_000 + b'"}'
    answer = await pools.ask("tiny", "gpt", "other", tail=tail)
    assert answer.status_code == 200
    assert pools.gpt.bodies == [HEADS["gpt"].encode() + tail]


@pytest.mark.parametrize(
    ("among", "again", "status"),
    [
        (("tiny",), "sent", 504),
        (("tiny",), "unsent", 504),
        (("tiny", "other"), "sent", 200),
        (("tiny", "tiny", "other"), "unsent", 200),
        (("tiny", "slow"), "sent", 504),
    ],
)
async def test_a_chain_may_be_silent_as_long_as_any_of_its_pools(brief, among, again, status):
    """`tiny` thinks for longer than it and `slow` may. `other` may, and it is not known to Envoy whose
    turn it is: so then `tiny` may as well."""
    for engine in brief.all:
        engine.requests.clear()
    for engine in brief.stack.engines:
        engine.answer = Answer([b"{}"], headers_pause_s=0.7 if status == 200 else 20)
    answer = await brief.ask(*among, again=again)
    assert answer.status_code == status
    assert sum(len(engine.requests) for engine in brief.all) == 1, "it was sent again"


async def test_clients_cannot_choose_where_a_request_goes_on(pools):
    headers = {"x-headgate-tries": "sent,other,", "x-envoy-max-retries": "0"}
    answer = await pools.stack.post(order(pool="tiny") | headers)
    assert answer.status_code == 200
    assert (await pools.entry(answer))["headgate"]["pool"] == "tiny"


async def test_a_slow_answer_is_asked_for_twice_when_the_worker_says_so(pools):
    first, second = pools.stack.engines
    first.answer = Answer([b'{"a":1}'], headers_pause_s=0.5)
    second.answer = Answer([USAGE])
    endpoints = f"{first.endpoint},{second.endpoint}"
    alone = await pools.stack.post(order(endpoints=endpoints))
    assert alone.json() == {"a": 1}
    first.answer.headers_pause_s = 20
    assert not second.requests
    headers = {"x-envoy-max-retries": "1", "x-envoy-upstream-rq-per-try-timeout-ms": "50"}
    answer = await pools.stack.post(order(endpoints=endpoints, headers=headers))
    assert answer.content == USAGE
    entry = await pools.entry(answer)
    assert (entry["endpoint"], entry["attempts"]) == (second.endpoint, 2)
    assert entry["usage"] == {"prompt_tokens": 5, "completion_tokens": 2}


async def test_a_list_ends_where_a_pool_has_nobody_to_ask(pools):
    """So the worker names none of these: Envoy does not go on from them."""
    for engine in pools.stack.engines:
        engine.answer = DEAD
    answer = await pools.ask("tiny", "empty", "other")
    assert answer.status_code == 503
    assert not pools.other.requests


async def test_endpoints_of_later_pools_stand_in_the_same_list(pools):
    """Each pool takes the next one that it has, whatever Envoy thinks of its health."""
    first, second = pools.stack.engines
    first.answer = second.answer = BUSY
    named = [second.endpoint, f"localhost:{pools.gpt.port}", first.endpoint, pools.other.endpoint]
    answer = await pools.ask("tiny", "gpt", "tiny", "other", endpoints=",".join(named))
    assert answer.status_code == 200
    assert [len(engine.requests) for engine in pools.all] == [0, 1, 0, 1, 0]
    pools.gpt.answer = BUSY
    answer = await pools.ask("tiny", "gpt", "tiny", "other", endpoints=",".join(named))
    assert [len(engine.requests) for engine in pools.all] == [1, 2, 1, 2, 0]


async def test_errors_keep_the_clients_shape_whatever_path_it_is_elsewhere(pools):
    pools.gpt.answer = DEAD
    headers = order(pool="gpt", metadata={"operation": "messages"})
    answer = await pools.stack.client.post("/v1/messages", headers=headers, content=HEAD + TAIL)
    assert pools.gpt.requests[0]["line"].startswith("POST /openai/v1/messages ")
    assert answer.status_code == 503
    assert answer.json()["type"] == "error"
