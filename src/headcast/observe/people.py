"""Follow every face of a clip in one pass, so that the person is chosen before anything is fitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from headcast.crops.square import face_size, overlap, square_around
from headcast.errors import HeadcastError
from headcast.observe.detection import Detection
from headcast.observe.landmark_points import face_roll, face_width
from headcast.observe.landmarks import MIN_FACE, FaceDetector

if TYPE_CHECKING:
    from headcast.video import Scan

__all__ = ["FramePeople", "PeopleVisitor", "choose_person", "face_sharpness"]

SEARCH_EVERY = 15  # frames between two searches of the whole frame for new faces
SEARCH_WHEN_LOST = 5  # frames between two searches while somebody is out of sight
BRIEF = 10  # frames for which a face that vanished is expected at its place
MIN_FRAME_OVERLAP = 0.4  # of the boxes of one face in frames that follow each other
MAX_SIZE_STEP = 1.4  # ratio of its sizes there
MIN_INSIDE = 0.7  # fraction of a face's box inside the frame, for the face to be seen
LOOK_SIDE = 12  # pixels of the thumbnail that tells people apart
LOOK_STEP = 0.2  # of a face's thumbnail from frame to frame; the jump to another face is larger
SAME_PLACE, SAME_PLACE_LOOK_STEP = (
    0.75,
    0.45,
)  # overlap of a face that stays: a hand or an open mouth changes it
SAME_LOOK = 0.12  # of one person's thumbnails at one pose; 95 % of pairs neutral, smiling: under 0.085
MERGE_LOOK = 0.08  # of the most alike thumbnails of what is one person after all
NEW_LOOK = 0.06  # from all known thumbnails, for one to be kept
MAX_LOOKS = 24
MIN_SHARED = 0.5  # of two thumbnails' pixels, for them to be comparable
PROBES = 5  # frames of a shot that are searched for a face
SAME_YAW = 10.0  # degrees within which thumbnails are comparable
MIN_PRESENCE = 0.02  # area times frames in sight, of the largest person's, for somebody to count

FramePeople = dict[int, tuple[Detection, float]]
"""Detection and sharpness of every person in sight in one frame, by number of appearance."""


@dataclass
class ClipPerson:
    """One person of a clip as far as the clip has been seen."""

    last: Detection
    seen: int
    looks: list[tuple[float, Float[np.ndarray, "n 3"]]] = field(default_factory=list)

    def add_look(self, look: Float[np.ndarray, "n 3"], yaw: float) -> None:
        """Remember a thumbnail unless it resembles the known ones; the oldest but the first is forgotten."""
        if not self.looks or min(look_distance(look, known) for _, known in self.looks) > NEW_LOOK:
            self.looks.append((yaw, look))
            if len(self.looks) > MAX_LOOKS:
                del self.looks[1]

    def distance(self, look: Float[np.ndarray, "n 3"], yaw: float | None = None) -> float:
        """Return the distance to the nearest known thumbnail (of about this yaw); infinite without one."""
        near = [x for y, x in self.looks if yaw is None or abs(y - yaw) < SAME_YAW]
        return min((look_distance(look, x) for x in near), default=np.inf)

    def likeness(self, other: ClipPerson) -> float:
        """Return the least distance of thumbnails of two people at about the same yaw."""
        return min((self.distance(look, yaw) for yaw, look in other.looks), default=np.inf)


class PeopleVisitor:
    """Detect all faces of frame after frame and number the people; a visitor for ``read_video``.

    A face is followed from frame to frame while place, size and appearance agree. A face that appears is
    the person who vanished there a moment ago or one who looks the same; otherwise it is somebody new.
    """

    def __init__(self, progress: Callable[[int], None]) -> None:
        self.progress, self.count = progress, 0
        self.detector: FaceDetector | None = None  # loaded when the first frame comes
        self.people: list[ClipPerson] = []

    def __call__(self, frame: UInt8[np.ndarray, "h w 3"], new_shot: bool = False) -> FramePeople:
        self.detector = self.detector or FaceDetector()
        t, since = self.count, BRIEF + 1 if new_shot else 0
        found: dict[int, Detection] = {} if new_shot else self.follow(frame)
        missing = [t - p.seen for i, p in enumerate(self.people) if i not in found]
        lost = any(m <= BRIEF or m % SEARCH_WHEN_LOST == 0 for m in missing)
        if new_shot or lost or not self.people or t % SEARCH_EVERY == 0:
            self.search(frame, found, since)
        for i, d in found.items():
            self.people[i].last, self.people[i].seen = d, t
            self.people[i].add_look(face_look(frame, d), d.yaw)
        self.count += 1
        self.progress(self.count)
        return {i: (d, face_sharpness(frame, d)) for i, d in found.items()}

    def shows_face(self, scan: Scan, shot: slice) -> bool:
        """Whether most of a shot's frames show a face: all visited frames count, else a few are searched."""
        if scan.visited is not None:
            return 2 * sum(map(bool, scan.visited[shot])) >= shot.stop - shot.start
        if scan.frames is None:
            return True
        self.detector = self.detector or FaceDetector()
        probes = np.linspace(shot.start, shot.stop - 1, PROBES).round().astype(int)
        found = [self.detector.detect(scan.frames[i], refine=False) for i in probes]
        return 2 * sum(map(bool, found)) >= PROBES

    def follow(self, frame: UInt8[np.ndarray, "h w 3"]) -> dict[int, Detection]:
        """Detect those who were in sight in the frame before, where they were."""
        assert self.detector is not None
        found: dict[int, Detection] = {}
        for i, person in enumerate(self.people):
            if person.seen != self.count - 1:
                continue
            d = self.detector.follow(frame, person.last)
            if d is None or not is_inside(d, frame) or not continues(person.last, d):
                continue
            distance = person.distance(face_look(frame, d))
            stays = overlap(person.last.box, d.box) > SAME_PLACE
            if distance > (SAME_PLACE_LOOK_STEP if stays else LOOK_STEP):
                continue
            rival = next((j for j, other in found.items() if overlap(other.box, d.box) > 0.5), None)
            if rival is None:
                found[i] = d
            elif distance < self.people[rival].distance(face_look(frame, found[rival])):
                del found[rival]
                found[i] = d
        return found

    def search(self, frame: UInt8[np.ndarray, "h w 3"], found: dict[int, Detection], since: int) -> None:
        """Add those found anywhere in the frame: people known, or somebody new."""
        assert self.detector is not None
        turned = not self.people and self.count % SEARCH_EVERY == 0  # that takes four times as long
        for d in self.detector.detect(frame, refine=False, turned=turned):
            small = face_width(d.points, d.yaw) < MIN_FACE / 2
            if small or not is_inside(d, frame) or any(overlap(d.box, o.box) > 0.3 for o in found.values()):
                continue
            who = self.recognize(face_look(frame, d), d, found, since)
            if who is None:
                who = len(self.people)
                self.people.append(ClipPerson(d, self.count))
            found[who] = d

    def recognize(
        self, look: Float[np.ndarray, "n 3"], d: Detection, found: dict[int, Detection], since: int
    ) -> int | None:
        """Return which of the people out of sight a face belongs to, None for nobody known."""
        best, least = None, 1.0
        for i, person in enumerate(self.people):
            if i in found:
                continue
            gone = max(self.count - person.seen, since)
            near = gone <= BRIEF and continues(person.last, d, slack=2.0)
            distance = person.distance(look) / LOOK_STEP if near else person.distance(look, d.yaw) / SAME_LOOK
            if distance < least:
                best, least = i, distance
        return best

    def merge(self, frames: Sequence[FramePeople]) -> list[FramePeople]:
        """Give one number to people who are never in sight together and look the same at the same pose.

        Somebody who comes back half hidden has been taken for somebody new.
        """
        times = {i: {t for t, p in enumerate(frames) if i in p} for i in range(len(self.people))}
        alias = {i: i for i in times}
        pairs = [(self.people[i].likeness(self.people[j]), i, j) for i in times for j in times if i < j]
        for distance, i, j in sorted(pairs):
            a, b = alias[i], alias[j]
            if distance < MERGE_LOOK and a != b and not times[a] & times[b]:
                times[a] |= times[b]
                alias = {k: a if v == b else v for k, v in alias.items()}
        return [{alias[i]: seen for i, seen in p.items()} for p in frames]

    def __enter__(self) -> PeopleVisitor:
        return self

    def __exit__(self, *_: object) -> None:
        if self.detector is not None:
            self.detector.close()


