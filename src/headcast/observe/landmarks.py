"""Detect faces in an image: 478 MediaPipe landmarks each."""

from __future__ import annotations

from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8

from headcast.crops.square import Square, box_of, face_size, overlap
from headcast.errors import HeadcastError
from headcast.face_networks.blendshapes import BlendshapeScorer
from headcast.face_networks.detector import FoundFace
from headcast.face_networks.mesh import MESH_SIDE, FaceMesh
from headcast.observe.detection import Detection
from headcast.observe.face_search import FaceSearch, turn_points
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
    "upright_points",
]

MAX_FACES = 5
LARGE_FACE = 0.12  # of the image's longer side: beside such a face, small ones are not looked for
MAX_OVERLAP = 0.3  # of the boxes of two faces
ROOM = 1.5  # side of the square a face is measured in over the larger side of the landmarks' box
MIN_FACE = 48.0  # pixels between the ears
MAX_YAW = 60.0  # degrees
MIN_PRESENCE = 0.5  # of the landmark network, for a square to show a face
MIN_SCORE = 0.2
SURE_SCORE = 0.85  # below it a found face is measured in other orientations too: wrong ones score up to .8
SCORE_GAIN = 0.1  # by which a face turned by quarter turns must score better than one less turned
TURNED_SCORE = 0.45  # of a face that is found in a quarter turn alone; below it the image is turned too
TRACK_SCORE = 0.5  # of a face that is followed from frame to frame
STEADY_ROLL = np.radians(5.0)  # by which a face may lie askew in the square it is measured in
YAW_GAIN = 1.12  # the mesh is too flat in depth: measured against poses of portraits and of rendered heads
Jitter = tuple[tuple[float, float, float, float], ...]

# The squares whose landmarks are averaged: room, shift in face sizes, turn in radians; each also mirrored.
ONE = ((ROOM, 0.0, 0.0, 0.0),)
JITTER = (
    (1.4, 0.03, 0.02, 0.06),
    (1.6, -0.02, 0.03, -0.06),
)


class FaceDetector:
    """Detect faces. The networks load when first needed; close it or use it in a ``with`` statement."""

    def __init__(self, least_score: float | None = None) -> None:
        """Make a detector; ``least_score``: of a likely face, 0 to 1, instead of the networks' usual ones."""
        self.search = FaceSearch(least_score)
        self.mesh: FaceMesh | None = None
        self.scorer: BlendshapeScorer | None = None

    def detect(
        self, rgb: UInt8[np.ndarray, "h w 3"], refine: bool = True, turned: bool = True
    ) -> list[Detection]:
        """Detect all faces (five at most), the largest first; empty when there is none.

        Landmarks are found in a square around each face and its mirror image. With ``refine`` they are the
        mean over four squares, shifted, turned, scaled, half of them mirrored.
        Faces may be turned by any angle in the image; where none is sure, the image is searched turned by
        quarter turns too, unless ``turned`` is False.
        """
        faces = self.add_faces(rgb, [], self.search.whole(rgb))
        if not faces:
            faces = self.add_faces(rgb, faces, self.search.near(rgb))
        if max((face_size(d.box) for d in faces), default=0.0) < LARGE_FACE * max(rgb.shape):
            faces = self.add_faces(rgb, faces, self.search.parts(rgb, 2))
        if turned and max((d.score for d in faces), default=0.0) < TURNED_SCORE:
            for turns, parts in ((2, 1), (1, 1), (3, 1), (2, 2), (1, 2), (3, 2)):
                if parts == 1 or not faces:
                    faces = self.add_faces(rgb, faces, self.search.turned(rgb, turns, parts))
        if not faces:
            faces = self.add_faces(rgb, faces, self.search.parts(rgb, 4))
        if not faces:
            faces = self.add_faces(rgb, faces, self.search.fine_parts(rgb))
        if refine:
            faces = [d for f in faces for d in [self.measure(rgb, f.points, JITTER)] if d]
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

    def add_faces(
        self, rgb: UInt8[np.ndarray, "h w 3"], faces: list[Detection], found: list[FoundFace]
    ) -> list[Detection]:
        """Measure what was found, the largest first, and add what are faces not known yet; five at most."""
        for f in sorted(found, key=lambda f: -face_size(f.box)):
            sure = [d for d in faces if d.score >= SURE_SCORE]
            if len(sure) < MAX_FACES and all(overlap(f.box, d.box) < MAX_OVERLAP for d in sure):
                d = self.measure_found(rgb, f)
                faces = drop_overlapping([*faces, d]) if d else faces
        return faces[:MAX_FACES]

    def measure_found(self, rgb: UInt8[np.ndarray, "h w 3"], found: FoundFace) -> Detection | None:
        """Measure a face as it lies by its detector, or in the quarter turn where views agree most."""
        best: Detection | None = None
        for turns in (0, 2, 1, 3):
            if best is not None and best.score >= SURE_SCORE:
                break
            points = self.locate(rgb, found, turns)
            d = self.measure(rgb, points, ONE) if points is not None else None
            if d is not None and d.score > (
                SCORE_GAIN + best.score if best else TURNED_SCORE if turns else 0
            ):
                best = d
        return best

    def locate(
        self, rgb: UInt8[np.ndarray, "h w 3"], found: FoundFace, turns: int
    ) -> Float[np.ndarray, "478 3"] | None:
        """Return first landmarks of a face that a detector found; None when its square shows no face."""
        x0, y0, x1, y1 = found.box
        roll = found.roll - turns * np.pi / 2
        side = ROOM * max(x1 - x0, y1 - y0, 1.0)
        view = Square(x=(x0 + x1) / 2, y=(y0 + y1) / 2, side=side, angle=-roll)
        points = self.in_square(rgb, view)
        for _ in range(2):  # again, until the face lies level in its square
            if points is None or abs(askew(points, view)) < STEADY_ROLL:
                break
            view = square_on(points, ONE[0])
            points = self.in_square(rgb, view)
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

    def close(self) -> None:
        """Release the networks, which frees their memory."""
        self.search.detectors.clear()
        self.mesh = self.scorer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def askew(points: Float[np.ndarray, "478 k"], view: Square) -> float:
    """Return the radians by which a face is turned in a square, within +-pi."""
    return float((np.radians(face_roll(points)) + view.angle + np.pi) % (2 * np.pi) - np.pi)


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
    return Square(x=float(x), y=float(y), side=room * size, angle=sign * angle - roll, mirrored=mirrored)


def quarter_turns(points: Float[np.ndarray, "478 k"]) -> int:
    """Return the quarter turns counter-clockwise that make a face upright, 0 to 3."""
    return round(face_roll(points) / 90) % 4


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
        if all(overlap(d.box, other.box) < MAX_OVERLAP for other in faces):
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
