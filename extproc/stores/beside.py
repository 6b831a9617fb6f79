"""Clients of the services beside the gateway, opened for all policy versions and closed as one."""

from extproc.stores.detector import DetectorClient
from extproc.stores.moderators import ModeratorClient
from extproc.stores.opa import OpaClient


class Beside:
    """No connection is made before a policy names its service."""

    def __init__(self) -> None:
        self.opa = OpaClient()
        self.detector = DetectorClient()
        self.moderators = ModeratorClient()

    async def close(self) -> None:
        for client in (self.opa, self.detector, self.moderators):
            await client.close()
