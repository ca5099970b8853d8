"""The picture of the lineage in Dagster, as its web server draws it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser, FloatRect

from pipelines.store import Home
from sources.loopback import serve
from sources.torale.twin import demo
from tests.pipelines.dagster_server import Dagster, dagster_dev, patiently
from tests.pipelines.polled_twins import polled

__all__ = ["loaded", "shoot_lineage"]

SHOWN = '+key:"marts/cost_reconciliation"+ or +key:"marts/grounding_domains"'
GROUPS = ",".join(
    f"global@global:{name}" for name in ("providers", "tables", "marts", "report")
)

GRAPH: FloatRect = {"x": 575, "y": 180, "width": 1090, "height": 1005}
"""Where the graph is on the page."""


@contextmanager
def loaded(folder: Path) -> Iterator[Dagster]:
    """Run Dagster on a home that it has loaded, and made the report of."""
    home = Home(folder / "home")
    torale = demo(datetime.now(UTC))
    with polled() as twins, serve(torale.app) as url:
        twins.track(home)
        twins.load(home)  # which has the troubles of the demo
        twins.pass_time()
        environment = {
            **twins.environment,
            "EXECLEDGER_HOME": str(home.path),
            **{
                f"SOURCES__TORALE__{name.upper()}": value
                for name, value in torale.settings(url).items()
            },
        }
        with dagster_dev(folder, environment) as dagster:
            for name in ("discuro", "torale", "unstract"):
                dagster.ended(dagster.launch(name))
            dagster.start("sensor", "default_automation_condition_sensor")
            patiently(lambda: dagster.assets()["report"]["latestMaterialization"])
            yield dagster


def shoot_lineage(browser: Browser, dagster: Dagster, picture: Path) -> None:
    """Take the picture, from providers to the report."""
    page = browser.new_page(viewport={"width": 1700, "height": 1400})
    page.goto(f"{dagster.url}/asset-groups~{quote(SHOWN, safe='')}/?expanded={GROUPS}")
    page.get_by_role("button", name="Skip").click()  # an invitation
    page.get_by_text("grounding_domains").first.wait_for()
    page.wait_for_load_state("networkidle")
    page.screenshot(path=picture, clip=GRAPH)
    page.close()
