"""An avatar of Gaussians made from a photo, in a real browser: it looks, moves and is drawn as by us."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.web.browser import Page, browser, opened
from tests.web.test_viewer import decibels, slide

from headcast import api
from headcast.avatar.export.base import mesh_of
from headcast.avatar.export.html import write_html
from headcast.avatar.gaussian import GaussianAvatar

SIZE = 192
COUNT = 40_000
"""Gaussians that are kept: the browser of a test draws without a graphics card."""
STEPS = """(names) => {
  const s = headcast.stage, g = s.splats.gaussians, t = s.splats.texels, n = g.count;
  const pose = () => {
    s.stale = true;
    s.pose();
    return [t.first.slice(), t.second.slice(), t.firstFloats.slice()];
  };
  const rest = pose(), found = {};
  const steps = {
    camera: () => s.orbit(20), jaw: () => (s.weights[s.rig.names.at("jawOpen")] = 0.6),
    neck: () => (s.neck = [0.1, 0.3, 0]),
  };
  for (const name of names) {
    steps[name]();
    const step = pose(), reshaped = g.reshaped;
    g.placed = false;
    const whole = pose();
    const same = [0, 1].every((k) => step[k].every((x, i) => x === whole[k][i]));
    let moved = 0;
    for (let i = 0; i < n; i++)
      if ([0, 1, 2].some((k) => Math.abs(step[2][4 * i + k] - rest[2][4 * i + k]) > 1e-6)) moved++;
    found[name] = [same, reshaped, moved / n];
  }
  return found;
}"""


@pytest.fixture(scope="module")
def window() -> Iterator[Any]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def avatar(demo_photo: Path, window: Any) -> GaussianAvatar:
    made = api.create(demo_photo, options={"texture_size": 512})
    assert isinstance(made, GaussianAvatar)
    return replace(made, gaussians=made.gaussians[:: len(made.gaussians) // COUNT + 1])


@pytest.fixture(scope="module")
def page(window: Any, avatar: GaussianAvatar, tmp_path_factory: pytest.TempPathFactory) -> Page:
    path = tmp_path_factory.mktemp("viewer") / "me.html"
    write_html(avatar, path)
    return opened(window, path, 640, 420)


@pytest.fixture(autouse=True)
def at_rest(page: Page) -> None:
    page.page.get_by_role("button", name="Reset").click()


def ours(avatar: Any, **look: Any) -> np.ndarray:
    return api.render(avatar, size=(SIZE, SIZE), **look)


def test_a_head_is_seen_before_its_splats_are_sorted(page: Page) -> None:
    seen, mode = page.page.evaluate(
        "[headcast.stage.mesh.group.visible || headcast.stage.splats.shown, headcast.stage.mode]"
    )
    assert seen and mode == "splat"


def test_splats_look_like_our_rendering(page: Page, avatar: GaussianAvatar) -> None:
    shown = page.picture(SIZE, SIZE)
    assert not page.page.evaluate("headcast.stage.mesh.group.visible")
    assert decibels(shown, ours(avatar)) > 33
    for side in ("Left", "Right"):
        slide(page, f"mouthSmile{side}", 1.0)
    slide(page, "jawOpen", 0.5)
    look = {"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0, "jawOpen": 0.5}
    smiling = page.picture(SIZE, SIZE)
    right, wrong = decibels(smiling, ours(avatar, expression=look)), decibels(smiling, ours(avatar))
    assert right > 33 and right > wrong + 3, (right, wrong)


def test_shut_lids_of_splats_are_ours(page: Page, avatar: GaussianAvatar) -> None:
    look = {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}
    for name in look:
        slide(page, name, 1.0)
    assert decibels(page.picture(SIZE, SIZE), ours(avatar, expression=look)) > 33


def test_the_mesh_looks_like_our_mesh(page: Page, avatar: GaussianAvatar) -> None:
    page.page.get_by_role("button", name="Mesh").click()
    try:
        assert decibels(page.picture(SIZE, SIZE), ours(mesh_of(avatar))) > 36
    finally:
        page.page.get_by_role("button", name="Splats").click()


def test_hair_has_no_holes_from_aside(page: Page, avatar: GaussianAvatar) -> None:
    page.page.get_by_role("button", name="Mesh").click()
    page.page.evaluate("headcast.stage.orbit(40)")
    shown = page.picture(SIZE, SIZE)
    page.page.get_by_role("button", name="Splats").click()
    assert decibels(shown, ours(mesh_of(avatar), yaw=40)) > 38


def test_what_is_carried_anew_is_all_that_moved(page: Page) -> None:
    """Step by step the Gaussians get where they get at one go."""
    found = page.page.evaluate(STEPS, ["camera", "jaw", "neck"])
    assert [same for same, _, _ in found.values()] == [True] * 3
    assert [reshaped for _, reshaped, _ in found.values()] == [False, True, True]
    assert found["camera"][2] == 0 and 0.02 < found["jaw"][2] < 0.95 and found["neck"][2] > 0.5


def test_nothing_went_wrong(page: Page) -> None:
    assert not page.complaints
