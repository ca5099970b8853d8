"""A shell and a Python that run one text after another and keep their state."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from threading import Timer

__all__ = ["PYTHON", "SHELL", "Interpreter"]

TIMEOUT_S = 180

SHELL = ("bash", "--noprofile", "--norc")
PYTHON = (
    sys.executable,
    "-c",
    """
import json, os, sys, traceback
names = {"__name__": "__main__"}
for line in sys.stdin:
    settings, name, text = json.loads(line)
    os.environ.update(settings)
    failed = 0
    try:
        exec(compile(text, name, "exec"), names)
    except BaseException:
        traceback.print_exc()
        failed = 1
    print(f"\\0{failed}", flush=True)
""",
)


class Interpreter:
    """A shell or Python that runs one text after another and keeps its state."""

    def __init__(
        self, command: tuple[str, ...], folder: Path, environment: Mapping[str, str]
    ) -> None:
        self.process = subprocess.Popen(  # noqa: S603 - one of the two above
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, text: str) -> tuple[int, str]:
        """Return the exit code of ``text``, -1 if it ended all, and what it printed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        timer = Timer(TIMEOUT_S, self.process.kill)
        timer.start()
        self.process.stdin.write(text)
        self.process.stdin.flush()
        printed, code = "", "-1"
        for line in self.process.stdout:
            head, _, end = line.partition("\0")
            printed += head
            if end:
                code = end
                break
        timer.cancel()
        return int(code), printed

    def close(self) -> None:
        """End the process and wait for it."""
        self.process.kill()
        self.process.communicate()
