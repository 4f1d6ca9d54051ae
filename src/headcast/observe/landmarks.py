"""Detect faces in an image: 478 MediaPipe landmarks each."""

from __future__ import annotations

from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8

from headcast.crops.square import Square, box_of, face_size, overlap, shifted
from headcast.errors import HeadcastError
from headcast.face_networks.blendshapes import BlendshapeScorer
from headcast.face_networks.detector import BoxDetector, FoundFace
from headcast.face_networks.mesh import MESH_SIDE, FaceMesh
from headcast.observe.detection import Detection
from headcast.observe.landmark_points import MIRROR, face_roll, face_width, face_yaw, iris_distance

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
    "upright_points",
]

MAX_FACES = 5
WORK_SIDE = 1024  # images are searched at most this large; faces are then measured in the full image
ROOM = 1.5  # side of the square a face is measured in over the larger side of the landmarks' box
MIN_FACE = 48.0  # pixels between the ears
MAX_YAW = 60.0  # degrees
MIN_PRESENCE = 0.5  # of the landmark network, for a square to show a face
LEAST_SCORES = {"near": 0.5, "far": 0.6}  # of the detectors, as in MediaPipe's own graphs
MIN_SCORE = 0.2
SURE_SCORE = 0.45  # below it a face is looked for in other orientations too
SCORE_GAIN = 0.15  # by which a face turned by quarter turns must score better than one less turned
TRACK_SCORE = 0.5  # of a face that is followed from frame to frame
STEADY_ROLL = np.radians(5.0)  # by which a face may lie askew in the square it is measured in
YAW_GAIN = 1.12  # the mesh is too flat in depth: measured against poses of portraits and of rendered heads
Jitter = tuple[tuple[float, float, float, float], ...]

# The squares whose landmarks are averaged: room, shift in face sizes, turn in radians; each also mirrored.
ONE = ((ROOM, 0.0, 0.0, 0.0),)
JITTER = (
    (1.4, 0.03, 0.02, 0.06),
    (1.4, -0.02, -0.03, -0.06),
    (1.6, 0.01, -0.02, 0.06),
    (1.6, -0.02, 0.03, -0.06),
)


