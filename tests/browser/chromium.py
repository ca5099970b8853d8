"""Debian's chromium, without a screen."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

ALONE = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",  # root in a container has none
)
"""What keeps the browser itself from asking for anything."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run the browser; it brings a running loop of asyncio into this thread."""
    path = shutil.which("chromium")
    assert path, "install Debian's chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ALONE)
        yield browser
        browser.close()
