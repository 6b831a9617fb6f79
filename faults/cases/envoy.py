"""Harm to Envoy."""

import os
import signal

from faults.cases.case import until_gateway_ready, until_replaced
from faults.place import Site


async def kill(site: Site) -> None:
    pids = site.stand.envoy_pids()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    await until_replaced(site.stand.envoy_pids, pids, "a new Envoy")
    await until_gateway_ready(site)
