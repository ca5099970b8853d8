"""The cases of the benchmark: what is compared, with what, and the goals."""

from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
from msgspec.structs import replace

from benchmarks.bench import OURS, Bench, Goal, Outcome, ratio
from benchmarks.data import TASKS, task_id
from benchmarks.inputs import answers, prepare
from benchmarks.marts import measure as measure_marts
from benchmarks.process import EXECLEDGER, PYTHON, Program
from benchmarks.server import NOTHING, Pages, Pending, serving
from pipelines.readers import read_only
from pipelines.selecting import select_from
from pipelines.store import Home
from sources.discuro.settings import Settings
from sources.fold import fold
from sources.journal import Journal
from sources.records import TABLES, Mode, Record
from sources.seen import Seen
from sources.tables import to_arrow
from sources.torale import normalize
from sources.tracking import read_started, track

__all__ = ["CASES"]

DLT, DUCKDB = "dlt", "DuckDB"
_LOAD, _MILLION = 200_000, 1_000_000
_MEMORY_MB = 1000


def first_load(bench: Bench) -> list[Outcome]:
    """Executions of Torale with three sources each, from stored pages to tables."""
    sizes = [bench.size(n) for n in (20_000, _LOAD, _MILLION)]
    found = []
    with serving(NOTHING) as url:
        for size in sizes:
            folder = bench.input("torale", size)
            pages = str(folder / "pages")
            programs = {
                OURS: bench.load("torale", url, folder / "home"),
                DLT: bench.peer("dlt_torale", pages),
                DUCKDB: bench.peer("duckdb_json", pages),
            }
            outcome = bench.measure(f"{size:,} of Torale, from stored pages", programs)
            if size == sizes[1]:
                ratio(outcome, "cpu_s", DLT, 0.4)
                ratio(outcome, "cpu_s", DUCKDB, 3.5)
            outcome.goals.append(_memory(outcome))
            found.append(outcome)
    per_row = [one.costs[OURS].cpu_s / n for one, n in zip(found, sizes, strict=True)]
    text = f"CPU of a row by that at {sizes[1]:,}"
    reached = per_row[2] / per_row[1]
    found[2].goals.append(Goal(text=text, reached=reached, at_most=1.2))
    return found


def _memory(outcome: Outcome) -> Goal:
    peak = outcome.costs[OURS].peak_mb
    return Goal(text="memory, MB", reached=peak, at_most=_MEMORY_MB)


def over_http(bench: Bench) -> list[Outcome]:
    """The same from a server on this machine, in pages of 100."""
    size = bench.size(_LOAD)
    tasks = [task_id(number) for number in range(TASKS)]
    with serving(Pages(bench.bodies(size), 0)) as url:
        programs = {
            OURS: bench.load("torale", url, None, task_ids=",".join(tasks)),
            DLT: bench.peer("dlt_http", url, *tasks),
        }
        outcome = bench.measure(f"{size:,} of Torale, over HTTP", programs)
    ratio(outcome, "cpu_s", DLT, 0.5)
    return [outcome]


def paging(bench: Bench) -> list[Outcome]:
    """10,000 executions in pages of 100, each page after 50 ms."""
    size = bench.size(10_000)
    bodies = {
        (task_id(0), page): body for page, body in enumerate(_one_list(size), start=1)
    }
    with serving(Pages(bodies, 0.05)) as url:
        programs = {
            OURS: bench.load("torale", url, None, task_ids=task_id(0)),
            DLT: bench.peer("dlt_http", url, task_id(0)),
        }
        outcome = bench.measure(f"{size:,} in pages of 100 at 50 ms", programs)
    ratio(outcome, "wall_s", DLT, 1 / 5)
    return [outcome]


def _one_list(size: int) -> list[bytes]:
    """Return the pages of one task with so many executions."""
    per_task = size * TASKS
    found = answers("torale", per_task)
    return [one.body for one in found if one.params["task_id"] == task_id(0)]


def polling(bench: Bench) -> list[Outcome]:
    """Pending executions that take 100 ms a poll, 100 of them in flight."""
    found = []
    sizes = (500, max(1000, bench.size(1_000) * 5))
    for size in sizes:
        home = bench.folder / f"watched-{size}"
        _watch(home, size)
        server = Pending(0.1)
        with serving(server) as url:
            load = bench.load("discuro", url, home, concurrency="100", first_poll_s="0")
            noted = replace(load, before=partial(_both, load.before, server.begin))
            case = f"{size:,} pending, 100 ms a poll, 100 in flight"
            outcome = bench.measure(case, {OURS: noted})
        found.append(outcome)
    limit = sizes[1] / 100 * server.delay_s
    fewer, more = (one.costs[OURS].peak_mb for one in found)
    found[1].goals += [
        Goal(text="time by the limit", reached=server.span_s() / limit, at_most=1.3),
        Goal(text="memory by that of a tenth", reached=more / fewer, at_most=1.1),
    ]
    return found


def _both(first: Callable[[], object], then: Callable[[], object]) -> None:
    first()
    then()


