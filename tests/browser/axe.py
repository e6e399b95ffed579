"""axe-core, run over a page in the browser."""

from playwright.sync_api import Page

from tests.programs import NODE_MODULES, lacking

SCRIPT = NODE_MODULES / "axe-core" / "axe.min.js"
IMPACTS = ("moderate", "serious", "critical")


def findings(page: Page, *, impacts: tuple[str, ...] = IMPACTS) -> list[str]:
    """Return what axe finds wrong on a page: the rule, what it says, and where. Skips where axe is not installed."""
    if not SCRIPT.is_file():
        lacking("The packages of tests/webhooks/node are not installed: bin/test does it where npm is installed.")
    page.evaluate(SCRIPT.read_text())
    # Without preloading, for which axe writes styles into the page that its content policy refuses.
    found = page.evaluate("axe.run(document, {resultTypes: ['violations'], preload: false})")["violations"]
    return [
        f"{each['impact']}: {each['id']}: {each['help']}: {[node['target'] for node in each['nodes']][:5]}"
        for each in found
        if each["impact"] in impacts
    ]
