"""The house plan, held: who imports whom, and what the command line waits for."""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

ARROWS = {
    # module of sources/     what else of sources/ it may import; ".client" is a file of
    #                        its own folder, "." any of them
    "__init__": "",
    "errors": "",
    # what is known, in neutral words: no I/O
    "records": "errors",
    "json_text": "records errors",
    "values": "json_text records errors",
    "observations": "json_text records errors",
    "typed": "json_text",
    "watched": "records errors",
    "rows": "values observations json_text records errors",
    # asking: knows nothing of tables
    "masking": "errors",
    "addresses": "masking errors",
    "bodies": "masking errors",
    "exchange": "records",
    "retries": "exchange",
    "http": "addresses bodies exchange retries masking records errors",
    "failures": "exchange masking errors",
    "paging": "records errors",
    "windows": "paging errors",
    "polling": "watched records errors",
    "provider": "errors",
    # keeping, choosing, writing
    "journal": "journal_file watched json_text records errors",
    "journal_file": "errors",
    "salvage": "journal_file masking watched records errors",
    "leases": "bodies journal errors",
    "watchlist": "leases journal journal_file watched json_text records errors",
    "seen": "observations json_text records errors",
    "fold": "seen observations json_text records errors",
    "tables": "fold records errors",
    "columnar": "tables values watched observations json_text records",
    "bulk": "columnar tables fold seen observations records",
    "leftovers": "provider observations records errors",
    "lines": "watched polling exchange retries observations records",
    "polled": (
        "lines provider leases watchlist watched journal seen polling exchange retries "
        "http failures observations records errors"
    ),
    "source": (
        "tracking __init__ leftovers provider tables fold journal seen "
        "observations records errors"
    ),
    "tracking": "watchlist watched journal values errors __init__",
    "submits": "leases watchlist watched journal journal_file records errors",
    "submit_answers": (
        "submits observations failures exchange retries http records __init__"
    ),
    "submitting": (
        "leases submit_answers submits watchlist watched journal exchange retries "
        "http records __init__"
    ),
    "sending": "leases submitting submits journal polling exchange retries http",
    # a provider
    "<provider>.__init__": (
        ". tracking source provider tables fold journal seen exchange retries http "
        "errors"
    ),
    "<provider>.settings": "provider errors",
    "<provider>.client": (
        ".settings exchange retries http failures addresses paging windows polling "
        "watched json_text records errors"
    ),
    "<provider>.listing": (
        ".client .normalize .regular .settings paging windows observations errors"
    ),
    "<provider>.details": ".client .normalize .settings provider observations errors",
    "<provider>.horizons": ".settings provider seen",
    "<provider>.submit": (
        ".batches .client .collect .settings .tracking leases sending submitting "
        "submits watchlist watched polled polling provider journal seen exchange "
        "retries http errors"
    ),
    "<provider>.batches": "errors",
    "<provider>.tracking": ".settings polled watched errors",
    "<provider>.discovery": (
        ".client .normalize .settings .tracking provider journal seen exchange "
        "retries http failures polling values watched watchlist observations "
        "json_text records errors"
    ),
    "<provider>.collect": (
        ".discovery .tracking lines polled watched .client .horizons .listing .details "
        ".normalize .settings provider journal seen exchange retries http failures "
        "paging polling observations json_text records errors"
    ),
    "<provider>.normalize": (
        ".mapping .answers .deployments .platform .refusals .verdicts watched rows "
        "values observations json_text records errors"
    ),
    "<provider>.regular": (
        ".answers .normalize .verdicts typed watched observations json_text records"
    ),
    "<provider>.columns": (
        ".mapping .normalize .regular .steps .file_columns .step_columns "
        ".usage_columns columnar typed watched observations json_text records"
    ),
    "<provider>.file_columns": ".regular columnar json_text records",
    "<provider>.step_columns": (
        ".citations .file_columns .files .regular columnar typed json_text records"
    ),
    "<provider>.usage_columns": (
        ".file_columns .regular .usage columnar typed values records"
    ),
    "<provider>.mapping": (
        ".answers .files .listed .pieces .refusals .steps .usage .verdicts watched "
        "rows values observations json_text records errors"
    ),
    "<provider>.answers": "values json_text records errors",
    "<provider>.verdicts": ".answers watched observations values json_text records",
    "<provider>.platform": (
        ".answers .verdicts watched rows observations values json_text records"
    ),
    "<provider>.deployments": ".answers watched observations values json_text records",
    "<provider>.pieces": "rows values json_text records",
    "<provider>.files": (
        ".answers .citations .pieces .usage rows values json_text records"
    ),
    "<provider>.usage": ".answers .pieces values json_text records",
    "<provider>.citations": ".pieces values json_text records",
    "<provider>.listed": ".pieces values json_text records",
    "<provider>.steps": "rows values json_text records",
    "<provider>.refusals": (
        ".answers .pieces .platform rows observations values json_text records"
    ),
    # its twin: shares nothing with what it is to test
    "loopback": "errors",
    "twin_server": "loopback errors",
    "<provider>.twin": (
        ".twin_demo .twin_dialects .twin_platform .twin_world twin_server loopback"
    ),
    "<provider>.twin_demo": ".twin_runs .twin_world",
    "<provider>.twin_dialects": ".twin_world",
    "<provider>.twin_platform": ".twin_world twin_server",
    "<provider>.twin_runs": ".twin_world",
    "<provider>.twin_world": "twin_server",
}
"""The arrows of the house plan; a new module needs a row of its own."""

