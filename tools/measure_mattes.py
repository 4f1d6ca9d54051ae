"""Measure mattes of cut-out people before scenes that no training saw, and the colours along outlines.

python tools/build_mattes.py --data ../shared/data --out held --split validation
python tools/measure_mattes.py --mattes held --scenes scenes/test.npz --out figures.json [--sheet sheet.png]
python tools/measure_mattes.py --photos ../shared/data/multiview ../shared/data/portraits --out rims.json
python tools/measure_mattes.py --plain ../shared/data/london/L066_neutral.jpg ... --out floor.json

Composites are made from the files alone, so that two versions of the package can be measured on the same
images. Every second person (sorted) decides, the others report. SAD is in thousands of pixels of 512², the
gradient error is that of Rhemann et al. 2009. ``--photos`` measures, of real photos, the fraction of covered
pixels near the outline whose colour is nearer to the background around them than to the person's own, in the
colours that textures take (``rim``) and in the photo's (``rim_photo``); ``rim_mixed`` takes hair and
skin as one. ``--plain`` cuts people out of photos before plain light walls, lays them over other walls and
measures the same of their true colours too: what the measure finds there is no background.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from headcast.errors import HeadcastError
from headcast.image import load_image
from headcast.observe.detection import Detection, Masks
from headcast.observe.face_frame import face_frame
from headcast.observe.landmarks import FaceDetector, pick_face
from headcast.observe.masks import segment

SEED, NOISE, QUALITY = 0, 2.0, 92
REACH = 0.09
"""Of the face's height: 2 cm."""
NEARBY = 1e-3
"""Fraction of the surroundings that hair or skin must be to have a colour there."""
WALLS = {"light grey": (200, 204, 203), "blue": (70, 95, 150), "dark": (38, 32, 45)}
"""Colours of plain walls, the last as the cloth of the multiview set."""
WALL_SIDE = 600
FRONT = ("23", "32", "33", "34", "43")
"""Views of the multiview set that show a face."""


class Case(NamedTuple):
    """A composite, its coverage and where that is known."""

    name: str
    person: str
    scene: str
    rgb: np.ndarray
    alpha: np.ndarray
    known: np.ndarray


def composites(mattes: Path, scenes: Path) -> Iterator[Case]:
    """Place every held-out person before one scene of each kind."""
    import cv2

    bank = np.load(scenes)
    kinds = list(dict.fromkeys(bank["name"].tolist()))
    rng = np.random.default_rng(SEED)
    for path in sorted(mattes.glob("*.npz")):
        d = np.load(path)
        w, h = d["size"]
        alpha = d["alpha"][:h, :w].astype(np.float32) / 255
        front = d["rgb"][:h, :w].astype(np.float32) / 255
        for kind in kinds:
            at = rng.choice(np.flatnonzero(bank["name"] == kind))
            scene = cv2.resize(bank["rgb"][at], (int(w), int(h)), interpolation=cv2.INTER_CUBIC)
            behind = cv2.GaussianBlur(scene.astype(np.float32) / 255, (0, 0), rng.uniform(0.5, 3))
            gain = np.exp(rng.normal(0, 0.25)) * np.exp(rng.normal(0, 0.05, 3))
            a = alpha[..., None]
            mixed = np.sqrt(np.clip(a * front**2 * gain + (1 - a) * behind**2, 0, 1)) * 255
            noisy = np.clip(mixed + rng.normal(0, NOISE, mixed.shape), 0, 255).astype(np.uint8)
            coded = cv2.imencode(".jpg", noisy[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
            rgb = np.ascontiguousarray(cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1])
            known = d["known"][:h, :w] > 0
            yield Case(f"{path.stem}_{kind}", path.stem.split("_")[0], kind, rgb, alpha, known)


def gradient(x: np.ndarray) -> np.ndarray:
    """Return the magnitude of Gaussian derivatives of 1.4 pixels."""
    import cv2

    smooth = cv2.GaussianBlur(x, (0, 0), 1.4, borderType=cv2.BORDER_REPLICATE)
    return np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0) / 8, cv2.Sobel(smooth, cv2.CV_32F, 0, 1) / 8)


def errors(found: np.ndarray, case: Case) -> dict[str, float]:
    """Compute the errors of a matte where the truth is known."""
    off = (found - case.alpha) * case.known
    steep = (gradient(found) - gradient(case.alpha)) * case.known
    both = ((found > 0.5) & (case.alpha > 0.5) & case.known).sum()
    either = (((found > 0.5) | (case.alpha > 0.5)) & case.known).sum()
    return {
        "sad": float(np.abs(off).sum() / 1000),
        "mse": float((off**2).sum() / case.known.sum() * 1000),
        "gradient": float((steep**2).sum() / 1000 * 100),
        "iou": float(both / max(either, 1)),
    }


