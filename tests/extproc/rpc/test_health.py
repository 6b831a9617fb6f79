import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from extproc.rpc.health import Health
from extproc.rpc.status import Status
from tests.extproc.rpc.peer import REQUEST, Peer, wrap

KNOWN = HealthCheckResponse


def ask(peer, method, service="a"):
    path = f"/grpc.health.v1.Health/{method}"
    number = peer.begin([(n, path if n == ":path" else v) for n, v in REQUEST])
    message = HealthCheckRequest(service=service).SerializeToString()
    peer.client.send_data(number, wrap(message), end_stream=True)
    return number


def told(peer, number):
    return [KNOWN.FromString(message).status for message in peer.messages(number)]


async def test_a_check_tells_what_is_now():
    health = Health(["", "a"])
    peer = Peer(health.methods())
    answers = []
    for change in (lambda: None, health.serve, health.leave):
        change()
        number = ask(peer, "Check")
        await peer.turn()
        assert peer.status(number) == Status.OK
        answers += told(peer, number)
    assert answers == [KNOWN.NOT_SERVING, KNOWN.SERVING, KNOWN.NOT_SERVING]


async def test_a_watch_tells_every_change_and_ends_with_us():
    health = Health(["a"])
    peer = Peer(health.methods())
    number, unknown = ask(peer, "Watch"), ask(peer, "Watch", "b")
    await peer.turn()
    health.serve()
    await peer.turn()
    assert told(peer, number) == [KNOWN.NOT_SERVING, KNOWN.SERVING]
    assert peer.status(number) is None
    health.leave()
    await peer.turn()
    assert told(peer, number)[2:] == [KNOWN.NOT_SERVING]
    assert set(told(peer, unknown)) == {KNOWN.SERVICE_UNKNOWN}
    assert peer.status(number) == peer.status(unknown) == Status.OK


@pytest.mark.parametrize(
    ("service", "status"), [("b", Status.NOT_FOUND), (None, Status.INVALID_ARGUMENT)]
)
async def test_what_cannot_be_checked(service, status):
    peer = Peer(Health(["a"]).methods())
    if service is None:
        path = "/grpc.health.v1.Health/Check"
        number = peer.begin([(n, path if n == ":path" else v) for n, v in REQUEST], end=True)
    else:
        number = ask(peer, "Check", service)
    await peer.turn()
    assert peer.status(number) == status


async def test_what_is_alive_is_well_whether_or_not_calls_are_wanted():
    health = Health(["a"], alive=["b"])
    peer = Peer(health.methods())
    answers = []
    for change in (lambda: None, health.serve, health.leave):
        change()
        number = ask(peer, "Check", "b")
        await peer.turn()
        answers += told(peer, number)
    assert answers == [KNOWN.SERVING] * 3