PURE = tuple(
    f"<provider>.{name}"
    for name in (
        "answers",
        "citations",
        "deployments",
        "files",
        "listed",
        "mapping",
        "pieces",
        "platform",
        "refusals",
        "steps",
        "usage",
        "verdicts",
    )
)
"""What makes rows of a response, beside ``normalize``."""

KEPT_OUT = {
    # module of sources/     what it knows nothing of
    "*": "pipelines tests duckdb",
    "records": "dlt pyarrow httpx sqlite3",
    "values": "dlt pyarrow httpx sqlite3",
    "fold": "dlt pyarrow httpx",
    "http": "dlt pyarrow sqlite3",
    "<provider>.client": "dlt pyarrow sqlite3",
    "<provider>.normalize": "dlt pyarrow httpx sqlite3 asyncio random time",
    **dict.fromkeys(PURE, "dlt pyarrow httpx sqlite3 asyncio random time"),
}
"""What would mix the stages of the way of the data, or make a pure one impure."""


HEAVY = (
    "dagster",
    "dlt",
    "duckdb",
    "pandas",
    "prometheus_client",
    "pyarrow",
    "pyspark",
    "sqlglot",
)
"""What takes seconds to import: only the commands that need it do."""


def house(root: Path) -> dict[str, str]:
    """Return the text of every module of both packages below ``root``, by its name."""
    return {
        ".".join(path.relative_to(root).with_suffix("").parts): path.read_text("utf-8")
        for package in ("sources", "pipelines")
        for path in sorted((root / package).rglob("*.py"))
    }


