"""What the nginx of deploy/nginx lets through, and what it answers by itself.

Behind it stands a server that keeps what it was sent. With Holdfast behind it: test_shop.py.
"""

import gzip
import json
import re
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from api import views as api_views
from api.errors import BodyTooLarge
from api.limits import TooManyRequests
from backoffice import sent_pictures, uploads
from inventory import file_views
from inventory.services.sheets.tables import BYTES_MAX as SHEET_BYTES_MAX
from tests.concurrency import PATIENCE_SECONDS
from tests.deploy.edge import (
    FILES,
    INSIDE,
    NAME,
    OUTSIDE,
    Answer,
    Behind,
    Edge,
    free_port,
    wait_until,
)
from tests.test_limits_document import default_of

pytestmark = pytest.mark.processes

CART = "secret-cart-4711"
HTML = b"<p>" + b"a page, not of any length " * 200


@pytest.fixture(scope="module")
def behind() -> Iterator[Behind]:
    with Behind().serving() as server:
        yield server


@pytest.fixture(scope="module")
def running(behind: Behind, collected: Path) -> Iterator[Edge]:
    with Edge(behind.port, root=collected.parent).running() as edge:
        yield edge


@pytest.fixture
def edge(running: Edge, behind: Behind) -> Edge:
    behind.calls.clear()
    behind.answer = tell
    return running


def tell(handler) -> None:
    handler.tell()


def only_entry(answer: Answer) -> dict[str, object]:
    assert answer.headers["Content-Type"] == "application/json"
    [found] = answer.json()["errors"]
    return dict(found)


