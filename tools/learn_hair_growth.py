"""Learns where short hair grows on a head: ``weights/hair_growth.safetensors``.

    python tools/learn_hair_growth.py ../shared/data [--cache private/growth] [-o FILE]
    python tools/learn_hair_growth.py ../shared/data --cache private/growth --score    # held-out people

Front photos of the `train` splits of london, canada and house118 say for the rays of the hair's grid that
face the camera whether there is hair; people whose hair hangs beside the neck, and bald ones, are left out.
Both sides are averaged. What no front photo shows, behind the ears, comes from the bundled short hair of
MakeHuman (CC0). Only these averages are kept.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from headcast import api
from headcast.camera import project_points
from headcast.errors import HeadcastError
from headcast.head.hair import HairAsset
from headcast.head.model import HeadModel
from headcast.image import sample_bilinear
from headcast.interpolation import smoothstep
from headcast.methods.fit.hair.grid import DOME_ROWS, HairGrid, blur_around, mirror, normals
from headcast.observe.types import Observation
from headcast.render.geometry import visibility
from headcast.weights import load_tensors, save_tensors, weights_path

NEAR_SKIN_M = 0.004  # above the skin, where the hair mask is sampled
FACING = (0.08, 0.3)  # cosines to the camera between which a ray begins to count
LONG, BALD = 0.1, 0.6  # fraction of hair beside the neck and on the forehead's rim, that leave a person out
MESHES = ("short01", "short02", "short03", "short04")
MESH_WEIGHT = 2.0  # people that the meshes count as, together
SETS = ("london", "canada", "house118")
MAP_ROWS = 72  # of the grid, whose number of rows depends on the head; below are shoulders
PEOPLE = 30  # of each set at most


class Seen(NamedTuple):
    """Hair (0..1) of one person on the grid's rays, and its confidence; whether the hair is short."""

    hair: np.ndarray
    confidence: np.ndarray
    short: bool


