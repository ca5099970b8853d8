"""Does what a README shows, as a reader would: block after block, in one folder.

The convention for those who write a README stands in ``CONTRIBUTING.md``.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Self

from tests.interpreters import PYTHON, SHELL, Interpreter
from tests.shown import is_shown
from tests.templates import unknown_keys

__all__ = ["Givens", "ReadmeFault", "Session"]

Givens = Mapping[str, Callable[[], AbstractContextManager[Mapping[str, str]]]]
"""What a README may take as given, by its name, and the settings that lead to it."""

PARTS = re.compile(
    r"^<!-- test: (?P<marker>.+?) -->$|^```(?P<kind>\w+)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
SETS_UP = re.compile(
    r"(?:python3? -m )?pip install\b|pipx |uvx |uv (?:add|pip|sync|tool|venv)\b"
    r"|git clone\b|pytest\b|(?:\./)?\.ci/"
)
"""Commands that would install or fetch something, or run this very test."""


class ReadmeFault(AssertionError):
    """A README shows what does not hold; the message says where and what came."""


class Session:
    """A reader at work: what one block leaves behind, the next one finds."""

    def __init__(self, readme: str, folder: Path, givens: Givens) -> None:
        self.readme = readme
        self.givens = givens
        self.settings: dict[str, str] = {}
        self.exit_code = 0
        environment = clean_environment(folder)
        here = folder / "here"
        here.mkdir()
        self.shell = Interpreter(SHELL, here, environment)
        self.python = Interpreter(PYTHON, here, environment)
        self.stack = ExitStack()
        self.stack.callback(self.shell.close)
        self.stack.callback(self.python.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def read(self, text: str) -> None:
        """Do all that ``text`` shows.

        Raises:
            ReadmeFault: something shown does not hold.
        """
        for part in PARTS.finditer(text):
            line = text.count("\n", 0, part.start()) + 1
            where = f"{self.readme}:{line}"
            if part["marker"]:
                self.obey(part["marker"], where)
            else:
                self.do(part["kind"], part["body"], where)

    def obey(self, marker: str, where: str) -> None:
        """Set what the blocks below a marker find."""
        match shlex.split(marker):
            case ["with", *words] if (name := " ".join(words)) in self.givens:
                self.settings |= self.stack.enter_context(self.givens[name]())
            case ["env", setting] if "=" in setting:
                name, _, value = setting.partition("=")
                self.settings[name] = value
            case ["exit", code] if code.isdecimal():
                self.exit_code = int(code)
            case _:
                raise ReadmeFault(f"{where}: no such marker: {marker}")

    def do(self, kind: str, body: str, where: str) -> None:
        """Run one block; those of other kinds are only to be read."""
        match kind:
            case "console":
                for command, shown in commands(body, where):
                    self.type(command, shown, where)
            case "sql":
                self.type(f"execledger query -- {shlex.quote(body)}", "", where)
            case "python":
                request = json.dumps([self.settings, f"<{where}>", body]) + "\n"
                self.judge(body, *self.python.run(request), "", where)
            case "toml" if unknown := unknown_keys(body):
                raise ReadmeFault(f"{where}: no such settings: {', '.join(unknown)}")
            case "bash" | "sh" | "shell" | "pycon":
                raise ReadmeFault(f"{where}: only ```console and ```python are run")

    def type(self, command: str, shown: str, where: str) -> None:
        """Run one command of a block, as far as that can be done here."""
        check = subprocess.run(  # noqa: S603 - reads the command, runs nothing
            [*SHELL, "-n", "-c", command], capture_output=True, text=True, check=False
        )
        if check.returncode:
            raise ReadmeFault(f"{where}: {command}\n{check.stderr}")
        if to_run := runnable(command):
            settings = (
                f"{name}={shlex.quote(to)}" for name, to in self.settings.items()
            )
            text = f"export {' '.join(settings)} _=\n{{ {to_run}\n}} </dev/null\n"
            ran = self.shell.run(text + "printf '\\0%d\\n' $?\n")
            self.judge(command, *ran, shown, where)

    def judge(self, ran: str, code: int, printed: str, shown: str, where: str) -> None:
        """Compare what came with what was to come."""
        expected, self.exit_code = self.exit_code, 0
        if code != expected:
            message = f"{where}: exit {code} instead of {expected}\n{ran}\n{printed}"
            raise ReadmeFault(message)
        if shown.strip() and not is_shown(shown, printed):
            message = f"{where}: {ran}\n--- shown:\n{shown}\n--- printed:\n{printed}"
            raise ReadmeFault(message)


def clean_environment(folder: Path) -> dict[str, str]:
    """Return the environment of somebody who has set nothing yet."""
    kept = {name: to for name, to in os.environ.items() if name.startswith("COV")}
    home = folder / "home"
    home.mkdir()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {
        **kept,
        "PATH": path,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "COLUMNS": "100",
        "DLT_DATA_DIR": str(home / ".dlt"),  # root's is not below HOME
        "RUNTIME__DLTHUB_TELEMETRY": "false",  # tests call nobody
    }


def commands(body: str, where: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a console block and the output shown below it."""
    command, shown = "", ""
    for line in body.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, shown
            command, shown = line[2:], ""
        elif command and not shown and goes_on(command):
            command += "\n" + line.removeprefix("> ")
        elif command:
            shown += line + "\n"
        elif line.strip():
            raise ReadmeFault(f'{where}: a command begins with "$ ": {line}')
    yield command, shown


def goes_on(command: str) -> bool:
    """Return whether the next line belongs to the command: a quote is open."""
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return True
    return False


def runnable(command: str) -> str:
    """Return what can be run here, in this environment, without setting it up."""
    rest = command.replace("uv run ", "")
    while SETS_UP.match(rest):
        rest = "" if rest.startswith("git ") else rest.partition("&&")[2].lstrip()
    return rest
