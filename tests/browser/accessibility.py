"""axe-core: what keeps somebody from using a page who cannot see, or has no mouse."""

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

# Of each of its rules axe-core says beforehand how much a breach of it matters. What matters less
# is not looked for, and of the rest only the breaches are written out and carried over.
_VIOLATIONS = """() => {
    const lesser = axe._audit.rules.filter(({impact}) => ["minor", "moderate"].includes(impact));
    const rules = Object.fromEntries(lesser.map(({id}) => [id, {enabled: false}]));
    return axe.run({rules, resultTypes: ["violations"]}).then((found) => found.violations);
}"""


def obstacles(page: Page) -> list[str]:
    """List what axe-core calls serious or critical, each with the elements it is about."""
    # Once for a page, however often it is looked at: half a megabyte is compiled anew otherwise.
    if not page.evaluate("Boolean(window.axe?.run)"):
        page.evaluate(AXE_SCRIPT)
    found = page.evaluate(_VIOLATIONS)
    return [
        f"{finding['id']}: {finding['help']}: "
        + ", ".join(" ".join(node["target"]) for node in finding["nodes"])
        for finding in found
        if finding["impact"] in ("serious", "critical")
    ]


def wider_than_the_screen(page: Page) -> bool:
    """Tell whether the page as a whole must be moved sideways to be read."""
    root = "document.documentElement"
    return bool(page.evaluate(f"{root}.scrollWidth > {root}.clientWidth"))