def head(method: str, path: str, *headers: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {NAME}", *headers, "", ""]).encode()


def test_nginx_finds_nothing_to_warn_of(behind):
    checked = Edge(behind.port).run("-t")

    assert checked.returncode == 0, checked.stderr
    assert "test is successful" in checked.stderr
    assert "[" not in checked.stderr


# Who calls, and what is handed on.


def test_a_call_is_handed_on_with_who_makes_it_and_how(edge, behind):
    edge.ask("/v2/products?page[limit]=1", x_request_id="from-the-shop.1")

    [call] = behind.calls
    assert call.path == "/v2/products?page[limit]=1"
    told = {name: call.headers.get(name) for name in ("Host", "X-Request-Id", "Connection")}
    assert told == {"Host": NAME, "X-Request-Id": "from-the-shop.1", "Connection": None}
    assert call.headers["X-Forwarded-For"] == OUTSIDE
    assert call.headers["X-Forwarded-Proto"] == "https"


def test_nobody_says_by_themselves_who_they_are(edge, behind):
    # To the application a name with an underscore is the same one.
    same = ["X_Forwarded_For: 192.0.2.7", "X_Forwarded_Proto: http", "Connection: close"]
    edge.send(head("GET", "/v2/products", *same))
    call = behind.calls.pop()
    assert [name for name in call.headers if "_" in name] == []

    edge.ask(
        "/v2/products", x_forwarded_for="192.0.2.7", x_forwarded_proto="http", x_request_id="{"
    )

    [call] = behind.calls
    assert call.headers["X-Forwarded-For"] == OUTSIDE
    assert call.headers["X-Forwarded-Proto"] == "https"
    assert re.fullmatch("[0-9a-f]{32}", call.headers["X-Request-Id"])


@pytest.mark.parametrize(("source", "believed"), [(INSIDE, "198.51.100.9"), (OUTSIDE, OUTSIDE)])
def test_behind_a_load_balancer_the_caller_is_whom_it_names(behind, source, believed):
    behind.calls.clear()
    with Edge(behind.port, real_ip_from=f"{INSIDE}/32").running() as edge:
        edge.ask("/v2/products", source=source, x_forwarded_for="192.0.2.7, 198.51.100.9")

    [call] = behind.calls
    assert call.headers["X-Forwarded-For"] == believed


@pytest.mark.parametrize(
    "written", ["", "192.0.2.7, ", "192.0.2.7, 203.0.113.9, ", f"{INSIDE}, ", "nobody, "]
)
def test_behind_two_proxies_nobody_chooses_who_they_are(behind, between_proxies, written):
    """Whatever somebody writes: a CDN adds who called it, and a load balancer adds the CDN."""
    behind.calls.clear()
    forwarded = f"{written}198.51.100.9, 203.0.113.5"

    between_proxies.ask("/v2/products", source=INSIDE, x_forwarded_for=forwarded)

    [call] = behind.calls
    assert call.headers.get_all("X-Forwarded-For") == ["198.51.100.9"]
    between_proxies.wait_for_line('"address":"198.51.100.9"')


@pytest.fixture(scope="module")
def between_proxies(behind: Behind) -> Iterator[Edge]:
    ours = f"{INSIDE}/32;\nset_real_ip_from 203.0.113.0/24"
    with Edge(behind.port, real_ip_from=ours).running() as edge:
        yield edge


def test_plain_http_is_sent_to_https(edge, behind):
    answer = edge.ask_plainly("/admin/?q=shirt")

    assert (answer.status, answer.headers["Location"]) == (301, f"https://{NAME}/admin/?q=shirt")
    assert behind.calls == []
    # But for load balancers, which ask by any name.
    assert edge.ask_plainly("/health/live", "192.0.2.1").status == 200


def test_names_of_others_are_not_answered_for(edge, behind):
    with pytest.raises(ssl.SSLError, match="unrecognized name"):
        edge.connect(name="evil.example.com")

    assert edge.send(b"GET / HTTP/1.1\r\nHost: evil.example.com\r\n\r\n") == b""
    assert edge.send(b"GET / HTTP/1.0\r\n\r\n") == b""
    assert behind.calls == []


def test_http_2_is_spoken(edge):
    with edge.connect(protocols=("h2", "http/1.1")) as wire:
        assert wire.selected_alpn_protocol() == "h2"
        assert wire.version() == "TLSv1.3"


INNER = ["/metrics", "//metrics", "/%6detrics", "/metrics/", "/./metrics", "/metrics?x=1"]
INNER += ["/health/ready", "/health/ready/", "/health//ready", "/health/live/../ready", "/health"]


@pytest.mark.parametrize("path", INNER)
def test_t54_what_is_for_our_own_machines_stays_inside(edge, behind, path):
    told = edge.send(head("GET", path, "Connection: close"))

    assert told.startswith(b"HTTP/1.1 404 ")
    assert behind.calls == []
    assert edge.send(head("GET", path, "Connection: close"), INSIDE).startswith(b"HTTP/1.1 200 ")


def test_whether_it_lives_anybody_may_ask(edge):
    assert edge.ask("/health/live").status == 200


# Slow callers.


def test_t38_nobody_is_handed_on_before_all_of_it_is_there(edge, behind):
    """Sixteen callers from one address, two hundred from others, and some that say nothing."""
    slow = [edge.connect() for _ in range(16)]
    slow += [edge.connect(f"127.0.1.{1 + number % 8}") for number in range(200)]
    for wire in slow:
        wire.sendall(head("POST", f"/v2/carts/{CART}/items", "Content-Length: 100000") + b"{")
    half_a_head = [edge.connect() for _ in range(50)]
    for wire in half_a_head:
        wire.sendall(b"POST /v2/carts HTTP/1.1\r\nX-Slow: ")
    silent = [edge.connect() for _ in range(50)]

    assert edge.ask("/health/live").status == 200
    assert edge.ask("/v2/carts", method="POST", body=b"{}").status == 200

    assert [call.path for call in behind.calls] == ["/health/live", "/v2/carts"]
    for wire in (*slow, *half_a_head, *silent):
        wire.setblocking(False)
        with pytest.raises(ssl.SSLWantReadError):
            wire.recv(1)
        wire.close()


def test_who_says_nothing_for_long_is_cut_off(behind):
    hurried = {"client_header_timeout 10s": "client_header_timeout 1s"}
    hurried["client_body_timeout 10s"] = "client_body_timeout 1s"
    with Edge(behind.port, changed=hurried).running() as edge:
        assert edge.send(b"POST /v2/carts HTTP/1.1\r\nX-Slow: ") == b""
        assert edge.send(head("POST", "/v2/carts", "Content-Length: 100000") + b"{") == b""


def test_t40_an_answer_that_nobody_reads_holds_no_server(edge, behind):
    sent: list[int] = []

    def answer(handler):
        handler.tell(b"x" * 30_000_000)
        sent.append(30_000_000)

    behind.answer = answer
    wires = [edge.connect() for _ in range(4)]
    for wire in wires:
        wire.sendall(head("GET", "/v2/orders"))

    wait_until(lambda: len(sent) == 4)

    for wire in wires:
        wire.close()


# How much is taken.


def test_t39_a_body_over_the_limit_is_refused_as_the_shop_would(edge, behind):
    most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    assert edge.ask("/v2/carts", method="POST", body=b"x" * most).status == 200
    assert len(behind.calls.pop().body) == most

    answer = edge.ask(f"/v2/carts/{CART}/items", method="POST", body=b"x" * (most + 1))

    assert answer.status == 413
    assert only_entry(answer) == BodyTooLarge().entries()[0]
    in_chunks = head("POST", "/v2/carts", "Transfer-Encoding: chunked", "Connection: close")
    told = edge.send(in_chunks + b"%x\r\n" % (most + 1) + b"x" * (most + 1) + b"\r\n0\r\n\r\n")
    assert told.startswith(b"HTTP/1.1 413 ")
    assert behind.calls == []


# By the address, what the application takes there at most.
TAKEN = {
    "/v2/orders": settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
    "/webhooks/stripe": settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
    "/admin/inventory/product/add/": settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
    "/oauth/access_token": api_views.FORM_BYTES_MAX,
    "/admin/login/": uploads.STRANGERS_BYTES_MAX,
    "/v2/files": file_views.FilesView.body_max,
    "/admin/inventory/sheet/add/": SHEET_BYTES_MAX + uploads.AROUND_A_FILE,
    **dict.fromkeys(
        ("/admin/inventory/picture/add/", "/admin/inventory/product/1/pictures/"),
        sent_pictures.BYTES_AT_ONCE + sent_pictures.FILES_MAX * uploads.AROUND_A_FILE,
    ),
}


@pytest.mark.parametrize("path", TAKEN)
def test_no_more_and_no_less_is_taken_than_by_the_application(edge, path):
    """A little more, so that people read its own words of files that are too large."""
    most = TAKEN[path]

    assert taken(edge, path, most)
    assert not taken(edge, path, most + most // 10)


def taken(edge: Edge, path: str, length: int) -> bool:
    """Tell whether nginx wants to read a body of that length."""
    expects = head("POST", path, f"Content-Length: {length}", "Expect: 100-continue")
    with edge.connect(INSIDE) as wire:
        wire.sendall(expects)
        return b" 100 " in wire.recv(65_536).split(b"\r\n")[0]


def test_so_much_may_stand_above_a_body_and_no_more(edge, behind):
    headers = [f"X-{number}: {'a' * 15_000}" for number in range(3)]
    told = edge.send(head("GET", f"/v2/a?{'a' * 15_000}", headers[0], "Connection: close"))
    assert told.startswith(b"HTTP/1.1 200 ")
    behind.calls.clear()

    for sent, status in {
        head("GET", f"/v2/carts/{CART}", *headers): 431,
        head("GET", f"/v2/carts/{CART}?{'a' * 17_000}"): 414,
        head("GET", "/admin/", "Content-Length: 1, 2"): 400,
    }.items():
        headers_told, _, body = edge.send(sent).partition(b"\r\n\r\n")
        assert headers_told.startswith(b"HTTP/1.1 %d " % status)
        assert json.loads(body)["errors"][0]["status"] == status
    assert behind.calls == []


def test_a_method_that_is_none_of_ours_is_refused_in_our_form(edge, behind):
    assert only_entry(edge.ask("/v2/orders", method="TRACE"))["code"] == "method_not_allowed"
    assert behind.calls == []


# How often.

RATES = dict(
    re.findall(
        r"zone=holdfast_(\w+):\w+ rate=(\d+)r/s;", (FILES / "holdfast" / "rates.conf").read_text()
    )
)
KINDS = {"token": "TOKEN", "checkout": "CHECKOUT", "payment": "PAYMENT", "login": "LOGIN"}


def test_the_rates_are_those_of_the_application():
    period = default_of("LIMIT_SECONDS")
    told = {kind: int(RATES[kind]) * period for kind in (*KINDS, "other")}

    of_application = {kind: default_of(f"{name}_LIMIT") for kind, name in KINDS.items()}
    assert told == {**of_application, "other": default_of("REQUEST_LIMIT")}


# What a caller sends, how many of it at once are let through, and to whom it is told.
FLOODS = {
    "POST /oauth/access_token": (500, "program"),
    f"POST /v2/carts/{CART}/checkout": (500, "program"),
    f"POST /v2/carts/{CART}/checkout/": (500, "program"),
    "POST /v2/orders/1/payments": (500, "program"),
    "POST /admin/login/": (10, "person"),
    "GET /admin/": (90, "person"),
    f"GET /v2/carts/{CART}": (1000, "program"),
}


@pytest.fixture(scope="module")
def alone() -> Iterator[Edge]:
    """An edge with nothing behind it, which answers in no time."""
    with Edge(free_port()).running() as edge:
        yield edge


@pytest.mark.parametrize("what", FLOODS)
def test_a_flood_from_one_address_is_held_up_at_the_edge(alone, what):
    burst, reader = FLOODS[what]
    method, path = what.split()
    source = f"127.0.2.{1 + list(FLOODS).index(what)}"
    told = flood(alone, method, path, 2 * burst, source)

    refused = statuses(told).count(b"429")
    assert burst <= 2 * burst - refused == statuses(told).count(b"502") < 2 * burst
    assert told.count(b"Retry-After: 1\r\n") == 2 * burst
    assert told.count(WORDS[reader]) == refused
    # Others, and what is our own, are not held up by it.
    assert alone.ask(path, method=method, source="127.0.3.1").status == 502
    assert set(statuses(flood(alone, method, path, 2 * burst, INSIDE))) == {b"502"}


# Programs hear of it as from the application, also in a page of another site.
WORDS = {
    "program": json.dumps({"errors": TooManyRequests(1).entries()}, separators=(",", ":")).encode(),
    "person": b"Please wait a moment and try again.",
}


def flood(edge: Edge, method: str, path: str, times: int, source: str) -> bytes:
    """Call so often in one go: what goes on while it is worked off is little beside the rest."""
    told = b""
    while times:
        # nginx closes a connection after a thousand calls.
        some = min(900, times)
        calls = head(method, path, "Content-Length: 0") * (some - 1)
        last = head(method, path, "Content-Length: 0", "Connection: close")
        told += edge.send(calls + last, source)
        times -= some
    return told


def statuses(told: bytes) -> list[bytes]:
    return re.findall(rb"HTTP/1\.1 (\d{3}) ", told)


def test_one_address_has_so_many_calls_under_way_and_no_more(edge):
    begun = head("POST", "/v2/carts", "Content-Length: 10000") + b"{"
    with_body: list[ssl.SSLSocket] = []
    while len(with_body) < 100:
        with_body.append(edge.connect("127.0.4.1"))
        with_body[-1].sendall(begun)
        # Else the time of the first ones may be over before the last have begun.
        for wire in with_body:
            wire.sendall(b" ")
    wait_until(lambda: edge.ask("/v2/products", source="127.0.4.1").status == 429)

    assert edge.ask("/v2/products", source="127.0.4.2").status == 200
    for wire in with_body:
        wire.close()
    wait_until(lambda: edge.ask("/v2/products", source="127.0.4.1").status == 200)


def test_one_address_sends_four_files_at_a_time(edge):
    begun = head("POST", "/v2/files", "Content-Length: 10000000") + b"-"
    wires = [edge.connect("127.0.4.3") for _ in range(4)]
    for wire in wires:
        wire.sendall(begun)

    wait_until(
        lambda: edge.ask("/v2/files", method="POST", body=b"", source="127.0.4.3").status == 429
    )
    assert edge.ask("/v2/products", source="127.0.4.3").status == 200
    for wire in wires:
        wire.close()


@pytest.mark.parametrize(
    ("addresses", "are_one"),
    [
        ("2001:db8:1:2:{:x}::9", True),
        ("2001:db8::{:x}", True),
        ("2001:db8:1:{:x}::9", False),
        ("2001:db8:{:x}::9", False),
        ("::ffff:198.51.100.{:d}", False),
        ("198.51.100.{:d}", False),
    ],
)
def test_of_ipv6_a_network_is_one_caller(behind, addresses, are_one):
    """As the application counts. A load balancer tells the address."""
    with Edge(free_port(), real_ip_from=f"{INSIDE}/32").running() as edge:
        calls = [
            head("POST", "/admin/login/", f"X-Forwarded-For: {addresses.format(number)}")
            for number in range(1, 40)
        ]
        calls.append(head("POST", "/admin/login/", "Connection: close"))

        answered = statuses(edge.send(b"".join(calls), INSIDE))

    assert (answered.count(b"429") > 0) is are_one


# Servers that die.


def hang_up(handler) -> None:
    handler.hang_up()


@pytest.fixture
def dying() -> Iterator[Behind]:
    """A server that reads what it is sent, and dies of it."""
    with Behind(hang_up).serving() as server:
        yield server


def test_what_a_dead_server_never_got_another_one_gets(behind):
    behind.answer = tell
    with Edge(free_port(), behind.port).running() as edge:
        for _ in range(10):
            assert edge.ask("/v2/products").status == 200
            assert edge.ask("/v2/carts", method="POST", body=b"{}").status == 200


def test_what_a_server_lost_is_asked_of_another_and_never_done_twice(behind, dying):
    behind.calls.clear()
    behind.answer = tell
    with Edge(dying.port, behind.port, changed={"max_fails=2": "max_fails=0"}).running() as edge:
        for number in range(10):
            assert edge.ask(f"/v2/products?{number}").status == 200
        answered = [
            edge.ask(f"/v2/carts/{number}/checkout", method="POST", body=b"{}").status
            for number in range(10)
        ]

    # Both were asked for some, and none for the same.
    lost = {call.path for call in dying.calls if call.method == "POST"}
    done = {call.path for call in behind.calls if call.method == "POST"}
    assert answered.count(502) == len(lost) > 0
    assert answered.count(200) == len(done) > 0
    assert not lost & done


def test_no_answer_tells_to_try_again_with_the_same_key(alone):
    answer = alone.ask(f"/v2/carts/{CART}/checkout", method="POST", body=b"{}")

    assert answer.status == 502
    assert answer.headers["Retry-After"] == "1"
    assert answer.headers["Cache-Control"] == "no-store"
    told = only_entry(answer)
    assert (told["status"], told["title"], told["code"]) == (502, "Bad Gateway", "server_away")
    assert "Idempotency-Key" in str(told["detail"])
    for path in ("/", "/admin/"):
        page = alone.ask(path)
        assert page.status == 502
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "please try again" in page.text.lower()
        assert page.headers["X-Request-Id"] in page.text


def test_a_server_that_is_busy_is_believed(behind):
    behind.calls.clear()
    behind.answer = lambda handler: handler.tell(b'{"errors":[]}', 503, Retry_After="7")

    # As if there were another one to ask.
    with Edge(behind.port, behind.port).running() as edge:
        answer = edge.ask("/v2/products")

    assert (answer.status, answer.headers["Retry-After"]) == (503, "7")
    assert answer.body == b'{"errors":[]}'
    assert len(behind.calls) == 1


# What is told in logs.


def test_no_log_tells_a_cart_s_id_or_what_was_asked_for(alone, edge):
    for each in (alone, edge):
        for path in (
            f"/v2/carts/{CART}",
            f"/v2/%63arts/{CART}/items?x={CART}",
            f"//v2/carts/{CART}/",
        ):
            each.ask(path, authorization=CART, cookie=CART, referer=CART)
            each.ask(path, method="POST", body=b"x" * (2**20 + 1))
        each.send(head("GET", f"/v2/carts/{CART}", f"X: {'a' * 40_000}"))
        each.wait_for_line("/v2/carts/*")

        for file in each.folder.glob("*.log"):
            assert CART not in file.read_text(), file.name
        assert each.said("debian.log") == ""


def test_a_line_of_the_log_is_json_with_the_id_that_was_told(edge):
    edge.ask(f"/v2/carts/{CART}/items", x_request_id="of-this-test", user_agent='"\\\x01')

    edge.wait_for_line('"of-this-test"')

    [line] = [line for line in edge.requests() if line["request_id"] == "of-this-test"]
    told = {name: line[name] for name in ("event", "method", "path", "status", "address", "agent")}
    assert told == {
        "event": "request",
        "method": "GET",
        "path": "/v2/carts/*/items",
        "status": 200,
        "address": OUTSIDE,
        "agent": '"\\\x01',
    }
    assert 0 <= line["seconds"] < PATIENCE_SECONDS


# Files, and what is compressed.


def hashed(collected: Path, name: str) -> str:
    paths = json.loads((collected / "staticfiles.json").read_text())["paths"]
    return f"/static/{paths[name]}"


def test_t54_static_files_come_from_the_edge_for_good_and_compressed(edge, behind, collected):
    styles = hashed(collected, "backoffice/admin.css")

    plain, packed = edge.ask(styles), edge.ask(styles, accept_encoding="br, gzip")

    assert plain.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert plain.headers["Content-Type"] == "text/css; charset=utf-8"
    assert plain.headers["X-Content-Type-Options"] == "nosniff"
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Vary"] == "Accept-Encoding"
    assert gzip.decompress(packed.body) == plain.body
    # The very file that was compressed when it was collected.
    assert packed.body == (collected.parent / f"{styles[1:]}.gz").read_bytes()
    by_name = edge.ask("/static/backoffice/admin.css")
    assert by_name.headers["Cache-Control"] == "public, max-age=60"
    assert behind.calls == []


def test_a_file_that_is_not_on_the_edge_s_machine_comes_from_the_application(edge, behind):
    picture = f"/media/{'0' * 32}-300.webp"

    for path in ("/static/x.0123456789ab.js", "/static/x.js", picture, "/media/staticfiles.json"):
        assert edge.ask(path).status == 200
        assert behind.calls.pop().path == path
        assert behind.calls == []


def test_pictures_come_from_the_edge_for_good(edge, behind, collected):
    name = f"{'a' * 32}-300.webp"
    media = collected.parent / "media"
    media.mkdir(exist_ok=True)
    (media / name).write_bytes(b"RIFF")
    (media / "else.txt").write_text("of somebody else")

    answer = edge.ask(f"/media/{name}")

    assert (answer.body, answer.headers["Content-Type"]) == (b"RIFF", "image/webp")
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert behind.calls == []
    for path in ("/media/else.txt", "/media/../media/else.txt", "/static/../nginx.conf"):
        assert edge.ask(path).body == b"{}"


def test_what_the_application_did_not_compress_has_its_reasons(edge, behind):
    """Debian's nginx compresses pages. One that shows a secret beside words of the caller must
    stay as it is."""
    behind.answer = lambda handler: handler.tell(HTML, Content_Type="text/html")

    answer = edge.ask("/admin/api/apiclient/add/", accept_encoding="gzip")

    assert "Content-Encoding" not in answer.headers
    assert answer.body == HTML


def test_what_it_did_compress_goes_on_as_it_is(edge, behind):
    packed = gzip.compress(HTML)
    behind.answer = lambda handler: handler.tell(packed, Content_Encoding="gzip", ETag='W/"1"')

    answer = edge.ask("/v2/products", accept_encoding="gzip")

    assert behind.calls[0].headers["Accept-Encoding"] == "gzip"
    assert (answer.body, answer.headers["ETag"]) == (packed, 'W/"1"')


def test_a_connection_behind_the_edge_serves_many_calls(behind):
    behind.calls.clear()
    behind.answer = lambda handler: handler.tell(str(handler.client_address[1]).encode())
    with Edge(behind.port).running() as edge:
        ports = {edge.ask("/v2/products").body for _ in range(20)}

    # One for each of nginx's processes.
    assert 1 <= len(ports) <= 2


def test_it_goes_on_without_a_break_when_it_reads_its_files_anew(edge, behind):
    began = time.monotonic()
    with_body = edge.connect()
    with_body.sendall(head("POST", "/v2/carts", "Content-Length: 2", "Connection: close"))

    assert edge.run("-s", "reload").returncode == 0
    for _ in range(20):
        assert edge.ask("/v2/products").status == 200

    with_body.sendall(b"{}")
    assert with_body.recv(65_536).startswith(b"HTTP/1.1 200 ")
    assert time.monotonic() - began < PATIENCE_SECONDS
