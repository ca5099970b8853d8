"""``execledger submit``: what is sent, what is skipped and why, and what is said."""

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from pipelines.cli_submit import submit
from pipelines.store import Home
from pipelines.submit import submit_discuro, submit_unstract
from sources.discuro.twin import DiscuroTwin
from sources.discuro.twin_world import Workflow
from sources.errors import ConfigurationError
from sources.journal import Journal, utc_now
from sources.leases import owned
from sources.loopback import serve
from sources.submits import Draft, begin, open_submits
from sources.unstract.twin import UnstractTwin
from sources.watchlist import WatchList
from tests.pipelines.command import Ran, execledger
from tests.pipelines.conftest import Configure

UNSTRACT_KEY, DISCURO_KEY = "uk_canary_51d7", "dk_canary_83be"
POST = "/deployment/api/"


@pytest.fixture
def unstract(configure: Configure) -> Iterator[UnstractTwin]:
    """Serve a small Unstract whose runs take half a minute, and configure it."""
    twin = UnstractTwin(key=UNSTRACT_KEY)
    twin.world.pace = (1, 30)
    with serve(twin.app) as url:
        given = twin.settings(url) | {"requests_per_second": "1000"}
        configure(secrets=_section("unstract", given))
        yield twin


@pytest.fixture
def discuro(configure: Configure) -> Iterator[DiscuroTwin]:
    """Serve a small Discuro with an orchestrator, and configure it."""
    twin = DiscuroTwin(key=DISCURO_KEY, sync_s=0)
    twin.world.add_workflow(Workflow(workflow_id="flow", inputs=("product", "stars")))
    with serve(twin.app) as url:
        configure(secrets=_section("discuro", twin.settings(url)))
        yield twin


def _section(provider: str, values: dict[str, str]) -> str:
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    return "\n".join([f"[sources.{provider}]", *lines])


