"""One delivery over the network: a request to whoever is told, and what came of it.

It knows no redirects and no proxies. The name of the receiver is looked up once for a connection,
every address that it leads to is looked at, and the connection goes to one of these: so no second
answer of a name server leads it elsewhere. See docs/decisions, 2026-11-28.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpcore

from api import clock
from config.logs import VERSION
from events.models import BODY_MAX
from events.services import addresses
from events.services.addresses import Target

# For everything, from the look at its name to the last byte that is read.
SECONDS = 10.0
# Servers close what stands idle; asked at that moment, they would not answer. Most wait for longer.
_KEPT_SECONDS = 2.0
# More are not tried.
_ADDRESSES_MAX = 4
# As many names as may be looked up at once: one that nobody answers for takes up a thread.
_LOOKING = 100
_ALWAYS = {
    "User-Agent": f"Holdfast/{VERSION}",
    "Content-Type": "application/json",
    "Accept": "*/*",
    # Nobody unpacks here what might become large by it.
    "Accept-Encoding": "identity",
}
_GONE = 410
# What others say of a fault, of which the rest is ours. It must fit into its column.
_TEXT_MAX = 300

LookUp = Callable[[str, int], Awaitable[list[str]]]


@dataclass(frozen=True)
class Answer:
    """What came of a request. No `status` where no answer came whole and in time."""

    at: datetime
    milliseconds: int
    status: int | None = None
    # Why it counts as failed, for people; empty if it did not.
    fault: str = ""
    # The beginning of it.
    body: str = ""
    retry_after: float | None = None

    @property
    def succeeded(self) -> bool:
        return not self.fault

    @property
    def is_gone(self) -> bool:
        """Tell whether the receiver wants to hear nothing more, ever."""
        return self.status == _GONE


class NotAllowed(Exception):
    """A name that leads to where nothing may be sent, and a sentence that says so."""


class Sender:
    """Connections to receivers, kept for their next event. Of one event loop."""

    def __init__(
        self,
        *,
        seconds: float = SECONDS,
        look_up: LookUp | None = None,
        trusted: ssl.SSLContext | None = None,
    ) -> None:
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(_LOOKING, thread_name_prefix="look-up")
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=trusted or httpcore.default_ssl_context(),
            max_connections=None,
            max_keepalive_connections=None,
            keepalive_expiry=_KEPT_SECONDS,
            network_backend=_Network(look_up or self._looked_up, seconds),
        )
        self._looking: dict[tuple[str, int], asyncio.Future[list[str]]] = {}

    async def close(self) -> None:
        await self._pool.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send, and return what came of it. Raises nothing of the network or the receiver."""
        at, began = clock.now(), time.monotonic()
        try:
            target = addresses.target_of(url)
            async with asyncio.timeout(self._seconds):
                said = await self._posted(target, headers, body)
        except TimeoutError:
            said = {"fault": f"No answer within {self._seconds:g} seconds."}
        except (addresses.Unfit, NotAllowed) as error:
            said = {"fault": str(error)}
        except (OSError, httpcore.NetworkError, httpcore.TimeoutException) as error:
            said = {"fault": f"No connection: {_short(error)}."}
        except (httpcore.ProtocolError, ValueError) as error:
            said = {"fault": f"No answer that can be read: {_short(error)}."}
        return Answer(at, round((time.monotonic() - began) * 1000), **said)

    async def _posted(
        self, target: Target, headers: Mapping[str, str], body: bytes
    ) -> dict[str, Any]:
        place = httpcore.URL(
            scheme=target.scheme, host=target.host, port=target.port, target=target.path
        )
        told = [("Host", _host(target)), *_ALWAYS.items(), *headers.items()]
        asked = self._pool.stream(
            "POST",
            place,
            headers=[(name.encode(), value.encode()) for name, value in told],
            content=body,
        )
        async with asked as response:
            answered = {name.lower(): value for name, value in response.headers}
            begins = await _beginning(response)
            if _has_said_more(response):
                await response.extensions["network_stream"].aclose()
        return {
            "status": response.status,
            "fault": _fault(response.status),
            # PostgreSQL keeps no such sign in a text.
            "body": begins.decode(errors="replace").replace("\x00", "\ufffd"),
            "retry_after": _retry_after(answered.get(b"retry-after", b"").decode("latin-1")),
        }

    async def _looked_up(self, host: str, port: int) -> list[str]:
        """Raises: OSError."""
        if (host, port) not in self._looking:
            # Nothing ends such a thread, so the next one who asks waits for the same.
            asked = asyncio.get_running_loop().run_in_executor(self._threads, _resolve, host, port)
            asked.add_done_callback(lambda done: self._looking.pop((host, port), done.exception()))
            self._looking[host, port] = asked
        return await asyncio.shield(self._looking[host, port])


