"""Compares landmarks and the fitted head with points set by hand on people of the London set (validation).

``python tools/landmark_truth.py ../shared/data/london``. Points of the .tem files that lie on something that
the 478 landmarks know too: centres and corners of the eyes, lids, brows, nose wings, lips, chin, jaw. Points
along an edge are compared with the nearest place of the landmarks' polyline. In % of the eyes' distance.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import replace
from pathlib import Path

import numpy as np

from headcast.head.model import HeadModel
from headcast.image import load_image
from headcast.observe.fit import Fitter
from headcast.observe.landmark_points import BROW_LEFT, BROW_RIGHT
from headcast.observe.landmarks import FaceDetector

POINTS = {
    "eye centres": "0:468 1:473",
    "eye corners": "18:33 22:133 23:362 27:263",
    "lids": "20:159 29:145 25:386 32:374",
    "lip points": "87:61 93:291 90:0 89:37 91:267 106:17 96:13 101:14",
    "chin": "129:152",
}
"""Point of the .tem file and landmark."""
EDGES: dict[str, list[tuple[tuple[int, ...], tuple[int, ...]]]] = {
    "lids": [
        ((19, 21), (33, 246, 161, 160, 159, 158, 157, 173, 133)),
        ((28, 30), (33, 7, 163, 144, 145, 153, 154, 155, 133)),
        ((24, 26), (263, 466, 388, 387, 386, 385, 384, 398, 362)),
        ((31, 33), (263, 249, 390, 373, 374, 380, 381, 382, 362)),
    ],
    "brows": [
        ((72, 73, 74, 75), BROW_RIGHT[:5]),
        ((78, 79, 80, 81), BROW_LEFT[:5]),
        ((83, 84), BROW_RIGHT[6:][::-1]),
        ((85, 86), BROW_LEFT[6:][::-1]),
    ],
    "nose wings": [((62, 63), (129, 64, 98)), ((67, 68), (358, 294, 327))],
    "lip edges": [
        ((88, 92), (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)),
        ((104, 105, 107, 108), (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)),
    ],
    "jaw": [
        (
            tuple(range(125, 134)),
            (
                *(234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152),
                *(377, 400, 378, 379, 365, 397, 288, 361, 323, 454),
            ),
        )
    ],
}
"""Points of the .tem file along an edge and the landmarks of that edge."""
PARTS = (
    "eye centres",
    "eye corners",
    "lids",
    "brows",
    "nose wings",
    "lip points",
    "lip edges",
    "chin",
    "jaw",
)


def read_tem(path: Path) -> np.ndarray:
    """The 189 points of a .tem file."""
    lines = path.read_text().splitlines()
    return np.array([[float(v) for v in line.split()] for line in lines[1 : int(lines[0]) + 1]])


def edge_distance(q: np.ndarray, line: np.ndarray) -> float:
    """Distance of a point to a polyline."""
    a, along = line[:-1], np.diff(line, axis=0)
    t = np.clip(((q - a) * along).sum(1) / np.maximum((along**2).sum(1), 1e-9), 0, 1)
    return float(np.linalg.norm(a + t[:, None] * along - q, axis=1).min())


def errors(truth: np.ndarray, points: np.ndarray) -> list[float]:
    """Mean error of each part, % of the distance of the eyes."""
    found: dict[str, list[float]] = {part: [] for part in PARTS}
    for part, pairs in POINTS.items():
        for i, k in (map(int, pair.split(":")) for pair in pairs.split()):
            found[part].append(float(np.linalg.norm(truth[i] - points[k])))
    for part, edges in EDGES.items():
        for rows, line in edges:
            found[part] += [edge_distance(truth[i], points[list(line)]) for i in rows]
    return [100 * float(np.mean(found[p])) / float(np.linalg.norm(truth[0] - truth[1])) for p in PARTS]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("london", type=Path, help="folder of the London set, with london.csv")
    folder = parser.parse_args().london
    with (folder / "london.csv").open() as f:
        rows = [r for r in csv.DictReader(f) if r["split"] == "validation" and r["expression"] == "neutral"]
    fitter = Fitter(HeadModel.load())
    table: dict[str, list[list[float]]] = {n: [] for n in ("landmarks", "fitted head", "without scores")}
    with FaceDetector() as detector:
        for row in rows:
            rgb = load_image(folder / row["file"]).rgb
            truth = read_tem((folder / row["file"]).with_suffix(".tem"))
            found = detector.detect(rgb)[0]
            table["landmarks"].append(errors(truth, found.points))
            for name, seen in (("fitted head", found), ("without scores", replace(found, blendshapes=None))):
                fitted = fitter.fit_photo(seen, rgb.shape[1], rgb.shape[0])
                table[name].append(errors(truth, fitted.points))
    print(f"n {len(rows)}", *PARTS, "mean", sep=" | ")
    for name, each in table.items():
        mean = np.mean(each, 0)
        print(name, *(f"{v:.2f}" for v in (*mean, mean.mean())), sep=" | ")


if __name__ == "__main__":
    main()
