"""Learns the glasses classifier: python tools/build_glasses.py ../shared/data

Logistic regression on edge directions around the eyes of public-domain portraits of the ``train`` split,
labelled by eye in glasses_labels.csv. Writes src/headcast/weights/glasses.safetensors and its card.
"""

from __future__ import annotations

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


def rates(score: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Precision and recall at zero."""
    said = score > 0
    return {
        "n": len(truth),
        "positives": int(truth.sum()),
        "precision": round(float(truth[said].mean()), 3),
        "recall": round(float(said[truth].mean()), 3),
    }


def main(data: Path) -> None:
    """Trains, measures, writes."""
    table = csv.DictReader(Path(__file__).with_name("glasses_labels.csv").open())
    labels = {r["id"]: r["glasses"] == "yes" for r in table}
    detector = FaceDetector()
    rows, truth = [], []
    for name, worn in labels.items():
        rgb = load_image(find(data, name), max_side=1024).rgb
        found = detector.detect(rgb, refine=False)
        if found:
            rows.append(strip_features(eye_strip(rgb, found[0].points)))
            truth.append(worn)
    x, y = np.stack(rows).astype(np.float64), np.array(truth)
    held = np.zeros(len(y))
    order = np.random.default_rng(0).permutation(len(y)) % FOLDS
    for k in range(FOLDS):
        a = order != k
        w, b = fit(np.r_[x[a], mirrored(x[a])], np.r_[y[a], y[a]])
        held[~a] = x[~a] @ ((w + mirrored(w[None])[0]) / 2) + b
    w, b = fit(np.r_[x, mirrored(x)], np.r_[y, y])
    w = (w + mirrored(w[None])[0]) / 2
    tensors = {"weights": torch.from_numpy(w).float(), "bias": torch.tensor(b, dtype=torch.float32)}
    save_tensors(weights_path("glasses"), tensors, {"tool": "tools/build_glasses.py"})
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
    weights_path("glasses").with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