class FaceDetector:
    """Detect faces. The networks load when first needed; close it or use it in a ``with`` statement."""

    def __init__(self, least_score: float | None = None) -> None:
        """Make a detector; ``least_score``: of a likely face, 0 to 1, instead of the networks' usual ones."""
        self.least = {**LEAST_SCORES} if least_score is None else dict.fromkeys(LEAST_SCORES, least_score)
        self.detectors: dict[str, BoxDetector] = {}
        self.mesh: FaceMesh | None = None
        self.scorer: BlendshapeScorer | None = None

    def detect(
        self, rgb: UInt8[np.ndarray, "h w 3"], refine: bool = True, turned: bool = True
    ) -> list[Detection]:
        """Detect all faces (five at most), the largest first; empty when there is none.

        Landmarks are found in a square around each face and its mirror image. With ``refine`` they are the
        mean over eight squares, shifted, turned, scaled, half of them mirrored.
        Faces may be turned by any angle in the image; where none is sure, the image is searched turned by
        quarter turns too, unless ``turned`` is False.
        """
        jitter = JITTER if refine else ONE
        faces = self.measure_faces(rgb, self.search(rgb), jitter)
        if turned and max((d.score for d in faces), default=0.0) < SURE_SCORE:
            more = [f for turns in (2, 1, 3) for f in self.search_turned(rgb, turns)]
            faces = drop_overlapping(faces + self.measure_faces(rgb, more, jitter))
        return sorted(faces, key=lambda d: -face_size(d.box))

    def follow(self, rgb: UInt8[np.ndarray, "h w 3"], previous: Detection) -> Detection | None:
        """Detect a clip's face in the next frame at the place where it was; None when it is not there."""
        d = self.measure(rgb, previous.points, ONE)
        return d if d is not None and d.score >= TRACK_SCORE else None

    def blendshape_scores(self, points: Float[np.ndarray, "478 k"]) -> Float[np.ndarray, "52"]:
        """Return MediaPipe's blendshape scores of landmarks: 0 to 1, in the order of ``EXPRESSIONS``.

        Args:
            points: landmarks in pixels of an image; the face may be turned in it by any angle.
        """
        self.scorer = self.scorer or BlendshapeScorer()
        return self.scorer(upright_points(points[:, :2]))

    def measure_faces(
        self, rgb: UInt8[np.ndarray, "h w 3"], found: list[FoundFace], jitter: Jitter
    ) -> list[Detection]:
        """Measure faces that the detectors found, drop what is none and doubles."""
        return drop_overlapping([d for f in found for d in [self.measure_found(rgb, f, jitter)] if d])

    def measure_found(
        self, rgb: UInt8[np.ndarray, "h w 3"], found: FoundFace, jitter: Jitter
    ) -> Detection | None:
        """Measure a face as it lies by its detector, else in the quarter turn where views agree most."""
        best: Detection | None = None
        for turns in (0, 2, 1, 3):
            if best is not None and best.score >= SURE_SCORE:
                break
            points = self.locate(rgb, found, turns)
            d = self.measure(rgb, points, jitter) if points is not None else None
            if d is not None and d.score > (SCORE_GAIN + best.score if best else turns and SURE_SCORE):
                best = d
        return best

    def locate(
        self, rgb: UInt8[np.ndarray, "h w 3"], found: FoundFace, turns: int
    ) -> Float[np.ndarray, "478 3"] | None:
        """Return first landmarks of a face that a detector found; None when its square shows no face."""
        x0, y0, x1, y1 = found.box
        roll = found.roll - turns * np.pi / 2
        side = ROOM * max(x1 - x0, y1 - y0, 1.0)
        view = Square((x0 + x1) / 2, (y0 + y1) / 2, side, -roll)
        points = self.in_square(rgb, view)
        for _ in range(2):  # again, until the face lies well in its square
            if points is None:
                return None
            askew = np.radians(face_roll(points)) + view.angle
            view = square_on(points, ONE[0])
            points = self.in_square(rgb, view)
            if abs((askew + np.pi) % (2 * np.pi) - np.pi) < STEADY_ROLL:
                break
        return points

    def measure(
        self, rgb: UInt8[np.ndarray, "h w 3"], points: Float[np.ndarray, "478 k"], jitter: Jitter
    ) -> Detection | None:
        """Average landmarks over squares, half of them mirrored, around a face; None when there is none.

        Args:
            points: landmarks about where the face is.
        """
        squares = [square_on(points, j, mirrored) for j in jitter for mirrored in (False, True)]
        views = [v for v in (self.in_square(rgb, view) for view in squares) if v is not None]
        if len(views) < max(2, len(jitter)):
            return None
        mean = np.mean(views, 0)
        spread = float(np.linalg.norm(np.std(views, 0)[:, :2], axis=1).mean())
        score = float(np.clip(1 - 10 * spread / max(iris_distance(mean), 1e-3), 0, 1))
        if score < MIN_SCORE:
            return None
        return Detection(
            points=mean[:, :2].astype(np.float32),
            box=box_of(mean),
            score=score,
            yaw=YAW_GAIN * face_yaw(mean),
            blendshapes=self.blendshape_scores(mean),
        )

    def search(self, rgb: UInt8[np.ndarray, "h w 3"]) -> list[FoundFace]:
        """Find likely faces, from quick detectors to thorough ones, stopping when one finds any."""
        import cv2

        h, w = rgb.shape[:2]
        scale = min(1.0, WORK_SIDE / max(h, w))
        small = rgb if scale == 1 else cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        found = self.boxes("far", small)
        found += self.boxes("near", small)
        if not found:
            found = self.with_margin(small)
        if max((face_size(f.box) for f in found), default=0.0) < 0.2 * max(small.shape):
            found += self.in_tiles(small, 2)
        if not found:
            found = self.in_tiles(small, 4)
        distinct: list[FoundFace] = []
        for f in sorted(found, key=lambda f: -face_size(f.box)):
            if all(overlap(f.box, other.box) < 0.3 for other in distinct):
                distinct.append(f)
        return [scaled(f, 1 / scale) for f in distinct[:MAX_FACES]]

    def search_turned(self, rgb: UInt8[np.ndarray, "h w 3"], turns: int) -> list[FoundFace]:
        """Find likely faces in the image turned by quarter turns, in pixels of the image itself."""
        turned = np.ascontiguousarray(np.rot90(rgb, turns))
        size = turned.shape[1], turned.shape[0]
        found = []
        for f in self.search(turned):
            corners = turn_points(np.array([f.box[:2], f.box[2:]]), size, -turns)
            found.append(FoundFace(box_of(corners), turn_points(f.points, size, -turns), f.score))
        return found

    def with_margin(self, rgb: UInt8[np.ndarray, "h w 3"]) -> list[FoundFace]:
        """Find faces that fill the image: with a margin around it, they are as the detector knows them."""
        import cv2

        m = max(rgb.shape[:2]) // 2
        wide = cv2.copyMakeBorder(rgb, m, m, m, m, cv2.BORDER_CONSTANT)
        return [moved(f, -m, -m) for f in self.boxes("near", wide)]

    def in_tiles(self, rgb: UInt8[np.ndarray, "h w 3"], parts: int) -> list[FoundFace]:
        """Find tiny faces in overlapping tiles of 1/``parts`` the size, each enlarged."""
        side = max(rgb.shape[:2]) // parts
        found: list[FoundFace] = []
        for y in range(0, max(1, rgb.shape[0] - side // 2), max(1, side // 2)):
            for x in range(0, max(1, rgb.shape[1] - side // 2), max(1, side // 2)):
                tile = rgb[y : y + side, x : x + side]
                if min(tile.shape[:2]) >= side // 3:
                    found += [moved(f, x, y) for f in self.boxes("far", tile)]
        return found

    def in_square(self, rgb: UInt8[np.ndarray, "h w 3"], view: Square) -> Float[np.ndarray, "478 3"] | None:
        """Return landmarks (depth in pixels too) of the face in a square of the image; None without one."""
        self.mesh = self.mesh or FaceMesh()
        crop, A, t = view.cut(rgb, MESH_SIDE)
        p, presence = self.mesh(crop)
        if presence < MIN_PRESENCE:
            return None
        xy = (p[:, :2] - t) @ np.linalg.inv(A).T
        points = np.concatenate([xy, p[:, 2:] / np.sqrt(abs(np.linalg.det(A)))], 1)
        return points[MIRROR] if view.mirrored else points

    def boxes(self, reach: str, rgb: UInt8[np.ndarray, "h w 3"]) -> list[FoundFace]:
        """Run the near or the far detector, loaded on first use."""
        if reach not in self.detectors:
            self.detectors[reach] = BoxDetector(reach)
        return self.detectors[reach](rgb, self.least[reach])

    def close(self) -> None:
        """Release the networks, which frees their memory."""
        self.detectors.clear()
        self.mesh = self.scorer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def scaled(f: FoundFace, k: float) -> FoundFace:
    """Return a found face in the pixels of an image ``k`` times as large."""
    x0, y0, x1, y1 = f.box
    return FoundFace((x0 * k, y0 * k, x1 * k, y1 * k), f.points * k, f.score)


def moved(f: FoundFace, x: float, y: float) -> FoundFace:
    """Return a found face moved by pixels."""
    return FoundFace(shifted(f.box, x, y), f.points + np.array([x, y]), f.score)


def upright_points(points: Float[np.ndarray, "478 2"]) -> Float[np.ndarray, "478 2"]:
    """Turn landmarks about the image's corner so that the line of the eyes lies level."""
    roll = np.radians(face_roll(points))
    c, s = np.cos(roll), np.sin(roll)
    return points @ np.array([[c, -s], [s, c]])


def square_on(
    points: Float[np.ndarray, "478 k"], jitter: tuple[float, float, float, float], mirrored: bool = False
) -> Square:
    """Place a square on a face, upright in it, as the landmark network wants it.

    Args:
        jitter: room over the landmarks' box, shift as fractions of that box, turn in radians.
        mirrored: mirror the square, its shift and its turn.
    """
    room, dx, dy, angle = jitter
    sign = -1 if mirrored else 1
    roll = np.radians(face_roll(points))
    x0, y0, x1, y1 = box_of(upright_points(points[:, :2]))
    size = max(x1 - x0, y1 - y0, 1.0)
    c, s = np.cos(roll), np.sin(roll)
    x, y = np.array([[c, -s], [s, c]]) @ ((x0 + x1) / 2 + sign * dx * size, (y0 + y1) / 2 + dy * size)
    return Square(float(x), float(y), room * size, sign * angle - roll, mirrored)


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