def observed(detector: FaceDetector, rgb: np.ndarray, name: str) -> tuple[Detection, Masks] | None:
    """Detect and segment the largest face; None without one."""
    try:
        detection = pick_face(detector.detect(rgb), None, name)[0]
    except HeadcastError:
        return None
    return detection, segment(rgb, detection)


def texture_colours(rgb: np.ndarray, detection: Detection, masks: Masks) -> np.ndarray:
    """Return the colours that textures are made of; the photo's where a version has no others."""
    try:
        from headcast.observe.foreground import estimate_foreground
    except ImportError:
        return rgb
    x0, y0, x1, y1 = detection.box
    return estimate_foreground(rgb, masks.person, max(x1 - x0, y1 - y0))


def bleeding(
    rgb: np.ndarray, shown: np.ndarray, detection: Detection, masks: Masks, apart: bool = True
) -> float:
    """Return the fraction of the outline's covered pixels that ``shown`` gives the background's colours.

    Each pixel of coverage over a half, of hair or skin above the chin, within ``REACH`` of the outline, is
    compared (Lab) with the nearby mean of the background beyond and of the person further inside.

    Args:
        apart: the person's own hair and skin are two colours, the nearer of which counts; False: one mean of
            both, which calls thin hair beside a forehead background, since it is unlike the skin.
    """
    import cv2

    frame = face_frame(detection.points, *rgb.shape[:2])
    lab, own_lab = (cv2.cvtColor(x.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) for x in (rgb, shown))
    solid = (masks.person > 0.5).astype(np.uint8)
    inside = cv2.distanceTransform(solid, cv2.DIST_L2, 5) / frame.unit
    outside = cv2.distanceTransform(1 - solid, cv2.DIST_L2, 5) / frame.unit
    part = np.maximum(masks.hair, masks.skin) > 0.5
    deep = (inside > REACH) & part & (frame.y > frame.chin)
    hair = masks.hair > masks.skin
    inner = [deep & hair, deep & ~hair] if apart else [deep]
    beyond = (outside > 0.03) & (outside < 0.3)
    sigma = 0.08 * frame.unit

    def distance(where: np.ndarray) -> np.ndarray:
        weight = where.astype(np.float32)
        total = cv2.GaussianBlur(weight, (0, 0), sigma)
        mean = cv2.GaussianBlur(lab * weight[..., None], (0, 0), sigma) / np.maximum(total, 1e-5)[..., None]
        return np.where((total > NEARBY) | (not apart), ((own_lab - mean) ** 2).sum(-1), np.inf)

    rim = (solid > 0) & (inside < REACH) & part & (frame.y > frame.chin)
    own = np.min([distance(m) for m in inner], 0)
    return float((distance(beyond) < own)[rim].mean()) if rim.any() else float("nan")


def wall_rows(path: Path, detector: FaceDetector) -> list[dict]:
    """Measure the outline of a person laid over plain walls: true colours, the composite's and ours.

    ``off`` is the mean error of colours along the outline, of 255.
    """
    import cv2

    photo = cv2.resize(load_image(path).filled(), (WALL_SIDE, WALL_SIDE), interpolation=cv2.INTER_AREA)
    cut = observed(detector, photo, path.name)
    assert cut is not None
    front, a = texture_colours(photo, *cut), cut[1].person[..., None]
    rows = []
    for wall, colour in WALLS.items():
        noise = np.random.default_rng(SEED).normal(0, NOISE, photo.shape)
        rgb = np.clip(a * front + (1 - a) * np.array(colour) + noise, 0, 255).astype(np.uint8)
        found = observed(detector, rgb, path.name)
        if found is None:
            continue
        row: dict = {"name": path.stem, "half": "wall", "scene": wall}
        shown = {"true": (front, cut), "photo": (rgb, found), "ours": (texture_colours(rgb, *found), found)}
        solid = np.minimum(found[1].person, cut[1].person) > 0.5
        inside = cv2.distanceTransform(solid.astype(np.uint8), cv2.DIST_L2, 5)
        rim = solid & (inside < REACH * face_frame(found[0].points, 1, 1).unit)
        for name, (image, (detection, masks)) in shown.items():
            row[f"{name}_rim"] = bleeding(rgb, image, detection, masks)
            row[f"{name}_mixed"] = bleeding(rgb, image, detection, masks, apart=False)
            row[f"{name}_off"] = float(np.abs(image.astype(float) - front)[rim].mean())
        rows.append(row)
    return rows


