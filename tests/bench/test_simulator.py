from bench.simulator import engine, read


async def test_streams_are_read_as_they_come():
    with engine(itl_ms=20) as (pid, port):
        seen = await read(pid, port, streams=3, seconds=0.5, settle_s=0.3)
    assert seen.streams == 3
    assert 3 <= len(seen.gaps_s) <= 3 * 1.5 * seen.seconds / 0.020
    assert sum(seen.gaps_s) <= 3 * (seen.seconds + 0.5)
    assert 0 <= seen.share < 1
