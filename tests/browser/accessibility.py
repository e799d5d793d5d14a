"""axe-core: what keeps somebody from using a page who cannot see, or has no mouse."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

_axe = Axe()


def obstacles(page: Page) -> list[str]:
    """List what axe-core calls serious or critical, each with the elements it is about."""
    found = _axe.run(page).response["violations"]
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
