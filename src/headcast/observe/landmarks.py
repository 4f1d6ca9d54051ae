"""Detect faces in an image: 478 MediaPipe landmarks each."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, UInt8

from headcast.crops.square import Box, Square, box_of, face_size, overlap, shifted, square_around, squared
from headcast.errors import HeadcastError
from headcast.files import quiet_stderr
from headcast.observe.detection import Detection
from headcast.observe.landmark_points import MIRROR, face_roll, face_width, face_yaw, iris_distance
from headcast.observe.models import quiet_mediapipe

if TYPE_CHECKING:
    from typing import Self

__all__ = [
    "MAX_YAW",
    "MIN_FACE",
    "FaceDetector",
    "pick_face",
    "quarter_turns",
    "turn_detection",
    "turn_points",
]

MAX_FACES = 5
WORK_SIDE = 1024  # images are searched at most this large; faces are then measured in the full image
CROP = 384  # pixels of the square a face is measured in
ROOM = 2.0  # side of that square over the larger side of the landmarks' box
MIN_FACE = 48.0  # pixels between the ears
MAX_YAW = 60.0  # degrees
MIN_SCORE = 0.2
SURE_SCORE = 0.45  # below it a face is looked for in other orientations too
SCORE_GAIN = 0.15  # by which a face turned by quarter turns must score better than one less turned
TRACK_SCORE = 0.5  # of a face that is followed from frame to frame
YAW_GAIN = 1.12  # the mesh is too flat in depth: measured against poses of portraits and of rendered heads
Jitter = tuple[tuple[float, float, float, float], ...]

# The squares whose landmarks are averaged: room, shift in face sizes, turn in radians; each also mirrored.
ONE = ((ROOM, 0.0, 0.0, 0.0),)
JITTER = (
    (1.8, 0.03, 0.02, 0.06),
    (1.8, -0.02, -0.03, -0.06),
    (2.1, 0.01, -0.02, 0.06),
    (2.1, -0.02, 0.03, -0.06),
)


class FaceDetector:
    """Detect faces. MediaPipe's graphs stay loaded; close it or use it in a ``with`` statement."""

    def __init__(self) -> None:
        self.graphs: dict[str, Any] = {}
        self.greeted = False

    def detect(
        self, rgb: UInt8[np.ndarray, "h w 3"], refine: bool = True, turned: bool = True
    ) -> list[Detection]:
        """Detect all faces (five at most), the largest first; empty when there is none.

        Landmarks are found in a square around each face and its mirror image. With ``refine`` they are the
        mean over eight squares, shifted, turned, scaled, half of them mirrored: a third of the noise and
        a fifth of the left-right bias of a single pass over the whole image, for 60 ms a face.
        Faces may be turned by any angle in the image; where none is sure, the image is searched turned by
        quarter turns too, unless ``turned`` is False.
        """
        jitter = JITTER if refine else ONE
        faces = self.measure_boxes(rgb, self.search(rgb), jitter)
        if turned and max((d.score for d in faces), default=0.0) < SURE_SCORE:
            boxes = [b for turns in (2, 1, 3) for b in self.search_turned(rgb, turns)]
            faces = drop_overlapping(faces + self.measure_boxes(rgb, boxes, jitter))
        return sorted(faces, key=lambda d: -face_size(d.box))

    def measure_boxes(
        self, rgb: UInt8[np.ndarray, "h w 3"], boxes: list[Box], jitter: Jitter
    ) -> list[Detection]:
        """Measure the faces in boxes, each upright or in the quarter turn that suits it; drop doubles."""
        return drop_overlapping([d for b in boxes for d in [self.measure_turned(rgb, b, jitter)] if d])

    def measure_turned(self, rgb: UInt8[np.ndarray, "h w 3"], box: Box, jitter: Jitter) -> Detection | None:
        """Measure a face of unknown orientation: upright, else in the quarter turn where views agree most."""
        best = self.measure(rgb, box, jitter)
        for turns in (2, 1, 3):
            if best is not None and best.score >= SURE_SCORE:
                break
            d = self.measure(rgb, box, jitter, turns=turns)
            if d is not None and d.score > (SCORE_GAIN + best.score if best else SURE_SCORE):
                best = d
        return best

    def follow(self, rgb: UInt8[np.ndarray, "h w 3"], previous: Detection) -> Detection | None:
        """Detect a clip's face in the next frame at the place where it was; None when it is not there."""
        turns = quarter_turns(previous.points)
        d = self.measure(rgb, previous.box, ONE, find=False, turns=turns)
        return d if d is not None and d.score >= TRACK_SCORE else None

    def measure(
        self,
        rgb: UInt8[np.ndarray, "h w 3"],
        box: Box,
        jitter: Jitter,
        find: bool = True,
        turns: int = 0,
    ) -> Detection | None:
        """Average landmarks of the face in a box over squares around it; None when there is no face.

        Args:
            find: look for the face first, since boxes of face detectors are rough; then its own orientation
                replaces ``turns``.
            turns: quarter turns counter-clockwise that make the face upright.
        """
        if find:
            first = self.in_square(rgb, square_around(box, ROOM, angle=-turns * np.pi / 2))
            if first is None:
                first = self.in_square(rgb, square_around(box, 1.4 * ROOM, angle=-turns * np.pi / 2))
            if first is None:
                return None
            box, turns = box_of(first), quarter_turns(first)
        views = [self.in_square(rgb, view) for view in turned_squares(box, jitter, turns)]
        views = [v for v in views if v is not None]
        if len(views) < max(2, len(jitter)):
            return None
        points = np.mean(views, 0)
        spread = float(np.linalg.norm(np.std(views, 0)[:, :2], axis=1).mean())
        score = float(np.clip(1 - 10 * spread / max(iris_distance(points), 1e-3), 0, 1))
        if score < MIN_SCORE:
            return None
        return Detection(points[:, :2].astype(np.float32), box_of(points), score, YAW_GAIN * face_yaw(points))

    def search(self, rgb: UInt8[np.ndarray, "h w 3"]) -> list[Box]:
        """Find boxes of likely faces, from quick detectors to thorough ones, stopping when one finds any."""
        import cv2

        h, w = rgb.shape[:2]
        scale = min(1.0, WORK_SIDE / max(h, w))
        small = rgb if scale == 1 else cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        boxes = self.mesh_boxes(small)
        boxes += [b for b in self.range_boxes(small) if all(overlap(b, other) < 0.2 for other in boxes)]
        if not boxes:
            boxes = self.mesh_boxes(small, margin=0.5)
        if max((face_size(b) for b in boxes), default=0.0) < 0.2 * max(small.shape):
            boxes += self.tile_boxes(small, 2)
        if not boxes:
            boxes = self.tile_boxes(small, 4)
        distinct: list[Box] = []
        for b in sorted(boxes, key=lambda b: -face_size(b)):
            if all(overlap(b, other) < 0.3 for other in distinct):
                distinct.append(b)
        return [(x0 / scale, y0 / scale, x1 / scale, y1 / scale) for x0, y0, x1, y1 in distinct[:MAX_FACES]]

    def search_turned(self, rgb: UInt8[np.ndarray, "h w 3"], turns: int) -> list[Box]:
        """Find boxes of likely faces in the image turned by quarter turns, in pixels of the image itself."""
        turned = np.ascontiguousarray(np.rot90(rgb, turns))
        corners = [np.array([b[:2], b[2:]]) for b in self.search(turned)]
        return [box_of(turn_points(c, (turned.shape[1], turned.shape[0]), -turns)) for c in corners]

    def mesh_boxes(self, rgb: UInt8[np.ndarray, "h w 3"], margin: float = 0.0) -> list[Box]:
        """Find boxes of near faces. The image is made square first: the graph misplaces faces in others."""
        x, (left, top) = squared(rgb, margin)
        return [shifted(box_of(p), -left, -top) for p in self.mesh(x)]

    def range_boxes(self, rgb: UInt8[np.ndarray, "h w 3"]) -> list[Box]:
        """Find boxes of small faces, brow to chin."""
        x, (left, top) = squared(rgb)
        result = self.graph("range").process(x).detections or []
        side = x.shape[0]
        boxes: list[Box] = []
        for b in (d.location_data.relative_bounding_box for d in result):
            x0, y0 = b.xmin * side - left, b.ymin * side - top
            if b.width > 0 and b.height > 0:
                boxes.append((x0, y0, x0 + b.width * side, y0 + b.height * side))
        return boxes

    def tile_boxes(self, rgb: UInt8[np.ndarray, "h w 3"], parts: int) -> list[Box]:
        """Find boxes of tiny faces in overlapping tiles of 1/``parts`` the size, each enlarged."""
        side = max(rgb.shape[:2]) // parts
        boxes: list[Box] = []
        for y in range(0, max(1, rgb.shape[0] - side // 2), max(1, side // 2)):
            for x in range(0, max(1, rgb.shape[1] - side // 2), max(1, side // 2)):
                tile = rgb[y : y + side, x : x + side]
                if min(tile.shape[:2]) >= side // 3:
                    boxes += [shifted(b, x, y) for b in self.range_boxes(tile)]
        return boxes

    def in_square(self, rgb: UInt8[np.ndarray, "h w 3"], view: Square) -> Float[np.ndarray, "478 3"] | None:
        """Return landmarks (depth in pixels too) of the most central face in a square of the image."""
        x, A, t = view.cut(rgb, CROP)
        faces = self.mesh(x)
        if not faces:
            return None
        middle = min(faces, key=lambda p: float(np.linalg.norm(p[:, :2].mean(0) - CROP / 2)))
        if np.linalg.norm(middle[:, :2].mean(0) - CROP / 2) > 0.25 * CROP:
            return None
        xy = (middle[:, :2] - t) @ np.linalg.inv(A).T
        points = np.concatenate([xy, middle[:, 2:] / np.sqrt(abs(np.linalg.det(A)))], 1)
        return points[MIRROR] if view.mirrored else points

    def mesh(self, rgb: UInt8[np.ndarray, "s s 3"]) -> list[Float[np.ndarray, "478 3"]]:
        """Return landmarks of every face in a square image by the mesh graph, all three axes in pixels."""
        graph = self.graph("mesh")
        with nullcontext() if self.greeted else quiet_stderr():  # the first face ever makes the graph talk
            faces = graph.process(rgb).multi_face_landmarks or []
        self.greeted = self.greeted or bool(faces)
        return [np.array([(p.x, p.y, p.z) for p in f.landmark], np.float64) * rgb.shape[0] for f in faces]

    def graph(self, name: str) -> Any:
        """Return a MediaPipe graph, made on first use."""
        if name not in self.graphs:
            with quiet_mediapipe() as solutions:
                if name == "mesh":
                    graph = solutions.face_mesh.FaceMesh(
                        static_image_mode=True,
                        max_num_faces=MAX_FACES,
                        refine_landmarks=True,
                        min_detection_confidence=0.5,
                    )
                else:
                    graph = solutions.face_detection.FaceDetection(0.5, model_selection=1)
                graph.process(np.zeros((64, 64, 3), np.uint8))
                self.graphs[name] = graph
        return self.graphs[name]

    def close(self) -> None:
        """Close the MediaPipe graphs, which frees their memory."""
        while self.graphs:
            self.graphs.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def quarter_turns(points: Float[np.ndarray, "478 k"]) -> int:
    """Return the quarter turns counter-clockwise that make a face upright, 0 to 3."""
    return round(face_roll(points) / 90) % 4


def turn_points(
    points: Float[np.ndarray, "n 2"], size: tuple[int, int], turns: int
) -> Float[np.ndarray, "n 2"]:
    """Return points (pixels) of an image of a size (width, height) after ``np.rot90(image, turns)``."""
    width, height = size
    for _ in range(turns % 4):
        points = np.stack([points[:, 1], width - points[:, 0]], 1).astype(points.dtype)
        width, height = height, width
    return points


def turn_detection(d: Detection, size: tuple[int, int], turns: int) -> Detection:
    """Return the detection in the image after ``np.rot90(image, turns)``; ``size``: width, height before."""
    if turns % 4 == 0:
        return d
    points = turn_points(d.points, size, turns)
    return replace(d, points=points, box=box_of(points))


def turned_squares(box: Box, jitter: Jitter, turns: int) -> list[Square]:
    """Return the squares, half of them mirrored, around a face that ``turns`` quarter turns make upright."""
    base = -turns * np.pi / 2
    c, s = round(np.cos(base)), round(np.sin(base))
    squares = []
    for room, x, y, angle in jitter:
        for sign in (1, -1):
            dx, dy = c * sign * x + s * y, -s * sign * x + c * y
            squares.append(
                square_around(box, room, dx=dx, dy=dy, angle=sign * angle + base, mirrored=sign < 0)
            )
    return squares


def drop_overlapping(found: list[Detection]) -> list[Detection]:
    """Keep of detections of the same place the surer one; a first one wins against its equals."""
    faces: list[Detection] = []
    for d in sorted(found, key=lambda d: -min(d.score, SURE_SCORE)):
        if all(overlap(d.box, other.box) < 0.3 for other in faces):
            faces.append(d)
    return faces


def pick_face(detections: list[Detection], index: int | None, name: str) -> tuple[Detection, str | None]:
    """Choose the face, counted from 1 by size (None: the largest); return a note when there are others.

    Raises:
        HeadcastError: no face, no such face, one too small or turned too far away.
    """
    n = len(detections)
    if n == 0:
        raise HeadcastError(
            f"{name}: no face found; use a photo where the face is sharp, upright and not in profile"
        )
    if index is not None and not 1 <= index <= n:
        raise HeadcastError(f"{name}: --face {index} is not there; the faces found are numbered 1 to {n}")
    k = (index or 1) - 1
    d = detections[k]
    width = face_width(d.points, d.yaw)
    if width < MIN_FACE:
        raise HeadcastError(
            f"{name}: the face is {width:.0f} pixels wide between the ears; {MIN_FACE:.0f} are needed, so "
            "use a larger photo or one taken nearer"
        )
    if abs(d.yaw) > MAX_YAW:
        side = "left" if d.yaw > 0 else "right"
        raise HeadcastError(
            f"{name}: the face is turned {abs(d.yaw):.0f} degrees to its {side}, more than {MAX_YAW:.0f}; "
            "use a photo taken more from the front"
        )
    if n == 1:
        return d, None
    others = ", ".join(f"--face {i + 1} at {describe_place(o)}" for i, o in enumerate(detections) if i != k)
    chosen = "the largest" if index is None else f"number {index}"
    return d, f"{n} faces found; {chosen}, at {describe_place(d)}, is used; the others: {others}"


def describe_place(d: Detection) -> str:
    """Format the middle of a face's box in pixels."""
    return f"({(d.box[0] + d.box[2]) / 2:.0f}, {(d.box[1] + d.box[3]) / 2:.0f})"
