"""The nginx of deploy/nginx, started on loopback with the files that an operator copies.

What an operator writes (name, certificate, folder, servers, addresses of one's own) is written here
too; of the rest only the ports differ, and what a test says.
"""

import contextlib
import http.client
import json
import os
import random
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from signal import SIGQUIT
from typing import Any

import pytest

from config.embedded import die_with_parent
from config.supervisor import PROJECT
from tests.concurrency import PATIENCE_SECONDS

FILES = PROJECT / "deploy" / "nginx"
NAME = "shop.example.com"
# Addresses of this machine, which the edge takes for its own and for strangers'.
INSIDE, OUTSIDE = "127.0.0.1", "127.0.0.2"
PORTS = (80, 443)
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

# What Debian's own file says where it would matter to ours.
MAIN = """
daemon off;
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 1024; }}
http {{
    sendfile on;
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;
    ssl_prefer_server_ciphers on;
    access_log {folder}/debian.log;
    gzip on;
    gzip_types *;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/holdfast.conf;
}}
"""


def require_nginx() -> None:
    if NGINX is None:
        why = "No nginx was found: install it (Debian: apt-get install nginx)."
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)


def folder_for_all() -> Path:
    """Make a folder that other users reach, too: nginx gives up root's rights."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-edge-"))
    folder.chmod(0o755)
    return folder


def free_port() -> int:
    """Find one beside those that the kernel gives to callers, of whom there are many here."""
    while True:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("", port))
            return port


def as_nobody() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    return {"user": "nobody", "group": "nogroup", "extra_groups": []}


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


class Edge:
    def __init__(
        self,
        *servers: int,
        root: Path | None = None,
        changed: dict[str, str] | None = None,
        real_ip_from: str = "",
    ) -> None:
        require_nginx()
        self.folder = folder_for_all()
        self.ports = {port: free_port() for port in PORTS}
        shutil.copytree(FILES, self.folder, dirs_exist_ok=True)
        self._say_what_is_ours(servers, root or self.folder, real_ip_from)
        for file in (self.folder / "holdfast.conf", *self.folder.glob("holdfast/*.conf")):
            self._change(file, changed or {})
        (self.folder / "nginx.conf").write_text(MAIN.format(folder=self.folder))
        for file in (self.folder, *self.folder.rglob("*")):
            file.chmod(0o777 if file.is_dir() else 0o644)

    def _say_what_is_ours(self, servers: tuple[int, ...], root: Path, real_ip_from: str) -> None:
        _make_certificate(self.folder)
        ours = self.folder / "holdfast"
        site = (ours / "site.conf").read_text()
        for pattern, value in {
            r"(?<=ssl_certificate ).*(?=;)": str(self.folder / "certificate.pem"),
            r"(?<=ssl_certificate_key ).*(?=;)": str(self.folder / "key.pem"),
            r"(?<=^root ).*(?=;)": str(root),
            r"/var/log/nginx": str(self.folder),
        }.items():
            site, times = re.subn(pattern, value, site, flags=re.MULTILINE)
            assert times, pattern
        if real_ip_from:
            site = re.sub(r"^#(?=(set_)?real_ip)", "", site, flags=re.MULTILINE)
            site = site.replace("192.0.2.0/24", real_ip_from)
        (ours / "site.conf").write_text(site)
        sample = "127.0.0.1:8000"
        line = next(
            line for line in (ours / "upstreams.conf").read_text().splitlines() if sample in line
        )
        lines = [line.replace(sample, f"{INSIDE}:{port}") for port in servers]
        (ours / "upstreams.conf").write_text("\n".join(lines))

    def _change(self, file: Path, changed: dict[str, str]) -> None:
        text = file.read_text()
        for port, other in self.ports.items():
            text = re.sub(rf"listen (\[::\]:)?{port}\b", rf"listen \g<1>{other}", text)
        # Of no use to a test, and not every machine has it.
        text = re.sub(r"^ *listen \[::\].*\n", "", text, flags=re.MULTILINE)
        for old, new in changed.items():
            text = text.replace(old, new)
        file.write_text(text)

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(*options), capture_output=True, text=True, check=False, **as_nobody()
        )

    def _command(self, *options: str) -> list[str]:
        assert NGINX is not None
        log = str(self.folder / "nginx.log")
        return [NGINX, "-e", log, "-c", str(self.folder / "nginx.conf"), *options]

    @contextlib.contextmanager
    def running(self) -> Iterator["Edge"]:
        process = subprocess.Popen(
            self._command(), preexec_fn=die_with_parent(SIGQUIT), **as_nobody()
        )
        try:
            wait_until(lambda: process.poll() is not None or self.said("nginx.pid"))
            assert process.poll() is None, (self.folder / "nginx.log").read_text()
            yield self
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)
            shutil.rmtree(self.folder)

    def connect(
        self, source: str = OUTSIDE, *, name: str = NAME, protocols: tuple[str, ...] = ()
    ) -> ssl.SSLSocket:
        address = (INSIDE, self.ports[443])
        wire = socket.create_connection(address, PATIENCE_SECONDS, source_address=(source, 0))
        context = ssl.create_default_context(cafile=str(self.folder / "certificate.pem"))
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context.wrap_socket(wire, server_hostname=name)

    def connection(self, source: str = OUTSIDE) -> http.client.HTTPConnection:
        """A connection over TLS, as http.client wants it."""
        connection = http.client.HTTPConnection(NAME, timeout=PATIENCE_SECONDS)
        connection.sock = self.connect(source)
        return connection

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        body: bytes | None = None,
        source: str = OUTSIDE,
        **headers: str,
    ) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with contextlib.closing(self.connection(source)) as connection:
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return Answer(answer.status, answer.msg, answer.read())

    def ask_plainly(self, path: str, host: str = NAME) -> Answer:
        """Ask without TLS."""
        connection = http.client.HTTPConnection(INSIDE, self.ports[80], timeout=PATIENCE_SECONDS)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"Host": host})
            answer = connection.getresponse()
            return Answer(answer.status, answer.msg, answer.read())

    def send(self, sent: bytes, source: str = OUTSIDE) -> bytes:
        """Send these bytes, and read all that comes until the edge closes."""
        received = b""
        with self.connect(source) as wire:
            # One that has read enough answers, and takes no more.
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                wire.sendall(sent)
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                while part := wire.recv(65_536):
                    received += part
        return received

    def requests(self) -> list[dict[str, Any]]:
        """What the log tells of requests."""
        return [json.loads(line) for line in self.said("holdfast.log").splitlines()]

    def wait_for_line(self, part: str) -> None:
        """Wait until the log tells of a request in which this occurs."""
        wait_until(lambda: part in self.said("holdfast.log"))

    def said(self, file: str) -> str:
        path = self.folder / file
        return path.read_text() if path.exists() else ""


def _make_certificate(folder: Path) -> None:
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *(
                "-nodes",
                "-days",
                "2",
                "-subj",
                f"/CN={NAME}",
                "-addext",
                f"subjectAltName=DNS:{NAME}",
            ),
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")),
        ],
        check=True,
        capture_output=True,
    )


def wait_until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@dataclass
class Call:
    method: str
    path: str
    headers: Message
    body: bytes


class Behind(ThreadingHTTPServer):
    """A web server that keeps what it was sent, and answers as a test says."""

    daemon_threads = True
    # Whoever is left when a test ends does not matter.
    block_on_close = False
    request_queue_size = 512

    def __init__(self, answer: Callable[["_Handler"], None] | None = None) -> None:
        super().__init__((INSIDE, 0), _Handler)
        self.calls: list[Call] = []
        self.answer = answer or (lambda handler: handler.tell())

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @contextlib.contextmanager
    def serving(self) -> Iterator["Behind"]:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            self.shutdown()
            self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let nobody read of connections that a test has cut."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Behind

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        self.server.calls.append(Call(self.command, self.path, self.headers, body))
        self.server.answer(self)

    do_POST = do_PUT = do_DELETE = do_GET

    def tell(self, body: bytes = b"{}", status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def hang_up(self) -> None:
        """Die in the middle of it."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what was called is in `calls`."""
