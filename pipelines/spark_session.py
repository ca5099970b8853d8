"""A session of Spark for a command: begun in bounded time, silent, and ended.

Spark's JVM writes to the streams of the process that starts it. Here it gets a file of
its own, of which only what tells why it did not start is shown.
"""

import logging
import os
import re
import shutil
import socket
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

from sources.errors import ConfigurationError, StoreError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["in_words", "session"]

_REACH_S = 10.0
"""How long a master, or a server of Spark Connect, may take to be reached."""

_EXECUTOR_S = 60.0
"""How long the master may take to give the first executor."""

_PAUSE_S = 0.2
_QUICKLY = "-XX:TieredStopAtLevel=1"
_PORTS = {"spark": 7077, "sc": 15002}


@contextmanager
def session(
    *, master: str | None, remote: str | None, settings: Mapping[str, str]
) -> Iterator["SparkSession"]:
    """Yield a session; ``settings`` are Spark's own, as of ``spark-submit --conf``.

    Without ``master`` and ``remote`` Spark's own configuration says where, else it
    runs in this process. Raises ``ConfigurationError``, with the next step, where
    Spark or Java is missing, or nobody answers.
    """
    _need_spark(remote)
    url = remote or master or ""
    _reach(url)
    with tempfile.TemporaryDirectory(prefix="execledger-spark-") as folder, _silent():
        if remote:
            _speak(remote)
        own = {
            # it only plans: what is compiled quickly does it in half the time
            **({"spark.driver.extraJavaOptions": _QUICKLY} if "://" in url else {}),
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.sql.warehouse.dir": f"{folder}/warehouse",
            "spark.log.level": "ERROR",
        }
        given = {**({} if remote else own), **settings}
        with tempfile.TemporaryFile() as log:
            spark = _begun(master, remote, given, log)
        try:
            if url.startswith("spark://"):
                _wait_for_executor(spark, url)
            yield spark
        finally:
            with suppress(Exception):  # what ends anyway
                spark.stop()


def _need_spark(remote: str | None) -> None:
    """Raise ``ConfigurationError`` where what a session needs is not installed."""
    needed = ["pyspark", *(["grpc"] if remote else [])]
    if any(find_spec(name) is None for name in needed):
        raise ConfigurationError(
            'This needs the extra "spark": pip install "execledger[spark]".'
        )
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(f"{home}/bin/java" if home else "java")
    if not remote and java is None:
        place = f"JAVA_HOME, {home}, has no bin/java" if home else "there is no Java"
        raise ConfigurationError(
            f"Spark runs on Java 17 or newer, and {place}: install it (on Debian, "
            "apt-get install openjdk-17-jre-headless), or use --remote."
        )


def _reach(url: str) -> None:
    """Raise ``ConfigurationError`` unless one of the hosts of a URL answers."""
    scheme, _, rest = url.partition("://")
    if scheme not in _PORTS:
        return
    places = [urlsplit(f"//{place}") for place in rest.partition("/")[0].split(",")]
    faults = [_fault(place.hostname, place.port or _PORTS[scheme]) for place in places]
    if all(faults):
        raise ConfigurationError(
            f"{url} cannot be reached: {faults[0]}. Is Spark running there, and is "
            "that its address?"
        )


def _speak(remote: str) -> None:
    """Raise ``ConfigurationError`` where what answers does not speak as Spark Connect.

    Spark itself would try it again for many minutes.
    """
    import grpc
    from pyspark.errors import PySparkException
    from pyspark.sql.connect.client import DefaultChannelBuilder

    try:
        channel = DefaultChannelBuilder(remote).toChannel()
        with channel:
            grpc.channel_ready_future(channel).result(timeout=_REACH_S)
    except PySparkException as error:
        raise ConfigurationError(f"--remote: {_first_line(error)}") from None
    except grpc.FutureTimeoutError:
        raise ConfigurationError(
            f"{remote} does not answer as a server of Spark Connect does: is that its "
            "port, and does it want use_ssl=true?"
        ) from None


def _fault(host: str | None, port: int) -> str:
    try:
        socket.create_connection((host or "", port), timeout=_REACH_S).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _begun(
    master: str | None,
    remote: str | None,
    settings: Mapping[str, str],
    log: IO[bytes],
) -> "SparkSession":
    """Begin a session, whose JVM writes to ``log``; raises ``ConfigurationError``."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("execledger")
    for name, value in settings.items():
        builder = builder.config(name, value)
    if remote:
        builder = builder.remote(remote)
    elif master:
        builder = builder.master(master)
    try:
        with _streams_to(log):
            return builder.getOrCreate()
    except Exception as error:
        reason = _why(log) or _first_line(error)
        raise ConfigurationError(f"Spark does not start: {reason}") from error


@contextmanager
def _streams_to(log: IO[bytes]) -> Iterator[None]:
    """Have a process that is started meanwhile write to a file."""
    kept = {number: os.dup(number) for number in (1, 2)}
    sys.stdout.flush()
    try:
        for number in kept:
            os.dup2(log.fileno(), number)
        yield
    finally:
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)


def _why(log: IO[bytes]) -> str:
    """Return the line that says best why Spark ended; none where none does."""
    log.seek(0)
    lines = log.read().decode(errors="replace").splitlines()
    for sign in (" ERROR ", "Exception", "Error"):
        for line in lines:
            if sign in line:
                return line.partition(sign)[2].strip() if sign == " ERROR " else line
    return ""


@contextmanager
def _silent() -> Iterator[None]:
    """Keep what pyspark logs of each query that fails from standard error."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            # pandas 3 is too new for it, it says; nothing here goes through pandas
            warnings.filterwarnings("ignore", module="pyspark")
            yield
    finally:
        logging.disable(before)


def _wait_for_executor(spark: "SparkSession", url: str) -> None:
    """Wait for the first; raise ``ConfigurationError`` where none comes in time."""
    context = spark.sparkContext
    if context.getConf().get("spark.dynamicAllocation.enabled", "false") == "true":
        return
    scala = context._jsc.sc()  # noqa: SLF001 (Python is not told of executors)
    end = time.monotonic() + _EXECUTOR_S
    while scala.getExecutorMemoryStatus().size() < 2:  # noqa: PLR2004 (the driver is one)
        if time.monotonic() > end:
            raise ConfigurationError(
                f"{url} gave no executor within {_EXECUTOR_S:.0f} s: it has no worker "
                "with memory and cores to spare, or the worker does not reach this "
                "machine. Ask for less (--conf spark.executor.memory=512m), or say "
                "where this machine is (--conf spark.driver.host=...)."
            )
        time.sleep(_PAUSE_S)


@contextmanager
def in_words() -> Iterator[None]:
    """Raise what Spark says of a query as an error of ours: its first line."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except PySparkException as error:
        raise ConfigurationError(f"The query fails: {_first_line(error)}") from None
    except (Py4JError, ConnectionError) as error:
        raise StoreError(f"Spark failed: {_first_line(error)}") from None


def _first_line(error: BaseException) -> str:
    said = re.sub(r"^An error occurred while calling \S+\n: ", "", str(error))
    return said.strip().partition("\n")[0] or type(error).__name__
