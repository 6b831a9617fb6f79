"""The golden bootstrap: what one gateway renders to, comments and all, but for the Lua, which has tests of its own.

    .venv/bin/python -m tests.dataplane.golden

writes it anew; read the difference before you commit it.
"""

from pathlib import Path

from dataplane.gateway import Files, Gateway, Pool, Sidecar
from dataplane.render import answer_lua, render

GOLDEN = Path(__file__).with_name("golden_bootstrap.yaml")

GATEWAY = Gateway(
    port=8080,
    files=Files.under(Path("/srv/headgate")),
    worker_sockets=(
        Path("/srv/headgate/run/worker-0.sock"),
        Path("/srv/headgate/run/worker-1.sock"),
    ),
    shown_headers=(":path", "authorization"),
    pools=(Pool("llama-3.1-8b", ("10.0.0.1:8000", "[fd00::2]:8000")), Pool("canary", ())),
    sidecars=(Sidecar("ledger", Path("/srv/headgate/run/sidecar-ledger.sock"), 20),),
)


def without_lua(bootstrap: str) -> str:
    lua = "\n".join(" " * 18 + line if line else "" for line in answer_lua().split("\n")).strip()
    assert bootstrap.count(lua) == 1
    return bootstrap.replace(lua, "(the answer filter)")


if __name__ == "__main__":
    GOLDEN.write_text(without_lua(render(GATEWAY)), encoding="utf-8")