def files(folder: Path, *names: str) -> list[str]:
    """Write files of different contents; return their paths."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"This is {name}.")
    return [str(folder / name) for name in names]


def run(home: Home, *arguments: str) -> Ran:
    """Run ``execledger submit``."""
    return execledger("submit", *arguments, "--home", str(home.path))


def sent(twin: UnstractTwin) -> list[list[str]]:
    """Return the names of the files of each run that was started, in any order."""
    return sorted([file.name for file in one.files] for one in twin.submissions)


# --- Unstract -------------------------------------------------------------------


def test_ids_go_to_stdout_and_words_to_stderr(
    unstract: UnstractTwin, home: Home, here: Path
) -> None:
    """Law: what was started can be piped; all accepted is exit code 0."""
    files(here / "in", "a.pdf", "b.pdf", "sub/c.pdf", ".hidden")

    ran = run(home, "unstract", str(here / "in"), "--recursive", "--tag", "Q3")

    assert ran.code == 0
    assert sorted(ran.out.split()) == sorted(unstract.world.executions)
    assert sent(unstract) == [["a.pdf"], ["b.pdf"], ["c.pdf"]]
    assert {one.form.tags for one in unstract.submissions} == {("Q3",)}
    assert "a.pdf: accepted as" in ran.err
    assert f"unstract:default: 3 accepted ({home.path})" in ran.err
    with Journal(home.journal) as journal:
        assert len(WatchList(journal, "unstract", "default").entries()) == 3
    assert UNSTRACT_KEY not in ran.out + ran.err


def test_an_answer_for_programs_has_everything(
    unstract: UnstractTwin, home: Home, here: Path
) -> None:
    """Law: --json says of each submit what it was and what became of it."""
    unstract.fail_next(POST, 500)
    paths = files(here, "a.pdf", "b.pdf")
    (here / "copy.pdf").write_text("This is a.pdf.")

    ran = run(
        home, "unstract", *paths, str(here / "copy.pdf"), "--concurrency", "1", "--json"
    )

    answer = json.loads(ran.out)
    lost, good = answer["started"]
    assert ran.code == 1
    assert (lost["what"], lost["state"], lost["execution_id"]) == (
        "a.pdf",
        "unknown",
        None,
    )
    assert (
        f"execledger track unstract ID --submit {lost['submit_id']}"
        in (lost["next_step"])
    )
    assert (good["what"], good["state"]) == ("b.pdf", "accepted")
    assert [skip["path"] for skip in answer["skipped"]] == [str(here / "copy.pdf")]


def test_what_is_under_way_or_unknown_is_not_sent_again(
    unstract: UnstractTwin, home: Home, here: Path
) -> None:
    """Law: without a store, watch-list and ledger know what was sent; --again sends."""
    unstract.fail_next(POST, 500)
    paths = files(here, "a.pdf", "b.pdf")
    first = run(home, "unstract", *paths, "--concurrency", "1")
    (here / "renamed.pdf").write_text("This is b.pdf.")

    second = run(home, "unstract", paths[0], str(here / "renamed.pdf"))
    third = run(home, "unstract", *paths, "--again")

    assert (first.code, second.code, third.code) == (1, 0, 0)
    assert "a.pdf: the outcome of submit" in second.err
    assert "renamed.pdf: it is under way in" in second.err
    assert "2 skipped" in second.err
    assert sent(unstract) == [["a.pdf"], ["a.pdf"], ["b.pdf"], ["b.pdf"]]


@pytest.mark.parametrize("with_metadata", [True, False])
def test_what_succeeded_is_skipped_and_what_failed_can_be_sent_alone(
    unstract: UnstractTwin,
    home: Home,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    with_metadata: bool,
) -> None:
    """Law: the store knows contents by hash, or, without hashes, as they were sent."""
    include = "SOURCES__UNSTRACT__INCLUDE_METADATA"
    monkeypatch.setenv(include, str(with_metadata).lower())
    paths = files(here, "a.pdf", "broken.pdf", "b.txt")
    first = run(home, "unstract", *paths, "--per-run", "3", "--timeout", "60")
    waiting = run(home, "unstract", *paths)
    loaded = execledger("load", "unstract", "--home", str(home.path))
    new = files(here, "new.pdf")

    failed = run(home, "unstract", *paths, *new, "--failed-only", "--dry-run")
    rest = run(home, "unstract", *paths, *new, "--per-run", "9")

    assert (first.code, loaded.code, failed.code, rest.code) == (0, 0, 0, 0)
    assert waiting.err.count("waits for the next load") == 3
    assert f"would send {paths[1]}\n" in failed.err
    assert f"skipped {new[0]}: its content has not failed before" in failed.err
    assert failed.err.count("has succeeded already") == 2
    assert sent(unstract) == [
        ["a.pdf", "broken.pdf", "b.txt"],
        ["broken.pdf", "new.pdf"],
    ]


def test_what_was_refused_counts_as_failed(
    unstract: UnstractTwin, home: Home, here: Path
) -> None:
    """Law: --failed-only sends what Unstract refused, in its own words."""
    unstract.fail_next(POST, 422)
    paths = files(here, "a.pdf")
    first = run(home, "unstract", *paths)

    second = run(home, "unstract", *paths, *files(here, "b.pdf"), "--failed-only")

    assert (first.code, second.code) == (1, 0)
    assert "refused: a.pdf (Unstract: POST" in first.err
    assert "Pipeline 'invoices' is inactive" in first.err
    assert sent(unstract) == [["a.pdf"]]


def test_a_dry_run_sends_nothing(
    unstract: UnstractTwin, home: Home, here: Path
) -> None:
    """Law: --dry-run names the files of each run, and asks no one."""
    paths = files(here, "1/a.pdf", "2/a.pdf", "b.pdf")

    ran = run(home, "unstract", *paths, "--per-run", "2", "--dry-run")

    assert ran.code == 0
    assert f"would send {paths[0]}, {paths[2]}\n" in ran.err
    assert f"would send {paths[1]}\n" in ran.err
    assert unstract.requests == []


def test_what_does_not_fit_is_a_usage_error(
    unstract: UnstractTwin, home: Home, here: Path
) -> None:
    """Law: nothing is sent where the command itself is wrong: exit code 2."""
    [path] = files(here, "a.pdf")

    ran = [
        run(home, "unstract", path, "--tag", "1st"),
        run(home, "unstract", path, "--per-run", "33"),
        run(home, "unstract", path, "--timeout", "301"),
        run(home, "unstract", path, "--again", "--failed-only"),
        run(home, "unstract", str(here / "none.pdf")),
        run(home, "unstract", path, "--api", "receipts"),
    ]

    assert [one.code for one in ran] == [2] * 6
    assert unstract.requests == []


def test_a_dead_process_s_submit_is_unknown_at_the_next(
    unstract: UnstractTwin, home: Home, here: Path
) -> None:
    """Law: each submitting begins with what dead processes left."""
    draft = Draft(
        provider="unstract",
        connection="default",
        scope=unstract.scope,
        what={"said": "lost.pdf"},
    )
    home.create()
    with Journal(home.journal) as journal, owned(journal) as owner:
        begin(journal, owner, draft, utc_now())

    done = submit_unstract(files(here, "b.pdf"), home=str(home.path))

    assert done.is_good
    with Journal(home.journal) as journal:
        left = open_submits(journal)
    assert [(one.said, one.state) for one in left] == [("lost.pdf", "unknown")]


def test_an_unknown_submit_is_attached_or_dismissed_as_its_next_step_says(
    unstract: UnstractTwin, home: Home, here: Path
) -> None:
    """Law: what the command advises works: the run is watched, or forgotten."""
    unstract.fail_next(POST, 500, times=2)
    paths = files(here, "a.pdf", "b.pdf")
    ran = run(home, "unstract", *paths, "--concurrency", "1", "--json")
    first, second = [one["submit_id"] for one in json.loads(ran.out)["started"]]
    lost = unstract.submissions[0].execution_id
    at_home = ("--home", str(home.path))

    tracked = execledger("track", "unstract", lost, "--submit", first, *at_home)
    untracked = execledger("untrack", "unstract", "--submit", second, *at_home)

    assert (tracked.code, untracked.code) == (0, 0)
    with Journal(home.journal) as journal:
        assert open_submits(journal) == []
        [entry] = WatchList(journal, "unstract", "default").entries()
    assert entry.watched.execution_id == lost
    assert [one["name"] for one in entry.watched.context["sent"]] == ["a.pdf"]
    assert entry.watched.started_at is not None


# --- Discuro --------------------------------------------------------------------


def test_an_execution_of_discuro_is_started_and_its_id_printed(
    discuro: DiscuroTwin, home: Home, here: Path
) -> None:
    """Law: inputs of file and options go out, the options' win; the id comes back."""
    (here / "inputs.json").write_text('{"product": "pot", "stars": 4}')

    ran = run(
        home,
        *("discuro", "flow", "--kind", "orchestrator"),
        *("--inputs-file", str(here / "inputs.json")),
        *("--input", "product=kettle=1", "--tag", "team=content"),
    )

    [started] = discuro.world.executions.values()
    assert (ran.code, ran.out) == (0, "1\n")
    assert list(started.inputs) == [
        {"name": "product", "value": "kettle=1"},
        {"name": "stars", "value": "4"},
    ]
    assert list(started.tags) == [{"key": "team", "value": "content"}]
    assert "discuro:default: 1 accepted" in ran.err


