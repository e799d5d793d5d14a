"""A watch that sees nothing would let everything pass."""

import pytest
from axe_playwright_python.base import AXE_SCRIPT

from tests.browser.accessibility import obstacles, told

INLINE = """
    const script = document.createElement('script');
    script.textContent = '1';
    document.body.append(script);
"""
MISSING = "new Image().src = '/static/not-there.png'"
ELSEWHERE = "location = 'http://elsewhere.example/'"
ON_THE_CONSOLE = "console.error('oh dear')"
UNCAUGHT = "setTimeout(() => { throw new Error('oh dear') })"

GRAVE = ("serious", "critical")
PLANTED = """document.body.insertAdjacentHTML("beforeend", `
    <img src="data:,">
    <p style="color: #aaa; background: #fff">faint</p>
    <p style="color: #777; background: rgb(0 0 0 / 40%)">faint on what shines through</p>
    <p style="color: hsl(120 50% 75%); opacity: 0.9">faint in another way</p>
    <div style="background: #000"><p style="color: #555; font-size: 30px">faint, but large</p></div>
    <div style="background: #000"><p style="color: #555">faint in the dark</p></div>
    <a href="/"></a>
    <button></button>
    <input>
    <select><option>one</option></select>
    <ul><p>no item</p></ul>
    <div role="button" tabindex="0"></div>
    <div role="nothing">of no known role</div>
    <div aria-sleepy="true">of no known attribute</div>
    <div role="checkbox" tabindex="0">ticked?</div>
    <a href="/">within <button>another</button></a>
    <div aria-hidden="true"><button>out of sight</button></div>
    <span lang="nowhere">in no language</span>
    <iframe srcdoc="a frame"></iframe>
    <div style="height: 20px; overflow: auto"><p style="height: 90px">scrolled</p></div>
    <p tabindex="3">before all others</p>
    <h1></h1>
`)"""
PLANTED_RULES = {
    *("aria-command-name", "aria-hidden-focus", "aria-required-attr", "aria-roles"),
    *("aria-valid-attr", "button-name", "color-contrast", "frame-title", "image-alt", "label"),
    *("link-name", "list", "select-name", "tabindex", "valid-lang"),
}


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


def test_obstacles_are_all_that_axe_finds_serious_or_critical(page):
    page.goto("/admin/login/")
    page.evaluate(PLANTED)
    page.evaluate(AXE_SCRIPT)
    everything = page.evaluate("axe.run().then((found) => found.violations)")
    # As it comes, without what makes it quicker.
    page.evaluate("delete window.axe")

    found = obstacles(page)

    assert found == [told(each) for each in everything if each["impact"] in GRAVE]
    assert len(found) < len(everything)
    assert {obstacle.partition(":")[0] for obstacle in found} == PLANTED_RULES
