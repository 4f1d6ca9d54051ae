"""Learns the low-rank skin model from the `train` portraits (public domain only) in the head's current UV.

    python tools/build_skin_model.py ../shared/data [--people 160] [--components 28] [--size 256] [-o FILE]

Every portrait is fitted, unprojected into UV and de-lit; hair, glasses, clothes and slanted views are left
out. Mirrored copies double the data. Missing texels are first carried over the mesh, then imputed by the
model itself (EM for PCA with missing data), while what no skin looks like loses weight. Rerun after
every change of the head's topology or UV; takes some five minutes on one core.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from headcast.errors import HeadcastError
from headcast.head.model import HeadModel
from headcast.head.skin import uv_key
from headcast.methods.fit.skin.complete import EPS
from headcast.methods.fit.skin.photos import DelitPhoto, delight_photo
from headcast.observe.observe import observe_photo
from headcast.texture.laplacian import Graph, diffuse, mesh_graph
from headcast.texture.texels import Texels, interpolate_attributes, texels_of
from headcast.weights import save_tensors, weights_path

SEED = 0
ROUNDS = 10
ROBUST = 0.35
MAX_LANDMARK_ERROR = 2.0  # % of the iris distance: worse fits are left out
MAX_ALBEDO = 1.5  # linear; brighter is gloss


def chosen(data: Path, people: int) -> list[Path]:
    """Colour portraits of `train`, spread evenly over how light the face is (most are of light skin)."""
    import cv2

    train = set(json.loads((data / "splits.json").read_text())["train"])
    rows = []
    for folder, pixels in (("portraits", 1024), ("portraits_pd", 0)):
        for r in csv.DictReader((data / folder / f"{folder}.csv").open()):
            if r["id"] not in train or r.get("black_and_white") == "yes" or abs(float(r["yaw_deg"])) > 25:
                continue
            if folder == "portraits" and r["same_photo_as_public_domain"] != "yes":
                continue
            path = data / folder / f"{r['id']}.jpg"
            image = cv2.imread(str(path))
            scale = image.shape[1] / pixels if pixels else 1.0
            x0, y0, x1, y1 = (float(r[f"face_{k}"]) * scale for k in ("x0", "y0", "x1", "y1"))
            w, h = x1 - x0, y1 - y0
            cheeks = image[int(y0 + 0.5 * h) : int(y0 + 0.7 * h), int(x0 + 0.2 * w) : int(x0 + 0.8 * w)]
            rows.append((float(np.median(cheeks)), path))
    if not rows:
        raise SystemExit(f"build_skin_model: {data}: no colour portrait of the split 'train'")
    rows.sort(key=lambda r: (r[0], r[1].name))
    light = np.array([r[0] for r in rows])
    rng = np.random.default_rng(SEED)
    density = np.array([(np.abs(light - x) < 8).sum() for x in light]) ** 0.6
    p = 1 / density
    picked = rng.choice(len(rows), min(people, len(rows)), replace=False, p=p / p.sum())
    return [rows[i][1] for i in sorted(picked)]


def samples(paths: list[Path], head: HeadModel, texels: Texels) -> tuple[np.ndarray, np.ndarray]:
    """Log albedo (N, n, 3) and weights (N, n) of every portrait that can be fitted.

    Raises:
        SystemExit: none can be.
    """
    values, weights = [], []
    graph = mesh_graph(head, head.neutral.numpy())
    for k, path in enumerate(paths):
        try:
            observation = observe_photo(path, head)
        except HeadcastError as e:
            sys.stderr.write(f"left out: {e}\n")
            continue
        if observation.landmark_error > MAX_LANDMARK_ERROR or observation.light is None:
            sys.stderr.write(f"left out: {path}: landmarks {observation.landmark_error:.1f} % off\n")
            continue
        log, weight = log_albedo(delight_photo(observation, head, texels), head, texels, graph)
        values.append(log)
        weights.append(weight)
        if k % 20 == 0:
            sys.stderr.write(f"{k}/{len(paths)}\n")
    if not values:
        raise SystemExit(
            "build_skin_model: no portrait could be fitted; give another folder or more --people"
        )
    return np.stack(values), np.stack(weights)


def log_albedo(
    photo: DelitPhoto, head: HeadModel, texels: Texels, graph: Graph
) -> tuple[np.ndarray, np.ndarray]:
    """Log albedo (n, 3) of a portrait, diffused over the mesh where it shows no skin, and weights (n,)."""
    observed = photo.observed
    skin = (head.part == head.part_names.index("skin")).numpy()[texels.triangle]
    weight = observed.confidence * observed.label[:, 0] ** 3 * (1 - photo.samples.glasses) * skin
    log = np.log(np.clip(observed.albedo, 0, MAX_ALBEDO) + EPS)
    known = observed.confidence * observed.is_clean * observed.frontality * observed.label[:, 0] ** 2
    far = diffuse(head, texels, graph, log, known)
    filled = weight[:, None] * log + (1 - weight[:, None]) * far
    return filled.astype(np.float32), weight.astype(np.float32)


def mirror_of(head: HeadModel, texels: Texels) -> np.ndarray:
    """For every texel the one at the mirrored place."""
    from scipy.spatial import cKDTree

    p = interpolate_attributes(head.neutral.numpy(), head.faces.numpy(), texels)
    return cKDTree(p).query(p * [-1, 1, 1])[1]


def factorize(x: np.ndarray, w: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """Mean, components scaled by their standard deviation, and the share of variance after each round."""
    n = len(x)
    w = w.copy()
    filled, history = x.copy(), []
    for round_ in range(ROUNDS):
        mean = filled.mean(0)
        centred = (filled - mean).reshape(n, -1)
        values, vectors = np.linalg.eigh(centred @ centred.T / n)
        values, vectors = values[::-1][:k], vectors[:, ::-1][:, :k]
        shrink = np.clip(1 - values[-1] / values, 0.1, 1)
        low = (vectors * shrink) @ (vectors.T @ centred)
        low = low.reshape(x.shape) + mean
        residual = np.linalg.norm(x - low, axis=-1)
        trust = w * np.minimum(1, ROBUST / np.maximum(residual, 1e-6)) if round_ else w
        filled = trust[..., None] * x + (1 - trust[..., None]) * low
        seen = (w[..., None] * (x - mean) ** 2).sum()
        history.append(float(1 - (w * residual**2).sum() / seen))
    components = (vectors.T @ centred) / np.sqrt(n * values)[:, None] * np.sqrt(values)[:, None]
    return mean, components.reshape(k, *x.shape[1:]), history


def model_of(
    x: np.ndarray, w: np.ndarray, head: HeadModel, texels: Texels, components: int
) -> tuple[dict[str, torch.Tensor], list[float]]:
    """Tensors of the model's file from log albedo and weights, mirrored copies added; explained variance."""
    mirrored = mirror_of(head, texels)
    x, w = np.concatenate([x, x[:, mirrored]]), np.concatenate([w, w[:, mirrored]])
    skin = (head.part == head.part_names.index("skin")).numpy()[texels.triangle]
    mean, basis, history = factorize(x[:, skin], w[:, skin], min(components, len(x) - 1))
    inside = np.zeros(texels.size**2, bool)
    inside[texels.index[skin]] = True
    order = np.argsort(texels.index[skin])
    scale = np.abs(basis).max((1, 2)) / 127
    return {
        "mean": torch.from_numpy(mean[order]).half(),
        "components": torch.from_numpy(np.round(basis[:, order] / scale[:, None, None])).to(torch.int8),
        "scale": torch.from_numpy(scale).float(),
        "inside": torch.from_numpy(inside.reshape(texels.size, texels.size)),
    }, history


