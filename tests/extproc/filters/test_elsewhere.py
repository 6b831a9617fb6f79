from extproc.filters.elsewhere import Elsewhere
from extproc.request import Model, Route
from tests.extproc.requests import BARE

SERVICES = {"gpt": "api.example.com:443"}


async def test_a_service_elsewhere_is_the_route():
    found = await Elsewhere(SERVICES).decide(BARE.having(Model("m", "gpt", "m")))
    assert found.fact(Route).endpoints == ("api.example.com:443",)


async def test_other_pools_are_picked_from():
    request = BARE.having(Model("m", "here", "m"))
    assert await Elsewhere(SERVICES).decide(request) is request