def skin_tone(rgb: np.ndarray, detection: Detection, skin: np.ndarray) -> float:
    """Return the individual typology angle of the face's skin, degrees; light skin is high."""
    import cv2

    frame = face_frame(detection.points, *rgb.shape[:2])
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[(skin > 0.8) & (frame.depth > 0.05)]
    light, _, yellow = np.median(lab, 0) if len(lab) else (50.0, 0.0, 1.0)
    return float(np.degrees(np.arctan2(light - 50, yellow)))


def photos_of(folders: list[Path]) -> list[Path]:
    """Return the photos with faces: front views of multiview, evaluation portraits, all of other folders."""
    out = []
    for folder in folders:
        if folder.name == "multiview":
            people = [p for p in sorted(folder.iterdir()) if p.name in {f"0{k}" for k in range(33, 40)}]
            out += [p / f"{v}.jpg" for p in people for v in FRONT if (p / f"{v}.jpg").exists()]
        elif folder.name == "portraits":
            every = json.loads((folder.parent / "splits.json").read_text())["evaluation"]
            out += [folder / f"{n}.jpg" for n in every]
        else:
            out += sorted(folder.glob("*.jpg"))
    return out


def tile(rgb: np.ndarray, masks: Masks, detection: Detection) -> np.ndarray:
    """Show a crop of the photo, the person over green, and skin, hair, clothes as red, green, blue."""
    import cv2

    frame = face_frame(detection.points, 1, 1)
    x, y = detection.points.mean(0)
    x0, x1 = (int(np.clip(x + s * 1.15 * frame.unit, 0, rgb.shape[1])) for s in (-1, 1))
    y0, y1 = (int(np.clip(y + s * frame.unit, 0, rgb.shape[0])) for s in (-1.25, 1.05))
    a = masks.person[..., None]
    parts = np.stack([masks.skin, masks.hair, masks.clothes], -1) * 255
    shown = [rgb, a * rgb + (1 - a) * np.array([20, 190, 60]), parts]
    return np.concatenate([cv2.resize(s[y0:y1, x0:x1].astype(np.uint8), (220, 220)) for s in shown], 1)


def save_sheet(path: Path, tiles: list[np.ndarray], columns: int = 3) -> None:
    """Save tiles in columns."""
    from PIL import Image

    tiles = tiles + [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[i : i + columns], 1) for i in range(0, len(tiles), columns)]
    Image.fromarray(np.concatenate(rows)).save(path)


def main() -> None:
    """Measure, print means, write every figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--mattes", type=Path)
    parser.add_argument("--scenes", type=Path)
    parser.add_argument("--photos", type=Path, nargs="*", default=[])
    parser.add_argument("--plain", type=Path, nargs="*", default=[])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--only", help="decide or report")
    a = parser.parse_args()
    rows, tiles = [], []
    with FaceDetector() as detector:
        if a.mattes:
            people = sorted({p.stem.split("_")[0] for p in a.mattes.glob("*.npz")})
            for case in composites(a.mattes, a.scenes):
                half = ("decide", "report")[people.index(case.person) % 2]
                found = observed(detector, case.rgb, case.name) if half == (a.only or half) else None
                if found is None:
                    continue
                rows.append(
                    {"name": case.name, "half": half, "scene": case.scene} | errors(found[1].person, case)
                )
                tiles.append(tile(case.rgb, found[1], found[0]))
        rows += [row for path in a.plain for row in wall_rows(path, detector)]
        for path in photos_of(a.photos):
            rgb = load_image(path).filled()
            found = observed(detector, rgb, path.name)
            if found is None:
                continue
            set_ = path.parent.parent.name if path.parent.parent.name == "multiview" else path.parent.name
            name = f"{path.parent.name}/{path.stem}"
            colours = texture_colours(rgb, *found)
            rims = {"rim": bleeding(rgb, colours, *found), "rim_photo": bleeding(rgb, rgb, *found)}
            rims["rim_mixed"] = bleeding(rgb, colours, *found, apart=False)
            row = {"name": name, "half": set_, "scene": "photo", **rims}
            rows.append(row | {"tone": skin_tone(rgb, found[0], found[1].skin)})
            tiles.append(tile(rgb, found[1], found[0]))
    a.out.write_text(json.dumps(rows, indent=1) + "\n")
    if a.sheet and tiles:
        save_sheet(a.sheet, tiles)
    for half in dict.fromkeys(r["half"] for r in rows):
        for scene in [*dict.fromkeys(r["scene"] for r in rows), None]:
            mine = [r for r in rows if r["half"] == half and scene in (None, r["scene"])]
            keys = [k for k in mine[0] if k not in ("name", "half", "scene", "tone")] if mine else []
            means = ", ".join(f"{k} {np.nanmean([r[k] for r in mine]):.4f}" for k in keys)
            if mine:
                print(f"{half} {scene or 'all'} (n {len(mine)}): {means}")


if __name__ == "__main__":
    main()