def continues(before: Detection, after: Detection, slack: float = 1.0) -> bool:
    """Whether place and size of two detections are those of one face a moment later."""
    ratio = face_size(after.box) / max(face_size(before.box), 1e-6)
    limit = MAX_SIZE_STEP**slack
    return overlap(before.box, after.box) >= MIN_FRAME_OVERLAP / slack and 1 / limit < ratio < limit


def is_inside(d: Detection, frame: UInt8[np.ndarray, "h w 3"]) -> bool:
    """Whether most of a face lies inside the frame."""
    x0, y0, x1, y1 = d.box
    w, h = min(x1, frame.shape[1]) - max(x0, 0.0), min(y1, frame.shape[0]) - max(y0, 0.0)
    return max(w, 0.0) * max(h, 0.0) >= MIN_INSIDE * (x1 - x0) * (y1 - y0)


def face_look(rgb: UInt8[np.ndarray, "h w 3"], d: Detection) -> Float[np.ndarray, "n 3"]:
    """Return an upright thumbnail of a face, logarithmic, relative to its brightness; nan off the image."""
    import cv2

    view = square_around(d.box, 1.4, angle=-float(np.radians(face_roll(d.points))))
    large, A, t = view.cut(rgb, 2 * LOOK_SIDE)
    x = cv2.resize(large, (LOOK_SIDE, LOOK_SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    x = x.reshape(-1, 3)
    grid = 2 * np.stack(np.meshgrid(*[np.arange(LOOK_SIDE) + 0.5] * 2), -1).reshape(-1, 2)
    places = (grid - t) @ np.linalg.inv(A).T
    x[((places < 0) | (places >= (rgb.shape[1], rgb.shape[0]))).any(1)] = np.nan
    return np.log((x + 8.0) / (np.nanmean(x) + 8.0))


def look_distance(a: Float[np.ndarray, "n 3"], b: Float[np.ndarray, "n 3"]) -> float:
    """Return the mean difference of two thumbnails of ``face_look``; infinite when they share little."""
    both = ~np.isnan(a - b)
    if both.mean() < MIN_SHARED:
        return np.inf
    difference = (a - b)[both].reshape(-1, 3)
    return float(np.abs(difference - np.median(difference)).mean())


def face_sharpness(rgb: UInt8[np.ndarray, "h w 3"], d: Detection) -> float:
    """Return the mean square gradient inside the face's box."""
    x0, y0, x1, y1 = (max(0, int(v)) for v in d.box)
    grey = rgb[y0:y1, x0:x1].mean(-1)
    return float((np.diff(grey, axis=0) ** 2).mean() + (np.diff(grey, axis=1) ** 2).mean())


class ChosenPerson(NamedTuple):
    """One person of a clip.

    Attributes:
        detections: of each frame; None: out of sight. sharpness: of each frame; 0 out of sight.
        notes: what the user should know.
    """

    detections: list[Detection | None]
    sharpness: list[float]
    notes: tuple[str, ...]


def choose_person(frames: Sequence[FramePeople], face: int | None, name: str) -> ChosenPerson:
    """Choose one person of a clip: by number (None: the first), counted from 1 by area times time in sight.

    Raises:
        HeadcastError: there is no such number.
    """
    area: dict[int, float] = {}
    for people in frames:
        for i, (d, _) in people.items():
            area[i] = area.get(i, 0.0) + face_size(d.box) ** 2
    most = max(area.values(), default=0.0)
    order = sorted((i for i in area if area[i] >= MIN_PRESENCE * most), key=lambda i: -area[i])
    if face is not None and not 1 <= face <= max(1, len(order)):
        raise HeadcastError(
            f"{name}: --face {face} is not there; the faces found are numbered 1 to {len(order)}"
        )
    if not order:
        return ChosenPerson([None] * len(frames), [0.0] * len(frames), ())
    who = order[(face or 1) - 1]
    chosen = [people.get(who) for people in frames]
    notes = name_others(frames, order, order.index(who), face is None) if len(order) > 1 else ()
    return ChosenPerson([c and c[0] for c in chosen], [c[1] if c else 0.0 for c in chosen], notes)


def name_others(
    frames: Sequence[FramePeople], order: Sequence[int], chosen: int, by_default: bool
) -> tuple[str, ...]:
    """Describe which person of a clip is used and where the others are, in one sentence."""
    places = []
    for i in order:
        t = next(t for t, people in enumerate(frames) if i in people)
        x0, y0, x1, y1 = frames[t][i][0].box
        places.append(f"({(x0 + x1) / 2:.0f}, {(y0 + y1) / 2:.0f})" + (f" from frame {t}" if t else ""))
    used = "the largest" if by_default else f"number {chosen + 1}"
    others = ", ".join(f"--face {k + 1} takes the one at {p}" for k, p in enumerate(places) if k != chosen)
    return (f"{len(order)} faces: used {used}, at {places[chosen]}; {others}",)
