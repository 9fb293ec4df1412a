"""axe-core's rules for WCAG 2.2 AA, run in the page a browser shows."""

from __future__ import annotations

from importlib import resources

from selenium import webdriver

AXE = resources.files("axe_playwright_python") / "axe.min.js"  # for its copy of axe-core alone
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
RULES = {"target-size": {"enabled": True}}  # of 2.2: 24 pixels; axe-core runs it only when asked
_RUN = """
const done = arguments[arguments.length - 1];
const options = {runOnly: {type: "tag", values: arguments[0]}, rules: arguments[1]};
axe.run(document, {...options, resultTypes: ["violations"]})
  .then(found => done({checked: found.passes.length, violations: found.violations}),
        error => done({checked: 0, violations: [{id: String(error), help: "", nodes: []}]}));
"""


def violations(driver: webdriver.Chrome) -> list[str]:
    """What breaks a rule: the rule, what it asks for, and the elements."""
    if not driver.execute_script("return Boolean(window.axe)"):
        driver.execute_script(AXE.read_text("utf-8"))
    driver.set_script_timeout(60)
    found = driver.execute_async_script(_RUN, TAGS, RULES)
    assert found["checked"] or found["violations"], "no rule was run"
    return [
        f"{rule['id']}: {rule['help']}: "
        + " | ".join(
            f"{node['html'][:160]} ({node['failureSummary']})" for node in rule["nodes"][:3]
        )
        for rule in found["violations"]
    ]
