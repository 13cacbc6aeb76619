"""Debian's Chromium, headless and without a network, for tests of pages and slides.

python tests/browser.py build/slides/03_vae_elbo.slides.html FOLDER     each slide as FOLDER/01.png, 02.png, …
"""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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


class Opened:
    """A file in the browser, and what went wrong in it since."""

    def __init__(self, page: Any, path: Path) -> None:
        self.page = page
        self.errors: list[str] = []
        self.foreign: list[str] = []  # requests that leave the files on this machine
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self._note(request.url))
        page.goto(path.resolve().as_uri())
        page.wait_for_function("document.documentElement.dataset.ready === 'yes'")

    def _note(self, url: str) -> None:
        if not url.startswith(("file:", "data:", "blob:")):
            self.foreign.append(url)

    def slides(self) -> Iterator[int]:
        """Turn to one slide after another."""
        for index in range(self.page.evaluate("Reveal.getTotalSlides()")):
            self.page.evaluate("index => Reveal.slide(index)", index)
            yield index


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser's window of 1280 × 720; what it opens is an `Opened`."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, offline=True)
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
