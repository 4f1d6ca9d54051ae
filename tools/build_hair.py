"""Builds the bundled hair (weights/hair.safetensors) from MakeHuman's CC0 hair, placed on the neutral head.

The input is a repack (npz) with, per item, ``vertices_ict`` (centimetres, on the ICT-FaceKit neutral head),
``tris``, ``tris_uv`` and ``uv`` (origin at the bottom left).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from headcast.weights import save_tensors

LEFT_OUT = ("eyelashes02", "eyelashes03", "eyelashes04")  # hardly differ from the first
LONGEST = 0.64  # metres that int16 holds in steps of 1/50 mm
CARD = {
    "name": "headcast-hair-1",
    "what": "hair, eyebrows and eyelashes as meshes on the neutral head",
    "licence": "CC0-1.0",
    "source": "MakeHuman community assets (makehumancommunity/makehuman-assets, commit 8cf9645b)",
    "tool": "tools/build_hair.py",
}


def outward(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Which triangles' pieces (connected triangles) face the inside of the head and must be turned."""
    owner = np.arange(len(vertices))
    while True:  # the lowest vertex of each piece
        low = owner[faces].min(1)
        new = owner.copy()
        for k in range(3):
            np.minimum.at(new, faces[:, k], low)
        new = new[new]
        if (new == owner).all():
            break
        owner = new
    corners = vertices[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    middle = corners.mean(1)
    axis = np.stack([np.zeros(len(middle)), np.minimum(middle[:, 1], 0.05), np.full(len(middle), 0.0)], 1)
    out = (normal * (middle - axis)).sum(1)
    piece = owner[faces[:, 0]]
    return np.bincount(piece, out, len(vertices))[piece] < 0


def item(source: np.lib.npyio.NpzFile, name: str) -> dict[str, torch.Tensor]:
    """One item's tensors as the asset stores them."""
    vertices = source[f"{name}/vertices_ict"] * 0.01
    faces, faces_uv = source[f"{name}/tris"].copy(), source[f"{name}/tris_uv"].copy()
    turned = outward(vertices, faces)
    faces[turned] = faces[turned][:, ::-1]
    faces_uv[turned] = faces_uv[turned][:, ::-1]
    uv = np.clip(source[f"{name}/uv"] * [1, -1] + [0, 1], 0, 1)
    assert np.abs(vertices).max() < LONGEST and max(len(uv), len(vertices)) < 32768
    return {
        f"{name}/vertices": torch.from_numpy(np.round(vertices / 2e-5).astype(np.int16)),
        f"{name}/uv": torch.from_numpy(np.round(uv * 32767).astype(np.int16)),
        f"{name}/faces": torch.from_numpy(faces.astype(np.int16)),
        f"{name}/faces_uv": torch.from_numpy(faces_uv.astype(np.int16)),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="repack of MakeHuman's hair (npz)")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    source = np.load(options.source)
    names, all_kinds = source["names"], source["kinds"]
    kinds = {str(n): str(k) for n, k in zip(names, all_kinds, strict=True) if n not in LEFT_OUT}
    tensors = {k: v for n in kinds for k, v in item(source, n).items()}
    save_tensors(options.output, tensors, {"hair": json.dumps({"kinds": kinds})})
    card = {**CARD, "items": list(kinds), "megabytes": round(options.output.stat().st_size / 2**20, 2)}
    options.output.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")


if __name__ == "__main__":
    main()
