"""The line finds its server, and finds it again: over real ones, as each kind of address says."""

import asyncio
import ssl

import pytest

from extproc.cli.preflight import free_port
from extproc.errors import CountersFaultError
from extproc.stores.redis_address import Address, read_url
from extproc.stores.redis_line import Line, connect, open_line
from tests.extproc.stores.road import tls_road_to
from tests.issuer import make_certificate
from tests.valkey import Valkey

GUARD_S = 30.0


def line_to(url, deadline_s=5.0):
    return open_line(read_url(url), "{headgate}:", deadline_s)


async def until(condition):
    async with asyncio.timeout(GUARD_S):
        while not await condition():  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.01)


async def answers(line):
    try:
        return await line.call(("PING",)) == b"PONG"
    except CountersFaultError:
        return False


async def test_a_call(valkey):
    async with line_to(valkey.url) as line:
        assert await line.call(("SET", "a", b"\xff")) == b"OK"
        assert await line.call(("GET", "a")) == b"\xff"
        assert await line.call(("MGET", "a", "b")) == [b"\xff", None]


async def test_what_goes_wrong_inside_is_raised_as_it_is(valkey):
    with pytest.raises(KeyError):
        async with line_to(valkey.url):
            raise KeyError


async def test_nobody_there(tmp_path):
    """It is known to be down, and not awaited."""
    url = f"unix://{tmp_path}/none"
    async with asyncio.timeout(GUARD_S), line_to(url, deadline_s=10 * GUARD_S) as line:
        for _ in range(2):
            with pytest.raises(CountersFaultError, match="no connection"):
                await line.call(("PING",))


async def test_before_the_first_try_has_ended():
    """A line whose server takes its time to say hello."""
    line = Line(Address("one", ("/nowhere",)), "{x}:", 0.01)
    with pytest.raises(CountersFaultError, match="in time"):
        await line.call(("PING",))


async def test_a_server_that_comes_late_and_again(tmp_path):
    valkey = Valkey(tmp_path)
    async with line_to(valkey.url) as line:
        assert not await answers(line)
        with valkey:
            await until(lambda: answers(line))
            valkey.restart()
            await until(lambda: answers(line))


async def test_a_connection_that_ended_while_idle_is_made_again(valkey):
    async with line_to(valkey.url) as line:
        for _ in range(20):
            assert await line.call(("PING",)) == b"PONG"
            valkey.order("CLIENT", "KILL", "TYPE", "normal")


async def test_a_server_that_stands_still_does_not_hold_up(valkey):
    async with asyncio.timeout(GUARD_S), line_to(valkey.url, deadline_s=0.02) as line:
        await until(lambda: answers(line))
        valkey.pause()
        try:
            with pytest.raises(CountersFaultError, match="no answer in time"):
                await line.call(("PING",))
        finally:
            valkey.resume()
        await until(lambda: answers(line))


async def test_passwords_users_and_databases(tmp_path):
    with Valkey(tmp_path, "--requirepass", "open sesame") as valkey:
        with pytest.raises(CountersFaultError, match="NOAUTH"):
            async with line_to(f"{valkey.url}?db=3") as line:
                await line.call(("PING",))
        path = valkey.socket
        async with line_to(f"unix://:open%20sesame@{path}?db=3") as line:
            await line.call(("ACL", "SETUSER", "ann", "on", ">pw", "+@all", "~*"))
            assert b"db=3" in await line.call(("CLIENT", "INFO"))
        async with line_to(f"unix://ann:pw@{path}") as line:
            assert await line.call(("ACL", "WHOAMI")) == b"ann"
        with pytest.raises(CountersFaultError, match="AUTH") as caught:
            await connect(read_url(f"unix://ann:wrong@{path}"), "")
        assert "wrong" not in str(caught.value).replace("WRONGPASS", "")


async def test_the_next_place_when_the_first_is_not_there(valkey, tmp_path):
    address = Address("one", (str(tmp_path / "none"), str(valkey.socket)))
    wire = await connect(address, "")
    assert await wire.call(("PING",), 5) == b"PONG"
    wire.close()


