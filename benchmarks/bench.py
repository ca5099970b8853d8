"""What a case is made of: programs side by side, and goals for how they compare."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec

from benchmarks.inputs import answers, prepared
from benchmarks.process import EXECLEDGER, PYTHON, Cost, Program, cost, medians
from benchmarks.server import NOTHING, serving
from pipelines.store import Home

__all__ = ["Bench", "Goal", "Outcome", "ratio"]

OURS = "execledger"
_KEY = "sk_benchmark_7d1f4c9a2e8b"
_SECTION = {
    "torale": {"TASK_IDS": "none", "REQUESTS_PER_SECOND": "1000000"},
    "unstract": {"ORGANIZATION_ID": "org_bench", "API_NAME": "invoices"},
    "discuro": {"REQUESTS_PER_SECOND": "1000000"},
}


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """What was to be reached, what was, and whether that will do."""

    text: str
    reached: float
    at_most: float

    @property
    def holds(self) -> bool:
        """Tell whether the goal is reached."""
        return self.reached <= self.at_most


class Outcome(msgspec.Struct, kw_only=True):
    """What came of a case: the cost of each side, and the goals."""

    case: str
    costs: dict[str, Cost]
    goals: list[Goal] = []


def ratio(outcome: Outcome, figure: str, peer: str, at_most: float) -> None:
    """Add the goal that our figure is at most so many times a peer's."""
    names = {"cpu_s": "CPU", "wall_s": "wall time", "peak_mb": "memory"}
    reached = getattr(outcome.costs[OURS], figure) / getattr(
        outcome.costs[peer], figure
    )
    outcome.goals.append(
        Goal(text=f"{names[figure]} by {peer}'s", reached=reached, at_most=at_most)
    )


class Bench:
    """Where cases are measured: the folder, how often, and how large.

    ``scale`` makes every size smaller, so that a test can run all of it.
    """

    def __init__(self, folder: Path, *, runs: int, scale: float) -> None:
        self.folder = folder
        self.runs = runs
        self._scale = scale

    def size(self, executions: int) -> int:
        """Return a size as it is here: whole pages of each task."""
        step = min(2000, executions)
        return max(step, int(executions * self._scale) // step * step)

    def input(self, provider: str, executions: int) -> Path:
        """Return the folder with so many executions of a provider."""
        return prepared(self.folder, provider, executions)

    def store(self, executions: int) -> Path:
        """Return a home with so many executions of Torale in its store."""
        home = self.folder / f"store-{executions}"
        if not home.exists():
            source = self.input("torale", executions) / "home"
            with serving(NOTHING) as url:
                cost(self.load("torale", url, source), self.work())
            (self.work() / "home").rename(home)
        return home

    def work(self) -> Path:
        """Return the folder in which all programs run."""
        folder = self.folder / "work"
        folder.mkdir(exist_ok=True)
        return folder

    def bodies(self, executions: int) -> dict[tuple[str, int], bytes]:
        """Return the pages of Torale as a server has them."""
        found = {}
        for answer in answers("torale", executions):
            task, page = answer.params["task_id"], answer.params["page"]
            found[str(task), int(str(page))] = answer.body
        return found

    def load(
        self, provider: str, url: str, home: Path | None, **settings: str
    ) -> Program:
        """Return the load of what waits in a home, or of all from a server."""

        def fresh() -> None:
            target = self.work() / "home"
            shutil.rmtree(target, ignore_errors=True)
            if home is None:
                Home(target).create()
            else:
                shutil.copytree(home, target)

        given = {"API_KEY": _KEY, "BASE_URL": url, **_SECTION[provider], **settings}
        return Program(
            command=[EXECLEDGER, "load", provider, "--home", "home"],
            environment={
                f"SOURCES__{provider}__{k}".upper(): v for k, v in given.items()
            },
            before=fresh,
        )

    def replay(self, home: Path) -> Program:
        """Return the replay of a store."""
        load = self.load("torale", "http://127.0.0.1:9", home)
        return msgspec.structs.replace(
            load, command=[EXECLEDGER, "replay", "--home", "home"]
        )

    def peer(self, name: str, *given: str, store: Path | None = None) -> Program:
        """Return one of the peers, with a copy of a store to write to, or none."""

        def fresh() -> None:
            shutil.rmtree(self.work() / "pipelines", ignore_errors=True)
            for old in self.work().glob("peer.duckdb*"):
                old.unlink()
            if store:
                shutil.copy(Home(store).published, self.work() / "peer.duckdb")

        command = [PYTHON, "-m", "benchmarks.peers", name, *given]
        return Program(command=command, before=fresh)

    def measure(self, case: str, programs: Mapping[str, Program]) -> Outcome:
        """Return the medians of all programs, taken in turns."""
        return Outcome(case=case, costs=medians(programs, self.work(), self.runs))
