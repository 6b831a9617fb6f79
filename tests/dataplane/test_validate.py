from dataclasses import replace

import pytest

from dataplane.gateway import ConfigError, Files
from dataplane.render import endpoints, render, write
from dataplane.validate import check_envoy, check_types
from tests.dataplane.golden import GATEWAY
from tests.dataplane.test_gateway import gateway
from tests.envoy import BINARY

HCM = "bootstrap.static_resources.listeners[0].filter_chains[0].filters[0].typed_config"

FAULTS = [
    (
        "merge_slashes:",
        "merge_slashs:",
        f"{HCM}.merge_slashs: HttpConnectionManager has no such field",
    ),
    ("merge_slashes: true", "merge_slashes: 1", f"{HCM}.merge_slashes: 1 is no bool"),
    ("codec_type: AUTO", "codec_type: auto", f"{HCM}.codec_type: 'auto' is none of AUTO, HTTP1"),
    (
        "request_timeout: 120s",
        "request_timeout: 2 min",
        f"{HCM}.request_timeout: expected a duration",
    ),
    (
        "request_timeout: 120s",
        "request_timeout: 120",
        f"{HCM}.request_timeout: expected a duration",
    ),
    ("max_headers_count: 100", "max_headers_count: [100]", "max_headers_count: [100] is no int"),
    ("max_headers_count: 100", "max_headers_count: true", "max_headers_count: True is no int"),
    ("keepalive_time: 30", "keepalive_times: 30", "TcpKeepalive has no such field"),
    (
        "refresh_cluster_on_retry: true",
        "refresh_cluster_on_retry: 1",
        "refresh_cluster_on_retry: 1 is no bool",
    ),
    ("selected_host_key:", "selected_host_keys:", "OverrideHost has no such field"),
    ("server_name: headgate", "server_name: 7", "server_name: 7 is no str"),
    ("http.router.v3.Router\n", "http.router.v3.Rooter\n", "is no type that Envoy knows"),
    ("http.router.v3.Router\n", "http.rooter.v3.Router\n", "is no type that Envoy knows"),
    (
        '"@type": type.googleapis.com/envoy.extensions.filters.http.router',
        "x: ",
        '"@type" is missing',
    ),
    (
        "suppress_envoy_headers",
        "suppress_headers",
        "http_filters[2].typed_config.suppress_headers: Router",
    ),
    (
        "override_metadata_namespace:",
        "override_namespace:",
        "override_namespace: PriorityGroupClusterSpecifier has no such field",
    ),
    ("{ prefix: x-envoy-,", "{ prefix: x, exact: y,", "only one of this and prefix can be set"),
    ("thresholds: [{ max", "thresholds: [7, { max", "thresholds[0]: expected fields, found 7"),
    ('domains: ["*"]', "domains: all", "domains: expected a list"),
    (
        "typed_extension_protocol_options:",
        "typed_extension_protocol_options: x\n    x:",
        "typed_extension_protocol_options: expected fields",
    ),
]


@pytest.mark.parametrize(("good", "bad", "message"), FAULTS)
def test_a_fault_is_named_with_its_path(good, bad, message):
    text = render(GATEWAY)
    assert good in text
    with pytest.raises(ConfigError) as fault:
        check_types(text.replace(good, bad, 1))
    assert message in str(fault.value)


@pytest.mark.parametrize("text", ["", "[]", "7", "a: b: c", "\x00"])
def test_what_is_no_bootstrap_at_all(text):
    with pytest.raises(ConfigError, match="bootstrap"):
        check_types(text)


@pytest.fixture
def on_disk(tmp_path):
    """A gateway whose files exist: Envoy opens the log and looks for the endpoints when it validates."""
    (tmp_path / "log").mkdir()
    settings = gateway(files=Files.under(tmp_path))
    settings.files.endpoints_dir.mkdir(parents=True)
    for pool in settings.pools:
        write(endpoints(pool), settings.endpoints_file(pool))
    return settings


@pytest.mark.envoy
@pytest.mark.parametrize("has_pools", [True, False])
def test_envoy_takes_what_is_rendered(tmp_path, on_disk, has_pools):
    path = tmp_path / "bootstrap.yaml"
    write(render(on_disk if has_pools else replace(on_disk, pools=())), path)
    check_envoy(path, BINARY)


@pytest.mark.envoy
@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ("max_request_headers_kb: 60", "max_request_headers_kb: 0", "MaxRequestHeadersKb"),
        ("function envoy_on_response(", "functio envoy_on_response(", "script load error"),
        ("cluster: undecided", "cluster: undecided-not", "undecided-not"),
    ],
)
def test_envoy_has_the_last_word(tmp_path, on_disk, good, bad, message):
    text = render(on_disk)
    assert good in text
    path = tmp_path / "bootstrap.yaml"
    write(text.replace(good, bad, 1), path)
    check_types(path.read_text())
    with pytest.raises(ConfigError, match=message):
        check_envoy(path, BINARY)


@pytest.mark.parametrize(
    "name", ["", "Bootstrap", "google.protobuf.Struct", "envoy.no.Such", "os.path"]
)
def test_what_is_no_type(name):
    with pytest.raises(ConfigError, match="no type that Envoy knows"):
        check_types("{}", name)


def test_a_binary_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="there is no Envoy at"):
        check_envoy(tmp_path / "bootstrap.yaml", tmp_path / "envoy")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="refuses"):
        check_envoy(tmp_path / "bootstrap.yaml", BINARY)


def test_a_binary_that_hangs(tmp_path):
    binary = tmp_path / "envoy"
    binary.write_text("#!/bin/sh\nexec sleep 5\n")
    binary.chmod(0o755)
    with pytest.raises(ConfigError, match=r"more than 0.2 s"):
        check_envoy(tmp_path / "bootstrap.yaml", binary, timeout_s=0.2)