async def test_a_server_that_may_not_write_is_left(tmp_path):
    """It is asked anew who may: as behind a name that points somewhere else after a failover."""
    port = free_port()
    with (
        Valkey(tmp_path / "a", "--port", str(port)) as master,
        Valkey(tmp_path / "b", "--replicaof", f"127.0.0.1 {port}") as replica,
    ):
        async with line_to(replica.url) as line:
            assert await line.call(("GET", "a")) is None
            first = line._wire
            with pytest.raises(CountersFaultError, match="READONLY"):
                await line.call(("SET", "a", "b"))
            await first.lost
            replica.order("REPLICAOF", "NO", "ONE")
            assert await line.call(("SET", "a", "b")) == b"OK"
        assert master.order("GET", "a").startswith("$-1")


def node_ports(port, bus):
    return ("--port", str(port), "--cluster-port", str(bus))


async def test_a_cluster(tmp_path):
    """Of two nodes, whichever is asked: the one that has the keys."""
    ports, buses = ([free_port(), free_port()] for _ in range(2))
    flags = ("--cluster-enabled", "yes")
    with (
        Valkey(tmp_path / "a", *flags, *node_ports(ports[0], buses[0])) as one,
        Valkey(tmp_path / "b", *flags, *node_ports(ports[1], buses[1])) as two,
    ):
        one.order("CLUSTER", "ADDSLOTSRANGE", "0", "8191")
        two.order("CLUSTER", "ADDSLOTSRANGE", "8192", "16383")
        one.order("CLUSTER", "MEET", "127.0.0.1", str(ports[1]), str(buses[1]))

        async def ready():
            return all("cluster_state:ok" in node.order("CLUSTER", "INFO") for node in (one, two))

        await until(ready)
        for port in ports:
            async with line_to(f"redis+cluster://127.0.0.1:{port}") as line:
                assert await line.call(("SET", "{headgate}:a", "1")) == b"OK"
        slot = int(one.order("CLUSTER", "KEYSLOT", "{headgate}:a")[1:])
        owner = one if slot < 8192 else two
        assert owner.order("GET", "{headgate}:a") == "$1\r\n1\r\n"


async def test_a_sentinel_and_a_failover(tmp_path):
    ports = {name: free_port() for name in ("a", "b", "sentinel")}
    master = ("--port", str(ports["a"]), "--repl-diskless-sync-delay", "0")
    replica = ("--port", str(ports["b"]), "--replicaof", f"127.0.0.1 {ports['a']}")
    settings = f"port {ports['sentinel']}\nsentinel monitor main 127.0.0.1 {ports['a']} 1\n"
    with (
        Valkey(tmp_path / "a", *master) as first,
        Valkey(tmp_path / "b", *replica) as second,
    ):

        async def copied():
            return "master_link_status:up" in second.order("INFO", "replication")

        await until(copied)
        with Valkey(tmp_path / "s", sentinel=settings) as sentinel:
            await fail_over(first, second, sentinel, ports)


async def fail_over(first, second, sentinel, ports):
    async def seen():
        return "num-slaves\r\n$1\r\n1" in sentinel.order("SENTINEL", "MASTER", "main")

    await until(seen)
    url = f"redis+sentinel://127.0.0.1:{ports['sentinel']}/main"
    async with line_to(url) as line:
        assert await line.call(("SET", "a", "1")) == b"OK"
        assert first.order("GET", "a") == "$1\r\n1\r\n"

        async def begun():
            return "OK" in sentinel.order("SENTINEL", "FAILOVER", "main")

        await until(begun)  # it has to get to know the replica first

        async def moved():
            try:
                await line.call(("SET", "a", "2"))
            except CountersFaultError:
                return False
            return second.order("GET", "a") == "$1\r\n2\r\n"

        await until(moved)
    with pytest.raises(CountersFaultError, match="no master called other"):
        await connect(read_url(url.replace("/main", "/other")), "")


async def test_tls(valkey, tmp_path):
    """As by a server built with it, which ours for tests is not."""
    certificate, key = make_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    async with tls_road_to(valkey.socket, context) as port:
        async with line_to(f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate}") as line:
            assert await line.call(("PING",)) == b"PONG"
        with pytest.raises(OSError, match="certificate verify failed"):
            await connect(read_url(f"rediss://127.0.0.1:{port}"), "")
