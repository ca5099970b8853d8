"""A PostgreSQL server of its own: in a private folder, on a free port of loopback.

Debian's package ``postgresql`` has the programs. PostgreSQL refuses to run as root:
there, it runs as the user ``postgres`` that the package makes.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

__all__ = ["postgres_server"]

_PATIENCE_S = 30
_SETTINGS = (
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    # what is lost when the machine loses power is only a test's
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
)
_LOCALE = ("--encoding=UTF8", "--locale-provider=icu", "--icu-locale=en", "--locale=C")
"""Sorts as people do, unlike DuckDB: rows must not depend on it."""


@contextmanager
def postgres_server() -> Iterator[str]:
    """Run a server with one empty database; yield its URL, with user and password.

    It takes passwords alone (SCRAM), and listens on loopback alone. It is gone, with
    all that it held, when the block ends.
    """
    with TemporaryDirectory(prefix="execledger-postgres-") as name:
        folder, password = Path(name), secrets.token_urlsafe()
        (folder / "password").write_text(password, "utf-8")
        if os.geteuid() == 0:
            for path in (folder, folder / "password"):
                shutil.chown(path, "postgres", "postgres")
        _initialize(folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with _running(folder, port):
            yield f"postgresql://execledger:{password}@127.0.0.1:{port}/postgres"


def _initialize(folder: Path) -> None:
    command: list[str | Path] = [_program("initdb"), "--pgdata", folder / "data"]
    command += [*_LOCALE, "--no-sync"]
    command += ["--username=execledger", "--auth=scram-sha-256"]
    command += ["--pwfile", folder / "password"]
    ran = subprocess.run(  # noqa: S603 - the command above
        command,
        cwd=folder,
        user=_user(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout


@contextmanager
def _running(folder: Path, port: int) -> Iterator[None]:
    """Run the server, from when it takes connections until the end of the block."""
    settings = [part for setting in _SETTINGS for part in ("-c", setting)]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(  # noqa: S603 - the command below
            [_program("postgres"), "-D", folder / "data", "-p", str(port), *settings],
            cwd=folder,
            user=_user(),
            stdout=log,
            stderr=log,
        )
    try:
        _wait(server, port, folder / "log")
        yield
    finally:
        server.send_signal(signal.SIGINT)  # ends connections, too
        server.wait(_PATIENCE_S)


def _wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    ready = [_program("pg_isready"), "-h", "127.0.0.1", "-p", str(port), "-q"]
    end = time.monotonic() + _PATIENCE_S
    while subprocess.run(ready, check=False).returncode:  # noqa: S603 - as above
        assert server.poll() is None, log.read_text("utf-8")
        assert time.monotonic() < end, log.read_text("utf-8")
        time.sleep(0.05)


def _program(name: str) -> str:
    """Return a program of the newest PostgreSQL here; Debian has most off the path."""
    folders = Path("/usr/lib/postgresql").glob("*/bin")
    newest = sorted(folders, key=lambda folder: int(folder.parent.name), reverse=True)
    found = shutil.which(name, path=os.pathsep.join(map(str, newest)) or None)
    assert found, f"{name} is not here: install Debian's package postgresql"
    return found


def _user() -> str | None:
    return "postgres" if os.geteuid() == 0 else None
