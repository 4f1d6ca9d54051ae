"""The quality report of real and made-up photos."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.observe.heads import SIZE, detection_of, fitter, head, truth

from headcast.image import load_image
from headcast.observe.observe import observe_photo
from headcast.observe.report import quality, write_observation_report
from headcast.observe.types import Observation


def observation(yaw: float = 0.0, **weights: float) -> Observation:
    """A synthetic head on noise, without masks and light."""
    detection, _ = detection_of(truth(2, yaw, dict(weights)))
    fit = fitter().fit_photo(detection, SIZE, SIZE)
    image = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3)).astype(np.uint8)
    return Observation(
        image=image,
        detection=detection,
        masks=None,
        camera=fit.camera,
        params=fit.params,
        light=None,
        landmark_error=fit.error,
        name="made up",
        notes=("two faces",),
    )


def finding(o: Observation, subject: str) -> str:
    return next(x.severity for x in quality(o) if x.subject == subject)


def test_turned_head_is_warned_of() -> None:
    assert finding(observation(45.0), "yaw") == "warning"
    assert finding(observation(0.0), "yaw") == "good"


def test_open_mouth_and_closed_eyes() -> None:
    assert finding(observation(jawOpen=0.6), "mouth") == "note"
    assert finding(observation(eyeBlinkLeft=1.0), "eyes") == "warning"
    assert finding(observation(), "eyes") == "good"


def test_small_blurred_and_badly_fitted() -> None:
    o = observation()
    small = replace(o, detection=replace(o.detection, points=o.detection.points / 4))
    assert finding(small, "size") == "warning"
    assert finding(replace(o, image=np.full_like(o.image, 90)), "sharpness") == "warning"
    assert finding(replace(o, landmark_error=3.0), "fit") == "warning"


def test_notes_are_passed_on_and_worst_comes_first() -> None:
    lines = quality(observation(45.0))
    assert "two faces" in [x.text for x in lines]
    assert [x.severity for x in lines] == sorted(
        (x.severity for x in lines), key=("warning", "note", "good").index
    )


@pytest.fixture(scope="module")
def demo(demo_photo: Path) -> Observation:
    """The demo photo understood."""
    return observe_photo(demo_photo, head())


def test_report_files_of_the_demo_photo(demo: Observation, tmp_path: Path) -> None:
    words = write_observation_report(demo, tmp_path / "report", debug=True)
    facts = json.loads((tmp_path / "report" / "report.json").read_text())
    assert len(facts["findings"]) == len(words)
    picture = load_image(tmp_path / "report" / "debug.png").rgb
    assert picture.shape[1] == 3 * 640
    assert demo.light is not None
    assert demo.masks is not None