def chosen(data: Path, folder: str, split: str = "train") -> list[Path]:
    """Neutral front photos of a split's people of one set, evenly from its list."""
    rows = [r for r in csv.DictReader((data / folder / f"{folder}.csv").open()) if r["split"] == split]
    rows = [r for r in rows if r.get("expression", "neutral") == "neutral"]
    names = [r.get("file") or f"{r['id']}.jpg" for r in rows]
    return [data / folder / name for name in names[:: max(1, len(names) // PEOPLE)][:PEOPLE]]


def seen_in(observation: Observation, head: HeadModel) -> Seen:
    """Sample the hair mask near the skin along every ray."""
    masks, camera, params = observation.masks, observation.camera, observation.params
    assert masks is not None
    rest = head.shape(params.identity).numpy()
    grid = HairGrid.around(rest, head)
    skin = grid.outermost(rest, head.faces[head.part == head.part_names.index("skin")].numpy())
    surface = grid.posed(skin, head, params)
    near = grid.posed(skin + NEAR_SKIN_M, head, params)
    to_camera = camera.center.numpy() - surface
    facing = (normals(surface) * to_camera).sum(-1) / np.linalg.norm(to_camera, axis=-1)
    pixel = project_points(near, camera)[0].reshape(-1, 2).astype(np.float32)
    h, w = observation.image.shape[:2]
    inside = ((pixel > 1) & (pixel < [w - 1, h - 1])).all(-1).reshape(grid.shape)
    points = torch.from_numpy(near.reshape(-1, 3)).float()
    shown = visibility(points, camera, head(params), head.faces, tolerance=0.004).numpy().reshape(grid.shape)
    hair = sample_bilinear(masks.hair.astype(np.float32), pixel).reshape(grid.shape)
    confidence = smoothstep(facing, *FACING) * inside * shown
    return Seen(hair[:MAP_ROWS], confidence[:MAP_ROWS], _is_short(observation, hair, confidence))


def _is_short(observation: Observation, hair: np.ndarray, confidence: np.ndarray) -> bool:
    """Return whether there is hair above the forehead, and none beside the neck."""
    points, masks = observation.detection.points, observation.masks
    assert masks is not None
    chin, brow = points[152], points[10]
    height = float(np.linalg.norm(chin - brow))
    y0, y1 = int(chin[1] - 0.1 * height), int(chin[1] + 0.35 * height)
    x0, x1 = int(chin[0] - 0.9 * height), int(chin[0] + 0.9 * height)
    beside = masks.hair[max(y0, 0) : max(y1, 1), max(x0, 0) : max(x1, 1)]
    long = float(beside.sum()) / height**2 > LONG
    top = slice(int(0.3 * DOME_ROWS), int(0.6 * DOME_ROWS))
    weight = float(confidence[top].sum())
    return not long and weight > 0 and float((hair * confidence)[top].sum()) / weight > BALD


def all_seen(paths: list[Path]) -> list[Seen]:
    """Observe everybody in turn."""
    head, found = HeadModel.load(), []
    for path in paths:
        try:
            with torch.no_grad():
                found.append(seen_in(api.observe([path], head=head)[0], head))
        except HeadcastError as e:
            print(f"left out: {path.name}: {e}", file=sys.stderr)
    return found


def cached(data: Path, folder: str, cache: Path | None, split: str = "train") -> list[Seen]:
    """Return the people of one set, from the cache or observed now."""
    suffix = "" if split == "train" else f"-{split}"
    path = None if cache is None else cache / f"{folder}{suffix}.npz"
    if path is not None and path.is_file():
        kept = np.load(path)
        return [
            Seen(h, c, bool(s))
            for h, c, s in zip(kept["hair"], kept["confidence"], kept["short"], strict=True)
        ]
    people = all_seen(chosen(data, folder, split))
    if path is not None and people:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            path,
            hair=np.stack([s.hair for s in people]).astype(np.float16),
            confidence=np.stack([s.confidence for s in people]).astype(np.float16),
            short=np.array([s.short for s in people]),
        )
    return people


def mesh_cover(head: HeadModel) -> np.ndarray:
    """Return the mean cover (n, m) of the bundled short hair."""
    rest, asset = head.neutral.numpy(), HairAsset.load()
    grid = HairGrid.around(rest, head)
    covers = []
    for name in MESHES:
        vertices = asset[name].worn(head, torch.zeros(head.identities)).numpy()
        corners = vertices[asset[name].faces.numpy()]
        samples = np.random.default_rng(0).dirichlet(np.ones(3), 40) @ corners  # (f, 40, 3)
        row, column, _ = grid.place(samples.reshape(-1, 3))
        cover = np.zeros(grid.shape)
        i, j = np.round(row).astype(int), np.round(column).astype(int) % grid.shape[1]
        ok = (i >= 0) & (i < len(cover))
        cover[i[ok], j[ok]] = 1
        covers.append(without_holes(cover))
    return np.mean(covers, 0)[:MAP_ROWS]


def without_holes(cover: np.ndarray) -> np.ndarray:
    """Fill what samples missed, and the crown."""
    import cv2

    pad = 6
    wrapped = np.pad(np.pad(cover, ((pad, pad), (0, 0)), "edge"), ((0, 0), (pad, pad)), "wrap")
    closed = cv2.morphologyEx(wrapped, cv2.MORPH_CLOSE, np.ones((5, 5)))[pad:-pad, pad:-pad]
    closed[:4] = 1
    return closed


def average(people: list[Seen], meshes: np.ndarray) -> np.ndarray:
    """Return the probability (n, m) of hair on every ray, both sides alike."""
    short = [s for s in people if s.short]
    weight = sum((s.confidence for s in short), np.zeros_like(meshes))
    total = sum((s.confidence * s.hair for s in short), np.zeros_like(meshes))
    weight, total = weight + mirror(weight), total + mirror(total)
    prior = 0.5 * (meshes + mirror(meshes))
    value = (total + MESH_WEIGHT * prior) / (weight + MESH_WEIGHT)
    return np.clip(blur_around(value, 0.7), 0, 1)


def brier(growth: np.ndarray, people: list[Seen]) -> float:
    """Return the mean square error of a map on the rays that short-haired people's photos show."""
    short = [s for s in people if s.short]
    weight = sum(float(s.confidence.sum()) for s in short)
    return sum(float((s.confidence * (s.hair - growth) ** 2).sum()) for s in short) / weight


def score(train: list[Seen], held_out: list[Seen], meshes: np.ndarray) -> dict[str, float]:
    """Return the error on held-out people of the shipped map, of controls, and of maps of thirds."""
    shipped = load_tensors("hair_growth").tensors["growth"].numpy() / 255.0
    short = [s for s in train if s.short]
    rows = {
        "shipped": shipped,
        "nothing grows": 0 * shipped,
        "MakeHuman's short hair alone": average([], meshes),
        "one probability": np.full_like(shipped, shipped.mean()),
        "shipped, upside down": shipped[::-1],
        **{f"third {k + 1} of the people": average(short[k::3], meshes) for k in range(3)},
    }
    return {name: brier(growth, held_out) for name, growth in rows.items()}


def main(arguments: list[str]) -> None:
    """Learn the map and write it with its card; or score it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--score", action="store_true", help="score the shipped map on validation people")
    parser.add_argument("-o", "--out", type=Path, default=weights_path("hair_growth"))
    args = parser.parse_args(arguments)
    people = [s for folder in args.sets for s in cached(args.data, folder, args.cache)]
    meshes = mesh_cover(HeadModel.load())
    if args.score:
        held_out = [s for f in args.sets for s in cached(args.data, f, args.cache, "validation")]
        print(f"{sum(s.short for s in held_out)} short-haired of {len(held_out)} validation people")
        for name, error in score(people, held_out, meshes).items():
            print(f"{name}: {error:.4f}")
        return
    growth = average(people, meshes)
    count = sum(s.short for s in people)
    save_tensors(
        args.out,
        {"growth": torch.from_numpy((growth * 255).round().astype(np.uint8))},
        {"name": "hair_growth"},
    )
    text = {
        "name": "headcast-hair-growth-1",
        "what": "probability that short hair grows, on the rays of the hair's grid around a head",
        "licence": "CC-BY-4.0",
        "source": "MakeHuman community assets (CC0-1.0) and photographs of people",
        "credit": "Face Research Lab London Set (figshare 5047666) and Canada Set (figshare 4220517), "
        "Lisa DeBruine and Benedict Jones 2017, both CC BY 4.0, averaged. The makers' consent text speaks of "
        "studies and of illustrating research; an older page of the laboratory says that its images are "
        "never for commercial purposes; the later releases are CC BY 4.0.",
        "trained_on": "front photos of the London and Canada Sets and of the 118th House (public domain), "
        "train splits: whether there is hair on rays that face the camera",
        "people": {"observed": len(people), "with short hair": count},
        "tool": "tools/learn_hair_growth.py",
    }
    args.out.with_suffix(".json").write_text(json.dumps(text, indent=1) + "\n")
    print(f"{args.out}: {count} of {len(people)} people")


if __name__ == "__main__":
    main(sys.argv[1:])
