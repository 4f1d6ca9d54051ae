"""Search an image for likely faces: whole, with a margin, in tiles, turned by quarter turns."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8

from headcast.crops.square import box_of, shifted
from headcast.face_networks.detector import BoxDetector, FoundFace

__all__ = ["FaceSearch", "turn_points"]

WORK_SIDE = 1024  # images are searched at most this large
LEAST_SCORES = {"near": 0.5, "far": 0.6}  # of the detectors, as in MediaPipe's own graphs
FINE_TILE = 576  # pixels of the tiles of a large image in which a face of 48 pixels is still found

Image = UInt8[np.ndarray, "_ _ 3"]


class FaceSearch:
    """Likely faces of one image, in its pixels. The detectors load when first needed and stay."""

    def __init__(self, least_score: float | None = None) -> None:
        """Make a search; ``least_score``: of a likely face, 0 to 1, instead of the networks' usual ones."""
        self.least = {**LEAST_SCORES} if least_score is None else dict.fromkeys(LEAST_SCORES, least_score)
        self.detectors: dict[str, BoxDetector] = {}

    def boxes(self, reach: str, rgb: Image) -> list[FoundFace]:
        """Run the near or the far detector on an image, squared."""
        if reach not in self.detectors:
            self.detectors[reach] = BoxDetector(reach)
        return self.detectors[reach](rgb, self.least[reach])

    def whole(self, rgb: Image) -> list[FoundFace]:
        """Find faces in the whole image: upright to 45 degrees, from nearly all of it down to a tenth."""
        small, scale = reduced(rgb)
        return [scaled(f, 1 / scale) for f in self.boxes("far", small)]

    def near(self, rgb: Image) -> list[FoundFace]:
        """Find faces that fill the image: with a margin around it, they are as the detector knows them."""
        import cv2

        small, scale = reduced(rgb)
        m = max(small.shape[:2]) // 2
        wide = cv2.copyMakeBorder(small, m, m, m, m, cv2.BORDER_CONSTANT)
        found = self.boxes("near", small) + [moved(f, -m, -m) for f in self.boxes("near", wide)]
        return [scaled(f, 1 / scale) for f in found]

    def turned(self, rgb: Image, turns: int, parts: int = 1) -> list[FoundFace]:
        """Find faces in the image turned by quarter turns counter-clockwise, whole or in tiles."""
        small, scale = reduced(rgb)
        image = np.ascontiguousarray(np.rot90(small, turns))
        size = image.shape[1], image.shape[0]
        found = []
        for f in self.whole(image) if parts == 1 else self.tiles(image, max(size) // parts):
            corners = turn_points(np.array([f.box[:2], f.box[2:]]), size, -turns)
            back = FoundFace(box_of(corners), turn_points(f.points, size, -turns), f.score)
            found.append(scaled(back, 1 / scale))
        return found

    def parts(self, rgb: Image, parts: int) -> list[FoundFace]:
        """Find small faces in overlapping tiles of 1/``parts`` the size, each enlarged."""
        small, scale = reduced(rgb)
        return [scaled(f, 1 / scale) for f in self.tiles(small, max(small.shape[:2]) // parts)]

    def fine_parts(self, rgb: Image) -> list[FoundFace]:
        """Find tiny faces in an image much larger than what the other searches see."""
        return self.tiles(rgb, FINE_TILE) if max(rgb.shape[:2]) > 4 * FINE_TILE else []

    def tiles(self, rgb: Image, side: int) -> list[FoundFace]:
        """Find faces in tiles of a side in pixels that overlap by half."""
        found: list[FoundFace] = []
        for y in range(0, max(1, rgb.shape[0] - side // 2), max(1, side // 2)):
            for x in range(0, max(1, rgb.shape[1] - side // 2), max(1, side // 2)):
                tile = rgb[y : y + side, x : x + side]
                if min(tile.shape[:2]) >= side // 3:
                    found += [moved(f, x, y) for f in self.boxes("far", tile)]
        return found


def reduced(rgb: Image) -> tuple[Image, float]:
    """Return an image at most ``WORK_SIDE`` large and its scale."""
    import cv2

    scale = min(1.0, WORK_SIDE / max(rgb.shape[:2]))
    if scale == 1:
        return rgb, scale
    return cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), scale


def scaled(f: FoundFace, k: float) -> FoundFace:
    """Return a found face in the pixels of an image ``k`` times as large."""
    x0, y0, x1, y1 = f.box
    return FoundFace((x0 * k, y0 * k, x1 * k, y1 * k), f.points * k, f.score)


def moved(f: FoundFace, x: float, y: float) -> FoundFace:
    """Return a found face moved by pixels."""
    return FoundFace(shifted(f.box, x, y), f.points + np.array([x, y]), f.score)


def turn_points(
    points: Float[np.ndarray, "n 2"], size: tuple[int, int], turns: int
) -> Float[np.ndarray, "n 2"]:
    """Return points (pixels) of an image of a size (width, height) after ``np.rot90(image, turns)``."""
    width, height = size
    for _ in range(turns % 4):
        points = np.stack([points[:, 1], width - points[:, 0]], 1).astype(points.dtype)
        width, height = height, width
    return points
