"""A session of Spark for a command: begun in bounded time, silent, and ended.

Spark's JVM writes to the streams of the process that starts it. Here it gets a file of
its own, of which only what tells why it did not start is shown.
"""

import logging
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

from pipelines.spark_reach import first_line, need_spark, reach, speak
from sources.errors import ConfigurationError, StoreError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["in_words", "session"]

_EXECUTOR_S = 60.0
"""How long the master may take to give the first executor."""

_PAUSE_S = 0.2
_QUICKLY = "-XX:TieredStopAtLevel=1"


@contextmanager
def session(
    *, master: str | None, remote: str | None, settings: Mapping[str, str]
) -> Iterator["SparkSession"]:
    """Yield a session; ``settings`` are Spark's own, as of ``spark-submit --conf``.

    Without ``master`` and ``remote`` Spark's own configuration says where, else it
    runs in this process. Raises ``ConfigurationError``, with the next step, where
    Spark or Java is missing, or nobody answers.
    """
    need_spark(remote)
    url = remote or master or ""
    reach(url)
    with tempfile.TemporaryDirectory(prefix="execledger-spark-") as folder, _silent():
        if remote:
            speak(remote)
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
        reason = _why(log) or first_line(error)
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
        raise ConfigurationError(f"The query fails: {first_line(error)}") from None
    except (Py4JError, ConnectionError) as error:
        raise StoreError(f"Spark failed: {first_line(error)}") from None
