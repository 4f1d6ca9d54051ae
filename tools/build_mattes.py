"""Mattes of people photographed before plain cloth: alpha, foreground colours and labels to train on.

python tools/build_mattes.py --data ../shared/data --out mattes [--sheets sheets] [--split train]

Needs pymatting (MIT), which nothing else here does. London and Canada only. The cloth is modelled by a
polynomial over the image. Its difference to the photo is keyed against nearby colours of the person, and the
same trimap is solved in closed form (Levin et al. 2008). Alpha counts as known where the two agree within
``AGREED``, or within ``ALIKE`` where person and cloth differ much, which makes the key exact; white shirts
and grey highlights often fail. ``REJECTED`` were rejected by eye. Labels are where landmarks (London: also
the hand-set points of ears), colours and matte agree. The files hold photographs of real people: private.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np

from headcast.errors import HeadcastError
from headcast.files import atomic_path
from headcast.image import load_image
from headcast.observe.detection import Detection, Masks
from headcast.observe.face_frame import FaceFrame, face_frame, polygon
from headcast.observe.filters import blur, local_colour
from headcast.observe.landmark_points import (
    BROW_LEFT,
    BROW_RIGHT,
    EYE_LEFT,
    EYE_RIGHT,
    LIPS_INNER,
    LIPS_OUTER,
)
from headcast.observe.landmarks import FaceDetector, pick_face
from headcast.observe.masks import person_matte, segment
from headcast.priors.images import IGNORE
from headcast.synth.config import LABELS

SIDE = 512
"""Pixels of the longer side, and of the square that is written."""
AGREED = 0.05
"""Largest difference of keyed and closed-form alpha for alpha to be known."""
ALIKE, CONTRAST = 0.15, 0.35
"""The same where person and cloth differ by more than ``CONTRAST``; then the key is taken."""
NUMBER = {n: i for i, n in enumerate(LABELS)}
EARS = ((109, 110, 111, 119, 118, 117, 116, 115), (112, 113, 114, 124, 123, 122, 121, 120))
"""Of the 189 points of a ``.tem`` file."""
NOSE = (168, 6, 122, 351, 49, 279, 129, 358, 98, 327, 2)
DEGREE = 4
"""Of the polynomial over the cloth."""
REJECTED = frozenset({"L021_neutral", "L021_smile", "C010f", "C053f", "C095m", "C116m", "C129m"})
"""Photos whose mattes are wrong to the eye: a bald head shines, or shadows fall on the cloth."""


class Matte(NamedTuple):
    """Alpha 0..1, where it is known, colours of person and cloth 0..1."""

    alpha: np.ndarray
    known: np.ndarray
    foreground: np.ndarray
    cloth: np.ndarray


def fit_cloth(image: np.ndarray, frame: FaceFrame) -> tuple[np.ndarray, float]:
    """Fit a smooth polynomial to the cloth; also return the noise around it (standard deviation)."""
    h, w = image.shape[:2]
    y, x = (np.mgrid[0:h, 0:w] + 0.5) / max(h, w) * 2 - 1
    sure = (np.abs(frame.x) > 0.85) & (frame.y > -0.3) | (frame.y > 1.0)
    sure &= frame.depth < -0.35
    near = np.zeros((h, w), bool)
    rim = max(2, h // 100)
    near[:rim], near[: h // 2, :rim], near[: h // 2, -rim:] = True, True, True
    sure |= near
    noise, cloth = 0.03, image
    for degree in (1, 2, DEGREE, DEGREE, DEGREE):
        terms = np.stack([x**i * y**j for i in range(degree + 1) for j in range(degree + 1 - i)], -1)
        at = np.flatnonzero(sure.ravel())[:: max(1, int(sure.sum()) // 20000)]
        flat, colours = terms.reshape(-1, terms.shape[-1]), image.reshape(-1, 3)
        keep = np.ones(len(at), bool)
        for _ in range(3):
            weights = np.linalg.lstsq(flat[at[keep]], colours[at[keep]], rcond=None)[0]
            off = np.abs(flat[at] @ weights - colours[at]).max(1)
            keep = off < max(2.5 * float(np.median(off)) * 1.5, 0.008)
        cloth = (flat @ weights).reshape(image.shape)
        noise = max(0.004, 1.5 * float(np.median(off[keep])))
        sure = connected_to_rim(np.abs(blur(image - cloth, 1.0)).max(-1) < max(3 * noise, 0.015), near)
    return np.clip(cloth, 0, 1), noise


def connected_to_rim(plain: np.ndarray, rim: np.ndarray) -> np.ndarray:
    """Keep what is connected with the upper rim of the image."""
    import cv2

    _, pieces = cv2.connectedComponents(plain.astype(np.uint8))
    mine = np.unique(pieces[rim & plain])
    return np.isin(pieces, mine[mine > 0])


def make_trimap(far: np.ndarray, noise: float, frame: FaceFrame, coarse: np.ndarray) -> np.ndarray:
    """Return 1 on sure person, 0 on sure cloth, a half elsewhere; shirts follow a ``coarse`` matte."""
    import cv2

    def disk(radius: int) -> np.ndarray:
        return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)

    unit = frame.unit
    plain = blur(far, 0.7) < max(2.2 * noise, 0.012)
    cloth = connected_to_rim(plain, frame.y > frame.top + 0.2)
    cloth |= (plain & (frame.depth < -0.12) & (frame.y > frame.chin - 0.25)) & ~connected_to_rim(
        far > 0.05, np.abs(frame.depth) < 0.1
    )
    person = far > max(6 * noise, 0.09)
    solid = cv2.morphologyEx(person.astype(np.uint8), cv2.MORPH_CLOSE, disk(2)) > 0
    filled = solid | (frame.depth > 0.03)
    small = ~filled
    small &= ~connected_to_rim(small, frame.y > frame.top + 0.2)
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(small.astype(np.uint8))
    tiny = stats[:, cv2.CC_STAT_AREA] < np.where(np.arange(count) > 0, 0.002 * unit**2, 0)
    filled |= tiny[pieces] & small
    inner = cv2.erode(filled.astype(np.uint8), disk(max(3, round(0.025 * unit)))) > 0
    inner &= (far > 0.06) | (frame.depth > -0.03) | (frame.y < frame.chin - 0.2)
    inner |= (frame.depth > 0.05) | ((coarse > 0.97) & (frame.y < frame.chin))
    cloth &= (coarse < 0.15) | (frame.y > frame.chin)
    return np.where(inner, 1.0, np.where(cloth, 0.0, 0.5))


class Key(NamedTuple):
    """Each pixel's place between cloth (0) and person (1) in colour, and how far those two are apart."""

    alpha: np.ndarray
    contrast: np.ndarray


