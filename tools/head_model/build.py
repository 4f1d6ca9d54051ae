"""The steps in their order: half a head's parts, their charts and bases, mirrored."""

from __future__ import annotations

import numpy as np

from head_model.assemble import Builder, Half
from head_model.atlas import disk_chart, skin_chart
from head_model.packing import fit_chart, occupied, place_skin, place_small
from head_model.parts import gums_and_tongue, teeth
from head_model.source import Source
from head_model.surface import build_half_mouth, build_half_skin, triangulate
from head_model.tidy import orthogonal

__all__ = ["PARTS", "build"]

PARTS = ["skin", "eyeLeft", "eyeRight", "teethUpper", "teethLower", "gums", "tongue", "mouth"]
IDENTITIES = 41
SMALL = {
    "eye": (0.128, 0.128),
    "teethUpper": (0.29, 0.058),
    "teethLower": (0.29, 0.058),
    "mouth": (0.11, 0.11),
    "gums": (0.10, 0.10),
    "tongue": (0.12, 0.065),
}


def build(source: Source) -> tuple[dict[str, np.ndarray], dict]:
    """All parts, charts and bases; and what the later steps need to know about the skin."""
    skin = build_half_skin(source)
    chart, _ = skin_chart(skin)
    chart = place_skin(chart)
    places = place_small(occupied(chart, skin.faces), SMALL)
    builder = Builder(source, PARTS)
    regions = ("face", "head_and_neck", "eye_socket_left", "mouth_socket")
    reference = triangulate(source.polys[source.polys_of(*regions)])
    reference = reference[source.neutral[reference][:, :, 0].mean(1) > 0]
    carry = builder.carry(skin.vertices, skin.faces, reference)
    shared = np.flatnonzero(np.abs(chart[:, 0] - 0.5) < 1e-12)
    builder.add(Half("skin", skin.vertices, skin.faces, carry, chart, shared=shared))
    growth = builder.add_eyes((*places["eye"], SMALL["eye"][0]))
    for name, rows in teeth(source).items():
        w, h = SMALL[name][0] / len(rows), SMALL[name][1]
        for k, (v, f, own) in enumerate(rows):
            flat = fit_chart(disk_chart(v, f), places[name][0] + k * w, places[name][1], w - 0.003, h - 0.003)
            builder.add(Half(name, v, f, builder.carry(v, f, own), flat, other=name))
    soft = gums_and_tongue(source)
    mouth = build_half_mouth(source)
    soft["mouth"] = (*mouth, triangulate(source.polys[source.polys_of("mouth_socket")]))
    for name in ("gums", "tongue", "mouth"):
        v, f, own = soft[name]
        flat = fit_chart(disk_chart(v, f), *places[name], *SMALL[name])
        builder.add(Half(name, v, f, builder.carry(v, f, own), flat))
    arrays = builder.arrays()
    skin_vertices = np.unique(arrays["faces"][arrays["part"] == 0])
    mix, parity, kept = orthogonal(arrays["identity_basis"], source.parity, skin_vertices, IDENTITIES)
    arrays["identity_basis"] = np.tensordot(mix, arrays["identity_basis"], 1)
    arrays["identity_parity"] = parity
    return arrays, {"skin": skin, "eye_motion": [mix @ m for m in growth], "kept": kept * source.kept}
