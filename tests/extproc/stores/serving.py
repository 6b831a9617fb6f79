"""A service beside the gateway, for one test."""

import contextlib

from aiohttp import web


@contextlib.asynccontextmanager
async def serving(handle, path="/ask"):
    """Serve one path; yield its URL."""
    app = web.Application()
    app.router.add_post(path, handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}{path}"
    finally:
        await runner.cleanup()
