"""Configuration: which home, which accounts, and what is said of a bad value."""

from pathlib import Path

import pytest

from pipelines.config import Account, accounts, find_home, is_default_home
from sources.errors import ConfigurationError
from tests.pipelines.conftest import Configure

KEY = "sk_canary_51c0ffee"
SECRETS = f'[sources.torale]\napi_key = "{KEY}"\n'
pytestmark = pytest.mark.usefixtures("here")


def only() -> Account:
    """Return the one account that is configured."""
    (found,) = accounts()
    return found


# --- the home -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (("a", "b", "c"), "a"),
        ((None, "b", "c"), "b"),
        ((None, "", "c"), "c"),
        ((None, "", ""), ".execledger"),
        (("", "", ""), ".execledger"),
    ],
)
def test_the_nearest_word_on_the_home_holds(
    here: Path,
    configure: Configure,
    monkeypatch: pytest.MonkeyPatch,
    said: tuple[str | None, str, str],
    expected: str,
) -> None:
    """Law: --home, then EXECLEDGER_HOME, then [execledger] home, then ./.execledger."""
    given, environment, configured = said
    monkeypatch.setenv("EXECLEDGER_HOME", environment)
    configure(config=f'[execledger]\nhome = "{configured}"\n')

    assert find_home(given).path == here / expected
    assert is_default_home(given) is (expected == ".execledger")


