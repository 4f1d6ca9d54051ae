"""Learns where on the neutral head MediaPipe's 478 landmarks lie: writes ``weights/landmarks.json``.

    python tools/learn_landmarks.py DATA [--people 350] [--rounds 5] [--out FILE]

DATA holds ``splits.json``, ``portraits`` and ``portraits_pd``; only the ``train`` split is read. Each round
fits the head to every portrait, carries each landmark's median residual back to head space, makes it
symmetric, moves the landmark, and puts it back onto the surface. The scales of the residuals that remain
weigh the points in every fit. How far points wander on turned heads is learned last.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from headcast.head.embed import landmark_table
from headcast.head.model import HeadModel
from headcast.image import load_image
from headcast.observe.fit import Fitter, FrameFit
from headcast.observe.landmark_model import LandmarkModel
from headcast.observe.landmark_points import MIRROR, OVAL, iris_distance
from headcast.observe.landmarks import FaceDetector
from headcast.observe.prior import Prior, expression_sigma
from headcast.observe.types import Detection
from headcast.weights import weights_path

__all__ = ["learn", "main"]

Face = tuple[Detection, int, int]
STIFF = (8.0, 3.0, 1.5)
"""Weight of the priors in the first rounds: the points are to move before mean identity and expression do."""

TURNED = 9.0
"""Degrees of yaw from which on a face tells how points wander."""
DRIFT_ROUNDS = 4


def train_faces(data: Path, people: int, cache: Path | None) -> list[Face]:
    """Detections in portraits of the train split: all large ones, and a regular choice of the small ones."""
    ids = json.loads((data / "splits.json").read_text())["train"]
    large, small = ([i for i in ids if i[0] == c] for c in "pg")
    step = max(1, len(small) // max(1, people - len(large)))
    faces: list[Face] = []
    stored = dict(np.load(cache)) if cache and cache.is_file() else None
    with FaceDetector() as detector:
        for i in large + small[::step]:
            if stored is not None:
                row = np.flatnonzero(stored["ids"] == i)
                if len(row):
                    p = stored["points"][row[0]][:, :2]
                    w, h = stored["size"][row[0]]
                    faces.append((Detection(p, (*p.min(0), *p.max(0)), 1.0), int(w), int(h)))
                continue
            folder = "portraits" if i[0] == "p" else "portraits_pd"
            rgb = load_image(data / folder / f"{i}.jpg").rgb
            found = detector.detect(rgb)
            if found:
                faces.append((found[0], rgb.shape[1], rgb.shape[0]))
    return faces


def back_projected(fit: FrameFit, detection: Detection, model: LandmarkModel) -> np.ndarray:
    """(478, 3) residuals detected minus fitted, as displacements in the head frame, metres; nan if hidden."""
    r = detection.points - fit.points
    depth = -float(fit.params.translation[2])
    per_pixel = depth / float(fit.camera.K[0, 0])
    world = np.stack([r[:, 0], -r[:, 1], np.zeros(478)], 1) * per_pixel
    out = world @ fit.frame.rotation
    out[model.normal @ fit.frame.rotation[2] < -0.3] = np.nan
    return out


def learn(head: HeadModel, table: dict, faces: list[Face], rounds: int) -> dict:
    """The table after some rounds of fitting and moving."""
    flip = np.array([-1.0, 1.0, 1.0])
    for turn in range(rounds + 1):
        model = LandmarkModel.of(head, table)
        stiff = STIFF[turn] if turn < len(STIFF) else 1.0
        prior = replace(Prior(), identity=stiff, expression=expression_sigma() / np.sqrt(stiff))
        fitter = Fitter(head, model, prior)
        fits = [fitter.fit_photo(*f) for f in faces]
        errors = np.array([f.error for f in fits])
        keep = [i for i in range(len(fits)) if errors[i] < np.percentile(errors, 95)]
        move = np.nanmedian([back_projected(fits[i], faces[i][0], model) for i in keep], 0)
        move = np.nan_to_num(0.5 * (move + move[MIRROR] * flip))
        relative = np.stack(
            [
                np.linalg.norm(fits[i].points - faces[i][0].points, axis=1)
                / iris_distance(faces[i][0].points)
                for i in keep
            ]
        )
        sigma = np.sqrt(np.median(relative**2, 0) / 1.386)
        sigma = np.maximum(0.5 * (sigma + sigma[MIRROR]), 0.004)
        identity = np.mean([f.shared.identity for f in fits], 0)
        report = f"round {turn}: inner {np.median(errors):.3f} %, p90 {np.percentile(errors, 90):.3f} %, "
        report += f"moved {np.median(np.linalg.norm(move, axis=1)) * 1000:.2f} mm, "
        report += f"mean identity {np.abs(identity).max():.2f}"
        print(report, flush=True)
        table = {**table, "sigma478": [round(float(s), 5) for s in sigma]}
        if turn < rounds:
            points = model.points.neutral + move
            points = LandmarkModel.of(head, {**table, "points478": points}).points.neutral
            points = 0.5 * (points + points[MIRROR] * flip)
            table["points478"] = [[round(float(x), 6) for x in p] for p in points]
    return table


def learn_drift(head: HeadModel, table: dict, turned: list[Face], rounds: int) -> dict:
    """The table with how far points wander on turned heads: ``drift478``, metres by the sine of the yaw.

    Least squares through zero over turned faces, those turned right mirrored, strays left out; each
    round fits the heads with the drift found so far and adds what is left.
    """
    flip = np.array([-1.0, 1.0, 1.0])
    drift = np.zeros((478, 3))
    for turn in range(rounds):
        model = replace(LandmarkModel.of(head, table), drift=drift)
        fitter = Fitter(head, model)
        moves, sines = [], []
        for face in turned:
            fit = fitter.fit_photo(*face)
            forward = fit.frame.rotation[:, 2]
            sine = forward[0] / np.hypot(forward[0], forward[2])
            move = back_projected(fit, face[0], model)
            moves.append(move if sine > 0 else move[MIRROR] * flip)
            sines.append(abs(sine))
        each, weight = np.stack(moves) / np.array(sines)[:, None, None], np.square(sines)
        off = np.linalg.norm(each - np.nanmedian(each, 0), axis=2)
        good = (off < 3 * np.nanmedian(off, 0)) * weight[:, None]
        more = np.nansum(good[..., None] * each, 0) / np.maximum(good.sum(0), 1e-9)[:, None]
        more[[*OVAL, *range(468, 478)]] = 0
        print(
            f"drift, round {turn}: {len(turned)} faces, moved {np.abs(more).max() * 1000:.2f} mm", flush=True
        )
        drift = drift + more
    return {**table, "drift478": [[round(float(x), 6) for x in p] for p in drift]}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--people", type=int, default=350)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--cache", type=Path, help="npz of ids, points, size to use in the place of the detector"
    )
    parser.add_argument("--drift-only", action="store_true", help="keep the points, learn their drift")
    parser.add_argument("--out", type=Path, default=weights_path("landmarks").with_suffix(".json"))
    parser.add_argument(
        "--turned", type=float, default=TURNED, help="degrees from which faces tell the drift"
    )
    args = parser.parse_args()
    faces = train_faces(args.data, args.people, args.cache)
    turned = [f for f in faces if abs(f[0].yaw) > args.turned]
    if not turned:
        raise SystemExit(
            f"learn_landmarks: no face is turned by more than {args.turned}°; give more --people"
        )
    head, table = HeadModel.load(), landmark_table()
    if not args.drift_only:
        before = np.asarray(table["sigma478"])
        table = learn(head, table, faces, args.rounds)
        scales = np.maximum(before, table["sigma478"])  # smaller ones let noise into the expressions
        table["sigma478"] = [round(float(s), 5) for s in scales]
    table = learn_drift(head, table, turned, DRIFT_ROUNDS)
    args.out.write_text(json.dumps(table) + "\n")


if __name__ == "__main__":
    main()
