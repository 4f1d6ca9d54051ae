"""What the viewer computes for every frame, in chromium: the rig, and 30,000 Gaussians carried by it.

Sorting, upload and drawing are Spark's and the graphics card's, and not in these numbers.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from tests.avatar.export.heads import synthetic_avatar
from tests.web.browser import browser, opened
from tests.web.gaussians import spread

from benchmarks.harness import machine, row
from headcast.avatar.export.html import write_html

COUNT = 30_000
FRAMES = 120
RUN = """([mode, all]) => {
  const s = headcast.stage, found = [];
  s.setMode(mode);
  for (let i = 0; i < %d; i++) {
    s.weights.fill(all ? 0.3 : 0);
    s.weights[s.rig.names.at("jawOpen")] = Math.abs(Math.sin(i / 9));
    s.weights[s.rig.names.at("mouthSmileLeft")] = s.weights[s.rig.names.at("mouthSmileRight")] = 0.4;
    s.stale = true;
    s.pose();
    found.push([s.cost.rig, s.cost.splats]);
  }
  return found.slice(%d);
}"""


def main() -> int:
    """Prints a table."""
    try:
        with browser() as window, tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "head.html"
            write_html(spread(synthetic_avatar(), COUNT), path)
            page = opened(window, path).page
            print(f"{machine()}; chromium {window.version}, one thread\n")
            print("| a frame in the browser | ms: median (minimum) | | |\n|---|---|---|---|")
            for mode, every, words in (
                ("mesh", False, "mesh, 3 expressions at work: rig and vertex buffers"),
                ("mesh", True, "mesh, all 52 at work"),
                ("splat", False, "splats, 3 expressions: rig"),
                ("splat", True, "splats, all 52: rig"),
            ):
                times = np.array(page.evaluate(RUN % (FRAMES, FRAMES // 4), [mode, every]))
                row(words, (float(np.median(times[:, 0])), float(times[:, 0].min())))
            times = times[:, 1]
            row(f"{COUNT:,} Gaussians: deformed, lit, packed", (float(np.median(times)), float(times.min())))
    except pytest.skip.Exception as reason:
        print(f"not measured: {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
