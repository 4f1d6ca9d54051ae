"""From geometry to the asset: labels, rig, lids, landmarks, file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from head_model.lids import lid_tensors, settle
from head_model.parts import BULGE_HEIGHT, EYE_RADIUS, IRIS_RADIUS, bulge
from head_model.regions import REGIONS, label
from head_model.rig import jaw_hinge, joints, skin_weights, smooth, tongue_out
from head_model.source import FLIP, Source
from head_model.surface import HalfSkin
from head_model.tidy import smooth_crease
from headcast.head.embed import embed_landmarks
from headcast.head.model import HeadModel
from headcast.head.names import EXPRESSION_INDEX
from headcast.weights import save_tensors, weights_path

__all__ = ["finish", "write"]

HALF = ("identity_basis", "expression_basis", "skin_weights", "lid_spread")
SMALL_INT = ("part", "region")


def finish(
    source: Source,
    arrays: dict[str, np.ndarray],
    notes: dict,
    part_names: list[str],
    landmarks: Path | None,
) -> tuple[dict[str, torch.Tensor], dict]:
    """Tensors and meta data of the asset."""
    neutral, faces, part = arrays["neutral"], arrays["faces"], arrays["part"]
    owner = np.zeros(len(neutral), int)
    owner[faces.ravel()] = np.repeat(part, 3)
    tongue = owner == part_names.index("tongue")
    arrays["expression_basis"][EXPRESSION_INDEX["tongueOut"], tongue] = tongue_out(neutral[tongue])
    arrays["region"] = label(arrays, part_names, notes["skin"], source)
    hinge, angle = jaw_hinge(source)
    shift, growth = notes["eye_motion"]
    arrays["joint_neutral"], arrays["joint_identity"] = joints(
        source, neutral[owner == 0], arrays["identity_basis"][:, owner == 0], shift, arrays["identity_parity"]
    )
    jaw_open = arrays["expression_basis"][EXPRESSION_INDEX["jawOpen"]]
    arrays["skin_weights"] = skin_weights(neutral, jaw_open, owner, part_names, hinge, angle)
    arrays["eye_growth"] = np.stack([growth, growth * arrays["identity_parity"]], 1)
    _smooth(arrays, notes["skin"], source)
    arrays.update(lid_tensors(arrays, notes["skin"], source))
    arrays["neutral"] = settle(arrays)
    for count in (68, 478):
        arrays[f"landmark{count}_faces"] = np.zeros(count, int)
        arrays[f"landmark{count}_bary"] = np.full((count, 3), 1 / 3)
    meta = {"name": "headcast-head-1", "part_names": part_names, "region_names": REGIONS}
    head = HeadModel(tensors_of(arrays), {**meta, "hash": ""})
    points = json.loads((landmarks or weights_path("landmarks").with_suffix(".json")).read_text())
    wanted = {count: np.array(points[f"points{count}"]) for count in (68, 478)}
    wanted[478][468:] = iris_points(source.eye_center)
    for count in (68, 478):
        face, bary = embed_landmarks(head, wanted[count])
        arrays[f"landmark{count}_faces"], arrays[f"landmark{count}_bary"] = face, bary
    skin = owner == 0
    meta["card"] = {
        "name": meta["name"],
        "licence": "Apache-2.0; geometry learned from ICT-FaceKit (MIT, USC ICT)",
        "source": "ICT-FaceKit, Face Model Light, commit da5f95a607f5e6b37755b38d3385d7f2853732e5",
        "vertices": len(neutral),
        "skin_vertices": int(skin.sum()),
        "triangles": len(faces),
        "identity_components": len(arrays["identity_basis"]),
        "identity_variance_kept": round(notes["kept"], 4),
        "regions": REGIONS,
        "built_by": "tools/build_head_model.py",
        "landmarks": "weights/landmarks.json",
    }
    return tensors_of(arrays), meta


def _smooth(arrays: dict[str, np.ndarray], half: HalfSkin, source: Source) -> None:
    """Smooths creases of the cheek, away from lips and lids."""
    v, lm = arrays["neutral"], source.neutral[source.landmarks68]
    lips = np.linalg.norm(v[:, None] - lm[48:68], axis=-1).min(1)
    eyes = np.linalg.norm(v[:, None] - lm[36:48], axis=-1).min(1)
    weight = smooth(lips, 0.005, 0.014) * smooth(eyes, 0.006, 0.012)
    inside = np.ones(len(v), bool)
    skin = np.unique(half.faces)
    inside[skin] = inside[arrays["mirror"][skin]] = False
    weight[inside] = 0
    smooth_crease(arrays["expression_basis"], arrays["faces"], weight)


def iris_points(center: np.ndarray) -> np.ndarray:
    """MediaPipe's iris points, right eye first: centre, then the limbus towards the subject's left (of both
    eyes), up, right, down."""
    depth = np.sqrt(EYE_RADIUS**2 - IRIS_RADIUS**2)
    depth += bulge(np.array(depth / EYE_RADIUS)) * depth / EYE_RADIUS
    ring = [(0, 0, EYE_RADIUS + BULGE_HEIGHT)] + [
        (x * IRIS_RADIUS, y * IRIS_RADIUS, depth) for x, y in ((1, 0), (0, 1), (-1, 0), (0, -1))
    ]
    return np.concatenate([np.array(ring) + center * FLIP, np.array(ring) + center])


def tensors_of(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Arrays in the asset's number formats."""
    out = {}
    for name, a in arrays.items():
        if name in SMALL_INT:
            kind = np.uint8
        elif a.dtype.kind in "iu":
            kind = np.int32
        else:
            kind = np.float16 if name in HALF else np.float32
        out[name] = torch.from_numpy(np.ascontiguousarray(a.astype(kind)))
    return out


def write(tensors: dict[str, torch.Tensor], meta: dict, path: Path) -> None:
    """The asset and its card beside it."""
    card = meta.pop("card")
    save_tensors(path, tensors, {"head": json.dumps(meta)})
    card["megabytes"] = round(path.stat().st_size / 1e6, 2)
    path.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")
    meta["card"] = card
