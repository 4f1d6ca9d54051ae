"""Face measures agree with the independent measuring stick beside the repository."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from headcast.head.face_oval import OVAL
from headcast.image import load_image
from headcast.metrics.face import akd, face_mask, identity_descriptor, identity_distance, iris_centre_distance
from headcast.metrics.image import over_grey, psnr, ssim


@pytest.fixture(scope="module")
def stick(shared: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("facemetrics", shared / "tools" / "facemetrics.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["facemetrics"] = module
    spec.loader.exec_module(module)
    return module


def points(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    p = rng.normal(60, 8, (478, 2)).astype(np.float32)
    angle = np.linspace(0, 2 * np.pi, len(OVAL), endpoint=False)
    p[list(OVAL)] = 60 + 40 * np.stack([np.sin(angle), -np.cos(angle)], 1)
    p[468], p[473] = (40, 50), (80, 50)
    return p


def test_akd_of_a_shift() -> None:
    p = points()
    assert iris_centre_distance(p) == 40
    assert akd(p, p + np.float32([4, 0])) == pytest.approx(10, rel=1e-5)


def test_the_mask_is_the_shrunk_oval() -> None:
    m = face_mask(points(), 120, 120)
    assert m[60, 60] and not m[60, 99] and m[60, 95]
    assert m.sum() == pytest.approx(np.pi * (40 * 0.94) ** 2, rel=0.03)


def test_agrees_with_the_measuring_stick(stick: ModuleType, demo_photo: Path) -> None:
    pytest.importorskip("dlib", reason="dlib comes with the extra metrics")
    pytest.importorskip("mediapipe", reason="the independent script runs mediapipe")
    rgb = load_image(demo_photo).rgb
    with stick.face_mesh() as mesh:
        real = stick.landmarks(mesh, rgb[:, :, ::-1].copy())
        rng = np.random.default_rng(1)
        noisy = np.clip(rgb + rng.normal(0, 6, rgb.shape), 0, 255).astype(np.uint8)
        rgba = np.concatenate([noisy, rng.integers(200, 256, (*rgb.shape[:2], 1), dtype=np.uint8)], 2)
        theirs = stick.compare(rgb[:, :, ::-1].copy(), rgba[:, :, [2, 1, 0, 3]].copy(), mesh)
        fake = over_grey(rgba)
        found = stick.landmarks(mesh, fake[:, :, ::-1].copy())
    m = face_mask(real, *rgb.shape[:2])
    assert psnr(rgb, fake, m) == pytest.approx(theirs["psnr"], abs=1e-6)
    assert ssim(rgb, fake, m) == pytest.approx(theirs["ssim"], abs=1e-6)
    assert akd(real, found) == pytest.approx(theirs["akd"], abs=1e-4)
    ours = identity_distance(identity_descriptor(rgb, real), identity_descriptor(fake, found))
    assert ours == pytest.approx(theirs["iddist"], abs=1e-6)
