"""Programs other than ours, such as those that make and install packages."""

import os
import subprocess
from pathlib import Path

__all__ = ["UV", "run"]

UV = os.environ.get("UV", "uv")
OUTSIDE = {
    **{name: to for name, to in os.environ.items() if name != "PYTHONPATH"},
    "RUNTIME__DLTHUB_TELEMETRY": "false",  # tests call nobody
}


def run(*command: str | Path, folder: Path, stdin: str = "") -> str:
    """Return what a command printed; it must succeed."""
    ran = subprocess.run(  # noqa: S603 - the commands of the tests
        command,
        cwd=folder,
        env=OUTSIDE,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    return ran.stdout
