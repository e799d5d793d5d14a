"""A watch that sees nothing would let everything pass."""

import pytest

from tests.browser.accessibility import obstacles

INLINE = """
    const script = document.createElement('script');
    script.textContent = '1';
    document.body.append(script);
"""
MISSING = "new Image().src = '/static/not-there.png'"
ELSEWHERE = "location = 'http://elsewhere.example/'"
ON_THE_CONSOLE = "console.error('oh dear')"
UNCAUGHT = "setTimeout(() => { throw new Error('oh dear') })"


@pytest.mark.parametrize(
    ("script", "event", "complaint"),
    [
        (ELSEWHERE, "requestfailed", "left the host: GET http://elsewhere.example/"),
        (INLINE, "console", "Content Security Policy"),
        (MISSING, "response", "answered 404"),
        (ON_THE_CONSOLE, "console", "console: oh dear"),
        (UNCAUGHT, "pageerror", "uncaught: oh dear"),
    ],
)
def test_a_watch_sees(page, watch, script, event, complaint):
    page.goto("/admin/login/")
    # So that the next answer is the one to what the script asks for.
    page.wait_for_load_state("networkidle")

    with page.expect_event(event):
        page.evaluate(script)

    assert complaint in watch.complaints.pop(0)


def test_refusals_are_no_mistakes(page, watch):
    page.goto("/admin/login/")

    status = page.evaluate("fetch('/v2/carts').then((answer) => answer.status)")

    assert status == 401
    assert watch.complaints == []


def test_obstacles_are_seen_at_each_look(page):
    page.goto("/admin/login/")
    assert obstacles(page) == []

    page.evaluate("document.body.append(new Image())")

    [found] = obstacles(page)
    assert found.startswith("image-alt: ")
