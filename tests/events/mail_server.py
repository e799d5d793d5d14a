"""A mail server on loopback that keeps what it is given, and answers as a test wants it."""

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from tests.concurrency import PATIENCE_SECONDS

# What is answered to a command, such as "RCPT" or the end of a mail ("."): a line, or what to do.
Answer = str | Callable[["Handler"], None]

USUAL: dict[str, Answer] = {
    "hello": "220 ready",
    "EHLO": "250 here",
    "MAIL": "250 ok",
    "RCPT": "250 ok",
    "DATA": "354 go on",
    ".": "250 taken",
    "RSET": "250 ok",
    "QUIT": "221 bye",
}


def hang_up(handler: "Handler") -> None:
    handler.is_over = True


def never(handler: "Handler") -> None:
    """Answer nothing until the test is over, or whoever asks has gone."""
    handler.of.asked.set()
    handler.of.released.wait(PATIENCE_SECONDS)
    handler.is_over = True


def dripping(handler: "Handler") -> None:
    """Answer one letter after the other, for ever: each of them in time."""
    handler.of.asked.set()
    while not handler.of.released.wait(0.02):
        handler.wfile.write(b"2")


@dataclass
class MailServer:
    port: int = 0
    taken: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    connections: int = 0
    asked: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def reset(self) -> None:
        self.released.set()
        self.released, self.asked = threading.Event(), threading.Event()
        self.taken, self.recipients, self.answers, self.connections = [], [], {}, 0


class Handler(socketserver.StreamRequestHandler):
    server: Any
    is_over = False

    @property
    def of(self) -> MailServer:
        kept: MailServer = self.server.kept
        return kept

    def handle(self) -> None:
        self.of.connections += 1
        self.say("hello")
        while not self.is_over and (line := self.rfile.readline()):
            command = line.decode().split()[0].upper()
            if command == "RCPT":
                self.of.recipients.append(line.decode().split("<")[1].split(">")[0])
            self.say(command)
            if command == "DATA" and not self.is_over:
                self.take()

    def take(self) -> None:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        mail = message_from_bytes(b"".join(lines), policy=policy.default)
        assert isinstance(mail, EmailMessage)
        # Before it is said: then whoever hears that it was taken finds it here.
        if self.of.answers.get(".", USUAL["."]) == USUAL["."]:
            self.of.taken.append(mail)
        self.say(".")

    def say(self, command: str) -> None:
        answer = self.of.answers.get(command, USUAL.get(command, "500 what?"))
        if not isinstance(answer, str):
            answer(self)
            return
        self.wfile.write(f"{answer}\r\n".encode())
        if answer.startswith(("421", "221")):
            self.is_over = True


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    kept: MailServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever hangs up in the middle is what the tests are about."""


@contextmanager
def serving() -> Iterator[MailServer]:
    kept = MailServer()
    with _Server(("127.0.0.1", 0), Handler) as server:
        server.kept = kept
        kept.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield kept
        kept.released.set()
        server.shutdown()
