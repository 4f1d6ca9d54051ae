"""Learns how a smile changes the light on the skin, ``weights/smile.safetensors``, from pairs of photos.

    python tools/learn_smile.py ../shared/data/london [--people 67] [--subset K] [-o FILE]

A pair shows one person neutral and smiling in the same even light. Every vertex of the head's front is a
point between MediaPipe's landmarks, and so a pixel of both photos; the logarithm of the ratio of their
luminance, without what the head model's own shading changes, is what folds and bulges add. A smile is as
strong as the drivers say (the same sum that drives avatars). Half faces are mirrored onto each other. The
mean over the people, weighted by strength, is the field; principal components of what remains come with it.
People are those of the table's split `train`.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from headcast.evaluate.aligned import read_rgb
from headcast.evaluate.landmarks import StaticLandmarks
from headcast.head.embed import closest_on_mesh
from headcast.head.face_oval import OVAL
from headcast.head.model import HeadModel
from headcast.head.names import EXPRESSION_INDEX, EXPRESSIONS
from headcast.head.params import HeadParams
from headcast.head.skin import uv_key
from headcast.image import srgb_to_linear
from headcast.interpolation import smoothstep
from headcast.render.shading import SH_CONSTANTS, shade
from headcast.weights import save_tensors, weights_path

SEED = 0
SIDE_DRIVERS = {"mouthSmile": 0.9, "cheekSquint": 0.3, "eyeSquint": 0.2}
BLUR_M = 0.0009  # standard deviation of the photos' blur: a vertex stands for the skin around it
MIN_STRENGTH = 0.25  # of a smile, below which a pair says too little
MAX_LOG = 0.6  # larger changes are hair, glasses or lips that moved
HUBER = 0.12  # log: what a person's ratio may differ from the field before it counts less
ROUNDS = 8
COMPONENTS = 3
NEUTRAL_REGIONS = ("nose", "face")  # whose median change is that of the exposure
EDGE_M = (0.004, 0.016)  # from the oval's border, over which the field rises
FEATURE_M = (0.002, 0.006)  # from lips, lids and brows, over which it rises
STUDIO_LIGHT = (1.0, 0.08, 0.22, 0.0, 0.0, 0.1, 0.16, 0.0, -0.12)  # harmonics as fits to these photos find them
IRISES = range(468, 478)
FEATURES = ("lips", "lids", "brows", "sclera", "iris", "pupil", "cornea", "teeth", "gums", "tongue", "mouth")


@dataclass(frozen=True)
class Grid:
    """Vertices of the face's front as points between landmarks.

    Attributes:
        vertex: (n,) indices. corners, bary: (n, 3) landmarks around each, and their weights.
        weight: (n,) 0..1, less at the oval's border and near lips, lids and brows.
    """

    vertex: np.ndarray
    corners: np.ndarray
    bary: np.ndarray
    weight: np.ndarray

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Return where the vertices lie in a photo with these landmarks, (n, 2)."""
        return (points[self.corners] * self.bary[..., None]).sum(1)


def face_grid(head: HeadModel) -> Grid:
    """Find the vertices of the face and the triangles of landmarks around them."""
    import cv2

    landmarks = head.landmarks(head.neutral).numpy().astype(np.float64)
    used = [k for k in range(468) if k not in IRISES]
    low, high = landmarks[:, :2].min(0) - 0.01, landmarks[:, :2].max(0) + 0.01
    scale = 4000 / (high - low).max()
    flat = ((landmarks[:, :2] - low) * scale).astype(np.float32)
    mesh = cv2.Subdiv2D((0, 0, 4001, 4001))
    number = {}
    for k in used:
        number[mesh.insert((float(flat[k, 0]), float(flat[k, 1])))] = k
    triangles = []
    for t in mesh.getTriangleList().reshape(-1, 3, 2):
        if (t >= 0).all() and (t <= 4001).all():
            ids = [number.get(mesh.locate((float(p[0]), float(p[1])))[2]) for p in t]
            if None not in ids:
                triangles.append(ids)
    faces = np.array(triangles)
    skin = head.faces[head.part_faces("skin")].unique().numpy()
    position = head.neutral.numpy().astype(np.float64)
    inside = cv2_inside(flat[list(OVAL)], (position[skin, :2] - low) * scale)
    front = head.vertex_normals(head.neutral).numpy()[skin, 2] > 0.15
    vertex = skin[inside & front & (position[skin, 2] > 0.04)]
    found, bary = closest_on_mesh(position[vertex], landmarks, faces)[:2]
    return Grid(vertex, faces[found], bary, _weights(head, vertex, landmarks))


