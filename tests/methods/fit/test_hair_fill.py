"""The completion of hair's colours on textures that the test makes: colour, contrast, direction."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from headcast.methods.fit.hair.fill import complete_colours
from headcast.methods.fit.hair.flow import strand_flow
from headcast.methods.fit.hair.rings import strand_noise
from headcast.methods.fit.hair.texels import HairTexels

HEIGHT, WIDTH = 512, 1024
COLOUR = np.log(np.array([0.12, 0.06, 0.03], np.float32))
FRONT = np.s_[60:170, 380:640]  # what the photo shows


def texels(hanging: float = 0.0) -> HairTexels:
    """Hair of one colour with noise of blobs, known in front only."""
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.standard_normal((HEIGHT, WIDTH)).astype(np.float32), (0, 0), 2.0)
    log = COLOUR + 0.2 * (noise / noise.std())[..., None]
    confidence = np.zeros((HEIGHT, WIDTH), np.float32)
    confidence[FRONT] = 1
    log[confidence == 0] = 0.0  # nothing of the truth is left elsewhere
    wanted = np.zeros((HEIGHT, WIDTH), bool)
    wanted[:300] = True
    flat = np.ones(HEIGHT)
    length = np.full((HEIGHT, WIDTH), hanging, np.float32)
    return HairTexels(log, confidence, confidence, wanted, length, 0.0006 * flat, 0.001 * flat)


def energy(log: np.ndarray) -> float:
    light = log.mean(-1)
    return float((np.gradient(light, axis=1) ** 2 + np.gradient(light, axis=0) ** 2).mean())


@pytest.mark.parametrize("hanging", [0.0, 0.2])
def test_completed_hair_has_the_colour_and_the_gradients_of_the_observed(hanging: float) -> None:
    given = texels(hanging)
    out = complete_colours(given, np.random.default_rng(0))
    back = out[60:280, np.r_[40:300, 720:980]]
    assert np.abs(back.reshape(-1, 3).mean(0) - COLOUR).max() < 0.1
    assert 0.5 < energy(back) / energy(out[FRONT]) < 1.5
    assert np.abs(out[FRONT] - given.log[FRONT])[12:-12, 12:-12].max() < 0.05


def test_no_seam_between_observed_and_completed() -> None:
    out = complete_colours(texels(), np.random.default_rng(0)).mean(-1)
    edge = FRONT[1].stop
    steps = np.abs(np.diff(out[70:160], axis=1)).mean(0)
    assert steps[edge - 12 : edge + 12].max() < 2.0 * steps[400:600].mean()


def test_long_hair_is_combed_down() -> None:
    def down(hanging: float) -> float:
        out = complete_colours(texels(hanging), np.random.default_rng(0)).mean(-1)[80:280, 40:300]
        return float(np.abs(np.diff(out, axis=0)).mean() / np.abs(np.diff(out, axis=1)).mean())

    assert down(0.2) < 0.5 * down(0.0)


def test_strands_without_an_example() -> None:
    given = texels()
    nothing = given._replace(confidence=given.confidence * 0.05)
    out = complete_colours(nothing, np.random.default_rng(0))
    assert np.isfinite(out).all() and 0.02 < out[60:280, 40:300].std(0).mean() < 0.5
    noise = strand_noise((HEIGHT, WIDTH), np.random.default_rng(1))
    assert np.abs(np.diff(noise, axis=0)).mean() < 0.5 * np.abs(np.diff(noise, axis=1)).mean()


@pytest.mark.parametrize(("degrees", "expected"), [(0.0, (1, 0)), (90.0, (-1, 0)), (45.0, (0, 1))])
def test_direction_of_strands(degrees: float, expected: tuple[int, int]) -> None:
    given = texels()._replace(across=np.full(HEIGHT, 0.001), confidence=np.ones((HEIGHT, WIDTH), np.float32))
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    angle = np.radians(degrees)
    phase = -np.sin(angle) * x + np.cos(angle) * y  # constant along the strands, y down
    detail = np.repeat(np.sin(phase * 2 * np.pi / 9)[..., None], 3, -1).astype(np.float32)
    flow = strand_flow(detail, given)[100:-100, 100:-100].reshape(-1, 2).mean(0)
    assert np.abs(flow - expected).max() < 0.1
