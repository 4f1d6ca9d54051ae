"""A real browser for tests: Debian's chromium through Playwright, drawing in software."""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

__all__ = ["Page", "browser", "opened"]

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox"]
PICTURE = """async ([w, h]) => {
  const reader = new FileReader();
  const blob = await headcast.stage.picture(w, h);
  await new Promise((done) => { reader.onload = done; reader.readAsDataURL(blob); });
  return reader.result.split(",")[1];
}"""


class Page:
    """An opened viewer, with everything that went wrong or left the file."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda m: self.complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: self.complaints.append(str(e)))
        page.on("request", lambda r: self.requests.append(r.url))

    def picture(self, width: int, height: int) -> np.ndarray:
        """What the viewer shows, (H, W, 4) straight alpha."""
        from PIL import Image

        data = base64.b64decode(self.page.evaluate(PICTURE, [width, height]))
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium; the test is skipped where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no chromium is installed")
    with sync_api.sync_playwright() as p:
        window = p.chromium.launch(executable_path=found, args=FLAGS)
        try:
            yield window
        finally:
            window.close()


def opened(window: Any, path: Path, width: int = 900, height: int = 640) -> Page:
    """The file, opened from disk in a window of its own."""
    page = Page(window.new_page(viewport={"width": width, "height": height}))
    page.page.goto(path.resolve().as_uri())
    page.page.wait_for_selector("html[data-ready]", timeout=90_000)
    return page
