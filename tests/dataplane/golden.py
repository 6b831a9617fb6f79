"""The golden bootstrap: what one gateway renders to, comments and all, but for the Lua, which has tests of its own.

    .venv/bin/python -m tests.dataplane.golden

writes it anew; read the difference before you commit it.
"""

from pathlib import Path

from dataplane.gateway import Files, Gateway, Pool, Sidecar, Upstream
from dataplane.render import answer_lua, render, upstream_lua

GOLDEN = Path(__file__).with_name("golden_bootstrap.yaml")

GATEWAY = Gateway(
    port=8080,
    files=Files.under(Path("/srv/headgate")),
    worker_sockets=(
        Path("/srv/headgate/run/worker-0.sock"),
        Path("/srv/headgate/run/worker-1.sock"),
    ),
    shown_headers=(":path", "authorization"),
    pools=(
        Pool("llama-3.1-8b", ("10.0.0.1:8000", "[fd00::2]:8000")),
        Pool("canary", ()),
        Pool(
            "gpt",
            (),
            {"api.example.com:443": {"cluster": "us"}},
            Upstream("api.example.com", 443, key_header="authorization", http2=True),
        ),
    ),
    falls_back=True,
    sidecars=(Sidecar("ledger", Path("/srv/headgate/run/sidecar-ledger.sock"), 20),),
)


def without_lua(bootstrap: str) -> str:
    for lua, indent, name in (
        (answer_lua(), 18, "(the answer filter)"),
        *((upstream_lua(pool), 16, "(the upstream filter)") for pool in GATEWAY.pools),
    ):
        lines = (" " * indent + line if line else "" for line in lua.split("\n"))
        text = "\n".join(lines).strip()
        assert bootstrap.count(text) == 1
        bootstrap = bootstrap.replace(text, name)
    return bootstrap


if __name__ == "__main__":
    GOLDEN.write_text(without_lua(render(GATEWAY)), encoding="utf-8")
