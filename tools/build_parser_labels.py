"""Labels for portraits where three ways of finding them agree: fitted head, landmarks, matte and colours.

python tools/build_parser_labels.py --data ../shared/data --out portraits_labelled [--count 120] [--skip 0]

Regions of the face are those of the fitted head where colours say skin; lips, eyes and brows must lie inside
their landmarks as well; hair, clothes and background are where the matte and the colours are sure. Everything
else stays unknown (beards too). Crops are 256² with the face at 1/2.9. The files hold photographs of real
people: private.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from headcast.crops.square import square_around
from headcast.errors import HeadcastError
from headcast.files import atomic_path
from headcast.head.model import HeadModel
from headcast.observe.face_frame import polygon
from headcast.observe.landmark_points import (
    BROW_LEFT,
    BROW_RIGHT,
    EYE_LEFT,
    EYE_RIGHT,
    LIPS_INNER,
    LIPS_OUTER,
)
from headcast.observe.observe import observe_photo
from headcast.observe.types import Observation
from headcast.priors.images import IGNORE
from headcast.synth.atlas import LABEL_OF_REGION
from headcast.synth.config import LABELS
from pack_portraits import SIDE, cut, rows_of

ROOM, A_FILE = 2.9, 8
NUMBER = {n: i for i, n in enumerate(LABELS)}


def fitted_labels(o: Observation, head: HeadModel) -> np.ndarray:
    """Labels of the fitted head over the picture (background where it isn't); its scalp is ``IGNORE``."""
    import torch

    from headcast.render.mesh import rasterize_mesh

    names = head.region_names
    table = [IGNORE if n in ("scalp", "shoulders") else NUMBER[LABEL_OF_REGION[n]] for n in names]
    with torch.no_grad():
        fragments = rasterize_mesh(head(o.params), head.faces, o.camera)
    hit = fragments.triangle >= 0
    corner = head.region[head.faces.long()[fragments.triangle.clamp(min=0).long()]]
    nearest = corner.gather(-1, fragments.barycentric.argmax(-1, keepdim=True))[..., 0]
    return torch.where(hit, torch.tensor(table)[nearest.long()], 0).numpy().astype(np.uint8)


def agreed(o: Observation, head: HeadModel) -> np.ndarray:
    """Labels where the ways agree, ``IGNORE`` elsewhere."""
    import cv2

    assert o.masks is not None
    m, p, (h, w) = o.masks, o.detection.points, o.image.shape[:2]
    fitted = fitted_labels(o, head)
    lightness = cv2.cvtColor(o.image, cv2.COLOR_RGB2LAB)[..., 0].astype(np.float32)
    face = np.isin(fitted, [NUMBER[n] for n in ("skin", "nose")]) & (m.skin > 0.7)
    usual = float(np.median(lightness[face])) if face.any() else 128.0
    bare = (m.skin > 0.7) & (m.glasses < 0.2) & (lightness > usual - 38)
    out = np.full((h, w), IGNORE, np.uint8)
    for name in ("skin", "nose", "ears", "neck"):
        there = (fitted == NUMBER[name]) & bare
        if name in ("skin", "nose"):
            there = cv2.erode(there.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        out[there] = NUMBER[name]
    chin = p[:, 1].max()
    rows = np.arange(h)[:, None]
    out[(rows > chin + 0.03 * (chin - p[:, 1].min())) & bare & np.isin(fitted, (0, IGNORE))] = NUMBER["neck"]
    out[(rows < chin) & bare & (m.skin > 0.85) & (fitted == IGNORE)] = NUMBER["skin"]  # forehead, bald heads
    outer, inner = polygon(p[list(LIPS_OUTER)], h, w) > 0.5, polygon(p[list(LIPS_INNER)], h, w) > 0.5
    lips, open_ = NUMBER["lips"], (NUMBER["mouth"], NUMBER["teeth"])
    out[outer | (fitted == lips) | np.isin(fitted, open_)] = IGNORE
    out[(fitted == lips) & outer & ~inner] = lips
    inside = inner & np.isin(fitted, open_)
    out[inside] = np.where(lightness > usual - 5, NUMBER["teeth"], NUMBER["mouth"])[inside]
    for outline in (EYE_LEFT, EYE_RIGHT):
        eye = polygon(p[list(outline)], h, w) > 0.5
        out[eye] = IGNORE
        out[eye & (fitted == NUMBER["eyes"]) & (m.glasses < 0.6)] = NUMBER["eyes"]
    for outline in (BROW_LEFT, BROW_RIGHT):
        brow = (
            cv2.dilate((polygon(p[list(outline)], h, w) > 0.5).astype(np.uint8), np.ones((3, 3), np.uint8))
            > 0
        )
        out[brow] = IGNORE
        out[brow & (lightness < usual - 14) & (m.glasses < 0.2)] = NUMBER["brows"]
    sure = m.person > 0.9
    off = np.isin(fitted, (0, IGNORE))
    out[(m.hair > 0.85) & sure & off] = NUMBER["hair"]
    out[(m.clothes > 0.85) & sure & off] = NUMBER["clothes"]
    near = round(0.12 * (chin - p[:, 1].min()))  # of the matte, which may cut hair off
    person = ((m.person > 0.04) | (fitted != 0)).astype(np.uint8)
    out[cv2.distanceTransform(1 - person, cv2.DIST_L2, 5) > near] = NUMBER["background"]
    out[m.glasses > 0.7] = NUMBER["glasses"]
    return out


def labelled(
    paths: list[Path], head: HeadModel
) -> Iterator[tuple[Path, np.ndarray, np.ndarray, tuple[float, ...]]]:
    """Crops with labels and boxes; portraits that cannot be observed are told and left out."""
    import cv2

    for path in paths:
        try:
            o = observe_photo(path, head)
        except HeadcastError as e:
            print(e)
            continue
        view = square_around(o.detection.box, ROOM)
        rgb, inside = cut(o.image, view, cv2.INTER_LINEAR)
        label, _ = cut(agreed(o, head), view, cv2.INTER_NEAREST)
        k = SIDE / view.side
        x0, y0, x1, y1 = o.detection.box
        box = tuple(
            SIDE / 2 + k * (v - c) for v, c in zip((x0, y0, x1, y1), (view.x, view.y) * 2, strict=True)
        )
        yield path, rgb, np.where(inside, label, IGNORE).astype(np.uint8), box


def main() -> None:
    """Writes the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--split", default="train")
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--skip", type=int, default=0)
    a = parser.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    rows = rows_of(a.data, a.split)
    order = np.random.default_rng(0).permutation(len(rows))
    head = HeadModel.load()
    for first in range(a.skip, a.skip + a.count, A_FILE):
        path = a.out / f"{first:05d}.npz"
        if path.exists():
            continue
        got = list(labelled([rows[i][0] for i in order[first : first + A_FILE]], head))
        if not got:
            continue
        rgb, label = np.stack([g[1] for g in got]), np.stack([g[2] for g in got])
        with atomic_path(path) as temporary, temporary.open("wb") as f:
            np.savez(
                f,
                rgb=rgb,
                alpha=np.zeros_like(label),
                background=np.zeros_like(rgb),
                label=label,
                box=np.array([g[3] for g in got], np.float32),
                person=order[first : first + len(got)],
                name=np.array([g[0].stem for g in got]),
            )
        print(f"{first + A_FILE - a.skip} of {a.count} portraits", flush=True)


if __name__ == "__main__":
    main()
