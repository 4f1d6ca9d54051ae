"""The comparer gives what the functions of ``headcast.metrics`` say (held equal to an independent script)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.evaluate.reference import shared_networks

from headcast.evaluate.compare import Comparer, face_square
from headcast.evaluate.networks import EvaluationNetworks, dlib_identity
from headcast.image import load_image
from headcast.metrics.face import akd, face_mask, identity_descriptor, identity_distance
from headcast.metrics.image import over_grey, psnr, ssim


def test_one_number_for_one_thing(demo_photo: Path) -> None:
    pytest.importorskip("dlib", reason="dlib comes with the extra metrics")
    identity = dlib_identity([])
    assert identity is not None
    rgb = load_image(demo_photo).rgb
    rng = np.random.default_rng(0)
    noisy = np.clip(rgb + rng.normal(0, 6, rgb.shape), 0, 255).astype(np.uint8)
    picture = np.dstack([noisy, rng.integers(200, 256, rgb.shape[:2], dtype=np.uint8)])
    matte = np.zeros(rgb.shape[:2], np.float32)
    matte[:, 60:-60] = 1
    with Comparer(EvaluationNetworks((identity,)), {"face": "", "foreground": ""}) as comparer:
        truth = comparer.truth(rgb, "demo", matte, {"foreground": matte > 0.5})
        row = comparer.compare(truth, picture)
        lost = comparer.compare(truth, None)
        fake = over_grey(picture)
        at, found = comparer.landmarks.real_points(rgb, "demo"), comparer.landmarks.points(fake)
    assert found is not None
    mask = face_mask(at, *rgb.shape[:2])
    known = {
        "face_psnr": psnr(rgb, fake, mask),
        "face_ssim": ssim(rgb, fake, mask),
        "akd": akd(at, found),
        "identity": identity_distance(identity_descriptor(rgb, at), identity_descriptor(fake, found)),
        "holes": (picture[..., 3][mask] < 0.9 * 255).mean(),
        "lost": 0.0,
    }
    for key, value in known.items():
        assert row[key] == pytest.approx(value, abs=1e-6), key
    assert row["akd_px"] < 1 and row["sharpness"] > 0.3 and row["iou"] < 1
    assert set(row) - {"sharpness"} == set(lost) and lost["lost"] == 1 and lost["face_psnr"] == 0


def test_the_square_around_a_face() -> None:
    rgb = np.full((100, 120, 3), 200, np.uint8)
    points = np.full((478, 2), 50.0, np.float32)
    points[:2] = [[30, 40], [70, 60]]
    square = face_square(rgb, points, 64)
    assert square.shape == (64, 64, 3) and (square == 200).all()
    points += 45  # past the right edge
    assert (face_square(rgb, points, 64)[:, -6:] == 128).all()


def test_the_users_networks_add_their_figures(demo_photo: Path, shared: Path) -> None:
    networks = shared_networks(shared)
    rgb = load_image(demo_photo).rgb
    with Comparer(networks, {"face": ""}) as comparer:
        truth = comparer.truth(rgb, "demo")
        same, mirrored, lost = (
            comparer.compare(truth, image) for image in (rgb, np.ascontiguousarray(rgb[:, ::-1]), rgb * 0)
        )
    assert same["expression"] == 0 and same["sface"] == pytest.approx(1, abs=1e-5) and same["lpips"] == 0
    assert mirrored["expression"] > 0.001 and 0.3 < mirrored["sface"] < 0.999
    assert (lost["expression"], lost["sface"], lost["lost"]) == (1, 0, 1) and lost["lpips"] > 0.3
