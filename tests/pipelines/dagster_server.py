"""Dagster itself on loopback: its web server and its daemon, as documented."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx

__all__ = ["Dagster", "dagster_dev", "patiently"]

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "dagster.md"
OURS = {
    "repositoryLocationName": "execledger",
    "repositoryName": "__repository__",
}
DAGSTER = Path(sys.executable).with_name("dagster")
READY_S = 120.0
PAUSE_S = 0.5
T = TypeVar("T")


class Dagster:
    """A running Dagster, asked through its own GraphQL."""

    def __init__(self, url: str, environment: Mapping[str, str]) -> None:
        self.url = url
        self._environment = environment

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """Return what a query answers; fails with the errors that it has."""
        sent = {"query": query, "variables": variables}
        answer = httpx.post(f"{self.url}/graphql", json=sent, timeout=60).json()
        assert not answer.get("errors"), answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    def launch(self, provider: str) -> str:
        """Ask for a load of a provider, as its button does; return the run's id."""
        selected = [{"path": [provider]}]
        asked = {
            "selector": {**OURS, "jobName": "load", "assetSelection": selected},
            "mode": "default",
        }
        data = self.ask(
            "mutation ($asked: ExecutionParams!) { launchRun(executionParams: $asked)"
            " { __typename ... on LaunchRunSuccess { run { runId } } } }",
            asked=asked,
        )
        return str(data["launchRun"]["run"]["runId"])

    def terminate(self, run_id: str) -> None:
        """End a run, as its button does."""
        self.ask(
            "mutation ($id: String!) { terminateRun(runId: $id) { __typename } }",
            id=run_id,
        )

    def start(self, kind: str, name: str) -> None:
        """Turn a schedule or a sensor on, as the documentation says."""
        assert f"dagster {kind} start {name}\n" in PAGE.read_text("utf-8")
        subprocess.run(  # noqa: S603 - the documented command
            [DAGSTER, kind, "start", name], cwd=ROOT, env=self._environment, check=True
        )

    def runs(self) -> list[dict[str, Any]]:
        """Return all runs, the newest first; ``tags`` are a mapping."""
        data = self.ask(
            "{ runsOrError { ... on Runs { results { runId status startTime endTime"
            " tags { key value } assetSelection { path } } } } }"
        )
        runs: list[dict[str, Any]] = data["runsOrError"]["results"]
        for run in runs:
            run["tags"] = {tag["key"]: tag["value"] for tag in run["tags"]}
        return runs

    def run(self, run_id: str) -> dict[str, Any]:
        """Return one run."""
        return next(one for one in self.runs() if one["runId"] == run_id)

    def ended(self, run_id: str) -> dict[str, Any]:
        """Wait for a run to end; return it."""

        def end() -> dict[str, Any] | None:
            run = self.run(run_id)
            is_over = run["status"] in {"SUCCESS", "FAILURE", "CANCELED"}
            return run if is_over else None

        return patiently(end)

    def assets(self) -> dict[str, dict[str, Any]]:
        """Return the latest run and materialization of each asset, by its name."""
        keys = self.ask("{ assetNodes { assetKey { path } } }")["assetNodes"]
        data = self.ask(
            "query ($keys: [AssetKeyInput!]!) { assetsLatestInfo(assetKeys: $keys)"
            " { assetKey { path } latestRun { status }"
            " latestMaterialization { timestamp } } }",
            keys=[key["assetKey"] for key in keys],
        )
        return {"/".join(it["assetKey"]["path"]): it for it in data["assetsLatestInfo"]}

    def checks(self) -> dict[str, str | None]:
        """Return how each check stands, by its name."""
        data = self.ask(
            "{ assetNodes { assetChecksOrError { ... on AssetChecks { checks { name"
            " executionForLatestMaterialization { status } } } } } }"
        )
        return {
            check["name"]: (check["executionForLatestMaterialization"] or {}).get(
                "status"
            )
            for node in data["assetNodes"]
            for check in node["assetChecksOrError"].get("checks", ())
        }


def patiently(look: Callable[[], T | None], within_s: float = 180.0) -> T:
    """Return what is looked for, once it is there."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if found := look():
            return found
        time.sleep(PAUSE_S)
    raise AssertionError(f"{look.__qualname__}: not within {within_s} s")


def instance_yaml() -> str:
    """Return the instance's configuration as the documentation shows it."""
    found = re.search(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found
    return found[1]


@contextmanager
def dagster_dev(folder: Path, environment: Mapping[str, str]) -> Iterator[Dagster]:
    """Run ``dagster dev`` on this checkout, with an instance of its own in a folder.

    ``environment`` says where the store and the providers are. Reports of usage are
    off: tests call nobody.
    """
    instance = folder / "dagster"
    instance.mkdir()
    telemetry = "telemetry:\n  enabled: false\n"
    (instance / "dagster.yaml").write_text(instance_yaml() + telemetry, "utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, **environment, "DAGSTER_HOME": str(instance)}
    with (folder / "dagster.log").open("w") as log:
        dev = subprocess.Popen(  # noqa: S603 - the documented command
            [DAGSTER, "dev", "-h", "127.0.0.1", "-p", str(port)],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert dev.poll() is None, (folder / "dagster.log").read_text()
        with suppress(httpx.TransportError):
            return httpx.get(f"{url}/server_info").is_success
        return False

    try:
        patiently(answers, READY_S)
        yield Dagster(url, environment)
    finally:
        dev.send_signal(signal.SIGINT)
        dev.wait(60)
