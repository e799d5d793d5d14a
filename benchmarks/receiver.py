"""Who is told, in a process of his own, so that his time is nobody else's. He takes everything."""

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

PATIENCE_SECONDS = 60


@dataclass
class Receiver:
    process: "subprocess.Popen[str]"
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def _ask(self, what: str) -> str:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def count(self) -> int:
        return int(self._ask("count"))

    def forget(self) -> None:
        self._ask("forget")

    def heard(self) -> list[tuple[str, float]]:
        """Return the id of each event that came, and when, in the order in which they came."""
        return [
            (event_id, float(at))
            for event_id, _, at in (one.partition("@") for one in self._ask("heard").split())
        ]

    def wait_for(self, count: int) -> None:
        """Wait for as long as it hears more."""
        before, deadline = -1, 0.0
        while (heard := self.count()) < count:
            if heard > before:
                before, deadline = heard, time.monotonic() + PATIENCE_SECONDS
            assert time.monotonic() < deadline, f"it has heard {heard:,} of {count:,} events"
            time.sleep(0.2)


@contextmanager
def receiver() -> Iterator[Receiver]:
    command = [sys.executable, "-m", "benchmarks.receiver"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        try:
            yield Receiver(process, int(process.stdout.readline()))
        finally:
            process.terminate()


# In that process.

_ID = re.compile(rb"\r\nwebhook-id: *(\S+)\r\n", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


async def _receive() -> None:
    heard: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
                length, event = _LENGTH.search(head), _ID.search(head)
                assert length
                assert event
                await reader.readexactly(int(length[1]))
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()
                return
            heard.append(f"{event[1].decode()}@{time.time():.4f}")
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    loop = asyncio.get_running_loop()
    while asked := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
        answer = " ".join(heard) if asked == "heard" else str(len(heard))
        if asked == "forget":
            heard.clear()
        print(answer, flush=True)


if __name__ == "__main__":
    asyncio.run(_receive())
