"""Debian's node_exporter and promtool, which read our metrics as they are read."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.packages import run

__all__ = ["Samples", "exporting", "promtool", "samples"]

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
"""The values of metrics, by their names and labels."""


def samples(text: str, beginning: str = "execledger_") -> Samples:
    """Return what Prometheus reads, of the metrics whose names begin so."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith(beginning)
    }


@contextmanager
def exporting(folder: Path) -> Iterator[str]:
    """Run node_exporter over a folder, as another user if may be; yield its address."""
    program = found("prometheus-node-exporter", "prometheus-node-exporter")
    command = [
        program,
        "--collector.disable-defaults",
        "--collector.textfile",
        f"--collector.textfile.directory={folder}",
        "--web.listen-address=127.0.0.1:0",
    ]
    other = {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}
    with subprocess.Popen(  # noqa: S603 - the command above
        command,
        stderr=subprocess.PIPE,
        cwd="/",
        text=True,
        **other,  # type: ignore[call-overload]  # typed as if they were all options
    ) as exporter:
        try:
            assert exporter.stderr is not None
            for line in exporter.stderr:
                if listens := re.search(r"Listening on.* address=(\S+)", line):
                    yield f"http://{listens[1]}/metrics"
                    return
            raise AssertionError("node_exporter ended")
        finally:
            exporter.terminate()
            exporter.communicate()


def promtool(*arguments: str | Path, stdin: str = "") -> str:
    """Return what promtool says; it must be content."""
    program = found("promtool", "prometheus")
    return run(program, *arguments, folder=Path("/"), stdin=stdin)


def found(program: str, package: str) -> str:
    """Return where a program is."""
    path = shutil.which(program)
    assert path, f"install Debian's {package}: apt-get install {package}"
    return path
