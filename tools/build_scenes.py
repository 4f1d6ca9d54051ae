"""Scenes to put cut-out people before: parts of light maps, interiors, foliage, cloths, walls.

python tools/build_scenes.py --data ../shared/data --out scenes

Writes ``train.npz``, and ``test.npz`` of what is held out: the light maps of ``HELD_MAPS`` and the procedural
family of ``HELD_FAMILY``. Everything is a function of the seed.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from headcast.files import atomic_path

os.environ["OPENCV_IO_ENABLE_OPENEXR"] = "1"  # OpenCV reads it when it is loaded
import cv2

SIDE = 288
HELD_MAPS, HELD_FAMILY = ("courtyard", "sunset"), "shelves"
A_MAP, A_FAMILY = 40, 70
"""Scenes of each light map and family."""

Rng = np.random.Generator


def map_views(path: Path, rng: Rng, count: int) -> list[np.ndarray]:
    """Look from the middle of a light map into random directions, exposed for what is seen."""
    light = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1].astype(np.float32)
    h, w = light.shape[:2]
    out = []
    for _ in range(count):
        yaw, pitch = rng.uniform(0, 2 * np.pi), rng.normal(0.05, 0.2)
        half = np.tan(np.radians(rng.uniform(25, 80)) / 2)
        y, x = (np.mgrid[0:SIDE, 0:SIDE] + 0.5) / SIDE * 2 - 1
        d = np.stack([x * half, -y * half, np.ones_like(x)], -1)
        c, s = np.cos(pitch), np.sin(pitch)
        d = np.stack([d[..., 0], c * d[..., 1] + s * d[..., 2], c * d[..., 2] - s * d[..., 1]], -1)
        d /= np.linalg.norm(d, axis=-1, keepdims=True)
        u = ((np.arctan2(d[..., 0], d[..., 2]) + yaw) / (2 * np.pi) % 1) * w - 0.5
        v = np.arccos(np.clip(d[..., 1], -1, 1)) / np.pi * h - 0.5
        view = cv2.remap(
            light, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
        )
        exposure = rng.uniform(0.15, 0.7) / max(float(np.percentile(view, 80)), 1e-4)
        shown = 1 - np.exp(-view * exposure * 1.5)
        out.append((np.clip(shown, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8))
    return out


def colour(rng: Rng, low: float = 0.05, high: float = 0.95, chroma: float = 0.5) -> tuple[float, ...]:
    """Sample a colour, mostly greyish."""
    grey = rng.uniform(low, high)
    return tuple(float(v) for v in np.clip(grey + rng.normal(0, 0.25 * chroma, 3) * rng.random(), 0, 1) * 255)


def interior(rng: Rng) -> np.ndarray:
    """Paint a room: wall, floor, windows, frames, lamps, furniture, doors."""
    x = np.zeros((SIDE, SIDE, 3), np.float32)
    x[:] = colour(rng, 0.15, 0.95, 0.4)
    floor = int(rng.uniform(0.6, 1.1) * SIDE)
    x[floor:] = colour(rng, 0.1, 0.6)
    for _ in range(rng.integers(4, 14)):
        w, h = (rng.uniform(0.05, 0.5, 2) * SIDE).astype(int)
        x0, y0 = (rng.uniform(-0.1, 0.95, 2) * SIDE).astype(int)
        bright = rng.random() < 0.3
        fill = colour(rng, 0.8, 1.0, 0.2) if bright else colour(rng)
        cv2.rectangle(x, (x0, y0), (x0 + w, y0 + h), fill, -1)
        cv2.rectangle(x, (x0, y0), (x0 + w, y0 + h), colour(rng), int(rng.integers(1, 7)))
        for _ in range(rng.integers(0, 4)):
            k = int(rng.integers(0, max(w, 1)))
            cv2.line(x, (x0 + k, y0), (x0 + k, y0 + h), colour(rng), int(rng.integers(1, 4)))
    for _ in range(rng.integers(0, 6)):
        at = (rng.random(2) * SIDE).astype(int).tolist()
        axes = (rng.uniform(2, 40, 2)).astype(int).tolist()
        cv2.ellipse(x, at, axes, float(rng.uniform(0, 180)), 0, 360, colour(rng), -1, cv2.LINE_AA)
    return shaded(x, rng)


def foliage(rng: Rng) -> np.ndarray:
    """Paint leaves, twigs and gaps of sky."""
    x = np.zeros((SIDE, SIDE, 3), np.float32)
    x[:] = colour(rng, 0.02, 0.9, 0.3)
    base = np.array([rng.uniform(40, 130), rng.uniform(70, 150), rng.uniform(10, 80)])
    if rng.random() < 0.25:
        base = np.array([rng.uniform(90, 200), rng.uniform(50, 110), rng.uniform(10, 60)])
    size = rng.uniform(2, 14)
    for _ in range(int(rng.uniform(150, 700))):
        at = (rng.random(2) * SIDE).astype(int).tolist()
        axes = np.maximum(
            1, (size * rng.uniform(0.4, 1.8) * np.array([1, rng.uniform(0.2, 0.8)])).astype(int)
        )
        leaf = tuple(
            float(v) for v in np.clip(base * np.exp(rng.normal(0, 0.55)) + rng.normal(0, 10, 3), 0, 255)
        )
        cv2.ellipse(x, at, axes.tolist(), float(rng.uniform(0, 180)), 0, 360, leaf, -1, cv2.LINE_AA)
    for _ in range(int(rng.integers(0, 25))):
        a = rng.random(2) * SIDE
        b = a + rng.normal(0, 60, 2)
        cv2.line(
            x,
            a.astype(int).tolist(),
            b.astype(int).tolist(),
            colour(rng, 0.02, 0.4),
            int(rng.integers(1, 5)),
            cv2.LINE_AA,
        )
    return shaded(x, rng)


def cloth(rng: Rng) -> np.ndarray:
    """Paint a hanging cloth with folds, dark more often than not."""
    dark = rng.random() < 0.75
    x = np.ones((SIDE, SIDE, 3), np.float32) * colour(rng, 0.01 if dark else 0.2, 0.2 if dark else 0.9, 0.3)
    u = np.linspace(0, 1, SIDE)
    folds = sum(
        rng.normal(0, 1) / k * np.sin(2 * np.pi * (k * u + rng.random())) for k in (1, 2, 3, 5, 8, 13)
    )
    grid = cv2.resize(
        rng.normal(0, 1, (6, 6)).astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC
    )
    strength = rng.uniform(0, 0.5)
    return np.clip(
        x * np.exp(strength * (folds[None, :] + 0.5 * grid))[..., None]
        + rng.normal(0, rng.uniform(0, 5), x.shape),
        0,
        255,
    )


def wall(rng: Rng) -> np.ndarray:
    """Paint bricks, tiles or a plaid."""
    x = np.ones((SIDE, SIDE, 3), np.float32) * colour(rng)
    w, h = int(rng.integers(10, 70)), int(rng.integers(8, 50))
    base, gap = np.array(colour(rng)), int(rng.integers(1, 4))
    for j, top in enumerate(range(0, SIDE, h)):
        for left in range(-w, SIDE, w):
            x0 = left + (w // 2) * (j % 2)
            x[top : top + h - gap, max(0, x0) : max(0, x0 + w - gap)] = np.clip(
                base + rng.normal(0, 14), 0, 255
            )
    return shaded(x, rng)


def shelves(rng: Rng) -> np.ndarray:
    """Paint shelves full of books."""
    x = np.ones((SIDE, SIDE, 3), np.float32) * colour(rng, 0.05, 0.4)
    height = int(rng.integers(40, 110))
    for top in range(-int(rng.integers(0, height)), SIDE, height):
        left = 0
        while left < SIDE:
            w = int(rng.integers(4, 22))
            y0 = top + int(rng.integers(3, max(4, height // 3)))
            x[max(0, y0) : max(0, top + height - 5), left : left + w - 1] = colour(rng, 0.05, 0.95, 1.2)
            left += w
    return shaded(x, rng)


def shaded(x: np.ndarray, rng: Rng) -> np.ndarray:
    """Shade an image unevenly, as lamps do, and soften it a little."""
    grid = cv2.resize(
        rng.normal(0, 0.35, (3, 3)).astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC
    )
    return cv2.GaussianBlur(np.clip(x * np.exp(grid)[..., None], 0, 255), (0, 0), rng.uniform(0.4, 2.0))


FAMILIES: dict[str, Callable[[Rng], np.ndarray]] = {
    "interior": interior,
    "foliage": foliage,
    "cloth": cloth,
    "wall": wall,
    "shelves": shelves,
}


def synthetic(rng: Rng, count: int) -> list[np.ndarray]:
    """Draw the backgrounds of synthetic heads."""
    import torch

    from headcast.synth.backgrounds import draw_backgrounds
    from headcast.synth.rng import CounterRng

    rows = rng.integers(0, 2**31, (count, 1))
    x = draw_backgrounds(CounterRng(rows, 0, torch.device("cpu")), SIDE).numpy()
    return list((x ** (1 / 2.2) * 255).astype(np.uint8))


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(a.seed)
    scenes: dict[str, list[tuple[str, np.ndarray]]] = {"train": [], "test": []}
    for path in sorted((a.data / "hdri").glob("*.exr")):
        part = "test" if path.stem in HELD_MAPS else "train"
        scenes[part] += [(path.stem, v) for v in map_views(path, rng, A_MAP)]
    for name, paint in FAMILIES.items():
        part = "test" if name == HELD_FAMILY else "train"
        scenes[part] += [(name, np.clip(paint(rng), 0, 255).astype(np.uint8)) for _ in range(A_FAMILY)]
    scenes["train"] += [("synth", v) for v in synthetic(rng, A_FAMILY)]
    for part, every in scenes.items():
        with atomic_path(a.out / f"{part}.npz") as temporary, temporary.open("wb") as f:
            np.savez(f, rgb=np.stack([v for _, v in every]), name=np.array([n for n, _ in every]))
        print(f"{part}: {len(every)} scenes")


if __name__ == "__main__":
    main()