def test_missing_inputs_are_told_in_the_words_of_discuro(
    discuro: DiscuroTwin, home: Home
) -> None:
    """Law: a refusal is exit code 1, with what to add."""
    ran = run(
        home, "discuro", "flow", "--kind", "orchestrator", "--input", "product=kettle"
    )

    assert (ran.code, ran.out) == (1, "")
    assert "refused: orchestrator flow (Discuro: POST" in ran.err
    assert "missing input values (stars)" in ran.err
    assert "kettle" not in ran.err
    assert discuro.world.executions == {}


@pytest.mark.parametrize("text", ["[1]", "{", '"secret"', '{"a": }'])
def test_a_file_of_inputs_that_is_no_object_is_a_usage_error(
    discuro: DiscuroTwin, home: Home, here: Path, text: str
) -> None:
    """Law: what cannot be read is exit code 2, and no value is printed."""
    (here / "inputs.json").write_text(text)

    ran = run(
        home,
        *("discuro", "flow", "--kind", "orchestrator"),
        *("--inputs-file", str(here / "inputs.json")),
    )

    assert ran.code == 2
    assert "secret" not in ran.err
    assert discuro.requests == []


def test_a_script_may_start_executions_too(discuro: DiscuroTwin, home: Home) -> None:
    """Law: the function returns what was started, and watches it."""
    done = submit_discuro(
        "flow",
        kind="orchestrator",
        inputs={"product": "kettle", "stars": "4"},
        tags=["urgent"],
        home=str(home.path),
    )

    assert done.is_good
    assert [one.execution_id for one in done.started] == ["1"]
    assert len(discuro.world.executions) == 1
    with Journal(home.journal) as journal:
        [entry] = WatchList(journal, "discuro", "default").entries()
    assert entry.watched.tags == (("urgent", None),)


def test_a_script_hears_of_what_does_not_fit(unstract: UnstractTwin) -> None:
    """Law: the functions refuse what the command refuses."""
    with pytest.raises(ConfigurationError, match="per_run must be from 1 to 32"):
        submit_unstract([], per_run=0)
    with pytest.raises(ConfigurationError, match="concurrency must be from 1 to 20"):
        submit_unstract([], concurrency=21)

    assert unstract.requests == []


def test_every_option_says_what_it_does() -> None:
    """Law: -h shows each option of both commands with its meaning."""
    for command in submit.commands.values():
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, option.name