def key_alpha(image: np.ndarray, cloth: np.ndarray, trimap: np.ndarray, unit: float) -> Key:
    """Key the unknown part of a trimap against the cloth and the nearest colours of the person."""
    person = (trimap == 1).astype(np.float32)
    front, weight = local_colour(image, person, 0.03 * unit)
    wide, _ = local_colour(image, person, 0.12 * unit)
    front = np.where(weight[..., None] > 1e-3, front, wide)
    line = front - cloth
    length = (line**2).sum(-1)
    place = np.clip(((image - cloth) * line).sum(-1) / np.maximum(length, 1e-4), 0, 1)
    return Key(np.where(trimap == 0.5, place, trimap), np.sqrt(length))


def make_matte(rgb: np.ndarray, detection: Detection) -> Matte:
    """Separate a person from plain cloth."""
    from pymatting import estimate_alpha_cf, estimate_foreground_ml

    image = rgb.astype(np.float32) / 255
    frame = face_frame(detection.points, *rgb.shape[:2])
    cloth, noise = fit_cloth(image, frame)
    coarse = person_matte(rgb, detection)
    trimap = make_trimap(np.abs(image - cloth).max(-1), noise, frame, coarse)
    keyed, contrast = key_alpha(image, cloth, trimap, frame.unit)
    clear = contrast > CONTRAST
    sure = np.where(clear & (keyed > 0.97), 1, np.where(clear & (keyed < 0.02), 0, trimap))
    solved = estimate_alpha_cf(image.astype(np.float64), sure, laplacian_kwargs={"epsilon": 1e-6})
    off = np.abs(keyed - solved)
    alpha = np.clip((np.where(clear, keyed, solved) - 0.02) / 0.96, 0, 1)
    foreground = estimate_foreground_ml(image.astype(np.float64), alpha)
    known = (off < np.where(clear, ALIKE, AGREED)) | (trimap != 0.5)
    return Matte(alpha, known, np.clip(foreground, 0, 1), cloth)


