"""The pages for people as somebody at a desk uses them: counts, files, and what was a mistake.

Whoever gets no answer sends the same form again, as people do: it carries a key. What cannot be
told from the page stays unknown.
"""

import http.client
import re
import time
import uuid
from html.parser import HTMLParser
from typing import Any, NamedTuple

from tests.torture.caller import TIMEOUT_SECONDS, Entry
from tests.torture.pen import Pen

# Any, as long as cookie and form have the same.
CSRF = "c" * 32
TRIES = 20
SHEETS = "/admin/inventory/sheet/"


class Page(NamedTuple):
    """What came of a request; without a status, nothing."""

    status: int | None
    text: str = ""
    location: str = ""

    def form(self, action: str) -> dict[str, str] | None:
        """Return what stands in the form that is sent there, if the page has it."""
        forms = _Forms()
        forms.feed(self.text)
        return forms.found.get(action)


class _Forms(HTMLParser):
    """Reads the fields of all forms that are posted, by where they are sent."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, dict[str, str]] = {}
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.fields = {}
            if given.get("method") == "post":
                # The first of a page that sends several to one address is the one with fields.
                self.fields = self.found.setdefault(given.get("action", ""), self.fields)
        elif tag == "input" and given.get("type") not in ("checkbox", "radio", "submit", "file"):
            self.fields.setdefault(given.get("name", ""), given.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.fields = {}


class Office:
    """Somebody who is signed in, with a session of their own: it keeps what they are told.

    Each thing that is done begins with a look at a page, which has whatever was not yet told.
    """

    def __init__(self, port: int, session: str, pen: Pen) -> None:
        self.port = port
        self.cookies = f"sessionid={session}; csrftoken={CSRF}"
        self.pen = pen
        self.history: list[Entry] = []

    # Stock by hand.

    def count(self, product: str, counted: int, mark: str, counted_at: str = "") -> None:
        """Say how many there are, or were at a moment, whatever has moved since the page opened."""
        path = f"/admin/inventory/product/{product}/inventory/"
        form = self._opened(path, path)
        if form is None:
            return
        typed = {"action": "count", "quantity": str(counted), "reason": mark}
        sent = {**form, **typed, "counted_at": counted_at, "confirmed": "on"}
        sent.pop("", None)
        value = {"product": product, "counted": counted, "at": counted_at, "mark": mark}
        self._do("count", value, lambda: self._sent_once(path, sent))

    def undo(self, product: str) -> None:
        """Take back the last entry, if somebody made it by hand."""
        path = f"/admin/inventory/product/{product}/inventory/"
        last = re.search(r'name="sequence" value="(\d+)"', self._page("GET", path).text)
        # The first entry is what everybody shops from.
        if last is None or last[1] == "1":
            return
        sent = {"action": "undo", "sequence": last[1], "csrfmiddlewaretoken": CSRF}

        def undo() -> tuple[str, Any]:
            # This one has no key, so that nothing can be learned by sending it again.
            if self._posted(path, sent).status != http.HTTPStatus.FOUND:
                return "info", None
            said = self._page("GET", path)
            if said.status != http.HTTPStatus.OK:
                return "info", None
            return ("ok" if "Undone: " in said.text else "fail"), None

        self._do("undo", {"product": product, "number": int(last[1])}, undo)

    # Files.

    def upload(self, name: str, content: str) -> str:
        """Send a file, and return its page once it is checked, if that happens."""
        for _ in range(TRIES):
            page = self._with_file(f"{SHEETS}add/", name, content)
            if page.status == http.HTTPStatus.FOUND:
                return page.location
            time.sleep(0.2)
        return ""

    def apply(self, path: str, value: dict[str, Any]) -> bool:
        return self._press("apply", path, value)

    def revert(self, path: str, value: dict[str, Any]) -> bool:
        return self._press("revert", path, value)

    def _press(self, button: str, path: str, value: dict[str, Any]) -> bool:
        """Press a button on a file's page, and return whether that was taken."""
        action = path.replace("/change/", f"/{button}/")
        form = self._opened(path, action)
        if form is None:
            return False
        sent = {**form, **({"looked_at": "on"} if button == "apply" else {})}
        sent.pop("", None)

        def press() -> tuple[str, Any]:
            for _ in range(TRIES):
                if self._posted(action, sent).status == http.HTTPStatus.FOUND:
                    page = self._page("GET", path)
                    if page.status == http.HTTPStatus.OK:
                        # What was taken has no such button any more, but for lines that sales or
                        # counts since then have kept.
                        is_taken = not page.form(action) or "Try the rest again" in page.text
                        return ("ok" if is_taken else "fail"), None
                time.sleep(0.2)
            return "info", None

        return self._do(button, value, press) == "ok"

    # How it is done.

    def _do(self, f: str, value: dict[str, Any], act: Any) -> str:
        self.pen.write("invoke", f, value)
        outcome, told = act()
        self.pen.write(outcome, f, {**value, "told": told})
        status = {"ok": 200, "fail": 422, "info": None}[outcome]
        self.history.append(Entry(f, value, status, {}))
        return str(outcome)

    def _sent_once(self, path: str, sent: dict[str, str]) -> tuple[str, Any]:
        """Send a form with a key until there is an answer, and return what it says of a count."""
        for _ in range(TRIES):
            page = self._posted(path, sent)
            if page.status == http.HTTPStatus.FOUND:
                return "ok", _adjusted(self._page("GET", page.location))
            if page.status == http.HTTPStatus.OK and "is being done" not in page.text:
                return "fail", None
            time.sleep(0.2)
        return "info", None

    def _opened(self, path: str, action: str) -> dict[str, str] | None:
        """Open a page until it has the form."""
        for _ in range(TRIES):
            page = self._page("GET", path)
            if (form := page.form(action)) is not None:
                return form
            time.sleep(0.2)
        return None

    def _posted(self, path: str, sent: dict[str, str]) -> Page:
        return self._with_parts(path, [(name, "", value) for name, value in sent.items()])

    def _with_file(self, path: str, name: str, content: str) -> Page:
        parts = [("csrfmiddlewaretoken", "", CSRF), ("file", name, content)]
        return self._with_parts(path, parts)

    def _with_parts(self, path: str, parts: list[tuple[str, str, str]]) -> Page:
        boundary = uuid.uuid4().hex
        body = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'
            + (f'; filename="{file}"\r\nContent-Type: text/csv' if file else "")
            + f"\r\n\r\n{value}\r\n"
            for name, file, value in parts
        )
        kind = f"multipart/form-data; boundary={boundary}"
        return self._page("POST", path, f"{body}--{boundary}--\r\n", {"Content-Type": kind})

    def _page(
        self, method: str, path: str, body: str = "", headers: dict[str, str] | None = None
    ) -> Page:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
        try:
            sent = {"Cookie": self.cookies, "X-CSRFToken": CSRF, **(headers or {})}
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            text = answer.read().decode()
            return Page(answer.status, text, answer.getheader("Location", ""))
        except (OSError, http.client.HTTPException):
            return Page(None)
        finally:
            connection.close()


def _adjusted(page: Page) -> int | None:
    """Read by how much a count has moved the total; None if the page does not tell."""
    if "nothing to correct" in page.text:
        return 0
    found = re.search(r"Adjusted: ([\d,]+) units? (more|fewer)", page.text)
    if found is None:
        return None
    return int(found[1].replace(",", "")) * (1 if found[2] == "more" else -1)
