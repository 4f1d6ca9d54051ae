"""Every crop of a face that a network was trained or published with, against values recorded at 9009308."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from headcast.camera import Camera
from headcast.crops.grid import square_grid
from headcast.crops.square import square_around
from headcast.evaluate.compare import face_square
from headcast.head.params import HeadParams
from headcast.methods.portrait4d import crop as portrait4d
from headcast.methods.portrait4d.network import SMALL
from headcast.methods.portrait4d.pdfgc import align_face
from headcast.methods.uhr_texture import square as uhr
from headcast.observe.types import Detection, Observation
from headcast.priors.encoder.infer import face_crops
from headcast.priors.faces import align, cut_face

H, W = 180, 230
CROP = 384  # pixels


def image() -> np.ndarray:
    """An image of nothing, by whole numbers."""
    y, x = np.mgrid[:H, :W]
    return np.stack([(3 * x + y) % 256, (x * y // 7) % 256, (255 * (y // 9 % 2)) ^ (x % 64)], 2).astype(
        np.uint8
    )


def as_tensor() -> torch.Tensor:
    """The same for networks."""
    return torch.from_numpy(image()).permute(2, 0, 1)[None].float() / 127.5 - 1


def observation(box: tuple[float, float, float, float]) -> Observation:
    """A photo whose face has this box."""
    detection = Detection(np.zeros((478, 2), np.float32), box, 1.0, 0.0)
    params = HeadParams.neutral(0)
    return Observation(
        image=image(),
        detection=detection,
        masks=None,
        camera=camera(),
        params=params,
        light=None,
        landmark_error=0.0,
        name="x",
    )


def camera() -> Camera:
    """It looks at the head from a little to the side."""
    return Camera.orbit(torch.tensor([0.0, 0.02, 0.03]), 0.9, 10.0, 5.0, focal=600, width=W, height=H)


def points(n: int) -> np.ndarray:
    """Points of no face."""
    k = np.arange(n)
    return np.stack([60 + (37 * k) % 97, 40 + (53 * k) % 101], 1).astype(np.float64)


def figures(x: np.ndarray | torch.Tensor) -> tuple[float, float]:
    """The mean, and the mean weighted by a pattern that no symmetry keeps."""
    v = np.asarray(x, np.float64).ravel()
    return float(v.mean()), float((v * (np.arange(v.size) % 97)).mean() / 48)


BOX = (50.0, 60.0, 150.0, 171.0)
OVER = (-20.0, 30.0, W * 0.9, H + 15.0)
MADE = {
    "detector": lambda: square_around(BOX, 1.4, dx=0.1, dy=-0.05, angle=0.3).cut(image(), CROP)[0],
    "detector, mirrored": lambda: square_around(OVER, 3.0, mirrored=True).cut(image(), CROP)[0],
    "grid": lambda: square_grid(
        torch.tensor([BOX]),
        H,
        W,
        24,
        1.3,
        torch.tensor([[0.1, 0.0]]),
        torch.tensor([0.1]),
        torch.tensor([-1.0]),
    ),
    "encoder": lambda: face_crops(as_tensor(), torch.tensor([BOX])),
    "encoder, finer": lambda: face_crops(as_tensor(), torch.tensor([OVER]), 33),
    "restorers' alignment": lambda: align(points(5)),
    "restorers' face": lambda: cut_face(image(), align(points(5))),
    "pdfgc": lambda: align_face(as_tensor()[0], torch.from_numpy(points(68)).float()),
    "portrait4d": lambda: portrait4d.crop_image(image(), camera(), HeadParams.neutral(0), 64, SMALL.centre),
    "portrait4d, small": lambda: portrait4d.crop_image(
        image(), camera(), HeadParams.neutral(0), 256, SMALL.centre
    ),
    "uhr": lambda: uhr.crop_face_square(observation(BOX))[0],
    "uhr, reduced": lambda: uhr.crop_face_square(observation(OVER), 100)[0],
    "uhr, mask": lambda: uhr.crop_mask(observation(OVER), image()[..., 0] / np.float32(255), 90),
    "evaluator": lambda: face_square(image(), points(478)),
    "evaluator, beyond": lambda: face_square(image(), points(478).astype(np.float32) - 70),
}

RECORDED: dict[str, tuple[float, float]] = {
    "detector": (130.51567473234954, 130.54551762710383),
    "detector, mirrored": (105.41775625723379, 105.44148876048901),
    "grid": (0.1391884061611361, 0.12148261718620133),
    "encoder": (0.014940409607588663, 0.01667262299237614),
    "encoder, finer": (-0.0744958453922027, -0.06737050196713835),
    "restorers' alignment": (71.89433887400553, 5.4352769347744845),
    "restorers' face": (132.54820124308267, 132.54764861530728),
    "pdfgc": (-0.017246859513306702, -0.016834282855428036),
    "portrait4d": (-0.014960314371326907, -0.01809244263698896),
    "portrait4d, small": (-0.015198120708750396, -0.015002346698929728),
    "uhr": (0.5191196413783603, 0.5187514506868603),
    "uhr, reduced": (0.430795550449763, 0.4312647957765669),
    "uhr, mask": (0.14995583044160962, 0.15015386477570886),
    "evaluator": (126.87314860026042, 126.83680449591742),
    "evaluator, beyond": (122.64319864908855, 122.67053296830919),
}


@pytest.mark.parametrize("name", MADE)
def test_crops_are_what_they_were(name: str) -> None:
    assert figures(MADE[name]()) == pytest.approx(RECORDED[name], rel=2e-6, abs=2e-6)
