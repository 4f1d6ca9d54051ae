"""Frames of ``headcast.api``: python tools/outputs/live.py ME.avatar OUT.npz (a process of its own)."""

from __future__ import annotations

import sys

import numpy as np
import torch

from headcast import api

WEIGHTS = {"jawOpen": 0.5, "mouthSmileLeft": 0.7, "eyeBlinkRight": 0.4, "cheekPuff": 0.3}
NECK = (0.1, -0.25, 0.05)
GAZE = ((0.2, -0.1), (0.2, -0.1))


def frames(avatar: str) -> dict[str, np.ndarray]:
    """Two frames of the runtime, the second with neck and gaze; a picture of the photo's own view."""
    me = api.load(avatar)
    live = api.Runtime(me, size=(256, 256))
    return {
        "weights": live.step(WEIGHTS),
        "posed": live.step({"jawOpen": 0.2}, neck=torch.tensor(NECK), gaze=torch.tensor(GAZE)),
        "source": api.Runtime(me, size=(192, 192), view="source").step({}),
        "rendered": api.render(me, yaw=-20, pitch=10, expression=WEIGHTS, size=(200, 240), background="grey"),
    }


if __name__ == "__main__":
    np.savez(sys.argv[2], **frames(sys.argv[1]))  # type: ignore[arg-type]
