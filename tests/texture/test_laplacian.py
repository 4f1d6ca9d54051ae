"""Values diffused over the mesh: known ones stay, the others lie between them."""

from __future__ import annotations

from functools import cache

import numpy as np

from headcast.head.model import HeadModel
from headcast.texture.laplacian import diffuse, mesh_graph, solve_laplacian
from headcast.texture.texels import interpolate_attributes, texels_of


@cache
def bundled() -> HeadModel:
    """The bundled head."""
    return HeadModel.load()


def test_known_values_stay_and_the_others_lie_between_them() -> None:
    head = bundled()
    rest = head.neutral.numpy()
    trust = np.where(rest[:, 1] > np.quantile(rest[:, 1], 0.9), 1e4, 0.0)
    trust[rest[:, 1] < np.quantile(rest[:, 1], 0.1)] = 1e4
    value = rest[:, 1:2].astype(np.float64)
    out = solve_laplacian(mesh_graph(head, rest), value, trust)
    used = np.unique(head.faces[head.part == head.part_names.index("skin")].numpy())
    assert np.abs(out - value)[trust > 0].max() < 1e-3
    assert out[used].min() >= value.min() - 1e-6 and out[used].max() <= value.max() + 1e-6


def test_values_tend_to_the_usual_one_as_soon_as_told() -> None:
    head = bundled()
    texels = texels_of(head, 256)
    at = interpolate_attributes(head.neutral.numpy(), head.faces.numpy(), texels)
    graph = mesh_graph(head, head.neutral.numpy())
    weight = (at[:, 2] > 0.06).astype(np.float32)
    value = np.ones((len(at), 3))
    far = at[:, 2] < -0.06
    near, slow = (diffuse(head, texels, graph, value, weight, usual=0.0, attraction=h) for h in (0.1, 1e-6))
    assert np.median(near[far]) < 0.05 and np.median(slow[far]) > 0.5
    assert np.median(near[weight > 0]) > 0.9
    assert diffuse(head, texels, graph, value, weight).min() > 0.99  # none told: their median