def _resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(place[0]) for *_, place in found]


@dataclass
class _Network(httpcore.AsyncNetworkBackend):
    look_up: LookUp
    seconds: float
    connecting: httpcore.AsyncNetworkBackend = field(default_factory=httpcore.AnyIOBackend)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to one of the addresses of a host, if none of them is inside.

        Raises: NotAllowed; OSError or a httpcore.NetworkError, if there is no connection.
        """
        found = list(dict.fromkeys(await self.look_up(host, port)))
        if any(map(addresses.is_inside, found)) and not addresses.is_named(host):
            raise NotAllowed(f"{host} leads to an address inside this network.")
        fault: Exception = OSError(f"{host} has no address")
        tried = found[:_ADDRESSES_MAX]
        for address in tried:
            try:
                # One that is silent leaves time for the others.
                each = self.seconds / len(tried)
                return _Gathering(await self.connecting.connect_tcp(address, port, each))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                fault = error
        raise fault


@dataclass
class _Gathering(httpcore.AsyncNetworkStream):
    """Sends head and body of a request together: one call of the kernel, and one packet if small.

    What is written goes out when an answer is waited for.
    """

    stream: httpcore.AsyncNetworkStream
    unsent: bytes = b""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        unsent, self.unsent = self.unsent, b""
        # Who does not want to read to the end may have answered already.
        with suppress(httpcore.WriteError):
            await self.stream.write(unsent)
        return await self.stream.read(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.unsent += buffer

    async def aclose(self) -> None:
        await self.stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return _Gathering(await self.stream.start_tls(ssl_context, server_hostname))

    def get_extra_info(self, info: str) -> Any:
        return self.stream.get_extra_info(info)


async def _beginning(response: httpcore.Response) -> bytes:
    """Read no more than is kept. What is read to its end leaves a connection for the next event."""
    read = b""
    async with aclosing(response.aiter_stream()) as chunks:  # type: ignore[type-var]
        async for chunk in chunks:
            read += chunk
            if len(read) > BODY_MAX:
                break
    return read[:BODY_MAX]


def _has_said_more(response: httpcore.Response) -> bool:
    """Tell whether more has come than the answer, which would be taken for that to the next event.

    Such as a body after 204. httpcore itself sees only what comes later, and shows this to nobody.
    """
    stream: Any = response.stream
    return bool(stream._stream._connection._h11_state.trailing_data[0])


def _host(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return host if target.port == addresses.PORTS[target.scheme] else f"{host}:{target.port}"


def _fault(status: int) -> str:
    if 200 <= status < 300:
        return ""
    if 300 <= status < 400:
        return f"It answered {status}; redirects are not followed."
    return f"It answered {status}."


def _retry_after(told: str) -> float | None:
    """Read for how many seconds a receiver wants to be left alone, or until when."""
    told = told.strip()
    if told.isascii() and told.isdigit():
        return float(told)
    try:
        moment = parsedate_to_datetime(told)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - clock.now()).total_seconds())


def _short(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:_TEXT_MAX].rstrip(".")
