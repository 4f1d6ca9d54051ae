"""headcast: a portrait, a few frames or a video in, an animatable 3D head out."""

from __future__ import annotations

import os

# Two OpenMP runtimes (torch's and numba's) spin against each other unless idle threads sleep.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
