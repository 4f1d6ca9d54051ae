"""A few synthetic pictures as a folder to train on, made once a session of tests."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import torch

from headcast.priors.images import FaceImages, synthesized

SIZE, PEOPLE, FRAMES = 96, 4, 2


@cache
def few_pictures() -> FaceImages:
    """Eight pictures of four people, 96²."""
    return synthesized("train", 5, np.arange(PEOPLE), FRAMES, SIZE, torch.device("cpu"))


@cache
def folder_of_pictures() -> str:
    """The same as ``tools/build_face_images.py`` writes them."""
    folder = Path(mkdtemp())
    made = few_pictures()
    np.savez(folder / "00000.npz", **{f.name: getattr(made, f.name).numpy() for f in fields(FaceImages)})
    return str(folder)
