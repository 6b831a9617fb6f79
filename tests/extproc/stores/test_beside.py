from extproc.stores.beside import Beside


async def test_it_can_be_closed_whether_or_not_anything_was_asked():
    beside = Beside()
    assert not beside.detector.session.closed
    opened = beside.detector.session
    await beside.close()
    assert opened.closed
    await Beside().close()
