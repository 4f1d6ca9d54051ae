"""People of a clip kept apart: scripted scenes of coloured faces, seen by a detector without networks."""

from __future__ import annotations

import numpy as np
import pytest

from headcast.crops.square import face_size, overlap
from headcast.errors import HeadcastError
from headcast.observe.detection import Detection
from headcast.observe.people import FramePeople, PeopleVisitor, choose_person

WIDTH, HEIGHT = 480, 240
Scene = list[list[tuple[int, float, float, float]]]
"""Of each frame: person, middle x and y, width of the face in pixels; a later one hides an earlier one."""


def face(x: float, y: float, width: float) -> Detection:
    """A frontal face."""
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (478, 2)) * (width, 1.3 * width) + (x, y)
    points[234], points[454] = (x - width / 2, y), (x + width / 2, y)
    points[468], points[473] = (x - width / 4, y), (x + width / 4, y)
    box = (x - width / 2, y - 0.65 * width, x + width / 2, y + 0.65 * width)
    return Detection(points.astype(np.float32), box, 0.9, 0.0)


class SceneDetector:
    """Return the faces that a scene shows; the number of a frame is written in its first pixel."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def visible(self, frame: np.ndarray) -> list[Detection]:
        """The faces of a frame that no other hides."""
        faces = [face(x, y, w) for _, x, y, w in self.scene[int(frame[0, 0, 0])]]
        return [d for i, d in enumerate(faces) if all(overlap(d.box, o.box) < 0.4 for o in faces[i + 1 :])]

    def detect(self, frame: np.ndarray, refine: bool = True, turned: bool = True) -> list[Detection]:
        """All of them, the largest first."""
        return sorted(self.visible(frame), key=lambda d: -face_size(d.box))

    def follow(self, frame: np.ndarray, previous: Detection) -> Detection | None:
        """The one that covers most of the place, whoever it is."""
        near = [d for d in self.visible(frame) if overlap(d.box, previous.box) > 0.1]
        return max(near, key=lambda d: overlap(d.box, previous.box), default=None)

    def close(self) -> None:
        """Nothing to close."""


def frame_of(scene: Scene, t: int) -> np.ndarray:
    """Draw a frame: every person has colours of their own, light above and dark below or the reverse."""
    image = np.full((HEIGHT, WIDTH, 3), 110, np.uint8)
    for who, x, y, w in scene[t]:
        light, dark = ((200, 150, 120), (90, 60, 50))[:: 1 if who % 2 else -1]
        x0, x1 = (int(np.clip(v, 0, WIDTH)) for v in (x - 0.7 * w, x + 0.7 * w))
        y0, y1 = int(max(0, y - 0.9 * w)), int(min(HEIGHT, y + 0.9 * w))
        image[y0:y1, x0:x1] = light
        image[int(y) : y1, x0:x1] = dark
        if who >= 2:
            image[int(y) - 5 : int(y) + 15, x0:x1] = (20, 20, 200)
    image[0, 0] = t
    return image


def watch(scene: Scene, cut: int | None = None) -> list[FramePeople]:
    """Show a scene to the visitor."""
    visitor = PeopleVisitor(lambda n: None)
    visitor.detector = SceneDetector(scene)  # type: ignore[assignment]
    return visitor.merge([visitor(frame_of(scene, t), t == cut) for t in range(len(scene))])


def middle_of(d: Detection | None) -> float | None:
    """x of the middle of a face."""
    return None if d is None else (d.box[0] + d.box[2]) / 2


def test_two_people_keep_their_numbers() -> None:
    people = watch([[(0, 100 + t, 120, 80), (1, 350 - t, 120, 60)] for t in range(40)])
    first, _, notes = choose_person(people, None, "clip")
    second, _, _ = choose_person(people, 2, "clip")
    assert [middle_of(d) for d in first] == pytest.approx([100 + t for t in range(40)])
    assert [middle_of(d) for d in second] == pytest.approx([350 - t for t in range(40)])
    assert notes == ("2 faces: used the largest, at (100, 120); --face 2 takes the one at (350, 120)",)


def test_a_number_nobody_has_is_refused() -> None:
    people = watch([[(0, 100, 120, 80)]] * 3)
    with pytest.raises(HeadcastError, match=r"clip: --face 2 .* 1 to 1"):
        choose_person(people, 2, "clip")


def test_crossing_people_do_not_swap() -> None:
    scene: Scene = [[(0, 60 + 6 * t, 120, 60), (1, 420 - 6 * t, 120, 60)] for t in range(60)]
    people = watch(scene)
    paths = [choose_person(people, k, "clip")[0] for k in (1, 2)]
    starts = [middle_of(next(d for d in path if d)) for path in paths]
    for start, path in zip(starts, paths, strict=True):
        want = [60 + 6 * t if start == 60 else 420 - 6 * t for t in range(60)]
        seen = [(middle_of(d), w) for d, w in zip(path, want, strict=True) if d is not None]
        assert len(seen) > 45
        assert all(x == pytest.approx(w) for x, w in seen)


def test_who_enters_at_the_place_of_one_who_left_is_somebody_else() -> None:
    scene: Scene = [[(0, 200, 120, 70)]] * 20 + [[]] * 3 + [[(1, 205, 120, 70)]] * 15
    people = watch(scene)
    first, sharpness, notes = choose_person(people, None, "clip")
    assert all(d is not None for d in first[:20])
    assert all(d is None for d in first[20:])
    assert sharpness[30] == 0
    assert "--face 2 takes the one at (205, 120) from frame 23" in notes[0]


def test_who_replaces_a_face_from_one_frame_to_the_next_is_somebody_else() -> None:
    people = watch([[(0, 200, 120, 70)]] * 10 + [[(1, 205, 120, 70)]] * 10)
    assert [sorted(p) for p in people] == [[0]] * 10 + [[1]] * 10


def test_who_was_hidden_for_a_while_comes_back_with_the_same_number() -> None:
    scene: Scene = [[(0, 200, 120, 70)]] * 10 + [[]] * 30 + [[(0, 300, 120, 70)]] * 10
    people = watch(scene)
    assert {i for p in people for i in p} == {0}
    assert people[-1][0][0].box[0] == pytest.approx(265)


def test_three_people_are_numbered_by_size() -> None:
    people = watch([[(0, 80, 120, 50), (1, 220, 120, 90), (2, 400, 120, 70)]] * 20)
    middles = [middle_of(choose_person(people, k, "clip")[0][0]) for k in (1, 2, 3)]
    assert middles == pytest.approx([220, 400, 80])


def test_a_cut_ends_following_by_place() -> None:
    people = watch([[(0, 200, 120, 70)]] * 10 + [[(1, 200, 120, 70)]] * 10, cut=10)
    assert [sorted(p) for p in people] == [[0]] * 10 + [[1]] * 10


def test_a_face_mostly_out_of_the_frame_is_not_seen() -> None:
    people = watch([[(0, 60 - 4 * t, 120, 80)] for t in range(25)])
    seen = [bool(p) for p in people]
    assert seen[0] and not any(seen[15:])


def test_nobody_is_in_sight() -> None:
    detections, sharpness, notes = choose_person([{}, {}], None, "clip")
    assert (detections, sharpness, notes) == ([None, None], [0.0, 0.0], ())


def test_a_real_face_is_followed_and_found_again() -> None:
    astronaut = pytest.importorskip("skimage.data").astronaut()
    frames = [np.roll(astronaut, (3 * k, 6 * k), (0, 1)) for k in range(4)]
    frames += [np.roll(astronaut, 150, 1), np.zeros_like(astronaut)]
    with PeopleVisitor(lambda n: None) as visitor:
        people = [visitor(frame) for frame in frames]
    assert [sorted(p) for p in people] == [[0]] * 5 + [[]]
    start = people[0][0][0].points
    for k, (dx, dy) in enumerate([(0, 0), (6, 3), (12, 6), (18, 9), (150, 0)]):
        assert np.linalg.norm(people[k][0][0].points - (dx, dy) - start, axis=1).mean() < 2
