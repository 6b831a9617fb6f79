"""EndpointSlices: from lists and watches to endpoints."""

import msgspec
import pytest

from engines.watch.slices import GoneError, Known, Port, find_port

A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"


def endpoint(address, **conditions):
    return {"addresses": [address], "conditions": conditions}


def piece(name, *endpoints, version="7", port=8000, **more):
    return {
        "metadata": {"name": name, "resourceVersion": version},
        "addressType": "IPv4",
        "endpoints": [*endpoints],
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        **more,
    }


def listed(*pieces, port=None, version="5"):
    known = Known(port)
    whole = {"metadata": {"resourceVersion": version}, "items": [*pieces]}
    known.list(msgspec.json.encode(whole))
    return known


def change(known, kind, what):
    return known.change(msgspec.json.encode({"type": kind, "object": what}))


@pytest.mark.parametrize(
    ("conditions", "state"),
    [
        ({}, "ready"),
        ({"ready": True}, "ready"),
        ({"ready": True, "serving": True, "terminating": False}, "ready"),
        ({"ready": False, "serving": False, "terminating": False}, None),
        ({"ready": False, "serving": True, "terminating": True}, "draining"),
        ({"ready": False, "serving": False, "terminating": True}, None),
        ({"ready": False, "terminating": True}, "draining"),
        ({"ready": None, "serving": None, "terminating": None}, "ready"),
    ],
)
def test_conditions(conditions, state):
    found = listed(piece("a", endpoint(A, **conditions))).found()
    assert found == ({f"{A}:8000": state} if state else {})


def test_a_watch_goes_on_from_a_list():
    known = listed(piece("a", endpoint(A)), piece("b", endpoint(B)))
    assert known.version == "5"
    assert change(known, "MODIFIED", piece("a", endpoint(A), endpoint(C), version="8"))
    assert known.found() == dict.fromkeys([f"{A}:8000", f"{C}:8000", f"{B}:8000"], "ready")
    assert change(known, "DELETED", piece("b", version="9"))
    assert not change(known, "BOOKMARK", {"metadata": {"resourceVersion": "12"}})
    assert known.version == "12"
    assert change(known, "ADDED", piece("c", endpoint(B, ready=False, terminating=True)))
    assert known.found() == {f"{A}:8000": "ready", f"{C}:8000": "ready", f"{B}:8000": "draining"}


def test_one_that_moves_between_slices_is_ready_if_any_says_so():
    leaving = endpoint(A, ready=False, serving=True, terminating=True)
    for pieces in ([leaving], [endpoint(A)]), ([endpoint(A)], [leaving]):
        known = listed(piece("a", *pieces[0]), piece("b", *pieces[1]))
        assert known.found() == {f"{A}:8000": "ready"}


def test_ipv6_and_names():
    known = listed(
        piece("a", endpoint("fd00::1"), addressType="IPv6"),
        piece("b", endpoint("example.org"), addressType="FQDN"),
    )
    assert known.found() == {"[fd00::1]:8000": "ready"}


def test_a_pod_of_both_families_is_one_endpoint():
    def of(address, pod):
        return endpoint(address) | {"targetRef": {"kind": "Pod", "uid": pod}}

    known = listed(
        piece(
            "v6", of("fd00::1", "p1"), of("fd00::2", "p2"), of("fd00::3", ""), addressType="IPv6"
        ),
        piece("v4", of(A, "p1"), of(B, ""), endpoint(C)),
    )
    assert known.found() == dict.fromkeys(
        ["[fd00::2]:8000", "[fd00::3]:8000", f"{A}:8000", f"{B}:8000", f"{C}:8000"], "ready"
    )
    change(known, "DELETED", piece("v4"))
    assert "[fd00::1]:8000" in known.found()


def test_slices_that_say_little():
    known = listed(
        {"metadata": {"name": "a"}},
        piece("b", {"addresses": []}, {"addresses": [A]}),
        piece("c", endpoint(B), endpoints=None),
        piece("d", endpoint(B), ports=None),
    )
    assert known.found() == {f"{A}:8000": "ready"}
    assert listed().found() == {}


HTTP, METRICS, DNS = Port("http", 8000, "TCP"), Port("metrics", 9000), Port("dns", 53, "UDP")


@pytest.mark.parametrize(
    ("ports", "wanted", "port"),
    [
        ([HTTP], None, 8000),
        ([HTTP, DNS], None, 8000),
        ([HTTP, METRICS], None, None),
        ([HTTP, METRICS], "metrics", 9000),
        ([HTTP, METRICS], 9000, 9000),
        ([HTTP], 9000, None),
        ([DNS], "dns", None),
        ([Port("", 8000)], None, 8000),
        ([], None, None),
    ],
)
def test_ports(ports, wanted, port):
    assert find_port(ports, wanted) == port


def test_a_watch_that_is_behind_has_to_list_again():
    with pytest.raises(GoneError, match="410 too old"):
        change(listed(), "ERROR", {"code": 410, "message": "too old resource version"})


@pytest.mark.parametrize("line", [b"", b"{}", b'{"type": "NEW", "object": {}}', b"\xff"])
def test_lines_that_make_no_sense(line):
    with pytest.raises(msgspec.MsgspecError):
        listed().change(line)
