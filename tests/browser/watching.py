"""What a browser must never do, whatever the test is about."""

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, Response, WebError

# Chromium's word for every answer from 400 on. `_request` and `_response` tell what matters of it.
_NOT_LOADED = "Failed to load resource"
# These never leave the browser.
_INSIDE = ("data:", "blob:", "about:")


class Watch:
    """Listens to browsers and notes every request that leaves the host, and every error.

    What is forbidden by a Content-Security-Policy is an error on the console too. A test about
    such a thing takes what it expects out of `complaints`.
    """

    def __init__(self, home: str) -> None:
        self.home = home
        self.complaints: list[str] = []

    def over(self, context: BrowserContext) -> None:
        context.on("request", self._request)
        context.on("response", self._response)
        context.on("console", self._console)
        context.on("weberror", self._error)

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.home, *_INSIDE)):
            self.complaints.append(f"left the host: {request.method} {request.url}")

    def _response(self, response: Response) -> None:
        # A script may be refused something and a page forbidden; a missing file is a mistake.
        asked_by = response.request.resource_type
        missing = response.status == 404 and asked_by not in ("document", "fetch", "xhr")
        if missing or response.status >= 500:
            self.complaints.append(f"answered {response.status}: {response.url}")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(_NOT_LOADED):
            self.complaints.append(f"console: {message.text}")

    def _error(self, error: WebError) -> None:
        self.complaints.append(f"uncaught: {error.error}")
