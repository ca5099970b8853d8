"""The doctor: what it finds, how it says so, and that it consumes nothing."""

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from pipelines.store import Home
from sources import part
from sources.loopback import serve
from sources.torale.twin import ToraleTwin
from tests.pipelines.command import Ran, execledger
from tests.pipelines.conftest import Configure
from tests.pipelines.small_torale import KEY, small_torale

pytestmark = pytest.mark.usefixtures("here", "no_naps")


@pytest.fixture
def twin() -> ToraleTwin:
    """Return the small Torale."""
    return small_torale()


@pytest.fixture
def url(here: Path, twin: ToraleTwin, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve the small Torale, and configure it; yield where."""
    del here  # which forgets what is configured: first
    with serve(twin.app) as address:
        monkeypatch.setenv("SOURCES__TORALE__BASE_URL", address)
        monkeypatch.setenv("SOURCES__TORALE__API_KEY", KEY)
        yield address


def doctor(home: Home, *arguments: str) -> Ran:
    """Run ``execledger doctor``."""
    return execledger("doctor", *arguments, "--home", str(home.path))


def test_all_well_is_said_line_by_line_and_consumes_nothing(
    loaded: Home, url: str, twin: ToraleTwin
) -> None:
    """Law: exit 0; one request for each account, and no file is changed."""
    before = loaded.published.read_bytes()

    ran = doctor(loaded)

    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        f"ok   torale:default: {url} answers: 2 tasks",
        f"ok   journal: {loaded.journal}, 0 responses wait for the next load",
        f"ok   store: {loaded.published}, 12 executions",
    ]
    assert [noted.path for noted in twin.requests] == ["/api/v1/tasks/"]
    assert loaded.published.read_bytes() == before


@pytest.mark.usefixtures("url")
def test_own_rules_prices_and_budgets_are_looked_at(
    loaded: Home, configure: Configure
) -> None:
    """Law: what is configured for views and checks is counted."""
    configure(config="[[execledger.budgets]]\nmeasure = 'tokens'\nlimit = 5\n")
    loaded.rules.mkdir()
    (loaded.rules / "prices.csv").write_text("discount_percent\n5\n", "utf-8")

    ran = doctor(loaded)

    assert ran.code == 0
    assert f"ok   rules: {loaded.rules}, 0 rules and 1 prices of your own" in ran.out
    assert 'ok   budgets: 1, looked at by "execledger check"' in ran.out


@pytest.mark.usefixtures("url")
def test_a_slip_in_rules_and_budgets_is_told(
    loaded: Home, configure: Configure
) -> None:
    """Law: what would make a load partial, or a check impossible, is a fault here."""
    configure(config="[[execledger.budgets]]\nmeasure = 'love'\nlimit = 5\n")
    loaded.rules.mkdir()
    (loaded.rules / "failure_rules.csv").write_text("love\n5\n", "utf-8")

    ran = doctor(loaded)

    assert ran.code == 2
    assert "FAIL rules: " in ran.out
    assert "failure_rules.csv, line 2: " in ran.out
    assert "FAIL configuration: [execledger]: Invalid enum value 'love'" in ran.out


@pytest.mark.usefixtures("url")
def test_a_new_home_is_no_fault(home: Home) -> None:
    """Law: before the first load there is nothing to mend, and nothing is made."""
    ran = doctor(home)

    assert ran.code == 0
    assert f"{home.published} comes with the first" in ran.out
    assert not home.path.exists()


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        (401, "SOURCES__TORALE__API_KEY"),
        (404, "SOURCES__TORALE__TASK_IDS"),
        (500, "500"),
        ("html", "base_url"),
        ("cut", "Torale"),
        ("reset", "Torale"),
    ],
)
@pytest.mark.usefixtures("url")
def test_an_account_that_does_not_answer_is_a_fault(
    home: Home, twin: ToraleTwin, fault: int, word: str
) -> None:
    """Law: exit 1; the line names the account, what came, and the next step."""
    twin.fail_next("/api/v1/tasks/", fault, times=9)

    ran = doctor(home)

    assert (ran.code, ran.err) == (1, "")
    assert ran.out.startswith("FAIL torale:default: ")
    assert word in ran.out.splitlines()[0]
    assert KEY not in ran.out


@pytest.mark.usefixtures("url")
def test_an_answer_that_is_no_json_is_a_fault(home: Home, twin: ToraleTwin) -> None:
    """Law: whatever comes back, the doctor has words for it."""
    twin.fail_next("/api/v1/tasks/", 200, body=f"{{{KEY}", times=9)

    ran = doctor(home)

    assert ran.code == 1
    assert ran.out.startswith("FAIL torale:default: ")
    assert "base_url" in ran.out
    assert KEY not in ran.out


def test_a_fault_that_nobody_foresaw_hides_no_other_account(
    home: Home, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: each account has its line; a key in an error is masked."""
    configure(
        config='[sources.torale]\nconnection_names = ["eu"]\n',
        secrets=f'[sources.torale]\napi_key = "{KEY}"\n'
        '[sources.torale.connections.eu]\napi_key = "sk_other"\n',
    )

    async def broken(settings: object) -> str:
        raise KeyError(str(settings))

    monkeypatch.setattr(part("torale", "collect"), "check", broken)

    ran = doctor(home)

    assert ran.code == 1
    assert [line.partition("Error")[0] for line in ran.out.splitlines()[:2]] == [
        "FAIL torale:default: Key",
        "FAIL torale:eu: Key",
    ]
    assert KEY not in ran.out
    assert "sk_other" not in ran.out


@pytest.mark.parametrize("arguments", [(), ("torale",), ("nobody",)])
def test_a_fault_of_the_configuration_is_exit_2(
    loaded: Home, arguments: tuple[str, ...]
) -> None:
    """Law: no key and an unknown provider are told; files are looked at too."""
    ran = doctor(loaded, *arguments)

    assert ran.code == 2
    assert ran.out.startswith("FAIL configuration: ")
    assert "12 executions" in ran.out


def test_secrets_that_others_can_read_are_a_fault(
    home: Home, url: str, configure: Configure, here: Path
) -> None:
    """Law: the line has the command that mends it."""
    configure()
    (here / ".dlt" / "secrets.toml").chmod(0o640)

    ran = doctor(home)

    assert ran.code == 1
    assert (
        "FAIL .dlt/secrets.toml: others can read it: chmod 600 .dlt/secrets.toml"
        in ran.out
    )
    assert f"{url} answers" in ran.out


@pytest.mark.usefixtures("url")
def test_a_key_in_config_toml_is_a_fault_wherever_it_stands(
    home: Home, configure: Configure, here: Path
) -> None:
    """Law: each is named by its place and never shown; what mends it is said."""
    canaries = [f"canary-{number}" for number in range(5)]
    text = (
        '[sources.torale]\napi_key = "{}"\nbase_url = "https://a.example"\n'
        '[sources.torale.connections.eu]\napi_key = "{}"\n'
        '[sources.unstract]\nplatform_key = "{}"\napi_key = ""\n'
        '[destination.postgres]\ncredentials = "{}"\n'
    )
    configure(config=text.format(*canaries))
    user = here.parent / "user" / ".dlt"
    user.mkdir(parents=True)
    (user / "config.toml").write_text(f'[sources.discuro]\napi_key = "{canaries[4]}"')

    ran = doctor(home)
    said = doctor(home, "--json")

    told = [
        f"FAIL .dlt/config.toml: {name} stands in it"
        for name in (
            "sources.torale.api_key",
            "sources.torale.connections.eu.api_key",
            "sources.unstract.platform_key",
            "destination.postgres.credentials",
        )
    ]
    assert (ran.code, said.code) == (1, 1)
    assert [line.partition(",")[0] for line in ran.out.splitlines()[1:5]] == told
    assert "Move it to .dlt/secrets.toml" in ran.out
    assert f"FAIL {user}/config.toml: sources.discuro.api_key stands in it" in ran.out
    faults = [one for one in json.loads(said.out) if not one["is_ok"]]
    assert len(faults) == 5
    assert "canary" not in ran.out + said.out


@pytest.mark.parametrize("mode", [0o750, 0o701, 0o777])
@pytest.mark.usefixtures("url")
def test_a_home_that_others_can_enter_is_a_fault(loaded: Home, mode: int) -> None:
    """Law: the line has the command that mends it, also for programs."""
    loaded.path.chmod(mode)

    ran, said = doctor(loaded), doctor(loaded, "--json")

    mend = f"others can enter {loaded.path}: chmod 700 {loaded.path}"
    assert (ran.code, said.code) == (1, 1)
    assert f"FAIL home: {mend}" in ran.out
    assert {"subject": "home", "is_ok": False, "message": mend} in json.loads(said.out)


def test_secrets_of_the_user_that_others_can_read_are_a_fault(
    home: Home, url: str, here: Path
) -> None:
    """Law: the file in the user's own folder is read, so it is looked at."""
    secrets = here.parent / "user" / ".dlt" / "secrets.toml"
    secrets.parent.mkdir(parents=True)
    secrets.touch(mode=0o604)
    secrets.chmod(0o604)

    ran = doctor(home)

    assert ran.code == 1
    assert f"FAIL {secrets}: others can read it: chmod 600 {secrets}" in ran.out
    assert f"{url} answers" in ran.out


def test_a_key_that_travels_in_the_clear_is_a_fault(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: allow_http with an address beyond this machine is said, and what to do."""
    monkeypatch.setenv("SOURCES__TORALE__BASE_URL", "http://192.0.2.1:9")
    monkeypatch.setenv("SOURCES__TORALE__API_KEY", KEY)
    monkeypatch.setenv("EXECLEDGER__ALLOW_HTTP", "true")

    async def fine(settings: object) -> str:
        del settings
        return "fine"

    monkeypatch.setattr(part("torale", "collect"), "check", fine)

    ran = doctor(home)

    assert ran.code == 1
    assert (
        "FAIL torale:default: http://192.0.2.1:9 takes the key unencrypted" in ran.out
    )
    assert "Set base_url to https://" in ran.out


@pytest.mark.usefixtures("url")
def test_a_file_of_somebody_else_in_the_stores_place_is_a_fault(home: Home) -> None:
    """Law: a database without our tables is told, not a traceback."""
    home.create()
    duckdb.connect(str(home.published)).close()

    ran = doctor(home)

    assert ran.code == 1
    assert f"FAIL store: {home.published} cannot be read" in ran.out


def test_the_doctor_speaks_to_programs(loaded: Home, url: str) -> None:
    """Law: --json has every finding, with the same exit code."""
    ran = doctor(loaded, "--json")

    found = json.loads(ran.out)
    assert ran.code == 0
    assert [(one["subject"], one["is_ok"]) for one in found] == [
        ("torale:default", True),
        ("journal", True),
        ("store", True),
    ]
    assert url in found[0]["message"]
