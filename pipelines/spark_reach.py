"""Whether Spark can be had: what it needs is installed, and somebody answers."""

import os
import re
import shutil
import socket
from importlib.util import find_spec
from urllib.parse import urlsplit

from sources.errors import ConfigurationError

__all__ = ["first_line", "need_spark", "reach", "speak"]

_REACH_S = 10.0
"""How long a master, or a server of Spark Connect, may take to answer."""

_PORTS = {"spark": 7077, "sc": 15002}


def need_spark(remote: str | None) -> None:
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
            "apt-get install default-jre-headless), or use --remote."
        )


def reach(url: str) -> None:
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


def speak(remote: str) -> None:
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
        raise ConfigurationError(f"--remote: {first_line(error)}") from None
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


def first_line(error: BaseException) -> str:
    """Return what an error of Spark's says, without its traces."""
    said = re.sub(r"^An error occurred while calling \S+\n: ", "", str(error))
    return said.strip().partition("\n")[0] or type(error).__name__
