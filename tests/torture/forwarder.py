"""The way from Holdfast to PostgreSQL, which can be closed, led elsewhere, and cut at a COMMIT.

A process of its own between two Unix sockets. Like the nursery it reads one JSON order a line and
writes one line of answer; it ends with its parent. It knows of PostgreSQL's protocol only where a
message ends and which one is a COMMIT, as psycopg sends it: a simple query of that word.
"""

import asyncio
import json
import signal
import sys
from collections import Counter
from typing import Any

from config.embedded import die_with_parent

CHUNK = 65_536
COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
# Of the first message, which has no letter: type and length of all others are five bytes.
LENGTH_BYTES, LETTER_BYTES = 4, 1


class Messages:
    """Puts what a client sends together to whole messages, so that none is forwarded in part."""

    def __init__(self) -> None:
        self.unfinished = b""
        self.letter_bytes = 0

    def add(self, chunk: bytes) -> tuple[bytes, bool]:
        """Return the messages that are whole now, and whether one of them is a COMMIT."""
        data = self.unfinished + chunk
        end, has_commit = 0, False
        while len(data) >= end + self.letter_bytes + LENGTH_BYTES:
            length_at = end + self.letter_bytes
            length = int.from_bytes(data[length_at : length_at + LENGTH_BYTES], "big")
            if len(data) < length_at + length:
                break
            has_commit |= data[end : length_at + length] == COMMIT
            end = length_at + length
            self.letter_bytes = LETTER_BYTES
        self.unfinished = data[end:]
        return data[:end], has_commit


class Forwarder:
    def __init__(self) -> None:
        # The socket that it leads to; None while the way is closed.
        self.target: str | None = None
        # Whether the server hears of the next COMMITs whose connections are cut.
        self.cuts: list[bool] = []
        self.done: Counter[str] = Counter()
        self.links: set[asyncio.Task[None]] = set()

    # Orders.

    def lead(self, *, to: str | None) -> None:
        """Cut everything, and lead whoever comes from now on there, or nowhere."""
        self.target = to
        self.cuts.clear()
        self.sever()

    def shut(self) -> None:
        """Let nobody in any more, and those who are there go on."""
        self.target = None

    def sever(self) -> int:
        """Cut all connections, wherever they are."""
        for link in self.links:
            link.cancel()
        return len(self.links)

    def cut(self, *, times: int, heard: bool) -> None:
        """Cut so many at their COMMIT: before the server has heard it, or before it has answered.

        That one was done, and whoever asked for it does not know.
        """
        self.cuts += [heard] * times

    def end_cuts(self) -> dict[str, int]:
        """Let nobody be cut any more, and tell how many were since the last time."""
        self.cuts.clear()
        done, self.done = self.done, Counter()
        return done

    # Connections.

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.current_task()
        assert link is not None
        self.links.add(link)
        ends = [writer]
        try:
            if self.target is not None:
                there, back = await asyncio.open_unix_connection(self.target)
                ends.append(back)
                await self._forward(reader, writer, there, back)
        except (OSError, asyncio.CancelledError):
            # Cut, or one of the two has died: the other one learns of it by the closed connection.
            pass
        finally:
            for end in ends:
                end.transport.abort()
            self.links.discard(link)

    async def _forward(
        self,
        client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
    ) -> None:
        unanswered = asyncio.Event()

        async def questions() -> None:
            messages = Messages()
            while chunk := await client.read(CHUNK):
                whole, has_commit = messages.add(chunk)
                if has_commit and self.cuts:
                    heard = self.cuts.pop(0)
                    self.done["cut after a COMMIT" if heard else "cut before a COMMIT"] += 1
                    if not heard:
                        return
                    unanswered.set()
                to_server.write(whole)
                await to_server.drain()

        async def answers() -> None:
            while chunk := await server.read(CHUNK):
                if unanswered.is_set():
                    return
                to_client.write(chunk)
                await to_client.drain()

        both = [asyncio.create_task(questions()), asyncio.create_task(answers())]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in both:
                one.cancel()
            await asyncio.gather(*both, return_exceptions=True)


async def main(socket: str) -> None:
    die_with_parent(signal.SIGKILL)()
    forwarder = Forwarder()
    await asyncio.start_unix_server(forwarder.take, socket)
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
    )
    _say("ready")
    while line := await orders.readline():
        order = json.loads(line)
        _say(getattr(forwarder, order.pop("do"))(**order))


def _say(answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
