"""The square about the face, and the photo reduced for masks and the fit."""

from __future__ import annotations

import numpy as np
import torch

from headcast.camera import Camera
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.methods.uhr_texture.geometry import fitted_geometry
from headcast.methods.uhr_texture.occluders import glasses_in_uv, without_glasses
from headcast.methods.uhr_texture.square import (
    FULL,
    crop_face_square,
    face_square_of,
    reduce_photo,
    skin_trust,
)
from headcast.observe.detection import Detection, Masks
from headcast.observe.types import Observation


def photo(n: int) -> Observation:
    """A bright left and a dark right half; skin above, glasses in the middle, hair on top."""
    rgb = np.full((n, n, 3), 60, np.uint8)
    rgb[:, : n // 2] = 200
    masks = {k: np.zeros((n, n), np.float32) for k in ("person", "skin", "hair", "clothes", "glasses")}
    masks["skin"][: n // 2], masks["person"][:] = 1, 1
    masks["glasses"][3 * n // 8 : 7 * n // 16] = 1
    masks["hair"][: n // 4] = 1
    points = np.stack([np.linspace(0.3, 0.7, 478), np.linspace(0.25, 0.75, 478)], 1) * n
    box = (0.3 * n, 0.25 * n, 0.7 * n, 0.75 * n)
    pose = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    pose[2, 3] = 0.8
    camera = Camera(torch.tensor([[2.0 * n, 0, n / 2], [0, 2.0 * n, n / 2], [0, 0, 1]]), pose, n, n)
    detection = Detection(points.astype(np.float32), box, 1.0)
    return Observation(
        image=rgb,
        detection=detection,
        masks=Masks(**masks),
        camera=camera,
        params=HeadParams.neutral(4),
        light=None,
        landmark_error=0.5,
        name="a.png",
    )


def test_a_large_photo_shrinks_and_a_small_one_stays() -> None:
    large = photo(2000)
    less = reduce_photo(large)
    assert abs(face_square_of(less)[2] - FULL) <= 1
    factor = less.image.shape[0] / 2000
    np.testing.assert_allclose(less.detection.points, large.detection.points * factor, rtol=2e-3)
    # what the fit projects still falls on the same part of the photo
    point = torch.tensor([[0.02, 0.01, 0.0]])
    a, b = (o.camera.project(point)[0] / o.image.shape[0] for o in (large, less))
    torch.testing.assert_close(a, b, atol=1e-3, rtol=0)
    assert less.masks is not None and less.masks.glasses.shape == less.image.shape[:2]
    half = less.image.shape[1] // 2
    assert less.image[:, : half - 2].min() == 200 and less.image[:, half + 2 :].max() == 60
    small = photo(400)
    assert reduce_photo(small) is small


def test_trust_over_the_square_is_the_same_on_a_reduced_photo() -> None:
    large = photo(2000)
    n = 256
    a, b = skin_trust(large, n), skin_trust(reduce_photo(large), n)
    assert float((a - b).abs().mean()) < 0.02
    assert 0.05 < float(a.mean()) < 0.95
    glasses = round(n * (0.40625 * 2000 - face_square_of(large)[1]) / face_square_of(large)[2])
    assert float(a[glasses].max()) < 0.1 < 0.9 < float(a[glasses + 20 : glasses + 24].max())


def test_the_square_of_a_larger_photo_is_reduced_with_its_camera() -> None:
    large = photo(6000)
    rgb, camera, (_, _, side) = crop_face_square(large)
    assert side > 4096 and rgb.shape[-1] == 4096 == camera.width
    point = torch.tensor([[0.0, 0.0, 0.0]])
    left, top, _ = face_square_of(large)
    want = (large.camera.project(point)[0] - torch.tensor([left, top])) * 4096 / side
    torch.testing.assert_close(camera.project(point)[0], want, atol=0.5, rtol=0)


def test_glasses_leave_the_texture_under_the_maps() -> None:
    """Black where frames cover the skin: filled from around; the rest stays; without glasses all stays."""
    head, seen = HeadModel.load(), photo(1000)
    geometry = fitted_geometry(head, HeadParams.neutral(head.identities), seen.camera)
    _, camera, _ = crop_face_square(seen)
    trust = skin_trust(seen, camera.width)
    mask = glasses_in_uv(seen, geometry, camera, trust)
    assert mask is not None and 0.001 < float(mask.mean()) < 0.2
    painted = (0.7 * (1 - mask)).expand(3, -1, -1).clone()
    out = without_glasses(painted, seen, geometry, camera, trust, head)
    lids = out[0] < 0.4  # keep what the fit painted
    assert float((mask * lids).sum() / mask.sum()) < 0.5
    assert torch.equal(out[:, mask < 0.5], painted[:, mask < 0.5])
    assert seen.masks is not None
    seen.masks.glasses[:] = 0
    assert without_glasses(painted, seen, geometry, camera, trust, head) is painted