def _watch(home: Path, size: int) -> None:
    """Put so many executions on the watch-list of a new home."""
    if home.exists():
        return
    place = Home(home)
    place.create()
    settings = Settings(api_key="k", first_poll_s=0)
    ids = "\n".join(str(number) for number in range(1, size + 1))
    with Journal(place.journal) as journal:
        track(journal, "discuro", "default", settings, read_started(ids, "discuro"))


def by_id(bench: Bench) -> list[Outcome]:
    """Results of Unstract (10 files each) and Discuro (5 records, 3 properties)."""
    found = []
    for provider, executions in (("unstract", 50_000), ("discuro", 200_000)):
        size = bench.size(executions)
        folder = bench.input(provider, size)
        programs = {
            OURS: bench.load(provider, "http://127.0.0.1:9", folder / "home"),
            DLT: bench.peer(f"dlt_{provider}", str(folder / "pages")),
        }
        case = f"{size:,} of {provider.title()}, from stored results"
        outcome = bench.measure(case, programs)
        ratio(outcome, "cpu_s", DLT, 0.5)
        found.append(outcome)
    return found


def changed(bench: Bench) -> list[Outcome]:
    """1,000 changed executions, and none, where a million are in the store."""
    size, few = bench.size(_MILLION), 1000
    store = bench.store(size)
    waiting = bench.folder / f"changed-{size}"
    if not waiting.exists():
        prepare(waiting, answers("torale", size, few), "torale")
        (waiting / "home" / "published.duckdb").hardlink_to(Home(store).published)
        _write_rows(waiting)
    with serving(NOTHING) as url:
        some = bench.measure(
            f"{few:,} changed among {size:,}",
            {
                OURS: bench.load("torale", url, waiting / "home"),
                DLT: bench.peer("dlt_arrow", str(waiting / "rows"), store=store),
            },
        )
        none = bench.measure(
            f"nothing changed among {size:,}",
            {
                OURS: bench.load("torale", url, store),
                DLT: bench.peer("dlt_nothing", store=store),
            },
        )
    ratio(some, "wall_s", DLT, 1.5)
    ratio(none, "wall_s", DLT, 1.5)
    return [some, none]


def _write_rows(waiting: Path) -> None:
    """Write the rows that the changed responses come to, as Parquet by table."""
    home, of = Home(waiting / "home"), ("torale", "default")
    rows: dict[str, list[Record]] = defaultdict(list)
    with closing(read_only(home)) as con, Journal(home.journal) as journal:
        seen = Seen(select_from(con), *of)
        for batch in fold(lambda: journal.waiting(*of), normalize, seen):
            for name, found in batch.rows.items():
                rows[name] += found
    (waiting / "rows").mkdir()
    for name, found in rows.items():
        if TABLES[name].MODE is Mode.SNAPSHOT:
            table = to_arrow(TABLES[name], found)
            pq.write_table(table, waiting / "rows" / f"{name}.parquet")


def replay(bench: Bench) -> list[Outcome]:
    """A million executions rebuilt from the raw responses, and loaded."""
    size = bench.size(_MILLION)
    store = bench.store(size)
    with serving(NOTHING) as url:
        outcome = bench.measure(
            f"replay of {size:,}",
            {
                OURS: bench.replay(store),
                "load": bench.load("torale", url, bench.input("torale", size) / "home"),
            },
        )
    ratio(outcome, "wall_s", "load", 1.0)
    ratio(outcome, "cpu_s", "load", 1.0)
    return [outcome]


def start(bench: Bench) -> list[Outcome]:
    """Commands that people wait for."""
    home = str(bench.store(bench.size(20_000)))
    outcome = bench.measure(
        "to start",
        {
            "python": Program(command=[PYTHON, "-c", "pass"]),
            "--help": Program(command=[EXECLEDGER, "--help"]),
            "import duckdb": Program(command=[PYTHON, "-c", "import duckdb"]),
            "status": Program(command=[EXECLEDGER, "status", "--home", home]),
            "query": Program(command=[EXECLEDGER, "query", "--home", home, "select 1"]),
        },
    )
    cpu = {name: cost.cpu_s for name, cost in outcome.costs.items()}
    for name, peer, at_most in (
        ("--help", "python", 0.25),
        ("status", "import duckdb", 0.5),
        ("query", "import duckdb", 0.5),
    ):
        more = cpu[name] - cpu[peer]
        text = f"{name}: CPU s more than {peer}"
        outcome.goals.append(Goal(text=text, reached=more, at_most=at_most))
    return [outcome]


def marts(bench: Bench) -> list[Outcome]:
    """Each view of the marts on a million executions."""
    size = bench.size(_MILLION)
    found = sorted(measure_marts(size, bench.runs), key=lambda one: -one.seconds)
    goals = [
        Goal(text=f"{one.view}, s, {one.how}", reached=one.seconds, at_most=1.0)
        for one in found
    ]
    return [Outcome(case=f"views on {size:,}", costs={}, goals=goals)]


CASES: dict[str, Callable[[Bench], list[Outcome]]] = {
    case.__name__.replace("_", "-"): case
    for case in (
        first_load,
        over_http,
        by_id,
        changed,
        paging,
        polling,
        start,
        marts,
        replay,
    )
}
"""All cases, by the name by which one can be chosen."""