def imports(text: str, modules: Mapping[str, str]) -> Iterator[str]:
    """Yield what a module imports, anywhere in it; a package as its ``__init__``."""
    for node in ast.walk(ast.parse(text)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            inner = [f"{base}.{alias.name}" for alias in node.names]
            names = [name if known(name, modules) else base for name in inner]
        yield from (known(name, modules) or name for name in names)


def known(name: str, modules: Mapping[str, str]) -> str:
    """Return ``name`` as a module of this project, ``""`` where it is none."""
    package = f"{name}.__init__"
    return package if package in modules else name if name in modules else ""


def row(module: str) -> tuple[str, str]:
    """Return a module's row in ``ARROWS`` and the provider whose file it is, if any."""
    provider, _, name = module.removeprefix("sources.").rpartition(".")
    return (f"<provider>.{name}", provider) if provider else (name, "")


def crossings(modules: Mapping[str, str]) -> list[str]:
    """Return a sentence for each module or import that the house plan does not have."""
    found = []
    for module, text in modules.items():
        if module.rpartition(".")[2] in {"common", "helpers", "utils"}:
            found.append(f"{module} says nothing by its name: call it by what it does")
        if not module.startswith("sources."):
            continue
        if row(module)[0] not in ARROWS:
            found.append(f"{module} has no row yet in ARROWS of tests/test_house.py")
            continue
        named = sorted(set(imports(text, modules)))
        against = [name for name in named if not may_import(module, name)]
        found += [f"{module} must not import {name}" for name in against]
    return found


def may_import(module: str, name: str) -> bool:
    """Return whether the house plan lets a module of ``sources`` import ``name``."""
    kind, provider = row(module)
    top = name.partition(".")[0]
    if top in f"{KEPT_OUT['*']} {KEPT_OUT.get(kind, '')}".split() or not top:
        return False
    if top != "sources":
        return True
    needed, owner = row(name)
    own = {".", needed.replace("<provider>", "")}
    accepted = own if owner == provider != "" else {needed}
    return not accepted.isdisjoint(ARROWS[kind].split())


def test_imports_go_the_way_the_house_plan_says() -> None:
    """Law: every import between modules is an arrow of the house plan."""
    assert crossings(house(ROOT)) == []


@pytest.mark.parametrize(
    ("module", "line", "sentence"),
    [
        ("sources.http", "import pipelines.cli", "must not import pipelines.cli"),
        (
            "sources.http",
            "from sources import tables",
            "must not import sources.tables",
        ),
        ("sources.tables", "import duckdb", "must not import duckdb"),
        ("sources.a.normalize", "import httpx", "must not import httpx"),
        ("sources.a.normalize", "from sources.a import client", "sources.a.client"),
        ("sources.a.client", "from sources.b.client import x", "sources.b.client"),
        ("sources.a.__init__", "from sources import b", "must not import sources.b"),
        ("sources.a.client", "from . import twin", "must not import ."),
        ("sources.a.client", "def f():\n    import dlt", "must not import dlt"),
        ("sources.cursor", "", "no row yet in ARROWS of tests/test_house.py"),
        ("pipelines.utils", "", "says nothing by its name"),
    ],
)
def test_an_import_against_the_house_plan_is_named(
    module: str, line: str, sentence: str
) -> None:
    """Law: what crosses the plan is found, wherever in a module it stands."""
    names = ("tables", "a.__init__", "a.client", "b.__init__", "b.client")
    modules = {f"sources.{name}": "" for name in names}

    found = crossings({**modules, module: line})

    assert len(found) == 1
    assert module in found[0]
    assert sentence in found[0]


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("sources.a.__init__", "from sources.a import client"),
        ("sources.a.client", "from sources import errors, http"),
        ("sources.a.normalize", "import sources.records"),
        ("pipelines.load", "import dlt, sources.a"),
    ],
)
def test_an_import_along_the_house_plan_is_free(module: str, line: str) -> None:
    """Law: the arrows hold nobody up who follows them."""
    names = ("errors", "http", "records", "a.__init__", "a.client")
    modules = {f"sources.{name}": "" for name in names}

    assert crossings({**modules, module: line}) == []


@pytest.mark.parametrize(
    "start", [("-c", "import pipelines.cli"), ("-m", "pipelines", "--help")]
)
def test_the_command_line_starts_without_the_heavy_libraries(
    start: tuple[str, ...],
) -> None:
    """Law: ``--help`` does not wait for libraries that only some commands need."""
    ran = subprocess.run(  # noqa: S603 - one of the two starts above
        [sys.executable, "-X", "importtime", *start],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    imported = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
    assert "pipelines.cli" in imported
    assert imported.isdisjoint(HEAVY)
