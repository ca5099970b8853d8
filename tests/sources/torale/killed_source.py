"""A dlt run that is killed between collecting and loading, as a power cut would.

Run as ``python -m tests.sources.torale.killed_source BASE_URL KEY FOLDER``.
"""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from tests.sources.torale.own_pipeline import run, source


def die(*_: object, **__: object) -> Iterator[Any]:
    """End at once: nothing is cleaned up."""
    os.kill(os.getpid(), signal.SIGKILL)
    yield


if __name__ == "__main__":
    base_url, api_key = sys.argv[1:3]
    folder = Path(sys.argv[3])
    with mock.patch("sources.source.fold", die):
        run(folder, source(folder, base_url, api_key=api_key))
