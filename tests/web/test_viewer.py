"""The viewer in a real browser: it shows what we render, its rig is ours, its controls work, offline."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.avatar.export.heads import shut_lids, synthetic_avatar
from tests.bound import bound
from tests.web.browser import Page, browser, opened
from tests.web.gaussians import Carried, spread, world

from headcast import api
from headcast.avatar.export.html import write_html
from headcast.avatar.mesh import MeshAvatar
from headcast.cli.expression import parse_expression
from headcast.head.names import EXPRESSIONS
from headcast.motion.livelink import write_livelink
from headcast.motion.presets import preset
from headcast.render.gaussians import render_gaussians
from headcast.view import front_view, source_view

SIZE = 384
CLOSE = 38.0
"""Decibels between the browser's picture and ours; both filter and sample outlines differently."""


@pytest.fixture(scope="module")
def avatar() -> MeshAvatar:
    return synthetic_avatar()


@pytest.fixture(scope="module")
def carried() -> Carried:
    mesh = synthetic_avatar(shells=False)
    return spread(mesh, len(mesh.head.faces))


@pytest.fixture(scope="module")
def window() -> Iterator[Any]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def page(window: Any, avatar: MeshAvatar, tmp_path_factory: pytest.TempPathFactory) -> Page:
    path = tmp_path_factory.mktemp("viewer") / "somebody.html"
    write_html(avatar, path)
    return opened(window, path)


@pytest.fixture(autouse=True)
def at_rest(request: pytest.FixtureRequest) -> None:
    if "page" in request.fixturenames:
        request.getfixturevalue("page").page.get_by_role("button", name="Reset").click()


def flat(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[..., 3:] / 255
    return rgba[..., :3] * alpha + 128 * (1 - alpha)


def decibels(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / ((flat(a) - flat(b)) ** 2).mean()))


def slide(page: Page, name: str, value: float) -> None:
    """Moves a slider as a hand would: its value, then the event."""
    page.page.evaluate(
        "([id, v]) => { const s = document.getElementById(id); s.value = v;"
        " s.dispatchEvent(new Event('input', {bubbles: true})); }",
        [name, value],
    )


def test_the_front_view_is_our_rendering(page: Page, avatar: MeshAvatar) -> None:
    assert decibels(page.picture(SIZE, SIZE), api.render(avatar, size=(SIZE, SIZE))) > CLOSE


def test_the_photos_view_is_our_rendering(page: Page, avatar: MeshAvatar) -> None:
    page.page.get_by_role("button", name="Photo").click()
    assert decibels(page.picture(256, 256), api.render(avatar, view="source")) > CLOSE


def test_orbits_go_the_same_way(page: Page, avatar: MeshAvatar) -> None:
    page.page.evaluate("headcast.stage.orbit(25, 10)")
    ours = api.render(avatar, yaw=25, pitch=10, size=(SIZE, SIZE))
    other = api.render(avatar, yaw=-25, pitch=10, size=(SIZE, SIZE))
    shown = page.picture(SIZE, SIZE)
    # both turn about the head, around centres that differ by millimetres: 25 dB, not 38
    assert decibels(shown, ours) > 25 > decibels(shown, other)


