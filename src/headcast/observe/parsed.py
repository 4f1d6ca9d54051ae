"""Labels of the face parser over a whole photo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from headcast.observe.detection import Detection
from headcast.observe.filters import resized
from headcast.observe.masks import parse_image
from headcast.observe.types import Observation

__all__ = ["label_probability", "write_labels"]


def label_probability(
    rgb: UInt8[np.ndarray, "h w 3"], detection: Detection
) -> dict[str, Float[np.ndarray, "h w"]]:
    """Return the probability of every label of ``synth.config.LABELS``, 0 far from the face.

    Raises:
        HeadcastError: the parser's weights are missing.
    """
    parsed = parse_image(rgb, detection)
    return {n: resized(p, *rgb.shape[:2]) for n, p in parsed.probability.items()}


def write_labels(o: Observation, folder: str | Path) -> None:
    """Write an observation's label images into a folder.

    ``labels.png`` holds numbers of ``synth.config.LABELS``, background where the matte says so;
    ``labels_colour.png`` shows them over the photo.

    Raises:
        HeadcastError: the parser's weights are missing, or the folder cannot be written.
    """
    import torch

    from headcast.image import save_png
    from headcast.priors.parser.palette import coloured
    from headcast.synth.config import LABELS

    assert o.masks is not None
    probability = label_probability(o.image, o.detection)
    label = np.stack([probability[n] for n in LABELS]).argmax(0).astype(np.uint8)
    label[o.masks.person < 0.5] = LABELS.index("background")
    shown = coloured(torch.from_numpy(label)).numpy()
    Path(folder).mkdir(parents=True, exist_ok=True)
    save_png(Path(folder) / "labels.png", label)
    save_png(Path(folder) / "labels_colour.png", (0.45 * o.image + 0.55 * shown).astype(np.uint8))