def cv2_inside(outline: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return which points lie inside a closed outline."""
    import cv2

    shape = outline.astype(np.float32).reshape(-1, 1, 2)
    return np.array([cv2.pointPolygonTest(shape, (float(x), float(y)), False) > 0 for x, y in points])


def _weights(head: HeadModel, vertex: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Return 0..1 by distance from the oval's border and from moving features."""
    from scipy.spatial import cKDTree

    position = head.neutral.numpy()
    border = landmarks[list(OVAL)]
    dense = np.concatenate([border + t * (np.roll(border, -1, 0) - border) for t in np.linspace(0, 1, 8)[:-1]])
    weight = smoothstep(cKDTree(dense).query(position[vertex])[0], *EDGE_M)
    names = np.array(head.region_names)[head.region.numpy()]
    features = position[np.isin(names, FEATURES)]
    return weight * smoothstep(cKDTree(features).query(position[vertex])[0], *FEATURE_M)


def strengths(scores: np.ndarray) -> np.ndarray:
    """Return how strongly the left and the right side smile, 0..1."""
    return np.array(
        [
            min(1.0, sum(w * float(scores[EXPRESSION_INDEX[f"{k}{side}"]]) for k, w in SIDE_DRIVERS.items()))
            for side in ("Left", "Right")
        ]
    )


def log_luminance(rgb: np.ndarray, points: np.ndarray, grid: Grid) -> np.ndarray:
    """Return the logarithm of linear luminance at the grid's vertices in a photo."""
    import cv2

    iris = float(np.linalg.norm(points[468] - points[473]))
    blurred = cv2.GaussianBlur(
        srgb_to_linear(rgb.astype(np.float32) / 255).mean(-1), (0, 0), BLUR_M / 0.062 * iris
    )
    at = grid.pixels(points).astype(np.float32)
    found = cv2.remap(blurred, at[None, :, 0] - 0.5, at[None, :, 1] - 0.5, cv2.INTER_LINEAR)[0]
    return np.log(np.maximum(found, 1e-3))


def own_shading(head: HeadModel, grid: Grid, scores: np.ndarray) -> np.ndarray:
    """Return the log luminance that the head model's normals alone give an expression, at the vertices."""
    rest = HeadParams.neutral(head.identities)
    params = rest.replace(expression=torch.from_numpy(scores.astype(np.float32)))
    light = torch.tensor(STUDIO_LIGHT)[:, None].expand(9, 3) / SH_CONSTANTS[0]
    normals = head.vertex_normals(head(params))[torch.from_numpy(grid.vertex)]
    return np.log(np.maximum(shade(normals, light).numpy().mean(-1), 1e-2))


@dataclass(frozen=True)
class Pairs:
    """What N pairs of photos tell.

    Attributes:
        ratio: (N, n) log change of light at the grid's vertices. strength: (N, 2) of the left and right smile.
    """

    ratio: np.ndarray
    strength: np.ndarray


def read_pairs(data: Path, people: list[str], head: HeadModel, grid: Grid) -> Pairs:
    """Read all pairs; those that hardly smile are left out."""
    ratios, strength = [], []
    with StaticLandmarks() as detector:
        for name in people:
            logs, scores = [], []
            for ending in ("neutral", "smile"):
                rgb = read_rgb(data / f"{name}_{ending}.jpg")
                points = detector.real_points(rgb, name)
                scores.append(detector.scores(points))
                logs.append(log_luminance(rgb, points, grid) - own_shading(head, grid, scores[-1]))
            change = strengths(scores[1]) - strengths(scores[0])
            if change.min() < MIN_STRENGTH:
                continue
            ratio = logs[1] - logs[0]
            ratios.append(ratio - np.median(ratio[grid.weight > 0.5]))
            strength.append(change)
    if not ratios:
        raise SystemExit(f"learn_smile: {data}: nobody of the split 'train' smiles there")
    return Pairs(np.stack(ratios), np.stack(strength))


def side_field(pairs: Pairs, grid: Grid, head: HeadModel) -> tuple[np.ndarray, np.ndarray]:
    """Return the left smile's field (V,) and its principal components (C, V), right halves mirrored."""
    count = len(head.neutral)
    full = np.zeros((len(pairs.ratio), count))
    known = np.zeros(count)
    full[:, grid.vertex], known[grid.vertex] = pairs.ratio.clip(-MAX_LOG, MAX_LOG), grid.weight
    mirror = head.mirror.numpy()
    left = left_weight(head)
    y = np.concatenate([full, full[:, mirror]])
    s = np.concatenate([pairs.strength[:, 0], pairs.strength[:, 1]])[:, None]
    field = np.zeros(count)
    for _ in range(ROUNDS):
        trust = np.minimum(1, HUBER / np.maximum(np.abs(y - s * field), 1e-9))
        field = (trust * s * y).sum(0) / np.maximum((trust * s * s).sum(0), 1e-9)
    weight = known * left
    rest = (y / s - field) * weight * np.minimum(1, s / 0.6)
    values, vectors = np.linalg.eigh(rest @ rest.T / len(rest))
    top = vectors[:, ::-1][:, :COMPONENTS]
    components = top.T @ rest / np.sqrt(len(rest))
    return field * weight, components


def left_weight(head: HeadModel) -> np.ndarray:
    """Return 0..1: how far a vertex belongs to the subject's left half; both halves sum to 1."""
    return smoothstep(head.neutral[:, 0].numpy().astype(np.float64), -0.008, 0.008)


def learn(data: Path, people: list[str], head: HeadModel) -> tuple[dict[str, torch.Tensor], int]:
    """Return the tensors of the weights file, and the number of people who smile."""
    grid = face_grid(head)
    pairs = read_pairs(data, people, head, grid)
    field, components = side_field(pairs, grid, head)
    drivers = torch.zeros(len(EXPRESSIONS))
    for name, weight in SIDE_DRIVERS.items():
        drivers[EXPRESSION_INDEX[f"{name}Left"]] = weight
    return {
        "field": torch.from_numpy(field).half(),
        "components": torch.from_numpy(components).half(),
        "drivers": drivers,
    }, len(pairs.ratio)


def train_people(data: Path) -> list[str]:
    """Return the people of the split `train` who have both photos."""
    rows = csv.DictReader((data / f"{data.resolve().name}.csv").open())
    names = sorted({r["person"] for r in rows if r["split"] == "train"})
    both = ("neutral", "smile")
    return [n for n in names if all((data / f"{n}_{end}.jpg").is_file() for end in both)]


def main() -> None:
    """Learn and write the weights and their card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--people", type=int, default=67)
    parser.add_argument("--subset", type=int, help="0, 1 or 2: every third of the people only")
    parser.add_argument("-o", "--output", type=Path, default=weights_path("smile"))
    args = parser.parse_args()
    start = time.time()
    torch.set_grad_enabled(False)
    head = HeadModel.load()
    people = train_people(args.data)[: args.people]
    if args.subset is not None:
        people = people[args.subset :: 3]
    tensors, smiling = learn(args.data, people, head)
    meta = {"name": "headcast-smile-v1", "uv": uv_key(head), "head": head.hash}
    save_tensors(args.output, tensors, {"smile": json.dumps(meta)})
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    card = {
        "name": meta["name"],
        "what": "logarithm of the factor on the light at the head's vertices that comes with a smile",
        "licence": "CC BY 4.0 data: Face Research Lab London Set v5, L. DeBruine and B. Jones, 2017",
        "made_by": "tools/learn_smile.py",
        "commit": commit,
        "seed": SEED,
        "head": head.hash,
        "uv": meta["uv"],
        "trained_on": f"{smiling} of {len(people)} pairs, neutral and smiling, of the split 'train'; mirrored",
        "people": people,
        "drivers": SIDE_DRIVERS,
        "components": COMPONENTS,
        "seconds": round(time.time() - start),
        "limits": "one studio's even light; young adults; no colour change, luminance only; folds narrower "
        "than the distance of the head's vertices (2 to 3 mm) are blurred",
    }
    args.output.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")
    sys.stderr.write(json.dumps(card, indent=1) + "\n")


if __name__ == "__main__":
    main()
