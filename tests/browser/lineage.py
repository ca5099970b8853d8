"""The picture of the lineage in Dagster, as its web server draws it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser

from pipelines.store import Home
from sources.loopback import serve
from tests.pipelines.dagster_server import Dagster, dagster_dev, patiently
from tests.pipelines.polled_twins import polled
from tests.pipelines.small_torale import KEY, small_torale

__all__ = ["loaded", "shoot_lineage"]

SHOWN = '+key:"marts/cost_reconciliation"+ or +key:"marts/grounding_domains"'
GROUPS = ",".join(
    f"global@global:{name}" for name in ("providers", "tables", "marts", "report")
)


@contextmanager
def loaded(folder: Path) -> Iterator[Dagster]:
    """Run Dagster on a home that it has loaded, and made the report of."""
    home = Home(folder / "home")
    with polled() as twins, serve(small_torale().app) as torale_url:
        twins.track(home)
        environment = {
            **twins.environment,
            "EXECLEDGER_HOME": str(home.path),
            "SOURCES__TORALE__BASE_URL": torale_url,
            "SOURCES__TORALE__API_KEY": KEY,
        }
        with dagster_dev(folder, environment) as dagster:
            for name in ("discuro", "torale", "unstract"):
                dagster.ended(dagster.launch(name))
            dagster.start("sensor", "default_automation_condition_sensor")
            patiently(lambda: dagster.assets()["report"]["latestMaterialization"])
            yield dagster


def shoot_lineage(browser: Browser, dagster: Dagster, picture: Path) -> None:
    """Take the picture, from providers to the report."""
    page = browser.new_page(viewport={"width": 1500, "height": 720})
    page.goto(f"{dagster.url}/asset-groups~{quote(SHOWN, safe='')}/?expanded={GROUPS}")
    page.get_by_role("button", name="Skip").click()  # an invitation
    page.get_by_text("grounding_domains").first.wait_for()
    page.wait_for_load_state("networkidle")
    page.screenshot(path=picture)
    page.close()
