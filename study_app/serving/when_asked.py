"""Streamlit's app, brought in when the owner's page is first asked for: raters need none of it.

A server that starts without it is there in half the time, and that is how long raters wait when
one is restarted.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send
    from streamlit import App


HEALTH = "/_stcore/health"


class WhenAsked:
    """An ASGI app that is made at its first request, and ends with the server.

    Args:
        make: the app; called on a thread of its own, since imports take a second.
    """

    def __init__(self, make: Callable[[], App]) -> None:
        self._make = make
        self._coming: asyncio.Task[ASGIApp] | None = None
        self._until_the_end = contextlib.AsyncExitStack()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or the server's messages about its start and end."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._coming is None and scope["path"] == HEALTH:
            # who watches the server needs no Streamlit; its own answer sets a cookie for its page
            from starlette.responses import PlainTextResponse

            await PlainTextResponse("ok")(scope, receive, send)
        else:
            app = await self._app()
            await app(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._until_the_end.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    async def _app(self) -> ASGIApp:
        """Return the app; those who ask while it is coming wait for the same one."""
        failed = self._coming is not None and self._coming.done() and self._coming.exception()
        if self._coming is None or failed:
            self._coming = asyncio.create_task(self._bring())
        return await asyncio.shield(self._coming)  # whoever asked first may leave

    async def _bring(self) -> ASGIApp:
        app = await asyncio.to_thread(self._make)
        await self._until_the_end.enter_async_context(app.lifespan()(app))
        return app
