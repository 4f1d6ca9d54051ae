"""What the viewer computes for every frame, in chromium: the rig, and Gaussians carried by it: 30,000, and as
many as an avatar of a photo has.

Sorting, upload and drawing are Spark's and the graphics card's, and not in these numbers.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.avatar.export.heads import synthetic_avatar
from tests.web.browser import browser, opened
from tests.web.gaussians import spread

from benchmarks.harness import machine, row
from headcast.avatar.export.html import write_html

COUNTS = (30_000, 150_000)
FRAMES = 60
RUN = """([mode, what]) => {
  const s = headcast.stage, found = [];
  s.setMode(mode);
  for (let i = 0; i < %d; i++) {
    if (what === "camera") s.orbit(1);
    else {
      s.weights.fill(what === "all" ? 0.3 : 0);
      s.weights[s.rig.names.at("jawOpen")] = Math.abs(Math.sin(i / 9));
      s.weights[s.rig.names.at("mouthSmileLeft")] = s.weights[s.rig.names.at("mouthSmileRight")] = 0.4;
      s.neck = [0, what === "all" ? 0.01 * i : 0, 0];
      s.stale = true;
    }
    s.pose();
    found.push([s.cost.rig, s.cost.splats]);
  }
  return found.slice(%d);
}"""


def timed(page: Any, mode: str, what: str) -> np.ndarray:
    """(N, 2) milliseconds of the rig and of the Gaussians."""
    return np.array(page.evaluate(RUN % (FRAMES, FRAMES // 4), [mode, what]))


def shown(words: str, times: np.ndarray) -> None:
    """Prints a row."""
    row(words, (float(np.median(times)), float(times.min())))


def main() -> int:
    """Prints a table."""
    try:
        with browser() as window, tempfile.TemporaryDirectory() as folder:
            print(f"{machine()}; chromium {window.version}, one thread\n")
            print("| a frame in the browser | ms: median (minimum) | | |\n|---|---|---|---|")
            for count in COUNTS:
                path = Path(folder) / f"{count}.html"
                write_html(spread(synthetic_avatar(), count), path)
                page = opened(window, path).page
                if count == COUNTS[0]:
                    shown(
                        "mesh, 3 expressions at work: rig and vertex buffers",
                        timed(page, "mesh", "some")[:, 0],
                    )
                    shown("mesh, all 52 and the neck", timed(page, "mesh", "all")[:, 0])
                words = f"{count:,} Gaussians carried, lit, packed"
                shown(f"{words}: 3 expressions", timed(page, "splat", "some")[:, 1])
                shown(f"{words}: all 52 and the neck", timed(page, "splat", "all")[:, 1])
                shown(f"{words}: the camera alone", timed(page, "splat", "camera")[:, 1])
                page.close()
    except pytest.skip.Exception as reason:
        print(f"not measured: {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
