"""Learns how identities of real people scatter: a mean and a covariance, ``weights/identity.safetensors``.

    python tools/learn_identities.py ../shared/data [--people 300] [--known 400] [--cache private/fits.npz]
        [-o FILE]

The head is fitted to colour portraits of the `train` split that are in the public domain, one a person. A fit
shrinks what landmarks don't tell towards the head model's own prior N(0, 1); how much is measured on known
heads: identities drawn from that prior take the places, poses and expressions of fitted people, their
landmarks are scattered as the fit assumes, and are fitted again. Mean and covariance of the people are then
those under which the fits are most likely (empirical Bayes by EM, inverse Wishart prior about 1). Only
these 41 means and 41 x 41 covariances are kept: no person's own coefficients leave this program but in the
cache that the user names.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from headcast.head.model import HeadModel
from headcast.image import load_image
from headcast.observe.fit import Fitter, FrameFit, target_of
from headcast.observe.landmark_points import iris_distance
from headcast.observe.landmarks import FaceDetector
from headcast.observe.solver import Shared, residuals, slid_basis
from headcast.observe.types import Detection
from headcast.weights import save_tensors, weights_path

SEED = 0
LARGEST_ERROR = 2.5  # % of the iris distance: worse fits are left out
LARGEST_YAW = 20.0
STRENGTH = 60.0  # people that the prior about 1 counts as
ROUNDS = 60
TOLD = 0.5  # directions of which a portrait tells a smaller share stay as the prior has them


@dataclass
class Fitted:
    """A fit and what it was fitted to."""

    fit: FrameFit
    detection: Detection
    width: int
    height: int


def chosen(data: Path, people: int) -> list[Path]:
    """A colour portrait a person, evenly from the list."""
    train = set(json.loads((data / "splits.json").read_text())["train"])
    of_person: dict[str, Path] = {}
    for folder in ("portraits", "portraits_pd"):
        for r in csv.DictReader((data / folder / f"{folder}.csv").open()):
            unclear = folder == "portraits" and r["same_photo_as_public_domain"] != "yes"
            if r["id"] not in train or unclear or r.get("black_and_white") == "yes":
                continue
            if abs(float(r["yaw_deg"])) <= LARGEST_YAW:
                of_person.setdefault(r["bioguide"], data / folder / f"{r['id']}.jpg")
    paths = [of_person[k] for k in sorted(of_person)]
    return paths[:: max(1, len(paths) // people)][:people]


def fit_all(paths: list[Path], fitter: Fitter) -> list[Fitted]:
    """The portraits in which a face is found and well fitted."""
    found = []
    with FaceDetector() as detector:
        for k, path in enumerate(paths):
            rgb = load_image(path).rgb
            h, w = rgb.shape[:2]
            faces = detector.detect(rgb)
            if not faces:
                continue
            fit = fitter.fit_photo(faces[0], w, h)
            if fit.error < LARGEST_ERROR:
                found.append(Fitted(fit, faces[0], w, h))
            if k % 25 == 0:
                print(f"{k} of {len(paths)} portraits, {len(found)} fitted", file=sys.stderr, flush=True)
    return found


def known_again(found: list[Fitted], fitter: Fitter, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Identities drawn from the prior, and what a fit makes of them."""
    rng = np.random.default_rng(SEED)
    spread = fitter.model.sigma / np.sqrt(fitter.prior.data)
    truth, again = [], []
    for k in range(count):
        one = found[int(rng.integers(len(found)))]
        z = rng.normal(size=fitter.head.identities)
        shared = Shared(z, one.fit.shared.log_focal)
        target = target_of(one.detection, one.width, one.height, fitter.model)
        basis = slid_basis(fitter.model, shared, one.fit.frame, target.unit)
        r = residuals(fitter.model, basis, shared, one.fit.frame, target) * target.unit
        points = one.detection.points + r
        points = points + rng.normal(size=points.shape) * spread[:, None] * iris_distance(points)
        seen = replace(one.detection, points=points.astype(one.detection.points.dtype))
        truth.append(z)
        again.append(fitter.fit_photo(seen, one.width, one.height).shared.identity)
        if k % 25 == 0:
            print(f"{k} of {count} known heads", file=sys.stderr, flush=True)
    return np.array(truth), np.array(again)


