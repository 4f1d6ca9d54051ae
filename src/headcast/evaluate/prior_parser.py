"""The face parser against held-out synthetic heads.

Images are synthesized as they are needed (``--limit`` of them, 48 by default), landmarks are the true ones.
Masks are compared as ``observe`` gives them, the parser's labels inside of its square.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8

from headcast.evaluate.report import Report, Row
from headcast.evaluate.setting import Setting
from headcast.evaluate.store import Store
from headcast.metrics.figure import Figure
from headcast.observe.detection import Detection, Masks
from headcast.observe.masks import PARTS, segment
from headcast.observe.parsed import label_probability
from headcast.synth.config import LABELS, SynthConfig

__all__ = ["PARSER", "iou", "measure"]

PARSER = "face parser"
SEED, COUNT, SIZE, FRAMES = 303, 48, 256, 3
LEAST = 40
"""Fewer true pixels of a kind than this don't make an IoU."""
HELD = "synthetic heads, split test, 256²"
INSIDE = "the parser's square"
MASKS = ("person", "skin", "hair", "clothes", "glasses")

FIGURES = (
    *(
        Figure(
            key=f"mask_{n}", title=f"{n} IoU", mask=HELD, note="mask over .5; images where either side has it"
        )
        for n in MASKS
    ),
    Figure(key="alpha", title="coverage error", unit="", better="low", mask=HELD, note="mean absolute"),
    Figure(
        key="alpha_edge",
        title="coverage error at edges",
        unit="",
        better="low",
        mask=HELD + ", within 6 px of partly covered pixels",
        note="mean absolute",
    ),
    *(
        Figure(key=f"iou_{n}", title=f"{n} IoU (label)", mask=INSIDE, note="of the most probable label")
        for n in LABELS
    ),
    Figure(key="iou_mean", title="mean IoU (labels)", mask=INSIDE, note="over the labels in the image"),
)


def measure(setting: Setting) -> Report:
    """Measure masks and the parser's labels on held-out synthetic heads.

    Raises:
        HeadcastError: the parser's weights are missing.
    """
    Store(setting.out, setting.facts())  # makes the folder, or says why not
    report = Report(protocol="prior", figures={f.key: f for f in FIGURES})
    confusion = np.zeros((len(LABELS), len(LABELS)), np.int64)
    count = setting.limit or COUNT
    for number, image in enumerate(render_test_images(count, setting.device)):
        name = f"test_{number:03d}"
        setting.say(number / count, name)
        rgb, points = image["rgb"], image["points"]
        box = (*points.min(0).tolist(), *points.max(0).tolist())
        detection = Detection(points=points, box=box, score=1.0)
        masks, probability = segment(rgb, detection), label_probability(rgb, detection)
        found = np.stack([probability[n] for n in LABELS]).argmax(0)
        counts = _count_labels(probability, image, found, confusion)
        confusion += counts
        report.add(PARSER, name, [mask_row(masks, image) | label_row(counts)])
        if number % max(1, count // 8) == 0:
            report.sheet.append(parser_tiles(name, image, masks, found))
    report.settings["confusion"] = {
        n: dict(zip(LABELS, r, strict=True)) for n, r in zip(LABELS, confusion.tolist(), strict=True)
    }
    report.notes += [
        "skin as a mask means every region of the face, ears and neck; facial hair counts as skin in masks",
        f"confusion (rows: truth; fraction of its pixels, of at least 2 %): {describe_confusion(confusion)}",
    ]
    return report


def _count_labels(
    probability: dict[str, np.ndarray], image: dict[str, Any], found: np.ndarray, confusion: np.ndarray
) -> np.ndarray:
    """Count pixels by true and found label, where the parser is sure."""
    inside = sum(probability.values()) > 0.5
    return np.bincount(
        (image["label"][inside].astype(np.int64) * len(LABELS) + found[inside]),
        minlength=len(LABELS) ** 2,
    ).reshape(confusion.shape)


def render_test_images(count: int, device: torch.device) -> Iterator[dict[str, Any]]:
    """Render images of the test split, one after the other."""
    from headcast.synth import make_batch

    config = SynthConfig(split="test", size=SIZE, texture=SIZE, people=1, frames=FRAMES)
    for who in range(-(-count // FRAMES)):
        b = make_batch(config, device, SEED, np.array([who]))
        for i in range(min(FRAMES, count - who * FRAMES)):
            yield {
                "rgb": (b.rgb[i] * 255 + 0.5).clamp(0, 255).to(torch.uint8).cpu().numpy(),
                "alpha": b.alpha[i].cpu().numpy(),
                "label": b.label[i].cpu().numpy(),
                "points": b.landmarks478[i].cpu().numpy(),
            }


def mask_row(masks: Masks, image: dict[str, Any]) -> Row:
    """Compute IoU of the masks, and the error of the matte."""
    import cv2

    truth = {"person": image["alpha"] > 0.5}
    parts = PARTS | {"glasses": ("glasses",)}
    truth |= {k: np.isin(image["label"], [LABELS.index(n) for n in parts[k]]) for k in parts}
    row = {}
    for name in MASKS:
        value = iou(getattr(masks, name) > 0.5, truth[name])
        if value is not None:
            row[f"mask_{name}"] = value
    error = np.abs(masks.person - image["alpha"])
    soft = (image["alpha"] > 0.02) & (image["alpha"] < 0.98)
    near = cv2.dilate(soft.astype(np.uint8), np.ones((13, 13), np.uint8)) > 0
    return row | {"alpha": float(error.mean()), "alpha_edge": float(error[near].mean())}


def iou(a: Bool[np.ndarray, "h w"], b: Bool[np.ndarray, "h w"]) -> float | None:
    """Return intersection over union; None when both sides are nearly empty."""
    if max(int(a.sum()), int(b.sum())) < LEAST:
        return None
    return float((a & b).sum() / (a | b).sum())


def label_row(counts: Int[np.ndarray, "k k"]) -> Row:
    """Compute IoU of every label that an image has."""
    row = {}
    for k, name in enumerate(LABELS):
        if counts[k].sum() >= LEAST:
            row[f"iou_{name}"] = float(counts[k, k] / (counts[k].sum() + counts[:, k].sum() - counts[k, k]))
    return row | {"iou_mean": float(np.mean(list(row.values())))}


def describe_confusion(confusion: Int[np.ndarray, "k k"]) -> str:
    """Describe which labels every label is confused with."""
    lines = []
    for k, name in enumerate(LABELS):
        fraction: Float[np.ndarray, " k"] = confusion[k] / max(1, confusion[k].sum())
        for j in fraction.argsort()[::-1]:
            if j != k and fraction[j] >= 0.02:
                lines.append(f"{name} as {LABELS[j]} {fraction[j]:.2f}")
    return ", ".join(lines)


def parser_tiles(
    name: str, image: dict[str, Any], masks: Masks, found: Int[np.ndarray, "h w"]
) -> list[tuple[str, UInt8[np.ndarray, "h w 3"]]]:
    """Lay out one line of the sheet."""
    from headcast.priors.parser.palette import coloured

    def in_colours(m: Masks) -> UInt8[np.ndarray, "h w 3"]:
        return (255 * np.stack([m.skin, m.hair, m.clothes], -1).clip(0, 1)).astype(np.uint8)

    truth = coloured(torch.from_numpy(image["label"])).numpy()
    labels = coloured(torch.from_numpy(found)).numpy()
    return [
        (name, image["rgb"]),
        ("true labels", truth),
        ("parser", labels),
        ("masks", in_colours(masks)),
    ]
