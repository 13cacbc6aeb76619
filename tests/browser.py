"""Debian's Chromium, headless and without a network, for tests of pages, slides and the site.

python tests/browser.py build/slides/03_vae_elbo.slides.html FOLDER     each slide as FOLDER/01.png, 02.png, …
"""

import functools
import http.server
import importlib.util
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

WIDTH, HEIGHT = 1280, 720
# Chromium as root needs --no-sandbox; the rest keeps it from looking for updates and from asking Google's hosts.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def missing(*packages: str) -> str:
    """What these tests need and this machine has not; "" if nothing."""
    if shutil.which("chromium") is None:
        return "there is no chromium on this machine"
    absent = [name for name in ("playwright", *packages) if importlib.util.find_spec(name) is None]
    return f"not installed: {', '.join(absent)}; the extras browser and site bring it" if absent else ""


def skip_if_missing(*packages: str) -> None:
    """Skip with the reason, or fail with it where nothing may be missing."""
    if reason := missing(*packages):
        (pytest.fail if os.environ.get("COURSE_BROWSER") == "required" else pytest.skip)(reason)


class Watched:
    """A tab, and what went wrong in it since."""

    def __init__(self, page: Any, *own: str) -> None:
        """``own``: how addresses begin that are no request to another machine."""
        self.page = page
        self.errors: list[str] = []
        self.foreign: list[str] = []
        self.own = own[0]
        self._mine = (*own, "data:", "blob:")
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self._note(request.url))

    def _note(self, url: str) -> None:
        if not url.startswith(self._mine):
            self.foreign.append(url)


class Opened(Watched):
    """A page or a deck, opened as a file."""

    def __init__(self, page: Any, path: Path, query: str = "") -> None:
        super().__init__(page, "file:")
        page.goto(path.resolve().as_uri() + query)
        page.wait_for_function("document.documentElement.dataset.ready === 'yes'")

    def slides(self) -> Iterator[int]:
        """Turn to one slide after another."""
        for index in range(self.page.evaluate("Reveal.getTotalSlides()")):
            self.page.evaluate("index => Reveal.slide(index)", index)
            yield index


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address under which this machine alone finds a folder."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@contextmanager
def chromium(height: int = HEIGHT, offline: bool = True) -> Iterator[Any]:
    """A browser's window of 1280 × 720 pixels, or higher. Offline it opens files alone, nothing served."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        context = browser.new_context(viewport={"width": WIDTH, "height": height}, offline=offline)
        context.set_default_timeout(300_000)  # milliseconds: a busy machine is no error, a hang is
        yield context
        browser.close()


def main() -> None:
    deck, folder = map(Path, sys.argv[1:])
    folder.mkdir(parents=True, exist_ok=True)
    with chromium() as window:
        opened = Opened(window.new_page(), deck)
        for index in opened.slides():
            opened.page.screenshot(path=folder / f"{index + 1:02d}.png")


if __name__ == "__main__":
    main()
