"""axe-core: what keeps somebody from using a page who cannot see, or has no mouse."""

from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

# Of each of its rules axe-core says beforehand how much a breach of it matters. What matters less
# is not looked for, and of the rest only the breaches are written out and carried over.
_VIOLATIONS = """() => {
    const lesser = axe._audit.rules.filter(({impact}) => ["minor", "moderate"].includes(impact));
    const rules = Object.fromEntries(lesser.map(({id}) => [id, {enabled: false}]));
    return axe.run({rules, resultTypes: ["violations"]}).then((found) => found.violations);
}"""
# A third of its time it would read the same dozen colours again, for each element and all that lies
# behind it. What one is does not depend on where it stands.
_COLOURS_ONCE = """() => {
    const {prototype} = axe.commons.color.Color;
    const read = prototype.parseString;
    const known = new Map();
    prototype.parseString = function (text) {
        if (known.has(text)) {
            [this.r, this.g, this.b, this.alpha] = known.get(text);
        } else {
            read.call(this, text);
            known.set(text, [this.r, this.g, this.b, this.alpha]);
        }
        return this;
    };
}"""


def obstacles(page: Page) -> list[str]:
    """List what axe-core calls serious or critical, each with the elements it is about."""
    # Once for a page, however often it is looked at: half a megabyte is compiled anew otherwise.
    if not page.evaluate("Boolean(window.axe?.run)"):
        page.evaluate(AXE_SCRIPT)
        page.evaluate(_COLOURS_ONCE)
    found = page.evaluate(_VIOLATIONS)
    return [told(finding) for finding in found if finding["impact"] in ("serious", "critical")]


def told(finding: Any) -> str:
    elements = ", ".join(" ".join(node["target"]) for node in finding["nodes"])
    return f"{finding['id']}: {finding['help']}: {elements}"


def wider_than_the_screen(page: Page) -> bool:
    """Tell whether the page as a whole must be moved sideways to be read."""
    root = "document.documentElement"
    return bool(page.evaluate(f"{root}.scrollWidth > {root}.clientWidth"))
