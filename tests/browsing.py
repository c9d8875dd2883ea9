"""A page in a headless Chromium, where one is installed; a word on its console is a failure."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> str | None:
    """Return the program; None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def browser() -> Iterator[Any]:
    """Start Chromium, and stop it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=chromium(), args=["--disable-gpu", "--disable-background-networking"]
        )
        yield started
        started.close()


@contextmanager
def opened(started: Any, page: str | Path, **options: Any) -> Iterator[Any]:
    """Open a page from a file.

    Args:
        started: The browser.
        page: The file.
        options: Those of Playwright's ``new_context``: ``viewport``, ``color_scheme``.

    Raises:
        AssertionError: The page has written to the console, opened a dialog, or asked for another file.
    """
    context = started.new_context(accept_downloads=True, **options)
    tab = context.new_page()
    said: list[str] = []
    address = Path(page).resolve().as_uri()
    tab.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    tab.on("pageerror", lambda error: said.append(f"error: {error}"))
    tab.on("dialog", lambda dialog: (said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    tab.on("request", lambda request: said.append(request.url) if _leaves(request.url, address) else None)
    tab.goto(address)
    yield tab
    tab.wait_for_timeout(50)
    context.close()
    assert not said, said


def _leaves(url: str, address: str) -> bool:
    return url != address and not url.startswith(("data:", "blob:"))
