"""Learns the glasses classifier: python tools/build_glasses.py ../shared/data [--labels CSV] [-o FILE]

Logistic regression on edge directions around the eyes of public-domain portraits of the ``train`` split,
labelled by eye in glasses_labels.csv. Writes src/headcast/weights/glasses.safetensors and its card.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize

from headcast.image import load_image
from headcast.observe.glasses import BINS, CELL, STRIP, eye_strip, glasses_score, strip_features
from headcast.observe.landmarks import FaceDetector
from headcast.weights import save_tensors, weights_path

DECAY = 3e-3
FOLDS = 6


def find(data: Path, name: str) -> Path:
    """The picture of an id."""
    return next(p for p in (data / d / f"{name}.jpg" for d in ("portraits", "portraits_pd")) if p.is_file())


def fit(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Class-balanced logistic regression with weight decay."""
    share = np.where(y, 0.5 / y.mean(), 0.5 / (1 - y.mean()))
    sign = np.where(y, 1.0, -1.0)

    def loss(v: np.ndarray) -> tuple[float, np.ndarray]:
        s = sign * (x @ v[:-1] + v[-1])
        g = -sign * share / (1 + np.exp(s)) / len(y)
        value = (np.logaddexp(0, -s) * share).mean() + DECAY * (v[:-1] @ v[:-1])
        return value, np.r_[x.T @ g + 2 * DECAY * v[:-1], g.sum()]

    v = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 300}).x
    return v[:-1], float(v[-1])


def mirrored(x: np.ndarray) -> np.ndarray:
    """Features of the mirrored strips."""
    cells = x.reshape(-1, STRIP[1] // CELL, STRIP[0] // CELL, BINS)
    return cells[:, :, ::-1][..., (-np.arange(BINS)) % BINS].reshape(len(x), -1)


def rates(score: np.ndarray, truth: np.ndarray) -> dict[str, float | None]:
    """Precision and recall at zero; None where there is nothing to take the share of."""

    def share(x: np.ndarray) -> float | None:
        return round(float(x.mean()), 3) if len(x) else None

    said = score > 0
    return {
        "n": len(truth),
        "positives": int(truth.sum()),
        "precision": share(truth[said]),
        "recall": share(said[truth]),
    }


def features(data: Path, labels: dict[str, bool], detector: FaceDetector) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, f) and truth (n,) of the labelled portraits in which a face is found.

    Raises:
        SystemExit: too few for ``FOLDS`` folds, or all with the same label.
    """
    rows, truth = [], []
    for name, worn in labels.items():
        rgb = load_image(find(data, name), max_side=1024).rgb
        found = detector.detect(rgb, refine=False)
        if found:
            rows.append(strip_features(eye_strip(rgb, found[0].points)))
            truth.append(worn)
    if len(rows) < FOLDS or len(set(truth)) < 2:
        raise SystemExit(
            f"build_glasses: {len(rows)} faces found; at least {FOLDS} with both labels are needed"
        )
    return np.stack(rows).astype(np.float64), np.array(truth)


def held_out_scores(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Scores (n,) of each portrait by a classifier of the other folds."""
    held = np.zeros(len(y))
    order = np.random.default_rng(0).permutation(len(y)) % FOLDS
    for k in range(FOLDS):
        a = order != k
        w, b = fit_symmetric(x[a], y[a])
        held[~a] = x[~a] @ w + b
    return held


def fit_symmetric(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """``fit`` with mirrored copies, and weights that score a strip and its mirror image alike."""
    w, b = fit(np.r_[x, mirrored(x)], np.r_[y, y])
    return (w + mirrored(w[None])[0]) / 2, b


def main() -> None:
    """Trains, measures, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--labels", type=Path, default=Path(__file__).with_name("glasses_labels.csv"))
    parser.add_argument("-o", "--output", type=Path, default=weights_path("glasses"))
    options = parser.parse_args()
    data = options.data
    labels = {r["id"]: r["glasses"] == "yes" for r in csv.DictReader(options.labels.open())}
    detector = FaceDetector()
    x, y = features(data, labels, detector)
    held = held_out_scores(x, y)
    w, b = fit_symmetric(x, y)
    tensors = {"weights": torch.from_numpy(w).float(), "bias": torch.tensor(b, dtype=torch.float32)}
    save_tensors(options.output, tensors, {"tool": "tools/build_glasses.py"})
    groups = {r["id"]: r["glasses"] == "yes" for r in csv.DictReader((data / "groups.csv").open())}
    scores = []
    for name in groups:
        rgb = load_image(find(data, name), max_side=1024).rgb
        scores.append(glasses_score(rgb, detector.detect(rgb)[0].points))
    figures = {
        "cross-validation": rates(held, y),
        "evaluation portraits": rates(np.array(scores), np.array(list(groups.values()))),
    }
    card = {
        "what": "whether glasses are worn: logistic regression on edge directions around the eyes",
        "trained_on": f"{len(y)} official portraits in the public domain (train split), labelled by eye",
        "licence": "Apache-2.0",
        "tool": "tools/build_glasses.py",
        "figures": figures,
    }
    options.output.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
