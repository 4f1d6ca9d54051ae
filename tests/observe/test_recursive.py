"""Identity frame by frame: the sum of normal equations gives what all frames together give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.observe.heads import SIZE, detection_of, fitter, truth

from headcast.observe.recursive import ShapeEvidence, add_frame, eliminate_last
from headcast.observe.types import Detection

YAWS = (0.0, 20.0, -25.0, 35.0, -40.0, 10.0)


@pytest.fixture(scope="module")
def frames() -> list[Detection]:
    """One person, nearer than usual, turning."""
    people = [truth(4, yaw) for yaw in YAWS]
    near = [p.replace(translation=p.translation + p.translation.new_tensor([0.0, 0.0, 0.5])) for p in people]
    return [detection_of(p, noise=0.5, seed=i)[0] for i, p in enumerate(near)]


def accumulate(found: list[Detection], sizes: list[int] | None = None) -> ShapeEvidence:
    evidence = None
    for d, side in zip(found, sizes or [SIZE] * len(found), strict=True):
        evidence, _ = add_frame(fitter(), evidence, d, (side, side))
    assert evidence is not None
    return evidence


def identity_error(identity: np.ndarray) -> float:
    return float(np.linalg.norm(identity - truth(4).identity.double().numpy()))


def test_one_frame_is_the_fit_of_one_photo(frames: list[Detection]) -> None:
    evidence, fit = add_frame(fitter(), None, frames[0], (SIZE, SIZE))
    alone = fitter().fit_photo(frames[0], SIZE, SIZE)
    assert np.abs(fit.shared.identity - alone.shared.identity).max() < 0.15
    assert np.abs(evidence.mean[:-1] - fit.shared.identity).max() < 0.3


def test_the_sum_agrees_with_all_frames_together(frames: list[Detection]) -> None:
    together = fitter().fit_photos(frames, [(SIZE, SIZE)] * len(frames))[0].shared
    mean = accumulate(frames).mean
    one = accumulate(frames[:1]).mean
    apart = np.linalg.norm(mean[:-1] - together.identity)
    assert apart < 0.35 * np.linalg.norm(one[:-1] - together.identity)
    assert abs(mean[-1] - together.log_focal) < 0.08
    assert identity_error(mean[:-1]) < identity_error(one[:-1])


def test_the_order_hardly_matters_and_the_size_does_not_grow(frames: list[Detection]) -> None:
    a, b = accumulate(frames), accumulate([frames[i] for i in (0, 4, 2, 5, 1, 3)])
    assert np.linalg.norm(a.mean[:-1] - b.mean[:-1]) < 0.5
    first = accumulate(frames[:1])
    assert a.precision.shape == first.precision.shape and a.count == len(frames)
    assert np.linalg.eigvalsh(a.precision - first.precision).min() > -1e-6 * a.precision.max()


def test_frames_of_another_size_tell_of_the_identity_alone(frames: list[Detection]) -> None:
    larger = replace(frames[1], points=frames[1].points * 2)
    found = accumulate([frames[0], larger], [SIZE, 2 * SIZE])
    same = accumulate(frames[:2])
    assert found.size == (SIZE, SIZE) and found.count == 2
    assert np.linalg.norm(found.mean[:-1] - same.mean[:-1]) < 1.0
    assert identity_error(found.mean[:-1]) < identity_error(accumulate(frames[:1]).mean[:-1]) + 0.1


def test_elimination_keeps_the_minimum() -> None:
    rng = np.random.default_rng(0)
    A = rng.normal(size=(5, 5))
    P, r = A @ A.T + np.eye(5), rng.normal(size=5)
    reduced = np.linalg.solve(*eliminate_last(P, r))
    assert np.allclose(reduced, np.linalg.solve(P, r)[:-1])
