"""The command in a hurry: with every log it can have, and a fault of its own, if said.

Run as ``python -m tests.faults.loud COMMAND…``; it does not wait between its tries.
LOUD turns on the logs; PLANTED names a function, such as ``pipelines.embedded.drain``,
that raises an error with all that it was given.
"""

import importlib
import logging
import os
from typing import NoReturn

import pipelines.cli
import sources.sending
from pipelines.config import accounts
from sources.http import Http


def _broken(*given: object, **named: object) -> NoReturn:
    raise RuntimeError(f"planted: {accounts()} {given!r} {named!r}")


async def _nap(_: float) -> None:
    """Take no time."""


if __name__ == "__main__":
    assert Http.__init__.__kwdefaults__ is not None
    Http.__init__.__kwdefaults__["sleep"] = _nap
    sources.sending._TOO_MANY_S = 0  # seconds to wait out a 429
    if os.environ.get("LOUD"):
        logging.basicConfig(level=logging.DEBUG)
    if planted := os.environ.get("PLANTED"):
        module, _, name = planted.rpartition(".")
        setattr(importlib.import_module(module), name, _broken)
    pipelines.cli.main()
