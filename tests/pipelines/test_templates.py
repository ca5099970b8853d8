"""The templates that ``init`` writes."""

import stat
from pathlib import Path

import msgspec
import pytest

from pipelines.config import accounts, find_home
from pipelines.templates import write_templates
from sources import part, providers
from sources.errors import ConfigurationError
from tests.pipelines.command import execledger
from tests.pipelines.conftest import Configure
from tests.templates import settings, switched_on

OF_ALL = {
    "execledger.home",
    "execledger.max_body_mb",
    "execledger.allow_http",
    "execledger.ca_file",
    "execledger.poll_interval_s",
    "execledger.schedule_s",
    "execledger.rules",
    "execledger.checks.max_lag_hours",
    "execledger.checks.max_unknown_share",
    "execledger.budgets",
    "execledger.destination",
    "execledger.table_format",
}
OF_DLT = {"runtime.dlthub_telemetry", "runtime.log_level"}
OF_DESTINATIONS = {"destination.filesystem.bucket_url"}
SECRETS_OF_DESTINATIONS = {
    f"destination.postgres.credentials.{name}"
    for name in ("host", "port", "database", "username", "password")
}
pytestmark = pytest.mark.usefixtures("here")


NEEDED = {"organization_id", "api_name"}
"""What has no default and is no secret."""


def texts() -> tuple[str, str]:
    """Return what is written: configuration and secrets."""
    (config, _), (secrets, _) = write_templates()
    return config.read_text("utf-8"), secrets.read_text("utf-8")


def test_every_setting_of_a_template_exists_and_the_other_way_round() -> None:
    """Law: what is commented out are the settings of the code, no more, no less."""
    config, secrets = texts()
    fields = {
        f"sources.{name}.{field.name}"
        for name in providers()
        for field in msgspec.structs.fields(part(name, "settings").Settings)
    }
    keys = {name for name in fields if name.endswith("key")}
    connections = {f"sources.{name}.connection_names" for name in providers()}

    found = settings(switched_on(config)).keys()

    assert found == fields - keys | connections | OF_ALL | OF_DLT | OF_DESTINATIONS
    assert settings(switched_on(secrets)).keys() == keys | SECRETS_OF_DESTINATIONS


def test_a_template_as_it_is_written_sets_nothing_of_ours(here: Path) -> None:
    """Law: after init everything is as before, until somebody fills something in."""
    config, secrets = texts()

    assert settings(config).keys() == OF_DLT
    assert settings(secrets) == {}
    assert find_home(None).path == here / ".execledger"
    with pytest.raises(ConfigurationError, match="No key is set for"):
        accounts()


def test_a_template_with_everything_switched_on_is_the_default(
    configure: Configure,
) -> None:
    """Law: the values shown are the defaults, so switching one on changes nothing."""
    config, secrets = (switched_on(text) for text in texts())
    for field in NEEDED:
        config = config.replace(f'{field} = ""', f'{field} = "sk_1"')
    configure(config=config, secrets=secrets.replace('""', '"sk_1"'))

    found = {account.provider: account.settings for account in accounts()}

    for name in providers():
        kind = part(name, "settings").Settings
        given = {
            key.rpartition(".")[2] for key in settings(secrets) if f".{name}." in key
        }
        given |= NEEDED & set(kind.__struct_fields__)
        assert found[name] == kind(**dict.fromkeys(given, "sk_1"))


def test_secrets_are_for_their_owner_alone(here: Path) -> None:
    """Law: nobody else can read the file in which keys are to stand."""
    texts()

    assert stat.S_IMODE((here / ".dlt" / "secrets.toml").stat().st_mode) == 0o600


def test_init_overwrites_nothing_and_says_what_to_fill_in(here: Path) -> None:
    """Law: a file that is there stays; what is missing is written and told."""
    file = here / ".dlt" / "secrets.toml"
    file.parent.mkdir()
    file.write_text("# mine\n")

    ran = execledger("init")

    assert ran.code == 0
    assert file.read_text() == "# mine\n"
    assert "wrote .dlt/config.toml" in ran.out
    assert "kept  .dlt/secrets.toml" in ran.out
    assert "[sources.torale]" in ran.out
    assert "SOURCES__TORALE__API_KEY" in ran.out
    assert "execledger doctor && execledger load" in ran.out
    assert "unstract also needs organization_id, api_name" in ran.out


def test_a_folder_that_cannot_be_made_is_told(here: Path) -> None:
    """Law: init says in words why it cannot write."""
    (here / ".dlt").write_text("in the way")

    ran = execledger("init")

    assert ran.code == 2
    assert ran.err.startswith("execledger: .dlt")
    assert len(ran.err.splitlines()) == 1
