"""Faces in photos turned by quarter turns, mirrored, cut out, half transparent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from headcast.errors import HeadcastError
from headcast.image import LoadedImage, load_image
from headcast.observe.detection import Detection
from headcast.observe.face_search import turn_points
from headcast.observe.landmark_points import iris_distance, unmirror
from headcast.observe.landmarks import FaceDetector, quarter_turns, turn_detection
from headcast.observe.masks import cutout_matte
from headcast.observe.photo import detect_visible, find_photo_face, segment_face, turn_upright


@pytest.fixture(scope="module")
def detector() -> Iterator[FaceDetector]:
    """One detector for all tests."""
    with FaceDetector() as d:
        yield d


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    """A portrait of 512 x 512 pixels (NASA, public domain)."""
    return pytest.importorskip("skimage.data").astronaut()


@pytest.fixture(scope="module")
def upright(detector: FaceDetector, astronaut: np.ndarray) -> Detection:
    """Its face."""
    return detector.detect(astronaut)[0]


@given(st.integers(2, 9), st.integers(2, 9), st.integers(-4, 4), st.data())
def test_turned_points_follow_the_pixels(width: int, height: int, turns: int, data: st.DataObject) -> None:
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    image = np.zeros((height, width))
    image[y, x] = 1
    (got,) = turn_points(np.array([[x + 0.5, y + 0.5]]), (width, height), turns)
    assert np.rot90(image, turns)[int(got[1]), int(got[0])] == 1


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turns", range(4))
def test_landmarks_are_the_same_in_every_orientation(
    detector: FaceDetector, astronaut: np.ndarray, upright: Detection, turns: int, mirrored: bool
) -> None:
    x = astronaut[:, ::-1] if mirrored else astronaut
    image = np.ascontiguousarray(np.rot90(x, turns))
    found = detector.detect(image)
    assert len(found) == 1
    assert quarter_turns(found[0].points) == -turns % 4
    points = turn_detection(found[0], (512, 512), -turns).points
    points = unmirror(points, 512) if mirrored else points
    error = np.linalg.norm(points - upright.points, axis=1)
    assert error.mean() < 0.005 * iris_distance(upright.points)
    assert error.max() < 0.02 * iris_distance(upright.points)


@pytest.mark.parametrize("turns", range(1, 4))
def test_a_turned_photo_is_made_upright(
    detector: FaceDetector, astronaut: np.ndarray, upright: Detection, turns: int
) -> None:
    photo = LoadedImage(rgb=np.ascontiguousarray(np.rot90(astronaut, turns)), alpha=None, name="me.jpg")
    found = find_photo_face(detector, photo, None)
    assert np.array_equal(turn_upright(photo, found.turns), astronaut)
    assert np.abs(np.subtract(found.detection.box, upright.box)).max() < 1
    assert found.note is not None and found.note.endswith("the photo is used turned upright")


def with_hidden_face(x: np.ndarray, box: tuple[float, ...], alpha: int) -> LoadedImage:
    """The portrait with a second, larger copy of its face at the lower right, as transparent as asked."""
    import cv2

    x0, y0, x1, y1 = (round(v) for v in box)
    other = cv2.resize(x[y0 - 40 : y1 + 20, x0 - 20 : x1 + 20], (240, 240))
    rgb, a = x.copy(), np.full(x.shape[:2], 255, np.uint8)
    rgb[-240:, -240:], a[-240:, -240:] = other, alpha
    return LoadedImage(rgb=rgb, alpha=a, name="cut.png")


@pytest.mark.parametrize(("alpha", "faces"), [(0, 1), (60, 1), (200, 2)])
def test_a_transparent_face_is_not_there(
    detector: FaceDetector, astronaut: np.ndarray, upright: Detection, alpha: int, faces: int
) -> None:
    found = detect_visible(detector, with_hidden_face(astronaut, upright.box, alpha))
    assert len(found) == faces
    assert np.abs(np.subtract(found[-1].box, upright.box)).max() < 3


def test_nothing_visible_is_no_face(detector: FaceDetector, astronaut: np.ndarray) -> None:
    with pytest.raises(HeadcastError, match="no face"):
        find_photo_face(
            detector, LoadedImage(rgb=astronaut, alpha=np.zeros((512, 512), np.uint8), name="none.png"), None
        )


def test_the_alpha_of_a_cutout_is_the_matte(
    detector: FaceDetector, astronaut: np.ndarray, upright: Detection
) -> None:
    plain = LoadedImage(rgb=astronaut, alpha=None, name="plain.png")
    matte = segment_face(plain, find_photo_face(detector, plain, None)).person
    alpha = np.round(255 * np.roll(matte, 2, axis=1)).astype(np.uint8)
    cut = LoadedImage(rgb=astronaut, alpha=alpha, name="cut.png")
    person = segment_face(cut, find_photo_face(detector, cut, None)).person
    assert np.abs(person - alpha / 255)[:300].mean() < 0.003
    assert person[alpha == 0].max() == 0


def test_rounded_corners_leave_the_matte_as_it_is(astronaut: np.ndarray, upright: Detection) -> None:
    y, x = np.mgrid[:512, :512] - 255.5
    alpha = (np.hypot(x, y) < 256).astype(np.float32)
    rgb = LoadedImage(rgb=astronaut, alpha=(255 * alpha).astype(np.uint8), name="round.png").over_grey()
    matte = cutout_matte(rgb, alpha, upright)
    assert matte[150, 60] < 0.1  # background inside the circle
    assert matte[130, 225] > 0.9
    assert matte[alpha == 0].max() == 0


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA"])
def test_colours_under_alpha_zero_leave_no_trace(tmp_path: Path, astronaut: np.ndarray, mode: str) -> None:
    hidden = np.zeros((512, 512), bool)
    hidden[300:, :200] = True
    images = []
    for k, colour in enumerate((0, 200)):
        x = astronaut.copy()
        x[hidden] = colour
        alpha = np.where(hidden, 0, 255).astype(np.uint8)
        images.append(save_transparent(tmp_path / f"{k}.{'tif' if mode == 'PA' else 'png'}", x, alpha, mode))
    first, second = (load_image(p).over_grey() for p in images)
    assert (first[hidden] == 128).all() and (second[hidden] == 128).all()
    assert np.abs(first.astype(int) - second)[~hidden].mean() < 3  # the palettes differ


def test_visible_colours_are_continued_into_what_is_transparent(astronaut: np.ndarray) -> None:
    alpha = np.zeros((512, 512), np.uint8)
    alpha[100:300, 200:260] = 255
    images = []
    for colour in (0, 255):
        x = astronaut.copy()
        x[alpha == 0] = colour
        x[alpha == 255] = (200, 120, 40)
        images.append(LoadedImage(rgb=x, alpha=alpha, name="cut.png").filled())
    assert np.array_equal(*images)
    assert np.abs(images[0].astype(int) - (200, 120, 40)).max() <= 1
    astro = LoadedImage(rgb=astronaut, alpha=alpha, name="cut.png").filled()
    assert np.array_equal(astro[alpha == 255], astronaut[alpha == 255])


def save_transparent(path: Path, x: np.ndarray, alpha: np.ndarray, mode: str) -> Path:
    """Write an image with transparency of a mode."""
    rgba = Image.fromarray(np.dstack([x, alpha]))
    if mode == "P":
        paletted = Image.fromarray(x).quantize(255)
        index = np.where(alpha == 0, 255, np.array(paletted)).astype(np.uint8)
        out = Image.fromarray(index, "P")
        out.putpalette([*paletted.getpalette()[: 3 * 255], *x[alpha == 0][0]])  # type: ignore[index]
        out.save(path, transparency=255)
    elif mode == "PA":
        rgba.save(path)
    else:
        rgba.convert(mode).save(path)
    return path


def test_an_opaque_alpha_channel_changes_nothing(tmp_path: Path, astronaut: np.ndarray) -> None:
    opaque = np.full((512, 512), 255, np.uint8)
    image = load_image(save_transparent(tmp_path / "a.png", astronaut, opaque, "RGBA"))
    assert image.alpha is None
    assert np.array_equal(image.over_grey(), astronaut)


def test_an_image_that_is_faint_all_over_counts_as_opaque(astronaut: np.ndarray) -> None:
    faint = LoadedImage(rgb=astronaut, alpha=np.full((512, 512), 90, np.uint8), name="faint.png")
    assert np.array_equal(faint.over_grey(), astronaut)
