"""The restorer on degraded portraits: blur of 2 pixels, a quarter of the size, noise of 6 levels, JPEG 60.

Images of the split ``evaluation`` where the folder has ``splits.json`` and ``portraits``, else all images
of the folder; each is brought to 512² first. The seed of an image's noise is its number in the list, from 0.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from headcast.errors import HeadcastError
from headcast.evaluate.compare import Comparer
from headcast.evaluate.data import groups_of, photos_in
from headcast.evaluate.report import Report
from headcast.evaluate.setting import Setting
from headcast.evaluate.store import Measured, Store
from headcast.image import load_image
from headcast.priors.restorer.infer import enlarged, load_restorer, restore_tiled
from headcast.weights import load_tensors

__all__ = ["degrade_to_quarter", "measure"]

SIDE, TIMES = 512, 4
BLUR, NOISE, QUALITY = 2.0, 6.0, 60
STRENGTH = 4
"""h of OpenCV's non-local means after enlarging: the best of 3 to 8 and 10 on nine validation portraits
(27.11 dB); on the small image before enlarging 1, 2, 3, 4, 5, 6, 8 reach 27.07 at most (h 2)."""
SHOWN = 6
Image = UInt8[np.ndarray, "h w 3"]


def degrade_to_quarter(rgb: UInt8[np.ndarray, "h w 3"], seed: int) -> UInt8[np.ndarray, "h4 w4 3"]:
    """Degrade to a quarter of the size: Gaussian blur of 2 pixels, 4x4 means, Gaussian noise, JPEG."""
    import cv2

    soft = cv2.GaussianBlur(rgb.astype(np.float32), (0, 0), BLUR)
    small = cv2.resize(soft, None, fx=1 / TIMES, fy=1 / TIMES, interpolation=cv2.INTER_AREA)
    noisy = small + np.random.default_rng(seed).normal(0, NOISE, small.shape)
    bgr = np.clip(np.round(noisy), 0, 255).astype(np.uint8)[..., ::-1]
    data = cv2.imencode(".jpg", np.ascontiguousarray(bgr), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None, "our own JPEG"
    return np.ascontiguousarray(decoded[..., ::-1])


def denoise_and_enlarge(small: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h4 w4 3"]:
    """Enlarge bicubically, then apply non-local means: better than in reverse order."""
    import cv2

    bgr = np.ascontiguousarray(enlarged(small, TIMES)[..., ::-1])
    clean = cv2.fastNlMeansDenoisingColored(bgr, None, STRENGTH, STRENGTH, 7, 21)
    return np.ascontiguousarray(clean[..., ::-1])


def measure(setting: Setting) -> Report:
    """Measure on every image: bicubic, bicubic with non-local means, the restorer.

    Raises:
        HeadcastError: no images, or no weights of the restorer.
    """
    network = load_restorer(device=setting.device)
    who: dict[str, Callable[[Image], Image]] = {
        "bicubic": partial(enlarged, times=TIMES),
        "bicubic, non-local means": denoise_and_enlarge,
        "restorer": lambda small: restore_tiled(enlarged(small, TIMES), network),
    }
    facts = {"restorer": load_tensors("restorer")[2]}
    files = photos_in(setting.data)
    names = setting.chosen(list(files))
    store = Store(setting.out, {"protocol": "prior", "prior": "restorer", **setting.facts()})
    numbers = {name: n for n, name in enumerate(files)}
    with Comparer(setting.networks, {"face": "", "whole": ""}) as comparer:
        report = Report(protocol="prior: restorer", figures={f.key: f for f in comparer.figures})
        for n, name in enumerate(names):
            setting.say(n / len(names), name)
            try:
                made = measure_image(files[name], numbers[name], who, facts, comparer, store)
            except HeadcastError as e:
                report.skipped[name] = str(e)
                continue
            for subject, found in made.items():
                report.add(subject, name, found.rows)
            if len(report.sheet) < SHOWN:
                kept = {c: store.kept(c, name) for c in ("real", *who)}
                report.sheet.append([(f"{name} {c}", x) for c, k in kept.items() for x in k.values()])
    report.groups = groups_of(setting.data, report.items())
    report.settings = {
        "poor": f"{SIDE}², Gaussian blur {BLUR} px, area /{TIMES}, noise {NOISE}/255, JPEG {QUALITY}; "
        "seed: number of the image in its list",
        "non-local means": f"OpenCV, coloured, h {STRENGTH}, windows 7 and 21, after bicubic",
    }
    return report


def measure_image(
    path: Path,
    number: int,
    who: dict[str, Callable[[Image], Image]],
    facts: dict[str, str],
    comparer: Comparer,
    store: Store,
) -> dict[str, Measured]:
    """Measure all methods on one image; from disk where they were measured before with the same ``facts``."""
    import cv2

    name = path.stem
    made = {c: store.get(c, name, facts.get(c)) for c in who}
    if None not in made.values():
        return {c: m for c, m in made.items() if m is not None}
    rgb = load_image(path).rgb
    if rgb.shape[:2] != (SIDE, SIDE):
        side = min(rgb.shape[:2])
        rgb = cv2.resize(rgb[:side, :side], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    truth = comparer.truth(rgb, name, regions={"whole": np.ones((SIDE, SIDE), bool)})
    store.keep("real", name, "picture", rgb)
    small = degrade_to_quarter(rgb, number)

    def work(subject: str) -> Measured:
        image = who[subject](small)
        store.keep(subject, name, "picture", image)
        return Measured([comparer.compare(truth, image)])

    return {c: store.once(c, name, partial(work, c), facts.get(c)) for c in who}
