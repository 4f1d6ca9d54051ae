"""The studio in a real browser: from a photo to an exported GLB, and everything that may come between.

Screenshots go to ``HEADCAST_SCREENSHOTS`` where that names a folder: docs/images/studio is made so.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.studio.serving import Client, serving
from tests.web.browser import browser

from headcast.image import save_png

AXE = Path(__file__).resolve().parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
MAKE_S = 400_000
"""Milliseconds until a head is made on a busy machine."""


@pytest.fixture(scope="module")
def window() -> Iterator[Any]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(tmp_path_factory.mktemp("studio") / "project") as found:
        yield found


class Visitor:
    """A page of the studio, with everything that went wrong on it or left this machine."""

    def __init__(self, window: Any, client: Client) -> None:
        self.context = window.new_context(
            viewport={"width": 1280, "height": 860},
            color_scheme="light",
            reduced_motion="reduce",
            accept_downloads=True,
        )
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.page.on("console", lambda m: self.complaints.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda e: self.complaints.append(str(e)))
        self.page.on("request", lambda r: self.requests.append(r.url))
        self.page.goto(client.server.start_address)
        self.page.wait_for_selector("html[data-ready]")

    def home(self) -> None:
        self.page.evaluate("location.hash = '#/'")
        self.page.get_by_text("Drop a portrait here").wait_for()

    def until(self, condition: Callable[[], Any], seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.page.url
            self.page.wait_for_timeout(100)

    def choose(self, button: str, path: Path) -> None:
        with self.page.expect_file_chooser() as chooser:
            self.page.get_by_role("button", name=button).click()
        chooser.value.set_files(path)

    def check_access(self) -> None:
        """No serious finding of axe-core on what is shown."""
        if not AXE.is_file():
            return
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate(
            "async () => (await axe.run(document)).violations"
            ".map((v) => [v.impact, v.id, v.nodes.map((n) => n.html.slice(0, 120))])"
        )
        assert not [v for v in found if v[0] in ("serious", "critical")], found

    def shoot(self, name: str) -> None:
        """Save a screenshot where they are wanted."""
        folder = os.environ.get("HEADCAST_SCREENSHOTS")
        if folder:
            self.page.wait_for_timeout(700)
            self.page.screenshot(path=Path(folder) / f"{name}.jpg", type="jpeg", quality=64)


@pytest.fixture(scope="module")
def visitor(window: Any, client: Client) -> Visitor:
    return Visitor(window, client)


@pytest.mark.slow
def test_from_a_photo_to_an_exported_model(visitor: Visitor, demo_photo: Path) -> None:
    page = visitor.page
    assert "token" not in page.url
    visitor.check_access()
    visitor.shoot("1-start")
    visitor.choose("Choose a photo", demo_photo)
    page.locator(".findings li").first.wait_for(timeout=MAKE_S)
    assert "The face is sharp." in page.locator(".findings").inner_text()
    visitor.check_access()
    visitor.shoot("2-photo")
    page.get_by_role("button", name="Shape").click()
    page.get_by_alt_text("Your photo: mesh").wait_for()
    visitor.shoot("3-shape")
    page.get_by_label("Quick").check()
    page.get_by_label("Name").fill("Eileen <b>C.</b>")
    page.get_by_text("More choices").click()
    page.get_by_label("Consent of the person shown").fill("</script><img src=x onerror=alert(1)>")
    page.get_by_role("button", name="Make the head").click()
    visitor.until(
        lambda: page.locator("progress").count() and page.locator("progress").evaluate("e => e.value") > 0.3
    )
    visitor.check_access()
    visitor.shoot("4-making")
    page.reload()  # in mid-job
    page.locator(".head[data-ready]").wait_for(timeout=MAKE_S)
    assert page.get_by_label("Name of this head").input_value() == "Eileen <b>C.</b>"
    assert "<img src=x" in page.locator("dl").inner_text() and not page.locator("dl img").count()
    visitor.shoot("5-head")
    visitor.check_access()
    page.get_by_role("button", name="3D model").click()
    page.get_by_role("link", name="3D model").wait_for(timeout=MAKE_S)
    with page.expect_download() as download:
        page.get_by_role("link", name="3D model").click()
    assert Path(download.value.path()).read_bytes()[:4] == b"glTF"
    assert re.fullmatch(r"Eileen.*\.glb", download.value.suggested_filename)
    assert not visitor.complaints
    assert all(r.startswith((page.url.partition("#")[0], "blob:", "data:")) for r in visitor.requests)


@pytest.mark.slow
def test_the_head_moves_and_turns_by_keys(visitor: Visitor) -> None:
    page = visitor.page
    frame = next(f for f in page.frames if "/view/" in f.url)
    opened = "shown.stage.weights[shown.stage.rig.names.at('jawOpen')]"
    page.get_by_role("button", name="Jaw open").click()
    assert frame.evaluate(opened) > 0.3
    page.get_by_role("button", name="Rest").click()
    assert frame.evaluate(opened) == 0
    page.get_by_role("group", name="Movement").get_by_role("button", name="Talk").press("Enter")
    assert frame.evaluate("shown.player.playing")
    page.get_by_role("group", name="Movement").get_by_role("button", name="Talk").press("Enter")
    assert not frame.evaluate("shown.player.playing")
    before = frame.evaluate("shown.stage.camera.position.x")
    frame.locator("canvas").press("ArrowRight")
    assert abs(frame.evaluate("shown.stage.camera.position.x") - before) > 0.01


@pytest.mark.slow
def test_a_recording_moves_it_and_a_wrong_one_is_named(visitor: Visitor, tmp_path: Path) -> None:
    (tmp_path / "wave.json").write_text('{"jawOpen": [0, 0.5, 0.9]}')
    (tmp_path / "bad.json").write_text('{"jawOpn": [0, 0.5]}')
    visitor.choose("Play a recording…", tmp_path / "wave.json")
    visitor.until(lambda: "3 frames" in visitor.page.locator("#line").inner_text())
    visitor.choose("Play a recording…", tmp_path / "bad.json")
    visitor.until(lambda: "jawOpn" in visitor.page.locator("#line.wrong").inner_text())
    visitor.page.get_by_role("button", name="Rest").click()
    visitor.page.evaluate("document.getElementById('line').textContent = ''")


@pytest.mark.slow
def test_dark_and_small(visitor: Visitor) -> None:
    page = visitor.page
    page.emulate_media(color_scheme="dark")
    visitor.check_access()
    visitor.shoot("6-dark")
    page.set_viewport_size({"width": 360, "height": 740})
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    visitor.shoot("7-phone")
    visitor.home()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    visitor.check_access()
    page.set_viewport_size({"width": 1280, "height": 860})
    page.emulate_media(color_scheme="light")


@pytest.mark.slow
def test_a_photo_without_a_face_says_so(visitor: Visitor, tmp_path: Path) -> None:
    save_png(tmp_path / "fog.png", np.random.default_rng(1).integers(90, 160, (96, 96, 3)).astype(np.uint8))
    visitor.home()
    visitor.choose("Choose a photo", tmp_path / "fog.png")
    wrong = visitor.page.locator(".findings .wrong")
    wrong.wait_for(timeout=MAKE_S)
    assert "no face found" in wrong.inner_text().lower()
    assert visitor.page.get_by_role("button", name="Make the head").is_disabled()
    shown = visitor.page.get_by_alt_text("Your photo", exact=True)
    visitor.until(lambda: shown.evaluate("e => e.complete && e.naturalWidth") == 96)
    visitor.shoot("8-no-face")
    (tmp_path / "words.png").write_text("no photo")
    visitor.home()
    visitor.choose("Choose a photo", tmp_path / "words.png")
    visitor.until(lambda: "neither a photo" in visitor.page.locator("#line.wrong").inner_text())
    visitor.complaints[:] = [c for c in visitor.complaints if "400 (Bad Request)" not in c]


@pytest.mark.slow
def test_a_head_is_made_and_cancelled_by_keys_alone(visitor: Visitor) -> None:
    page = visitor.page
    visitor.home()
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    tab_to(visitor, "or try the demo portrait")
    page.keyboard.press("Enter")
    page.locator(".findings li").first.wait_for(timeout=MAKE_S)
    tab_to(visitor, "Make the head")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Cancel").wait_for(timeout=MAKE_S)
    tab_to(visitor, "Cancel")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Cancelled").wait_for()
    assert not visitor.page.locator("progress:visible").count()
    tab_to(visitor, "Back to the photo")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="What I see").wait_for()


def tab_to(visitor: Visitor, name: str) -> None:
    for _ in range(60):
        visitor.page.keyboard.press("Tab")
        if visitor.page.evaluate("document.activeElement.textContent") == name:
            return
    raise AssertionError(f"the keyboard does not reach '{name}'")


@pytest.mark.slow
def test_a_head_is_deleted_after_a_question(visitor: Visitor, client: Client) -> None:
    page = visitor.page
    visitor.home()
    page.locator(".grid a").first.click()
    page.get_by_role("button", name="Delete this head").click()
    page.get_by_role("button", name="Keep it").click()
    page.get_by_role("button", name="Delete this head").click()
    visitor.shoot("9-delete")
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_text("Drop a portrait here").wait_for()
    visitor.until(lambda: not page.locator(".grid a").count())
    assert not visitor.complaints
