"""A submit whose process dies: run as ``python -m tests.sources.killed_submit``.

Arguments: the provider, the journal's file, the address of its twin, and where it
dies: ``never`` by itself, ``arrived``: before the answer is kept, ``answered``: as
soon as it is. Discuro starts ``flow``, Unstract sends that file in the synchronous
form.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sources import sending
from sources.discuro.settings import Settings as Discuro
from sources.discuro.submit import submit
from sources.journal import Journal
from sources.seen import Seen
from sources.unstract.batches import read
from sources.unstract.settings import Settings as Unstract
from sources.unstract.submit import Form, Runs

DIES_BEFORE = {"arrived": "kept", "answered": "concluded"}


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _discuro(journal: Journal, url: str) -> Coroutine[Any, Any, object]:
    return submit(
        Discuro(api_key="dk_canary", base_url=url),
        journal,
        "orchestrator",
        "flow",
        inputs={"product": "kettle"},
        tags=[("team", "content")],
        told=print,
    )


async def _unstract(journal: Journal, url: str) -> None:
    settings = Unstract(
        api_key="uk_canary",
        base_url=url,
        organization_id="org_demo",
        api_name="invoices",
    )
    seen = Seen(lambda _sql, _values: [], "unstract", "default")
    form = Form(timeout_s=60)
    async with Runs(settings, journal, seen, form, told=print, done=print) as runs:
        await runs.submit([[read(journal.file.path.with_name("flow"))]])


def main() -> None:
    """Submit, and die where it is said."""
    provider, path, url, point = sys.argv[1:]
    work = {"discuro": _discuro, "unstract": _unstract}[provider]
    with Journal(Path(path)) as journal, ExitStack() as stack:
        if point in DIES_BEFORE:
            name = DIES_BEFORE[point]
            stack.enter_context(patch.object(sending, name, _die))
        asyncio.run(work(journal, url))


if __name__ == "__main__":
    main()
