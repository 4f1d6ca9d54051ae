"""MediaPipe starts without what it doesn't need here."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from headcast.observe.models import quiet_mediapipe
with quiet_mediapipe() as solutions:
    solutions.face_mesh
assert not any(m.startswith("matplotlib") for m in sys.modules), "plots were loaded"
plt = solutions.drawing_utils.plt
assert plt.figure.__module__ == "matplotlib.pyplot", plt  # there when it is asked for
import matplotlib
assert matplotlib.__version__ and matplotlib.pyplot.figure is plt.figure
"""


def test_plots_are_loaded_when_asked_for() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
