"""Measure masks against outlines drawn by eye, twice and independently: their agreement is the ceiling.

python tools/measure_outlines.py --data ../shared/data [--out figures.json] [--sheet sheet.png]

``tools/outlines.json`` holds polygons of person, scalp hair and ears, in pixels of their photos, of 12 people
of whom nothing was trained on, and the part of each photo that was outlined; the second time the photo was
mirrored and smaller. Printed is the intersection over union of the two outlines, and the mean of ours with
either; ears are those of ``fuse_labels``. ``guide`` is the coarse matte that guides the parser, the matte
before it; ``parser`` and ``parser ears`` are the parser's labels alone, without colours and place.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from headcast.image import load_image
from headcast.observe.landmarks import FaceDetector, pick_face
from headcast.observe.masks import segment
from headcast.observe.matte import coarse_matte, refine_by_colour
from headcast.observe.parsed import fuse_labels, label_probability
from headcast.synth.config import LABELS

__all__ = ["filled", "iou", "main"]

OUTLINES = Path(__file__).parent / "outlines.json"
PARTS = ("person", "hair", "ears")
FINE = 4
"""Subpixels a side of a pixel when polygons are filled; a pixel more than half inside is inside."""


def filled(polygons: list[list[list[float]]], height: int, width: int) -> Bool[np.ndarray, "h w"]:
    """Fill the union of polygons whose points are pixels of an image, pixel centres at +.5."""
    import cv2

    canvas = np.zeros((height * FINE, width * FINE), np.uint8)
    for polygon in polygons:
        cv2.fillPoly(canvas, [np.round(np.array(polygon) * FINE - 0.5).astype(np.int32)], 1)
    return canvas.reshape(height, FINE, width, FINE).mean((1, 3)) > 0.5


def iou(a: Bool[np.ndarray, "h w"], b: Bool[np.ndarray, "h w"]) -> float:
    """Return intersection over union; nan where neither has anything."""
    either = int((a | b).sum())
    return float((a & b).sum() / either) if either else float("nan")


def masks_of(path: Path, detector: FaceDetector) -> dict[str, Bool[np.ndarray, "h w"]]:
    """Return our masks of a photo, and the coarse matte."""
    rgb = load_image(path).rgb
    face = pick_face(detector.detect(rgb), None, path.name)[0]
    masks, probability = segment(rgb, face), label_probability(rgb, face)
    label = np.stack([probability[n] for n in LABELS]).argmax(0)
    covered, fused = masks.person > 0.5, fuse_labels(probability, masks, face.points)
    coarse = refine_by_colour(rgb, coarse_matte(rgb, face.box), face.box)
    return {
        "person": covered,
        "hair": masks.hair > 0.5,
        "ears": fused == LABELS.index("ears"),
        "guide": coarse > 0.5,
        "parser": (label == LABELS.index("hair")) & covered,
        "parser ears": (label == LABELS.index("ears")) & covered,
    }


def scored(entry: dict[str, Any], ours: dict[str, Bool[np.ndarray, "h w"]]) -> dict[str, float]:
    """Return the agreement of the two outlines of each part, and ours with them, within what was outlined."""
    height, width = ours["person"].shape
    x, y, w, h = entry["crop"]
    part_of = {"person": "person", "hair": "hair", "ears": "ears", "guide": "person", "parser": "hair"}
    part_of |= {"parser ears": "ears"}
    row = {}
    for name, part in part_of.items():
        first, second = (
            filled(entry[k][part], height, width)[y : y + h, x : x + w] for k in ("first", "second")
        )
        mine = ours[name][y : y + h, x : x + w]
        row[f"{part} twice"] = iou(first, second)
        row[name] = (iou(mine, first) + iou(mine, second)) / 2
    return row


def drawn(rgb: np.ndarray, entry: dict[str, Any], ours: dict[str, np.ndarray]) -> np.ndarray:
    """Show a photo with both outlines, and with our parts over it: hair red, ears green, the rest blue."""
    import cv2

    left, right = rgb.copy(), rgb.copy().astype(np.float32)
    for key, colour in (("first", (255, 255, 0)), ("second", (0, 255, 255))):
        for polygons in entry[key].values():
            for polygon in polygons:
                cv2.polylines(
                    left, [np.round(np.array(polygon)).astype(np.int32)], True, colour, 1 + len(rgb) // 700
                )
    for name, colour in (("person", (60, 60, 255)), ("hair", (255, 40, 40)), ("ears", (40, 255, 40))):
        right[ours[name]] = 0.55 * rgb[ours[name]] + 0.45 * np.array(colour)
    x, y, w, h = entry["crop"]
    both = [cv2.resize(i[y : y + h, x : x + w].astype(np.uint8), (420, 400)) for i in (left, right)]
    return np.concatenate(both, 1)


def main() -> None:
    """Measure all people, print a table and means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--sheet", type=Path, help="private: it shows real people")
    a = parser.parse_args()
    entries: dict[str, Any] = json.loads(OUTLINES.read_text())
    rows, tiles = {}, []
    with FaceDetector() as detector:
        for name, entry in entries.items():
            ours = masks_of(a.data / entry["file"], detector)
            rows[name] = scored(entry, ours)
            if a.sheet:
                tiles.append(drawn(load_image(a.data / entry["file"]).rgb, entry, ours))
    keys = list(next(iter(rows.values())))
    print("| person | " + " | ".join(keys) + " |\n" + "|---" * (len(keys) + 1) + "|")
    mean = {k: float(np.nanmean([r[k] for r in rows.values()])) for k in keys}
    for name, row in [*rows.items(), ("mean", mean)]:
        print(f"| {name} | " + " | ".join(f"{row[k]:.3f}"[1:] if row[k] < 1 else "1" for k in keys) + " |")
    for part in PARTS:
        print(f"{part}: {mean[part] / mean[f'{part} twice']:.3f} of the ceiling")
    if a.out:
        a.out.write_text(json.dumps(rows, indent=1) + "\n")
    if a.sheet:
        from headcast.image import save_png

        lines = [np.concatenate(tiles[k : k + 2], 1) for k in range(0, len(tiles), 2)]
        save_png(a.sheet, np.concatenate(lines))


if __name__ == "__main__":
    main()
