"""The bundled head asset: shapes, symmetry, atlas, bases, landmarks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from headcast.head.model import JOINTS, HeadModel
from headcast.head.names import EXPRESSION_INDEX, EXPRESSIONS, mirrored_name
from headcast.weights import weights_path

FLIP = torch.tensor([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return HeadModel.load()


def test_shapes_and_size(head: HeadModel) -> None:
    v, u = len(head.neutral), len(head.uv)
    assert head.identity_basis.shape == (41, v, 3) and head.expression_basis.shape == (52, v, 3)
    assert head.skin_weights.shape == (v, len(JOINTS)) and head.region.shape == (v,)
    assert head.faces.max() == v - 1 and head.faces_uv.max() == u - 1
    assert 6000 <= len(head.faces[head.part_faces("skin")].unique()) <= 9000
    assert weights_path("head").stat().st_size <= 12e6
    assert len(head.hash) == 16 and torch.isfinite(head.expression_basis).all()


def test_parts_and_regions_are_all_there(head: HeadModel) -> None:
    assert head.part_names == (
        "skin",
        "eyeLeft",
        "eyeRight",
        "teethUpper",
        "teethLower",
        "gums",
        "tongue",
        "mouth",
    )
    for name in head.part_names:
        assert len(head.part_faces(name)) > 200, name
    for name in head.region_names:
        assert head.region_mask(name).any() or name == "cornea", name


def test_mirror_is_exact(head: HeadModel) -> None:
    m = head.mirror
    assert torch.equal(m[m], torch.arange(len(m)))
    assert torch.equal(head.neutral[m] * FLIP, head.neutral)
    assert torch.equal(head.region[m], head.region)
    parity = head.identity_parity[:, None, None]
    assert torch.equal(head.identity_basis[:, m] * FLIP * parity, head.identity_basis)
    pair = [EXPRESSION_INDEX[mirrored_name(n)] for n in EXPRESSIONS]
    assert torch.equal(head.expression_basis[pair][:, m] * FLIP, head.expression_basis)
    swap = [JOINTS.index(mirrored_name(n)) for n in JOINTS]
    assert torch.allclose(head.skin_weights[m][:, swap], head.skin_weights, atol=1e-3)
    assert torch.allclose(head.joint_neutral[swap] * FLIP, head.joint_neutral, atol=1e-7)


def test_topology_is_mirrored(head: HeadModel) -> None:
    def canonical(faces: torch.Tensor) -> torch.Tensor:
        first = faces.argmin(1)
        turned = torch.stack([faces.gather(1, ((first + k) % 3)[:, None])[:, 0] for k in range(3)], 1)
        return turned[np.lexsort(turned.numpy().T)]

    assert torch.equal(canonical(head.faces), canonical(head.mirror[head.faces].flip(1)))


def test_skin_is_a_manifold(head: HeadModel) -> None:
    e = head.faces[head.part_faces("skin")][:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    key = e[:, 0] * len(head.neutral) + e[:, 1]
    assert len(key.unique()) == len(key)  # every directed edge once: oriented, no edge in three triangles


def test_atlas_does_not_overlap(head: HeadModel) -> None:
    from skimage.draw import polygon

    size = 2048
    count = np.zeros((size, size), np.uint8)
    corners = head.uv[head.faces_uv].numpy()
    assert corners.min() >= 0 and corners.max() <= 1
    for t in corners * size - 0.5:
        rr, cc = polygon(t[:, 1], t[:, 0], count.shape)
        count[rr, cc] += 1
    assert (count > 1).sum() < 2e-4 * (count > 0).sum()  # pixel centres that lie on an edge count twice
    assert (count > 0).mean() > 0.6


def test_eye_charts_are_large_enough_and_charts_keep_apart(head: HeadModel) -> None:
    boxes = {}
    for name in head.part_names:
        points = head.uv[head.faces_uv[head.part_faces(name)].unique()]
        boxes[name] = points
    for name in ("eyeLeft", "eyeRight"):
        extent = boxes[name].amax(0) - boxes[name].amin(0)
        assert (extent * 2048 >= 256).all()
    for name, points in boxes.items():
        for other, more in boxes.items():
            if name < other:
                assert torch.cdist(points, more).min() * 2048 > 3, (name, other)


def test_face_is_dense_in_the_atlas(head: HeadModel) -> None:
    f, fu = head.faces, head.faces_uv
    t, q = head.neutral[f], head.uv[fu]
    area = torch.linalg.cross(t[:, 1] - t[:, 0], t[:, 2] - t[:, 0]).norm(dim=1)
    a, b = q[:, 1] - q[:, 0], q[:, 2] - q[:, 0]
    chart = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).abs()

    def density(*names: str) -> float:
        inside = head.region_mask(*names)[f].all(1) & (head.part == 0)
        return float((chart[inside].sum() / area[inside].sum()).sqrt())

    assert density("face", "nose", "lips", "brows") > 1.35 * density("scalp", "shoulders")


def test_identity_is_orthogonal_on_the_skin(head: HeadModel) -> None:
    skin = head.faces[head.part_faces("skin")].unique()
    flat = head.identity_basis[:, skin].double().flatten(1)
    gram = flat @ flat.T
    norm = gram.diag().sqrt()
    cosine = gram / norm[:, None] / norm
    assert (cosine - torch.eye(len(gram))).abs().max() < 0.01
    assert (norm[:-1] >= norm[1:] * 0.999).all()


def test_skin_weights_are_a_partition(head: HeadModel) -> None:
    assert (head.skin_weights >= 0).all()
    assert torch.allclose(head.skin_weights.sum(1), torch.ones(len(head.neutral)), atol=2e-3)


def test_landmarks_lie_where_they_should(head: HeadModel) -> None:
    p = head.landmarks(head.neutral, 478)
    parts = head.part[head.landmark478_faces]
    assert (parts[468:473] == head.part_names.index("eyeRight")).all()
    assert (parts[473:478] == head.part_names.index("eyeLeft")).all()
    assert (parts[:468] == head.part_names.index("skin")).all()
    iris = (p[474] - p[476]).norm()
    assert 0.0112 < float(iris) < 0.0120
    # around both irises MediaPipe counts from the subject's left over the top
    assert torch.allclose(p[[468, 471, 470, 469, 472]] * FLIP, p[473:478], atol=1e-4)
    assert p[469, 0] > p[471, 0] and p[474, 0] > p[476, 0]
    lips = head.region[head.faces[head.landmark478_faces[[13, 14]]]]
    assert (lips == head.region_names.index("lips")).all()
    q = head.landmarks(head.neutral, 68)
    assert q[36:42, 0].max() < 0 < q[42:48, 0].min() and q[8, 1] < q[57, 1] < q[51, 1] < q[30, 1] < q[27, 1]
    assert float((q[45] - q[36]).norm()) == pytest.approx(0.089, abs=0.004)
