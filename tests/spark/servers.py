"""Spark on loopback, as it is started on machines of its own: a master, two workers.

And a server of Spark Connect: Sail's, which needs no Java and reads Delta.
"""

import os
import re
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

__all__ = ["DRIVER", "cluster", "connect_server", "need"]

_BIN = Path(sys.executable).parent
_SPARK = Path(sysconfig.get_path("purelib")) / "pyspark"
_READY_S = 120.0
_PAUSE_S = 0.1
_DEPLOY = "org.apache.spark.deploy"

DRIVER = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.executor.memory": "512m",
    "spark.executor.cores": "1",
    "spark.sql.shuffle.partitions": "2",
    # compiled once, and quickly: nothing here runs long
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
    "spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1",
}
"""What a session is told that is to fit into this machine."""


@contextmanager
def cluster(workers: int = 2) -> Iterator[str]:
    """Run a master with workers of one core each; yield its URL."""
    need("pyspark")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        local = ("--host", "127.0.0.1", "--port", "0", "--webui-port", "0")
        master = (_SPARK / "bin" / "spark-class", f"{_DEPLOY}.master.Master", *local)
        starting = r"Starting Spark master at (spark://\S+)"
        url = stack.enter_context(_running(master, folder / "master", starting))
        room = ("--cores", "1", "--memory", "640m", "--work-dir", folder / "work")
        worker = (
            _SPARK / "bin" / "spark-class",
            f"{_DEPLOY}.worker.Worker",
            *local,
            *room,
            url,
        )
        joined = r"Successfully registered with master (\S+)"
        for number in range(workers):
            log = folder / f"worker{number}"
            stack.enter_context(_running(worker, log, joined))
        yield url


@contextmanager
def connect_server() -> Iterator[str]:
    """Run a server of Spark Connect; yield its URL."""
    need("pysail")
    with tempfile.TemporaryDirectory() as folder:
        command = (_BIN / "sail", "spark", "server", "--ip", "127.0.0.1", "--port", "0")
        starting = r"Starting the Spark Connect server on (\S+?:\d+)"
        with _running(command, Path(folder) / "log", starting) as place:
            yield f"sc://{place}"


def need(package: str) -> None:
    """Fail unless a package of the group is here."""
    assert find_spec(package), f"{package} is not here: uv run --group spark pytest"


@contextmanager
def _running(command: Sequence[str | Path], log: Path, ready: str) -> Iterator[str]:
    """Run a server of which all ends with it; yield what its log says that it is."""
    with log.open("wb") as file:
        process = subprocess.Popen(  # noqa: S603 - a program of pyspark or pysail
            command,
            stdout=file,
            stderr=file,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **_ENVIRONMENT},
            start_new_session=True,
        )
    try:
        yield _said(process, log, ready)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


_ENVIRONMENT: Mapping[str, str] = {
    "SPARK_HOME": str(_SPARK),
    "SPARK_LOCAL_IP": "127.0.0.1",
    "SPARK_NO_DAEMONIZE": "1",
    "SPARK_DAEMON_MEMORY": "256m",
    "SPARK_MASTER_OPTS": "-Dspark.master.rest.enabled=false",
}


def _said(process: "subprocess.Popen[bytes]", log: Path, ready: str) -> str:
    end = time.monotonic() + _READY_S
    while time.monotonic() < end and process.poll() is None:
        if found := re.search(ready, log.read_text("utf-8", "replace")):
            return found[1]
        time.sleep(_PAUSE_S)
    raise AssertionError(log.read_text("utf-8", "replace")[-2000:])