def main() -> None:
    """Builds and writes the model and its card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--people", type=int, default=160)
    parser.add_argument("--components", type=int, default=28)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("-o", "--output", type=Path, default=weights_path("skin"))
    args = parser.parse_args()
    start = time.time()
    torch.manual_seed(SEED)
    head = HeadModel.load()
    texels = texels_of(head, args.size)
    with torch.no_grad():
        x, w = samples(chosen(args.data, args.people), head, texels)
    tensors, history = model_of(x, w, head, texels, args.components)
    meta = {"name": "headcast-skin-v1", "uv": uv_key(head), "head": head.hash}
    save_tensors(args.output, tensors, {"skin": json.dumps(meta)})
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    card = {
        "name": meta["name"],
        "what": "low-rank skin albedo (log linear colour) in the head's UV",
        "licence": "Apache-2.0",
        "made_by": "tools/build_skin_model.py",
        "commit": commit,
        "seed": SEED,
        "head": head.hash,
        "uv": meta["uv"],
        "trained_on": f"{len(x)} public-domain portraits (official portraits of members of the US "
        "Congress; split 'train'), each also mirrored",
        "size": args.size,
        "components": len(tensors["components"]),
        "seconds": round(time.time() - start),
        "explained": [round(h, 4) for h in history],
        "limits": "few people, mostly older and of light skin; chosen evenly over lightness",
    }
    args.output.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")
    sys.stderr.write(json.dumps(card, indent=1) + "\n")


if __name__ == "__main__":
    main()
