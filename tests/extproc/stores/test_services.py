from extproc.stores.services import ServiceClient


async def test_all_questions_share_one_pool_and_keep_no_cookies():
    client = ServiceClient()
    session = client.session
    assert client.session is session
    assert len(session.cookie_jar) == 0
    await client.close()
    assert session.closed


async def test_one_that_was_never_asked_closes_as_well():
    client = ServiceClient()
    await client.close()
    assert client._session is None