def information(truth: np.ndarray, again: np.ndarray) -> np.ndarray:
    """What a portrait tells of an identity: the inverse covariance of its noise, positive semidefinite.

    Nothing in directions that it hardly tells: there a fit's scatter is the model's error (focal length,
    expression), which dividing by a small share would blow up.
    """
    left = (truth - again).T @ (truth - again) / len(truth)
    left = (len(truth) * left + 10 * np.eye(len(left))) / (len(truth) + 10)
    values, vectors = np.linalg.eigh(left)
    told = np.where(values < 1 - TOLD, 1 / np.clip(values, 1e-3, 1) - 1, 0)
    return (vectors * told) @ vectors.T


def population(fits: np.ndarray, told: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the people, from fits under the prior N(0, 1) (EM)."""
    n, k = fits.shape
    values, vectors = np.linalg.eigh(told)  # information times what was seen: from m = (1 + told)^-1 told y
    seen = fits @ (vectors * ((1 + values) * (values > 1e-6))) @ vectors.T
    mean, cov = np.zeros(k), np.eye(k)
    for _ in range(ROUNDS):
        inverse = np.linalg.inv(cov)
        left = np.linalg.inv(inverse + told)
        each = (seen + inverse @ mean) @ left
        mean = each.sum(0) / (n + 1)  # one person of the prior's mean
        off = each - mean
        cov = (off.T @ off + n * left + STRENGTH * np.eye(k)) / (n + STRENGTH)
    return mean, cov


def main() -> None:
    """Writes weights/identity.safetensors and its card."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--known", type=int, default=400)
    parser.add_argument("--cache", type=Path, help="npz of the fits, to go on without fitting again")
    parser.add_argument("-o", "--output", type=Path, default=weights_path("identity"))
    args = parser.parse_args()
    start, head = time.time(), HeadModel.load()
    cached = bool(args.cache and args.cache.is_file())
    if cached:
        stored = np.load(args.cache)
        fits, errors, truth, again = (stored[k] for k in ("fits", "errors", "truth", "again"))
    else:
        fitter = Fitter(head)
        found = fit_all(chosen(args.data, args.people), fitter)
        if not found:
            raise SystemExit(
                f"learn_identities: {args.data}: no portrait of the split 'train' could be fitted"
            )
        fits = np.stack([f.fit.shared.identity for f in found])
        errors = np.array([f.fit.error for f in found])
        truth, again = known_again(found, fitter, args.known)
        if args.cache:
            np.savez(args.cache, fits=fits, errors=errors, truth=truth, again=again)
    told = information(truth, again)
    mean, cov = population(fits, told)
    told_share = float(np.mean(np.linalg.eigvalsh(told) / (1 + np.linalg.eigvalsh(told))))
    deviations = np.sqrt(np.linalg.eigvalsh(cov))
    tensors = {"mean": torch.from_numpy(mean).float(), "covariance": torch.from_numpy(cov).float()}
    meta = {"name": "headcast-identity-1", "head": head.hash}
    save_tensors(args.output, tensors, {"identity": json.dumps(meta)})
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    card = {
        **meta,
        "what": "mean and covariance of the identity coefficients of people; no person's own are stored",
        "licence": "Apache-2.0",
        "made_by": "tools/learn_identities.py",
        "commit": commit,
        "seed": SEED,
        "trained_on": f"{len(fits)} people, one public-domain portrait each (official portraits of members "
        "of the US Congress; split 'train'), the head fitted to landmarks",
        "figures": {
            "median landmark error, % of the iris distance": round(float(np.median(errors)), 3),
            "known heads fitted again": len(truth),
            "directions that a portrait tells, of 41": int((np.linalg.eigvalsh(told) > 1e-6).sum()),
            "share of an identity's variance that a portrait tells": round(told_share, 3),
            "length of the mean": round(float(np.linalg.norm(mean)), 3),
            "standard deviations, smallest, median, largest": [
                round(float(x), 3) for x in (deviations[0], np.median(deviations), deviations[-1])
            ],
        },
        "limits": "mostly older men, smiling, seen from the front: depth of the face stays near the prior; "
        "synthetic heads take proportions of women and men from the head model's sex direction instead",
        **({"fits": "made before (--cache)"} if cached else {"seconds": round(time.time() - start)}),
    }
    args.output.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")
    print(json.dumps(card, indent=1), file=sys.stderr)


if __name__ == "__main__":
    main()
