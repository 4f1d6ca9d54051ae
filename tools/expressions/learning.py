"""Learn the network from detections to expression weights, and how far it is to be trusted."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn

from headcast.head.embed import landmark_table
from headcast.head.names import EXPRESSION_INDEX, EXPRESSIONS, mirrored_name
from headcast.observe.expression_reader import (
    COORDINATES,
    ExpressionReader,
    encode,
    frontal_features,
    mirrored_features,
    mirrored_targets,
    resting_offset,
)
from headcast.observe.prior import FREE
from headcast.observe.types import Detection

__all__ = ["Heads", "learn_reader", "load_heads"]

FOLDS = 2
DIRECTIONS = 120
"""Principal directions of the landmarks that are read."""
FLOOR = 0.05
"""Millimetres added to their standard deviations before whitening."""
HIDDEN, DROPOUT, NOISE = 256, 0.4, 0.3
EPOCHS, BATCH = 30, 128
DIFFERENCES = 0.5
"""Weight of differences to the person's neutral frame beside the estimates themselves."""
FALSE = 0.045
"""Mean estimate where the truth is 0 that a weight may have."""
SLOPE = 0.9
MAX_GAIN = 1.8
SIDES = ("Left", "Right")


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
                    parts.setdefault(f.name, []).append(
                        value + k * 1_000_000 if f.name == "person" else value
                    )
    heads = Heads(**{k: np.concatenate(v) for k, v in parts.items()})
    rested = np.unique(heads.person[heads.frame == 0])
    return heads[np.isin(heads.person, rested)]


@dataclass(frozen=True)
class Encoding:
    """How features are whitened: the first fields of ``ExpressionReader``."""

    centre: Float[np.ndarray, " f"]
    basis: Float[np.ndarray, "956 k"]
    spread: Float[np.ndarray, "54"]

    @staticmethod
    def of(x: Float[np.ndarray, "n f"]) -> Encoding:
        """Find principal directions of landmarks, and scales, of faces and their mirror images."""
        both = np.concatenate([x, mirrored_features(x)])
        centre = both.mean(0)
        away = (both - centre)[:, :COORDINATES]
        values, vectors = np.linalg.eigh(away.T @ away / len(away))
        top = np.argsort(values)[::-1][:DIRECTIONS]
        basis = vectors[:, top] / (np.sqrt(values[top].clip(0)) + FLOOR)
        return Encoding(centre, basis, both[:, COORDINATES:].std(0).clip(1e-3))


def train_layers(
    x: Float[np.ndarray, "n f"],
    y: Float[np.ndarray, "n o"],
    rest: Int[np.ndarray, " n"],
    encoding: Encoding,
    seed: int = 0,
    steps: int | None = None,
) -> dict[str, np.ndarray]:
    """Train the layers: estimates, and their differences to the person at rest, shall be right.

    Args:
        rest: the row of each face's person at rest. steps: None for ``EPOCHS``; 0 leaves the layers as drawn.
    """
    torch.manual_seed(seed)
    n = len(x)
    inputs = encode(np.concatenate([x, mirrored_features(x)]), **vars(encoding))
    A, B = torch.from_numpy(inputs), torch.from_numpy(np.concatenate([y, mirrored_targets(y)])).float()
    neutral = torch.from_numpy(np.concatenate([rest, rest + n]))
    sizes = (A.shape[1], HIDDEN, HIDDEN, B.shape[1])
    layers = [nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
    parameters = [p for layer in layers for p in layer.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.05)
    steps = max(10, EPOCHS * 2 * n // BATCH) if steps is None else steps
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=max(2, steps))
    for _ in range(steps):
        i = torch.randint(0, 2 * n, (BATCH,))
        rows = torch.cat([i, neutral[i]])
        h = A[rows] + NOISE * torch.randn(len(rows), sizes[0])
        for layer in layers[:-1]:
            h = nn.functional.dropout(nn.functional.silu(layer(h)), DROPOUT)
        off = layers[-1](h) - B[rows]
        loss = off.square().mean() + DIFFERENCES * (off[:BATCH] - off[BATCH:]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    out = {}
    for k, layer in enumerate(layers, 1):
        out[f"weight{k}"], out[f"bias{k}"] = layer.weight.detach().numpy().T, layer.bias.detach().numpy()
    return out


def learn_reader(heads: Heads, seed: int = 0, steps: int | None = None) -> ExpressionReader:
    """Learn from heads of the train split; thresholds, gains and errors come from people left out in turn.

    Args:
        seed, steps: of each training, see ``train_layers``.
    """
    reference = np.asarray(landmark_table()["points478"], np.float64)
    x = np.stack(
        [frontal_features(p, s, reference) for p, s in zip(heads.detected, heads.scores, strict=True)]
    )
    y = np.concatenate([heads.weights[:, FREE], heads.gaze], 1)
    rest = heads.neutral
    encoding, held_out = Encoding.of(x), np.zeros_like(y)
    count = len(FREE)
    plain = {"threshold": np.zeros((2, count)), "gain": np.ones((2, count)), "personal": np.zeros(count)}
    plain["sigma"] = np.ones((2, y.shape[1]))
    for k in range(FOLDS):
        out = heads.person // 7 % FOLDS == k
        place = np.cumsum(~out) - 1
        layers = train_layers(x[~out], y[~out], place[rest[~out]], encoding, seed, steps)
        reader = ExpressionReader(reference, **vars(encoding), **layers, **plain)
        both = reader.network(x[out]), mirrored_targets(reader.network(mirrored_features(x[out])))
        held_out[out] = sum(both) / 2
        print(f"fold {k}: error {np.abs(held_out - y)[out].mean():.4f}", flush=True)
    layers = train_layers(x, y, rest, encoding, seed, steps)
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
        **vars(encoding),
        **layers,
        threshold=np.stack([m[0] for m in maps]),
        gain=np.stack([m[1] for m in maps]),
        sigma=np.stack(errors),
        personal=personal,
    )


def level_reader(
    reader: ExpressionReader, resting: list[Detection], photos: list[Detection]
) -> ExpressionReader:
    """Return the reader that shows neutral real faces as it shows neutral synthetic heads, on average.

    Gaze is left as it is, and eyeBlink: how far lids hang at rest is no error.
    """
    real, synthetic = (np.mean([reader.estimate(d) for d in found], 0) for found in (photos, resting))
    offset = real - synthetic
    offset = (offset + mirrored_targets(offset)) / 2
    offset[len(FREE) :] = 0
    for side in SIDES:
        offset[list(FREE).index(EXPRESSION_INDEX[f"eyeBlink{side}"])] = 0
    return replace(reader, bias3=reader.bias3 - offset.astype(np.float32))


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
    if not off.any() or not on.any():
        return 0.0, 1.0
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