def test_a_home_may_begin_at_the_users_folder(
    here: Path, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: ~ is the user's folder, wherever the home is named."""
    monkeypatch.setenv("HOME", str(here / "me"))
    configure(config='[execledger]\nhome = "~/data"\n')

    assert find_home(None).path == here / "me" / "data"
    assert find_home("~/other").path == here / "me" / "other"


def test_a_home_in_the_users_own_configuration_is_one_place(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: a relative home in ~/.dlt does not follow the folder one works in."""
    user = here.parent / "user"
    (user / ".dlt").mkdir(parents=True)
    (user / ".dlt" / "config.toml").write_text('[execledger]\nhome = "data"\n')
    monkeypatch.setenv("HOME", str(user))

    assert find_home(None).path == user / "data"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[execledger\n", "line 1"),
        ("[execledger]\nhome = 5\n", r"\$\.execledger\.home"),
        ("execledger = 5\n", r"\$\.execledger"),
        ("\udcff", "utf-8"),
    ],
)
def test_a_config_toml_that_cannot_be_read_is_named(
    here: Path, text: str, word: str
) -> None:
    """Law: the message names the file and the place."""
    (here / ".dlt").mkdir()
    file = here / ".dlt" / "config.toml"
    file.write_text(text, encoding="utf-8", errors="surrogateescape")

    with pytest.raises(ConfigurationError, match=word) as refused:
        find_home(None)

    assert str(file) in str(refused.value)


# --- accounts -----------------------------------------------------------------


def test_a_key_in_the_environment_is_an_account(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Law: one variable is enough; everything else has its default."""
    monkeypatch.setenv("SOURCES__TORALE__API_KEY", KEY)

    found = only()

    assert (found.name, found.of) == ("torale:default", ("torale", "default"))
    assert found.settings.api_key == KEY
    assert found.settings.base_url == "https://api.torale.ai"


def test_the_environment_wins_over_the_files(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: what is said nearest to the command holds, as in dlt."""
    configure(secrets=SECRETS, config="[sources.torale]\npage_size = 7\n")
    monkeypatch.setenv("SOURCES__TORALE__PAGE_SIZE", "9")

    assert (only().settings.api_key, only().settings.page_size) == (KEY, 9)


def test_a_key_that_looks_like_a_number_stays_what_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Law: texts are not guessed at; white space around a value is none of it."""
    monkeypatch.setenv("SOURCES__TORALE__API_KEY", " 0123\n")
    monkeypatch.setenv("SOURCES__TORALE__TASK_IDS", "7")

    assert (only().settings.api_key, only().settings.task_ids) == ("0123", ("7",))


@pytest.mark.parametrize(
    "environment",
    ["a, b,", '["a", "b"]', None],
    ids=["comma-separated", "JSON", "a list in config.toml"],
)
def test_task_ids_may_be_written_in_three_ways(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, environment: str | None
) -> None:
    """Law: a list, JSON and comma-separated text mean the same."""
    own = 'task_ids = ["a", "b"]\n' if environment is None else ""
    configure(secrets=SECRETS, config=f"[sources.torale]\n{own}")
    if environment is not None:
        monkeypatch.setenv("SOURCES__TORALE__TASK_IDS", environment)

    assert only().settings.task_ids == ("a", "b")


def test_what_is_said_for_all_holds_where_nothing_else_is_said(
    configure: Configure,
) -> None:
    """Law: [execledger] has max_body_mb and allow_http for every provider."""
    configure(
        secrets=SECRETS,
        config="[execledger]\nmax_body_mb = 8\nallow_http = true\n"
        "[sources.torale]\nallow_http = false\n",
    )

    assert (only().settings.max_body_mb, only().settings.allow_http) == (8, False)


@pytest.mark.parametrize("names", ['["eu", "us"]', '"eu,us"'])
def test_each_connection_is_an_account_of_its_own(
    configure: Configure, names: str
) -> None:
    """Law: connection_names lists further accounts, each with its own section."""
    configure(
        config=f"[sources.torale]\nconnection_names = {names}\n"
        "[sources.torale.connections.us]\npage_size = 5\n",
        secrets=SECRETS + "[sources.torale.connections.eu]\napi_key = 'key-eu'\n"
        "[sources.torale.connections.us]\napi_key = 'key-us'\n",
    )

    named_twice = accounts(["torale", "torale"])

    assert len(named_twice) == 3
    found = {one.name: one.settings for one in named_twice}
    keys = {name: settings.api_key for name, settings in found.items()}
    assert keys == {
        "torale:default": KEY,
        "torale:eu": "key-eu",
        "torale:us": "key-us",
    }
    assert [settings.page_size for settings in found.values()] == [100, 100, 5]


def test_a_connection_alone_needs_no_default_account(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: the section itself is an account only where it has a key."""
    configure(config='[sources.torale]\nconnection_names = ["eu"]\n')
    monkeypatch.setenv("SOURCES__TORALE__CONNECTIONS__EU__API_KEY", KEY)

    assert only().name == "torale:eu"


def test_a_connection_never_inherits_a_key(configure: Configure) -> None:
    """Law: a key is sent only where it was set for; its lack is named."""
    configure(
        config='[sources.torale]\nconnection_names = ["eu"]\n'
        '[sources.torale.connections.eu]\nbase_url = "https://eu.example"\n',
        secrets=SECRETS,
    )

    with pytest.raises(ConfigurationError) as refused:
        accounts()

    assert "[sources.torale.connections.eu]: api_key is missing" in str(refused.value)
    assert "SOURCES__TORALE__CONNECTIONS__EU__API_KEY" in str(refused.value)


def test_no_connection_may_take_the_name_of_the_section(configure: Configure) -> None:
    """Law: "default" is the section itself."""
    configure(
        config='[sources.torale]\nconnection_names = ["default"]\n', secrets=SECRETS
    )

    with pytest.raises(ConfigurationError, match='must not hold "default"'):
        accounts()


# --- what is wrong ------------------------------------------------------------


def test_an_unknown_provider_is_told_with_those_that_are_known() -> None:
    """Law: a misspelt provider is no reason to load all."""
    with pytest.raises(ConfigurationError, match=r"'tora'.*Known:.* torale"):
        accounts(["tora"])


@pytest.mark.parametrize("key", [None, "", "  "])
def test_without_a_key_it_is_said_which_one_to_set(
    monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    """Law: no key, and an empty one, name the variable and the command that help."""
    if key is not None:
        monkeypatch.setenv("SOURCES__TORALE__API_KEY", key)

    with pytest.raises(ConfigurationError) as refused:
        accounts(["torale"])

    assert "SOURCES__TORALE__API_KEY" in str(refused.value)
    assert "execledger init" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("page_size", f'"{KEY}"'),
        ("page_size", "0"),
        ("settle_hours", "-1"),
        ("requests_per_second", "0"),
        ("max_body_mb", f'"{KEY}"'),
        ("allow_http", f'"{KEY}"'),
        ("task_ids", "{}"),
        ("connection_names", "5"),
        ("base_url", "5"),
    ],
)
def test_a_bad_value_is_named_by_its_key_and_never_shown(
    configure: Configure, name: str, value: str
) -> None:
    """Law: the message has section and key, and not what stood there."""
    configure(config=f"[sources.torale]\n{name} = {value}\n", secrets=SECRETS)

    with pytest.raises(ConfigurationError) as refused:
        accounts()

    assert str(refused.value).startswith("[sources.torale]: ")
    assert name in str(refused.value)
    assert KEY not in str(refused.value)


def test_a_key_that_is_no_text_is_not_shown(configure: Configure) -> None:
    """Law: not even a key of another kind comes into a message."""
    configure(secrets="[sources.torale]\napi_key = [51071234]\n")

    with pytest.raises(ConfigurationError, match=r"\[sources.torale\].*api_key") as no:
        accounts()

    assert "51071234" not in str(no.value)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"[sources.torale]\napi_key = {KEY}\n", "at line 2 col"),
        (f'[sources.torale]\napi_key = "{KEY}\n', "at line 2 col"),
        (f"[sources.torale]\n{KEY} = 1\n{KEY} = 2\n", "a name stands in it twice"),
    ],
)
def test_a_secrets_toml_that_cannot_be_read_shows_nothing_of_it(
    configure: Configure, text: str, place: str
) -> None:
    """Law: the message says where the fault is, never what stands there."""
    configure(secrets=text)

    with pytest.raises(ConfigurationError) as refused:
        accounts()

    assert "secrets.toml" in str(refused.value)
    assert place in str(refused.value)
    assert KEY not in str(refused.value)
