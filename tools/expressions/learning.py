"""Learn the linear map from detections to expression weights, and how far it is to be trusted."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from headcast.head.embed import landmark_table
from headcast.head.names import EXPRESSION_INDEX, EXPRESSIONS, mirrored_name
from headcast.observe.expression_reader import ExpressionReader, frontal_features, resting_offset
from headcast.observe.landmark_points import MIRROR
from headcast.observe.prior import FREE

__all__ = ["Heads", "learn_reader", "load_heads"]

FOLDS = 5
DAMPING = 1.0
DIFFERENCES = 1.0
"""Weight of differences to the person's neutral frame beside the estimates themselves."""
SCALES = (1.0, 4.0, 4.0)
"""Scales of landmarks, scores and pose after whitening: how freely each may be used."""
FALSE = 0.045
"""Mean estimate where the truth is 0 that a weight may have."""
SLOPE = 0.9
MAX_GAIN = 1.8
SIDES = ("Left", "Right")
COORDINATES = 956


@dataclass(frozen=True)
class Heads:
    """Detections of synthetic heads with their truth, one row an image.

    Attributes:
        detected, points: (n, 478, 2) landmarks as detected, and true. scores: (n, 52).
        expression: (n, 52) what moves; lids: (n,) eyeBlink at rest; gaze: (n, 2) yaw, pitch, radians.
        person, frame: numbers; frame 0 is neutral. size: pixels of the images.
    """

    detected: Float[np.ndarray, "n 478 2"]
    scores: Float[np.ndarray, "n 52"]
    points: Float[np.ndarray, "n 478 2"]
    expression: Float[np.ndarray, "n 52"]
    lids: Float[np.ndarray, " n"]
    gaze: Float[np.ndarray, "n 2"]
    person: Int[np.ndarray, " n"]
    frame: Int[np.ndarray, " n"]
    size: Int[np.ndarray, " n"]

    def __getitem__(self, rows: np.ndarray) -> Heads:
        return Heads(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @property
    def resting_lids(self) -> Float[np.ndarray, "n 2"]:
        """Return eyeBlink (left, right) that the lids at rest bring."""
        wide = self.expression[:, [EXPRESSION_INDEX[f"eyeWide{s}"] for s in SIDES]]
        return self.lids[:, None] * (1 - wide)

    @property
    def weights(self) -> Float[np.ndarray, "n 52"]:
        """Return the true weights, the lids at rest counted."""
        out = self.expression.copy()
        out[:, [EXPRESSION_INDEX[f"eyeBlink{s}"] for s in SIDES]] += self.resting_lids
        return out.clip(0, 1)

    @property
    def neutral(self) -> Int[np.ndarray, " n"]:
        """Return the row of each image's person at rest."""
        rows = {int(self.person[i]): i for i in np.flatnonzero(self.frame == 0)}
        return np.array([rows[int(p)] for p in self.person])


def load_heads(folders: list[Path]) -> Heads:
    """Load a cache; people without a neutral frame are left out."""
    parts: dict[str, list[np.ndarray]] = {}
    for k, folder in enumerate(folders):
        for path in sorted(folder.glob("*.npz")):
            with np.load(path) as file:
                for f in fields(Heads):
                    value = file[f.name]
                    parts.setdefault(f.name, []).append(value + k * 1_000_000 if f.name == "person" else value)
    heads = Heads(**{k: np.concatenate(v) for k, v in parts.items()})
    rested = np.unique(heads.person[heads.frame == 0])
    return heads[np.isin(heads.person, rested)]


def mirrored_features(x: Float[np.ndarray, "n f"]) -> Float[np.ndarray, "n f"]:
    """Return the features of mirrored faces."""
    flip = [EXPRESSION_INDEX[mirrored_name(n)] for n in EXPRESSIONS]
    points = x[:, :COORDINATES].reshape(-1, 478, 2)[:, MIRROR] * [-1.0, 1.0]
    scores = x[:, COORDINATES : COORDINATES + 52][:, flip]
    return np.concatenate([points.reshape(len(x), -1), scores, x[:, -2:] * [-1.0, 1.0]], 1)


def mirrored_targets(y: Float[np.ndarray, "n o"]) -> Float[np.ndarray, "n o"]:
    """Return weights and gaze of mirrored faces."""
    place = {int(i): k for k, i in enumerate(FREE)}
    flip = [place[EXPRESSION_INDEX[mirrored_name(EXPRESSIONS[i])]] for i in FREE]
    return np.concatenate([y[:, : len(FREE)][:, flip], y[:, len(FREE) :] * [-1.0, 1.0]], 1)


def ridge(
    x: Float[np.ndarray, "n f"],
    y: Float[np.ndarray, "n o"],
    rest_x: Float[np.ndarray, "n f"],
    rest_y: Float[np.ndarray, "n o"],
) -> tuple[Float[np.ndarray, "f o"], Float[np.ndarray, " o"]]:
    """Solve for matrix and bias that give targets and their differences to the person at rest."""
    x, rest_x = (np.concatenate([a, mirrored_features(a)]) for a in (x, rest_x))
    y, rest_y = (np.concatenate([a, mirrored_targets(a)]) for a in (y, rest_y))
    scale = np.repeat(SCALES, (COORDINATES, 52, 2)) / np.maximum(x.std(0), 1e-3)
    middle, level = x.mean(0), y.mean(0)
    root = np.sqrt(DIFFERENCES)
    rows = np.concatenate([(x - middle) * scale, root * (x - rest_x) * scale])
    wanted = np.concatenate([y - level, root * (y - rest_y)])
    H = rows.T @ rows + DAMPING * len(rows) * np.eye(rows.shape[1])
    matrix = np.linalg.solve(H, rows.T @ wanted) * scale[:, None]
    return matrix, level - middle @ matrix


def learn_reader(heads: Heads) -> ExpressionReader:
    """Learn from heads of the train split; thresholds, gains and errors come from people left out in turn."""
    reference = np.asarray(landmark_table()["points478"], np.float64)
    x = np.stack(
        [frontal_features(p, s, reference) for p, s in zip(heads.detected, heads.scores, strict=True)]
    )
    y = np.concatenate([heads.weights[:, FREE], heads.gaze], 1)
    rest = heads.neutral
    held_out = np.zeros_like(y)
    for k in range(FOLDS):
        out = heads.person // 7 % FOLDS == k
        matrix, bias = ridge(x[~out], y[~out], x[rest[~out]], y[rest[~out]])
        held_out[out] = x[out] @ matrix + bias
    matrix, bias = ridge(x, y, x[rest], y[rest])
    count = len(FREE)
    personal = (held_out - y)[heads.frame == 0, :count].std(0)
    offset = np.stack([resting_offset(held_out[heads.person == p], personal) for p in heads.person])
    maps, errors = [], []
    for estimate in (held_out, held_out - offset):
        threshold, gain = calibrate(heads, estimate[:, :count])
        mapped = (gain * (estimate[:, :count] - threshold)).clip(0, 1)
        error = np.concatenate([mapped - y[:, :count], estimate[:, count:] - y[:, count:]], 1)
        maps.append((threshold, gain))
        errors.append(error.std(0))
    return ExpressionReader(
        reference=reference,
        matrix=matrix,
        bias=bias,
        threshold=np.stack([m[0] for m in maps]),
        gain=np.stack([m[1] for m in maps]),
        sigma=np.stack(errors),
        personal=personal,
    )


def calibrate(
    heads: Heads, estimate: Float[np.ndarray, "n e"]
) -> tuple[Float[np.ndarray, " e"], Float[np.ndarray, " e"]]:
    """Choose threshold and gain of each weight, the same for both sides.

    The gain brings the slope on the truth to ``SLOPE``; the threshold keeps what is shown in error below
    ``FALSE``. Where both are not possible the gain gives way.
    """
    threshold, gain = np.zeros(len(FREE)), np.ones(len(FREE))
    place = {int(i): k for k, i in enumerate(FREE)}
    moving = heads.frame > 0
    rest = np.zeros((len(estimate), 52))
    rest[:, [EXPRESSION_INDEX[f"eyeBlink{s}"] for s in SIDES]] = heads.resting_lids
    for i in FREE:
        j = EXPRESSION_INDEX[mirrored_name(EXPRESSIONS[i])]
        t = np.concatenate([heads.expression[moving, a] for a in (i, j)])
        r = np.concatenate([rest[moving, a] for a in (i, j)])
        e = np.concatenate([estimate[moving, place[a]] for a in (int(i), j)])
        threshold[place[int(i)]], gain[place[int(i)]] = calibrate_one(t, e, r)
    return threshold, gain


def calibrate_one(
    truth: Float[np.ndarray, " n"], estimate: Float[np.ndarray, " n"], rest: Float[np.ndarray, " n"]
) -> tuple[float, float]:
    """Return threshold and gain of one weight; ``rest`` is what the resting face shows of it."""
    off, on = truth < 1e-6, truth >= 0.3
    either = off | on
    best, best_slope = (0.0, 1.0), -1.0
    for threshold in np.linspace(0, 0.3, 13) if not rest.any() else (0.0,):
        for gain in np.linspace(0.4, MAX_GAIN, 29):
            shown = (gain * (estimate - threshold)).clip(0, 1)
            if (shown - rest)[off].clip(0).mean() > FALSE:
                break
            slope = float(np.polyfit(truth[either], (shown - rest)[either], 1)[0])
            if slope > best_slope and best_slope < SLOPE:
                best, best_slope = (float(threshold), float(gain)), slope
    return best
