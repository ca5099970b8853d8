"""Certificates are verified: real TLS on loopback, by an authority of one's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelines.store import Home
from sources import part, providers
from sources.loopback import serve
from sources.torale.twin import ToraleTwin
from sources.twin_server import TwinServer
from tests.authority import Authority
from tests.pipelines.command import Ran, execledger
from tests.pipelines.conftest import Configure
from tests.pipelines.small_torale import KEY, one, small_torale

REFUSED = "CERTIFICATE_VERIFY_FAILED"
pytestmark = pytest.mark.usefixtures("here", "no_naps")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return an authority that nobody knows."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def twin() -> ToraleTwin:
    """Return the small Torale."""
    return small_torale()


@contextmanager
def served(
    twin: ToraleTwin, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Serve a Torale with TLS, and configure it but for its authority."""
    with serve(twin.app, certificate) as url:
        monkeypatch.setenv("SOURCES__TORALE__BASE_URL", url)
        monkeypatch.setenv("SOURCES__TORALE__API_KEY", KEY)
        yield url


def load(home: Home) -> Ran:
    """Run ``execledger load``."""
    return execledger("load", "--home", str(home.path))


def test_a_certificate_of_an_unknown_authority_is_refused_before_anything_is_sent(
    home: Home, twin: ToraleTwin, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: no request and no key leaves; what to set is said. It is tried once."""
    with served(twin, authority.certificate(), monkeypatch):
        ran = load(home)

    assert ran.code == 1
    assert REFUSED in ran.err
    assert "SOURCES__TORALE__CA_FILE" in ran.err
    assert twin.requests == []
    sql = "select attempts, http_status from execledger.raw_responses"
    assert one(home, f"select count(*) from ({sql})") == 1
    assert one(home, "select attempts from execledger.raw_responses") == 1


@pytest.mark.parametrize("section", ["SOURCES__TORALE", "EXECLEDGER"])
def test_an_authority_of_ones_own_is_trusted_where_it_is_named(
    home: Home,
    twin: ToraleTwin,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    section: str,
) -> None:
    """Law: with ca_file, of the provider or of all, the load and the doctor go on."""
    with served(twin, authority.certificate(), monkeypatch) as url:
        monkeypatch.setenv(f"{section}__CA_FILE", str(authority.file))

        ran, looked = load(home), execledger("doctor", "--home", str(home.path))

    assert (ran.code, looked.code) == (0, 0), ran.err + looked.out
    assert f"ok   torale:default: {url} answers" in looked.out
    assert one(home, "select count(*) from execledger.executions") == 11


@pytest.mark.parametrize(
    ("name", "is_over", "word"),
    [
        ("wrong.example", False, "mismatch"),
        ("127.0.0.1", True, "expired"),
    ],
)
def test_a_known_authority_does_not_make_up_for_a_wrong_certificate(
    home: Home,
    twin: ToraleTwin,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    *,
    is_over: bool,
    word: str,
) -> None:
    """Law: another host's certificate, or one that is over, is refused all the same."""
    monkeypatch.setenv("SOURCES__TORALE__CA_FILE", str(authority.file))
    certificate = authority.certificate(name, is_over=is_over)
    with served(twin, certificate, monkeypatch):
        ran, looked = load(home), execledger("doctor", "--home", str(home.path))

    assert (ran.code, looked.code) == (1, 1)
    for said in (ran.err, looked.out):
        assert REFUSED in said
        assert word in said
        assert KEY not in said
    assert twin.requests == []


def test_a_connection_has_an_authority_of_its_own(
    home: Home,
    twin: ToraleTwin,
    authority: Authority,
    configure: Configure,
    tmp_path: Path,
) -> None:
    """Law: the error names the setting of the connection that lacks it."""
    other = tmp_path / "other"
    other.mkdir()
    with serve(twin.app, authority.certificate()) as url:
        section = "sources.torale.connections"
        configure(
            config='[sources.torale]\nconnection_names = ["eu", "us"]\n'
            f'[{section}.eu]\nbase_url = "{url}"\nca_file = "{authority.file}"\n'
            f'[{section}.us]\nbase_url = "{url}"\n'
            f'ca_file = "{Authority(other).file}"\n',
            secrets=f'[{section}.eu]\napi_key = "{KEY}"\n'
            f'[{section}.us]\napi_key = "sk_canary_of_us"\n',
        )
        ran = load(home)

    assert ran.code == 1
    assert "torale:eu: 11 new" in ran.err
    assert "SOURCES__TORALE__CONNECTIONS__US__CA_FILE" in ran.err
    assert all(noted.is_authorised for noted in twin.requests)


POLLED = [
    ("load", "discuro", "unstract", "--max-wait", "0"),
    ("doctor",),
    ("submit", "discuro", "u-1", "--kind", "orchestrator"),
    ("submit", "unstract", "file.txt"),
]


@pytest.mark.parametrize("command", POLLED, ids=" ".join)
def test_no_command_sends_anything_to_a_server_that_is_not_trusted(
    home: Home,
    authority: Authority,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
) -> None:
    """Law: polls, submits and the doctor verify as the load does, and say the same."""
    (here / "file.txt").write_text("one", "utf-8")
    demos = {name: part(name, "twin").demo(datetime.now(UTC)) for name in providers()}
    polled: dict[str, TwinServer] = {
        name: demos[name] for name in ("discuro", "unstract")
    }
    certificate = authority.certificate()
    with (
        serve(polled["discuro"].app, certificate) as discuro,
        serve(polled["unstract"].app, certificate) as unstract,
    ):
        for name, url in (("discuro", discuro), ("unstract", unstract)):
            for key, value in demos[name].settings(url).items():
                monkeypatch.setenv(f"SOURCES__{name}__{key}".upper(), value)
        where = ("--home", str(home.path))
        for name, one_id in (("discuro", "131"), ("unstract", "e-1")):
            tracked = execledger("track", name, one_id, *where)
            assert tracked.code == 0, tracked.err

        ran = execledger(*command, *where)

        assert ran.code == 1, ran.out + ran.err
        assert REFUSED in ran.out + ran.err
        assert "__CA_FILE" in ran.out + ran.err
    assert [noted for twin in polled.values() for noted in twin.requests] == []


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (None, "No such file"),
        ("a folder", "ca_file cannot be used"),
        ("", "no certificate"),
        ("-----BEGIN CERTIFICATE-----\nnone\n", "no certificate"),
        ("SECRET KEY", "no certificate"),
    ],
)
@pytest.mark.parametrize("command", [("load",), ("doctor",), POLLED[2]], ids=" ".join)
def test_a_ca_file_that_cannot_be_used_is_a_fault_of_the_configuration(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    content: str | None,
    word: str,
) -> None:
    """Law: exit 2; the section, the setting and the next step are named."""
    file = tmp_path / "authority.pem"
    if content == "a folder":
        file.mkdir()
    elif content is not None:
        file.write_text(content, "utf-8")
    for name in ("TORALE", "DISCURO"):
        monkeypatch.setenv(f"SOURCES__{name}__API_KEY", KEY)
        monkeypatch.setenv(f"SOURCES__{name}__CA_FILE", str(file))

    ran = execledger(*command, "--home", str(tmp_path / "home"))

    said = ran.out + ran.err
    assert ran.code == 2, said
    assert "ca_file cannot be used" in said
    assert word in said
    assert "Set it to a PEM file" in said
    assert "[sources." in said


@pytest.mark.parametrize("target", ["http", "https"])
def test_a_redirect_takes_no_key_from_https_to_anywhere_else(
    home: Home,
    twin: ToraleTwin,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    target: str,
) -> None:
    """Law: a second server, plain or with TLS, is never asked, whatever is said."""
    other = small_torale()
    certificate = authority.certificate()
    monkeypatch.setenv("SOURCES__TORALE__CA_FILE", str(authority.file))
    with (
        serve(other.app, certificate if target == "https" else None) as elsewhere,
        served(twin, certificate, monkeypatch),
    ):
        location = f"{elsewhere}/api/v1/tasks/"
        twin.fail_next("/api/v1/tasks/", 307, times=9, headers={"location": location})

        ran = load(home)

    assert ran.code == 1
    assert f"was not followed to {location}" in ran.err
    assert [noted.path for noted in twin.requests] == ["/api/v1/tasks/"]
    assert other.requests == []