def test_a_slider_moves_the_mouth_and_nothing_else(page: Page, avatar: MeshAvatar) -> None:
    before = page.picture(SIZE, SIZE)
    slide(page, "mouthSmileLeft", 1.0)
    after = page.picture(SIZE, SIZE)
    changed = np.abs(flat(after) - flat(before)).max(-1) > 8
    view = front_view(avatar, (SIZE, SIZE))
    points = view.camera.project(avatar.head.landmarks(avatar.head(view.params), 68)).numpy()
    mouth = points[48:68]
    x0, y0 = (mouth.min(0) - SIZE * 0.02).astype(int)
    x1, y1 = (mouth.max(0) + SIZE * 0.02).astype(int)
    assert changed[y0:y1, x0:x1].mean() > 0.1
    assert changed[: int(points[36:48, 1].min())].mean() < 0.002  # above the eyes
    both = {"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0}  # sides are linked unless the box is unticked
    assert decibels(after, api.render(avatar, expression=both, size=(SIZE, SIZE))) > CLOSE - 2


def test_the_rig_is_ours_for_any_weights(page: Page, avatar: MeshAvatar) -> None:
    g = torch.Generator().manual_seed(5)
    view = front_view(avatar)
    for _ in range(3):
        weights = torch.rand(52, generator=g) * (torch.rand(52, generator=g) > 0.5)
        neck = (torch.rand(3, generator=g) - 0.5) * 0.6
        shown = page.page.evaluate(
            """([w, neck]) => { const s = headcast.stage; s.weights.set(w); s.neck = neck; s.stale = true;
            s.draw(); return s.rig.pieces.map((p) => Array.from(p.position)); }""",
            [weights.tolist(), neck.tolist()],
        )
        params = view.params.replace(expression=weights, neck=neck)
        ours = [avatar.head(params), *(s.posed(avatar.head, params) for s in avatar.shells)]
        for a, b in zip(shown, ours, strict=True):
            far = (torch.tensor(a).view(-1, 3) - b).norm(dim=-1).max()
            assert far < 1e-4, f"{float(far) * 1e3:.3f} mm"


def with_lids(avatar: MeshAvatar) -> MeshAvatar:
    """With shut lids of another colour."""
    side = avatar.texture.shape[0]
    return replace(avatar, lids=shut_lids(avatar.head, side, (90, 160, 60), torch.tensor([0.1, 0.2])))


def test_lids_go_over_into_their_shut_look_as_with_us(
    window: Any, avatar: MeshAvatar, tmp_path: Path
) -> None:
    lidded = with_lids(avatar)
    write_html(lidded, tmp_path / "lids.html")
    page = opened(window, tmp_path / "lids.html")
    shares = {}
    for blink in (0.0, 0.6, 1.0):
        for side in ("Left", "Right"):
            slide(page, f"eyeBlink{side}", blink)
        image = page.picture(SIZE, SIZE)  # poses the rig: sliders alone wait for the next animation frame
        shares[blink] = page.page.evaluate("Array.from(headcast.stage.rig.shut)")
        look = {"eyeBlinkLeft": blink, "eyeBlinkRight": blink}
        params = front_view(lidded).params.with_expression(look)
        assert np.allclose(shares[blink], lidded.lids.closed_fraction(params).numpy(), atol=1e-4)  # type: ignore[union-attr]
        right, wrong = (api.render(a, size=(SIZE, SIZE), expression=look) for a in (lidded, avatar))
        assert decibels(image, right) > CLOSE - 1
        assert blink == 0 or decibels(image, wrong) < CLOSE - 2
    assert shares[0.0] == [0, 0] and min(shares[1.0]) > 0.99 and 0.1 < min(shares[0.6]) < 0.9


def drop(page: Page, path: Path) -> None:
    page.page.evaluate("headcast.ui.say('')")
    page.page.set_input_files("#file", path)
    page.page.locator(".status:not(:empty)").wait_for()


def test_a_live_link_face_recording_plays(page: Page, tmp_path: Path) -> None:
    motion = preset("speech")
    write_livelink(motion, tmp_path / "take.csv")
    drop(page, tmp_path / "take.csv")
    assert f"{len(motion)} frames" in page.page.locator(".status").inner_text()
    page.page.get_by_role("button", name="Pause").click()
    page.page.evaluate("headcast.ui.player.seek(40 / 30)")
    shown = page.page.evaluate("[Array.from(headcast.stage.weights), headcast.stage.neck]")
    assert np.allclose(shown[0], motion.expression[40].numpy(), atol=1e-3)
    assert np.allclose(shown[1], motion.neck[40].numpy(), atol=1e-3)


def test_json_clips_play_and_wrong_ones_are_named(page: Page, tmp_path: Path) -> None:
    frames = [{"weights": [0.0] * 51 + [t / 10], "time": t / 25} for t in range(11)]
    (tmp_path / "lam.json").write_text(json.dumps({"names": list(EXPRESSIONS), "frames": frames}))
    drop(page, tmp_path / "lam.json")
    assert page.page.evaluate("headcast.ui.player.clip.fps") == pytest.approx(25)
    page.page.evaluate("headcast.ui.player.seek(0.2)")
    assert page.page.evaluate("headcast.stage.weights[51]") == pytest.approx(0.5, abs=1e-4)
    (tmp_path / "bad.json").write_text(json.dumps({"jawOpn": [0.1, 0.2]}))
    drop(page, tmp_path / "bad.json")
    assert "jawOpn" in page.page.locator(".status.wrong").inner_text()


def test_gaze_sliders_and_poses(page: Page) -> None:
    page.page.get_by_text("Gaze and neck").click()
    slide(page, "gazeYaw", 0.26)
    weights = dict(zip(EXPRESSIONS, page.page.evaluate("Array.from(headcast.stage.weights)"), strict=True))
    assert weights["eyeLookOutLeft"] == pytest.approx(0.5, abs=0.01) == weights["eyeLookInRight"]
    page.page.get_by_role("button", name="blink").click()
    assert page.page.locator("#eyeBlinkLeft").input_value() == "1"


def saved(page: Page, button: str) -> bytes:
    """What a button gives as a download."""
    with page.page.expect_download(timeout=60_000) as found:
        page.page.get_by_role("button", name=button).click()
    return Path(found.value.path()).read_bytes()


def test_a_pose_is_saved_as_the_command_line_reads_it(page: Page, tmp_path: Path) -> None:
    slide(page, "jawOpen", 0.25)
    slide(page, "mouthSmileLeft", 0.5)
    (tmp_path / "pose.json").write_bytes(saved(page, "Save pose"))
    found = parse_expression(str(tmp_path / "pose.json"))
    assert found == {"jawOpen": 0.25, "mouthSmileLeft": 0.5, "mouthSmileRight": 0.5}


def test_a_clip_is_recorded_as_a_film(page: Page, tmp_path: Path) -> None:
    record = page.page.get_by_role("button", name="Record clip")
    assert record.is_disabled()
    (tmp_path / "short.json").write_text(json.dumps({"jawOpen": [t / 24 for t in range(24)]}))
    drop(page, tmp_path / "short.json")
    data = saved(page, "Record clip")
    assert data.startswith(b"\x1a\x45\xdf\xa3") and b"webm" in data[:64] and len(data) > 1000
    assert page.page.evaluate("headcast.stage.weights[headcast.stage.rig.names.at('jawOpen')]") > 0.5


def test_it_says_what_it_is(page: Page, avatar: MeshAvatar) -> None:
    text = page.page.locator("#viewer").evaluate("e => e.textContent")
    assert "I agree. Åsa" in text and "synthetic" in text and "three" in text and "fit" in text


def test_nothing_is_fetched_and_nothing_goes_wrong(page: Page) -> None:
    assert not page.complaints
    assert all(r.startswith(("file:", "blob:", "data:")) for r in page.requests), page.requests
    assert sum(r.startswith("file:") for r in page.requests) == 1


def test_a_phone_shows_head_and_controls(page: Page) -> None:
    page.page.set_viewport_size({"width": 390, "height": 844})
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 390
    box = page.page.locator("canvas").bounding_box()
    assert box and box["width"] == 390 and box["height"] > 300


def test_splats_are_carried_by_the_rig_and_drawn_as_ours(
    window: Any, carried: Carried, tmp_path: Path
) -> None:
    write_html(carried, tmp_path / "splats.html")
    page = opened(window, tmp_path / "splats.html", 640, 480)
    for name, view, pose in (
        ("front", front_view(carried.mesh, (256, 256)), {}),
        ("source", source_view(carried.mesh), {"jawOpen": 0.8}),
    ):
        page.page.evaluate(
            "([view, w]) => { const s = headcast.stage; s.look(view); s.weights.fill(0);"
            " for (const k in w) s.weights[s.rig.names.at(k)] = w[k]; s.change(); }",
            [name, pose],
        )
        with torch.no_grad():
            out = render_gaussians(
                *world(carried, view.params.with_expression(pose), view.camera), view.camera
            )
        ours = torch.cat([out.rgb, out.alpha[..., None]], -1).clamp(0, 1) * 255
        found = decibels(page.picture(256, 256), ours.numpy())
        assert math.isfinite(found) and found > 33, (name, found)
    assert not page.complaints


def test_the_same_avatar_gives_the_same_file_and_no_name_can_break_it(tmp_path: Path) -> None:
    avatar = synthetic_avatar()
    facts = {"consent": "</script>", "extra": {"name": "</script><b>%AVATAR%"}}
    named = MeshAvatar(
        bound=bound(avatar.head, avatar.source, **facts), texture=avatar.texture, shells=avatar.shells
    )
    for name in ("a.html", "b.html"):
        write_html(named, tmp_path / name)
    data = (tmp_path / "a.html").read_bytes()
    assert data == (tmp_path / "b.html").read_bytes()
    assert data.count(b"</script>") == 3 and b"&lt;/script&gt;" in data and b"<b>" not in data
