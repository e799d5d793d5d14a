"""A stand-in for a bucket on loopback, spoken to over HTTP by the real boto3."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


class FakeS3:
    """Keeps objects by their path, with the headers that they were put with."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, dict[str, str]]] = {}
        self.is_broken = False
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        bucket = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            @property
            def name(self) -> str:
                return unquote(urlsplit(self.path).path)

            def do_PUT(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                if bucket.is_broken:
                    return self._answer(403)
                bucket.objects[self.name] = content, dict(self.headers)
                return self._answer(200, ETag='"1"')

            def do_GET(self) -> None:
                query = parse_qs(urlsplit(self.path).query)
                if "list-type" in query or "prefix" in query:
                    return self._answer(200, bucket.listed(self.name, query["prefix"][0]))
                found = bucket.objects.get(self.name)
                return self._answer(200, found[0]) if found else self._answer(404)

            do_HEAD = do_GET

            def do_DELETE(self) -> None:
                bucket.objects.pop(self.name, None)
                self._answer(204)

            def log_message(self, *args: object) -> None: ...

        return Handler

    def listed(self, name: str, prefix: str) -> bytes:
        keys = [key.removeprefix(f"{name}/") for key in sorted(self.objects)]
        found = "".join(
            f"<Contents><Key>{key}</Key></Contents>" for key in keys if key.startswith(prefix)
        )
        return f"<ListBucketResult>{found}</ListBucketResult>".encode()


@contextmanager
def serving() -> Iterator[FakeS3]:
    fake = FakeS3()
    thread = threading.Thread(target=fake.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield fake
    finally:
        fake.server.shutdown()
        fake.server.server_close()
        thread.join()
