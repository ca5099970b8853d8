"""Links in answers lead nowhere: the key goes to the configured server alone."""

from pathlib import Path

import pytest

from pipelines.store import Home
from tests.faults.parrot import Parrot, listening
from tests.pipelines.command import execledger

KEY, PLATFORM_KEY = "deployment_canary", "platform_canary"
pytestmark = pytest.mark.usefixtures("here", "no_naps")


def test_no_key_goes_where_status_api_and_next_lead(
    home: Home, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: what Unstract names as the next address is asked of Unstract, or not at all.

    Neither where a run that was started says its status, nor where a list goes on.
    """
    (here / "file.txt").write_text("one", "utf-8")
    elsewhere, unstract = Parrot("nothing"), Parrot(KEY, PLATFORM_KEY)
    with listening(elsewhere, unstract) as (far, url):
        unstract.elsewhere = far
        given = {
            "base_url": url,
            "organization_id": "org",
            "api_name": "invoices",
            "api_key": KEY,
            "platform_key": PLATFORM_KEY,
        }
        for name, value in given.items():
            monkeypatch.setenv(f"SOURCES__UNSTRACT__{name}".upper(), value)
        where = ("--home", str(home.path))

        started = execledger("submit", "unstract", "file.txt", *where)
        execledger("load", *where)

    asked = [head.split(" ")[1] for head in unstract.heard]
    assert started.code == 0, started.err
    assert any("?execution_id=e-1&" in target for target in asked)
    assert len([target for target in asked if "page=2" in target]) > 0
    assert elsewhere.heard == []