def plain_labels(
    rgb: np.ndarray, detection: Detection, m: Masks, alpha: np.ndarray, ears: list[np.ndarray]
) -> np.ndarray:
    """Return labels where landmarks, colours and matte agree, ``IGNORE`` elsewhere."""
    import cv2

    (h, w), p = rgb.shape[:2], detection.points
    frame = face_frame(p, h, w)
    lightness = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)[..., 0].astype(np.float32)

    def inside(outline: tuple[int, ...]) -> np.ndarray:
        return polygon(p[list(outline)], h, w) > 0.5

    sure, skin = alpha > 0.95, (m.skin > 0.75) & (m.glasses < 0.2)
    usual = float(np.median(lightness[(frame.depth > 0.05) & skin])) if skin.any() else 128.0
    bare = skin & (lightness > usual - 38)
    beside = (frame.depth < 0.01) & (np.abs(frame.y + 0.08) < 0.25)
    out = np.full((h, w), IGNORE, np.uint8)
    face = bare & (frame.y > frame.chin) & (frame.depth > -0.15) & ~beside
    out[cv2.erode(face.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0] = NUMBER["skin"]
    out[bare & (frame.y < frame.chin - 0.03)] = NUMBER["neck"]
    for ear in ears:
        out[(polygon(ear, h, w) > 0.5) & bare] = NUMBER["ears"]
    hull = cv2.convexHull(p[list(NOSE)].astype(np.float32))[:, 0]
    out[polygon(hull, h, w) > 0] = IGNORE
    lips, open_ = inside(LIPS_OUTER), inside(LIPS_INNER)
    out[lips] = NUMBER["lips"]
    out[open_] = np.where(lightness > usual - 5, NUMBER["teeth"], NUMBER["mouth"])[open_]
    for outline in (EYE_LEFT, EYE_RIGHT):
        out[inside(outline)] = NUMBER["eyes"] if m.glasses.max() < 0.3 else IGNORE
    for outline in (BROW_LEFT, BROW_RIGHT):
        brow = inside(outline)
        out[cv2.dilate(brow.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0] = IGNORE
        out[brow & (lightness < usual - 14) & (m.glasses < 0.2)] = NUMBER["brows"]
    out[(m.hair > 0.85) & sure & (frame.depth < 0.02)] = NUMBER["hair"]
    out[(m.clothes > 0.85) & sure & (frame.y < frame.chin)] = NUMBER["clothes"]
    out[alpha < 0.02] = NUMBER["background"]
    out[m.glasses > 0.7] = NUMBER["glasses"]
    return out


def hand_set_ears(path: Path, scale: float) -> list[np.ndarray]:
    """Return the outlines of the ears of a London photo, pixels of the scaled one; none without points."""
    file = path.with_suffix(".tem")
    if not file.exists():
        return []
    numbers = [float(v) for v in file.read_text().split()[1 : 1 + 2 * 189]]
    points = np.array(numbers).reshape(-1, 2) * scale
    return [points[list(e)] for e in EARS]


def matted(path: Path, detector: FaceDetector) -> dict[str, np.ndarray]:
    """Return the arrays of one photo, in a square of ``SIDE`` pixels; unknown beyond the photo."""
    import cv2

    image = load_image(path).filled()
    k = SIDE / max(image.shape[:2])
    w, h = round(image.shape[1] * k), round(image.shape[0] * k)
    found = pick_face(detector.detect(image), None, path.name)[0]
    box = tuple(float(v) * k for v in found.box)
    detection = Detection(found.points * k, box, found.score)
    rgb = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA)
    m = make_matte(rgb, detection)
    label = plain_labels(
        rgb, detection, segment(rgb, detection, m.alpha.astype(np.float32)), m.alpha, hand_set_ears(path, k)
    )
    label[~m.known & (label == NUMBER["background"])] = IGNORE

    plain = m.cloth.mean((0, 1))  # a cast of the light shows on the grey cloth

    def square(x: np.ndarray, fill: int = 0) -> np.ndarray:
        out = np.full((SIDE, SIDE, *x.shape[2:]), fill, np.uint8)
        out[:h, :w] = np.round(x * 255) if x.dtype != np.uint8 else x
        return out

    return {
        "rgb": square(np.clip(m.foreground * plain.mean() / plain, 0, 1)),
        "alpha": square(m.alpha),
        "known": square(m.known.astype(np.float32)),
        "background": square(m.cloth),
        "label": square(label, IGNORE),
        "box": np.array(box, np.float32),
        "size": np.array([w, h], np.int64),
        "seen": square(rgb),
    }


def show(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Return photo, alpha (unknown in magenta), the person over dark green, labels; side by side."""
    import torch

    from headcast.priors.parser.palette import coloured

    alpha = np.repeat(arrays["alpha"][..., None], 3, -1)
    alpha[arrays["known"] == 0] = (255, 0, 255)
    a = arrays["alpha"][..., None] / 255
    dark = a * arrays["rgb"] + (1 - a) * np.array([10, 70, 30])
    labels = coloured(torch.from_numpy(arrays["label"])).numpy()
    return np.concatenate([arrays["seen"], alpha, dark.astype(np.uint8), labels], 1)


def photos(data: Path, split: str) -> list[Path]:
    """Return the photos of a split of both sets."""
    out = []
    for folder in ("london", "canada"):
        rows = csv.DictReader((data / folder / f"{folder}.csv").open())
        out += [data / folder / r["file"] for r in rows if r["split"] == split]
    return out


def main() -> None:
    """Write the folder."""
    from PIL import Image

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--split", default="train", choices=("train", "validation"))
    parser.add_argument("--limit", type=int)
    a = parser.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    detector = FaceDetector()
    for path in photos(a.data, a.split)[: a.limit]:
        out = a.out / f"{path.stem}.npz"
        if out.exists() or path.stem in REJECTED:
            continue
        try:
            arrays = matted(path, detector)
        except HeadcastError as e:
            print(e)
            continue
        with atomic_path(out) as temporary, temporary.open("wb") as f:
            np.savez(f, **arrays)
        if a.sheets:
            a.sheets.mkdir(parents=True, exist_ok=True)
            Image.fromarray(show(arrays)).save(a.sheets / f"{path.stem}.jpg", quality=90)
        unknown = float((arrays["known"] == 0).mean())
        print(f"{path.stem}: {unknown:.3f} unknown", flush=True)


if __name__ == "__main__":
    main()
