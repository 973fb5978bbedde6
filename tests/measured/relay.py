"""A way to the server that can be cut: what is then sent arrives nowhere, and nobody is told"""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Any

_HOST = "127.0.0.1"


class Relay:
    """Carries every connection to a port of this machine on, until it is `cut`."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self.cut = False
        self.url = ""
        self._carrying: set[asyncio.Task[Any] | None] = set()  # asyncio itself keeps none alive

    async def open(self) -> None:
        """It has a port of its own."""
        server = await asyncio.start_server(self._carry, _HOST)
        self.url = f"http://{_HOST}:{server.sockets[0].getsockname()[1]}"

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._carrying.add(task)
        try:
            answers, requests = await asyncio.open_connection(_HOST, self._target_port)
            await asyncio.gather(self._pump(reader, requests), self._pump(answers, writer))
        except (OSError, asyncio.CancelledError):
            writer.close()
        finally:
            self._carrying.discard(task)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            if not self.cut:
                sink.write(data)
                await sink.drain()
        if not self.cut:
            sink.close()


class Relays:
    """The thread on which all of them run, while its with-block lasts."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relays", daemon=True)

    def __enter__(self) -> Relays:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def open(self) -> Relay:
        """Return a new one."""
        relay = Relay(self._target_port)
        asyncio.run_coroutine_threadsafe(relay.open(), self._loop).result(10)
        return relay

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
