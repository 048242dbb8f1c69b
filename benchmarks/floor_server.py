"""The least that any Python server must do for a scripted call: a bare WebSocket, the script of ``load/``, nothing else.

No voice detection, no turn logic, no policy, no log: a final transcript is answered at once, 20 ms chunks are sent on a
20 ms grid without a lead, and a begin mark stops the answer. What another server takes beyond this is its overhead.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections import deque

import uvloop
from load.script import CHUNK_S, FIRST_TOKEN_S, TOOL_S, MarkedSpeech, Voice, sentences, wants_tool, written
from websockets.asyncio.server import ServerConnection, serve


class FloorCall:
    def __init__(self, socket: ServerConnection, voice: Voice) -> None:
        self._socket = socket
        self._voice = voice
        self._chunks: deque[bytes] = deque()
        self._ready = asyncio.Event()
        self._answer: asyncio.Task[None] | None = None

    async def run(self) -> None:
        marks = MarkedSpeech(on_begin=self._stop, on_partial=lambda _: None, on_final=self._respond)
        sender = asyncio.create_task(self._send())
        try:
            async for message in self._socket:
                if isinstance(message, bytes):
                    marks.feed(message)
        finally:
            sender.cancel()
            self._stop()

    def _stop(self) -> None:
        if self._answer is not None:
            self._answer.cancel()
        self._chunks.clear()

    def _respond(self, text: str) -> None:
        self._stop()
        self._answer = asyncio.create_task(self._write(text))

    async def _write(self, text: str) -> None:
        if wants_tool(text):
            await asyncio.sleep(FIRST_TOKEN_S)
            await asyncio.sleep(TOOL_S)
        speakable: asyncio.Queue[str | None] = asyncio.Queue()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._speak(speakable))
            rest = ""
            async for token in written():
                done, rest = sentences(rest + token)
                for sentence in done:
                    speakable.put_nowait(sentence)
            speakable.put_nowait(None)

    async def _speak(self, speakable: asyncio.Queue[str | None]) -> None:
        while (sentence := await speakable.get()) is not None:
            async for chunk in self._voice.synthesise(sentence):
                self._chunks.append(chunk)
                self._ready.set()

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        due_s = 0.0
        while True:
            if not self._chunks:
                self._ready.clear()
                await self._ready.wait()
            due_s = max(due_s, loop.time())
            wait_s = due_s - loop.time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            if self._chunks:
                await self._socket.send(self._chunks.popleft())
                due_s += CHUNK_S


async def run(port: int) -> None:
    voice = Voice()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def handle(socket: ServerConnection) -> None:
        await FloorCall(socket, voice).run()

    async with serve(handle, "127.0.0.1", port, compression=None, ping_interval=None, close_timeout=1):
        await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int, help="port of 127.0.0.1 to listen on")
    uvloop.run(run(parser.parse_args().port))


if __name__ == "__main__":
    main()
